package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ecardid/internal/jose"
	"ecardid/storage"
)

const signedType = "application/token-introspection+jwt"

// introspected asks as a client with Basic credentials.
func (h *house) introspected(id, accept string, form url.Values) *httptest.ResponseRecorder {
	r := mustRequest(http.MethodPost, "/introspect", form.Encode())
	if id != "" {
		r.SetBasicAuth(id, h.secretOf[id])
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return h.serve(r)
}

// signed verifies an answer of RFC 9701 and returns its claims.
func (h *house) signed(text string) map[string]any {
	h.t.Helper()
	var claims map[string]any
	if header := h.claims(text, &claims); header.Type != "token-introspection+jwt" {
		h.t.Errorf("typ is %q", header.Type)
	}
	return claims
}

// The same answer, as JSON or signed, for whoever asks for it (RFC 9701).
func TestSignedIntrospection(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"card-api","client_name":"Card API","grant_types":[],"resources":["urn:ecardid:resource:card"]}`)
	h.client(`{"client_id":"other-api","client_name":"Other API","grant_types":[],"resources":["urn:ecardid:resource:pension"]}`)
	out := h.tokens("openid card.basic insurance.read")
	access := out["access_token"].(string)
	form := url.Values{"token": {access}}

	w := h.introspected("card-api", signedType, form)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != signedType || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	claims := h.signed(w.Body.String())
	inside, _ := claims["token_introspection"].(map[string]any)
	for _, random := range []string{"sub", "jti"} {
		if inside[random] == "" {
			t.Errorf("no %s", random)
		}
		inside[random] = "…"
	}
	golden(t, "introspection_signed", claims)
	// It is no access token and no ID token (G2).
	if w := h.userinfo(w.Body.String()); w.Code != http.StatusUnauthorized {
		t.Errorf("as an access token: %d", w.Code)
	}
	for _, accept := range []string{"", "*/*", "application/json", signedType + ";q=0.1, application/json"} {
		if w := h.introspected("card-api", accept, form); w.Header().Get("Content-Type") != "application/json" || jsonOf(t, w)["active"] != true {
			t.Errorf("%q: %s", accept, w.Body)
		}
	}
	// What is nobody's business looks the same in every form (TK2).
	for name, c := range map[string]struct{ asker, token string }{
		"junk": {"card-api", "junk"}, "another's": {"other-api", access}, "refresh": {"card-api", out["refresh_token"].(string)},
		"id-token": {"card-api", out["id_token"].(string)}, "no resources": {rp, access}, "an answer": {"card-api", w.Body.String()},
	} {
		claims := h.signed(h.introspected(c.asker, signedType, url.Values{"token": {c.token}}).Body.String())
		inside, _ := claims["token_introspection"].(map[string]any)
		if len(inside) != 1 || inside["active"] != false || claims["aud"] != c.asker || len(claims) != 4 {
			t.Errorf("%s: %v", name, claims)
		}
	}
	// Errors are JSON whatever was asked for.
	for name, w := range map[string]*httptest.ResponseRecorder{
		"nobody": h.introspected("", signedType, form), "no token": h.introspected("card-api", signedType, url.Values{}),
		"unknown": h.introspected("nobody", signedType, form),
	} {
		if w.Code < 400 || w.Code >= 500 || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
}

// The algorithm is the asker's, and so is the key where it wants the answer encrypted;
// then it gets no other.
func TestIntrospectionAlgs(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"national","client_name":"National","grant_types":[],"resources":["urn:ecardid:resource:card"],"introspection_signed_response_alg":"SGD_SM3_SM2"}`)
	read := h.decrypting("discreet", `"grant_types":[],"resources":["urn:ecardid:resource:card"],"introspection_encrypted_response_alg":"ECDH-ES"`)
	h.client(`{"client_id":"distant","client_name":"Distant","jwks_uri":"https://rs.example/jwks","grant_types":[],"resources":["urn:ecardid:resource:card"],
		"introspection_encrypted_response_alg":"ECDH-ES"}`)
	form := url.Values{"token": {h.tokens("openid card.basic")["access_token"].(string)}}

	token, err := jose.Parse(h.introspected("national", signedType, form).Body.String())
	if err != nil || token.Header.Alg != jose.SM2 {
		t.Errorf("%+v %v", token.Header, err)
	}
	for _, accept := range []string{signedType, "application/json", ""} {
		w := h.introspected("discreet", accept, form)
		if w.Header().Get("Content-Type") != signedType {
			t.Fatalf("%q: %d %s", accept, w.Code, w.Body)
		}
		inside, _ := h.signed(read(w.Body.String()))["token_introspection"].(map[string]any)
		if inside["active"] != true || inside["scope"] != "card.basic" {
			t.Errorf("%v", inside)
		}
		if w := h.introspected("distant", accept, form); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "active") {
			t.Errorf("%q without a key: %d %s", accept, w.Code, w.Body)
		}
	}
}

