package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"ecardid/identity"
)

func TestConsent(t *testing.T) {
	h := newHouse(t)
	h.rp()
	open := func(citizen int, changes ...string) (*browser, string) {
		b := h.browser()
		b.signIn(citizen, password(), totp())
		return b, b.get("/authorize?" + ask(changes...).Encode()).Header().Get("Location")
	}
	t.Run("shown", func(t *testing.T) {
		b, at := open(0, "scope", "openid profile card.basic")
		b.get(at)
		v := h.pages.consent
		if v == nil || len(v.Scopes) != 3 || !v.Scopes[1].New || v.Scopes[1].Title["zh-CN"] == "" || len(v.Scopes[1].Claims) != 2 || v.Asker.Host != "rp.example" {
			t.Errorf("shown: %+v", v)
		}
	})
	t.Run("denied", func(t *testing.T) {
		b, at := open(0)
		got := answer(t, b.consent(at, "consent-deny"))
		if got.Get("error") != "access_denied" || got.Get("state") == "" {
			t.Errorf("answered %v", got)
		}
		if w := b.get(at); w.Code != http.StatusBadRequest {
			t.Errorf("answered again: %d", w.Code)
		}
	})
	t.Run("refused", func(t *testing.T) {
		b, at := open(0)
		b.get(at)
		v := *h.pages.consent
		for name, form := range map[string]url.Values{
			"no-token":     {"consent-allow": {"1"}},
			"wrong-token":  {"token": {strings.Repeat("A", 43)}, "consent-allow": {"1"}},
			"no-answer":    {"token": {v.Token}},
			"both-answers": {"token": {v.Token}, "consent-allow": {"1"}, "consent-deny": {"1"}},
		} {
			if w := b.post(v.Path, form); w.Code != http.StatusForbidden {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		// The form of one request does not answer another (CN1).
		other := b.get("/authorize?" + ask("scope", "openid profile").Encode()).Header().Get("Location")
		if w := b.post(other, url.Values{"token": {v.Token}, "consent-allow": {"1"}}); w.Code != http.StatusForbidden {
			t.Errorf("another request's form: %d", w.Code)
		}
		// Nor does somebody else's login (OI4).
		b.signIn(1, password(), totp())
		if w := b.post(v.Path, url.Values{"token": {v.Token}, "consent-allow": {"1"}}); w.Code != http.StatusForbidden {
			t.Errorf("another login: %d", w.Code)
		}
		delete(b.cookies, loginCookie)
		if w := b.post(v.Path, url.Values{"token": {v.Token}, "consent-allow": {"1"}}); !strings.HasPrefix(w.Header().Get("Location"), "/authorize?") {
			t.Errorf("signed out: %d to %q", w.Code, w.Header().Get("Location"))
		}
	})
	t.Run("once", func(t *testing.T) {
		b, at := open(1)
		b.get(at)
		v := *h.pages.consent
		form := url.Values{"token": {v.Token}, "consent-allow": {"1"}}
		if got := answer(t, b.post(v.Path, form)); got.Get("code") == "" {
			t.Errorf("answered %v", got)
		}
		if w := b.post(v.Path, form); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
			t.Errorf("answered again: %d", w.Code)
		}
	})
	t.Run("prompt", func(t *testing.T) {
		_, at := open(1, "prompt", "consent")
		if !strings.HasPrefix(at, "/consent?") {
			t.Errorf("sent to %q", at)
		}
	})
}

// Of answers given side by side one counts (G1).
func TestOneAnswerCounts(t *testing.T) {
	h := newHouse(t)
	h.rp()
	for _, button := range []string{"consent-allow", "consent-deny"} {
		b := h.browser()
		b.signIn(0, password(), totp())
		b.get(b.get("/authorize?" + ask("prompt", "consent").Encode()).Header().Get("Location"))
		form := url.Values{"token": {h.pages.consent.Token}, button: {"1"}}
		path := h.pages.consent.Path
		answers := make(chan string, 16)
		var all sync.WaitGroup
		for range cap(answers) {
			all.Go(func() {
				r := mustRequest(http.MethodPost, path, form.Encode())
				for name, value := range b.cookies {
					r.AddCookie(&http.Cookie{Name: name, Value: value})
				}
				w := httptest.NewRecorder()
				h.mux.ServeHTTP(w, r)
				if w.Code != http.StatusSeeOther && w.Code != http.StatusBadRequest {
					t.Errorf("%s: %d", button, w.Code)
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
			t.Errorf("%s: %d answers counted", button, won)
		}
	}
}

// First-party applications are not asked about; a public one that cannot be told
// from others always is (CN1).
func TestWhoIsAsked(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"ours","client_name":"Ours","first_party":true,"redirect_uris":["https://ours.example/cb"],"scope":"openid"}`)
	h.client(`{"client_id":"native","client_name":"Native","first_party":true,"application_type":"native","token_endpoint_auth_method":"none","redirect_uris":["http://127.0.0.1/cb"],"scope":"openid"}`)
	b := h.browser()
	b.signIn(0, password())
	w := b.get("/authorize?" + ask("client_id", "ours", "redirect_uri", "https://ours.example/cb", "scope", "openid").Encode())
	if !strings.HasPrefix(w.Header().Get("Location"), "https://ours.example/cb?code=ecc_") {
		t.Errorf("first party: %q", w.Header().Get("Location"))
	}
	for range 2 {
		w = b.get("/authorize?" + ask("client_id", "native", "redirect_uri", "http://127.0.0.1:51004/cb", "scope", "openid").Encode())
		location := w.Header().Get("Location")
		if !strings.HasPrefix(location, "/consent?") {
			t.Fatalf("native: %q", location)
		}
		w = b.consent(location, "consent-allow")
		if !strings.HasPrefix(w.Header().Get("Location"), "http://127.0.0.1:51004/cb?code=") {
			t.Errorf("native: %q", w.Header().Get("Location"))
		}
	}
}

// Liveness counts for the request it was given for, and for no other.
func TestLiveness(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.get("/authorize?" + ask("scope", "pension.claim pension.read").Encode())
	raise := h.logins.last(t)
	if raise.need.Level != identity.LevelLive || raise.need.Txn == "" {
		t.Fatalf("need is %+v", raise.need)
	}
	key := identity.Proof{Factor: identity.FactorPhone, Device: h.phone(), Verified: true}
	b.signIn(0, password(), key, identity.Proof{Factor: identity.FactorFace, Txn: "another"})
	b.get(raise.back)
	if len(h.logins.raised) != 2 {
		t.Fatal("a verdict for another request was taken")
	}
	b.signIn(0, password(), key, identity.Proof{Factor: identity.FactorFace, Txn: raise.need.Txn})
	w := b.get(raise.back)
	got := answer(t, b.consent(w.Header().Get("Location"), "consent-allow"))
	status, out := h.call("/token", rp, redeem(got.Get("code")))
	access, _ := out["access_token"].(string)
	if status != http.StatusOK || !strings.HasPrefix(access, "eca_") || out["scope"] != "pension.claim pension.read" {
		t.Fatalf("%d %v", status, out)
	}
	h.client(`{"client_id":"pension-api","client_name":"Pension API","grant_types":["client_credentials"],"resources":["urn:ecardid:resource:pension"]}`)
	_, seen := h.call("/introspect", "pension-api", url.Values{"token": {access}})
	golden(t, "introspection_opaque", seen, "sub")
	// What is good once, a refresh does not carry on.
	status, out = h.call("/token", rp, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out["refresh_token"].(string)}})
	if status != http.StatusOK || out["scope"] != "pension.read" {
		t.Errorf("%d %v", status, out)
	}
	if _, seen := h.call("/introspect", "pension-api", url.Values{"token": {out["access_token"].(string)}}); seen["scope"] != "pension.read" {
		t.Errorf("refreshed: %v", seen)
	}
	// The next request needs its own verdict.
	b.get("/authorize?" + ask("scope", "pension.claim").Encode())
	if again := h.logins.last(t); again.need.Txn == raise.need.Txn || len(h.logins.raised) != 3 {
		t.Error("one verdict served two requests")
	}
}
