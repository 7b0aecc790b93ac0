package liveness

import "time"

// A report is how a call to the provider went, as far as the breaker cares.
type report int

const (
	callWorked  report = iota // they answered in the protocol, whatever they said
	callFailed                // no answer, or not in the protocol
	callNeutral               // says nothing about them: our caller went away
)

// A breaker stops calling a provider that does not answer, so that citizens are
// offered something else at once instead of after ten seconds (SECURITY LV2). It
// opens after breakAfter failures in a row, for breakFor; then one call at a time
// may try. It never turns "no answer" into "passed": an open breaker is one more
// way to be unavailable.
//
// A breaker is a value; its methods return the next one. Provider keeps it.
type breaker struct {
	failures int
	until    time.Time // open until then
	probe    time.Time // somebody is trying, until then at most
}

// admit says whether a call may be made now.
func (b breaker) admit(now time.Time) (breaker, bool) {
	if b.failures < breakAfter {
		return b, true
	}
	if now.Before(b.until) || now.Before(b.probe) {
		return b, false
	}
	b.probe = now.Add(probeLease)
	return b, true
}

// heard takes in how an admitted call went.
func (b breaker) heard(r report, now time.Time) breaker {
	switch r {
	case callWorked:
		return breaker{}
	case callFailed:
		b.failures = min(b.failures+1, breakAfter)
		b.probe = time.Time{}
		if b.failures == breakAfter {
			b.until = now.Add(breakFor)
		}
	case callNeutral:
		b.probe = time.Time{}
	}
	return b
}

// open says, without taking the probe, whether a call now would be refused.
func (b breaker) open(now time.Time) bool {
	_, ok := b.admit(now)
	return !ok
}
