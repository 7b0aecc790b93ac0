package provider_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
)

// The form is read strictly (G8, DS1).
func TestTokenForm(t *testing.T) {
	h := newHouse(t)
	h.rp()
	body := redeem("x").Encode()
	for name, r := range map[string]*http.Request{
		"json":          withType(mustRequest(http.MethodPost, "/token", `{}`), "application/json"),
		"multipart":     withType(mustRequest(http.MethodPost, "/token", body), "multipart/form-data; boundary=x"),
		"latin1":        withType(mustRequest(http.MethodPost, "/token", body), "application/x-www-form-urlencoded; charset=iso-8859-1"),
		"url-parameter": mustRequest(http.MethodPost, "/token?code=x", body),
		"url-empty":     mustRequest(http.MethodPost, "/token?client_secret=", body),
		"url-password":  mustRequest(http.MethodPost, "/token?password", body),
		"url-code":      mustRequest(http.MethodPost, "/token?code=", body),
		"url-access":    mustRequest(http.MethodPost, "/token?access_token=x", body),
		"url-secret":    mustRequest(http.MethodPost, "/token?client_secret=x", body),
		"twice":         mustRequest(http.MethodPost, "/token", body+"&code=y"),
		"scope-twice":   mustRequest(http.MethodPost, "/token", body+"&scope=&scope="),
		"too-many":      mustRequest(http.MethodPost, "/token", body+strings.Repeat("&a=b", 100)),
		"too-long":      mustRequest(http.MethodPost, "/token", body+"&a="+strings.Repeat("x", 64<<10)),
		"not-utf8":      mustRequest(http.MethodPost, "/token", body+"&scope=%ff"),
	} {
		t.Run(name, func(t *testing.T) {
			r.SetBasicAuth(rp, h.secretOf[rp])
			w := h.browser().do(r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"invalid_request"`) || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if w := h.browser().get("/token?" + body); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}
}

func withType(r *http.Request, media string) *http.Request {
	r.Header.Set("Content-Type", media)
	return r
}

// Exactly one method, and the registered one (CA1).
func TestClientAuthentication(t *testing.T) {
	h := newHouse(t)
	const rest = `"client_name":"X","redirect_uris":["https://x.example/cb"],"scope":"openid"}`
	h.client(`{"client_id":"basic",` + rest)
	h.client(`{"client_id":"in-body","token_endpoint_auth_method":"client_secret_post",` + rest)
	h.client(`{"client_id":"public","token_endpoint_auth_method":"none",` + rest)
	key, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	h.client(`{"client_id":"keyed","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + string(jwk) + `]},` + rest)
	now := h.clock.Now()
	assert := func(key jose.Key, change func(map[string]any)) url.Values {
		claims := map[string]any{"iss": "keyed", "sub": "keyed", "aud": issuer, "jti": identity.NewID().String(),
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
		change(claims)
		token, err := jose.Sign(key, "JWT", claims)
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"client_assertion": {token}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	}
	as := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
	}
	with := func(v url.Values, more ...string) url.Values {
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	none := func(map[string]any) {}
	typed := func(typ string) url.Values {
		token, err := jose.Sign(key, typ, map[string]any{"iss": "keyed", "sub": "keyed", "aud": issuer, "jti": identity.NewID().String(),
			"exp": now.Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		v := assert(key, none)
		v.Set("client_assertion", token)
		return v
	}
	once := assert(key, none)
	stranger, _ := jose.Generate(jose.ES256, "k1")
	for _, c := range []struct {
		name   string
		header []string
		form   url.Values
		want   string // "" is authenticated, and the code is then wrong
	}{
		{"basic", []string{as("basic", h.secretOf["basic"])}, url.Values{}, ""},
		{"basic-and-same-id", []string{as("basic", h.secretOf["basic"])}, url.Values{"client_id": {"basic"}}, ""},
		{"post", nil, url.Values{"client_id": {"in-body"}, "client_secret": {h.secretOf["in-body"]}}, ""},
		{"public", nil, url.Values{"client_id": {"public"}}, ""},
		{"assertion", nil, once, ""},
		{"assertion-replayed", nil, once, "invalid_client"},
		{"assertion-clock-8s-ahead", nil, assert(key, func(c map[string]any) { c["iat"] = now.Add(8 * time.Second).Unix() }), ""},
		{"assertion-clock-60s-ahead", nil, assert(key, func(c map[string]any) { c["iat"] = now.Add(time.Minute).Unix() }), "invalid_client"},
		{"assertion-audience-array", nil, assert(key, func(c map[string]any) { c["aud"] = []string{issuer} }), "invalid_client"},
		{"assertion-audience-endpoint", nil, assert(key, func(c map[string]any) { c["aud"] = issuer + "/token" }), "invalid_client"},
		{"assertion-expired", nil, assert(key, func(c map[string]any) { c["exp"] = now.Add(-time.Minute).Unix() }), "invalid_client"},
		{"assertion-too-long", nil, assert(key, func(c map[string]any) { c["exp"] = now.Add(time.Hour).Unix() }), "invalid_client"},
		{"assertion-no-exp", nil, assert(key, func(c map[string]any) { delete(c, "exp") }), "invalid_client"},
		{"assertion-no-jti", nil, assert(key, func(c map[string]any) { delete(c, "jti") }), "invalid_client"},
		{"assertion-other-sub", nil, assert(key, func(c map[string]any) { c["sub"] = "basic" }), "invalid_client"},
		{"assertion-strange-key", nil, assert(stranger, none), "invalid_client"},
		{"assertion-and-secret", nil, with(assert(key, none), "client_secret", "x"), "invalid_request"},
		{"assertion-and-basic", []string{as("keyed", "x")}, assert(key, none), "invalid_request"},
		{"assertion-and-other-id", nil, with(assert(key, none), "client_id", "public"), "invalid_client"},
		{"assertion-type", nil, with(assert(key, none), "client_assertion_type", "x"), "invalid_request"},
		{"nothing", nil, url.Values{}, "invalid_client"},
		{"no-secret", nil, url.Values{"client_id": {"basic"}}, "invalid_client"},
		{"empty-secret", nil, url.Values{"client_id": {"in-body"}, "client_secret": {""}}, "invalid_client"},
		{"empty-basic-secret", []string{as("basic", "")}, url.Values{}, "invalid_client"},
		{"wrong-secret", []string{as("basic", "x")}, url.Values{}, "invalid_client"},
		{"secret-of-another", []string{as("basic", h.secretOf["in-body"])}, url.Values{}, "invalid_client"},
		{"basic-and-body", []string{as("basic", h.secretOf["basic"])}, url.Values{"client_secret": {"x"}}, "invalid_request"},
		{"basic-and-empty-body", []string{as("basic", h.secretOf["basic"])}, url.Values{"client_secret": {""}}, "invalid_request"},
		{"assertion-and-empty-secret", nil, with(assert(key, none), "client_secret", ""), "invalid_request"},
		{"assertion-as-access-token", nil, typed("at+jwt"), "invalid_client"},
		{"assertion-of-its-own-type", nil, typed("client-authentication+jwt"), ""},
		{"assertion-without-iat", nil, assert(key, func(c map[string]any) { delete(c, "iat") }), ""},
		{"two-ids", []string{as("basic", h.secretOf["basic"])}, url.Values{"client_id": {"public"}}, "invalid_client"},
		{"two-headers", []string{as("basic", "x"), as("basic", h.secretOf["basic"])}, url.Values{}, "invalid_request"},
		{"not-the-registered-method", nil, url.Values{"client_id": {"basic"}, "client_secret": {h.secretOf["basic"]}}, "invalid_client"},
		{"public-with-secret", nil, url.Values{"client_id": {"public"}, "client_secret": {"x"}}, "invalid_client"},
		{"keyed-without-key", nil, url.Values{"client_id": {"keyed"}}, "invalid_client"},
		{"unknown", nil, url.Values{"client_id": {"nobody"}}, "invalid_client"},
		{"bearer", []string{"Bearer x"}, url.Values{}, "invalid_client"},
		{"junk", []string{"Basic %%%"}, url.Values{}, "invalid_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "code_verifier": {verifier}}
			for k, v := range c.form {
				form[k] = v
			}
			r := mustRequest(http.MethodPost, "/token", form.Encode())
			r.RemoteAddr = c.name + ":1" // each its own source for the throttle
			r.Header["Authorization"] = c.header
			w := h.browser().do(r)
			want := c.want
			if want == "" {
				want = "invalid_grant"
			}
			if !strings.Contains(w.Body.String(), `"error":"`+want+`"`) {
				t.Errorf("%d %s, want %s", w.Code, w.Body, want)
			}
			if (w.Code == http.StatusUnauthorized) != strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%d with challenge %q", w.Code, w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// Guesses are throttled per client and source (CA4): others are not locked out.
func TestGuesses(t *testing.T) {
	h := newHouse(t)
	h.rp()
	try := func(source, secret string) int {
		r := mustRequest(http.MethodPost, "/token", redeem("x").Encode())
		r.RemoteAddr = source + ":1"
		r.SetBasicAuth(rp, secret)
		return h.browser().do(r).Code
	}
	for range 10 * len(h.stores) { // each replica counts for itself
		if got := try("192.0.2.1", "guess"); got != http.StatusUnauthorized {
			t.Fatalf("status %d", got)
		}
	}
	for _, secret := range []string{"guess", h.secretOf[rp]} {
		if got := try("192.0.2.1", secret); got != http.StatusTooManyRequests {
			t.Errorf("throttled: %d", got)
		}
	}
	if got := try("192.0.2.2", h.secretOf[rp]); got != http.StatusBadRequest {
		t.Errorf("the client itself: %d", got)
	}
	h.clock.Advance(time.Minute)
	if got := try("192.0.2.1", h.secretOf[rp]); got != http.StatusBadRequest {
		t.Errorf("a minute later: %d", got)
	}
}

// Who signs with the right key guesses nothing, however often it is refused (CA4).
func TestReplaysAreNoGuesses(t *testing.T) {
	h := newHouse(t)
	key, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	jwk, _ := key.MarshalJSON()
	h.client(`{"client_id":"keyed","client_name":"X","redirect_uris":["https://x.example/cb"],"scope":"openid",
		"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + string(jwk) + `]}}`)
	assertion := func(key jose.Key) string {
		token, err := jose.Sign(key, "JWT", map[string]any{"iss": "keyed", "sub": "keyed", "aud": issuer, "jti": identity.NewID().String(),
			"exp": h.clock.Now().Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	try := func(token string) int {
		status, _ := h.call("/token", "", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "client_assertion": {token},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
		return status
	}
	once := assertion(key)
	try(once)
	for range 20 {
		if got := try(once); got != http.StatusUnauthorized {
			t.Fatalf("a replay: %d", got)
		}
	}
	if got := try(assertion(key)); got != http.StatusBadRequest {
		t.Errorf("the client after its replays: %d", got)
	}
	forger, _ := jose.Generate(jose.ES256, "k1")
	for range 10 * len(h.stores) {
		try(assertion(forger))
	}
	if got := try(assertion(forger)); got != http.StatusTooManyRequests {
		t.Errorf("a forger: %d", got)
	}
}
