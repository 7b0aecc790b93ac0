package provider_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ecardid/identity"
)

const (
	cardResource      = "urn:ecardid:resource:card"
	insuranceResource = "urn:ecardid:resource:insurance"
	pensionResource   = "urn:ecardid:resource:pension"
)

func aud(h *house, token any) []string {
	h.t.Helper()
	var claims map[string]any
	h.claims(token.(string), &claims)
	if one, ok := claims["aud"].(string); ok {
		return []string{one}
	}
	var all []string
	for _, a := range claims["aud"].([]any) {
		all = append(all, a.(string))
	}
	return all
}

// A token request may have its access token for less than was granted (RFC 8707
// §2.2); what else was granted stays.
func TestResourceAtTheTokenEndpoint(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	const scope = "openid card.basic insurance.read"
	status, out := h.call("/token", rp, redeem(b.code(ask("scope", scope)), "resource", cardResource))
	if status != http.StatusOK || out["scope"] != "card.basic" || out["id_token"] == nil || !slices.Equal(aud(h, out["access_token"]), []string{cardResource}) {
		t.Fatalf("%d %v", status, out)
	}
	// A token for the card is none for us.
	if w := h.userinfo(out["access_token"].(string)); w.Code == http.StatusOK {
		t.Error("userinfo takes it")
	}
	refresh := out["refresh_token"].(string)
	for _, c := range []struct {
		resource []string
		scope    string
		want     string
		aud      []string
	}{
		{nil, "", scope, []string{cardResource, insuranceResource, issuer}},
		{[]string{insuranceResource}, "", "insurance.read", []string{insuranceResource}},
		{[]string{insuranceResource, cardResource}, "", "card.basic insurance.read", []string{insuranceResource, cardResource}},
		{[]string{insuranceResource, insuranceResource}, "", "insurance.read", []string{insuranceResource}},
		{[]string{issuer}, "", "openid", []string{issuer}},
		{[]string{cardResource}, "card.basic insurance.read", "card.basic", []string{cardResource}},
	} {
		form := refreshing(refresh)
		form["resource"] = c.resource
		if c.scope != "" {
			form.Set("scope", c.scope)
		}
		status, out := h.call("/token", rp, form)
		if status != http.StatusOK || out["scope"] != c.want || !slices.Equal(aud(h, out["access_token"]), c.aud) {
			t.Errorf("%v: %d %v", c.resource, status, out)
		}
	}
	for name, resource := range map[string]string{
		"another":  pensionResource,
		"unknown":  "urn:nobody",
		"relative": "card",
		"fragment": cardResource + "#x",
		"long":     "urn:" + strings.Repeat("x", 600),
		"empty":    "urn:",
	} {
		if status, out := h.call("/token", rp, refreshing(refresh, "resource", resource)); status != 400 || out["error"] != "invalid_target" {
			t.Errorf("%s: %d %v", name, status, out)
		}
		// One bad among good ones spoils them.
		if status, out := h.call("/token", rp, refreshing(refresh, "resource", cardResource, "resource", resource)); status != 400 || out["error"] != "invalid_target" {
			t.Errorf("the card and %s: %d %v", name, status, out)
		}
	}
	// With the wrong scope for it, nothing is left.
	if status, out := h.call("/token", rp, refreshing(refresh, "resource", cardResource, "scope", "insurance.read")); status != 400 || out["error"] != "invalid_target" {
		t.Errorf("%d %v", status, out)
	}
	// What can be refused without the code does not cost the code.
	code := b.code(ask("scope", scope))
	if status, out := h.call("/token", rp, redeem(code, "resource", "urn:nobody")); status != 400 || out["error"] != "invalid_target" {
		t.Errorf("%d %v", status, out)
	}
	if status, out := h.call("/token", rp, redeem(code)); status != http.StatusOK || out["scope"] != scope {
		t.Errorf("%d %v", status, out)
	}
}

