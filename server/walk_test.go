package server_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"ecardid/audit"
)

// party is the pension office as a relying party.
func (h *house) party() oauth2.Config {
	return oauth2.Config{
		ClientID: "pension", ClientSecret: h.secret, RedirectURL: callback,
		Scopes:   []string{"openid", "profile", "offline_access", "pension.read"},
		Endpoint: oauth2.Endpoint{AuthURL: h.issuer + "/authorize", TokenURL: h.issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
}

// verifier is RFC 7636's own, from Appendix B.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// ask is the address a button at the pension office leads to.
func (h *house) ask(state string, extra ...string) string {
	opts := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	for i := 0; i < len(extra); i += 2 {
		opts = append(opts, oauth2.SetAuthURLParam(extra[i], extra[i+1]))
	}
	rp := h.party()
	return rp.AuthCodeURL(state, opts...)
}

// signIn walks from the button to the answer; a code works once, so the clock moves.
func (h *house) signIn(v *visitor, state string) *visitor {
	v.t.Helper()
	h.clock.Advance(31 * time.Second)
	v.get(h.ask(state))
	v.submit("login-submit", "username", card, "password", password1)
	v.submit("code-submit", "code", h.code())
	v.submit("device-skip")
	if v.form("consent-allow") != nil {
		v.submit("consent-allow")
	}
	v.answered(state, "")
	return v
}

// answered checks that the relying party has its answer: a code, or an error.
func (v *visitor) answered(state, failure string) {
	v.t.Helper()
	q := v.url.Query()
	if !strings.HasPrefix(v.url.String(), callback) || q.Get("state") != state || q.Get("iss") != v.base || q.Get("error") != failure || q.Has("code") != (failure == "") {
		v.t.Fatalf("came back to %s (%d), want state %q and error %q:\n%s", v.url, v.code, state, failure, v.text())
	}
}

// nobody checks that the visitor is not signed in.
func (v *visitor) nobody() {
	v.t.Helper()
	if v.get("/account"); v.url.Path == "/account" {
		v.t.Errorf("signed in:\n%s", v.text())
	}
}

func (h *house) redeem(t testing.TB, v *visitor) *oauth2.Token {
	t.Helper()
	rp := h.party()
	return must[*oauth2.Token](t)(rp.Exchange(context.WithValue(t.Context(), oauth2.HTTPClient, v.http), v.url.Query().Get("code"), oauth2.VerifierOption(verifier)))
}

// call posts a form as a client, and returns what is said.
func (h *house) call(t testing.TB, v *visitor, path, id, secret string, form url.Values) (int, map[string]any) {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequest(http.MethodPost, h.issuer+path, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", formType)
	if id != "" {
		r.SetBasicAuth(id, secret)
	} else {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	resp := must[*http.Response](t)(v.http.Do(r))
	defer resp.Body.Close()
	body := must[[]byte](t)(io.ReadAll(resp.Body))
	said := map[string]any{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatalf("%s: %s", path, body)
		}
	}
	return resp.StatusCode, said
}

// alive asks every endpoint that could still honour a token, the refresh last since
// it may spend what it is given.
func (h *house) alive(t testing.TB, v *visitor, token *oauth2.Token) map[string]bool {
	t.Helper()
	userinfo, _ := h.call(t, v, "/userinfo", "", token.AccessToken, nil)
	_, seen := h.call(t, v, "/introspect", "records", h.records, url.Values{"token": {token.AccessToken}})
	refresh, _ := h.call(t, v, "/token", "pension", h.secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}})
	return map[string]bool{"userinfo": userinfo == http.StatusOK, "introspection": seen["active"] == true, "refresh": refresh == http.StatusOK}
}

func (h *house) wantAll(t testing.TB, v *visitor, token *oauth2.Token, want bool) {
	t.Helper()
	for where, alive := range h.alive(t, v, token) {
		if alive != want {
			t.Errorf("%s: the token is alive: %v, want %v", where, alive, want)
		}
	}
}

// TestWrongAnswers: neither a wrong password nor a wrong or used code gets anybody
// anywhere, and the right one after it does.
func TestWrongAnswers(t *testing.T) {
	h := newHouse(t)
	v := h.visitor(t).get(h.ask("s"))
	for _, wrong := range [][2]string{{card, "wrong horse"}, {"B99999999", password1}, {card, ""}, {card, strings.Repeat("x", 2000)}} {
		v.submit("login-submit", "username", wrong[0], "password", wrong[1])
		if v.form("login-submit") == nil || v.code != http.StatusOK {
			t.Fatalf("%v: %d at %s", wrong[0], v.code, v.url)
		}
	}
	v.submit("login-submit", "username", card, "password", password1)
	code := h.code()
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	fullwidth := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	for _, c := range []string{wrong, code[:5], code + "0", fullwidth} { // five tries a transaction: one is left
		if v.submit("code-submit", "code", c); v.form("code-submit") == nil {
			t.Fatalf("%q: %d at %s:\n%s", c, v.code, v.url, v.text())
		}
	}
	v.submit("code-submit", "code", code).submit("device-skip").submit("consent-allow").answered("s", "")

	// The same code in another browser, in the same half minute.
	again := h.visitor(t).get(h.ask("again")).submit("login-submit", "username", card, "password", password1)
	if again.submit("code-submit", "code", code); again.form("code-submit") == nil {
		t.Errorf("a used code was taken: %s", again.url)
	}
	again.nobody()
}

// TestTwoTabs: two requests in one browser do not mix.
func TestTwoTabs(t *testing.T) {
	h := newHouse(t)
	a := h.visitor(t).get(h.ask("first"))
	b := &visitor{t: t, http: a.http, base: a.base}
	b.get(h.ask("second"))
	a.submit("login-submit", "username", card, "password", password1).submit("code-submit", "code", h.code())
	a.submit("device-skip").submit("consent-allow").answered("first", "")
	h.clock.Advance(31 * time.Second)
	b.submit("login-submit", "username", card, "password", password1)
	if b.form("code-submit") != nil {
		b.submit("code-submit", "code", h.code())
	}
	if b.form("device-skip") != nil {
		b.submit("device-skip")
	}
	if b.form("consent-allow") != nil {
		b.submit("consent-allow")
	}
	b.answered("second", "")
}

// TestOtherBrowser: a flow, a stored request and a consent page open to the browser
// that began them, and to no other that knows their address (SECURITY G3).
func TestOtherBrowser(t *testing.T) {
	h := newHouse(t)
	v := h.visitor(t).get(h.ask("s"))
	look := func(step string) {
		t.Helper()
		address := v.url.String()
		thief := h.visitor(t).get("/lost")
		if thief.get(address); thief.code < 400 || thief.code > 499 || thief.form("code-submit") != nil || thief.form("consent-allow") != nil {
			t.Errorf("%s: shown to another browser: %d", step, thief.code)
		}
		if step == "password" || step == "code" {
			// The form with the thief's own token, and the flow of somebody else.
			thief.get("/lost")
			csrf := field(thief, "csrf")
			thief.post("/login/"+step, "csrf", csrf, "flow", v.url.Query().Get("flow"), "username", card, "password", password1, "code", h.code())
			if thief.code < 400 || thief.code > 499 {
				t.Errorf("%s: another browser's answer was heard: %d at %s", step, thief.code, thief.url)
			}
			thief.nobody()
		}
	}
	look("password")
	v.submit("login-submit", "username", card, "password", password1)
	look("code")
	v.submit("code-submit", "code", h.code())
	look("device")
	v.submit("device-skip")
	look("consent")
	v.submit("consent-allow").answered("s", "")
}

// field is the value of the first input of that name.
func field(v *visitor, name string) string {
	for n := range v.page.Descendants() {
		if n.Data == "input" && attr(n, "name") == name {
			return attr(n, "value")
		}
	}
	return ""
}

// post sends a form nobody gave out.
func (v *visitor) post(path string, fields ...string) *visitor {
	v.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	r := must[*http.Request](v.t)(http.NewRequest(http.MethodPost, v.base+path, strings.NewReader(values.Encode())))
	r.Header.Set("Content-Type", formType)
	r.Header.Set("Origin", v.base)
	return v.do(r)
}

// TestSkippedSteps calls, from each half-finished state, every other address. The
// flow goes on where it was, and nobody is signed in before its end (SECURITY G4, MF1).
func TestSkippedSteps(t *testing.T) {
	h := newHouse(t)
	ends := []string{"/login/cancel", "/logout", "/preferences", "/account/sign-out"} // the flow, the session or the language, as they should
	step := func(v *visitor, name string, own ...string) {
		t.Helper()
		csrf, at := field(v, "csrf"), *v.url
		flow := at.Query().Get("flow")
		for _, r := range h.server.Routes() {
			path := concrete(r.Pattern)
			if slices.Contains(ends, path) || slices.Contains(own, path) {
				continue
			}
			w := &visitor{t: t, http: v.http, base: v.base}
			switch {
			case r.Method == http.MethodGet && (strings.HasPrefix(path, "/login") || strings.HasPrefix(path, "/account")):
				w.get(path + "?" + at.RawQuery)
			case r.Method == http.MethodPost && r.Takes == formType:
				w.post(path, "csrf", csrf, "flow", flow, "factor", "totp", "device-skip", "1", "device-bind", "1", "codes-kept", "1", "consent-allow", "1")
			default:
				continue
			}
			if w.code >= 500 || strings.HasPrefix(w.url.String(), callback) {
				t.Errorf("%s, %s %s: %d at %s", name, r.Method, path, w.code, w.url)
			}
		}
		w := &visitor{t: t, http: v.http, base: v.base}
		if name != "consent" {
			w.nobody()
		}
		w.get(h.ask(name, "prompt", "none"))
		if w.url.Query().Get("error") == "" {
			t.Errorf("%s: prompt=none was answered with %s", name, w.url)
		}
		if v.get(at.String()); v.code != http.StatusOK {
			t.Fatalf("%s: the flow is gone: %d at %s", name, v.code, v.url)
		}
	}
	v := h.visitor(t).get(h.ask("s"))
	step(v, "password", "/login/password")
	v.submit("login-submit", "username", card, "password", password1)
	step(v, "code", "/login/code")
	v.submit("code-submit", "code", h.code())
	step(v, "device", "/login/device")
	v.submit("device-skip")
	step(v, "consent", "/login/password")
	v.submit("consent-allow").answered("s", "")
}

// TestSilently: prompt=none shows nothing and says no more than it must.
func TestSilently(t *testing.T) {
	h := newHouse(t)
	v := h.visitor(t)
	none := func(state, want string, extra ...string) {
		t.Helper()
		v.get(h.ask(state, append([]string{"prompt", "none"}, extra...)...)).answered(state, want)
	}
	none("nobody", "login_required")
	none("both", "invalid_request", "prompt", "none login")
	v.get(h.ask("half")).submit("login-submit", "username", card, "password", password1)
	none("half", "login_required")
	v.submitAt(h.ask("half"), "login-submit", "username", card, "password", password1)
	v.submit("code-submit", "code", h.code()).submit("device-skip")
	none("no consent", "consent_required")
	v.get(h.ask("consent")).submit("consent-allow").answered("consent", "")
	none("all", "")
	none("higher", "interaction_required", "acr_values", "urn:ecardid:acr:live", "claims", `{"id_token":{"acr":{"essential":true,"values":["urn:ecardid:acr:live"]}}}`)
	none("more", "consent_required", "scope", "openid profile offline_access pension.read card.basic")
	none("now", "login_required", "max_age", "0")
	none("odd", "invalid_request", "max_age", "-1")
	h.clock.Advance(25 * time.Hour)
	none("tomorrow", "login_required")
}

// submitAt begins anew.
func (v *visitor) submitAt(address, button string, fields ...string) *visitor {
	v.t.Helper()
	v.get(address)
	return v.submit(button, fields...)
}

// TestDeny: who declines is believed, once.
func TestDeny(t *testing.T) {
	h := newHouse(t)
	v := h.visitor(t).get(h.ask("s"))
	v.submit("login-submit", "username", card, "password", password1).submit("code-submit", "code", h.code()).submit("device-skip")
	page := *v
	v.submit("consent-deny").answered("s", "access_denied")
	if page.submit("consent-allow"); page.code < 400 || page.code > 499 || page.url.Query().Has("code") {
		t.Errorf("allowed after all: %d at %s", page.code, page.url)
	}
	v.get(h.ask("none", "prompt", "none")).answered("none", "consent_required")
}

// TestLogout: signing out ends the session on the server, and what it gave.
func TestLogout(t *testing.T) {
	h := newHouse(t)
	v := h.signIn(h.visitor(t), "s")
	token := h.redeem(t, v)
	kept := v.http.Jar.Cookies(must[*url.URL](t)(url.Parse(h.issuer)))
	if v.get("/logout"); v.form("logout-confirm") == nil {
		t.Fatalf("no question: %s", v.url)
	}
	v.get(h.ask("still", "prompt", "none")).answered("still", "") // asking changed nothing
	v.get("/logout").submit("logout-confirm")
	v.get(h.ask("none", "prompt", "none")).answered("none", "login_required")
	v.nobody()
	// The cookie somebody copied is worth nothing either.
	copied := h.visitor(t)
	copied.http.Jar.SetCookies(must[*url.URL](t)(url.Parse(h.issuer)), kept)
	copied.nobody()
	h.wantAll(t, v, token, false)
}

// TestSessionEndedElsewhere: ending a session from another device kills, at once,
// what was issued to it, and nothing else.
func TestSessionEndedElsewhere(t *testing.T) {
	h := newHouse(t)
	lost, here := h.signIn(h.visitor(t), "lost"), h.signIn(h.visitor(t), "here")
	unredeemed := h.visitor(t)
	unredeemed.http.Jar = lost.http.Jar
	dead, good := h.redeem(t, lost), h.redeem(t, here)
	unredeemed.get(h.ask("unredeemed", "prompt", "none")).answered("unredeemed", "")
	h.wantAll(t, lost, good, true)
	here.get("/account/sessions").submit("sessions-end-others")
	h.wantAll(t, lost, dead, false)
	if status, said := h.call(t, lost, "/token", "pension", h.secret, url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {callback},
		"code": {unredeemed.url.Query().Get("code")}, "code_verifier": {verifier}}); status != http.StatusBadRequest || said["error"] != "invalid_grant" {
		t.Errorf("a code of the ended session: %d %v", status, said)
	}
	lost.get(h.ask("none", "prompt", "none")).answered("none", "login_required")
	here.get(h.ask("fine", "prompt", "none")).answered("fine", "")
}

