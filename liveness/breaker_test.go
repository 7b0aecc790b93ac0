package liveness

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	const (
		ok     = "worked"
		fail   = "failed"
		gone   = "caller went away"
		admits = "admits"
		refuse = "refuses"
	)
	type step struct {
		wait time.Duration
		do   string
	}
	fails := func(n int) []step {
		var s []step
		for range n {
			s = append(s, step{do: admits}, step{do: fail})
		}
		return s
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"new", []step{{do: admits}}},
		{"four-failures", append(fails(4), step{do: admits})},
		{"five-failures", append(fails(5), step{do: refuse}, step{breakFor - 1, refuse})},
		// A success in between starts the count again.
		{"not-in-a-row", append(append(fails(4), step{do: ok}), append(fails(4), step{do: admits})...)},
		{"half-open-admits-one", append(fails(5), step{breakFor, admits}, step{do: refuse})},
		{"probe-works", append(fails(5), step{breakFor, admits}, step{do: ok}, step{do: admits}, step{do: admits})},
		{"probe-fails", append(fails(5), step{breakFor, admits}, step{do: fail}, step{do: refuse}, step{breakFor, admits})},
		// The citizen who happened to be the probe closed their browser.
		{"probe-goes-away", append(fails(5), step{breakFor, admits}, step{do: gone}, step{do: admits})},
		{"probe-never-heard-of", append(fails(5), step{breakFor, admits}, step{probeLease - 1, refuse}, step{1, admits})},
		{"going-away-is-no-failure", append(fails(4), step{do: gone}, step{do: gone}, step{do: admits})},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b breaker
			now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
			for i, s := range c.steps {
				now = now.Add(s.wait)
				switch s.do {
				case ok:
					b = b.heard(callWorked, now)
				case fail:
					b = b.heard(callFailed, now)
				case gone:
					b = b.heard(callNeutral, now)
				default:
					open := b.open(now)
					next, admitted := b.admit(now)
					if admitted == open {
						t.Errorf("step %d: open and admit do not agree", i)
					}
					if admitted != (s.do == admits) {
						t.Fatalf("step %d: breaker admits: %v, want it %s", i, admitted, s.do)
					}
					b = next
				}
			}
		})
	}
}
