package e2e

import (
	"net/url"
	"testing"

	"ecardid/e2e/house"
)

// TestLanguage: the language a citizen switches to while signed in is the one they are
// written to in.
func TestLanguage(t *testing.T) {
	h := house.Open(t, house.Options{})
	citizen, robot := h.Citizen(t), h.Robot(t)
	citizen.SignIn(robot.Get("/account"))
	for _, locale := range []string{"en", "zh-CN"} {
		robot.Post("/preferences", url.Values{"csrf": {tokenOf(robot.Get("/account"))}, "locale": {locale}, "back": {"/account"}})
		if acc, err := h.Store.Account(t.Context(), citizen.ID); err != nil || acc.Locale != locale {
			t.Errorf("after switching to %s: %q, %v", locale, acc.Locale, err)
		}
	}
}
