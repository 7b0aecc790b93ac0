package provider_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares claims with testdata, after taking out what is random.
func golden(t *testing.T, name string, claims map[string]any, random ...string) {
	t.Helper()
	for _, member := range random {
		text, _ := claims[member].(string)
		if text == "" {
			t.Errorf("%s has no %s", name, member)
		}
		claims[member] = "…"
	}
	got, err := json.MarshalIndent(claims, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is now\n%s", path, got)
	}
}

// TestWholeFlow walks as a browser and a relying party would.
func TestWholeFlow(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()

	// Nobody is signed in: the request is kept and a login asked for.
	w := b.get("/authorize?" + ask("ui_locales", "en zh-CN", "login_hint", "me").Encode())
	if w.Header().Get("Location") != "/login" {
		t.Fatalf("sent to %q", w.Header().Get("Location"))
	}
	raise := h.logins.last(t)
	if raise.need.Level != identity.LevelMFA || raise.need.Txn == "" || raise.need.Hint != "me" || !raise.need.Since.IsZero() {
		t.Errorf("need is %+v", raise.need)
	}
	if a := raise.need.Asker; a == nil || a.Host != "rp.example" || a.Name["zh-CN"] != "养老" || !a.Admitted {
		t.Errorf("asker is %+v", raise.need.Asker)
	}
	if !slices.Equal(raise.tags, []string{"en", "zh-CN"}) {
		t.Errorf("ui_locales are %v", raise.tags)
	}
	if strings.Contains(raise.back, "nonce") || !strings.HasPrefix(raise.back, "/authorize?client_id=pension&request_uri=urn%3Aietf") {
		t.Errorf("back is %q", raise.back)
	}
	// One factor is not enough: asked again, and the way back is the same.
	b.signIn(0, password())
	b.get(raise.back)
	if again := h.logins.last(t); again.back != raise.back || again.need.Level != identity.LevelMFA {
		t.Errorf("asked again for %+v", again)
	}
	h.clock.Advance(time.Minute)
	b.signIn(0, password(), totp())
	// What the front channel adds has no effect (RFC 9126 §4).
	w = b.get(raise.back + "&scope=openid+pension.claim&state=other")
	location := w.Header().Get("Location")
	if !strings.HasPrefix(location, "/consent?") {
		t.Fatalf("sent to %q", location)
	}
	w = b.consent(location, "consent-allow")
	got := answer(t, w)
	if got.Get("state") != "s t&a=te" {
		t.Errorf("state is %q", got.Get("state"))
	}
	// The request is gone: it is answered once, also by the back button.
	if w := b.get(raise.back); w.Code != http.StatusBadRequest || h.pages.fault.Fault != "expired" {
		t.Errorf("a second visit: status %d, %+v", w.Code, h.pages.fault)
	}

	status, out := h.call("/token", rp, redeem(got.Get("code")))
	if status != http.StatusOK || out["token_type"] != "Bearer" || out["expires_in"] != 300.0 || out["scope"] != "openid card.basic" {
		t.Fatalf("status %d: %v", status, out)
	}
	access := out["access_token"].(string)
	var id, at map[string]any
	if header := h.claims(out["id_token"].(string), &id); !header.Is("JWT") {
		t.Errorf("typ of the ID token is %q", header.Type)
	}
	if id["at_hash"] != jose.HalfHash(jose.ES256, access) {
		t.Error("at_hash does not fit")
	}
	if header := h.claims(access, &at); !header.Is("at+jwt") {
		t.Errorf("typ of the access token is %q", header.Type)
	}
	if id["sub"] != at["sub"] || id["sub"] == h.citizens[0].String() {
		t.Error("sub differs or is our own id")
	}
	golden(t, "id_token", id, "sub", "at_hash", "sid")
	golden(t, "access_token", at, "sub", "jti", "gid")

	w = h.userinfo(access)
	var info map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &info); err != nil || w.Code != http.StatusOK {
		t.Fatalf("userinfo: %d %s", w.Code, w.Body)
	}
	golden(t, "userinfo", info, "sub")

	// Agreed to: the next time goes without a question, in one redirect.
	if got := answer(t, b.get("/authorize?"+ask("prompt", "none").Encode())); got.Get("code") == "" {
		t.Errorf("silent: %v", got)
	}
}

