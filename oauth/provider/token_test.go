package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/internal/jose"
	"ecardid/storage"
)

// Nothing that is wrong about a redemption spends the code (CO2).
func TestRedeemRefuses(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"other","client_name":"Other","redirect_uris":["` + callback + `"],"scope":"openid"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask())
	for _, c := range []struct {
		name, client string
		form         url.Values
		status       int
		want         string
	}{
		{"no-verifier", rp, redeem(code, "code_verifier", "-"), 400, "invalid_grant"},
		{"empty-verifier", rp, redeem(code, "code_verifier", ""), 400, "invalid_grant"},
		{"wrong-verifier", rp, redeem(code, "code_verifier", strings.Repeat("x", 43)), 400, "invalid_grant"},
		{"verifier-of-42", rp, redeem(code, "code_verifier", verifier[:42]), 400, "invalid_grant"},
		{"verifier-of-129", rp, redeem(code, "code_verifier", strings.Repeat("x", 129)), 400, "invalid_grant"},
		{"challenge-for-verifier", rp, redeem(code, "code_verifier", challenge(verifier)), 400, "invalid_grant"},
		{"other-redirect", rp, redeem(code, "redirect_uri", "https://rp.example/cb"), 400, "invalid_grant"},
		{"no-redirect", rp, redeem(code, "redirect_uri", "-"), 400, "invalid_grant"},
		{"another-client", "other", redeem(code), 400, "invalid_grant"},
		{"altered", rp, redeem("ecc_" + strings.Repeat("A", 54)), 400, "invalid_grant"},
		{"no-code", rp, redeem("", "code", "-"), 400, "invalid_request"},
		{"no-grant-type", rp, redeem(code, "grant_type", "-"), 400, "invalid_request"},
		{"unknown-grant", rp, redeem(code, "grant_type", "password"), 400, "unsupported_grant_type"},
		{"two-grants", rp, redeem(code, "grant_type", "authorization_code refresh_token"), 400, "unsupported_grant_type"},
		{"not-admitted", rp, redeem(code, "grant_type", "client_credentials"), 400, "unauthorized_client"},
		{"as-refresh-token", rp, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {code}}, 400, "invalid_grant"},
		{"nobody", "", redeem(code), 401, "invalid_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, got := h.call("/token", c.client, c.form)
			if status != c.status || got["error"] != c.want {
				t.Errorf("%d %v, want %d %s", status, got, c.status, c.want)
			}
		})
	}
	status, out := h.call("/token", rp, redeem(code))
	if status != http.StatusOK {
		t.Fatalf("the owner after all that: %d %v", status, out)
	}
	// A stranger's replay hurts nobody; the owner's ends the grant.
	h.call("/token", "other", redeem(code))
	h.call("/token", rp, redeem(code, "code_verifier", strings.Repeat("x", 43)))
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusOK {
		t.Error("a stranger's replay ended the grant")
	}
	if status, got := h.call("/token", rp, redeem(code)); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("replayed: %d %v", status, got)
	}
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusUnauthorized {
		t.Errorf("the grant lives on: %d", w.Code)
	}
	late := b.code(ask())
	h.clock.Advance(time.Minute)
	if status, got := h.call("/token", rp, redeem(late)); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("late: %d %v", status, got)
	}
}

func TestOneRedeemerWins(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask())
	statuses := make(chan int, 16)
	var all sync.WaitGroup
	for range cap(statuses) {
		all.Go(func() { statuses <- h.raw("/token", rp, redeem(code)).Code })
	}
	all.Wait()
	close(statuses)
	won := 0
	for s := range statuses {
		switch {
		case s == http.StatusOK:
			won++
		case s != http.StatusBadRequest:
			t.Errorf("a loser got %d", s)
		}
	}
	if won != 1 {
		t.Errorf("%d redeemers won", won)
	}
}

