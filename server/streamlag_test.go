package server

import (
	"context"
	"testing"
	"time"

	"ecardid/oauth"
)

type lags []oauth.StreamLag

func (l lags) SignalLag(context.Context) ([]oauth.StreamLag, error) { return l, nil }

// Whoever watches over streams sees that events were lost, whatever else is wrong or not.
func TestLostEventsShow(t *testing.T) {
	lost := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	want := []string{"", "status 503", "overflow 2026-05-04T08:00:00Z", "status 503; overflow 2026-05-04T08:00:00Z"}
	all, err := signalStreams{lags{{}, {Error: "status 503"}, {Lost: lost}, {Error: "status 503", Lost: lost}}}.Streams(t.Context())
	if err != nil || len(all) != len(want) {
		t.Fatalf("%v, %v", all, err)
	}
	for i, s := range all {
		if s.Error != want[i] {
			t.Errorf("%q, want %q", s.Error, want[i])
		}
	}
}
