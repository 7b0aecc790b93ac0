package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/devicegrant"
	"ecardid/oauth/provider"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// What the pages were given, tests read off the headers.
const (
	shownTrouble = "Trouble"
	shownCode    = "User-Code"
	shownEnd     = "Ended"
)

func (*pages) Connect(w http.ResponseWriter, _ *http.Request, v devicegrant.ConnectView) {
	w.Header().Set(shownTrouble, string(v.Trouble))
	w.Header().Set(shownCode, v.Code)
}

func (*pages) Connected(w http.ResponseWriter, _ *http.Request, v devicegrant.ConnectedView) {
	w.Header().Set(shownEnd, map[bool]string{true: "connected", false: "declined"}[v.Allowed])
}

// terminals is a house with a device grant, a terminal of the pension office, which has
// a secret, and a monitor, which has none.
func terminals(t *testing.T, change ...func(*provider.Config)) *house {
	t.Helper()
	h := newHouse(t, append(change, func(c *provider.Config) { c.DeviceGrant = true })...)
	h.client(`{"client_id":"terminal","client_name":"Terminal","grant_types":["` + deviceGrant + `","refresh_token"],
		"scope":"openid profile offline_access card.basic insurance.read insurance.pay","first_party":true}`)
	h.client(`{"client_id":"monitor","client_name":"Monitor","token_endpoint_auth_method":"none","grant_types":["` + deviceGrant + `","refresh_token"],
		"scope":"openid card.basic insurance.read"}`)
	h.rp()
	return h
}

// A waiting is a device that has begun.
type waiting struct {
	h                  *house
	client, code, user string
}

func (h *house) begin(client string, form url.Values) (int, map[string]any) {
	h.t.Helper()
	w := h.serve(h.deviceRequest(client, form))
	return w.Code, jsonOf(h.t, w)
}

func (h *house) deviceRequest(client string, form url.Values) *http.Request {
	r := h.tokenRequest(client, "", form)
	r.URL.Path = devicegrant.Path
	return r
}

func (h *house) device(client, scope string, more ...string) waiting {
	h.t.Helper()
	form := url.Values{"scope": {scope}}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	status, out := h.begin(client, form)
	if status != http.StatusOK {
		h.t.Fatalf("%d %v", status, out)
	}
	return waiting{h, client, out["device_code"].(string), out["user_code"].(string)}
}

func polling(code string) url.Values {
	return url.Values{"grant_type": {deviceGrant}, "device_code": {code}}
}

// ask polls now.
func (m waiting) ask(more ...string) (int, map[string]any) {
	m.h.t.Helper()
	form := polling(m.code)
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	w := m.h.serve(m.h.tokenRequest(m.client, "", form))
	return w.Code, jsonOf(m.h.t, w)
}

// expect polls when it is time again; "" are tokens.
func (m waiting) expect(what, want string) map[string]any {
	m.h.t.Helper()
	m.h.clock.Advance(devicegrant.Interval)
	status, out := m.ask()
	if got, _ := out["error"].(string); got != want || (status == http.StatusOK) != (want == "") {
		m.h.t.Fatalf("%s: %d %v, want %q", what, status, out, want)
	}
	return out
}

// connect types the code and returns where it leads.
func (b *browser) connect(code string) string {
	b.h.t.Helper()
	w := b.post("/connect", url.Values{"user_code": {code}})
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/authorize?") {
		b.h.t.Fatalf("%d %q, trouble %q", w.Code, to, w.Header().Get(shownTrouble))
	}
	return to
}

// decide walks a citizen who is signed in to the consent page, and presses.
func (b *browser) decide(code, button string) *httptest.ResponseRecorder {
	b.h.t.Helper()
	to := b.get(b.connect(code)).Header().Get("Location")
	if !strings.HasPrefix(to, "/consent?") {
		b.h.t.Fatalf("sent to %q", to)
	}
	return b.consent(to, button)
}

