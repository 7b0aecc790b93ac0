package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

func (h *house) refresh(client, token string, more ...string) (int, map[string]any) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	id := client
	if h.secretOf[client] == "" {
		form.Set("client_id", client)
		id = ""
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return h.call("/token", id, form)
}

func TestRefresh(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"other","client_name":"Other","grant_types":["authorization_code","refresh_token"],"redirect_uris":["https://other.example/cb"],"scope":"openid"}`)
	first := h.tokens("openid card.basic insurance.read")
	token := first["refresh_token"].(string)
	h.clock.Advance(10 * time.Minute)
	status, out := h.refresh(rp, token)
	if status != http.StatusOK || out["scope"] != "openid card.basic insurance.read" {
		t.Fatalf("%d %v", status, out)
	}
	if out["refresh_token"] != nil {
		t.Error("a confidential client's token was rotated")
	}
	var before, after map[string]any
	h.claims(first["id_token"].(string), &before)
	h.claims(out["id_token"].(string), &after)
	if after["nonce"] != nil || after["auth_time"] != before["auth_time"] || after["sub"] != before["sub"] || after["acr"] != before["acr"] {
		t.Errorf("ID token was %v, is %v", before, after)
	}
	// Narrower is honoured, for this token only (RFC 6749 §6).
	var at map[string]any
	status, out = h.refresh(rp, token, "scope", "card.basic")
	if status != http.StatusOK || out["scope"] != "card.basic" || out["id_token"] != nil {
		t.Fatalf("%d %v", status, out)
	}
	if h.claims(out["access_token"].(string), &at); at["aud"] != "urn:ecardid:resource:card" {
		t.Errorf("aud is %v", at["aud"])
	}
	if status, out = h.refresh(rp, token); out["scope"] != "openid card.basic insurance.read" {
		t.Errorf("%d %v", status, out)
	}
	for name, c := range map[string]struct {
		client, token string
		more          []string
		want          string
	}{
		"wider":          {rp, token, []string{"scope", "openid profile"}, "invalid_scope"},
		"malformed":      {rp, token, []string{"scope", "a  b"}, "invalid_scope"},
		"another-client": {"other", token, nil, "invalid_grant"},
		"access-token":   {rp, first["access_token"].(string), nil, "invalid_grant"},
		"junk":           {rp, "junk", nil, "invalid_grant"},
		"missing":        {rp, "", nil, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, out := h.refresh(c.client, c.token, c.more...); status != 400 || out["error"] != c.want {
				t.Errorf("%d %v, want %s", status, out, c.want)
			}
		})
	}
	// Without offline_access it ends with the login.
	h.clock.Advance(12 * time.Hour)
	if status, out := h.refresh(rp, token); out["error"] != "invalid_grant" {
		t.Errorf("after the login: %d %v", status, out)
	}
}

func TestRefreshOffline(t *testing.T) {
	h := newHouse(t)
	h.rp()
	token := h.tokens("openid offline_access")["refresh_token"].(string)
	for range 4 {
		h.clock.Advance(29 * 24 * time.Hour)
		status, out := h.refresh(rp, token)
		if over := h.clock.Now().Sub(noon) >= 90*24*time.Hour; over != (status == 400) {
			t.Errorf("after %v: %d %v", h.clock.Now().Sub(noon), status, out)
		}
	}
	idle := h.tokens("openid offline_access")["refresh_token"].(string)
	h.clock.Advance(30 * 24 * time.Hour)
	if status, _ := h.refresh(rp, idle); status != 400 {
		t.Errorf("idle: %d", status)
	}
}

// app is a public client whose citizen is not asked.
func (h *house) app() {
	h.client(`{"client_id":"app","client_name":"App","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],
		"redirect_uris":["https://app.example/cb"],"scope":"openid card.basic","first_party":true}`)
}

// appTokens signs in to it.
func (h *house) appTokens() (access, refresh string) {
	h.t.Helper()
	b := h.browser()
	b.signIn(0, password(), totp())
	w := b.get("/authorize?" + ask("client_id", "app", "redirect_uri", "https://app.example/cb").Encode())
	to, _ := url.Parse(w.Header().Get("Location"))
	status, out := h.call("/token", "", redeem(to.Query().Get("code"), "redirect_uri", "https://app.example/cb", "client_id", "app"))
	if status != http.StatusOK {
		h.t.Fatalf("%d %v", status, out)
	}
	return out["access_token"].(string), out["refresh_token"].(string)
}

// A public client's token rotates, and the reuse of any of its tokens ends the
// family, however soon it comes (TK1).
func TestRotation(t *testing.T) {
	h := newHouse(t)
	h.app()
	for generation := range 4 {
		_, token := h.appTokens()
		all := []string{token}
		var access string
		for range 4 {
			// More than was granted is refused before anything is rotated.
			if status, out := h.refresh("app", token, "scope", "openid profile"); status != 400 {
				t.Errorf("wider: %d %v", status, out)
			}
			status, out := h.refresh("app", token)
			next, _ := out["refresh_token"].(string)
			if status != http.StatusOK || next == "" || next == token {
				t.Fatalf("not rotated: %d %v", status, out)
			}
			access, token = out["access_token"].(string), next
			all = append(all, next)
		}
		if status, _ := h.refresh("app", all[generation]); status != 400 {
			t.Errorf("reuse of %d: %d", generation, status)
		}
		if status, _ := h.refresh("app", token); status != 400 {
			t.Errorf("the family lives on: %d", status)
		}
		if w := h.userinfo(access); w.Code != http.StatusUnauthorized {
			t.Errorf("its access token lives on: %d", w.Code)
		}
	}
}

// Of many that refresh at once with one token one gets something, and then nobody.
func TestOneRefreshWins(t *testing.T) {
	h := newHouse(t)
	h.app()
	_, token := h.appTokens()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"app"}}
	answers := make(chan *httptest.ResponseRecorder, 20)
	var all sync.WaitGroup
	for range cap(answers) {
		all.Go(func() { answers <- h.raw("/token", "", form) })
	}
	all.Wait()
	close(answers)
	var won []map[string]any
	for w := range answers {
		switch {
		case w.Code == http.StatusOK:
			won = append(won, jsonOf(t, w))
		case w.Code != http.StatusBadRequest:
			t.Errorf("a loser got %d", w.Code)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d won", len(won))
	}
	if status, _ := h.refresh("app", won[0]["refresh_token"].(string)); status != 400 {
		t.Errorf("the family lives on: %d", status)
	}
}

// Any token of a family ends it (TK3).
func TestAnOldRefreshTokenRevokes(t *testing.T) {
	h := newHouse(t)
	h.app()
	_, first := h.appTokens()
	token, access := first, ""
	for range 3 {
		_, out := h.refresh("app", token)
		token, access = out["refresh_token"].(string), out["access_token"].(string)
	}
	h.rp()
	if status, _ := h.call("/revoke", rp, url.Values{"token": {first}}); status != http.StatusOK || h.userinfo(access).Code != http.StatusOK {
		t.Errorf("another client ended it: %d", status)
	}
	if status, _ := h.call("/revoke", "", url.Values{"token": {first}, "client_id": {"app"}}); status != http.StatusOK {
		t.Errorf("%d", status)
	}
	if w := h.userinfo(access); w.Code != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", w.Code)
	}
	if status, _ := h.refresh("app", token); status != 400 {
		t.Errorf("refresh: %d", status)
	}
}

// Later events beat earlier grants (G6, DV2).
func TestWhatEndsTokens(t *testing.T) {
	end := func(name string, act func(h *house) error) {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.rp()
			b := h.browser()
			b.signIn(0, password(), totp())
			_, out := h.call("/token", rp, redeem(b.code(ask("scope", "openid offline_access card.basic"))))
			pending := b.code(ask())
			if err := act(h); err != nil {
				t.Fatal(err)
			}
			if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusUnauthorized {
				t.Errorf("userinfo: %d", w.Code)
			}
			if status, _ := h.refresh(rp, out["refresh_token"].(string)); status != 400 && status != 401 {
				t.Errorf("refresh: %d", status)
			}
			if status, _ := h.call("/token", rp, redeem(pending)); status != 400 && status != 401 {
				t.Errorf("pending code: %d", status)
			}
		})
	}
	event := func(h *house, k audit.Kind) audit.Event {
		return audit.Event{Kind: k, At: h.clock.Now(), Actor: audit.BySystem, Citizen: h.citizens[0], Client: rp}
	}
	end("card-frozen", func(h *house) error {
		return h.store.SetCardState(t.Context(), h.citizens[0], identity.CardFrozen, event(h, audit.CitizenFrozen))
	})
	end("consent-withdrawn", func(h *house) error {
		return h.store.WithdrawConsent(t.Context(), h.citizens[0], rp, h.clock.Now(), event(h, audit.ConsentWithdrawn))
	})
	end("client-suspended", func(h *house) error {
		if err := h.store.SuspendClient(t.Context(), rp, h.clock.Now(), event(h, audit.ClientSuspended)); err != nil {
			return err
		}
		return h.registry.Reload(t.Context())
	})
	end("signed-out", func(h *house) error {
		logins, err := h.store.ListLogins(t.Context(), h.citizens[0], h.clock.Now())
		if err != nil {
			return err
		}
		return h.store.EndLogin(t.Context(), h.citizens[0], logins[0].ID, event(h, audit.LoginEnded))
	})
}
