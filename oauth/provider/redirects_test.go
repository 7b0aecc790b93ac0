package provider_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ecardid/oauth"
)

// Redirect URIs match by bytes wherever one is sent; a registered loopback address may
// come with any port, and with nothing else that is different (SECURITY AZ1).
func TestRedirectSpellings(t *testing.T) {
	h := newHouse(t)
	const web, native = "https://rp.example/cb", "http://127.0.0.1/cb"
	h.client(`{"client_id":"web","client_name":"Web","redirect_uris":["` + web + `"],"first_party":true,"scope":"openid"}`)
	h.client(`{"client_id":"native","client_name":"Native","application_type":"native","redirect_uris":["` + native + `"],"first_party":true,"scope":"openid"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	try := func(client, uri string, good bool) {
		t.Helper()
		v := ask("client_id", client, "scope", "openid", "redirect_uri", uri)
		w := b.get("/authorize?" + v.Encode())
		if to := w.Header().Get("Location"); strings.HasPrefix(to, uri+"?") != good || !good && (w.Code != http.StatusBadRequest || to != "") {
			t.Errorf("%s %q at /authorize: %d to %q", client, uri, w.Code, to)
		}
		if status, out := h.call("/par", client, v); (status == http.StatusCreated) != good || !good && status != http.StatusBadRequest {
			t.Errorf("%s %q at /par: %d %v", client, uri, status, out)
		}
	}
	try("web", web, true)
	for _, uri := range []string{
		web + "/", web + "?", web + "?x=1", web + "#", web + "#f", "https://rp.example/CB", "https://RP.example/cb", "HTTPS://rp.example/cb", "http://rp.example/cb",
		"https://rp.example:443/cb", "https://rp.example:8443/cb", "https://rp.example./cb", "https://rp.example//cb", "https://rp.example/./cb",
		"https://rp.example/x/../cb", "https://rp.example/x/..;/cb", "https://rp.example/cb;x=1", "https://rp.example/%2e%2e/cb", "https://rp.example/%63b", "https://rp.example/cb%00",
		"https://u@rp.example/cb", "https://rp.example@evil.example/cb", "https://a@b@rp.example/cb", "https://evil.example\\@rp.example/cb", "https://evil.example\\.rp.example/cb",
		"https://rp.example.evil.example/cb", "https://evil.example/https://rp.example/cb", "https://rp。example/cb", "https://ｒｐ.example/cb", "https://rp．example/cb", "https://xn--rp-.example/cb",
		"https://rp.example/cb ", " https://rp.example/cb", "https://rp.example/cb\r\nx: y", "https://rp.example/cb\t", "//rp.example/cb", "/cb", "javascript:alert(1)", "data:text/html,x",
	} {
		try("web", uri, false)
	}
	for _, uri := range []string{native, "http://127.0.0.1:1/cb", "http://127.0.0.1:51004/cb"} {
		// A native application can be told from no other, so there is a page first.
		w := b.get("/authorize?" + ask("client_id", "native", "scope", "openid", "redirect_uri", uri).Encode())
		if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/consent?") && !strings.HasPrefix(to, uri+"?") {
			t.Errorf("%q: %d to %q", uri, w.Code, to)
		}
	}
	for _, uri := range []string{
		"http://127.0.0.1:51004/CB", "http://127.0.0.1:51004/cb/", "http://127.0.0.1:51004/cb?x", "https://127.0.0.1:51004/cb", "http://127.0.0.2:51004/cb", "http://127.1:51004/cb",
		"http://2130706433:51004/cb", "http://0x7f.0.0.1/cb", "http://[::1]:51004/cb", "http://[::ffff:127.0.0.1]/cb", "http://localhost:51004/cb", "http://localhost.evil.example/cb",
		"http://127.0.0.1.evil.example/cb", "http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:0080/cb", "http://127.0.0.1:70000/cb", "http://127.0.0.1:x/cb",
	} {
		try("native", uri, false)
	}
}

// What no client may register, in any of its addresses (SECURITY AZ2), neither at first
// nor later (CA5); and a refusal costs nothing.
func TestAddressesOfStrangers(t *testing.T) {
	h := newHouse(t)
	token := h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1)
	post := func(body string) int { return h.serve(jsonRequest(http.MethodPost, "/register", token, body)).Code }
	bad := []string{
		"http://rp.example/x", "https://*.example/x", "https://rp.example/*", "https://rp.example/x#f", "https://u:p@rp.example/x", "https://rp.example@evil.example/x",
		"javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "\\tjavascript:alert(1)", "data:text/html,x", "DATA:text/html,x", "vbscript:x", "file:///etc/passwd",
		"blob:https://rp.example/x", "com.example.app:/x", "//rp.example/x", "/x", "https://rp.example/a/../x", "https://rp.example/..;/x", "https://rp.example\\\\x", "https://",
	}
	members := func(uri string) map[string]string {
		all := map[string]string{"redirect_uris": `"redirect_uris":["https://rp.example/cb","` + uri + `"]`}
		for _, list := range []string{"post_logout_redirect_uris"} {
			all[list] = `"redirect_uris":["https://rp.example/cb"],"` + list + `":["` + uri + `"]`
		}
		for _, one := range []string{
			"client_uri", "policy_uri", "tos_uri", "logo_uri", "jwks_uri", "sector_identifier_uri", "backchannel_logout_uri", "frontchannel_logout_uri", "initiate_login_uri",
		} {
			all[one] = `"redirect_uris":["https://rp.example/cb"],"` + one + `":"` + uri + `"`
		}
		return all
	}
	for _, uri := range bad {
		for name, doc := range members(uri) {
			r := jsonRequest(http.MethodPost, "/register", token, `{"client_name":"X",`+doc+`}`)
			if w := h.serve(r); w.Code != http.StatusBadRequest {
				t.Errorf("%s %q: %d %s", name, uri, w.Code, w.Body)
			}
		}
	}
	c := h.register(token, newcomer) // its one use is still there
	for _, uri := range bad {
		doc := `{"client_id":"` + c.id + `","client_name":"X",` + members(uri)["post_logout_redirect_uris"] + `}`
		if w := h.send(http.MethodPut, c.path, c.token, doc); w.Code != http.StatusBadRequest {
			t.Errorf("changed to %q: %d %s", uri, w.Code, w.Body)
		}
	}
	if got := post(newcomer); got != http.StatusUnauthorized {
		t.Errorf("and now it is gone: %d", got)
	}
}

// After a logout a browser goes to a registered address or nowhere (SECURITY AZ4).
func TestPostLogoutTargets(t *testing.T) {
	h := newHouse(t)
	h.leaver("office-a", "")
	s := h.session("office-a")
	for _, uri := range []string{
		"//evil.example", "/\\evil.example", "\\\\evil.example", "\t//evil.example", "https:evil.example", "https:/evil.example", "///evil.example", "/account", "/",
		goodbye + "\r\nLocation: https://evil.example", goodbye + "#x", goodbye + "/", strings.ToUpper(goodbye), "https://rp.example@evil.example/bye?office=1", "https://rp.example/x/../bye?office=1",
		"javascript:alert(1)", "data:text/html,x", callback,
	} {
		for _, hint := range []string{s.id, ""} {
			params := []string{"post_logout_redirect_uri", uri, "client_id", "office-a"}
			if hint != "" {
				params = append(params, "id_token_hint", hint)
			}
			if to := s.end(params...); to != "" || h.pages.fault == nil {
				t.Errorf("%q: sent to %q", uri, to)
			}
		}
	}
	if !s.loggedIn("office-a") {
		t.Error("a refused request ended the session")
	}
}

// There is one response type and no grant beside those that are served, for any client
// (SECURITY AZ5, CO5).
func TestOnlyCode(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.app()
	b := h.browser()
	b.signIn(0, password(), totp())
	for _, kind := range []string{
		"token", "id_token", "id_token token", "code token", "code id_token", "code id_token token", "none", "code code", "CODE", " code", "code ", "device_code", "x",
	} {
		v := ask("response_type", kind)
		if got := answer(t, b.get("/authorize?"+v.Encode())); got.Get("error") == "" || got.Has("code") || got.Has("access_token") || got.Has("id_token") {
			t.Errorf("%q: %v", kind, got)
		}
		if status, out := h.call("/par", rp, v); status != http.StatusBadRequest || out["request_uri"] != nil {
			t.Errorf("%q at /par: %d %v", kind, status, out)
		}
	}
	code := b.code(ask())
	for _, grant := range []string{
		"password", "implicit", "client_credentials", exchangeGrant, "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer",
		"urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba", "urn:ietf:params:oauth:grant-type:pre-authorized_code", "", "Authorization_Code", "authorization_code\x00",
	} {
		// Everything that any of them could want is there; none falls back to another.
		form := redeem(code, "grant_type", grant, "username", "A12345670", "password", "x", "assertion", "a.b.c", "subject_token", "x", "subject_token_type", accessType,
			"device_code", "x", "auth_req_id", "x", "pre-authorized_code", "x")
		for _, client := range []string{rp, "app"} {
			form := url.Values(form)
			id := client
			if h.secretOf[client] == "" {
				form.Set("client_id", client)
				id = ""
			}
			status, out := h.call("/token", id, form)
			form.Del("client_id")
			known := slices.Contains([]any{"unsupported_grant_type", "unauthorized_client", "invalid_request"}, out["error"])
			if status != http.StatusBadRequest || !known || out["access_token"] != nil {
				t.Errorf("%q of %s: %d %v", grant, client, status, out)
			}
		}
	}
	if status, out := h.call("/token", rp, redeem(code)); status != http.StatusOK {
		t.Errorf("the code after all that: %d %v", status, out)
	}
}

// A verifier has 43 to 128 characters, both ends included (SECURITY CO1).
func TestVerifierLengths(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	for n, good := range map[int]bool{42: false, 43: true, 128: true, 129: false} {
		v := strings.Repeat("x", n)
		code := b.code(ask("code_challenge", challenge(v)))
		if status, out := h.call("/token", rp, redeem(code, "code_verifier", v)); (status == http.StatusOK) != good || !good && out["error"] != "invalid_grant" {
			t.Errorf("%d characters: %d %v", n, status, out)
		}
	}
}

// What a request says of where it was sent is nobody's word (SECURITY OI5).
func TestHostIsNobody(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	c := h.register(h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 2), newcomer)
	again := h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1)
	access := h.tokens("openid card.basic")["access_token"].(string)
	basic := func(path string, v url.Values) *http.Request {
		r := posting(path, v)
		r.SetBasicAuth(rp, h.secretOf[rp])
		return r
	}
	signedIn := mustRequest(http.MethodGet, "/authorize?"+ask().Encode(), "")
	signedIn.AddCookie(&http.Cookie{Name: loginCookie, Value: b.cookies[loginCookie]})
	for name, r := range map[string]*http.Request{
		"metadata":   mustRequest(http.MethodGet, "/.well-known/openid-configuration", ""),
		"RFC 8414":   mustRequest(http.MethodGet, "/.well-known/oauth-authorization-server", ""),
		"authorize":  signedIn,
		"to a login": mustRequest(http.MethodGet, "/authorize?"+ask().Encode(), ""),
		"error":      mustRequest(http.MethodGet, "/authorize?"+ask("prompt", "none").Encode(), ""),
		"par":        basic("/par", ask()),
		"token":      basic("/token", redeem(b.code(ask()))),
		"refused":    basic("/token", redeem("junk")),
		"userinfo":   infoRequest("Bearer", access, ""),
		"challenge":  mustRequest(http.MethodGet, "/userinfo", ""),
		"logout":     mustRequest(http.MethodGet, "/end-session", ""),
		"register":   jsonRequest(http.MethodPost, "/register", again, newcomer),
		"manage":     jsonRequest(http.MethodGet, c.path, c.token, ""),
	} {
		r.Host = "evil.example"
		for _, header := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL"} {
			r.Header.Set(header, "evil.example")
		}
		r.Header.Set("Forwarded", "for=192.0.2.1;host=evil.example;proto=http")
		r.Header.Set("X-Forwarded-Proto", "http")
		w := h.serve(r)
		if w.Code >= 500 || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		for header, values := range w.Header() {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("%s: %s: %v", name, header, values)
			}
		}
	}
}

// Who registered itself vouches for nobody's address: a browser is sent there by an
// answer only when somebody has signed in (SECURITY AZ3), or when it was asked whether
// somebody has, which is to be answered (OpenID Connect Core §3.1.2.6).
func TestStrangersLeadNowhere(t *testing.T) {
	h := newHouse(t)
	c := h.register(h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1), newcomer)
	for _, bad := range [][]string{
		{"scope", "openid everything"}, {"response_type", "token"}, {"response_mode", "fragment"}, {"prompt", "create"}, {"code_challenge", "-"}, {"max_age", "x"}, {"claims", "{"},
		{"request_uri", "https://evil.example/object"}, {"registration", "{}"}, {"resource", "urn:nobody"}, {"prompt", "none", "scope", "openid everything"},
	} {
		v := ask(append([]string{"client_id", c.id, "scope", "openid"}, bad...)...)
		if w := h.browser().get("/authorize?" + v.Encode()); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || h.pages.fault == nil {
			t.Errorf("%v, nobody there: %d to %q", bad, w.Code, w.Header().Get("Location"))
		}
		if w := h.browser().post("/authorize", v); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
			t.Errorf("%v, posted: %d to %q", bad, w.Code, w.Header().Get("Location"))
		}
		b := h.browser()
		b.signIn(0, password(), totp())
		if got := answer(t, b.get("/authorize?"+v.Encode())); got.Get("error") == "" {
			t.Errorf("%v: %v", bad, got)
		}
	}
	if got := answer(t, h.browser().get("/authorize?"+ask("client_id", c.id, "scope", "openid", "prompt", "none").Encode())); got.Get("error") != "login_required" {
		t.Errorf("silent: %v", got)
	}
}
