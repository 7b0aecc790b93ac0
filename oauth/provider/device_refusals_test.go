package provider_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecardid/oauth"
	"ecardid/oauth/devicegrant"
)

func TestDeviceTokenRefuses(t *testing.T) {
	h := terminals(t)
	m := h.device("terminal", "openid card.basic")
	b := h.citizen(0)
	b.ends(b.decide(m.user, "consent-allow"), "connected")
	code := h.citizen(1).code(ask())
	for _, c := range []struct {
		name, client string
		form         url.Values
		want         string
	}{
		{"another-client", "monitor", polling(m.code), "invalid_grant"},
		{"not-admitted", rp, polling(m.code), "unauthorized_client"},
		{"no-code", "terminal", url.Values{"grant_type": {deviceGrant}}, "invalid_request"},
		{"two-codes", "terminal", url.Values{"grant_type": {deviceGrant}, "device_code": {m.code, m.code}}, "invalid_request"},
		{"junk", "terminal", polling("junk"), "invalid_grant"},
		{"altered", "terminal", polling(m.code[:len(m.code)-4] + "AAAA"), "invalid_grant"},
		{"the-user-code", "terminal", polling(m.user), "invalid_grant"},
		// One kind is never another (G2).
		{"an-authorization-code", "terminal", polling(code), "invalid_grant"},
		{"as-an-authorization-code", rp, redeem(m.code), "invalid_grant"},
		{"as-a-refresh-token", "terminal", refreshing(m.code), "invalid_grant"},
		{"in-the-other's-parameter", "terminal", url.Values{"grant_type": {deviceGrant}, "code": {m.code}}, "invalid_request"},
		{"not-its-resource", "terminal", url.Values{"grant_type": {deviceGrant}, "device_code": {m.code}, "resource": {"urn:nobody"}}, "invalid_target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.serve(h.tokenRequest(c.client, "", c.form))
			if out := jsonOf(t, w); w.Code != http.StatusBadRequest || out["error"] != c.want {
				t.Errorf("%d %v, want %s", w.Code, out, c.want)
			}
		})
	}
	if status, out := h.call("/token", "", polling(m.code)); status != http.StatusUnauthorized {
		t.Errorf("nobody: %d %v", status, out)
	}
	m.expect("after all that", "")
}

func TestDeviceBeginRefuses(t *testing.T) {
	h := terminals(t)
	scope := func(s string) url.Values { return url.Values{"scope": {s}} }
	for _, c := range []struct {
		name, client string
		form         url.Values
		want         string
	}{
		{"not-admitted", rp, scope("openid"), "unauthorized_client"},
		{"no-scope", "terminal", url.Values{}, "invalid_scope"},
		{"beyond", "monitor", scope("openid profile"), "invalid_scope"},
		{"unknown", "terminal", scope("openid nothing"), "invalid_scope"},
		{"for-machines", "terminal", scope("card.status"), "invalid_scope"},
		{"malformed", "terminal", scope("openid  profile"), "invalid_scope"},
		{"twice", "terminal", url.Values{"scope": {"openid", "openid"}}, "invalid_request"},
		{"another-target", "terminal", url.Values{"scope": {"card.basic"}, "resource": {insuranceResource}}, "invalid_target"},
		{"no-target", "terminal", url.Values{"scope": {"card.basic"}, "resource": {"#"}}, "invalid_target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, out := h.begin(c.client, c.form); status != http.StatusBadRequest || out["error"] != c.want {
				t.Errorf("%d %v, want %s", status, out, c.want)
			}
		})
	}
	for name, id := range map[string]string{"nobody": "", "unknown": "stranger"} {
		if status, out := h.call(devicegrant.Path, "", url.Values{"scope": {"openid"}, "client_id": {id}}); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	// A client with a secret has to show it.
	if status, out := h.call(devicegrant.Path, "", url.Values{"scope": {"openid"}, "client_id": {"terminal"}}); status != http.StatusUnauthorized {
		t.Errorf("without its secret: %d %v", status, out)
	}
	if w := h.serve(mustRequest(http.MethodGet, devicegrant.Path, "")); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
	// An assertion is used up here as elsewhere (G1).
	sign := h.asserted("signer", `"grant_types":["`+deviceGrant+`"],"scope":"openid card.basic"`)
	form := sign(scope("openid"))
	if status, out := h.call(devicegrant.Path, "", form); status != http.StatusOK {
		t.Errorf("an assertion: %d %v", status, out)
	}
	if status, out := h.call(devicegrant.Path, "", form); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
		t.Errorf("the same again: %d %v", status, out)
	}
	form = sign(scope("nothing"))
	h.call(devicegrant.Path, "", form)
	form.Set("scope", "openid")
	if status, out := h.call(devicegrant.Path, "", form); status != http.StatusUnauthorized {
		t.Errorf("one that a refusal used up: %d %v", status, out)
	}
}

// There is no device grant unless somebody says so (CO5).
func TestDeviceGrantIsOff(t *testing.T) {
	h := newHouse(t)
	h.rp()
	if h.mux.knows(devicegrant.Path) || h.mux.knows(devicegrant.ConnectPath) {
		t.Error("it is served")
	}
	if status, out := h.call("/token", rp, polling("ecd_junk")); status != http.StatusBadRequest || out["error"] != "unsupported_grant_type" {
		t.Errorf("%d %v", status, out)
	}
	var fapi oauth.Client
	fapi.Profile, fapi.GrantTypes = oauth.ProfileFAPI2, []string{deviceGrant}
	if devicegrant.Admitted(&fapi) == nil {
		t.Error("a client of profile fapi2 may")
	}
}

