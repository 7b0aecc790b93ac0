package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// shelf is an Outbox in memory.
type shelf struct {
	mu     sync.Mutex
	due    []Notice
	sent   []identity.ID
	unsent map[identity.ID]time.Time
}

func (o *shelf) TakeNotices(_ context.Context, _ time.Time, _ time.Duration, n int) ([]Notice, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n = min(n, len(o.due))
	taken := o.due[:n]
	o.due = o.due[n:]
	return taken, nil
}

func (o *shelf) NoticeSent(_ context.Context, id identity.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, id)
	return nil
}

func (o *shelf) NoticeUnsent(_ context.Context, id identity.ID, next time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsent == nil {
		o.unsent = map[identity.ID]time.Time{}
	}
	o.unsent[id] = next
	return nil
}

func TestCourier(t *testing.T) {
	key, err := jose.Generate(jose.ES256, "house")
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://sms.example/notices"
	for name, c := range map[string]struct {
		status int
		err    error
		phone  string
		tries  int
		posts  int
		again  time.Duration // zero: not
	}{
		"taken":       {status: 202, phone: "+8613800138000", posts: 1},
		"taken, 200":  {status: 200, phone: "+8613800138000", posts: 1},
		"refused":     {status: 500, phone: "+8613800138000", posts: 1, again: 10 * time.Second},
		"sent on":     {status: 302, phone: "+8613800138000", posts: 1, again: 10 * time.Second},
		"unreachable": {err: errors.New("no"), phone: "+8613800138000", tries: 2, posts: 1, again: 160 * time.Second},
		"for nobody":  {status: 200},
	} {
		n := Notice{ID: identity.NewID(), Kind: "device.bind", At: noon.Add(-time.Hour), Place: "192.0.2.0/24", Locale: "en", Phone: c.phone, Tries: c.tries}
		box := &shelf{due: []Notice{n}}
		posts := 0
		courier := &Courier{
			Outbox: box, Issuer: "https://id.example", URL: url, Alg: jose.ES256, Clock: clock.At(noon), Log: slog.New(slog.DiscardHandler),
			Signer: func(jose.Alg) (jose.Key, error) { return key, nil },
			Say:    func(locale, kind string) string { return locale + " " + kind },
			Post: func(_ context.Context, to, media string, body []byte) (int, error) {
				posts++
				parsed, err := jose.Parse(string(body))
				if err != nil {
					t.Fatal(err)
				}
				verified, err := parsed.Verify(set, jose.ES256)
				if err != nil {
					t.Fatal(err)
				}
				var l Letter
				if err := verified.Claims(&l); err != nil {
					t.Fatal(err)
				}
				if to != url || media != "application/jwt" || !parsed.Header.Is("notice+jwt") || l.Issuer != "https://id.example" || !l.Audience.Contains(url) ||
					l.ID != n.ID.String() || l.Subject != "" || l.Kind != n.Kind || l.At != n.At.Unix() || l.Place != n.Place || l.Locale != "en" || l.Text != "en device.bind" ||
					l.To != c.phone || l.Check(noon, jose.Window{}) != nil || l.Check(noon.Add(time.Hour), jose.Window{}) == nil {
					t.Errorf("%s: %s to %s: %+v", name, media, to, l)
				}
				return c.status, c.err
			},
		}
		if n, err := courier.Round(t.Context()); err != nil || n != 1 {
			t.Fatalf("%s: %d, %v", name, n, err)
		}
		next, again := box.unsent[n.ID]
		if posts != c.posts || again != (c.again > 0) || again && !next.Equal(noon.Add(c.again)) || slices.Contains(box.sent, n.ID) == again {
			t.Errorf("%s: %d posts, sent %v, again %v", name, posts, box.sent, box.unsent)
		}
	}
}

// Without a key nothing leaves unsigned.
func TestNoKey(t *testing.T) {
	box := &shelf{due: []Notice{{ID: identity.NewID(), Phone: "+8613800138000"}}}
	var log strings.Builder
	c := &Courier{
		Outbox: box, Clock: clock.At(noon), Log: slog.New(slog.NewTextHandler(&log, nil)), Say: func(string, string) string { return "" },
		Signer: func(jose.Alg) (jose.Key, error) { return jose.Key{}, errors.New("none") },
		Post: func(context.Context, string, string, []byte) (int, error) {
			t.Error("posted")
			return 200, nil
		},
	}
	if _, err := c.Round(t.Context()); err != nil || len(box.unsent) != 1 || len(box.sent) != 0 {
		t.Errorf("%v %+v", err, box)
	}
	if strings.Contains(log.String(), "138") {
		t.Errorf("whom it is for stands in the log: %s", &log)
	}
}

func TestWait(t *testing.T) {
	for tries, want := range []time.Duration{10 * time.Second, 40 * time.Second, 160 * time.Second, 640 * time.Second, 2560 * time.Second, time.Hour} {
		if got := wait(tries); got != want {
			t.Errorf("after %d: %v", tries, got)
		}
	}
}
