package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"ecardid/audit"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// TestOwnData: what is kept of a citizen is theirs to read, to take and to end, in a browser
// without script, in both languages.
func TestOwnData(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "own")
	for i, opts := range [][]browser.Option{{browser.NoScript()}, {browser.NoScript(), browser.Speaking("en")}} {
		suffix, phrase := []string{"", "-en"}[i], []string{"注销账户", "close my account"}[i]
		p := visitor(t, h, opts...)
		staff := audit.Event{Kind: audit.CitizenRead, At: h.Clock.Now(), Actor: "staff:0123456789", Citizen: p.ID, Reason: "ticket <20260504-07>"}
		if err := h.Store.Record(t.Context(), staff); err != nil {
			t.Fatal(err)
		}
		// An application with tokens of theirs.
		q := rp.Ask("openid pension.read offline_access")
		p.tab.Go(q.URL())
		p.signIn()
		p.tab.Press("#consent-allow")
		tok := q.Redeem(p.came(q).Get("code"))

		p.tab.Go(h.Issuer + "/account/consents")
		viewPlain(t, p.tab, "account-consents-purpose"+suffix)
		if p.tab.Count(".claims .hint") == 0 {
			t.Error("nothing says what a consent is for")
		}
		p.tab.Go(h.Issuer + "/account/activity")
		viewPlain(t, p.tab, "account-activity"+suffix)
		got := p.tab.Text("main")
		if !strings.Contains(got, "ticket <20260504-07>") || strings.Contains(got, "0123456789") || strings.Contains(got, p.Name) {
			t.Errorf("the activity says %q", got)
		}
		p.tab.Go(h.Issuer + "/account/data")
		viewPlain(t, p.tab, "account-data"+suffix)
		p.tab.Click("#account-close")
		p.tab.WaitURL("/account/close")
		viewPlain(t, p.tab, "account-close"+suffix)
		p.tab.Fill("#confirm", "yes")
		p.tab.Press("#close-submit")
		if !p.tab.Has("#problem") {
			t.Error("anything closes the account")
		}
		viewPlain(t, p.tab, "account-close-no"+suffix)
		if status, _ := rp.Userinfo(tok.Access); status != http.StatusOK {
			t.Fatalf("before it is closed, userinfo answers %d", status)
		}
		p.tab.Fill("#confirm", phrase)
		p.tab.Press("#close-submit")
		p.tab.WaitURL("/goodbye")
		viewPlain(t, p.tab, "account-closed"+suffix)
		if status, _ := rp.Userinfo(tok.Access); status != http.StatusUnauthorized {
			t.Errorf("after it is closed, userinfo answers %d", status)
		}
		p.tab.Go(h.Issuer + "/account")
		if !strings.Contains(p.tab.URL(), "/login") {
			t.Errorf("after it is closed, the account is at %s", p.tab.URL())
		}
		if a := h.Robot(t).Get("/login").Submit("login-submit", "username", p.Card, "password", p.Password); !a.Has("login-submit") {
			t.Error("a closed account signs in")
		}
	}
}

// TestTakeOut: a copy is a file, made after two fresh factors.
func TestTakeOut(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c, r := h.Citizen(t), h.Robot(t)
	c.SignIn(r.Get("/login"))
	a := r.Get("/account/data").Submit("data-take")
	var taken struct {
		Name     string `json:"name"`
		IDNumber string `json:"id_number"`
		Activity []struct{ What string }
	}
	if err := json.Unmarshal([]byte(a.Body), &taken); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	if taken.Name != c.Name || taken.IDNumber != c.IDNumber || len(taken.Activity) < 3 || taken.Activity[0].What != string(audit.DataTaken) {
		t.Errorf("%+v", taken)
	}
	for name, want := range map[string]string{"Content-Disposition": "attachment; filename=", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := a.Header.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, secret := range []string{c.SeedText, c.Password} {
		if strings.Contains(a.Body, secret) {
			t.Error("the copy holds a secret")
		}
	}
}

// TestRelatives: one citizen names another, who agrees and reports the loss of the card.
func TestRelatives(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	her, him := visitor(t, h, browser.NoScript()), visitor(t, h, browser.NoScript(), browser.Speaking("en"))
	for _, p := range []person{her, him} {
		p.tab.Go(h.Issuer + "/account/relatives")
		p.signIn()
		p.tab.WaitURL("/account/relatives")
	}
	viewPlain(t, her.tab, "account-relatives-none")
	her.tab.Fill("#card", "nonsense")
	her.tab.Press("#relative-name")
	if !her.tab.Has("#problem") {
		t.Error("any text is a card number")
	}
	her.tab.Fill("#card", him.Card)
	her.tab.Press("#relative-name")
	if got := her.tab.Text("main"); strings.Contains(got, him.Name) || strings.Contains(got, him.Name[:3]) {
		t.Errorf("before he agrees her page says %q", got)
	}
	viewPlain(t, her.tab, "account-relatives-waiting")
	him.tab.Go(h.Issuer + "/account/relatives")
	viewPlain(t, him.tab, "account-relatives-asked-en")
	if strings.Contains(him.tab.Text("main"), her.Name) {
		t.Error("her name is not masked")
	}
	him.tab.Press("button[value=relative-agree]")
	viewPlain(t, him.tab, "account-relatives-theirs-en")
	him.tab.Click("details:nth-of-type(2) summary")
	him.tab.Press("input[value=card] ~ button[value=relative-report]")
	him.tab.WaitURL("/lost/receipt/")
	if a, err := h.Store.Account(t.Context(), her.ID); err != nil || a.State != identity.CardTempLost {
		t.Errorf("her card is %s, %v", a.State, err)
	}
	her.tab.Go(h.Issuer + "/account")
	if !strings.Contains(her.tab.URL(), "/login") {
		t.Errorf("her session is at %s", her.tab.URL())
	}
	him.tab.Go(h.Issuer + "/account/activity")
	if !strings.Contains(him.tab.Text("main"), "You reported a loss for a relative") {
		t.Error("it is not in his trail")
	}
}

// TestConfirmedPhone: a phone that was seen at a counter is not waited for, and a passkey that
// is added after it is.
func TestConfirmedPhone(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c, key := h.Citizen(t), h.Passkey(t, false)
	ph, own := phoneOf(t, h, c, jose.ES256)
	cooling := func() bool {
		t.Helper()
		all := must(h.Store.ListLogins(t.Context(), c.ID, h.Clock.Now()))
		return len(all) > 0 && all[0].Cooling.After(h.Clock.Now())
	}
	if !cooling() {
		t.Error("a new phone is not waited for")
	}
	e := audit.Event{Kind: audit.DeviceConfirmed, At: h.Clock.Now(), Actor: audit.ByOperator, Citizen: c.ID, Device: ph.ID, Reason: "seen"}
	if err := h.Store.ConfirmPhone(t.Context(), c.ID, ph.ID, e); err != nil {
		t.Fatal(err)
	}
	if cooling() {
		t.Error("a phone seen at a counter is waited for")
	}
	key.Register(own.Get("/account/passkeys"))
	if !cooling() {
		t.Error("a new passkey on a device is not waited for")
	}
}
