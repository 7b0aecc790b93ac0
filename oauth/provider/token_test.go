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
	"ecardid/identity"
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
		{"other-redirect", rp, redeem(code, "redirect_uri", "https://rp.example/cb"), 400, "invalid_grant"},
		{"no-redirect", rp, redeem(code, "redirect_uri", "-"), 400, "invalid_grant"},
		{"another-client", "other", redeem(code), 400, "invalid_grant"},
		{"another-client-and-verifier", "other", redeem(code, "code_verifier", strings.Repeat("x", 43)), 400, "invalid_grant"},
		{"other-redirect-and-verifier", rp, redeem(code, "redirect_uri", "https://rp.example/cb", "code_verifier", "-"), 400, "invalid_grant"},
		{"blank-before-grant", rp, redeem(code, "grant_type", " authorization_code"), 400, "unsupported_grant_type"},
		{"blank-after-grant", rp, redeem(code, "grant_type", "authorization_code "), 400, "unsupported_grant_type"},
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

// A verifier that fails at the right client ends the code (CO1).
func TestWrongVerifierEndsTheCode(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	for name, wrong := range map[string]string{
		"none": "-", "empty": "", "another": strings.Repeat("x", 43), "of-42": verifier[:42], "of-129": strings.Repeat("x", 129),
		"the-challenge": challenge(verifier), "malformed": verifier[:42] + "=",
	} {
		code := b.code(ask())
		if status, out := h.call("/token", rp, redeem(code, "code_verifier", wrong)); status != 400 || out["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", name, status, out)
		}
		if status, out := h.call("/token", rp, redeem(code)); status != 400 || out["error"] != "invalid_grant" {
			t.Errorf("the right one after %s: %d %v", name, status, out)
		}
	}
}

