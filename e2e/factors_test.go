package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecardid/authn/phone"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

// TestLiveness: what the provider may answer besides yes, and what the person sees.
func TestLiveness(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "liveness")
	p := visitor(t, h)
	auth := p.tab.Passkey(browser.Passkey{})
	q := rp.Ask("openid pension.claim")
	p.tab.Go(q.URL())
	p.password()
	p.code()
	p.tab.Press("#step-continue")
	p.tab.Click("#passkey-create")
	p.tab.WaitURL("/login/passkey")
	p.tab.Click("#passkey-login")
	p.tab.WaitURL("/login/liveness")

	// Without the separate consent nobody's face is looked at.
	p.tab.JS("document.querySelector('#face-consent').required=false")
	p.tab.Press("#liveness-start")
	if !p.tab.Has("#problem") || !strings.HasPrefix(p.tab.URL(), h.Issuer) {
		t.Fatalf("without consent the browser is at %s", p.tab.URL())
	}
	view(t, p.tab, "liveness-consent")
	capture := func(button string) {
		t.Helper()
		p.tab.Click("#face-consent")
		p.tab.Press("#liveness-start")
		p.tab.Press("#standin-" + button)
	}
	capture("fail")
	if !p.tab.Has("#liveness-retry") {
		t.Fatalf("after a no the browser is at %s", p.tab.URL())
	}
	view(t, p.tab, "liveness-failed")
	p.tab.Press("#liveness-retry")
	capture("inconclusive")
	if !p.tab.Has("#liveness-retry") {
		t.Fatalf("after a cannot-tell the browser is at %s", p.tab.URL())
	}
	p.tab.Press("#liveness-retry")
	capture("silent")
	view(t, p.tab, "liveness-waiting")
	if !p.tab.Has("#liveness-continue") {
		t.Fatalf("while nothing comes the browser is at %s", p.tab.URL())
	}
	p.tab.Press("#liveness-continue")
	if p.tab.Has("#device-skip") || p.tab.Has("#consent-allow") {
		t.Fatal("silence is taken for a yes")
	}
	h.Clock.Advance(5 * time.Minute)
	p.tab.Press("#liveness-continue")
	if p.tab.Has("#liveness-start") || !strings.HasPrefix(p.tab.URL(), h.Issuer) {
		t.Errorf("after three tries there is a fourth: %s", p.tab.URL())
	}
	view(t, p.tab, "liveness-over")
	// Another way, or none, is told to the application.
	if p.tab.Has("#liveness-other") {
		p.tab.Press("#liveness-other")
		p.tab.Press("#cancel-confirm")
		if v := p.came(q); v.Get("error") != "access_denied" || v.Get("code") != "" {
			t.Errorf("giving up comes back as %v", v)
		}
	}
	// Other sign-ins are not touched by it.
	auth.Remove()
	q = rp.Ask("openid")
	p.tab.Go(q.URL())
	if p.tab.Has("#username") {
		p.signIn()
	}
	p.tab.Press("#consent-allow")
	if p.came(q).Get("code") == "" {
		t.Error("after a failed check a plain sign-in fails too")
	}
}

