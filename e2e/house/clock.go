package house

import (
	"sync/atomic"
	"time"
)

// A Clock is the world's with an offset.
type Clock struct{ ahead atomic.Int64 }

// Now implements clock.Clock.
func (c *Clock) Now() time.Time {
	return time.Now().Add(time.Duration(c.ahead.Load())).UTC().Truncate(time.Millisecond)
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Set puts the clock ahead of the world's, or behind it, as the clock of a program that
// is not in this process stays.
func (c *Clock) Set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }
