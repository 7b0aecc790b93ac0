package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// TestLostPages: a loss is reported and undone in a browser without script, in both
// languages, by somebody who is not signed in.
func TestLostPages(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	for i, tab := range []*browser.Tab{browser.New(t, browser.NoScript()), browser.New(t, browser.NoScript(), browser.Speaking("en"))} {
		suffix := []string{"", "-en"}[i]
		tab.Go(h.Issuer + "/lost")
		viewPlain(t, tab, "lost"+suffix)
		tab.Fill("#username", c.Card)
		tab.Fill("#proof", "not the password")
		tab.Press("#lost-submit")
		if !tab.Has("#problem") {
			t.Error("a wrong proof passes without a word")
		}
		viewPlain(t, tab, "lost-wrong"+suffix)
		tab.Click("#what-card")
		tab.Fill("#proof", c.Password)
		tab.Press("#lost-submit")
		viewPlain(t, tab, "lost-receipt"+suffix)
		if n := tab.Text("#receipt-number"); len(n) != 14 {
			t.Errorf("the receipt's number is %q", n)
		}
		if a := h.Robot(t).Get("/login").Submit("login-submit", "username", c.Card, "password", c.Password); !a.Has("login-submit") {
			t.Error("a lost card signs in")
		}
		tab.Press("#loss-undo")
		viewPlain(t, tab, "lost-undo"+suffix)
		tab.Fill("#username", c.Card)
		tab.Fill("#password", c.Password)
		tab.Fill("#code", c.Code())
		tab.Press("#undo-submit")
		viewPlain(t, tab, "lost-undone"+suffix)
		if a := c.SignIn(h.Robot(t).Get("/login")); !strings.HasPrefix(a.Path, "/account") {
			t.Errorf("after undoing, signing in ends at %s", a.Path)
		}
	}
}

// TestLostPhone: reported with a passkey that is in hand, the phone goes and the passkey
// stays; found again, the phone is brought back by a login that never stood on it.
func TestLostPhone(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{CoolOff: -1})
	c, key := h.Citizen(t), h.Passkey(t, false)
	ph, own := phoneOf(t, h, c, jose.ES256)
	key.Register(own.Get("/account/passkeys"))

	r := h.Robot(t)
	a := r.Get("/lost")
	ceremony := a.Ceremony()
	done := r.JSON(ceremony.Finish, ceremony.CSRF, key.Sign(a.Options()))
	if !strings.HasPrefix(done.Next(), "/lost/receipt/") {
		t.Fatalf("reporting with a passkey: %d %s", done.Status, done.Body)
	}
	if a := r.Get(done.Next()); a.Status != http.StatusOK || a.Text("receipt-number") == "" {
		t.Errorf("the receipt: %d", a.Status)
	}
	// An answer counts once, here and anywhere else (SECURITY G1, G2).
	if again := r.JSON(ceremony.Finish, ceremony.CSRF, key.Sign(a.Options())); again.Status != http.StatusOK {
		t.Errorf("with a fresh challenge: %d", again.Status)
	}
	login := r.Get("/login")
	if crossed := r.JSON(login.Ceremony().Finish, login.Ceremony().CSRF, key.Sign(a.Options())); crossed.Next() != "" {
		t.Error("a challenge of /lost signs in")
	}
	if a := own.Get("/account"); !strings.HasPrefix(a.Path, "/login") {
		t.Error("the session lives on")
	}
	if d, err := h.Store.Device(t.Context(), c.ID, ph.ID); err != nil || d.State != identity.DeviceSuspended {
		t.Errorf("the phone: %+v, %v", d.State, err)
	}
	if a := key.SignIn(own.Get("/login")); a.Has("device-skip") {
		a.Submit("device-skip")
	}
	_, form := own.Get("/account/devices").Form("device-name-0")
	form.Set("do", "device-restore")
	for _, d := range must(h.Store.ListDevices(t.Context(), c.ID)) {
		if d.ID == ph.ID {
			form.Set("id", d.ID.String())
		}
	}
	if a := own.Post("/account/devices", form); !strings.Contains(a.Path, "device-restored") {
		t.Errorf("bringing it back ends at %s (%d)", a.Path, a.Status)
	}
	if got := ph.Asked(); len(got) != 0 {
		t.Errorf("the phone is asked %d questions", len(got))
	}

	// From the account page it goes again, and this session stays.
	form.Set("do", "device-lost")
	if a := own.Post("/account/devices", form); !strings.HasPrefix(a.Path, "/lost/receipt/") {
		t.Errorf("reporting it ends at %s (%d)", a.Path, a.Status)
	}
	if a := own.Get("/account"); strings.HasPrefix(a.Path, "/login") {
		t.Error("the session that reported ended")
	}
	// A new phone takes its place, and then the old one cannot come back.
	a = own.Get("/account/devices/phone")
	if !a.Has("phone-replaces") {
		t.Error("the page does not say that the old phone ends")
	}
	second := h.Phone(t, jose.SM2)
	second.Bind(a.Text("secret"))
	if d, err := h.Store.Device(t.Context(), c.ID, ph.ID); err != nil || d.State != identity.DeviceRevoked {
		t.Errorf("the old phone: %+v, %v", d.State, err)
	}
	form.Set("do", "device-restore")
	if a := own.Post("/account/devices", form); strings.Contains(a.Path, "device-restored") {
		t.Error("a phone that was replaced came back")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestCoolOff: for a day after a phone was bound nothing of high value is given, asked for
// silently or not, and everything else is (DESIGN D8).
func TestCoolOff(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	p := h.Relying(t, "cooling")
	c, key := h.Citizen(t), h.Passkey(t, false)
	_, own := phoneOf(t, h, c, jose.ES256)
	key.Register(own.Get("/account/passkeys"))
	ask := func(scope string, more ...string) url.Values {
		t.Helper()
		q := p.Ask(scope, more...)
		a := own.Get(q.Path())
		if a.Has("passkey-login") || strings.HasPrefix(a.Path, "/login") {
			if a.Has("way-passkey") {
				a = a.Click("way-passkey")
			}
			a = key.SignIn(a)
		}
		if a.Has("device-skip") {
			a = a.Submit("device-skip")
		}
		if a.Has("consent-allow") {
			a = a.Submit("consent-allow")
		}
		return q.Came(a.Location)
	}
	if v := ask("openid insurance.pay"); v.Get("error") != "access_denied" {
		t.Errorf("asked for a payment: %v", v)
	}
	if v := ask("openid insurance.pay", "prompt", "none"); v.Get("error") != "interaction_required" {
		t.Errorf("asked in silence: %v", v)
	}
	if v := ask("openid insurance.read"); v.Get("code") == "" {
		t.Errorf("asked for what is not of high value: %v", v)
	}
	h.Clock.Advance(24 * time.Hour)
	if v := ask("openid insurance.pay"); v.Get("code") == "" {
		t.Errorf("a day later: %v", v)
	}
}
