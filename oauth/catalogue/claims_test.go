package catalogue

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ecardid/identity"
	"ecardid/oauth"
)

func TestAskable(t *testing.T) {
	c, err := Parse([]byte(`
scopes:
  - {name: openid, token: opaque, title: {zh-CN: a, en: a}, purpose: {zh-CN: a, en: a}}
  - {name: profile, token: opaque, claims: [name, birthdate], title: {zh-CN: a, en: a}, purpose: {zh-CN: a, en: a}}
  - {name: sure, token: opaque, acr: 'urn:ecardid:acr:mfa', claims: [birthdate, address], title: {zh-CN: a, en: a}, purpose: {zh-CN: a, en: a}}
claims:
  name: {zh-CN: 姓名, en: name}
  birthdate: {zh-CN: 生日, en: birthday}
  address: {zh-CN: 地址, en: address}
  email: {zh-CN: 邮箱, en: email}
`))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"name", "birthdate", "address", "email", "shoe_size", "name", "sub"}
	for _, r := range []struct {
		ceiling, want string
		level         identity.Level
	}{
		{"openid", "", identity.LevelNone},
		{"openid profile", "name birthdate", identity.LevelNone},
		{"openid sure", "birthdate address", identity.LevelMFA},
		// Of two scopes that give it, the one that asks for less will do.
		{"openid sure profile", "name birthdate address", identity.LevelMFA},
		{"openid unknown", "", identity.LevelNone},
	} {
		client := &oauth.Client{Scope: r.ceiling}
		got := c.Askable(client, all)
		if strings.Join(got, " ") != r.want {
			t.Errorf("%s: may ask for %v", r.ceiling, got)
		}
		if level := c.ClaimLevel(client, got); level != r.level {
			t.Errorf("%s: level %v", r.ceiling, level)
		}
	}
	if level := c.ClaimLevel(&oauth.Client{Scope: "openid sure profile"}, []string{"birthdate"}); level != identity.LevelNone {
		t.Errorf("level %v", level)
	}
	terms := c.Terms([]string{ClaimItem("name"), ClaimItem("email"), ClaimItem("shoe_size"), "name"})
	if terms[0] == "" || terms[0] == terms[1] || terms[2] != "" || terms[3] != "" {
		t.Errorf("%q", terms)
	}
	if v := c.View(ClaimItem("name")); v.Name != "claim:name" || v.Title["en"] != "name" || v.Title["zh-CN"] != "姓名" {
		t.Errorf("%+v", v)
	}
	if v := c.View(ClaimItem("shoe_size")); v.Title != nil {
		t.Errorf("%+v", v)
	}
}

// The file that the conformance suite is run with offers every standard claim
// (OpenID Connect Core §5.1) by the scopes of §5.4.
func TestConformanceScopes(t *testing.T) {
	file, err := os.ReadFile("../../e2e/conformance/scopes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for scope, claims := range map[string]string{
		"openid":         "",
		"offline_access": "",
		"profile":        "name family_name given_name middle_name nickname preferred_username profile picture website gender birthdate zoneinfo locale updated_at",
		"email":          "email email_verified",
		"address":        "address",
		"phone":          "phone_number phone_number_verified",
	} {
		s, ok := c.Scope(scope)
		if !ok || s.Level() != identity.LevelBasic {
			t.Errorf("%s: %v %v", scope, ok, s.Level())
		}
		want := strings.Fields(claims)
		if got := slices.Clone(s.Claims); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s gives %v", scope, got)
		}
	}
}
