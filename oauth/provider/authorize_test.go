package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/oauth"
)

// What may not be sent anywhere is a page (SECURITY AZ1, AZ3, G8).
func TestAuthorizePages(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"gone","client_name":"Gone","state":"suspended","redirect_uris":["https://rp.example/cb"],"scope":"openid"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	for _, c := range []struct {
		name  string
		query string
		fault oauth.Fault
	}{
		{"no-client", ask("client_id", "-").Encode(), oauth.FaultClient},
		{"unknown-client", ask("client_id", "nobody").Encode(), oauth.FaultClient},
		{"suspended-client", ask("client_id", "gone", "redirect_uri", "https://rp.example/cb").Encode(), oauth.FaultClient},
		{"no-redirect-with-openid", ask("redirect_uri", "-").Encode(), ""},
		{"trailing-slash", ask("redirect_uri", callback+"/").Encode(), oauth.FaultRedirect},
		{"no-query", ask("redirect_uri", "https://rp.example/cb").Encode(), oauth.FaultRedirect},
		{"other-encoding", ask("redirect_uri", "https://rp.example/cb?tenant=a+b").Encode(), oauth.FaultRedirect},
		{"case", ask("redirect_uri", strings.Replace(callback, "rp", "RP", 1)).Encode(), oauth.FaultRedirect},
		{"default-port", ask("redirect_uri", strings.Replace(callback, "example", "example:443", 1)).Encode(), oauth.FaultRedirect},
		{"dots", ask("redirect_uri", strings.Replace(callback, "/cb", "/x/../cb", 1)).Encode(), oauth.FaultRedirect},
		{"userinfo", ask("redirect_uri", strings.Replace(callback, "rp.", "rp.example@evil.", 1)).Encode(), oauth.FaultRedirect},
		{"fragment", ask("redirect_uri", callback+"#x").Encode(), oauth.FaultRedirect},
		{"backslash", ask("redirect_uri", `https://evil.example\@rp.example/cb`).Encode(), oauth.FaultRedirect},
		{"state-twice", ask().Encode() + "&state=x", oauth.FaultRequest},
		{"client-twice", ask().Encode() + "&client_id=pension", oauth.FaultRequest},
		{"not-utf8", ask().Encode() + "&login_hint=%ff", oauth.FaultRequest},
		{"malformed-escape", ask().Encode() + "&login_hint=%zz", oauth.FaultRequest},
		{"null", ask("nonce", "a\x00b").Encode(), oauth.FaultRequest},
		// An object that cannot be read names nobody to be answered.
		{"request-object", ask("request", "x.y.z").Encode(), oauth.FaultRequest},
		{"unknown-handle", "client_id=pension&request_uri=urn:ietf:params:oauth:request_uri:x", oauth.FaultExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := b.get("/authorize?" + c.query)
			if c.fault == "" {
				// The client has one redirect URI, which is then trusted for the error.
				if got := answer(t, w).Get("error"); got != "invalid_request" {
					t.Errorf("error is %q", got)
				}
				return
			}
			if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || h.pages.fault == nil || h.pages.fault.Fault != c.fault {
				t.Errorf("status %d to %q, %+v", w.Code, w.Header().Get("Location"), h.pages.fault)
			}
		})
	}
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete} {
		if w := b.do(mustRequest(method, "/authorize?"+ask().Encode(), "")); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// What is wrong otherwise goes back with iss and, if it was sent, state.
func TestAuthorizeErrors(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	for _, c := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"no-response-type", []string{"response_type", "-"}, "invalid_request"},
		{"implicit", []string{"response_type", "token"}, "unsupported_response_type"},
		{"hybrid", []string{"response_type", "code id_token"}, "unsupported_response_type"},
		{"fragment", []string{"response_mode", "fragment"}, "unsupported_response_mode"},
		{"unknown-mode", []string{"response_mode", "query.jwt"}, "unsupported_response_mode"},
		{"no-scope", []string{"scope", "-"}, "invalid_scope"},
		{"malformed-scope", []string{"scope", "openid  profile"}, "invalid_scope"},
		{"unknown-scope", []string{"scope", "openid everything"}, "invalid_scope"},
		{"over-the-ceiling", []string{"scope", "openid card.status"}, "invalid_scope"},
		// PKCE for every client (CO1).
		{"no-pkce", []string{"code_challenge", "-", "code_challenge_method", "-"}, "invalid_request"},
		{"empty-challenge", []string{"code_challenge", "", "code_challenge_method", "S256"}, "invalid_request"},
		{"plain", []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"no-method-is-plain", []string{"code_challenge_method", "-"}, "invalid_request"},
		{"short-challenge", []string{"code_challenge", "abc"}, "invalid_request"},
		{"prompt-none-and-more", []string{"prompt", "none login"}, "invalid_request"},
		{"unknown-prompt", []string{"prompt", "create"}, "invalid_request"},
		{"max-age-words", []string{"max_age", "soon"}, "invalid_request"},
		{"max-age-negative", []string{"max_age", "-1"}, "invalid_request"},
		{"max-age-fraction", []string{"max_age", "1.5"}, "invalid_request"},
		{"claims-malformed", []string{"claims", "{"}, "invalid_request"},
		{"claims-array", []string{"claims", "[]"}, "invalid_request"},
		{"claims-twice", []string{"claims", `{"id_token":{"acr":null,"acr":{"essential":true,"value":"urn:ecardid:acr:live"}}}`}, "invalid_request"},
		{"claims-part-twice", []string{"claims", `{"id_token":{},"id_token":{"sub":{"value":"x"}}}`}, "invalid_request"},
		{"claims-inside-twice", []string{"claims", `{"userinfo":{"name":{"essential":true,"essential":false}}}`}, "invalid_request"},
		{"claims-no-object", []string{"claims", `{"id_token":{"acr":true}}`}, "invalid_request"},
		{"claims-essential-text", []string{"claims", `{"userinfo":{"name":{"essential":"yes"}}}`}, "invalid_request"},
		{"claims-sub-number", []string{"claims", `{"userinfo":{"sub":{"value":1}}}`}, "invalid_request"},
		{"claims-sub-values-text", []string{"claims", `{"id_token":{"sub":{"values":"x"}}}`}, "invalid_request"},
		{"claims-acr-number", []string{"claims", `{"userinfo":{"acr":{"values":[1]}}}`}, "invalid_request"},
		{"claims-two-people", []string{"claims", `{"userinfo":{"sub":{"value":"a"}},"id_token":{"sub":{"value":"b"}}}`}, "invalid_request"},
		{"userinfo-essential-acr-unknown", []string{"claims", `{"userinfo":{"acr":{"essential":true,"value":"gold"}}}`}, "unmet_authentication_requirements"},
		{"essential-acr-unknown", []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["gold"]}}}`}, "unmet_authentication_requirements"},
		{"hint-forged", []string{"id_token_hint", "a.b.c"}, "invalid_request"},
		{"login-hint-long", []string{"login_hint", strings.Repeat("x", 257)}, "invalid_request"},
		{"state-long", []string{"state", strings.Repeat("x", 5000)}, "invalid_request"},
		{"jkt-short", []string{"dpop_jkt", "abc"}, "invalid_request"},
		{"target-unknown", []string{"resource", "https://other.example/"}, "invalid_target"},
		{"request-uri", []string{"request_uri", "https://rp.example/request"}, "request_uri_not_supported"},
		{"registration", []string{"registration", "{}"}, "registration_not_supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := answer(t, b.get("/authorize?"+ask(c.changes...).Encode()))
			if got.Get("error") != c.want || got.Get("code") != "" {
				t.Errorf("answered %v, want %s", got, c.want)
			}
			if c.name != "state-long" && got.Get("state") != "s t&a=te" {
				t.Errorf("state is %q", got.Get("state"))
			}
		})
	}
	got := answer(t, b.get("/authorize?"+ask("state", "-", "prompt", "bad").Encode()))
	if got.Has("state") {
		t.Errorf("a state that was never sent: %v", got)
	}
}

func TestStateIsOptional(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	for _, state := range []string{"", "x", strings.Repeat("s", 128), "中文 %41&=+#"} {
		w := b.get("/authorize?" + ask("state", state).Encode())
		if location := w.Header().Get("Location"); strings.HasPrefix(location, "/consent") {
			w = b.consent(location, "consent-allow")
		}
		got := answer(t, w)
		if got.Get("state") != state || got.Has("state") != (state != "") || got.Get("code") == "" {
			t.Errorf("for %q: %v", state, got)
		}
	}
}

func TestSilent(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	want := func(name, want string, changes ...string) {
		t.Helper()
		raised := len(h.logins.raised)
		got := answer(t, b.get("/authorize?"+ask(append([]string{"prompt", "none"}, changes...)...).Encode()))
		if got.Get("error") != want {
			t.Errorf("%s: %v, want %q", name, got, want)
		}
		if len(h.logins.raised) != raised {
			t.Errorf("%s: a login was asked for", name)
		}
	}
	want("nobody", "login_required")
	b.signIn(0, password())
	want("one factor", "interaction_required")
	b.signIn(0, password(), totp())
	want("not agreed", "consent_required")
	b.code(ask())
	want("agreed", "")
	want("more than agreed", "consent_required", "scope", "openid card.basic profile")
	want("surer", "interaction_required", "acr_values", "urn:ecardid:acr:bound")
	h.clock.Advance(10 * time.Second)
	want("too old", "login_required", "max_age", "5")
	want("max_age=0", "login_required", "max_age", "0")
	want("young enough", "", "max_age", "10")
	want("unknown acr is voluntary", "", "acr_values", "gold 1 2")
	want("essential acr", "interaction_required", "claims", `{"id_token":{"acr":{"essential":true,"values":["urn:ecardid:acr:live"]}}}`)
	want("essential acr in userinfo", "interaction_required", "claims", `{"userinfo":{"acr":{"essential":true,"values":["urn:ecardid:acr:live"]}}}`)
	want("sub by claims of userinfo", "login_required", "claims", `{"userinfo":{"sub":{"value":"somebody"}}}`)
	want("one of some subs", "login_required", "claims", `{"id_token":{"sub":{"values":["somebody","another"]}}}`)
	me := h.subjects.Subject(&oauth.Client{ID: rp, RedirectURIs: []string{callback}, SubjectType: oauth.SubjectPairwise}, h.citizens[0])
	want("one of some subs, and it is", "", "claims", `{"id_token":{"sub":{"values":["somebody","`+me+`"]}}}`)
	want("sub by claims", "login_required", "claims", `{"id_token":{"sub":{"value":"somebody"}}}`)

	// Consent that was withdrawn is asked for again, and its grants are dead.
	err := h.store.WithdrawConsent(t.Context(), h.citizens[0], rp, h.clock.Now(), audit.Event{Kind: audit.ConsentWithdrawn, At: h.clock.Now(), Actor: audit.ByCitizen, Citizen: h.citizens[0], Client: rp})
	if err != nil {
		t.Fatal(err)
	}
	want("withdrawn", "consent_required")
}

func TestPromptLogin(t *testing.T) {
	for _, changes := range [][]string{{"prompt", "login"}, {"prompt", "select_account"}, {"max_age", "0"}, {"max_age", "30"}} {
		t.Run(strings.Join(changes, "="), func(t *testing.T) {
			h := newHouse(t)
			h.rp()
			b := h.browser()
			b.signIn(0, password(), totp())
			b.code(ask()) // agreed
			h.clock.Advance(time.Minute)
			b.get("/authorize?" + ask(changes...).Encode())
			raise := h.logins.last(t)
			since := h.clock.Now()
			if changes[1] == "30" {
				since = since.Add(-30 * time.Second)
			}
			if !raise.need.Since.Equal(since) {
				t.Fatalf("since %v, want %v", raise.need.Since, since)
			}
			// A slow citizen does not go round in circles.
			h.clock.Advance(5 * time.Minute)
			b.signIn(0, password(), totp())
			h.clock.Advance(5 * time.Minute)
			w := b.get(raise.back)
			// Longer than max_age ago, but after it was asked for.
			if got := answer(t, w); got.Get("code") == "" {
				t.Errorf("answered %v", got)
			}
		})
	}
}

// An age is measured when the answer is given (OI1): a consent page left open does
// not make a login younger.
func TestMaxAgeAtTheAnswer(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	h.clock.Advance(20 * time.Second)
	w := b.get("/authorize?" + ask("max_age", "30").Encode())
	page := w.Header().Get("Location")
	if !strings.HasPrefix(page, "/consent?") {
		t.Fatalf("sent to %q", page)
	}
	b.get(page)
	form := url.Values{"token": {h.pages.consent.Token}, "consent-allow": {"1"}}
	h.clock.Advance(5 * time.Minute)
	w = b.post(page, form)
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, "/authorize?") {
		t.Fatalf("an old login was sent to %q", got)
	}
	b.get(w.Header().Get("Location"))
	raise := h.logins.last(t)
	b.signIn(0, password(), totp())
	h.clock.Advance(5 * time.Minute) // and now for this very request
	w = b.get(raise.back)
	if got := answer(t, b.consent(w.Header().Get("Location"), "consent-allow")); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}
}

func TestIDTokenHint(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"other","client_name":"Other","redirect_uris":["https://other.example/cb"],"scope":"openid"}`)
	hint := h.tokens("openid card.basic")["id_token"].(string)
	access := h.tokens("openid card.basic")["access_token"].(string)
	b := h.browser()
	b.signIn(0, password(), totp())
	h.clock.Advance(time.Hour) // expired long ago and still a hint
	silent := func(changes ...string) url.Values {
		return answer(t, b.get("/authorize?"+ask(append([]string{"prompt", "none"}, changes...)...).Encode()))
	}
	if got := silent("id_token_hint", hint); got.Get("code") == "" {
		t.Errorf("the one meant: %v", got)
	}
	if got := silent("id_token_hint", access); got.Get("error") != "invalid_request" {
		t.Errorf("an access token: %v", got)
	}
	b.signIn(1, password(), totp())
	if got := silent("id_token_hint", hint); got.Get("error") != "login_required" {
		t.Errorf("somebody else: %v", got)
	}
	// Not silent: a fresh login is asked for, and if somebody else comes, so be it told.
	b.get("/authorize?" + ask("id_token_hint", hint).Encode())
	raise := h.logins.last(t)
	if !raise.need.Since.Equal(h.clock.Now()) {
		t.Errorf("since is %v", raise.need.Since)
	}
	h.clock.Advance(time.Second)
	b.signIn(1, password(), totp())
	if got := answer(t, b.get(raise.back)); got.Get("error") != "login_required" {
		t.Errorf("the other one again: %v", got)
	}
}

