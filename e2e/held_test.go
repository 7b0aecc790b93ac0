package e2e

import (
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn/risk"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
)

// TestHeldPages: a sign-in from a new place waits, in a browser without script and in
// both languages, and goes on when the time is over; the citizen finds a notice.
func TestHeldPages(t *testing.T) {
	t.Parallel()
	rules, err := risk.Load([]byte("rules: [{id: elsewhere, when: {new_place: true}, decision: hold, for: 10m, alarm: true}]"))
	if err != nil {
		t.Fatal(err)
	}
	h := house.Open(t, house.Options{Risk: rules})
	for i, tab := range []*browser.Tab{browser.New(t, browser.NoScript()), browser.New(t, browser.NoScript(), browser.Speaking("en"))} {
		suffix := []string{"", "-en"}[i]
		c := h.Citizen(t) // who came in from another place
		tab.Go(h.Issuer + "/login")
		tab.Fill("#username", c.Card)
		tab.Fill("#password", c.Password)
		tab.Press("#login-submit")
		tab.Fill("#code", c.Code())
		tab.Press("#code-submit")
		if !strings.Contains(tab.URL(), "/login/held") {
			t.Fatalf("held at %s", tab.URL())
		}
		viewPlain(t, tab, "held"+suffix)
		tab.Press("#held-continue")
		tab.See("#held-until")
		for _, cookie := range tab.Cookies(h.Issuer) {
			if cookie.Name == "__Host-login" || cookie.Name == "__Host-td" {
				t.Errorf("held, and with %s", cookie.Name)
			}
		}
		h.Clock.Advance(10 * time.Minute)
		tab.Press("#held-continue")
		tab.Press("#device-skip")
		tab.WaitURL("/account")
		notices, err := h.Store.Notices(t.Context(), c.ID, 10)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, one := range notices {
			if one.Kind == audit.SignInHeld {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d notices of the hold", n)
		}
		viewPlain(t, tab, "account-held"+suffix)
	}
}
