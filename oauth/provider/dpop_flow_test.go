package provider_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/storage"
)

// A proof binds the tokens of its request and no other; nobody had to register for
// that (RFC 9449 §5).
func TestProofBindsTheTokens(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	k, other := h.holder(), h.holder()
	status, out := h.proven(rp, k.forToken(), redeem(b.code(ask())))
	if status != http.StatusOK || out["token_type"] != "DPoP" || cnf(h, out["access_token"], "jkt") != k.jkt() {
		t.Fatalf("%d %v", status, out)
	}
	var at map[string]any
	h.claims(out["access_token"].(string), &at)
	at["cnf"].(map[string]any)["jkt"] = "…"
	golden(t, "access_token_dpop", at, "sub", "jti", "gid")
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusUnauthorized {
		t.Errorf("a bound token as Bearer: %d", w.Code) // SC3
	}
	// A confidential client may change its key: its refresh token is bound to the client.
	refresh := out["refresh_token"].(string)
	if status, out := h.proven(rp, other.forToken(), refreshing(refresh)); status != http.StatusOK || cnf(h, out["access_token"], "jkt") != other.jkt() || out["refresh_token"] != nil {
		t.Errorf("another key: %d %v", status, out)
	}
	if status, out := h.proven(rp, "", refreshing(refresh)); status != http.StatusOK || out["token_type"] != "Bearer" || cnf(h, out["access_token"], "jkt") != nil {
		t.Errorf("no key: %d %v", status, out)
	}
	// An opaque token is bound as well.
	status, out = h.proven(rp, k.forToken(), redeem(b.code(ask("scope", "openid profile"))))
	if status != http.StatusOK || out["token_type"] != "DPoP" || strings.Contains(out["access_token"].(string), ".") {
		t.Fatalf("%d %v", status, out)
	}
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusUnauthorized {
		t.Errorf("a bound opaque token as Bearer: %d", w.Code)
	}
}

