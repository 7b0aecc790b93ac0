package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/e2e/browser"
	"ecardid/e2e/house"
)

// TestAccount walks through the citizen's own pages and changes what can be changed.
func TestAccount(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "account")
	p := visitor(t, h)
	p.tab.Go(h.Issuer + "/account")
	p.signIn()
	p.tab.WaitURL("/account")
	if got := p.tab.Text("main"); !strings.Contains(got, p.Greeting) || strings.Contains(got, p.Name) || strings.Contains(got, p.IDNumber) {
		t.Errorf("the front page says %q", got)
	}

	// A second browser of the same person, and an application with tokens from it.
	there := person{p.Citizen, t, browser.New(t, browser.Speaking("en"))}
	q := rp.Ask("openid pension.read offline_access insurance.pay")
	q.Values.Set("scope", "openid pension.read profile")
	there.tab.Go(q.URL())
	there.signIn()
	there.tab.Press("#consent-allow")
	tok := q.Redeem(there.came(q).Get("code"))
	if status, _ := rp.Userinfo(tok.Access); status != http.StatusOK {
		t.Fatalf("userinfo answers %d", status)
	}

	t.Run("sessions", func(t *testing.T) {
		p.tab.Go(h.Issuer + "/account/sessions")
		if n := p.tab.Count(".item"); n != 2 {
			t.Fatalf("%d sessions are listed", n)
		}
		view(t, p.tab, "account-sessions-two")
		// The one that is not this one.
		p.tab.JS("document.querySelectorAll('.item').forEach(s=>{if(!s.querySelector('.tag'))s.querySelector('button').id='other'})")
		p.tab.Press("#other")
		if n := p.tab.Count(".item"); n != 1 {
			t.Errorf("after ending one, %d sessions are listed", n)
		}
		there.tab.Go(h.Issuer + "/account")
		if !strings.Contains(there.tab.URL(), "/login") {
			t.Errorf("the ended session opens %s", there.tab.URL())
		}
		silent := rp.Ask("openid", "prompt", "none")
		there.tab.Go(silent.URL())
		if v := there.came(silent); v.Get("error") != "login_required" {
			t.Errorf("the ended session answers prompt=none with %v", v)
		}
		if status, _ := rp.Userinfo(tok.Access); status != http.StatusUnauthorized {
			t.Errorf("the ended session's token opens userinfo: %d", status)
		}
		if again := rp.Token(h.Issuer, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.Refresh}}); again.Status == http.StatusOK {
			t.Error("the ended session's refresh token works")
		}
	})

	t.Run("recovery", func(t *testing.T) {
		p.tab.Go(h.Issuer + "/account/security")
		if p.tab.Has("#code") { // two fresh factors
			p.code()
		}
		p.tab.Press("button[value=recovery-renew]")
		if n := p.tab.Count(".codes code"); n < 8 {
			t.Fatalf("%d new codes at %s", n, p.tab.URL())
		}
		view(t, p.tab, "account-recovery")
		fresh := p.tab.Text(".codes code")
		p.tab.Go(p.tab.URL())
		if p.tab.Has(".codes code") {
			t.Error("the codes are shown twice")
		}
		for _, old := range []struct {
			code string
			good bool
		}{{p.Recovery[1], false}, {fresh, true}} {
			r := h.Robot(t)
			a := r.Get("/login").Submit("login-submit", "username", p.Card, "password", p.Password).Click("way-recovery").Submit("code-submit", "code", old.code)
			if got := strings.HasPrefix(a.Path, "/login/enrol"); got != old.good {
				t.Errorf("code good=%v leads to %s", old.good, a.Path)
			}
		}
	})

	t.Run("last-factor", func(t *testing.T) {
		p.tab.Go(h.Issuer + "/account/security")
		if p.tab.Has("#code") {
			p.code()
		}
		p.tab.Press("button[value=totp-remove]")
		if !p.tab.Has("#problem") {
			t.Error("the last second factor can be removed")
		}
		view(t, p.tab, "account-last-factor")
	})

	t.Run("stale", func(t *testing.T) {
		h.Clock.Advance(6 * time.Minute)
		p.tab.Go(h.Issuer + "/account/password")
		if p.tab.Has("#current") || !strings.Contains(p.tab.URL(), "/login") {
			t.Fatalf("with old factors the password page is %s", p.tab.URL())
		}
		view(t, p.tab, "account-stale")
		if p.tab.Has("#username") {
			p.password()
		}
		if p.tab.Has("#step-continue") {
			p.tab.Press("#step-continue")
		}
		if p.tab.Has("#code") {
			p.code()
		}
		p.tab.WaitURL("/account/password")
		view(t, p.tab, "account-password")
	})

	t.Run("password", func(t *testing.T) {
		other := h.Robot(t)
		p.SignIn(other.Get("/login"))
		if a := other.Get("/account"); a.Status != http.StatusOK {
			t.Fatalf("the other browser is at %s", a.Path)
		}
		p.tab.Go(h.Issuer + "/account/password")
		p.tab.Fill("#current", "not it")
		p.tab.Fill("#password", "four new words here")
		p.tab.Press("#password-submit")
		if !p.tab.Has("#problem") {
			t.Error("any current password will do")
		}
		p.tab.Fill("#current", p.Password)
		p.tab.Fill("#password", "12345678")
		p.tab.Press("#password-submit")
		if !p.tab.Has("#problem") {
			t.Error("12345678 will do")
		}
		p.tab.Fill("#current", p.Password)
		p.tab.Fill("#password", "four new words here")
		p.tab.Press("#password-submit")
		if p.tab.Has("#problem") || !strings.Contains(p.tab.URL(), "/account/security") {
			t.Fatalf("changing the password leads to %s: %s", p.tab.URL(), p.tab.Text("main"))
		}
		old := p.Password
		p.Password = "four new words here"
		if a := other.Get("/account"); !strings.HasPrefix(a.Path, "/login") {
			t.Errorf("another browser's session outlives the password: %s", a.Path)
		}
		p.tab.Go(h.Issuer + "/account")
		if !strings.HasSuffix(p.tab.URL(), "/account") {
			t.Errorf("the browser that changed it is at %s", p.tab.URL())
		}
		if a := h.Robot(t).Get("/login").Submit("login-submit", "username", p.Card, "password", old); a.Text("problem") == "" {
			t.Error("the old password works")
		}
	})

	t.Run("devices", func(t *testing.T) {
		// Remember a browser, rename it, end it.
		b := person{p.Citizen, t, browser.New(t)}
		b.tab.Go(h.Issuer + "/account/devices")
		b.password()
		b.code()
		b.tab.Press("#device-bind")
		b.tab.WaitURL("/account/devices")
		b.tab.Fill("#device-name-0", "书房的<电脑>")
		b.tab.Press("button[value=device-rename]")
		if got := b.tab.Text("main"); !strings.Contains(got, "书房的<电脑>") {
			t.Errorf("the devices are %q", got)
		}
		view(t, b.tab, "account-devices-renamed")
		b.tab.Press("button[value=device-end]")
		if strings.Contains(b.tab.Text("main"), "书房的<电脑>") {
			t.Error("an ended browser is still listed")
		}
		b.tab.Go(h.Issuer + "/logout")
		if b.tab.Has("#logout-confirm") {
			b.tab.Press("#logout-confirm")
		}
		b.tab.Go(h.Issuer + "/login")
		if b.tab.Has(".greeting") {
			t.Error("a browser that was ended is still greeted")
		}
	})

	t.Run("others", func(t *testing.T) {
		// Somebody else's things are not there, whatever id is sent (SECURITY DV3).
		victim := h.Citizen(t)
		vr := h.Robot(t)
		victim.SignIn(vr.Get("/login"))
		list := vr.Get("/account/sessions")
		_, form := list.Form("id")
		r := h.Robot(t)
		h.Citizen(t).SignIn(r.Get("/login"))
		mine := r.Get("/account/sessions")
		_, own := mine.Form("id")
		for _, do := range []struct{ path, do string }{
			{"/account/sessions", "session-end"}, {"/account/devices", "device-end"}, {"/account/devices", "device-rename"},
			{"/account/security", "passkey-remove"}, {"/account/security", "passkey-rename"}, {"/account/consents", "consent-withdraw"},
		} {
			a := r.Post(do.path, url.Values{"csrf": own["csrf"], "id": form["id"], "do": {do.do}, "name": {"x"}})
			if a.Status < 400 || a.Status >= 500 {
				t.Errorf("%s of another's id answers %d at %s", do.do, a.Status, a.Path)
			}
		}
		if a := vr.Get("/account"); a.Status != http.StatusOK || strings.HasPrefix(a.Path, "/login") {
			t.Errorf("the victim is at %s", a.Path)
		}
	})
}
