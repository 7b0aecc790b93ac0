package pension

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/internal/jose"
	"ecardid/internal/proof"
)

// proved reads the proof of a request with the reader that the server has, and
// reports whether the nonce is the one that is wanted.
func (w *world) proved(r *http.Request, access string) bool {
	p, err := proof.Read(r.Header.Get("DPoP"))
	if err == nil {
		err = p.Check(r.Method, access)
	}
	if err == nil {
		_, err = p.Fresh(proof.Age, w.clock.Now())
	}
	if err != nil || !proof.Same(p.URL, w.op.URL+r.URL.Path) {
		w.t.Errorf("%s: proof for %s: %v", r.URL.Path, p.URL, err)
	}
	w.jkt = p.JKT
	return access != "" || p.Nonce == w.nonce
}

// client checks the assertion that came with a form.
func (w *world) client(r *http.Request) {
	claims := w.signed(r.PostForm.Get("client_assertion"), "JWT")
	if claims["iss"] != "pension-counter" || claims["sub"] != "pension-counter" || claims["aud"] != w.op.URL || w.asserted[claims["jti"].(string)] {
		w.t.Errorf("%s: asserted %v", r.URL.Path, claims)
	}
	if w.asserted == nil {
		w.asserted = map[string]bool{}
	}
	w.asserted[claims["jti"].(string)] = true
}

func (w *world) signed(text, typ string) map[string]any {
	token, err := jose.Parse(text)
	if err != nil {
		w.t.Errorf("not signed: %v", err)
		return nil
	}
	verified, err := token.VerifyKey(w.counter, jose.ES256)
	if err != nil || !token.Header.Is(typ) || token.Header.KeyID != "c1" {
		w.t.Errorf("signed as %+v: %v", token.Header, err)
		return nil
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		w.t.Error(err)
	}
	return claims
}

func say(rw http.ResponseWriter, status int, v map[string]any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("DPoP-Nonce", "fresh")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(v)
}

func (w *world) servePush(rw http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		w.t.Error(err)
	}
	w.client(r)
	if !w.proved(r, "") {
		say(rw, http.StatusBadRequest, map[string]any{"error": "use_dpop_nonce"})
		return
	}
	if w.refused || len(r.PostForm) != 4 {
		say(rw, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	}
	w.pushed = w.signed(r.PostForm.Get("request"), "oauth-authz-req+jwt")
	say(rw, http.StatusCreated, map[string]any{"request_uri": "urn:ietf:params:oauth:request_uri:r1", "expires_in": 60})
}

func (w *world) servePaid(rw http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		w.t.Error(err)
	}
	w.client(r)
	if !w.proved(r, "") {
		say(rw, http.StatusBadRequest, map[string]any{"error": "use_dpop_nonce"})
		return
	}
	w.posted = r.PostForm
	now := w.clock.Now()
	all := map[string]any{
		"iss": w.op.URL, "sub": "s1", "aud": "pension-counter", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(),
		"nonce": w.pushed["nonce"], "acr": "urn:ecardid:acr:bound",
	}
	for k, v := range w.claims {
		all[k] = v
	}
	id, err := jose.Sign(w.key, "JWT", all)
	if err != nil {
		w.t.Error(err)
	}
	out := map[string]any{"access_token": "bound", "token_type": "DPoP", "id_token": id, "authorization_details": w.pushed["authorization_details"]}
	for k, v := range w.token {
		out[k] = v
	}
	say(rw, http.StatusOK, out)
}

func TestPaying(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(w *world, q url.Values)
		code   string
		claims map[string]any
		token  map[string]any
	}{
		{name: "right"},
		{name: "nonce-wanted", spoil: func(w *world, _ url.Values) { w.nonce = "fresh" }},
		{name: "another-nonce", claims: map[string]any{"nonce": "n"}, code: "payment"},
		{name: "not-sure", claims: map[string]any{"acr": "urn:ecardid:acr:mfa"}, code: "payment"},
		{name: "another-audience", claims: map[string]any{"aud": "pension-office"}, code: "payment"},
		{name: "not-bound", token: map[string]any{"token_type": "Bearer"}, code: "payment"},
		{name: "no-details", token: map[string]any{"authorization_details": nil}, code: "payment"},
		{name: "another-amount", token: map[string]any{"authorization_details": []any{map[string]any{
			"type": "insurance_payment", "amount": map[string]any{"currency": "CNY", "value": "8650.00"}, "payee": map[string]any{"name": "示例医院（演示）"},
		}}}, code: "payment"},
		{name: "another-issuer", spoil: func(_ *world, q url.Values) { q.Set("iss", "https://op.example") }, code: "issuer"},
		{name: "another-state", spoil: func(_ *world, q url.Values) { q.Set("state", "s") }, code: "state"},
		{name: "denied", spoil: func(_ *world, q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, code: "access_denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.claims, w.token = c.claims, c.token
			resp, text := w.press("/pay", nil)
			if to := resp.Header.Get("Location"); to != w.op.URL+"/authorize?client_id=pension-counter&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ar1" {
				t.Fatalf("%d to %q: %s", resp.StatusCode, to, text)
			}
			details, _ := json.Marshal(w.pushed["authorization_details"])
			if !strings.Contains(string(details), `"value":"86.50"`) || w.pushed["aud"] != w.op.URL || w.pushed["redirect_uri"] != w.office.URL+PayCallbackPath {
				t.Errorf("pushed %v", w.pushed)
			}
			q := url.Values{"code": {"c1"}, "iss": {w.op.URL}, "state": {w.pushed["state"].(string)}}
			if c.spoil != nil {
				c.spoil(w, q)
			}
			// An answer to a payment signs nobody in.
			if c.name == "right" {
				if resp, _ := w.get("/callback?" + url.Values{"state": {"x"}, "code": {"c1"}, "iss": {w.op.URL}}.Encode()); resp.StatusCode != http.StatusBadRequest {
					t.Errorf("signed in: %d", resp.StatusCode)
				}
			}
			resp, text = w.get(PayCallbackPath + "?" + q.Encode())
			if c.code != "" {
				if !strings.Contains(text, `data-code="`+c.code+`"`) || strings.Contains(text, `id="payment"`) {
					t.Errorf("%d: %s", resp.StatusCode, text)
				}
				return
			}
			if resp.StatusCode != http.StatusSeeOther {
				t.Fatalf("%d: %s", resp.StatusCode, text)
			}
			w.home(`<dd id="paid-amount">¥86.50</dd>`)
			w.home(`<dd id="paid-jkt">` + w.jkt + `</dd>`)
		})
	}
	w := newWorld(t)
	w.refused = true
	if resp, text := w.press("/pay", nil); resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, `data-code="push"`) {
		t.Errorf("a refused push: %d", resp.StatusCode)
	}
}