// What a client may not have any more it does not get for an old code either.
func TestNarrowedClient(t *testing.T) {
	for _, scope := range []string{"openid card.basic", "openid insurance.pay card.basic"} { // a JWT, and an opaque token
		h := newHouse(t)
		h.rp()
		h.client(`{"client_id":"api","client_name":"API","grant_types":[],"resources":["urn:ecardid:resource:card","urn:ecardid:resource:insurance"]}`)
		b := h.browser()
		b.signIn(0, password(), totp(), identity.Proof{Factor: identity.FactorPhone, Device: h.phone()})
		code := b.code(ask("scope", scope))
		again := func(redirect, scope string) {
			h.client(`{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + redirect + `"],
				"grant_types":["authorization_code","refresh_token"],"scope":"` + scope + `"}`)
		}
		again("https://rp.example/other", scope)
		if status, out := h.call("/token", rp, redeem(code)); status != 400 || out["error"] != "invalid_grant" {
			t.Errorf("a redirect URI that is gone: %d %v", status, out)
		}
		again(callback, "openid card.basic")
		again(callback, "openid")
		status, out := h.call("/token", rp, redeem(code))
		if status != http.StatusOK || out["scope"] != "openid" {
			t.Fatalf("%d %v", status, out)
		}
		if _, seen := h.call("/introspect", "api", url.Values{"token": {out["access_token"].(string)}}); seen["active"] != false {
			t.Errorf("a resource sees %v", seen)
		}
	}
}

// The requests that wait for a client that has changed do not wait any more (G6).
func TestChangedClientLosesItsRequests(t *testing.T) {
	const same = `"client_id":"pension","client_name":"Pension office"`
	for name, members := range map[string]string{
		"redirect":       `"redirect_uris":["` + callback + `","https://rp.example/b"],"scope":"openid card.basic"`,
		"scope":          `"redirect_uris":["` + callback + `"],"scope":"openid card.basic phone"`,
		"authentication": `"redirect_uris":["` + callback + `"],"scope":"openid card.basic","token_endpoint_auth_method":"client_secret_post"`,
		"":               `"redirect_uris":["` + callback + `"],"scope":"openid card.basic","client_uri":"https://rp.example/"`,
	} {
		h := newHouse(t)
		h.client(`{` + same + `,"redirect_uris":["` + callback + `"],"scope":"openid card.basic"}`)
		b := h.browser()
		b.get("/authorize?" + ask().Encode())
		h.client(`{` + same + `,` + members + `}`)
		b.signIn(0, password(), totp())
		if w := b.get(h.logins.last(t).back); (w.Code == http.StatusBadRequest) != (name != "") {
			t.Errorf("%q changed: %d to %q", name, w.Code, w.Header().Get("Location"))
		}
	}
}

// A client's own token does not come back to life with it (G6).
func TestClientTokenAfterSuspension(t *testing.T) {
	h := newHouse(t)
	const robot = `{"client_id":"robot","client_name":"Robot","grant_types":["client_credentials"],"scope":"card.status"`
	h.client(robot + "}")
	h.client(`{"client_id":"api","client_name":"API","grant_types":[],"resources":["urn:ecardid:resource:card"]}`)
	token := func() string {
		status, out := h.call("/token", "robot", url.Values{"grant_type": {"client_credentials"}})
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, out)
		}
		return out["access_token"].(string)
	}
	active := func(token string) any {
		_, out := h.call("/introspect", "api", url.Values{"token": {token}})
		return out["active"]
	}
	for name, suspend := range map[string]func(){
		"suspended": func() {
			e := audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: "robot"}
			if err := h.store.SuspendClient(t.Context(), "robot", h.clock.Now(), e); err != nil {
				t.Fatal(err)
			}
		},
		"applied-as-suspended": func() { h.client(robot + `,"state":"suspended"}`) },
	} {
		old := token()
		if active(old) != true {
			t.Fatal("never alive")
		}
		suspend()
		h.client(robot + "}")
		if active(old) != false || active(token()) != true {
			t.Errorf("%s: the old token is %v, a new one %v", name, active(old), active(token()))
		}
	}
}

// A client is signed for with what it registered; while there is no key nothing is
// spent on it.
func TestSigningAlgorithms(t *testing.T) {
	h := newHouse(t)
	for _, alg := range []string{"RS256", "PS256", "SGD_SM3_SM2"} {
		h.client(`{"client_id":"` + strings.ToLower(strings.ReplaceAll(alg, "_", "-")) + `","client_name":"X","redirect_uris":["` + callback + `"],"scope":"openid card.basic",
			"first_party":true,"id_token_signed_response_alg":"` + alg + `","access_token_signed_response_alg":"` + alg + `"}`)
	}
	b := h.browser()
	b.signIn(0, password(), totp())
	early := b.code(ask("client_id", "rs256"))
	if status, out := h.call("/token", "rs256", redeem(early)); status != http.StatusServiceUnavailable || out["error"] != "temporarily_unavailable" {
		t.Errorf("without a key: %d %v", status, out)
	}
	if err := h.keys.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{"rs256": early, "ps256": b.code(ask("client_id", "ps256")), "sgd-sm3-sm2": b.code(ask("client_id", "sgd-sm3-sm2"))}
	for id, code := range codes {
		status, out := h.call("/token", id, redeem(code))
		if status != http.StatusOK {
			t.Fatalf("%s: %d %v", id, status, out)
		}
		for _, name := range []string{"id_token", "access_token"} {
			parsed, err := jose.Parse(out[name].(string))
			if err != nil {
				t.Fatal(err)
			}
			set := h.browser().get(map[bool]string{true: "/sm2-jwks", false: "/jwks"}[id == "sgd-sm3-sm2"])
			keys, err := jose.ParseSet(set.Body.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parsed.Verify(keys, jose.Alg(strings.ReplaceAll(strings.ToUpper(id), "-", "_"))); err != nil {
				t.Errorf("%s of %s: %v", name, id, err)
			}
		}
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

// The stock traps of pkce_optional: without PKCE there, a verifier out of nowhere
// is still refused, and one that was announced cannot be left out.
func TestProfiles(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"old","client_name":"Old","profile":"oidc","id_token_signed_response_alg":"ES256","pkce_optional":true,"redirect_uris":["` + callback + `"],"scope":"openid","first_party":true}`)
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
	h.client(`{"client_id":"oidc","client_name":"OIDC","profile":"oidc","id_token_signed_response_alg":"ES256","redirect_uris":["` + callback + `"],"scope":"openid","first_party":true}`)
	bare := ask("client_id", "oidc", "scope", "openid", "code_challenge", "-", "code_challenge_method", "-")
	if got := answer(t, b.get("/authorize?"+bare.Encode())); got.Get("error") != "invalid_request" {
		t.Errorf("profile oidc alone does without PKCE: %v", got)
	}
	code := plain()
	if status, _ := h.call("/token", "old", redeem(code)); status != 400 {
		t.Errorf("a verifier without challenge: %d", status)
	}
	code = plain() // a verifier out of nowhere ended the first
	if status, out := h.call("/token", "old", redeem(code, "code_verifier", "-")); status != http.StatusOK {
		t.Errorf("%d %v", status, out)
	}
	code = b.code(ask("client_id", "old", "scope", "openid"))
	if status, _ := h.call("/token", "old", redeem(code, "code_verifier", "-")); status != 400 {
		t.Errorf("downgraded: %d", status)
	}
	if got := answer(t, b.get("/authorize?"+ask("client_id", "bank", "scope", "openid").Encode())); got.Get("error") != "invalid_request" {
		t.Errorf("fapi2 without PAR: %v", got)
	}
}
