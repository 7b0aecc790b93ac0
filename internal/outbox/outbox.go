package outbox

import (
	"context"
	"time"
)

// Run has rounds carried until ctx ends: the next at once when there may be more, and
// otherwise with the tick of every. An error of a round is for failed to tell, unless ctx
// ended, and the next round is carried as if there had been none.
func Run(ctx context.Context, every time.Duration, round func(ctx context.Context) (more bool, err error), failed func(err error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		more, err := round(ctx)
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Wait is how long to wait after so many tries that came to nothing: first, then times as
// long after each, and at most longest.
func Wait(tries, times int, first, longest time.Duration) time.Duration {
	d := first
	for range tries {
		if d *= time.Duration(times); d >= longest {
			return longest
		}
	}
	return d
}