// ends follows to the page that says what was decided.
func (b *browser) ends(w *httptest.ResponseRecorder, want string) {
	b.h.t.Helper()
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || to != "/connect/done?outcome="+want {
		b.h.t.Fatalf("%d %q", w.Code, to)
	}
	if got := b.get(to); got.Code != http.StatusOK || got.Header().Get(shownEnd) != want {
		b.h.t.Errorf("%d %q", got.Code, got.Header().Get(shownEnd))
	}
}

func (h *house) citizen(i int) *browser {
	b := h.browser()
	b.signIn(i, password(), totp())
	return b
}

func TestDeviceGrant(t *testing.T) {
	h := terminals(t)
	status, out := h.begin("terminal", url.Values{"scope": {"openid card.basic offline_access"}})
	user, _ := out["user_code"].(string)
	if status != http.StatusOK || len(user) != 9 || out["verification_uri"] != issuer+"/connect" ||
		out["verification_uri_complete"] != issuer+"/connect?user_code="+user || out["expires_in"] != 600.0 || out["interval"] != 5.0 || len(out) != 6 {
		t.Fatalf("%d %v", status, out)
	}
	m := waiting{h, "terminal", out["device_code"].(string), user}
	m.expect("nobody has come", "authorization_pending")

	b := h.browser()
	if w := b.get("/connect?user_code=" + user); w.Code != http.StatusOK || w.Header().Get(shownCode) != user {
		t.Errorf("the link: %d %q", w.Code, w.Header().Get(shownCode))
	}
	m.expect("a link that was opened is no answer", "authorization_pending")
	back := b.connect(" " + strings.ToLower(strings.ReplaceAll(user, "-", " ")))
	if w := b.get(back); w.Header().Get("Location") != "/login" {
		t.Fatalf("%d %q", w.Code, w.Header().Get("Location"))
	}
	raised := h.logins.last(t)
	if raised.back != back || raised.need.Level != identity.LevelMFA || raised.need.Asker.ClientID != "terminal" || raised.need.Txn == "" {
		t.Errorf("%+v", raised)
	}
	b.signIn(0, password(), totp())
	to := b.get(back).Header().Get("Location")
	if w := b.get(to); w.Code != http.StatusOK || h.pages.consent == nil {
		t.Fatalf("%d %q", w.Code, to)
	}
	if v := h.pages.consent; v.UserCode != user || v.Asker.Host != "" || len(v.Scopes) != 3 {
		t.Errorf("%+v", v)
	}
	m.expect("still reading", "authorization_pending")
	b.ends(b.consent(to, "consent-allow"), "connected")

	tokens := m.expect("allowed", "")
	var id map[string]any
	h.claims(tokens["id_token"].(string), &id)
	if id["aud"] != "terminal" || id["acr"] != "urn:ecardid:acr:mfa" || id["nonce"] != nil || tokens["scope"] != "openid card.basic offline_access" {
		t.Errorf("%v, %v", id, tokens["scope"])
	}
	access, refresh := tokens["access_token"].(string), tokens["refresh_token"].(string)
	if w := h.userinfo(access); w.Code != http.StatusOK {
		t.Errorf("userinfo: %d", w.Code)
	}
	if status, out := h.refresh("terminal", refresh); status != http.StatusOK {
		t.Errorf("refresh: %d %v", status, out)
	}
	given, err := h.store.Consents(t.Context(), h.citizens[0], "terminal", h.clock.Now())
	if err != nil || len(given) != 3 {
		t.Errorf("%v, %v", given, err)
	}

	// The code came back: whoever has it, nobody keeps what it gave (RFC 6749 §4.1.2).
	m.expect("spent", "invalid_grant")
	if w := h.userinfo(access); w.Code != http.StatusUnauthorized {
		t.Errorf("userinfo afterwards: %d", w.Code)
	}
	if status, _ := h.refresh("terminal", refresh); status == http.StatusOK {
		t.Error("refresh goes on")
	}
}