// A stored request belongs to the browser that brought it, to its client and to
// its time.
func TestStoredRequest(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"other","client_name":"Other","redirect_uris":["https://other.example/cb"],"scope":"openid"}`)
	b := h.browser()
	b.get("/authorize?" + ask().Encode())
	back := h.logins.last(t).back
	expired := func(name string, b *browser, target string) {
		t.Helper()
		w := b.get(target)
		if w.Code != http.StatusBadRequest || h.pages.fault == nil || h.pages.fault.Fault != oauth.FaultExpired {
			t.Errorf("%s: status %d to %q, %+v", name, w.Code, w.Header().Get("Location"), h.pages.fault)
		}
	}
	thief := h.browser()
	thief.signIn(1, password(), totp())
	expired("another browser", thief, back)
	expired("another browser at consent", thief, strings.Replace(back, "/authorize", "/consent", 1))
	expired("another client", b, strings.Replace(back, "client_id=pension", "client_id=other", 1))
	two := mustRequest(http.MethodGet, back, "")
	two.AddCookie(&http.Cookie{Name: "__Host-ecardid-request", Value: strings.Repeat("x", 43)})
	if w := b.do(two); w.Code != http.StatusBadRequest {
		t.Errorf("two cookies of one name: %d to %q", w.Code, w.Header().Get("Location"))
	}

	// The thief's visits burned nothing.
	b.signIn(0, password(), totp())
	if w := b.get(back); !strings.HasPrefix(w.Header().Get("Location"), "/consent?") {
		t.Errorf("sent to %q", w.Header().Get("Location"))
	}
	h.clock.Advance(15 * time.Minute)
	expired("too late", b, back)
}

func TestAuthorizePost(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	cross := h.browser() // no SameSite=Lax cookie comes along
	w := cross.post("/authorize", ask())
	location := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(location, "/authorize?client_id=pension&request_uri=") {
		t.Fatalf("status %d to %q", w.Code, location)
	}
	w = b.get(location)
	// The first browser has it now; the second finds nothing.
	if w := h.browser().get(location); w.Code != http.StatusBadRequest {
		t.Errorf("a second browser: %d", w.Code)
	}
	if got := answer(t, b.consent(w.Header().Get("Location"), "consent-allow")); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}
	r := mustRequest(http.MethodPost, "/authorize", ask().Encode())
	r.Header.Set("Content-Type", "text/plain")
	if w := b.do(r); w.Code != http.StatusBadRequest {
		t.Errorf("as text: %d", w.Code)
	}
	if w := b.post("/authorize?state=x", ask()); w.Code != http.StatusBadRequest {
		t.Errorf("parameters in the URL as well: %d", w.Code)
	}
}

func TestFormPost(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	w := b.get("/authorize?" + ask("response_mode", "form_post").Encode())
	w = b.consent(w.Header().Get("Location"), "consent-allow")
	form := h.pages.form
	if w.Code != http.StatusOK || form == nil || form.Action != callback {
		t.Fatalf("status %d, %+v", w.Code, form)
	}
	got := map[string]string{}
	for _, f := range form.Fields {
		got[f.Name] = f.Value
	}
	if got["code"] == "" || got["iss"] != issuer || got["state"] != "s t&a=te" || len(got) != 3 {
		t.Errorf("fields are %v", got)
	}
	b.get("/authorize?" + ask("response_mode", "form_post", "prompt", "x").Encode())
	if h.pages.form == nil || h.pages.form.Fields[0] != (oauth.Field{Name: "error", Value: "invalid_request"}) {
		t.Errorf("an error: %+v", h.pages.form)
	}
}
