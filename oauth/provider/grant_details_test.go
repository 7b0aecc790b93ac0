package provider_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/issue"
)

// What a token request makes of the details of a grant (RFC 9396 §6, §7). How a
// citizen comes to agree to them is another matter: here the code is issued by hand.

func payment(value string) string {
	return `{"amount":{"currency":"CNY","value":"` + value + `"},"payee":{"name":"第一医院"},"type":"insurance_payment"}`
}

// granted issues a code of the relying party for these details.
func (h *house) granted(details string, opaque bool) string {
	h.t.Helper()
	login := h.browser().signIn(0, password(), totp())
	code := issue.Handles{Keys: keyed(h.t, 2)}.New(issue.Code)
	now := h.clock.Now()
	err := h.store.IssueCode(h.t.Context(), oauth.NewCode{
		Grant: oauth.Grant{
			ID: identity.NewID(), ClientID: rp, Citizen: login.Citizen, Login: login.ID, Session: login.ID, RedirectURI: callback,
			Scope: []string{"card.basic", "insurance.read"}, Resource: []string{cardResource, insuranceResource},
			AuthTime: now, Opaque: opaque, Created: now, Expires: now.Add(time.Hour), Details: json.RawMessage(details),
		},
		Code: code.Hash(), CodeExpires: now.Add(time.Minute), Challenge: challenge(verifier), FirstParty: true,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return code.Reveal()
}

func (h *house) payer() {
	h.client(`{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + callback + `"],"authorization_details_types":["insurance_payment"],
		"grant_types":["authorization_code","refresh_token"],"scope":"card.basic insurance.read insurance.pay"}`)
	h.client(`{"client_id":"insurance-api","client_name":"API","grant_types":[],"resources":["` + insuranceResource + `"]}`)
}

func compact(t *testing.T, v any) string {
	t.Helper()
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDetailsAtTheTokenEndpoint(t *testing.T) {
	h := newHouse(t)
	h.payer()
	first, second := payment("123.45"), payment("0.01")
	both := "[" + first + "," + second + "]"
	inToken := func(out map[string]any) string {
		var claims map[string]any
		h.claims(out["access_token"].(string), &claims)
		return compact(t, claims["authorization_details"])
	}
	for _, c := range []struct {
		name   string
		form   []string
		status int
		want   string
	}{
		{"all", nil, 200, both},
		{"one", []string{"authorization_details", "[" + second + "]"}, 200, "[" + second + "]"},
		{"another spelling", []string{"authorization_details", `[ {"type":"insurance_payment","payee":{"name":"\u7b2c\u4e00\u533b\u9662"},"amount":{"value":"0.01","currency":"CNY"}} ]`}, 200, "[" + second + "]"},
		{"for its resource", []string{"resource", insuranceResource}, 200, both},
		{"for another resource", []string{"resource", cardResource}, 200, ""},
		{"less money", []string{"authorization_details", "[" + payment("0.02") + "]"}, 400, "invalid_authorization_details"},
		{"one of them more", []string{"authorization_details", "[" + first + "," + payment("0.02") + "]"}, 400, "invalid_authorization_details"},
		{"twice", []string{"authorization_details", "[" + first + "," + first + "]"}, 400, "invalid_authorization_details"},
		{"none", []string{"authorization_details", "[]"}, 400, "invalid_authorization_details"},
		{"unknown", []string{"authorization_details", `[{"type":"x"}]`}, 400, "invalid_authorization_details"},
		{"malformed", []string{"authorization_details", `{`}, 400, "invalid_authorization_details"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out := h.call("/token", rp, redeem(h.granted(both, false), c.form...))
			if status != c.status {
				t.Fatalf("%d %v", status, out)
			}
			if status != http.StatusOK {
				if out["error"] != c.want {
					t.Errorf("%v", out)
				}
				return
			}
			if compact(t, out["authorization_details"]) != c.want || inToken(out) != c.want {
				t.Errorf("told %v, in the token %s", out["authorization_details"], inToken(out))
			}
			// A payment is good for the first access token.
			status, out = h.call("/token", rp, refreshing(out["refresh_token"].(string)))
			if status != http.StatusOK || out["authorization_details"] != nil || inToken(out) != "" {
				t.Errorf("refreshed: %d %v %s", status, out, inToken(out))
			}
		})
	}
	// What can be refused without the code does not cost the code.
	code := h.granted(both, false)
	h.call("/token", rp, redeem(code, "authorization_details", "{"))
	if status, out := h.call("/token", rp, redeem(code)); status != http.StatusOK {
		t.Errorf("%d %v", status, out)
	}
}

// An opaque token shows the details of its grant: there are no tokens of that grant
// that would have to show fewer.
func TestDetailsOfAnOpaqueGrant(t *testing.T) {
	h := newHouse(t)
	h.payer()
	both := "[" + payment("123.45") + "," + payment("0.01") + "]"
	status, out := h.call("/token", rp, redeem(h.granted(both, true)))
	if status != http.StatusOK || compact(t, out["authorization_details"]) != both {
		t.Fatalf("%d %v", status, out)
	}
	if out["refresh_token"] != nil {
		t.Error("a payment that is good once can be refreshed")
	}
	_, seen := h.call("/introspect", "insurance-api", url.Values{"token": {out["access_token"].(string)}})
	if compact(t, seen["authorization_details"]) != both {
		t.Errorf("the resource sees %v", seen)
	}
	status, out = h.call("/token", rp, redeem(h.granted(both, true), "authorization_details", "["+payment("0.01")+"]"))
	if status != 400 || out["error"] != "invalid_authorization_details" {
		t.Errorf("fewer: %d %v", status, out)
	}
}
