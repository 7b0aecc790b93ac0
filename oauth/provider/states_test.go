package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/provider"
)

// stated registers the relying party of the other tests in a state, tested with the
// first citizen and assessed until the last of the month.
func (h *house) stated(state oauth.ClientState, more string) oauth.Client {
	h.t.Helper()
	return h.client(`{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + callback + `"],"state":"` + string(state) + `",
		"grant_types":["authorization_code","refresh_token","client_credentials"],"scope":"openid profile offline_access card.basic card.status insurance.pay",
		"admission":{"assessor":"Office","assessed":"2026-11-01","expires":"2026-11-30","testers":["` + h.citizens[0].String() + `"]` + more + `}}`)
}

// In each state that is not served a client is nobody, at every endpoint (issue item 6,
// SECURITY CA4, G7).
func TestStates(t *testing.T) {
	month := func(h *house) { h.clock.Advance(10 * 24 * time.Hour) }
	for name, c := range map[string]struct {
		state oauth.ClientState
		then  func(h *house)
		fault oauth.Fault
		alive bool
	}{
		"draft":     {oauth.ClientDraft, nil, oauth.FaultClient, false},
		"testing":   {oauth.ClientTesting, nil, "", true},
		"assessed":  {oauth.ClientAssessed, nil, oauth.FaultClient, false},
		"live":      {oauth.ClientLive, nil, "", true},
		"suspended": {oauth.ClientSuspended, nil, oauth.FaultClient, false},
		// Its words are its own; the rest is as with the others.
		"lapsed":          {oauth.ClientLive, month, oauth.FaultLapsed, false},
		"tested-too-long": {oauth.ClientTesting, month, oauth.FaultLapsed, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.client(`{"client_id":"card-api","client_name":"API","grant_types":[],"resources":["` + cardResource + `"]}`)
			h.stated(oauth.ClientLive, "")
			b := h.browser()
			b.signIn(0, password(), totp())
			uri := h.push()
			before := h.tokens("openid offline_access card.basic")
			h.stated(c.state, "")
			if c.then != nil {
				c.then(h)
				b.signIn(0, password(), totp())
			}
			for range h.stores {
				w := b.get("/authorize?" + ask().Encode())
				if alive := w.Code == http.StatusSeeOther; alive != c.alive || !alive && (h.pages.fault == nil || h.pages.fault.Fault != c.fault) {
					t.Errorf("authorize: %d %+v", w.Code, h.pages.fault)
				}
				for path, form := range map[string]url.Values{"/par": ask(), "/introspect": {"token": {"x"}}, "/revoke": {"token": {"x"}}} {
					status, out := h.call(path, rp, form)
					if alive := status < 300; alive != c.alive || !alive && (status != http.StatusUnauthorized || out["error"] != "invalid_client") {
						t.Errorf("%s: %d %v", path, status, out)
					}
				}
				status, out := h.call("/token", rp, url.Values{"grant_type": {"client_credentials"}})
				switch {
				case c.state == oauth.ClientTesting && c.alive:
					if status != http.StatusBadRequest || out["error"] != "unauthorized_client" {
						t.Errorf("for itself while it is tested: %d %v", status, out)
					}
				case (status == http.StatusOK) != c.alive:
					t.Errorf("client credentials: %d %v", status, out)
				}
				// What it held when it was live is dead, unless it is live still.
				live := c.state == oauth.ClientLive && c.alive
				if w := h.userinfo(before["access_token"].(string)); (w.Code == http.StatusOK) != live {
					t.Errorf("userinfo: %d", w.Code)
				}
				if _, seen := h.call("/introspect", "card-api", url.Values{"token": {before["access_token"].(string)}}); seen["active"] != live {
					t.Errorf("introspected: %v", seen)
				}
			}
			if c.state != oauth.ClientLive {
				if w := b.get(front(rp, uri)); w.Code != http.StatusBadRequest && w.Code != http.StatusForbidden {
					t.Errorf("what it had pushed: %d", w.Code)
				}
			}
			if status, _ := h.call("/token", rp, refreshing(before["refresh_token"].(string))); (status == http.StatusOK) != (c.state == oauth.ClientLive && c.alive) {
				t.Errorf("refresh: %d", status)
			}
		})
	}
}

// A client that is being tested is served for those it is tested with, and nobody else
// can tell (SECURITY OI2).
func TestTesting(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"card-api","client_name":"API","grant_types":[],"resources":["` + cardResource + `"]}`)
	h.stated(oauth.ClientTesting, "")
	tester, other, nobody := h.browser(), h.browser(), h.browser()
	tester.sure(h.phone())
	other.signIn(1, password(), totp())
	status, out := h.call("/token", rp, redeem(tester.code(ask("scope", "openid offline_access card.basic"))))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	_, opaque := h.call("/token", rp, redeem(tester.code(ask("scope", "openid insurance.pay"))))
	access := out["access_token"].(string)
	for name, token := range map[string]string{"jwt": access, "opaque": opaque["access_token"].(string)} {
		if w := h.userinfo(token); w.Code != http.StatusOK {
			t.Errorf("%s: userinfo: %d", name, w.Code)
		}
	}
	if status, out := h.call("/token", rp, refreshing(out["refresh_token"].(string))); status != http.StatusOK {
		t.Errorf("refresh: %d %v", status, out)
	}
	w := other.get("/authorize?" + ask().Encode())
	if w.Code != http.StatusForbidden || h.pages.fault == nil || h.pages.fault.Fault != oauth.FaultTesting || w.Header().Get("Location") != "" {
		t.Errorf("somebody else: %d to %q, %+v", w.Code, w.Header().Get("Location"), h.pages.fault)
	}
	// Signing in anew may bring somebody it is tested with.
	if w := other.get("/authorize?" + ask("prompt", "login").Encode()); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" {
		t.Errorf("somebody else who is to sign in: %d to %q", w.Code, w.Header().Get("Location"))
	}
	// Nobody can tell from a silent answer whether somebody is signed in.
	for name, b := range map[string]*browser{"somebody else": other, "nobody": nobody} {
		if got := answer(t, b.get("/authorize?"+ask("prompt", "none").Encode())); got.Get("error") != "login_required" {
			t.Errorf("%s: %v", name, got)
		}
	}
	// A consent page that was open when the list changed is no way in.
	late := h.browser()
	late.signIn(0, password(), totp())
	location := late.get("/authorize?" + ask("prompt", "consent").Encode()).Header().Get("Location")
	if !strings.HasPrefix(location, "/consent?") {
		t.Fatal(location)
	}
	h.client(`{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + callback + `"],"state":"testing","scope":"openid card.basic",
		"grant_types":["authorization_code","refresh_token"],"admission":{"testers":["` + h.citizens[1].String() + `"]}}`)
	if w := late.get(location); w.Code != http.StatusBadRequest {
		t.Errorf("the consent page: %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := h.userinfo(access); w.Code != http.StatusUnauthorized {
		t.Errorf("what was given to somebody who tests no longer: %d", w.Code)
	}
	other.code(ask("scope", "openid card.basic"))
}

// A resource server that is being tested is told about those it is tested with alone,
// and nothing is passed on to it.
func TestTestedResourceServer(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"card-api","client_name":"API","grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"],"resources":["` + cardResource + `"],
		"scope":"insurance.read","exchange_resources":["` + insuranceResource + `"],"state":"testing","admission":{"testers":["` + h.citizens[0].String() + `"]}}`)
	for citizen, want := range map[int]bool{0: true, 1: false} {
		b := h.browser()
		b.signIn(citizen, password(), totp())
		_, out := h.call("/token", rp, redeem(b.code(ask("scope", "openid card.basic insurance.read"))))
		token := out["access_token"].(string)
		if _, seen := h.call("/introspect", "card-api", url.Values{"token": {token}}); seen["active"] != want || !want && len(seen) != 1 {
			t.Errorf("citizen %d: %v", citizen, seen)
		}
		if status, got := h.call("/token", "card-api", exchanging(token)); status != http.StatusBadRequest || got["error"] != "unauthorized_client" {
			t.Errorf("exchanged: %d %v", status, got)
		}
	}
}