func TestUserinfoClaims(t *testing.T) {
	h := newHouse(t)
	h.rp()
	for scope, want := range map[string]string{
		"openid":               `"sub"`,
		"openid profile":       `"name":"王小明","sub":.*,"updated_at":\d+`,
		"openid phone":         `"phone_number":".*13800131230","phone_number_verified":true`,
		"openid insurance.pay": "",
	} {
		t.Run(scope, func(t *testing.T) {
			if want == "" {
				b := h.browser()
				b.signIn(0, password(), totp())
				b.get("/authorize?" + ask("scope", scope).Encode())
				if need := h.logins.last(t).need; need.Level != identity.LevelBound {
					t.Errorf("need is %+v", need)
				}
				return
			}
			w := h.userinfo(h.tokens(scope)["access_token"].(string))
			if ok, err := regexp.MatchString(want, w.Body.String()); err != nil || !ok || w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if !strings.Contains(scope, "profile") && strings.Contains(w.Body.String(), "王") {
				t.Error("a name without the scope for it")
			}
		})
	}
}

func TestUserinfoRefuses(t *testing.T) {
	h := newHouse(t)
	h.rp()
	out := h.tokens("openid card.basic")
	plain := h.tokens("card.basic")
	for _, c := range []struct {
		name, token string
		status      int
		says        string
	}{
		{"nothing", "", http.StatusUnauthorized, `Bearer realm="https://id.example"`},
		{"junk", "junk", http.StatusUnauthorized, "invalid_token"},
		// Types do not mix (G2, TK4).
		{"id-token", out["id_token"].(string), http.StatusUnauthorized, "invalid_token"},
		{"refresh-token", out["refresh_token"].(string), http.StatusUnauthorized, "invalid_token"},
		{"without-openid", plain["access_token"].(string), http.StatusForbidden, "insufficient_scope"},
		{"second-spelling", out["access_token"].(string) + "=", http.StatusBadRequest, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.userinfo(c.token)
			if w.Code != c.status || !strings.Contains(w.Header().Get("WWW-Authenticate"), c.says) {
				t.Errorf("%d %q", w.Code, w.Header().Get("WWW-Authenticate"))
			}
		})
	}
	access := out["access_token"].(string)
	for name, r := range map[string]*http.Request{
		"in-url":  mustRequest(http.MethodGet, "/userinfo?access_token="+access, ""),
		"in-body": mustRequest(http.MethodPost, "/userinfo", "access_token="+access),
	} {
		t.Run(name, func(t *testing.T) {
			r.Header.Set("Authorization", "Bearer "+access)
			if w := h.browser().do(r); w.Code != http.StatusBadRequest {
				t.Errorf("status %d", w.Code)
			}
		})
	}
	r := mustRequest(http.MethodPost, "/userinfo", "")
	r.Header.Set("Authorization", "bearer "+access)
	if w := h.browser().do(r); w.Code != http.StatusOK {
		t.Errorf("post with the header: %d", w.Code)
	}
	h.clock.Advance(5 * time.Minute)
	if w := h.userinfo(access); w.Code != http.StatusUnauthorized {
		t.Errorf("expired: %d", w.Code)
	}
}