// A resource server is told which key a token is bound to, in both forms of token,
// and checks the proof itself (RFC 9449 §6.2).
func TestIntrospectionOfBoundTokens(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"insurance-api","client_name":"API","grant_types":[],"resources":["urn:ecardid:resource:insurance"]}`)
	b, k := h.browser(), h.holder()
	b.sure(h.phone())
	for _, scope := range []string{"openid insurance.read", "openid insurance.pay"} {
		_, out := h.proven(rp, k.forToken(), redeem(b.code(ask("scope", scope))))
		_, seen := h.call("/introspect", "insurance-api", url.Values{"token": {out["access_token"].(string)}})
		bound, _ := seen["cnf"].(map[string]any)
		if seen["token_type"] != "DPoP" || len(bound) != 1 || bound["jkt"] != k.jkt() {
			t.Errorf("%s: %v", scope, seen)
		}
	}
}

// One statement answers, the assertion's one use included, and the second use of an
// assertion is refused whatever the token was (CA2, DESIGN §6).
func TestIntrospectionWithAssertion(t *testing.T) {
	h := newHouse(t)
	h.rp()
	assert := h.asserted("card-api", `"grant_types":["client_credentials"],"scope":"card.status","resources":["urn:ecardid:resource:card"]`)
	insurance := h.asserted("insurance-api", `"grant_types":[],"resources":["urn:ecardid:resource:insurance"]`)
	b := h.browser()
	b.sure(h.phone())
	status, opaque := h.call("/token", rp, redeem(b.code(ask("scope", "openid insurance.pay"))))
	if status != http.StatusOK {
		t.Fatal(opaque)
	}
	machine := jsonOf(t, h.serve(mustRequest(http.MethodPost, "/token", assert(url.Values{"grant_type": {"client_credentials"}}).Encode())))
	for name, c := range map[string]struct {
		assert func(url.Values) url.Values
		token  any
		active bool
	}{
		"jwt":             {assert, h.tokens("openid card.basic")["access_token"], true},
		"opaque":          {insurance, opaque["access_token"], true},
		"client's own":    {assert, machine["access_token"], true},
		"junk":            {assert, "junk", false},
		"unknown handle":  {assert, "eca_" + strings.Repeat("A", 54), false},
		"somebody else's": {assert, opaque["access_token"], false},
	} {
		form := c.assert(url.Values{"token": {c.token.(string)}})
		r := mustRequest(http.MethodPost, "/introspect", form.Encode())
		ctx, count := storage.WithQueryCount(r.Context())
		if w := h.serve(r.WithContext(ctx)); w.Code != http.StatusOK || jsonOf(t, w)["active"] != c.active || count.Trips() != 1 {
			t.Errorf("%s: %d %s after %d statements", name, w.Code, w.Body, count.Trips())
		}
		if w := h.introspected("", "", form); w.Code != http.StatusUnauthorized || jsonOf(t, w)["error"] != "invalid_client" {
			t.Errorf("%s again: %d %s", name, w.Code, w.Body)
		}
	}
	// A request that is refused uses its assertion up as well.
	form := assert(url.Values{})
	for i, want := range []int{http.StatusBadRequest, http.StatusUnauthorized} {
		if w := h.introspected("", "", form); w.Code != want {
			t.Errorf("round %d: %d %s", i, w.Code, w.Body)
		}
	}
}
