package signals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"ecardid/internal/outbound"
	"ecardid/oauth"
)

// callers are URLs that would be called.
type callers map[string]bool

func (c callers) Calls(_ context.Context, url string) bool { return c[url] }

// Events go where the client was admitted, or an operator says so, and nowhere else
// (SECURITY SR1).
func TestHosts(t *testing.T) {
	own := &oauth.Client{RedirectURIs: []string{"https://rp.example/cb"}, BackChannelLogoutURI: "https://logout.rp.example:8443/x"}
	alone := *own
	alone.Dynamic = true
	// What is called at all: the hosts of every admitted client, and the operator's.
	called := callers{}
	for _, u := range []string{"https://rp.example/e", "https://RP.example:443/e", "https://logout.rp.example:8443/e", "https://other.example/e", "https://listed.example/e"} {
		called[u] = true
	}
	listed := callers{"https://listed.example/e": true}
	for _, c := range []struct {
		url       string
		own, self bool
	}{
		{"https://rp.example/e", true, false},
		{"https://RP.example:443/e", true, false},
		{"https://logout.rp.example:8443/e", true, false},
		{"https://listed.example/e", true, true},
		// Another client's host may be called, but not for this one.
		{"https://other.example/e", false, false},
		{"https://rp.example:8443/e", false, false},
		{"https://rp.example.evil.example/e", false, false},
		{"http://rp.example/e", false, false},
		{"", false, false},
		{"https://", false, false},
	} {
		h := Hosts{Listed: listed, Callers: called}
		if got := h.May(t.Context(), own, c.url); got != c.own {
			t.Errorf("%q: %v", c.url, got)
		}
		if got := h.May(t.Context(), &alone, c.url); got != c.self {
			t.Errorf("%q of a client that registered itself: %v", c.url, got)
		}
		if (Hosts{}).May(t.Context(), own, c.url) {
			t.Errorf("%q where nobody is called", c.url)
		}
	}
}

func TestWait(t *testing.T) {
	for failures, want := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second, longestWait, longestWait} {
		if got := wait(failures); got != want {
			t.Errorf("after %d: %v, want %v", failures, got, want)
		}
	}
	if wait(1<<40) != longestWait {
		t.Error("not after many")
	}
}

// A problem is a word of ours, whatever went wrong.
func TestProblem(t *testing.T) {
	for want, err := range map[string]error{
		"": nil, "status 503": &answered{503}, "refused, status 400": &refusal{400}, "client not live": errGone,
		"address not allowed": fmt.Errorf("%w: https://secret.example", outbound.ErrURL), "busy": outbound.ErrBusy,
		"no answer": context.DeadlineExceeded, "unreachable": errors.New("dial tcp 10.0.0.1: secret"),
	} {
		if got := problem(err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
}

// FuzzWish: what is taken is within its limits, and what is not taken is nothing.
func FuzzWish(f *testing.F) {
	for _, s := range []string{
		`{}`, `;{ broken`, `{"stream_id":"x","events_requested":["a"],"description":"d","delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://a.example","authorization_header":"b"}}`,
		`{"delivery":{"method":"m","Method":"n"}}`, `{"description":"","aud":["a"],"iss":1}`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, change bool) {
		w, err := readWish(raw, change)
		if err != nil {
			if w.Requested != nil || w.Delivery != nil || w.Description != nil || !w.Stream.IsZero() {
				t.Fatalf("refused, and %+v", w)
			}
			return
		}
		if !json.Valid(raw) || w.Requested != nil && len(*w.Requested) > maxEvents || w.Description != nil && len(*w.Description) > maxText {
			t.Fatalf("%+v", w)
		}
		if d := w.Delivery; d != nil {
			if d.Method == "" || len(d.Endpoint) > maxURL || len(d.Authorization) > maxHeader {
				t.Fatalf("%+v", d)
			}
			for _, c := range d.Authorization {
				if c < ' ' || c > '~' {
					t.Fatalf("%q in a header", c)
				}
			}
		}
		w.says(view{})
	})
}

// FuzzPolling: nobody gets more than there is in one answer, and acknowledges more than
// one can say.
func FuzzPolling(f *testing.F) {
	for _, s := range []string{`{}`, `{"maxEvents":3,"ack":["AAAAAAAAAAAAAAAAAAAAAA"],"returnImmediately":true}`, `{"setErrs":{"a":{"err":"x"},"a":1}}`, `{"maxEvents":1e9}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := readPolling(raw)
		if err != nil && (len(p.acks) > 0 || p.most != 0) || p.most < 0 || p.most > maxEvents || len(p.acks) > 2*maxAcks {
			t.Fatalf("%+v, %v", p, err)
		}
	})
}
