package oauth

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"ecardid/internal/clock"
)

type shelf struct {
	err   error
	calls int
	sums  map[usageKey]Usage
}

func (s *shelf) AddUsage(_ context.Context, all []Usage) error {
	s.calls++
	if s.err != nil {
		return s.err
	}
	if s.sums == nil {
		s.sums = map[usageKey]Usage{}
	}
	for _, u := range all {
		key := usageKey{u.ClientID, u.Day}
		sum := s.sums[key]
		sum.Codes, sum.Refreshes, sum.Refusals, sum.Overasked = sum.Codes+u.Codes, sum.Refreshes+u.Refreshes, sum.Refusals+u.Refusals, sum.Overasked+u.Overasked
		s.sums[key] = sum
	}
	return nil
}

func (*shelf) UsageSince(context.Context, string, int) ([]Usage, error) { return nil, nil }

func TestMeter(t *testing.T) {
	// A quarter of an hour before the day ends in Beijing.
	clk := clock.At(time.Date(2026, 11, 22, 15, 45, 0, 0, time.UTC))
	kept := &shelf{}
	m := &Meter{Store: kept, Clock: clk, Log: slog.New(slog.DiscardHandler)}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				m.Count("clinic", CodeIssued)
				m.Count("clinic", Refreshed)
				m.Count("", WasRefused) // of nobody
			}
		})
	}
	wg.Wait()
	clk.Advance(time.Hour)
	m.Count("clinic", WasOverasking)
	m.Count("bank", WasRefused)
	kept.err = errors.New("away")
	if err := m.Flush(t.Context()); err == nil {
		t.Error("a flush that failed says so")
	}
	m.Count("clinic", WasOverasking)
	kept.err = nil
	for range 2 { // the second has nothing to say
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	today := DayNumber(clk.Now())
	want := map[usageKey]Usage{
		{"clinic", today - 1}: {Codes: 400, Refreshes: 400},
		{"clinic", today}:     {Overasked: 2},
		{"bank", today}:       {Refusals: 1},
	}
	if len(kept.sums) != len(want) || kept.calls != 2 {
		t.Errorf("%d rows in %d calls: %v", len(kept.sums), kept.calls, kept.sums)
	}
	for key, sum := range want {
		if kept.sums[key] != sum {
			t.Errorf("%v: %+v, want %+v", key, kept.sums[key], sum)
		}
	}
	(*Meter)(nil).Count("clinic", CodeIssued)
}

// However many clients there are said to be, memory is bounded.
func TestMeterIsBounded(t *testing.T) {
	m := &Meter{Clock: clock.At(time.Unix(0, 0))}
	for i := range usageClients + 100 {
		m.Count(time.Duration(i).String(), CodeIssued)
	}
	if len(m.open) != usageClients {
		t.Errorf("%d", len(m.open))
	}
}
