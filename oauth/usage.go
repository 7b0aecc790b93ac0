package oauth

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"ecardid/internal/clock"
)

const (
	usageFlush   = 10 * time.Second // what a crash loses at most; nobody is billed by it
	usageClients = 10_000           // clients and days at a time: nobody has that many
	usageWait    = 5 * time.Second  // for the last round

	// UsageKept is for how many days usage is kept: a year, and the month to look back on it.
	UsageKept = 400
)

// A Use is something that is counted.
type Use int

// The uses.
const (
	CodeIssued    Use = iota // a citizen went on to the client
	Refreshed                // it got new tokens without them
	WasRefused               // a request of it was refused, of whatever kind
	WasOverasking            // it asked for more than it was admitted for
)

// A Usage is what one client did on one day.
type Usage struct {
	ClientID                              string
	Day                                   int // days since 1970, in Beijing
	Codes, Refreshes, Refusals, Overasked int64
}

// DayNumber is the day of a moment.
func DayNumber(t time.Time) int { return int((t.Unix() + 8*60*60) / (24 * 60 * 60)) }

// A Weight is what hangs on a client: what dies with it.
type Weight struct{ Grants, Citizens, Requests int }

// Usages adds up usage.
type Usages interface {
	// AddUsage adds to what is there, in one statement for up to a hundred.
	AddUsage(ctx context.Context, all []Usage) error
	// UsageSince returns a client's days from one on, in order; those without use are absent.
	UsageSince(ctx context.Context, clientID string, day int) ([]Usage, error)
}

// A Meter counts what clients do, in memory, and now and then adds it to what is kept:
// a request costs no statement for it. It is safe for concurrent use; a nil one counts
// nothing.
type Meter struct {
	Store Usages
	Clock clock.Clock
	Log   *slog.Logger

	mu   sync.Mutex
	open map[usageKey]*Usage
}

type usageKey struct {
	client string
	day    int
}

// Count counts a use of a client that there is.
func (m *Meter) Count(clientID string, u Use) {
	if m == nil || clientID == "" {
		return
	}
	key := usageKey{clientID, DayNumber(m.Clock.Now())}
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.open[key]
	if one == nil {
		if len(m.open) >= usageClients {
			return
		}
		if m.open == nil {
			m.open = map[usageKey]*Usage{}
		}
		one = &Usage{ClientID: key.client, Day: key.day}
		m.open[key] = one
	}
	switch u {
	case CodeIssued:
		one.Codes++
	case Refreshed:
		one.Refreshes++
	case WasRefused:
		one.Refusals++
	case WasOverasking:
		one.Overasked++
	}
}

// Flush adds what was counted to what is kept. What cannot be is counted on.
func (m *Meter) Flush(ctx context.Context) error {
	m.mu.Lock()
	open := m.open
	m.open = nil
	m.mu.Unlock()
	if len(open) == 0 {
		return nil
	}
	all := make([]Usage, 0, len(open))
	for _, one := range open {
		all = append(all, *one)
	}
	err := m.Store.AddUsage(ctx, all)
	if err == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, one := range open {
		if now := m.open[key]; now != nil {
			one.Codes, one.Refreshes = one.Codes+now.Codes, one.Refreshes+now.Refreshes
			one.Refusals, one.Overasked = one.Refusals+now.Refusals, one.Overasked+now.Overasked
			delete(m.open, key)
		}
	}
	for key, one := range m.open { // of clients that came meanwhile
		open[key] = one
	}
	m.open = open
	return err
}

// Run flushes until ctx ends, and then a last time.
func (m *Meter) Run(ctx context.Context) {
	ticker := time.NewTicker(usageFlush)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), usageWait)
			defer cancel()
			m.flush(last)
			return
		case <-ticker.C:
			m.flush(ctx)
		}
	}
}

func (m *Meter) flush(ctx context.Context) {
	if err := m.Flush(ctx); err != nil && ctx.Err() == nil {
		m.Log.ErrorContext(ctx, "usage not kept", "error", err)
	}
}

// DayStart is the first moment of a day.
func DayStart(day int) time.Time { return time.Unix(int64(day)*24*60*60-8*60*60, 0).UTC() }
