package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"ecardid/internal/jose"
)

// An access token is for the resources asked for (RFC 8707 §2).
func TestTargets(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	const card, insurance = "urn:ecardid:resource:card", "urn:ecardid:resource:insurance"
	for _, c := range []struct {
		name      string
		resources []string
		want      []string // nil: invalid_target
	}{
		{"none", nil, []string{card, insurance, issuer}},
		{"one", []string{card}, []string{card}},
		{"two", []string{insurance, card}, []string{insurance, card}},
		{"twice", []string{card, card}, []string{card}},
		{"ours", []string{issuer}, []string{issuer}},
		{"not-of-these-scopes", []string{card, "urn:ecardid:resource:pension"}, nil},
		{"fragment", []string{card + "#x"}, nil},
		{"relative", []string{"/card"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := ask("scope", "openid card.basic insurance.read")
			v["resource"] = c.resources
			w := b.get("/authorize?" + v.Encode())
			if c.want == nil {
				if got := answer(t, w); got.Get("error") != "invalid_target" {
					t.Errorf("answered %v", got)
				}
				return
			}
			status, out := h.call("/token", rp, redeem(b.code(v)))
			var at struct {
				Audience jose.Audience `json:"aud"`
			}
			if status != http.StatusOK {
				t.Fatalf("%d %v", status, out)
			}
			h.claims(out["access_token"].(string), &at)
			if got := at.Audience.Values(); strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("for %v, want %v", got, c.want)
			}
		})
	}
}
