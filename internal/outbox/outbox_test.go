package outbox

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	wrong := errors.New("no")
	var told []error
	rounds := 0
	Run(ctx, time.Hour, func(context.Context) (bool, error) {
		switch rounds++; rounds {
		case 1:
			return true, nil // and at once again, not in an hour
		case 2:
			return true, wrong
		}
		cancel()
		return true, context.Canceled
	}, func(err error) { told = append(told, err) })
	if rounds != 3 || !slices.Equal(told, []error{wrong}) {
		t.Errorf("%d rounds, told %v", rounds, told)
	}
}

func TestRunWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began, rounds := time.Now(), 0
	Run(ctx, 20*time.Millisecond, func(context.Context) (bool, error) {
		if rounds++; rounds == 3 {
			cancel()
		}
		return false, nil
	}, func(err error) { t.Error(err) })
	if rounds != 3 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("%d rounds in %v", rounds, time.Since(began))
	}
}

func TestWait(t *testing.T) {
	for tries, want := range map[int]time.Duration{0: 5 * time.Second, 1: 20 * time.Second, 2: 80 * time.Second, 4: 1280 * time.Second, 5: time.Hour, 1 << 40: time.Hour} {
		if got := Wait(tries, 4, 5*time.Second, time.Hour); got != want {
			t.Errorf("after %d: %v, want %v", tries, got, want)
		}
	}
}
