// Package clock passes the time in. Whatever decides by the time of day takes a
// Clock, so that a test can say what time it is and production says it once.
package clock

import (
	"sync"
	"time"
)

// A Clock tells the time. Implementations are safe for concurrent use.
type Clock interface {
	Now() time.Time
}

// System is the machine's clock, in UTC and cut to milliseconds: that is the
// unit the databases keep, and a time that survives a round trip unchanged can
// be compared with ==.
type System struct{}

// Now returns the current time.
func (System) Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// A Manual clock stands still until it is moved. It is for tests.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// At returns a Manual clock that shows t, cut to milliseconds.
func At(t time.Time) *Manual { return &Manual{now: t.UTC().Truncate(time.Millisecond)} }

// Now returns the time the clock was last set to.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Advance moves the clock by d.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}
