package provider_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/provider"
)

// Claims asked for by name (OpenID Connect Core §5.5) are shown, agreed to, kept, and
// never more than the client's scopes could have brought.
func TestClaims(t *testing.T) {
	h := newHouse(t)
	h.rp()
	const claims = `{"userinfo":{"phone_number":null,"name":{"essential":true},"email":null,"shoe_size":null},"id_token":{"phone_number":{"essential":true}}}`
	b := h.browser()
	b.signIn(0, password(), totp())
	at := b.get("/authorize?" + ask("scope", "openid profile", "claims", claims).Encode()).Header().Get("Location")
	if !strings.HasPrefix(at, "/consent?") {
		t.Fatalf("sent to %q", at)
	}
	b.get(at)
	items := func() (names []string) {
		for _, s := range h.pages.consent.Scopes {
			names = append(names, s.Name)
			if s.Title["zh-CN"] == "" || s.Title["en"] == "" {
				t.Errorf("%s has no words", s.Name)
			}
		}
		return names
	}
	// The name comes with profile; of email and shoe size nothing here gives any.
	if got := items(); !slices.Equal(got, []string{"openid", "profile", "claim:phone_number"}) {
		t.Errorf("shown: %v", got)
	}
	code := answer(t, b.consent(at, "consent-allow")).Get("code")
	status, out := h.call("/token", rp, redeem(code))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	said := jsonOf(t, h.userinfo(out["access_token"].(string)))
	if said["phone_number"] == nil || said["name"] == nil || said["phone_number_verified"] != nil {
		t.Errorf("userinfo says %v", said)
	}
	var id map[string]any
	h.claims(out["id_token"].(string), &id)
	if id["phone_number"] != said["phone_number"] || id["name"] != nil {
		t.Errorf("the ID token says %v", id)
	}
	// Agreed to, it is not asked about again; one claim more is (CN1).
	if got := answer(t, b.get("/authorize?"+ask("scope", "openid profile", "claims", claims).Encode())); got.Get("code") == "" {
		t.Errorf("asked again: %v", got)
	}
	if got := answer(t, b.get("/authorize?"+ask("scope", "openid profile", "prompt", "none", "claims", `{"userinfo":{"phone_number":null,"phone_number_verified":null}}`).Encode())); got.Get("error") != "consent_required" {
		t.Errorf("answered %v", got)
	}
	at = b.get("/authorize?" + ask("scope", "openid profile", "claims", `{"userinfo":{"phone_number":null,"phone_number_verified":null}}`).Encode()).Header().Get("Location")
	b.get(at)
	if v := h.pages.consent; v == nil || len(v.Scopes) != 4 || v.Scopes[2].New || !v.Scopes[3].New {
		t.Errorf("shown: %+v", v)
	}
	// One consent is withdrawn with the other.
	event := audit.Event{Kind: audit.ConsentWithdrawn, At: h.clock.Now(), Actor: audit.ByCitizen, Citizen: h.citizens[0]}
	if err := h.store.WithdrawConsent(t.Context(), h.citizens[0], rp, h.clock.Now(), event); err != nil {
		t.Fatal(err)
	}
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusUnauthorized {
		t.Errorf("withdrawn: %d", w.Code)
	}
}

// Asking by name is no way round the ceiling, and tells nothing where nobody could
// hear it.
func TestClaimsCeiling(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"small","client_name":"Small","redirect_uris":["` + callback + `"],"scope":"openid card.basic","first_party":true}`)
	h.client(`{"client_id":"ours","client_name":"Ours","redirect_uris":["` + callback + `"],"scope":"openid phone","first_party":true}`)
	const claims = `{"userinfo":{"phone_number":{"essential":true}}}`
	b := h.browser()
	b.signIn(0, password(), totp())
	for _, r := range []struct {
		client string
		told   bool
	}{{"small", false}, {"ours", true}} {
		got := answer(t, b.get("/authorize?"+ask("client_id", r.client, "scope", "openid", "claims", claims).Encode()))
		status, out := h.call("/token", r.client, redeem(got.Get("code")))
		if status != http.StatusOK {
			t.Fatalf("%s: %d %v", r.client, status, out)
		}
		said := jsonOf(t, h.userinfo(out["access_token"].(string)))
		if _, told := said["phone_number"]; told != r.told {
			t.Errorf("%s: userinfo says %v", r.client, said)
		}
	}
	at := b.get("/authorize?" + ask("scope", "card.basic", "claims", claims).Encode()).Header().Get("Location")
	b.get(at)
	if v := h.pages.consent; v == nil || len(v.Scopes) != 1 {
		t.Errorf("without openid: %+v", v)
	}
	for name, claims := range map[string]string{
		"list": `{"userinfo":["name"]}`, "word": `{"userinfo":{"name":true}}`, "twice": `{"userinfo":{"name":null,"name":null}}`, "essential": `{"userinfo":{"name":{"essential":"yes"}}}`,
	} {
		if got := answer(t, b.get("/authorize?"+ask("claims", claims).Encode())); got.Get("error") != "invalid_request" {
			t.Errorf("%s: answered %v", name, got)
		}
	}
}

// A claim asks for the same assurance as the scope that would have brought it.
func TestClaimsLevel(t *testing.T) {
	cat, err := catalogue.Parse([]byte(`
scopes:
  - {name: openid, token: opaque, title: {zh-CN: a, en: a}, purpose: {zh-CN: a, en: a}}
  - {name: name, acr: 'urn:ecardid:acr:mfa', token: opaque, claims: [name], title: {zh-CN: a, en: a}, purpose: {zh-CN: a, en: a}}
claims: {name: {zh-CN: 姓名, en: name}}
`))
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(c *provider.Config) { c.Catalogue = cat })
	h.client(`{"client_id":"pension","client_name":"Office","redirect_uris":["` + callback + `"],"scope":"openid name"}`)
	b := h.browser()
	b.signIn(0, password())
	for _, part := range []string{"userinfo", "id_token"} {
		b.get("/authorize?" + ask("scope", "openid", "claims", `{"`+part+`":{"name":null}}`).Encode())
		if need := h.logins.last(t).need; need.Level != identity.LevelMFA || len(h.logins.raised) == 0 {
			t.Errorf("%s: need is %+v", part, need)
		}
	}
	if got := len(h.logins.raised); got != 2 {
		t.Errorf("raised %d times", got)
	}
}
