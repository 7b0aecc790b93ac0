package server

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
)

// shelf has clients, and remembers.
type shelf struct {
	clients []oauth.Client
	known   map[string]bool
	events  []audit.Event
}

func (s *shelf) AllClients(context.Context) ([]oauth.Client, int64, error) { return s.clients, 1, nil }

func (s *shelf) Remember(_ context.Context, key []byte, _, _ time.Time) error {
	if s.known[string(key)] {
		return identity.ErrSpent
	}
	s.known[string(key)] = true
	return nil
}

func (s *shelf) Record(_ context.Context, e audit.Event) error {
	s.events = append(s.events, e)
	return nil
}

// An admission that ends is told a month before, a week before and when it has: once each,
// however many replicas look, and anew when it was renewed.
func TestAdmissionWatch(t *testing.T) {
	clk := clock.At(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	until := func(day string) *oauth.Admission {
		d, err := oauth.ParseDay(day)
		if err != nil {
			t.Fatal(err)
		}
		return &oauth.Admission{Expires: d}
	}
	s := &shelf{known: map[string]bool{}, clients: []oauth.Client{
		{ID: "a", State: oauth.ClientLive, Admission: until("2026-12-15")},
		{ID: "gone", State: oauth.ClientSuspended, Admission: until("2026-11-02")},
		{ID: "open", State: oauth.ClientLive},
	}}
	replicas := []admissionWatch{{s, NewMetrics(), clk, slog.New(slog.DiscardHandler)}, {s, NewMetrics(), clk, slog.New(slog.DiscardHandler)}}
	var stages []string
	for range 90 {
		for _, r := range replicas {
			if err := r.look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		clk.Advance(24 * time.Hour)
	}
	for _, e := range s.events {
		if e.Client != "a" || e.Kind != audit.AdmissionEnding {
			t.Errorf("%+v", e)
		}
		stages = append(stages, e.Detail["decision"]+" "+e.At.Format(time.DateOnly))
	}
	if len(stages) != 3 || stages[0] != "month 2026-11-16" || stages[1] != "week 2026-12-09" || stages[2] != "lapsed 2026-12-16" {
		t.Error(stages)
	}
	s.clients[0].Admission = until("2027-02-10")
	if err := replicas[0].look(t.Context()); err != nil || len(s.events) != 4 {
		t.Errorf("renewed: %d, %v", len(s.events), err)
	}
}