// TestPasskeys: made on the account page, offered by the browser, and every lie of
// an authenticator refused.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{CoolOff: -1}) // keys are made in it
	rp := h.Relying(t, "passkeys")
	p := visitor(t, h)
	auth := p.tab.Passkey(browser.Passkey{})
	p.tab.Go(h.Issuer + "/account/security")
	p.signIn()
	p.tab.WaitURL("/account/security")
	p.tab.Press("#passkey-add")
	view(t, p.tab, "account-passkey")
	p.tab.Click("#passkey-create")
	p.tab.WaitURL("/account/security?")
	if auth.Keys() != 1 {
		t.Errorf("the authenticator has %d keys", auth.Keys())
	}
	view(t, p.tab, "account-security-passkey")
	// The same authenticator is not asked twice.
	p.tab.Press("#passkey-add")
	p.tab.Click("#passkey-create")
	p.tab.WaitText("[data-status].bad", "")
	if auth.Keys() != 1 {
		t.Errorf("the authenticator has %d keys for one account", auth.Keys())
	}

	out := func() {
		t.Helper()
		p.tab.Go(h.Issuer + "/logout")
		p.tab.Press("#logout-confirm")
	}
	out()
	refused := func(what string) {
		t.Helper()
		p.tab.Go(rp.Ask("openid insurance.pay").URL())
		p.tab.See("#passkey-login")
		p.tab.WaitText(".status.bad", "")
		if !p.tab.Has("#username") {
			t.Errorf("%s: the browser is at %s", what, p.tab.URL())
		}
	}
	auth.Lie(true)
	refused("a wrong signature")
	view(t, p.tab, "passkey-refused")
	auth.Lie(false)
	auth.Unverified(true)
	refused("nobody verified")
	auth.Unverified(false)

	// Conditional UI: the page itself signs in.
	q := rp.Ask("openid insurance.pay")
	p.tab.Go(q.URL())
	p.tab.WaitURL("/login/device")
	p.tab.Press("#device-skip")
	p.tab.Press("#consent-allow")
	tok := q.Redeem(p.came(q).Get("code"))
	if tok.Claims["acr"] != "urn:ecardid:acr:bound" {
		t.Errorf("acr is %v", tok.Claims["acr"])
	}
	out()

	// Another site's challenge cannot be used here, nor one that is old.
	h.Clock.Advance(time.Minute)
	auth.Present(false) // the browser waits for the person
	p.tab.Go(rp.Ask("openid").URL())
	p.tab.Wait("performance.getEntriesByType('resource').some(e=>e.name.includes('/passkey/options')&&e.responseEnd>0)")
	p.tab.JS("new Promise(done=>setTimeout(()=>done(1),500))") // until the browser has begun to wait
	h.Clock.Advance(6 * time.Minute)
	auth.Present(true)
	p.tab.Click("#passkey-login") // a new challenge is fetched
	p.tab.WaitURL("/login/device")
	p.tab.Press("#device-skip")
	out()

	// A key whose counter goes back has a twin: it is refused and ended.
	auth.Rewind(1)
	refused("a counter that goes back")
	p.tab.Go(h.Issuer + "/account/security")
	p.tab.See("#username")
	p.tab.Fill("#username", p.Card)
	p.tab.Fill("#password", p.Password)
	p.tab.Press("#login-submit")
	p.code()
	p.tab.Press("#device-skip")
	if p.tab.Has("form button[value=passkey-remove]") {
		t.Error("the copied key is still listed as good")
	}

	// A synced one is worth two factors, and no key on a device.
	s := visitor(t, h)
	s.tab.Passkey(browser.Passkey{Synced: true})
	s.tab.Go(h.Issuer + "/account/passkeys")
	s.signIn()
	s.tab.WaitURL("/account/passkeys")
	s.tab.Click("#passkey-create")
	s.tab.WaitURL("/account/security?")
	s.tab.Go(h.Issuer + "/logout")
	s.tab.Press("#logout-confirm")
	q = rp.Ask("openid pension.read")
	s.tab.Go(q.URL())
	s.tab.WaitURL("/login/device")
	s.tab.Press("#device-skip")
	s.tab.Press("#consent-allow")
	if tok := q.Redeem(s.came(q).Get("code")); tok.Claims["acr"] != "urn:ecardid:acr:mfa" {
		t.Errorf("a synced passkey gives %v", tok.Claims["acr"])
	}
	s.tab.Go(rp.Ask("openid insurance.pay").URL())
	if !strings.HasPrefix(s.tab.URL(), h.Issuer+"/login") {
		t.Errorf("a synced passkey is enough for %s", s.tab.URL())
	}
}

