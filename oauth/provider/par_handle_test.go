package provider_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/provider"
)

// A handle is first used within its minute, by one browser, for its client (CO3).
func TestPushedHandle(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"other","client_name":"Other","redirect_uris":["https://other.example/cb"],"scope":"openid"}`)
	expired := func(name string, w *httptest.ResponseRecorder) {
		t.Helper()
		if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || h.pages.fault == nil || h.pages.fault.Fault != oauth.FaultExpired {
			t.Errorf("%s: %d to %q, %+v", name, w.Code, w.Header().Get("Location"), h.pages.fault)
		}
	}
	b := h.browser()
	uri := h.push()
	expired("another client's", b.get(front("other", uri)))
	expired("nobody's", b.get("/authorize?request_uri="+url.QueryEscape(uri)))
	expired("altered", b.get(front(rp, uri[:len(uri)-4]+"AAAA")))
	expired("before it was opened", b.get(strings.Replace(front(rp, uri), "/authorize", "/consent", 1)))
	h.clock.Advance(59 * time.Second)
	// Those hurt nobody; the first browser that brings it has it, and may come again.
	for range 2 {
		if w := b.get(front(rp, uri)); w.Header().Get("Location") != "/login" {
			t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
		}
	}
	if back := h.logins.last(t).back; !strings.Contains(back, url.QueryEscape(uri)) {
		t.Errorf("the way back has another handle: %s", back)
	}
	expired("another browser", h.browser().get(front(rp, uri)))
	h.clock.Advance(14 * time.Minute)
	b.signIn(0, password(), totp())
	w := b.get(h.logins.last(t).back)
	if got := answer(t, b.consent(w.Header().Get("Location"), "consent-allow")); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}

	late := h.push()
	h.clock.Advance(time.Minute)
	expired("a minute later", b.get(front(rp, late)))
	slow := h.push()
	delete(b.cookies, loginCookie)
	b.get(front(rp, slow))
	h.clock.Advance(15 * time.Minute)
	expired("a quarter of an hour later", b.get(front(rp, slow)))
}

// Of many browsers that bring one handle, one goes on (G1).
func TestPushedHandleRace(t *testing.T) {
	h := newHouse(t)
	h.rp()
	for range 5 {
		uri := h.push()
		var all sync.WaitGroup
		answers := make(chan string, 20)
		for range cap(answers) {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, front(rp, uri), nil))
				if w.Code != http.StatusSeeOther && w.Code != http.StatusBadRequest {
					t.Errorf("status %d", w.Code)
				}
				answers <- w.Header().Get("Location")
			})
		}
		all.Wait()
		close(answers)
		won := 0
		for to := range answers {
			if to != "" {
				won++
			}
		}
		if won != 1 {
			t.Fatalf("%d browsers went on", won)
		}
	}
}

// counting counts what is asked of the store.
type counting struct {
	oauth.Store
	mu    sync.Mutex
	calls map[string]int
}

func (c *counting) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[name]++
}

func (c *counting) StoreRequest(ctx context.Context, r oauth.StoredRequest, once ...oauth.Once) error {
	c.count("store")
	return c.Store.StoreRequest(ctx, r, once...)
}

func (c *counting) ClaimRequest(ctx context.Context, handle []byte, clientID string, browser []byte, expires, now time.Time) error {
	c.count("claim")
	return c.Store.ClaimRequest(ctx, handle, clientID, browser, expires, now)
}

func (c *counting) Request(ctx context.Context, handle []byte, clientID string, now time.Time) (oauth.StoredRequest, error) {
	c.count("read")
	return c.Store.Request(ctx, handle, clientID, now)
}

func (c *counting) RequestFor(ctx context.Context, handle []byte, clientID string, login []byte, now time.Time) (oauth.StoredRequest, *identity.Login, error) {
	c.count("read")
	return c.Store.RequestFor(ctx, handle, clientID, login, now)
}

func (c *counting) DropRequest(ctx context.Context, handle []byte) error {
	c.count("drop")
	return c.Store.DropRequest(ctx, handle)
}

func (c *counting) IssueCode(ctx context.Context, n oauth.NewCode) error {
	c.count("issue")
	return c.Store.IssueCode(ctx, n)
}

func (c *counting) Spend(ctx context.Context, now time.Time, once ...oauth.Once) error {
	c.count("spend")
	return c.Store.Spend(ctx, now, once...)
}

func (c *counting) Remember(ctx context.Context, key []byte, expires, now time.Time) error {
	c.count("remember")
	return c.Store.Remember(ctx, key, expires, now)
}

// With an assertion and a proof, pushing is one statement; and when there is nothing
// to ask anybody, the answer is one read, the login's included, and one write (DESIGN §6).
func TestPushedTrips(t *testing.T) {
	store := &counting{calls: map[string]int{}}
	h := newHouse(t, func(c *provider.Config) {
		store.Store = c.Store
		c.Store = store
	})
	bank := h.bank("bank", "")
	want := func(name string, want map[string]int) {
		t.Helper()
		if !maps.Equal(store.calls, want) {
			t.Errorf("%s: %v, want %v", name, store.calls, want)
		}
		clear(store.calls)
	}
	push := func() string {
		t.Helper()
		status, out := bank.push(bank.asserted(ask("client_id", "bank")), h.holder().proof(http.MethodPost, issuer+"/par"))
		if status != http.StatusCreated {
			t.Fatalf("%d %v", status, out)
		}
		return out["request_uri"].(string)
	}
	b := h.browser()
	b.signIn(0, password(), totp())
	uri := push()
	want("push", map[string]int{"store": 1})
	at := b.get(front("bank", uri)).Header().Get("Location")
	want("to consent", map[string]int{"read": 1, "issue": 1, "claim": 1})
	answer(t, b.consent(at, "consent-allow"))
	clear(store.calls)
	uri = push()
	clear(store.calls)
	stranger := h.browser() // the mark of the first browser is not needed
	stranger.cookies[loginCookie] = b.cookies[loginCookie]
	if got := answer(t, stranger.get(front("bank", uri))); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}
	want("straight", map[string]int{"read": 1, "issue": 1})
	if len(stranger.cookies) != 1 {
		t.Errorf("cookies %v", stranger.cookies)
	}
}
