package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

// both are the databases, PostgreSQL with two replicas that a walk crosses.
func both(t *testing.T, walk func(t *testing.T, h *house.House, here, there string)) {
	for _, o := range []struct {
		name string
		house.Options
	}{{"postgres", house.Options{Postgres: true, Replicas: 2}}, {"sqlite", house.Options{}}} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			h := house.Open(t, o.Options)
			walk(t, h, h.Replicas[0], h.Replicas[len(h.Replicas)-1])
		})
	}
}

// answered is the one parameter of an answer by JARM, opened.
func answered(t *testing.T, h *house.House, q *house.Request, location string, alg jose.Alg) map[string]any {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, q.Values.Get("redirect_uri")+"?") {
		t.Fatalf("the browser was sent to %q", location)
	}
	if v := u.Query(); len(v) != 1 || v.Get("response") == "" {
		t.Fatalf("beside the signed answer there is %v", v)
	}
	claims := h.Opened(t, u.Query().Get("response"), "JWT", alg)
	if claims["iss"] != h.Issuer || claims["aud"] != q.Relying.ID || claims["state"] != q.Values.Get("state") || claims["exp"] == nil {
		t.Errorf("the signed answer says %v", claims)
	}
	return claims
}

func errorOf(out map[string]any) string { s, _ := out["error"].(string); return s }