// TestClientSuspended: a suspended client gets nothing, and what it has is dead.
func TestClientSuspended(t *testing.T) {
	h := newHouse(t)
	v := h.signIn(h.visitor(t), "s")
	token := h.redeem(t, v)
	v.get(h.ask("pending", "prompt", "none")).answered("pending", "")
	code := v.url.Query().Get("code")
	e := audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator}
	if err := h.store.SuspendClient(t.Context(), "pension", h.clock.Now(), e); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(6 * time.Second) // clients are read again after five (DESIGN D3)
	if status, _ := h.call(t, v, "/token", "pension", h.secret, url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {callback},
		"code": {code}, "code_verifier": {verifier}}); status != http.StatusUnauthorized {
		t.Errorf("redeems: %d", status)
	}
	h.wantAll(t, v, token, false)
	if v.get(h.ask("again")); v.code != http.StatusBadRequest || !strings.HasPrefix(v.url.String(), h.issuer) {
		t.Errorf("its people are sent to %s (%d)", v.url, v.code)
	}
}

// TestLogTellsNothing walks the whole way with the log open, and then looks for
// everything in it that opens something or belongs to somebody (SECURITY DP2).
func TestLogTellsNothing(t *testing.T) {
	h := newHouse(t)
	v := h.visitor(t)
	v.get(h.ask("state-of-the-request", "nonce", "nonce-of-the-request", "login_hint", "hint-of-the-request"))
	secrets := []string{"state-of-the-request", "nonce-of-the-request", "hint-of-the-request", verifier, oauth2.S256ChallengeFromVerifier(verifier),
		card, password1, "wrong horse", "王小英", "11010519491231002X", "13800001234", "桂花", h.secret, h.records, string(h.seed.Reveal()), base32.StdEncoding.EncodeToString(h.seed.Reveal()),
		"code_challenge", "client_id=", "?flow=", "127.0.0.1", "Go-http-client", "ip-of-the-proxy"}
	note := func() {
		for _, name := range []string{"csrf", "token"} {
			secrets = append(secrets, field(v, name))
		}
		secrets = append(secrets, v.url.Query().Get("code"))
		for _, c := range v.http.Jar.Cookies(must[*url.URL](t)(url.Parse(h.issuer))) {
			if len(c.Value) > 8 {
				secrets = append(secrets, c.Value)
			}
		}
	}
	note()
	v.submit("login-submit", "username", card, "password", "wrong horse")
	v.submit("login-submit", "username", card, "password", password1)
	note()
	v.submit("code-submit", "code", h.code()).submit("device-skip")
	note()
	v.submit("consent-allow").answered("state-of-the-request", "")
	note()
	token := h.redeem(t, v)
	id, _ := token.Extra("id_token").(string)
	secrets = append(secrets, token.AccessToken, token.RefreshToken, id)
	h.call(t, v, "/token", "pension", "wrong-secret-of-the-client", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}})
	secrets = append(secrets, "wrong-secret-of-the-client")
	h.alive(t, v, token)
	v.get("/authorize?client_id=nobody-knows-me&redirect_uri=https%3A%2F%2Fevil.example&state=odd-state").get("/odd-path?odd-query")
	v.post("/odd-post", "password", "odd-password")
	v.post("/login/password", "password", "odd-password")
	secrets = append(secrets, "nobody-knows-me", "evil.example", "odd-state", "odd-path", "odd-query", "odd-password")
	v.get("/logout").submit("logout-confirm")

	log := h.log.String()
	for _, s := range secrets {
		if s == "" {
			continue
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, s) {
				t.Errorf("the log has %q: %s", s, line)
			}
		}
	}
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %s", line)
		}
	}
	if !strings.Contains(log, `"route":"/token"`) {
		t.Error("there is no log")
	}
}
