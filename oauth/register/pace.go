package register

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	burst      = 40               // a test suite, or a hospital group's roll-out, at once
	refill     = 2 * time.Second  // for each one after that
	changeTime = 30 * time.Second // for each change of one client after that: nobody changes often
	maxSources = 10_000
)

// pace keeps one source from registering, or guessing tokens, faster than people work,
// and one client from changing itself so. Tokens have 256 bits: it keeps noise down and
// tables small (SECURITY DS3). A change makes every replica read the clients anew.
type pace struct {
	mu      sync.Mutex
	sources map[string]*rate.Limiter
}

// take counts one attempt, and reports whether it is not one too many. After every is
// there room for one more.
func (p *pace) take(source string, every time.Duration, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of(source, every, now).AllowN(now, 1)
}

// spent reports whether the next attempt would be one too many.
func (p *pace) spent(source string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.sources[source]
	return known && l.TokensAt(now) < 1
}

func (p *pace) of(source string, every time.Duration, now time.Time) *rate.Limiter {
	if l, known := p.sources[source]; known {
		return l
	}
	if p.sources == nil {
		p.sources = map[string]*rate.Limiter{}
	}
	p.makeRoom(now)
	l := rate.NewLimiter(rate.Every(every), burst)
	p.sources[source] = l
	return l
}

// makeRoom keeps strangers from filling the memory: who has rested goes, and if that
// is not enough, anybody does.
func (p *pace) makeRoom(now time.Time) {
	if len(p.sources) < maxSources {
		return
	}
	for source, l := range p.sources {
		if l.TokensAt(now) >= burst {
			delete(p.sources, source)
		}
	}
	for source := range p.sources {
		if len(p.sources) < maxSources {
			return
		}
		delete(p.sources, source)
	}
}