// The ceiling is what was admitted, and not what was registered; the law that lets the
// application ask is on the consent page.
func TestAdmittedCeiling(t *testing.T) {
	h := newHouse(t)
	h.stated(oauth.ClientLive, `,"scopes":[{"scope":"openid"},{"scope":"card.basic","basis":{"zh-CN":"社会保险法","en":"Social Insurance Law"}}]`)
	b := h.browser()
	b.signIn(0, password(), totp())
	if got := answer(t, b.get("/authorize?"+ask("scope", "openid profile").Encode())); got.Get("error") != "invalid_scope" {
		t.Errorf("authorize: %v", got)
	}
	if status, out := h.call("/par", rp, ask("scope", "openid profile")); status != http.StatusBadRequest || out["error"] != "invalid_scope" {
		t.Errorf("par: %d %v", status, out)
	}
	if status, out := h.call("/token", rp, url.Values{"grant_type": {"client_credentials"}, "scope": {"card.status"}}); status != http.StatusBadRequest || out["error"] != "invalid_scope" {
		t.Errorf("client credentials: %d %v", status, out)
	}
	location := b.get("/authorize?" + ask("scope", "openid card.basic").Encode()).Header().Get("Location")
	b.get(location)
	if h.pages.consent == nil || len(h.pages.consent.Scopes) != 2 || h.pages.consent.Scopes[1].Basis["en"] != "Social Insurance Law" || h.pages.consent.Scopes[0].Basis != nil {
		t.Errorf("%+v", h.pages.consent)
	}
}