func TestClientCredentials(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"clinic","client_name":"Clinic","grant_types":["client_credentials"],"scope":"card.status card.basic"}`)
	r := mustRequest(http.MethodPost, "/token", "grant_type=client_credentials&scope=card.status")
	r.SetBasicAuth("clinic", h.secretOf["clinic"])
	ctx, count := storage.WithQueryCount(r.Context())
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r.WithContext(ctx))
	if w.Code != http.StatusOK || count.Trips() != 0 {
		t.Fatalf("%d %s after %d statements", w.Code, w.Body, count.Trips())
	}
	status, out := h.call("/token", "clinic", url.Values{"grant_type": {"client_credentials"}})
	if status != http.StatusOK || out["scope"] != "card.status" || out["refresh_token"] != nil || out["id_token"] != nil {
		t.Fatalf("%d %v", status, out)
	}
	var at map[string]any
	h.claims(out["access_token"].(string), &at)
	golden(t, "client_token", at, "jti")
	// It speaks of nobody.
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusForbidden {
		t.Errorf("userinfo: %d", w.Code)
	}
	// What needs a citizen cannot be had without one.
	for _, scope := range []string{"card.basic", "openid", "pension.read", "card.status card.basic"} {
		if status, out := h.call("/token", "clinic", url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}); status != 400 || out["error"] != "invalid_scope" {
			t.Errorf("%s: %d %v", scope, status, out)
		}
	}
	// It ends by itself, and that is said.
	if status, got := h.call("/revoke", "clinic", url.Values{"token": {out["access_token"].(string)}}); status != 400 || got["error"] != "unsupported_token_type" {
		t.Errorf("%d %v", status, got)
	}
	// A suspended client stops within the registry's five seconds, told or not.
	err := h.store.SuspendClient(t.Context(), "clinic", h.clock.Now(), audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: "clinic"})
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(5*time.Second + time.Millisecond)
	if status, _ := h.call("/token", "clinic", url.Values{"grant_type": {"client_credentials"}}); status != 401 {
		t.Errorf("suspended: %d", status)
	}
}

// One statement for each operation (DESIGN §6).
func TestRoundTrips(t *testing.T) {
	h := newHouse(t)
	h.rp()
	out := h.tokens("openid card.basic")
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask())
	form := func(path string, v url.Values) *http.Request {
		r := mustRequest(http.MethodPost, path, v.Encode())
		r.SetBasicAuth(rp, h.secretOf[rp])
		return r
	}
	info := mustRequest(http.MethodGet, "/userinfo", "")
	info.Header.Set("Authorization", "Bearer "+out["access_token"].(string))
	authorize := mustRequest(http.MethodGet, "/authorize?"+ask().Encode(), "")
	authorize.AddCookie(&http.Cookie{Name: loginCookie, Value: b.cookies[loginCookie]})
	for _, c := range []struct {
		name string
		r    *http.Request
		want int
	}{
		{"authorize", authorize, 2},
		{"code", form("/token", redeem(code)), 1},
		{"refresh", form("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out["refresh_token"].(string)}}), 1},
		{"userinfo", info, 1},
		{"junk-code", form("/token", redeem("junk")), 0},
	} {
		ctx, count := storage.WithQueryCount(c.r.Context())
		w := httptest.NewRecorder()
		h.mux.ServeHTTP(w, c.r.WithContext(ctx))
		if count.Trips() != c.want {
			t.Errorf("%s: %d %d statements: %v", c.name, w.Code, count.Trips(), count.SQL())
		}
	}
}

// The stock traps of profile oidc: without PKCE there, a verifier out of nowhere
// is still refused, and one that was announced cannot be left out.
func TestProfiles(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"old","client_name":"Old","profile":"oidc","redirect_uris":["` + callback + `"],"scope":"openid","first_party":true}`)
	key, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	jwk, _ := key.MarshalJSON()
	h.client(`{"client_id":"bank","client_name":"Bank","profile":"fapi2","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + string(jwk) + `]},"redirect_uris":["` + callback + `"],"scope":"openid"}`)
	b := h.browser()
	b.signIn(0, password())
	plain := func() string {
		return b.code(ask("client_id", "old", "scope", "openid", "code_challenge", "-", "code_challenge_method", "-"))
	}
	code := plain()
	if status, _ := h.call("/token", "old", redeem(code)); status != 400 {
		t.Errorf("a verifier without challenge: %d", status)
	}
	if status, out := h.call("/token", "old", redeem(code, "code_verifier", "-")); status != http.StatusOK {
		t.Errorf("%d %v", status, out)
	}
	code = b.code(ask("client_id", "old", "scope", "openid"))
	h.call("/token", "old", redeem(code, "code_verifier", strings.Repeat("x", 43)))
	if status, _ := h.call("/token", "old", redeem(code, "code_verifier", "-")); status != 400 {
		t.Errorf("downgraded: %d", status)
	}
	if got := answer(t, b.get("/authorize?"+ask("client_id", "bank", "scope", "openid").Encode())); got.Get("error") != "invalid_request" {
		t.Errorf("fapi2 without PAR: %v", got)
	}
}