// An opaque token is narrowed in storage, where its resources ask about it.
func TestResourceOfAnOpaqueToken(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"insurance-api","client_name":"Insurance API","grant_types":[],"resources":["` + insuranceResource + `"]}`)
	h.client(`{"client_id":"card-api","client_name":"Card API","grant_types":[],"resources":["` + cardResource + `"]}`)
	b := h.browser()
	b.signIn(0, password(), totp(), identity.Proof{Factor: identity.FactorPhone, Device: h.phone()})
	status, out := h.call("/token", rp, redeem(b.code(ask("scope", "openid insurance.pay card.basic")), "resource", insuranceResource))
	if status != http.StatusOK || out["scope"] != "insurance.pay" {
		t.Fatalf("%d %v", status, out)
	}
	sees := func(api, token string) any {
		_, seen := h.call("/introspect", api, url.Values{"token": {token}})
		return seen["scope"]
	}
	token := out["access_token"].(string)
	if sees("insurance-api", token) != "insurance.pay" || sees("card-api", token) != nil {
		t.Errorf("insurance sees %v, the card %v", sees("insurance-api", token), sees("card-api", token))
	}
	if w := h.userinfo(token); w.Code == http.StatusOK {
		t.Error("userinfo takes it")
	}
	_, out = h.call("/token", rp, refreshing(out["refresh_token"].(string), "resource", cardResource))
	token = out["access_token"].(string)
	if sees("insurance-api", token) != nil || sees("card-api", token) != "card.basic" {
		t.Errorf("after the refresh insurance sees %v, the card %v", sees("insurance-api", token), sees("card-api", token))
	}
}

// Who asks a public client's refresh for what it cannot have keeps the token.
func TestRefusedResourceDoesNotRotate(t *testing.T) {
	h := newHouse(t)
	h.app()
	_, token := h.appTokens()
	for _, resource := range []string{pensionResource, "urn:nobody"} {
		if status, out := h.refresh("app", token, "resource", resource); status != 400 || out["error"] != "invalid_target" {
			t.Errorf("%d %v", status, out)
		}
	}
	status, out := h.refresh("app", token, "resource", cardResource)
	next, _ := out["refresh_token"].(string)
	if status != http.StatusOK || next == "" || next == token || out["scope"] != "card.basic" {
		t.Fatalf("%d %v", status, out)
	}
	if status, _ := h.refresh("app", token); status != 400 {
		t.Errorf("reuse: %d", status)
	}
	if status, _ := h.refresh("app", next); status != 400 {
		t.Errorf("the family lives on: %d", status)
	}
}

func TestResourceOfAClient(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"robot","client_name":"Robot","grant_types":["client_credentials"],"scope":"card.status"}`)
	ask := func(more ...string) (int, map[string]any) {
		form := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(more); i += 2 {
			form.Add(more[i], more[i+1])
		}
		return h.call("/token", "robot", form)
	}
	if status, out := ask("resource", cardResource); status != http.StatusOK || !slices.Equal(aud(h, out["access_token"]), []string{cardResource}) {
		t.Errorf("%d %v", status, out)
	}
	for _, resource := range []string{insuranceResource, issuer, "x"} {
		if status, out := ask("resource", resource); status != 400 || out["error"] != "invalid_target" {
			t.Errorf("%s: %d %v", resource, status, out)
		}
	}
	if status, out := ask("authorization_details", `[{"type":"insurance_payment"}]`); status != 400 || out["error"] != "invalid_authorization_details" {
		t.Errorf("%d %v", status, out)
	}
}

// What the authorization request left out no token request brings back (TK1).
func TestResourceOfTheGrant(t *testing.T) {
	h := newHouse(t)
	h.chain()
	b := h.browser()
	b.signIn(0, password(), totp())
	status, out := h.call("/token", rp, redeem(b.code(ask("scope", "openid card.basic insurance.read", "resource", cardResource))))
	if status != http.StatusOK || !slices.Equal(aud(h, out["access_token"]), []string{cardResource}) {
		t.Fatalf("%d %v", status, out)
	}
	refresh := out["refresh_token"].(string)
	for name, form := range map[string]url.Values{
		"resource": refreshing(refresh, "resource", insuranceResource), "scope": refreshing(refresh, "scope", "insurance.read"),
		"ourselves": refreshing(refresh, "resource", issuer),
	} {
		if status, out := h.call("/token", rp, form); status != 400 || out["error"] != "invalid_target" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	if status, out := h.call("/token", "card-api", exchanging(out["access_token"].(string))); status != 400 || out["error"] != "invalid_target" {
		t.Errorf("exchanged: %d %v", status, out)
	}
	if status, out := h.call("/token", rp, refreshing(refresh)); status != http.StatusOK || !slices.Equal(aud(h, out["access_token"]), []string{cardResource}) {
		t.Errorf("%d %v", status, out)
	}
}
