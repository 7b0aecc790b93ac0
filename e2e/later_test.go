package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn/phone"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// belongings are what somebody has open at a moment.
type belongings struct {
	who    *house.Citizen
	robot  *house.Robot
	tokens house.Tokens
	code   *house.Request // asked for and not yet redeemed
	value  string
	half   spot // a sign-in in another browser that waits for the second factor
}

// gather signs in with how, and leaves everything lying about.
func gather(t *testing.T, h *house.House, p *house.Relying, c *house.Citizen, how func(*house.Answer) *house.Answer) belongings {
	t.Helper()
	b := belongings{who: c, robot: h.Robot(t)}
	q := p.Ask("openid profile")
	a := how(b.robot.Get(q.Path()))
	if a.Has("consent-allow") {
		a = a.Submit("consent-allow")
	}
	b.tokens = q.Redeem(q.Came(a.Location).Get("code"))
	b.code = p.Ask("openid profile")
	b.value = b.code.Came(b.robot.Get(b.code.Path()).Location).Get("code")
	b.half = halfIn(t, h, c)
	if got := b.alive(t, h, p, false); got != "session userinfo refresh half" {
		t.Fatalf("before anything happened there is %q", got)
	}
	return b
}

// alive lists what still works. Redeeming spends the code, so it is tried at the end
// only.
func (b belongings) alive(t *testing.T, h *house.House, p *house.Relying, redeem bool) string {
	t.Helper()
	var list []string
	if a := b.robot.Get("/account"); !strings.HasPrefix(a.Path, "/login") {
		list = append(list, "session")
	}
	if status, _ := p.Userinfo(b.tokens.Access); status == http.StatusOK {
		list = append(list, "userinfo")
	}
	if tok := p.Token(h.Issuer, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {b.tokens.Refresh}}); tok.Status == http.StatusOK {
		list = append(list, "refresh")
	}
	if b.half.here(t) == "/login/code 200" {
		list = append(list, "half")
	}
	if redeem {
		tok := p.Token(h.Issuer, url.Values{
			"grant_type": {"authorization_code"}, "code": {b.value}, "redirect_uri": {p.Redirect}, "code_verifier": {b.code.Verifier},
		})
		if tok.Status == http.StatusOK {
			list = append(list, "code")
		}
	}
	return strings.Join(list, " ")
}

// TestLater: what happens later beats what was granted earlier, everywhere at once,
// and nothing comes back when it is undone (SECURITY G6, G7, DV2).
func TestLater(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{Postgres: true, Replicas: 2})
	card := func(c *house.Citizen, to identity.CardState) {
		t.Helper()
		e := audit.Event{Kind: audit.CitizenFrozen, At: h.Clock.Now(), Actor: audit.ByOperator, Citizen: c.ID, Reason: "test"}
		if err := h.Store.SetCardState(t.Context(), c.ID, to, e); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name   string
		happen func(t *testing.T, p *house.Relying, b belongings)
		left   string
	}{
		{"frozen", func(_ *testing.T, _ *house.Relying, b belongings) { card(b.who, identity.CardFrozen) }, ""},
		{"frozen-and-restored", func(_ *testing.T, _ *house.Relying, b belongings) {
			card(b.who, identity.CardFrozen)
			card(b.who, identity.CardNormal)
		}, ""},
		{"reported-lost", func(_ *testing.T, _ *house.Relying, b belongings) { card(b.who, identity.CardTempLost) }, ""},
		{"password-changed-elsewhere", func(t *testing.T, _ *house.Relying, b belongings) {
			r := h.Robot(t)
			b.who.SignIn(r.Get("/login"))
			a := r.Get("/account/password").Submit("password-submit", "current", b.who.Password, "password", "another long enough one")
			if !strings.HasPrefix(a.Path, "/account/security") {
				t.Fatalf("changing the password ended at %s: %s", a.Path, a.Text("problem"))
			}
		}, ""},
		{"signed-out", func(_ *testing.T, _ *house.Relying, b belongings) { b.robot.Get("/logout").Submit("logout-confirm") }, "half"},
		{"ended-elsewhere", func(t *testing.T, _ *house.Relying, b belongings) {
			r := h.Robot(t)
			b.who.SignIn(r.Get("/login"))
			r.Get("/account/sessions").Submit("sessions-end-others", "do", "sessions-end-others")
		}, ""},
		{"consent-withdrawn", func(_ *testing.T, p *house.Relying, b belongings) {
			a := b.robot.Get("/account/consents")
			_, form := a.Form("id")
			form.Set("do", "consent-withdraw")
			b.robot.Post("/account/consents", form)
		}, "session half"},
		{"client-suspended", func(t *testing.T, p *house.Relying, _ belongings) {
			e := audit.Event{Kind: audit.ClientSuspended, At: h.Clock.Now(), Actor: audit.ByOperator, Client: p.ID, Reason: "test"}
			if err := h.Store.SuspendClient(t.Context(), p.ID, h.Clock.Now(), e); err != nil {
				t.Fatal(err)
			}
		}, "session half"},
		{"idle", func(_ *testing.T, _ *house.Relying, _ belongings) { h.Clock.Advance(61 * time.Minute) }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := h.Relying(t, "later-"+row.name)
			c := h.Citizen(t)
			b := gather(t, h, p, c, c.SignIn)
			row.happen(t, p, b)
			if got := b.alive(t, h, p, true); got != row.left {
				t.Errorf("afterwards there is still %q, where %q is right", got, row.left)
			}
		})
	}
	t.Run("phone-ended", func(t *testing.T) {
		p := h.Relying(t, "later-phone")
		c := h.Citizen(t)
		ph, own := phoneOf(t, h, c, jose.ES256)
		b := gather(t, h, p, c, func(a *house.Answer) *house.Answer {
			a = a.Submit("login-submit", "username", c.Card, "password", c.Password)
			a = ringing(a)
			if ans := ph.Answer(ph.Asked()[0], phone.Approve, numberOn(t, a)); ans.Status != http.StatusOK {
				t.Fatalf("approving: %d", ans.Status)
			}
			return a.Submit("phone-continue").Submit("device-skip")
		})
		_, form := own.Get("/account/devices").Form("device-name-0")
		form.Set("do", "device-end")
		if a := own.Post("/account/devices", form); a.Status != http.StatusOK || strings.HasPrefix(a.Path, "/login") {
			t.Fatalf("ending the phone: %d at %s", a.Status, a.Path)
		}
		if got := b.alive(t, h, p, true); got != "" {
			t.Errorf("after the phone was ended there is still %q", got)
		}
		// What did not hang on it is untouched (SECURITY DV3).
		if a := own.Get("/account"); strings.HasPrefix(a.Path, "/login") {
			t.Error("the browser that ended it was signed out")
		}
	})
}
