package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/provider"
)

const jarmModes = `,"response_modes":["query","jwt","query.jwt","form_post.jwt"]`

// opened reads a signed answer as its client would.
func (h *house) opened(response string, algs ...jose.Alg) map[string]any {
	h.t.Helper()
	path := "/jwks"
	if len(algs) > 0 && algs[0] == jose.SM2 {
		path = "/sm2-jwks"
	}
	set, err := jose.ParseSet(h.browser().get(path).Body.Bytes())
	if err != nil {
		h.t.Fatal(err)
	}
	token, err := jose.Parse(response)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(algs) == 0 {
		algs = []jose.Alg{jose.ES256}
	}
	verified, err := token.Verify(set, algs...)
	if err != nil || token.Header.KeyID == "" || !token.Header.Is("JWT") {
		h.t.Fatalf("%+v: %v", token.Header, err)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		h.t.Fatal(err)
	}
	if claims["iss"] != issuer {
		h.t.Errorf("iss is %v", claims["iss"])
	}
	return claims
}

// lone is the one parameter of a signed answer in a URL.
func lone(t *testing.T, location string) string {
	t.Helper()
	rest, ok := strings.CutPrefix(location, callback+"&")
	v, err := url.ParseQuery(rest)
	if !ok || err != nil || len(v) != 1 || v.Get("response") == "" {
		t.Fatalf("sent to %q", location)
	}
	return v.Get("response")
}

// A signed answer says in a JWT what it would say in a URL, and nothing beside it.
func TestSignedAnswer(t *testing.T) {
	h := newHouse(t)
	bank := h.bank("bank", jarmModes)
	b := h.browser()
	b.signIn(0, password(), totp())
	push := func(changes ...string) string {
		t.Helper()
		status, out := bank.push(bank.asserted(ask(append([]string{"client_id", "bank"}, changes...)...)))
		if status != http.StatusCreated {
			t.Fatalf("%d %v", status, out)
		}
		return front("bank", out["request_uri"].(string))
	}
	w := b.get(push("response_mode", "jwt"))
	w = b.consent(w.Header().Get("Location"), "consent-allow")
	claims := h.opened(lone(t, w.Header().Get("Location")))
	if exp := int64(claims["exp"].(float64)) - h.clock.Now().Unix(); exp <= 0 || exp > 600 {
		t.Errorf("good for %d s", exp)
	}
	if !strings.HasPrefix(claims["code"].(string), "ecc_") {
		t.Errorf("claims %v", claims)
	}
	golden(t, "jarm_code", claims, "code")

	t.Run("query.jwt", func(t *testing.T) {
		claims := h.opened(lone(t, b.get(push("response_mode", "query.jwt", "state", "-")).Header().Get("Location")))
		if _, state := claims["state"]; state || claims["code"] == nil || claims["aud"] != "bank" {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("form_post.jwt", func(t *testing.T) {
		w := b.get(push("response_mode", "form_post.jwt"))
		form := h.pages.form
		if w.Code != http.StatusOK || form == nil || form.Action != callback || len(form.Fields) != 1 || form.Fields[0].Name != "response" {
			t.Fatalf("%d %+v", w.Code, form)
		}
		if claims := h.opened(form.Fields[0].Value); claims["code"] == nil || claims["state"] != "s t&a=te" {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("long-state", func(t *testing.T) {
		state := strings.Repeat("中<&\"", 680) // 4080 bytes
		if claims := h.opened(lone(t, b.get(push("response_mode", "jwt", "state", state)).Header().Get("Location"))); claims["state"] != state {
			t.Error("the state did not come back")
		}
	})
	t.Run("error", func(t *testing.T) {
		at := push("response_mode", "jwt", "prompt", "consent")
		w := b.get(at)
		claims := h.opened(lone(t, b.consent(w.Header().Get("Location"), "consent-deny").Header().Get("Location")))
		delete(claims, "error_description")
		golden(t, "jarm_error", claims)
	})
	t.Run("error-of-the-request", func(t *testing.T) {
		// Not pushed: refused in the mode that was asked for, since it is registered.
		w := b.get("/authorize?" + ask("client_id", "bank", "response_mode", "jwt").Encode())
		if claims := h.opened(lone(t, w.Header().Get("Location"))); claims["error"] != "invalid_request" {
			t.Errorf("claims %v", claims)
		}
	})
}

// without is a ring that has no key for one algorithm yet.
type without struct {
	provider.Keys
	alg jose.Alg
}

func (w without) Signer(alg jose.Alg) (jose.Key, error) {
	if alg == w.alg {
		return jose.Key{}, identity.ErrNotFound
	}
	return w.Keys.Signer(alg)
}

// The algorithm is the registered one; a client that answers may only come signed is
// told nothing unsigned.
func TestSignedAnswerAlgorithm(t *testing.T) {
	h := newHouse(t, func(c *provider.Config) { c.Keys = without{c.Keys, jose.PS256} })
	register := func(id, more string) {
		h.client(`{"client_id":"` + id + `","client_name":"X","redirect_uris":["` + callback + `"],"scope":"openid"` + more + `}`)
	}
	register("national", jarmModes+`,"authorization_signed_response_alg":"SGD_SM3_SM2"`)
	register("keyless", jarmModes+`,"authorization_signed_response_alg":"PS256"`)
	register("strict", `,"response_modes":["jwt"]`)
	b := h.browser()
	b.signIn(0, password(), totp())
	with := func(id string, changes ...string) url.Values {
		return ask(append([]string{"client_id", id, "scope", "openid"}, changes...)...)
	}
	w := b.get("/authorize?" + with("national", "response_mode", "jwt").Encode())
	w = b.consent(w.Header().Get("Location"), "consent-allow")
	if claims := h.opened(lone(t, w.Header().Get("Location")), jose.SM2); claims["code"] == nil {
		t.Errorf("claims %v", claims)
	}

	// No key for it yet: nothing is issued and nothing said unsigned.
	at := "/authorize?" + with("keyless", "response_mode", "jwt").Encode()
	r := mustRequest(http.MethodGet, at, "")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	unsigned := h.serve(r)
	if unsigned.Code != http.StatusServiceUnavailable || unsigned.Header().Get("Location") != "" || h.pages.fault == nil || h.pages.fault.Fault != oauth.FaultBusy {
		t.Errorf("%d to %q, %+v", unsigned.Code, unsigned.Header().Get("Location"), h.pages.fault)
	}

	// A mode that is not registered is refused, the default one as well.
	w = b.get("/authorize?" + with("strict").Encode())
	if claims := h.opened(lone(t, w.Header().Get("Location"))); claims["error"] != "unsupported_response_mode" {
		t.Errorf("claims %v", claims)
	}
	w = b.get("/authorize?" + with("strict", "response_mode", "query").Encode())
	if claims := h.opened(lone(t, w.Header().Get("Location"))); claims["error"] != "unsupported_response_mode" {
		t.Errorf("claims %v", claims)
	}
}
