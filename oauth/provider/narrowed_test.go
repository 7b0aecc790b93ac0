package provider_test

import (
	"net/http"
	"net/url"
	"testing"
)

// What was narrowed since the citizen agreed reaches what was granted before, at
// every door (SECURITY G6, G7).
func TestNarrowedClaims(t *testing.T) {
	h := newHouse(t)
	admit := func(scope string) {
		h.client(`{"client_id":"pension","client_name":"Pension","redirect_uris":["` + callback + `"],
			"grant_types":["authorization_code","refresh_token"],"scope":"` + scope + `"}`)
	}
	both := `{"id_token":{"name":null,"phone_number":null},"userinfo":{"name":null,"phone_number":null}}`
	b := h.browser()
	b.signIn(0, password(), totp())
	told := func(form url.Values) (id, info map[string]any, refresh string) {
		t.Helper()
		status, out := h.call("/token", rp, form)
		if status != http.StatusOK {
			t.Fatalf("status %d: %v", status, out)
		}
		h.claims(out["id_token"].(string), &id)
		refresh, _ = out["refresh_token"].(string)
		return id, jsonOf(t, h.userinfo(out["access_token"].(string))), refresh
	}
	admit("openid profile phone")
	code := func() string { return b.code(ask("scope", "openid", "claims", both)) }
	id, info, refresh := told(redeem(code()))
	if id["name"] == nil || id["phone_number"] == nil || info["phone_number"] == nil {
		t.Fatalf("told %v and %v", id, info)
	}
	later := code()
	admit("openid")
	for name, form := range map[string]url.Values{"refresh": refreshing(refresh), "code": redeem(later)} {
		id, info, _ := told(form)
		for _, claim := range []string{"name", "phone_number"} {
			if id[claim] != nil || info[claim] != nil {
				t.Errorf("%s: %s is still told", name, claim)
			}
		}
	}
}

func TestNarrowedDetails(t *testing.T) {
	h := newHouse(t)
	phone := h.phone()
	h.clinic("")
	h.client(`{"client_id":"insurance-api","client_name":"Insurance API","grant_types":["client_credentials"],"resources":["` + insuranceResource + `"]}`)
	b := h.browser()
	b.sure(phone)
	code := func() string {
		b.get("/authorize?" + ask("scope", "openid insurance.pay", "authorization_details", bill).Encode())
		return answer(t, b.consent(b.proves(phone), "consent-allow")).Get("code")
	}
	early, late := code(), code()
	status, out := h.call("/token", rp, redeem(early))
	if status != http.StatusOK || out["authorization_details"] == nil {
		t.Fatalf("status %d: %v", status, out)
	}
	see := func() map[string]any {
		_, seen := h.call("/introspect", "insurance-api", url.Values{"token": {out["access_token"].(string)}})
		return seen
	}
	if see()["authorization_details"] == nil {
		t.Fatalf("introspection says %v", see())
	}
	h.client(`{"client_id":"pension","client_name":"Clinic","redirect_uris":["` + callback + `"],
		"grant_types":["authorization_code","refresh_token"],"scope":"openid card.basic insurance.pay"}`)
	if seen := see(); seen["authorization_details"] != nil {
		t.Errorf("a payment is still told of: %v", seen)
	}
	if status, out := h.call("/token", rp, redeem(late)); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
		t.Errorf("status %d: %v", status, out)
	}
}