// TestFAPI2 is FAPI 2.0 Message Signing from the first push to the last refresh, with
// whatever may go wrong on the way, each step at another replica.
func TestFAPI2(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house.House, here, there string) {
		b := h.Bank(t, "bank", jose.ES256, nil)
		thief := house.NewHolder(t, h)
		q := b.Ask("openid profile insurance.read offline_access", "response_mode", "jwt")
		c, r := h.Citizen(t), h.Robot(t)

		// The front door is shut, and nothing is pushed without a proof of who it is.
		if claims := answered(t, h, q, r.Get(q.Path()).Location, jose.ES256); claims["error"] != "invalid_request" {
			t.Errorf("a request that was not pushed is answered with %v", claims)
		}
		assertion := b.Assertion()
		form := url.Values{"client_id": {b.ID}, "request": {b.Object(q)}, "client_assertion": {assertion}}
		if a, out := b.Post(here, "/par", b.Holder, form); a.Status != http.StatusCreated || a.Header.Get("DPoP-Nonce") == "" {
			t.Fatalf("pushing: %d %v", a.Status, out)
		}
		if a, out := b.Post(there, "/par", b.Holder, form); a.Status != http.StatusUnauthorized || errorOf(out) != "invalid_client" {
			t.Errorf("the same assertion at the other replica: %d %v", a.Status, out)
		}

		handle := b.Push(there, q)
		r.At = here
		a := c.SignIn(r.Get(handle + "&scope=openid&state=forged&redirect_uri=https://evil.test/"))
		if !a.Has("consent-allow") {
			t.Fatalf("no consent page at %s (%d, %s)", a.Path, a.Status, a.Title())
		}
		r.At = there
		a = a.Submit("consent-allow")
		code, _ := answered(t, h, q, a.Location, jose.ES256)["code"].(string)
		if code == "" {
			t.Fatal("no code")
		}
		if a := r.Get(handle); a.Status != http.StatusBadRequest {
			t.Errorf("a handle that was answered: %d", a.Status)
		}

		// Whoever has the code and not the key spends nothing.
		for name, k := range map[string]*house.Holder{"another-key": thief, "no-key": nil} {
			if a, out := b.Redeem(here, k, q, code); a.Status != http.StatusBadRequest {
				t.Errorf("%s: %d %v", name, a.Status, out)
			}
		}
		a, tok := b.Redeem(there, b.Holder, q, code)
		access, _ := tok["access_token"].(string)
		if a.Status != http.StatusOK || tok["token_type"] != "DPoP" || access == "" {
			t.Fatalf("redeeming: %d %v", a.Status, tok)
		}
		id := h.Opened(t, tok["id_token"].(string), "JWT", jose.ES256)
		if id["aud"] != b.ID || id["nonce"] != q.Values.Get("nonce") || id["acr"] != "urn:ecardid:acr:mfa" || id["at_hash"] == nil {
			t.Errorf("the ID token says %v", id)
		}
		if claims := h.Opened(t, access, "at+jwt", jose.ES256); !strings.Contains(text(claims["cnf"]), b.Holder.JKT()) {
			t.Errorf("the access token is bound to %v", claims["cnf"])
		}

		// The token and the proof go together, once.
		endpoint := h.Issuer + "/userinfo"
		proof := b.Holder.Proof(t, http.MethodGet, endpoint, access)
		for _, use := range []struct {
			name, at, scheme, proof string
			want                    int
		}{
			{"bearer", here, "Bearer", "", http.StatusUnauthorized},
			{"bearer-with-proof", here, "Bearer", b.Holder.Proof(t, http.MethodGet, endpoint, access), http.StatusUnauthorized},
			{"no-proof", here, "DPoP", "", http.StatusUnauthorized},
			{"another-key", here, "DPoP", thief.Proof(t, http.MethodGet, endpoint, access), http.StatusUnauthorized},
			{"proof-of-another-token", here, "DPoP", b.Holder.Proof(t, http.MethodGet, endpoint, access+"x"), http.StatusUnauthorized},
			{"right", here, "DPoP", proof, http.StatusOK},
			{"replayed-at-the-other", there, "DPoP", proof, http.StatusUnauthorized},
		} {
			status, claims := b.Userinfo(use.at, use.scheme, access, use.proof)
			if status != use.want || status == http.StatusOK && (claims["sub"] != id["sub"] || claims["name"] != c.Name) {
				t.Errorf("userinfo, %s: %d %v", use.name, status, claims)
			}
		}

		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
		if a, out := b.Post(here, "/token", nil, refresh); a.Status != http.StatusBadRequest {
			t.Errorf("a refresh without a key: %d %v", a.Status, out)
		}
		a, fresh := b.Post(there, "/token", b.Holder, refresh)
		if a.Status != http.StatusOK || fresh["token_type"] != "DPoP" {
			t.Fatalf("refreshing: %d %v", a.Status, fresh)
		}

		// The code comes back with everything right: what it gave is dead everywhere.
		if a, out := b.Redeem(here, b.Holder, q, code); a.Status != http.StatusBadRequest || errorOf(out) != "invalid_grant" {
			t.Errorf("a code that comes back: %d %v", a.Status, out)
		}
		access = fresh["access_token"].(string)
		if status, _ := b.Userinfo(there, "DPoP", access, b.Holder.Proof(t, http.MethodGet, endpoint, access)); status != http.StatusUnauthorized {
			t.Errorf("after that userinfo answers %d", status)
		}
		if a, _ := b.Post(there, "/token", b.Holder, refresh); a.Status != http.StatusBadRequest {
			t.Errorf("after that a refresh is answered with %d", a.Status)
		}

		// No is an answer that is signed as well.
		q = b.Ask("openid phone", "response_mode", "jwt")
		a = r.Get(b.Push(here, q)).Submit("consent-deny")
		if claims := answered(t, h, q, a.Location, jose.ES256); claims["error"] != "access_denied" || claims["code"] != nil {
			t.Errorf("a refused consent is answered with %v", claims)
		}
	})
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// TestNational walks with SM2 wherever a signature is made: who the client is, what it
// asks, what it is answered, and its tokens.
func TestNational(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house.House, here, there string) {
		sm2 := string(jose.SM2)
		b := h.Bank(t, "bureau", jose.SM2, map[string]any{
			"profile": "oauth21", "token_endpoint_auth_signing_alg": sm2, "request_object_signing_alg": sm2, "require_signed_request_object": true,
			"id_token_signed_response_alg": sm2, "access_token_signed_response_alg": sm2, "authorization_signed_response_alg": sm2,
			"userinfo_signed_response_alg": sm2, "introspection_signed_response_alg": sm2,
			"resources": []string{"urn:ecardid:resource:insurance"},
		})
		q := b.Ask("openid profile insurance.read", "response_mode", "query.jwt")
		c, r := h.Citizen(t), h.Robot(t)
		if claims := answered(t, h, q, r.Get(q.Path()).Location, jose.SM2); claims["error"] != "invalid_request" {
			t.Errorf("a request that is not signed is answered with %v", claims)
		}
		a := c.SignIn(r.Get("/authorize?" + url.Values{"client_id": {b.ID}, "request": {b.Object(q)}}.Encode()))
		a = a.Submit("consent-allow")
		code, _ := answered(t, h, q, a.Location, jose.SM2)["code"].(string)
		a, tok := b.Redeem(there, nil, q, code)
		if a.Status != http.StatusOK || tok["token_type"] != "Bearer" {
			t.Fatalf("redeeming: %d %v", a.Status, tok)
		}
		access := tok["access_token"].(string)
		id := h.Opened(t, tok["id_token"].(string), "JWT", jose.SM2)
		if id["nonce"] != q.Values.Get("nonce") || id["at_hash"] != jose.HalfHash(jose.SM2, access) {
			t.Errorf("the ID token says %v", id)
		}
		if claims := h.Opened(t, access, "at+jwt", jose.SM2); claims["client_id"] != b.ID {
			t.Errorf("the access token says %v", claims)
		}
		user := h.Robot(t).Raw(http.MethodGet, "/userinfo", "", nil, http.Header{"Authorization": {"Bearer " + access}})
		if claims := h.Opened(t, user.Body, "", jose.SM2); claims["name"] != c.Name || claims["sub"] != id["sub"] {
			t.Errorf("userinfo says %v", claims)
		}
		asked := h.Robot(t)
		asked.At = here
		form := url.Values{
			"token": {access}, "client_assertion": {b.Assertion()},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}
		seen := asked.Raw(http.MethodPost, "/introspect", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()),
			http.Header{"Accept": {"application/token-introspection+jwt"}})
		if claims := h.Opened(t, seen.Body, "token-introspection+jwt", jose.SM2); !strings.Contains(text(claims["token_introspection"]), `"active":true`) {
			t.Errorf("introspection says %v", claims)
		}
		// Libraries that know no SM2 are not shown a key they would choke on.
		var published struct {
			Keys []struct {
				Crv string `json:"crv"`
			} `json:"keys"`
		}
		if err := json.Unmarshal([]byte(r.Get("/jwks").Body), &published); err != nil || len(published.Keys) == 0 {
			t.Fatalf("jwks: %v", err)
		}
		if slices.ContainsFunc(published.Keys, func(k struct {
			Crv string `json:"crv"`
		}) bool {
			return k.Crv == "SM2"
		}) {
			t.Error("an SM2 key is in jwks_uri")
		}
	})
}