// TestPhone: the card app refuses, is refused, and is ended.
func TestPhone(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "phones")
	c := h.Citizen(t)
	ph, own := phoneOf(t, h, c, jose.ES256)
	tab := browser.New(t)
	p := person{c, t, tab}
	ask := func() (house.Question, int) {
		t.Helper()
		h.Clock.Advance(10 * time.Minute) // questions to one phone are throttled
		tab.Go(rp.Ask("openid insurance.pay").URL())
		if tab.Has("#username") {
			p.password()
		}
		if tab.Has("#way-phone") {
			tab.Press("#way-phone")
		}
		if !tab.Has(".match") {
			tab.Press("#phone-continue")
		}
		number, err := strconv.Atoi(tab.Text(".match strong"))
		if err != nil {
			t.Fatal(err)
		}
		qs := ph.Asked()
		if len(qs) != 1 {
			t.Fatalf("%d questions", len(qs))
		}
		return qs[0], number
	}
	still := func(what string) {
		t.Helper()
		tab.WaitText("#problem", "")
		if tab.Has("#device-skip") || tab.Has("#consent-allow") {
			t.Errorf("%s leads on to %s", what, tab.URL())
		}
	}

	q, number := ask()
	view(t, tab, "phone-waiting")
	if a := ph.Answer(q, phone.Deny, 0); a.Status != http.StatusOK {
		t.Fatalf("refusing: %d %s", a.Status, a.Body)
	}
	still("a no")
	view(t, tab, "phone-denied")
	if a := ph.Answer(q, phone.Approve, number); a.Status == http.StatusOK {
		t.Error("a refused question is approved afterwards")
	}

	q, number = ask()
	wrong := q.Choices[0]
	if wrong == number {
		wrong = q.Choices[1]
	}
	if a := ph.Answer(q, phone.Approve, wrong); a.Status != http.StatusForbidden {
		t.Errorf("a wrong number is answered with %d", a.Status)
	}
	if a := ph.Answer(q, phone.Approve, number); a.Status == http.StatusOK {
		t.Error("after a wrong number the right one is taken")
	}
	still("a wrong number")

	// Another citizen's phone is told of nothing and believed nothing.
	q, number = ask()
	stranger, _ := phoneOf(t, h, h.Citizen(t), jose.SM2)
	if n := len(stranger.Asked()); n != 0 {
		t.Errorf("a stranger's phone is asked %d questions", n)
	}
	if a := stranger.Answer(q, phone.Approve, number); a.Status == http.StatusOK {
		t.Error("a stranger's phone approves")
	}

	// Ended on the account page, the phone is dead at once, in every way.
	list := own.Get("/account/devices")
	if !strings.Contains(list.Body, "测试手机") {
		t.Fatalf("the phone is not in the list at %s", list.Path)
	}
	_, form := list.Form("device-name-0")
	if a := own.Post("/account/devices", map[string][]string{"csrf": form["csrf"], "id": {ph.ID.String()}, "do": {"device-end"}}); a.Status >= 400 || strings.Contains(a.Path, "/login") {
		c.SignIn(a) // two fresh factors are asked for first
		if a = own.Post("/account/devices", map[string][]string{"csrf": form["csrf"], "id": {ph.ID.String()}, "do": {"device-end"}}); a.Status >= 400 {
			t.Fatalf("ending the phone: %d %s", a.Status, a.Text("problem"))
		}
	}
	if a := ph.Answer(q, phone.Approve, number); a.Status != http.StatusUnauthorized {
		t.Errorf("an ended phone is answered with %d", a.Status)
	}
	tab.Reload()
	if tab.Has("#device-skip") {
		t.Error("the ended phone's question was approved")
	}
	// Its key never comes back.
	a := own.Get("/account/devices/phone")
	if a.Text("secret") == "" {
		a = c.SignIn(a)
	}
	if r := ph.TryBind(a.Text("secret")); r.Status != http.StatusConflict {
		t.Errorf("an ended phone's key is bound again: %d", r.Status)
	}
}