func mustRequest(method, target, body string) *http.Request {
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func TestIntrospection(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"card-api","client_name":"Card API","grant_types":["client_credentials"],"scope":"card.status","resources":["urn:ecardid:resource:card"]}`)
	h.client(`{"client_id":"pension-api","client_name":"Pension API","grant_types":["client_credentials"],"resources":["urn:ecardid:resource:pension"]}`)
	h.client(`{"client_id":"app","client_name":"App","token_endpoint_auth_method":"none","redirect_uris":["https://app.example/cb"],"scope":"openid"}`)
	out := h.tokens("openid card.basic insurance.read")
	access := out["access_token"].(string)
	_, machine := h.call("/token", "card-api", url.Values{"grant_type": {"client_credentials"}})

	status, got := h.call("/introspect", "card-api", url.Values{"token": {access}})
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, got)
	}
	golden(t, "introspection", got, "sub", "jti")
	if _, got := h.call("/introspect", "card-api", url.Values{"token": {machine["access_token"].(string)}}); got["active"] != true || got["sub"] != "card-api" || got["acr"] != nil {
		t.Errorf("a client's own token: %v", got)
	}
	for name, c := range map[string]struct{ caller, token string }{
		"another-resource":    {"pension-api", access},
		"no-resource-server":  {rp, access},
		"refresh-token":       {"card-api", out["refresh_token"].(string)},
		"id-token":            {"card-api", out["id_token"].(string)},
		"junk":                {"card-api", "junk"},
		"altered":             {"card-api", access[:len(access)-8] + "AAAAAAAA"},
		"our-userinfo-access": {"card-api", h.tokens("openid profile")["access_token"].(string)},
	} {
		t.Run(name, func(t *testing.T) {
			w := h.raw("/introspect", c.caller, url.Values{"token": {c.token}})
			if w.Code != http.StatusOK || w.Body.String() != `{"active":false}` {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	for name, c := range map[string]struct {
		caller string
		form   url.Values
		want   int
	}{
		"nobody":        {"", url.Values{"token": {access}}, http.StatusUnauthorized},
		"public-client": {"", url.Values{"token": {access}, "client_id": {"app"}}, http.StatusUnauthorized},
		"no-token":      {"card-api", url.Values{}, http.StatusBadRequest},
		"token-twice":   {"card-api", url.Values{"token": {access, access}}, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if status, got := h.call("/introspect", c.caller, c.form); status != c.want {
				t.Errorf("%d %v", status, got)
			}
		})
	}
	h.clock.Advance(5 * time.Minute)
	if _, got := h.call("/introspect", "card-api", url.Values{"token": {access}}); got["active"] != false {
		t.Errorf("expired: %v", got)
	}
}

func TestRevocation(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"other","client_name":"Other","redirect_uris":["https://other.example/cb"],"scope":"openid"}`)
	alive := func(out map[string]any) bool { return h.userinfo(out["access_token"].(string)).Code == http.StatusOK }

	for _, scope := range []string{"openid card.basic", "openid profile"} {
		t.Run(scope, func(t *testing.T) {
			out := h.tokens(scope)
			for _, token := range []string{out["refresh_token"].(string), out["access_token"].(string), "junk"} {
				// Another client's word ends nothing, and learns nothing.
				if w := h.raw("/revoke", "other", url.Values{"token": {token}}); w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
			if !alive(out) {
				t.Fatal("a stranger revoked it")
			}
			if w := h.raw("/revoke", rp, url.Values{"token": {out["access_token"].(string)}}); w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if alive(out) {
				t.Error("a revoked access token lives")
			}
			// A refresh token takes its access tokens along (TK3).
			out = h.tokens(scope)
			h.raw("/revoke", rp, url.Values{"token": {out["refresh_token"].(string)}, "token_type_hint": {"access_token"}})
			if alive(out) {
				t.Error("the access token outlived its refresh token")
			}
			if status, _ := h.call("/token", rp, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out["refresh_token"].(string)}}); status != http.StatusBadRequest {
				t.Errorf("refresh after revocation: %d", status)
			}
		})
	}
	if w := h.raw("/revoke", "", url.Values{"token": {"x"}}); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("without a client: %d", w.Code)
	}
	// Not durable is not done (G5).
	out := h.tokens("openid")
	h.close()
	w := h.raw("/revoke", rp, url.Values{"token": {out["refresh_token"].(string)}})
	if w.Code < 500 {
		t.Errorf("with the database gone: %d", w.Code)
	}
}
