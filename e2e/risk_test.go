package e2e

import (
	"fmt"
	"strings"
	"testing"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/risk"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/storage"
)

func rulesOf(t *testing.T, text string) *risk.Policy {
	t.Helper()
	rules, err := risk.Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// weighed counts the trail's entries of a kind about a citizen, or nobody, that name a
// rule.
func weighed(t *testing.T, h *house.House, citizen identity.ID, kind audit.Kind, rule string) (n int) {
	t.Helper()
	found, err := h.Store.SearchAudit(t.Context(), storage.TrailQuery{Citizen: citizen, Kind: kind, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range found {
		if strings.Contains(fmt.Sprint(l.Detail), rule) {
			n++
		}
	}
	return n
}

// TestSpraying: while somebody tries many doors, a stranger's browser has to show more
// than a right password and code, and the citizen's own does not (SECURITY PW3, PW4).
func TestSpraying(t *testing.T) {
	t.Parallel()
	const alarm = 6
	h := house.Open(t, house.Options{
		Risk:  rulesOf(t, `rules: [{id: sprayed, when: {spraying: true, remembered: false}, decision: step-up, level: bound}]`),
		Rules: authn.Rules{Alarm: alarm},
	})
	c, key, own := h.Citizen(t), h.Passkey(t, false), h.Robot(t)
	if a := own.Get("/login").Submit("login-submit", "username", c.Card, "password", c.Password).Submit("code-submit", "code", c.Code()).Submit("device-bind"); a.Path != "/account" {
		t.Fatalf("before, signing in ends at %s", a.Path)
	}
	key.Register(own.Get("/account/passkeys"))
	own.Get("/logout").Submit("logout-confirm")
	enter := func(r *house.Robot) *house.Answer {
		t.Helper()
		a := r.Get("/login").Submit("login-submit", "username", c.Card, "password", c.Password)
		if a.Has("way-totp") {
			a = a.Click("way-totp")
		}
		if a = a.Submit("code-submit", "code", c.Code()); a.Has("device-skip") {
			a = a.Submit("device-skip")
		}
		return a
	}
	if a := enter(h.Robot(t)); a.Path != "/account" {
		t.Errorf("before, a strange browser ends at %s", a.Path)
	}

	for n := range alarm + 1 { // each somebody else's door, each from elsewhere
		h.Robot(t).Get("/login").Submit("login-submit", "username", fmt.Sprintf("T9900000%d", n), "password", "spring-2026-spring")
	}
	if n := weighed(t, h, identity.ID{}, audit.SprayingSuspected, "spraying"); n != 1 {
		t.Errorf("the alarm was written down %d times", n)
	}
	strange := h.Robot(t)
	a := enter(strange)
	if !strings.HasPrefix(a.Path, "/login/passkey") || strings.HasPrefix(strange.Get("/account").Path, "/account") {
		t.Fatalf("while it lasts, a strange browser ends at %s (%d) %s", a.Path, a.Status, a.Text("problem"))
	}
	if n := weighed(t, h, c.ID, audit.SignInQuestioned, "sprayed"); n != 1 {
		t.Errorf("that more was asked for was written down %d times", n)
	}
	if a := key.SignIn(strange.Get(a.Path)); a.Has("device-skip") {
		a.Submit("device-skip")
	}
	if a := strange.Get("/account"); a.Path != "/account" {
		t.Errorf("with the passkey as well they are at %s", a.Path)
	}
	if a := enter(own); a.Path != "/account" {
		t.Errorf("while it lasts, their own browser ends at %s", a.Path)
	}
}

// TestManyAccounts: one source that signs in to more accounts than the rules allow has to
// wait with the next, which nobody else has to, nor whoever was there before.
func TestManyAccounts(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{Risk: rulesOf(t, `rules: [{id: crowd, when: {accounts_over: 2}, decision: hold, for: 10m}]`)})
	enter := func(c *house.Citizen, from string) (where string) {
		t.Helper()
		r := h.Robot(t)
		if from != "" {
			r.Header.Set("X-Forwarded-For", from)
		}
		return c.SignIn(r.Get("/login")).Path
	}
	const crowd = "10.200.7.7"
	var people []*house.Citizen
	for n := range 4 {
		c := h.Citizen(t)
		people = append(people, c)
		got := enter(c, crowd)
		if held := strings.HasPrefix(got, "/login/held"); held != (n == 3) {
			t.Errorf("account %d from one source ends at %s", n+1, got)
		}
	}
	last := people[3]
	if n := weighed(t, h, last.ID, audit.SignInHeld, "crowd"); n != 1 {
		t.Errorf("the hold was written down %d times", n)
	}
	if got := enter(last, ""); got != "/account" {
		t.Errorf("from elsewhere the same citizen ends at %s", got)
	}
	if got := enter(people[0], crowd); got != "/account" {
		t.Errorf("one of the first ends at %s", got)
	}
}