// A client that has to prove a key gets no token without, by any path, and loses
// nothing by having tried (SC3, CO2).
func TestBoundClientsGetNoBearerTokens(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"bound","client_name":"Bound","dpop_bound_access_tokens":true,"redirect_uris":["` + callback + `"],"first_party":true,
		"grant_types":["authorization_code","refresh_token","client_credentials"],"scope":"openid card.basic card.status"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask("client_id", "bound"))
	k := h.holder()
	machine := url.Values{"grant_type": {"client_credentials"}}
	refused := func(name string, form url.Values) {
		t.Helper()
		for wrong, proof := range map[string]string{
			"no proof": "", "another endpoint's": k.proof("POST", issuer+"/userinfo"), "another method's": k.proof("GET", issuer+"/token"),
			"another host's": k.proof("POST", "https://id.example.evil/token"), "junk": "a.b.c", "old": k.forToken("iat", "x"),
		} {
			if status, out := h.proven("bound", proof, form); status != 400 || out["error"] != "invalid_dpop_proof" {
				t.Errorf("%s with %s: %d %v", name, wrong, status, out)
			}
		}
	}
	refused("code", redeem(code))
	refused("client credentials", machine)
	status, out := h.proven("bound", k.forToken(), redeem(code))
	if status != http.StatusOK || cnf(h, out["access_token"], "jkt") != k.jkt() {
		t.Fatalf("the code after all that: %d %v", status, out)
	}
	refused("refresh", refreshing(out["refresh_token"].(string)))
	for name, form := range map[string]url.Values{"refresh": refreshing(out["refresh_token"].(string)), "client credentials": machine} {
		if status, out := h.proven("bound", k.forToken(), form); status != http.StatusOK || out["token_type"] != "DPoP" || cnf(h, out["access_token"], "jkt") != k.jkt() {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
}

// A public client's refresh token is good for the key it was given to, and then it
// does not rotate (RFC 9449 §5, TK1, SC3).
func TestPublicRefreshTokenIsBound(t *testing.T) {
	h := newHouse(t)
	h.app()
	k, thief := h.holder(), h.holder()
	b := h.browser()
	b.signIn(0, password(), totp())
	w := b.get("/authorize?" + ask("client_id", "app", "redirect_uri", "https://app.example/cb").Encode())
	to, _ := url.Parse(w.Header().Get("Location"))
	status, out := h.proven("app", k.forToken(), redeem(to.Query().Get("code"), "redirect_uri", "https://app.example/cb"))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	token := out["refresh_token"].(string)
	for name, proof := range map[string]string{"no key": "", "another key": thief.forToken()} {
		if status, out := h.proven("app", proof, refreshing(token)); status != 400 || out["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	for range 2 {
		if status, out := h.proven("app", k.forToken(), refreshing(token)); status != http.StatusOK || out["refresh_token"] != nil || cnf(h, out["access_token"], "jkt") != k.jkt() {
			t.Errorf("its key: %d %v", status, out)
		}
	}
}

// A token that is bound to no key rotates, whatever key the request proves: a thief
// has keys too (TK1).
func TestAProofDoesNotStopRotation(t *testing.T) {
	h := newHouse(t)
	h.app()
	_, token := h.appTokens()
	k := h.holder()
	status, out := h.proven("app", k.forToken(), refreshing(token))
	next, _ := out["refresh_token"].(string)
	if status != http.StatusOK || next == "" || next == token || cnf(h, out["access_token"], "jkt") != k.jkt() {
		t.Fatalf("not rotated: %d %v", status, out)
	}
	if status, _ := h.proven("app", h.holder().forToken(), refreshing(token)); status != 400 {
		t.Errorf("reuse: %d", status)
	}
	if status, _ := h.proven("app", k.forToken(), refreshing(next)); status != 400 {
		t.Errorf("the family lives on: %d", status)
	}
}

// dpop_jkt binds the code: another key spends nothing, a wrong verifier with the
// right key ends it (RFC 9449 §10, CO1, CO2).
func TestCodeIsBoundToItsKey(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	k, thief := h.holder(), h.holder()
	bound := func() string { return b.code(ask("dpop_jkt", k.jkt())) }
	code := bound()
	for name, proof := range map[string]string{"no key": "", "another key": thief.forToken()} {
		if status, out := h.proven(rp, proof, redeem(code)); status != 400 || out["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	status, out := h.proven(rp, k.forToken(), redeem(code))
	if status != http.StatusOK || out["token_type"] != "DPoP" {
		t.Fatalf("its key after that: %d %v", status, out)
	}
	// Another key's replay hurts nobody; its own ends the grant.
	h.proven(rp, thief.forToken(), redeem(code))
	refresh := out["refresh_token"].(string)
	if status, _ := h.proven(rp, k.forToken(), refreshing(refresh)); status != http.StatusOK {
		t.Errorf("another key's replay ended the grant: %d", status)
	}
	if status, _ := h.proven(rp, k.forToken(), redeem(code)); status != 400 {
		t.Errorf("replayed: %d", status)
	}
	if status, _ := h.proven(rp, k.forToken(), refreshing(refresh)); status != 400 {
		t.Errorf("the grant lives on: %d", status)
	}
	code = bound()
	if status, _ := h.proven(rp, k.forToken(), redeem(code, "code_verifier", strings.Repeat("x", 43))); status != 400 {
		t.Errorf("wrong verifier: %d", status)
	}
	if status, _ := h.proven(rp, k.forToken(), redeem(code)); status != 400 {
		t.Errorf("the right verifier after a wrong one: %d", status)
	}
}

// A proof is good once, whatever became of its request, and its replay spends nothing
// else (G1, SC2).
func TestAProofIsGoodOnce(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"robot","client_name":"Robot","grant_types":["client_credentials"],"scope":"card.status"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	k := h.holder()
	code := b.code(ask())
	for name, first := range map[string]struct {
		client string
		form   url.Values
		want   int
	}{
		"junk code":            {rp, redeem("junk"), 400},
		"unknown resource":     {rp, redeem(code, "resource", "urn:nobody"), 400},
		"client credentials":   {"robot", url.Values{"grant_type": {"client_credentials"}}, 200},
		"unknown refresh":      {rp, refreshing("junk"), 400},
		"a code that is right": {rp, redeem(b.code(ask())), 200},
	} {
		proof := k.forToken()
		if status, out := h.proven(first.client, proof, first.form); status != first.want {
			t.Errorf("%s: %d %v", name, status, out)
		}
		if status, out := h.proven(rp, proof, redeem(code)); status != 400 || out["error"] != "invalid_dpop_proof" {
			t.Errorf("after %s: %d %v", name, status, out)
		}
	}
	if status, _ := h.proven(rp, k.forToken(), redeem(code)); status != http.StatusOK {
		t.Errorf("the code after all that: %d", status)
	}
}

func TestOneProofWins(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"robot","client_name":"Robot","grant_types":["client_credentials"],"scope":"card.status"}`)
	proof := h.holder().forToken()
	statuses := make(chan int, 16)
	var all sync.WaitGroup
	for range cap(statuses) {
		r := h.tokenRequest("robot", proof, url.Values{"grant_type": {"client_credentials"}})
		all.Go(func() { statuses <- h.serve(r).Code })
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
		t.Errorf("%d requests won", won)
	}
}

// A client that is held to nonces learns the nonce from the refusal (RFC 9449 §8).
func TestRequiredNonce(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"careful","client_name":"Careful","dpop_bound_access_tokens":true,"require_dpop_nonce":true,
		"grant_types":["client_credentials"],"scope":"card.status"}`)
	k := h.holder()
	form := url.Values{"grant_type": {"client_credentials"}}
	w := h.serve(h.tokenRequest("careful", k.forToken(), form))
	nonce := w.Header().Get("DPoP-Nonce")
	if got := jsonOf(t, w); w.Code != 400 || got["error"] != "use_dpop_nonce" || nonce == "" {
		t.Fatalf("%d %v %q", w.Code, got, nonce)
	}
	if status, out := h.proven("careful", k.forToken("nonce", "made up"), form); status != 400 || out["error"] != "use_dpop_nonce" {
		t.Errorf("made up: %d %v", status, out)
	}
	if status, out := h.proven("careful", k.forToken("nonce", nonce), form); status != 200 {
		t.Errorf("%d %v", status, out)
	}
	h.clock.Advance(time.Hour)
	if status, out := h.proven("careful", k.forToken("nonce", nonce), form); status != 400 || out["error"] != "use_dpop_nonce" {
		t.Errorf("an hour later: %d %v", status, out)
	}
	for name, r := range map[string]*http.Request{
		"method": mustRequest(http.MethodGet, "/token", ""), "form": mustRequest(http.MethodPost, "/token", "a;b"),
	} {
		if h.serve(r).Header().Get("DPoP-Nonce") == "" {
			t.Errorf("%s: no nonce", name)
		}
	}
}

// One statement for each operation also with an assertion and a proof to use up
// (DESIGN §6), and what is used up twice is said by its name.
func TestRoundTripsWithProofs(t *testing.T) {
	h := newHouse(t)
	assert := h.asserted("bank", `"redirect_uris":["`+callback+`"],"first_party":true,
		"grant_types":["authorization_code","refresh_token","client_credentials"],"scope":"openid card.basic card.status"`)
	k := h.holder()
	b := h.browser()
	b.signIn(0, password(), totp())
	post := func(form url.Values) (*httptest.ResponseRecorder, int) {
		r := mustRequest(http.MethodPost, "/token", form.Encode())
		r.Header.Set("DPoP", k.forToken())
		ctx, count := storage.WithQueryCount(r.Context())
		w := h.serve(r.WithContext(ctx))
		return w, count.Trips()
	}
	var refresh string
	for _, c := range []struct {
		name string
		form func() url.Values
		want int
	}{
		{"code", func() url.Values { return redeem(b.code(ask("client_id", "bank"))) }, http.StatusOK},
		{"refresh", func() url.Values { return refreshing(refresh) }, http.StatusOK},
		{"client credentials", func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }, http.StatusOK},
		{"junk", func() url.Values { return redeem("junk") }, http.StatusBadRequest},
	} {
		form := assert(c.form())
		w, trips := post(form)
		if w.Code != c.want || trips != 1 {
			t.Errorf("%s: %d %s after %d statements", c.name, w.Code, w.Body, trips)
		}
		if token, ok := jsonOf(t, w)["refresh_token"].(string); ok {
			refresh = token
		}
		if w, _ := post(form); w.Code != http.StatusUnauthorized || jsonOf(t, w)["error"] != "invalid_client" {
			t.Errorf("%s, with the same assertion: %d %s", c.name, w.Code, w.Body)
		}
	}
}

// Tokens bound to a certificate (RFC 8705 §3).
func TestCertificateBindsTheTokens(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"certified","client_name":"Certified","tls_client_certificate_bound_access_tokens":true,"redirect_uris":["` + callback + `"],
		"first_party":true,"grant_types":["authorization_code","refresh_token"],"scope":"openid card.basic"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask("client_id", "certified"))
	with := func(form url.Values, der string) (int, map[string]any) {
		r := h.tokenRequest("certified", "", form)
		if der != "" {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(der)}}}
		}
		w := h.serve(r)
		return w.Code, jsonOf(t, w)
	}
	if status, out := with(redeem(code), ""); status != 400 || out["error"] != "invalid_request" {
		t.Errorf("without: %d %v", status, out)
	}
	status, out := with(redeem(code), "certificate")
	sum := sha256.Sum256([]byte("certificate"))
	x5t := base64.RawURLEncoding.EncodeToString(sum[:])
	if status != http.StatusOK || out["token_type"] != "Bearer" || cnf(h, out["access_token"], "x5t#S256") != x5t {
		t.Fatalf("%d %v", status, out)
	}
	var at map[string]any
	h.claims(out["access_token"].(string), &at)
	golden(t, "access_token_mtls", at, "sub", "jti", "gid")
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusUnauthorized {
		t.Errorf("without its certificate: %d", w.Code)
	}
	refresh := out["refresh_token"].(string)
	if status, _ := with(refreshing(refresh), ""); status != 400 {
		t.Errorf("refresh without: %d", status)
	}
	if status, out := with(refreshing(refresh), "renewed"); status != http.StatusOK || cnf(h, out["access_token"], "x5t#S256") == x5t {
		t.Errorf("a renewed certificate: %d %v", status, out)
	}
}

// An assertion is used up before anything is revoked, and one that comes again
// revokes nothing.
func TestRevocationUsesTheAssertionUp(t *testing.T) {
	h := newHouse(t)
	assert := h.asserted("bank", `"redirect_uris":["`+callback+`"],"first_party":true,"scope":"openid"`)
	b := h.browser()
	b.signIn(0, password(), totp())
	tokens := func() string {
		_, out := h.call("/token", "", assert(redeem(b.code(ask("client_id", "bank", "scope", "openid")))))
		return out["access_token"].(string)
	}
	form := assert(url.Values{"token": {tokens()}})
	if w := h.raw("/revoke", "", form); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := h.userinfo(form.Get("token")); w.Code != http.StatusUnauthorized {
		t.Errorf("it lives on: %d", w.Code)
	}
	form.Set("token", tokens())
	if status, out := h.call("/revoke", "", form); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
		t.Errorf("the same assertion: %d %v", status, out)
	}
	if w := h.userinfo(form.Get("token")); w.Code != http.StatusOK {
		t.Errorf("it revoked: %d", w.Code)
	}
}