// A citizen is asked, whoever asks and whatever was agreed to before (RFC 8628 §5.4).
func TestDeviceConsentIsAlwaysAsked(t *testing.T) {
	h := terminals(t)
	b := h.citizen(0)
	for range 2 {
		m := h.device("terminal", "openid card.basic")
		b.ends(b.decide(m.user, "consent-allow"), "connected")
		m.expect("allowed", "")
	}
	// Below the level of the scope nobody gets as far.
	m := h.device("terminal", "insurance.pay")
	if to := b.get(b.connect(m.user)).Header().Get("Location"); to != "/login" || h.logins.last(t).need.Level != identity.LevelBound {
		t.Errorf("%q, %v", to, h.logins.last(t).need)
	}
}

func TestDeviceDenied(t *testing.T) {
	h := terminals(t)
	m := h.device("terminal", "openid card.basic")
	b := h.citizen(0)
	b.ends(b.decide(m.user, "consent-deny"), "declined")
	m.expect("declined", "access_denied")
	m.expect("and for good", "access_denied")
	if w := b.post("/connect", url.Values{"user_code": {m.user}}); w.Header().Get(shownTrouble) != "wrong" {
		t.Errorf("%d %q", w.Code, w.Header().Get(shownTrouble))
	}
	// Who gives up signing in has declined.
	m, b = h.device("terminal", "openid card.basic"), h.browser()
	back := b.connect(m.user)
	b.get(back)
	b.ends(b.get(back+"&login=cancelled"), "declined")
	m.expect("gave up", "access_denied")
}

func TestDevicePollsTooSoon(t *testing.T) {
	h := terminals(t)
	m := h.device("terminal", "openid card.basic")
	for i, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "authorization_pending"},
		{4 * time.Second, "slow_down"},
		{9 * time.Second, "slow_down"}, // ten by now
		{14 * time.Second, "slow_down"},
		{20 * time.Second, "authorization_pending"},
	} {
		h.clock.Advance(step.after)
		if status, out := m.ask(); status != http.StatusBadRequest || out["error"] != step.want {
			t.Errorf("poll %d: %d %v, want %s", i, status, out, step.want)
		}
	}
	// Others are not held up by it.
	if status, out := h.device("terminal", "openid card.basic").ask(); status != http.StatusBadRequest || out["error"] != "authorization_pending" {
		t.Errorf("%d %v", status, out)
	}
}

func TestDeviceCodeExpires(t *testing.T) {
	h := terminals(t)
	m, late := h.device("terminal", "openid card.basic"), h.device("terminal", "openid card.basic")
	b, agreed := h.citizen(0), h.citizen(1)
	to := b.get(b.connect(m.user)).Header().Get("Location")
	agreed.ends(agreed.decide(late.user, "consent-allow"), "connected")
	h.clock.Advance(devicegrant.Life)
	m.expect("nobody came in time", "expired_token")
	late.expect("the device did not", "expired_token")
	if w := b.get(to); w.Code != http.StatusBadRequest || h.pages.fault.Fault != oauth.FaultExpired {
		t.Errorf("the consent page: %d %v", w.Code, h.pages.fault)
	}
	if w := b.post("/connect", url.Values{"user_code": {m.user}}); w.Header().Get(shownTrouble) != "wrong" {
		t.Errorf("typed: %d %q", w.Code, w.Header().Get(shownTrouble))
	}
}

