package provider_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// front is how a browser brings a pushed request.
func front(id, requestURI string, more ...string) string {
	v := url.Values{"client_id": {id}, "request_uri": {requestURI}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return "/authorize?" + v.Encode()
}

// push pushes a request of the relying party and returns its request_uri.
func (h *house) push(changes ...string) string {
	h.t.Helper()
	status, out := h.call("/par", rp, ask(changes...))
	uri, _ := out["request_uri"].(string)
	if status != http.StatusCreated || uri == "" {
		h.t.Fatalf("%d %v", status, out)
	}
	return uri
}

// An institution is a client of profile fapi2: it pushes, signs who it is, and has its tokens
// bound to a key; unless more of its metadata says another profile.
type institution struct {
	h   *house
	id  string
	key jose.Key
}

func (h *house) bank(id, more string) institution {
	h.t.Helper()
	key, err := jose.Generate(jose.ES256, id+"-1")
	if err != nil {
		h.t.Fatal(err)
	}
	jwk, err := key.Public().MarshalJSON()
	if err != nil {
		h.t.Fatal(err)
	}
	if !strings.Contains(more, `"profile"`) {
		more += `,"profile":"fapi2"`
	}
	h.client(`{"client_id":"` + id + `","client_name":"Bank","token_endpoint_auth_method":"private_key_jwt",
		"redirect_uris":["` + callback + `","https://rp.example/other"],"grant_types":["authorization_code","refresh_token"],
		"scope":"openid profile offline_access card.basic insurance.read","jwks":{"keys":[` + string(jwk) + `]}` + more + `}`)
	return institution{h, id, key}
}

// asserted adds a fresh client assertion to a form.
func (b institution) asserted(v url.Values) url.Values {
	b.h.t.Helper()
	now := b.h.clock.Now()
	assertion, err := jose.Sign(b.key, "JWT", map[string]any{
		"iss": b.id, "sub": b.id, "aud": issuer, "jti": identity.NewID().String(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
	if err != nil {
		b.h.t.Fatal(err)
	}
	v = maps.Clone(v)
	v.Set("client_assertion", assertion)
	v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	return v
}

// push posts to /par, with proofs in DPoP headers.
func (b institution) push(v url.Values, proofs ...string) (int, map[string]any) {
	b.h.t.Helper()
	r := mustRequest(http.MethodPost, "/par", v.Encode())
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	w := b.h.serve(r)
	return w.Code, jsonOf(b.h.t, w)
}

// A pushed request is answered once, and nothing but what was pushed counts (CO3).
func TestPush(t *testing.T) {
	h := newHouse(t)
	h.rp()
	w := h.raw("/par", rp, ask())
	if w.Code != http.StatusCreated || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("DPoP-Nonce") == "" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	out := jsonOf(t, w)
	uri := out["request_uri"].(string)
	if !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:ecq_") || len(uri) < 80 {
		t.Errorf("request_uri is %q", uri)
	}
	golden(t, "par", out, "request_uri")

	b := h.browser()
	b.signIn(0, password(), totp())
	w = b.get(front(rp, uri, "state", "forged", "scope", "openid profile", "redirect_uri", "https://evil.example/", "nonce", "other",
		"response_mode", "form_post", "prompt", "none", "code_challenge", challenge("another"), "request", "x.y.z", "login", "cancelled"))
	if at := w.Header().Get("Location"); !strings.HasPrefix(at, "/consent?") {
		t.Fatalf("sent to %q", at)
	}
	got := answer(t, b.consent(w.Header().Get("Location"), "consent-allow"))
	if got.Get("state") != "s t&a=te" || got.Get("code") == "" {
		t.Fatalf("answered %v", got)
	}
	status, tokens := h.call("/token", rp, redeem(got.Get("code")))
	if status != http.StatusOK || tokens["scope"] != "openid card.basic" {
		t.Fatalf("%d %v", status, tokens)
	}
	var id struct{ Nonce string }
	if h.claims(tokens["id_token"].(string), &id); id.Nonce != "n-0S6" {
		t.Errorf("nonce is %q", id.Nonce)
	}
	// Once used it is gone.
	if w := b.get(front(rp, uri)); w.Code != http.StatusBadRequest || h.pages.fault.Fault != oauth.FaultExpired {
		t.Errorf("used again: %d %+v", w.Code, h.pages.fault)
	}
	// What was only said outside does not count either.
	w = b.get(front(rp, h.push("state", "-"), "state", "forged"))
	if got := answer(t, w); got.Has("state") || got.Get("code") == "" {
		t.Errorf("a state of the front channel: %v", got)
	}
}

func TestPushErrors(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"other","client_name":"Other","redirect_uris":["https://other.example/cb"],"scope":"openid"}`)
	for _, c := range []struct {
		name   string
		as     string
		form   url.Values
		status int
		want   string
	}{
		{"nobody", "", ask("client_id", "-"), 401, "invalid_client"},
		{"no-secret", "", ask(), 401, "invalid_client"},
		{"another-client", "other", ask(), 401, "invalid_client"},
		{"two-methods", rp, ask("client_secret", h.secretOf[rp]), 400, "invalid_request"},
		{"request-uri", rp, ask("request_uri", "urn:ietf:params:oauth:request_uri:x"), 400, "invalid_request"},
		{"redirect-unregistered", rp, ask("redirect_uri", "https://rp.example/cb"), 400, "invalid_request"},
		{"no-response-type", rp, ask("response_type", "-"), 400, "invalid_request"},
		{"implicit", rp, ask("response_type", "token"), 400, "unsupported_response_type"},
		{"hybrid", rp, ask("response_type", "code id_token"), 400, "unsupported_response_type"},
		{"mode-unregistered", rp, ask("response_mode", "jwt"), 400, "unsupported_response_mode"},
		{"unknown-scope", rp, ask("scope", "openid everything"), 400, "invalid_scope"},
		{"no-pkce", rp, ask("code_challenge", "-", "code_challenge_method", "-"), 400, "invalid_request"},
		{"plain", rp, ask("code_challenge_method", "plain"), 400, "invalid_request"},
		{"prompt", rp, ask("prompt", "create"), 400, "invalid_request"},
		{"claims", rp, ask("claims", "{"), 400, "invalid_request"},
		{"hint", rp, ask("id_token_hint", "a.b.c"), 400, "invalid_request"},
		{"jkt-short", rp, ask("dpop_jkt", "abc"), 400, "invalid_request"},
		{"jkt-loose-bits", rp, ask("dpop_jkt", strings.Repeat("A", 42)+"B"), 400, "invalid_request"},
		{"target", rp, ask("resource", "https://other.example/"), 400, "invalid_target"},
		{"registration", rp, ask("registration", "{}"), 400, "registration_not_supported"},
		{"body-too-long", rp, ask("unknown", strings.Repeat("x", 64<<10)), 413, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.raw("/par", c.as, c.form)
			if out := jsonOf(t, w); w.Code != c.status || out["error"] != c.want || out["request_uri"] != nil || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v, want %d %s", w.Code, out, c.status, c.want)
			}
		})
	}
	for name, r := range map[string]*http.Request{
		"json":       withType(mustRequest(http.MethodPost, "/par", `{}`), "application/json"),
		"in-the-url": mustRequest(http.MethodPost, "/par?client_id=pension", ask().Encode()),
		"twice":      mustRequest(http.MethodPost, "/par", ask().Encode()+"&state=x"),
	} {
		r.SetBasicAuth(rp, h.secretOf[rp])
		if w := h.browser().do(r); w.Code != http.StatusBadRequest || jsonOf(t, w)["error"] != "invalid_request" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		if w := h.browser().do(mustRequest(method, "/par", ask().Encode())); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// The code is for the key that was shown, or named, when it was asked for (SC3).
func TestPushedKey(t *testing.T) {
	h := newHouse(t)
	bank := h.bank("bank", "")
	one, two := h.holder(), h.holder()
	at := func(p *holder) string { return p.proof(http.MethodPost, issuer+"/par") }
	plain := func() url.Values { return bank.asserted(ask("client_id", "bank")) }
	named := func(jkt string) url.Values { return bank.asserted(ask("client_id", "bank", "dpop_jkt", jkt)) }
	for _, c := range []struct {
		name   string
		form   url.Values
		proofs []string
		want   string // the error; empty is 201
	}{
		{"neither", plain(), nil, ""},
		{"named", named(one.jkt()), nil, ""},
		{"shown", plain(), []string{at(one)}, ""},
		{"both", named(one.jkt()), []string{at(one)}, ""},
		{"another-than-named", named(two.jkt()), []string{at(one)}, "invalid_dpop_proof"},
		{"two-proofs", plain(), []string{at(one), at(one)}, "invalid_dpop_proof"},
		{"empty-proof", plain(), []string{""}, "invalid_dpop_proof"},
		{"for-another-endpoint", plain(), []string{one.proof(http.MethodPost, issuer+"/token")}, "invalid_dpop_proof"},
		{"for-another-method", plain(), []string{one.proof(http.MethodGet, issuer+"/par")}, "invalid_dpop_proof"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out := bank.push(c.form, c.proofs...)
			if code, _ := out["error"].(string); code != c.want || (status == http.StatusCreated) != (c.want == "") {
				t.Errorf("%d %v, want %q", status, out, c.want)
			}
		})
	}
	t.Run("code", func(t *testing.T) {
		b := h.browser()
		b.signIn(0, password(), totp())
		_, out := bank.push(plain(), at(one))
		w := b.get(front("bank", out["request_uri"].(string)))
		code := answer(t, b.consent(w.Header().Get("Location"), "consent-allow")).Get("code")
		redeemed := func(p *holder) (int, map[string]any) {
			r := mustRequest(http.MethodPost, "/token", bank.asserted(redeem(code)).Encode())
			r.Header.Set("DPoP", p.proof(http.MethodPost, issuer+"/token"))
			w := h.browser().do(r)
			return w.Code, jsonOf(t, w)
		}
		if status, out := redeemed(two); status != http.StatusBadRequest {
			t.Errorf("with another key: %d %v", status, out)
		}
		if status, out := redeemed(one); status != http.StatusOK || out["token_type"] != "DPoP" {
			t.Errorf("with its key, after somebody tried another: %d %v", status, out)
		}
	})
}

// What was shown once does not work again, whatever came of the first time (G1, CA2, SC2).
func TestPushedOnce(t *testing.T) {
	h := newHouse(t)
	bank := h.bank("bank", "")
	p := h.holder()
	form := func(changes ...string) url.Values { return ask(append([]string{"client_id", "bank"}, changes...)...) }
	want := func(name, want string, v url.Values, proofs ...string) {
		t.Helper()
		if _, out := bank.push(v, proofs...); out["error"] != want && (want != "" || out["error"] != nil) {
			t.Errorf("%s: %v, want %q", name, out, want)
		}
	}
	good := bank.asserted(form())
	want("first", "", good)
	want("assertion again", "invalid_client", good)
	bad := bank.asserted(form("scope", "openid everything"))
	want("refused for its scope", "invalid_scope", bad)
	bad.Set("scope", "openid")
	want("its assertion again", "invalid_client", bad)

	h.rp()
	proof := p.proof(http.MethodPost, issuer+"/par")
	with := func(proof string) *httptest.ResponseRecorder {
		r := mustRequest(http.MethodPost, "/par", ask().Encode())
		r.SetBasicAuth(rp, h.secretOf[rp])
		r.Header.Set("DPoP", proof)
		return h.browser().do(r)
	}
	if w := with(proof); w.Code != http.StatusCreated {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := with(proof); w.Code != http.StatusBadRequest || jsonOf(t, w)["error"] != "invalid_dpop_proof" {
		t.Errorf("the proof again: %d %s", w.Code, w.Body)
	}
	// Of many at once, one.
	v := bank.asserted(form())
	var all sync.WaitGroup
	answers := make(chan int, 20)
	for range cap(answers) {
		all.Go(func() { answers <- h.serve(mustRequest(http.MethodPost, "/par", v.Encode())).Code })
	}
	all.Wait()
	close(answers)
	won := 0
	for status := range answers {
		if status == http.StatusCreated {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d requests were stored", won)
	}
}

// A client that pushes is not answered on the front channel, whoever asks in its name.
func TestPushingIsHeld(t *testing.T) {
	h := newHouse(t)
	bank := h.bank("bank", "")
	h.client(`{"client_id":"pusher","client_name":"Pusher","require_pushed_authorization_requests":true,"redirect_uris":["` + callback + `"],"scope":"openid"}`)
	h.client(`{"client_id":"app","client_name":"App","token_endpoint_auth_method":"none","redirect_uris":["` + callback + `"],"scope":"openid"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	for _, id := range []string{"bank", "pusher"} {
		v := ask("client_id", id, "scope", "openid")
		if got := answer(t, b.get("/authorize?"+v.Encode())); got.Get("error") != "invalid_request" || got.Get("code") != "" {
			t.Errorf("%s: %v", id, got)
		}
		if got := answer(t, b.post("/authorize", v)); got.Get("error") != "invalid_request" {
			t.Errorf("%s by POST: %v", id, got)
		}
	}
	if status, out := bank.push(bank.asserted(ask("client_id", "bank", "redirect_uri", "-", "scope", "card.basic"))); status != http.StatusBadRequest || out["error"] != "invalid_request" {
		t.Errorf("without a redirect_uri: %d %v", status, out)
	}
	if status, out := h.call("/par", "pusher", ask("client_id", "-", "scope", "openid")); status != http.StatusCreated {
		t.Errorf("the client_id is the one that authenticated: %d %v", status, out)
	}
	// Public clients may push as well (RFC 9126 §2).
	if status, out := h.call("/par", "", ask("client_id", "app", "scope", "openid")); status != http.StatusCreated {
		t.Errorf("public: %d %v", status, out)
	}
	// Held to it from now on, also for what waits already.
	at := front("app", h.mustPush("", ask("client_id", "app", "scope", "openid")))
	if w := b.get(at); !strings.HasPrefix(w.Header().Get("Location"), "/consent?") {
		t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
	}
}

func (h *house) mustPush(as string, v url.Values) string {
	h.t.Helper()
	status, out := h.call("/par", as, v)
	if status != http.StatusCreated {
		h.t.Fatalf("%d %v", status, out)
	}
	return out["request_uri"].(string)
}

// prompt and max_age count from the push; silence stays silent.
func TestPushedPrompt(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	if got := answer(t, b.get(front(rp, h.push("prompt", "none")))); got.Get("error") != "login_required" {
		t.Errorf("nobody: %v", got)
	}
	b.signIn(0, password(), totp())
	b.code(ask())
	if got := answer(t, b.get(front(rp, h.push("prompt", "none")))); got.Get("code") == "" {
		t.Errorf("silent: %v", got)
	}
	uri := h.push("prompt", "login")
	h.clock.Advance(10 * time.Second)
	b.signIn(0, password(), totp()) // for something else
	if w := b.get(front(rp, uri)); w.Header().Get("Location") != "/login" {
		t.Errorf("a login is taken that was not for this: %q", w.Header().Get("Location"))
	}
	h.clock.Advance(10 * time.Second)
	b.signIn(0, password(), totp())
	if got := answer(t, b.get(h.logins.last(t).back)); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}
	// Whoever gives up says so to the application.
	delete(b.cookies, loginCookie)
	b.get(front(rp, h.push()))
	if got := answer(t, b.get(h.logins.last(t).back+"&login=cancelled")); got.Get("error") != "access_denied" {
		t.Errorf("cancelled: %v", got)
	}
}
