package signals

import "time"

const (
	maxBody       = 64 << 10 // SECURITY DS1
	maxEvents     = 100      // types in a request, and events in one answer to a poll
	maxAcks       = 1000
	maxText       = 500 // of a description or a reason, in bytes
	maxURL        = 2048
	maxHeader     = 2048 // the Authorization header a receiver asks for
	maxState      = 1024
	minInterval   = 10 * time.Second // between two verifications of one stream
	lookEvery     = time.Second      // at the outbox: receivers hear within seconds
	lease         = 30 * time.Second
	turn          = 20 * time.Second // of a lease, in which something new is begun: a call takes five seconds
	streamsAtOnce = 8
	signalsAtOnce = 20
	firstWait     = 5 * time.Second
	longestWait   = 10 * time.Minute
	maxRefusals   = 12 // of one event; with the waits between them, more than an hour
	lagEvery      = 30 * time.Second
)