// The question is the browser's in which the code was typed (G3).
func TestDeviceRequestIsOfOneBrowser(t *testing.T) {
	h := terminals(t)
	m := h.device("terminal", "openid card.basic")
	b, other := h.citizen(0), h.citizen(1)
	back := b.connect(m.user)
	to := b.get(back).Header().Get("Location")
	for _, target := range []string{back, to} {
		if w := other.get(target); w.Code != http.StatusBadRequest || h.pages.fault.Fault != oauth.FaultExpired {
			t.Errorf("%d at %s", w.Code, target)
		}
	}
	b.get(to)
	form := url.Values{"token": {h.pages.consent.Token}, "consent-allow": {"1"}}
	if w := other.post(to, form); w.Code != http.StatusBadRequest {
		t.Errorf("%d", w.Code)
	}
	m.expect("another browser decides nothing", "authorization_pending")
	b.ends(b.consent(to, "consent-allow"), "connected")
	if w := b.post(to, form); w.Code != http.StatusBadRequest {
		t.Errorf("a second answer: %d", w.Code)
	}
}

// Of two citizens who type one code, one answers.
func TestOneCitizenAnswersADevice(t *testing.T) {
	for _, buttons := range [][2]string{{"consent-allow", "consent-allow"}, {"consent-deny", "consent-allow"}, {"consent-allow", "consent-deny"}} {
		h := terminals(t)
		m := h.device("terminal", "openid card.basic")
		one, two := h.citizen(0), h.citizen(1)
		var to [2]string
		for i, b := range []*browser{one, two} {
			to[i] = b.get(b.connect(m.user)).Header().Get("Location")
		}
		two.get(to[1])
		token := h.pages.consent.Token
		first := one.consent(to[0], buttons[0])
		if first.Code != http.StatusSeeOther {
			t.Fatalf("%d", first.Code)
		}
		if w := two.post(to[1], url.Values{"token": {token}, buttons[1]: {"1"}}); w.Code != http.StatusBadRequest {
			t.Errorf("%v: the second: %d %q", buttons, w.Code, w.Header().Get("Location"))
		}
		if buttons[0] == "consent-deny" {
			m.expect("denied", "access_denied")
			continue
		}
		var id map[string]any
		h.claims(m.expect("allowed", "")["id_token"].(string), &id)
		if want := h.subjects.Subject(&oauth.Client{ID: "terminal"}, h.citizens[0]); id["sub"] != want {
			t.Errorf("tokens of %v, want %v", id["sub"], want)
		}
	}
}

// Guesses are counted by browser, by source and over all, before they are looked at
// (RFC 8628 §5.1), and while they are too many right and wrong look the same.
func TestUserCodesAreNotGuessed(t *testing.T) {
	h := terminals(t)
	m := h.device("terminal", "openid card.basic")
	guess := func(b *browser, source, code string) string {
		t.Helper()
		r := mustRequest(http.MethodPost, "/connect", url.Values{"user_code": {code}}.Encode())
		r.RemoteAddr = source + ":1234"
		w := b.do(r)
		if w.Code == http.StatusSeeOther {
			return "right"
		}
		return w.Header().Get(shownTrouble)
	}
	wrong := "BCDF-GHJK"
	b := h.browser()
	for _, nonsense := range []string{"", "AEIO-UAEI", "BCDF-GHJ", m.user + "B", strings.Repeat("B", 200), "ÄÖ\"><script>"} {
		if got := guess(b, "203.0.113.1", nonsense); got != "wrong" {
			t.Errorf("%q: %s", nonsense, got)
		}
	}
	for i := range 6 {
		if got := guess(b, "203.0.113.1", wrong); got != "wrong" {
			t.Fatalf("guess %d: %s", i, got)
		}
	}
	for _, code := range []string{wrong, m.user} {
		if got := guess(b, "203.0.113.2", code); got != "tries" {
			t.Errorf("the browser: %s", got)
		}
	}
	h.clock.Advance(time.Minute)
	if got := guess(b, "203.0.113.2", m.user); got != "right" {
		t.Errorf("a minute later: %s", got)
	}
	// A new browser each time, from one network.
	tries := 0
	for ; tries < 60 && guess(h.browser(), "2001:db8::"+string(rune('a'+tries%6)), wrong) == "wrong"; tries++ {
	}
	if tries != 31 {
		t.Errorf("a source has %d guesses", tries)
	}
	if got := guess(h.browser(), "203.0.113.3", m.user); got != "right" {
		t.Errorf("somebody else: %s", got)
	}
	// A new network each time. Whoever is signed in still gets through.
	tries = 0
	for ; tries < 600 && guess(h.browser(), "198.51."+strconv.Itoa(tries/200)+"."+strconv.Itoa(tries%200), wrong) == "wrong"; tries++ {
	}
	if tries > 300 {
		t.Errorf("a thousand sources have %d guesses", tries)
	}
	if got := guess(h.browser(), "203.0.113.4", m.user); got != "tries" {
		t.Errorf("a stranger: %s", got)
	}
	if got := guess(h.citizen(0), "203.0.113.4", m.user); got != "right" {
		t.Errorf("a citizen: %s", got)
	}
	// And has few of their own.
	c := h.citizen(1)
	tries = 0
	for ; tries < 60; tries++ {
		delete(c.cookies, "__Host-ecardid-request")
		if guess(c, "192.0.2."+strconv.Itoa(tries), wrong) != "wrong" {
			break
		}
	}
	if tries != 11 {
		t.Errorf("a citizen has %d guesses", tries)
	}
}
