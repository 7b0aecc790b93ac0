package provider_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/internal/jose"
)

// object signs a request as a request object, with changes; nil takes a claim away.
func (b institution) object(v url.Values, changes map[string]any) string {
	b.h.t.Helper()
	now := b.h.clock.Now()
	claims := map[string]any{"iss": b.id, "aud": issuer, "exp": now.Add(5 * time.Minute).Unix(), "nbf": now.Unix()}
	for name := range v {
		claims[name] = v.Get(name)
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	object, err := jose.Sign(b.key, "oauth-authz-req+jwt", claims)
	if err != nil {
		b.h.t.Fatal(err)
	}
	return object
}

// Only what is inside counts, at both endpoints (CO4).
func TestRequestObject(t *testing.T) {
	h := newHouse(t)
	bank := h.bank("bank", "")
	signer := h.bank("signer", `,"profile":"oauth21"`)
	b := h.browser()
	b.signIn(0, password(), totp())
	outside := func(id, object string) url.Values {
		return url.Values{
			"client_id": {id}, "request": {object}, "state": {"outside"}, "scope": {"openid profile"}, "response_type": {"token"},
			"redirect_uri": {"https://rp.example/other"}, "prompt": {"none"}, "response_mode": {"form_post"}, "nonce": {"outside"},
		}
	}
	finish := func(to string) url.Values {
		t.Helper()
		if !strings.HasPrefix(to, "/consent?") {
			t.Fatalf("sent to %q", to)
		}
		return answer(t, b.consent(to, "consent-allow"))
	}
	inside := func(id string) url.Values { return ask("client_id", id, "prompt", "consent") }

	t.Run("pushed", func(t *testing.T) {
		status, out := bank.push(bank.asserted(outside("bank", bank.object(inside("bank"), nil))))
		if status != http.StatusCreated {
			t.Fatalf("%d %v", status, out)
		}
		got := finish(b.get(front("bank", out["request_uri"].(string))).Header().Get("Location"))
		if got.Get("state") != "s t&a=te" || got.Get("code") == "" {
			t.Errorf("answered %v", got)
		}
	})
	t.Run("get", func(t *testing.T) {
		w := b.get("/authorize?" + outside("signer", signer.object(inside("signer"), nil)).Encode())
		if got := finish(w.Header().Get("Location")); got.Get("state") != "s t&a=te" || got.Get("code") == "" {
			t.Errorf("answered %v", got)
		}
	})
	t.Run("post", func(t *testing.T) {
		w := h.browser().post("/authorize", outside("signer", signer.object(inside("signer"), nil)))
		w = b.get(w.Header().Get("Location"))
		if got := finish(w.Header().Get("Location")); got.Get("state") != "s t&a=te" || got.Get("code") == "" {
			t.Errorf("answered %v", got)
		}
	})
	t.Run("no-state-inside", func(t *testing.T) {
		w := b.get("/authorize?" + outside("signer", signer.object(inside("signer"), map[string]any{"state": nil})).Encode())
		if got := finish(w.Header().Get("Location")); got.Has("state") || got.Get("code") == "" {
			t.Errorf("answered %v", got)
		}
	})
	t.Run("structures", func(t *testing.T) {
		changes := map[string]any{
			"max_age": 10, "prompt": nil,
			"claims": json.RawMessage(`{"id_token":{"acr":{"essential":true,"values":["urn:ecardid:acr:bound"]}}}`),
		}
		b.get("/authorize?" + outside("signer", signer.object(inside("signer"), changes)).Encode())
		need := h.logins.last(t).need
		if need.Level.ACR() != "urn:ecardid:acr:bound" || !need.Since.Equal(h.clock.Now().Add(-10*time.Second)) {
			t.Errorf("need is %+v", need)
		}
	})
	t.Run("error-inside", func(t *testing.T) {
		// The object is right, so it says where its error goes, and how.
		w := b.get("/authorize?" + outside("signer", signer.object(inside("signer"), map[string]any{"prompt": "create"})).Encode())
		if got := answer(t, w); got.Get("error") != "invalid_request" || got.Get("state") != "s t&a=te" {
			t.Errorf("answered %v", got)
		}
	})
}

// What is not right names nobody to be answered.
func TestRequestObjectRefused(t *testing.T) {
	h := newHouse(t)
	bank := h.bank("bank", "")
	other := h.bank("other", "")
	signer := h.bank("signer", `,"profile":"oauth21"`)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	at := func(d time.Duration) int64 { return h.clock.Now().Add(d).Unix() }
	for _, c := range []struct {
		name    string
		by      institution
		changes map[string]any
	}{
		{"signed-by-another", other, nil},
		{"no-exp", bank, map[string]any{"exp": nil}},
		{"no-nbf", bank, map[string]any{"nbf": nil}},
		{"expired", bank, map[string]any{"exp": at(-time.Minute)}},
		{"exp-70m", bank, map[string]any{"exp": at(70 * time.Minute)}},
		{"nbf-70m", bank, map[string]any{"nbf": at(-70 * time.Minute)}},
		{"aud", bank, map[string]any{"aud": "https://other.example"}},
		{"iss", bank, map[string]any{"iss": "other"}},
		{"client-id", bank, map[string]any{"client_id": "other"}},
		{"sub", bank, map[string]any{"sub": "bank"}},
		{"request-uri-inside", bank, map[string]any{"request_uri": "urn:ietf:params:oauth:request_uri:x"}},
		{"request-inside", bank, map[string]any{"request": "a.b.c"}},
		{"scope-number", bank, map[string]any{"scope": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			object := bank.object
			if c.by.id != "bank" {
				forger := bank
				forger.key = c.by.key
				object = forger.object
			}
			v := url.Values{"client_id": {"bank"}, "request": {object(ask("client_id", "bank"), c.changes)}}
			status, out := bank.push(bank.asserted(v))
			if status != http.StatusBadRequest || out["error"] != "invalid_request_object" {
				t.Errorf("%d %v", status, out)
			}
			// On the front channel it is a page, whatever redirect_uri stands beside it.
			v.Set("redirect_uri", callback)
			w := b.get("/authorize?" + v.Encode())
			if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || h.pages.fault == nil || h.pages.fault.Code != "invalid_request_object" {
				t.Errorf("%d to %q, %+v", w.Code, w.Header().Get("Location"), h.pages.fault)
			}
		})
	}
	t.Run("nbf-8s-ahead", func(t *testing.T) {
		v := url.Values{"client_id": {"bank"}, "request": {bank.object(ask("client_id", "bank"), map[string]any{"nbf": at(8 * time.Second), "aud": []string{"x", issuer}})}}
		if status, out := bank.push(bank.asserted(v)); status != http.StatusCreated {
			t.Errorf("%d %v", status, out)
		}
	})
	t.Run("an-assertion-is-no-object", func(t *testing.T) {
		v := url.Values{"client_id": {"bank"}, "request": {bank.asserted(url.Values{}).Get("client_assertion")}}
		if status, out := bank.push(bank.asserted(v)); status != http.StatusBadRequest || out["error"] != "invalid_request_object" {
			t.Errorf("%d %v", status, out)
		}
	})
	t.Run("client-without-keys", func(t *testing.T) {
		v := url.Values{"client_id": {rp}, "request": {bank.object(ask(), map[string]any{"iss": rp})}}
		if status, out := h.call("/par", rp, v); status != http.StatusBadRequest || out["error"] != "invalid_request_object" {
			t.Errorf("%d %v", status, out)
		}
	})
	t.Run("unpushed", func(t *testing.T) {
		// Signed is not pushed.
		w := b.get("/authorize?" + url.Values{"client_id": {"bank"}, "request": {bank.object(ask("client_id", "bank"), nil)}}.Encode())
		if got := answer(t, w); got.Get("error") != "invalid_request" {
			t.Errorf("answered %v", got)
		}
	})
	t.Run("no-client-outside", func(t *testing.T) {
		w := b.get("/authorize?" + url.Values{"request": {signer.object(ask("client_id", "signer"), nil)}}.Encode())
		if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
			t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
		}
	})
	t.Run("request-and-url", func(t *testing.T) {
		v := url.Values{"client_id": {"signer"}, "request": {signer.object(ask("client_id", "signer"), nil)}, "request_uri": {"https://rp.example/object"}}
		if w := b.get("/authorize?" + v.Encode()); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
			t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
		}
	})
}

// A client that signs its requests does so always (RFC 9101 §10.5).
func TestSigningIsHeld(t *testing.T) {
	h := newHouse(t)
	bank := h.bank("bank", `,"require_signed_request_object":true,"request_object_signing_alg":"ES256"`)
	signer := h.bank("signer", `,"profile":"oauth21","require_signed_request_object":true`)
	b := h.browser()
	b.signIn(0, password(), totp())
	if status, out := bank.push(bank.asserted(ask("client_id", "bank"))); status != http.StatusBadRequest || out["error"] != "invalid_request" {
		t.Errorf("plain: %d %v", status, out)
	}
	if got := answer(t, b.get("/authorize?"+ask("client_id", "signer").Encode())); got.Get("error") != "invalid_request" {
		t.Errorf("plain: %v", got)
	}
	// Signed once, it may be interrupted by a login and taken up again.
	delete(b.cookies, loginCookie)
	b.get("/authorize?" + url.Values{"client_id": {"signer"}, "request": {signer.object(ask("client_id", "signer"), nil)}}.Encode())
	b.signIn(0, password(), totp())
	w := b.get(h.logins.last(t).back)
	if got := answer(t, b.consent(w.Header().Get("Location"), "consent-allow")); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}
}