// Of a tested client it counts what the database says now: a replica that has not heard
// yet gives a code to nobody who was taken off the list.
func TestTesterTakenOff(t *testing.T) {
	h := newHouse(t)
	c := h.stated(oauth.ClientTesting, "")
	b := h.browser()
	b.signIn(0, password(), totp())
	b.code(ask())
	c, _ = h.find(c.ID)
	revision, err := c.Revision()
	if err != nil {
		t.Fatal(err)
	}
	a := *c.Admission
	a.Testers = []identity.ID{h.citizens[1]}
	for _, scope := range c.Scopes() { // written at the console it names them
		a.Scopes = append(a.Scopes, oauth.Basis{Scope: scope})
	}
	e := audit.Event{Kind: audit.ClientPrepared, At: h.clock.Now(), Actor: audit.BySystem, Client: rp}
	if err := h.store.MoveClient(t.Context(), rp, oauth.Transition{Revision: revision, To: oauth.ClientTesting, Admission: &a}, e); err != nil {
		t.Fatal(err)
	}
	// Nobody was told: every registry still has the list of before.
	if w := b.get("/authorize?" + ask().Encode()); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" {
		t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
	}
}

// find reads a client as it is kept.
func (h *house) find(id string) (oauth.Client, bool) {
	h.t.Helper()
	all, _, err := h.store.AllClients(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range all {
		if c.ID == id {
			return c, true
		}
	}
	return oauth.Client{}, false
}

// What clients do is counted, and no request asks the database for it.
func TestUses(t *testing.T) {
	var meters []*oauth.Meter
	h := newHouse(t, func(c *provider.Config) {
		store, ok := c.Store.(oauth.Usages)
		if !ok {
			t.Fatalf("%T", c.Store)
		}
		c.Uses = &oauth.Meter{Store: store, Clock: c.Clock, Log: c.Log}
		meters = append(meters, c.Uses)
	})
	h.rp()
	out := h.tokens("openid offline_access card.basic")
	h.call("/token", rp, refreshing(out["refresh_token"].(string)))
	h.call("/par", rp, ask("scope", "openid card.status"))
	h.call("/token", rp, url.Values{"grant_type": {"client_credentials"}}) // not admitted with it
	wrong := h.secretOf[rp]
	h.secretOf[rp] = "a guess"
	h.call("/revoke", rp, url.Values{"token": {"x"}})
	h.secretOf[rp] = wrong
	for _, m := range meters {
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	days, err := h.store.UsageSince(t.Context(), rp, 0)
	today := oauth.DayNumber(h.clock.Now())
	if want := (oauth.Usage{ClientID: rp, Day: today, Codes: 1, Refreshes: 1, Refusals: 2, Overasked: 1}); err != nil || len(days) != 1 || days[0] != want {
		t.Errorf("%+v, %v; want %+v", days, err, want)
	}
}

// A device of a client that is being tested is connected by those it is tested with.
func TestTestedDevice(t *testing.T) {
	h := terminals(t)
	h.client(`{"client_id":"monitor","client_name":"Monitor","token_endpoint_auth_method":"none","grant_types":["` + deviceGrant + `"],
		"scope":"openid card.basic","state":"testing","admission":{"testers":["` + h.citizens[0].String() + `"]}}`)
	m := h.device("monitor", "openid card.basic")
	tester, other := h.browser(), h.browser()
	tester.signIn(0, password(), totp())
	other.signIn(1, password(), totp())
	if w := other.get(other.connect(m.user)); w.Code != http.StatusForbidden || h.pages.fault == nil || h.pages.fault.Fault != oauth.FaultTesting {
		t.Errorf("somebody else: %d to %q, %+v", w.Code, w.Header().Get("Location"), h.pages.fault)
	}
	m.expect("still waiting", "authorization_pending")
	w := tester.get(tester.connect(m.user))
	if w = tester.consent(w.Header().Get("Location"), "consent-allow"); w.Code != http.StatusSeeOther {
		t.Fatalf("%d", w.Code)
	}
	h.clock.Advance(10 * time.Second)
	if status, out := m.ask(); status != http.StatusOK {
		t.Errorf("%d %v", status, out)
	}
}
