package clientauth

import (
	"sync"
	"time"
)

const (
	freeGuesses = 10              // a deployment with an old secret tries once per replica and restart
	guessWindow = time.Minute     // after which they count anew
	guessBlock  = 1 * time.Minute // how long a source waits after the last free one
	maxSources  = 10_000
)

// Guesses is a Throttle in the memory of one process. Secrets have 256 bits, so
// it keeps noise down rather than attackers out, and being counted per source, it
// lets nobody lock another's client out (SECURITY CA4).
type Guesses struct {
	mu     sync.Mutex
	counts map[string]*guesses
}

type guesses struct {
	n     int
	since time.Time
	until time.Time // blocked
}

// Blocked implements Throttle.
func (g *Guesses) Blocked(key string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts[key]
	return c != nil && now.Before(c.until)
}

// Failed implements Throttle.
func (g *Guesses) Failed(key string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts[key]
	if c == nil || now.Sub(c.since) >= guessWindow && !now.Before(c.until) {
		if g.counts == nil {
			g.counts = map[string]*guesses{}
		}
		g.makeRoom(now)
		c = &guesses{since: now}
		g.counts[key] = c
	}
	if c.n++; c.n >= freeGuesses {
		c.until = now.Add(guessBlock)
	}
}

// makeRoom keeps strangers from filling the memory: what has run out goes, and
// if that is not enough, anything does.
func (g *Guesses) makeRoom(now time.Time) {
	if len(g.counts) < maxSources {
		return
	}
	for key, c := range g.counts {
		if now.Sub(c.since) >= guessWindow && !now.Before(c.until) {
			delete(g.counts, key)
		}
	}
	for key := range g.counts {
		if len(g.counts) < maxSources {
			return
		}
		delete(g.counts, key)
	}
}