// Of twenty polls at once one gets tokens, and nothing is ended by the others (G1).
func TestOnePollWins(t *testing.T) {
	h := terminals(t)
	m := h.device("terminal", "openid card.basic")
	b := h.citizen(0)
	b.ends(b.decide(m.user, "consent-allow"), "connected")
	answers := make([]*httptest.ResponseRecorder, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = h.serve(h.tokenRequest("terminal", "", polling(m.code))) })
	}
	all.Wait()
	won := 0
	for _, w := range answers {
		out := jsonOf(t, w)
		switch {
		case w.Code == http.StatusOK:
			won++
			if got := h.userinfo(out["access_token"].(string)); got.Code != http.StatusOK {
				t.Errorf("the winner's token: %d", got.Code)
			}
		case w.Code != http.StatusBadRequest || out["error"] != "slow_down":
			t.Errorf("a loser got %d %v", w.Code, out)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

// Whatever ends a citizen's consent ends what waits for the device, too (G6).
func TestDeviceGrantEndsBeforeItIsFetched(t *testing.T) {
	for name, end := range map[string]func(h *house, login identity.Login){
		"sign-out": func(h *house, l identity.Login) {
			h.done(h.store.EndLogin(t.Context(), l.Citizen, l.ID, audit.Event{Kind: audit.LoginEnded, At: h.clock.Now(), Actor: audit.ByCitizen, Citizen: l.Citizen}))
		},
		"withdrawn": func(h *house, l identity.Login) {
			h.done(h.store.WithdrawConsent(t.Context(), l.Citizen, "terminal", h.clock.Now(), audit.Event{Kind: audit.ConsentWithdrawn, At: h.clock.Now(), Actor: audit.ByCitizen, Citizen: l.Citizen}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := terminals(t)
			m := h.device("terminal", "openid card.basic")
			b := h.browser()
			login := b.signIn(0, password(), totp())
			b.ends(b.decide(m.user, "consent-allow"), "connected")
			end(h, login)
			m.expect("ended", "invalid_grant")
		})
	}
	h := terminals(t)
	m := h.device("terminal", "openid card.basic")
	event := audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: "terminal"}
	h.done(h.store.SuspendClient(t.Context(), "terminal", h.clock.Now(), event))
	h.done(h.registry.Reload(t.Context()))
	b := h.citizen(0)
	if w := b.post("/connect", url.Values{"user_code": {m.user}}); w.Header().Get(shownTrouble) != "wrong" {
		t.Errorf("of a suspended client: %d %q", w.Code, w.Header().Get(shownTrouble))
	}
	if status, out := m.ask(); status != http.StatusUnauthorized {
		t.Errorf("of a suspended client: %d %v", status, out)
	}
}

func (h *house) done(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// A device without credentials that has a key has its tokens bound to it, the refresh
// token as well (SECURITY SC3).
func TestDeviceBindsItsKey(t *testing.T) {
	h := terminals(t)
	m, k := h.device("monitor", "openid card.basic"), h.holder()
	b := h.citizen(0)
	b.ends(b.decide(m.user, "consent-allow"), "connected")
	status, out := h.proven("monitor", k.forToken(), polling(m.code))
	if status != http.StatusOK || out["token_type"] != "DPoP" || cnf(h, out["access_token"], "jkt") != k.jkt() {
		t.Fatalf("%d %v", status, out)
	}
	refresh := out["refresh_token"].(string)
	if status, out := h.proven("monitor", h.holder().forToken(), refreshing(refresh)); status != http.StatusBadRequest {
		t.Errorf("another key: %d %v", status, out)
	}
	if status, out := h.proven("monitor", k.forToken(), refreshing(refresh)); status != http.StatusOK {
		t.Errorf("its key: %d %v", status, out)
	}
	// Anybody can begin in the name of a client without credentials: not for ever.
	open := 0
	for ; open < 100; open++ {
		if status, out := h.begin("monitor", url.Values{"scope": {"openid"}}); status != http.StatusOK {
			if status != http.StatusTooManyRequests || out["error"] != "temporarily_unavailable" {
				t.Errorf("%d %v", status, out)
			}
			break
		}
	}
	if open > 60 {
		t.Errorf("%d devices", open)
	}
}

func TestDeviceMetadata(t *testing.T) {
	h := terminals(t)
	w := h.serve(mustRequest(http.MethodGet, "/.well-known/oauth-authorization-server", ""))
	if m := jsonOf(t, w); m["device_authorization_endpoint"] != issuer+devicegrant.Path || !strings.Contains(w.Body.String(), deviceGrant) {
		t.Errorf("%v", m)
	}
}
