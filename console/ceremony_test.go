package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/internal/clock"
)

// sourceCounters notes which counters were asked.
type sourceCounters struct {
	authn.Attempts
	authn.Ceremonies
	keys []string
}

func (c *sourceCounters) Attempt(_ context.Context, _ time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	all := make([]authn.Tally, len(tries))
	for i, try := range tries {
		c.keys = append(c.keys, string(try.Key))
		all[i].Allowed = true
	}
	return all, nil
}

func (c *sourceCounters) PutCeremony(context.Context, authn.Ceremony) error { return nil }

// TestDoorSources: one subscriber of IPv6 has a /64, and is counted as one (SECURITY PW2, DS3).
func TestDoorSources(t *testing.T) {
	asked := func(address string) string {
		c := &sourceCounters{}
		s := &Service{Parts: Parts{
			Attempts: c, Ceremonies: c, Clock: clock.At(time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)), Throttle: func(key []byte) ([]byte, error) { return key, nil },
			Source: func(*http.Request) netip.Addr { return netip.MustParseAddr(address) },
		}}
		r := httptest.NewRequest("POST", "/console/sign-in/options", nil)
		if _, err := s.guess(r); err != nil {
			t.Fatal(err)
		}
		if err := s.keep(r, "sign-in", nil, passkey.Ceremony{}); err != nil {
			t.Fatal(err)
		}
		return c.keys[0] + " " + c.keys[2]
	}
	for _, tc := range []struct {
		one, two string
		same     bool
	}{
		{"2001:db8::1", "2001:db8::ffff:1", true}, {"2001:db8::1", "2001:db8:0:1::1", false},
		{"192.0.2.1", "192.0.2.1", true}, {"192.0.2.1", "192.0.2.2", false}, {"::ffff:192.0.2.1", "192.0.2.1", true},
	} {
		if (asked(tc.one) == asked(tc.two)) != tc.same {
			t.Errorf("%s and %s: one source %v", tc.one, tc.two, !tc.same)
		}
	}
}
