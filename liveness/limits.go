package liveness

import "time"

const (
	maxLifetime = 180 * time.Second // a session; AWS gives its own as long
	minLifetime = 30 * time.Second  // below that nobody finds the camera button
	pullGrace   = 60 * time.Second  // a result may be asked for this long after the session's end

	resultLife = 60 * time.Second // exp − iat at most: results are signed afresh for each pull
	aheadBy    = 30 * time.Second // how far the provider's clock may run before ours
	lateBy     = 10 * time.Second // tolerance on exp (SECURITY §0, JWT clock)
	captureAge = 5 * time.Minute  // SECURITY LV1

	requestLife = 60 * time.Second // of what we sign

	// SECURITY LV2: the citizen hears from us within ten seconds. A page that polls
	// holds one of the server's places meanwhile, so the wait is one call's.
	callTimeout = 3 * time.Second        // SECURITY SR1 allows five
	pullBudget  = callTimeout            // with the second try in it
	retryAfter  = 250 * time.Millisecond // a connection that was cut is there again, or will not be

	maxBody    = 64 << 10 // SECURITY SR1; results are about 1 KiB
	maxDepth   = 16       // of JSON; a result has two levels
	maxHeader  = 16 << 10
	maxCalls   = 32 // at once, so that a hanging provider holds a few requests and not all of them
	maxText    = 256
	maxURL     = 2048
	maxRisks   = 32
	maxAttempt = 5 // SECURITY LV3; which of them count is Limits.PerSession

	breakAfter = 5 // failures in a row
	breakFor   = 30 * time.Second
	probeLease = 10 * time.Second // a probe that was never heard of again does not block the next
)

// DefaultLimits is SECURITY LV3 and notes §6.2 in numbers.
func DefaultLimits() Limits {
	return Limits{
		PerSession:     1,
		PerTransaction: 3,
		Tries:          5,
		TriesWithin:    15 * time.Minute, // the life of a half-finished login (SECURITY DS3)
		PerDay:         10,
	}
}
