package catalogue

import (
	"slices"
	"strings"
	"testing"

	"ecardid/identity"
	"ecardid/oauth"
)

func TestDefault(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	const self = "https://id.example"
	for _, r := range []struct {
		scope    string
		level    identity.Level
		form     Form
		audience string
		carried  string
		claims   string
	}{
		{"openid", identity.LevelNone, Opaque, self, "openid", ""},
		{"openid profile phone", identity.LevelNone, Opaque, self, "openid profile phone", "name updated_at phone_number phone_number_verified"},
		{"card.basic", identity.LevelMFA, JWT, "urn:ecardid:resource:card", "card.basic", ""},
		{"openid insurance.read", identity.LevelMFA, JWT, "urn:ecardid:resource:insurance " + self, "openid insurance.read", ""},
		{"card.basic insurance.pay", identity.LevelBound, Opaque, "urn:ecardid:resource:card urn:ecardid:resource:insurance", "card.basic insurance.pay", ""},
		{"pension.read pension.claim", identity.LevelLive, Opaque, "urn:ecardid:resource:pension", "pension.read", ""},
	} {
		t.Run(r.scope, func(t *testing.T) {
			scope := strings.Fields(r.scope)
			if got := c.Level(scope); got != r.level {
				t.Errorf("level %v", got)
			}
			if got := c.Form(scope); got != r.form {
				t.Errorf("form %v", got)
			}
			if got := strings.Join(c.Audience(self, scope), " "); got != r.audience {
				t.Errorf("audience %v", got)
			}
			if got := strings.Join(c.Carried(scope), " "); got != r.carried {
				t.Errorf("carried %v", got)
			}
			if got := strings.Join(c.Claims(scope), " "); got != r.claims {
				t.Errorf("claims %v", got)
			}
		})
	}
	// A scope nobody knows never makes a token that cannot be called back.
	if c.Form([]string{"card.basic", "unknown"}) != Opaque {
		t.Error("an unknown scope is a JWT")
	}
	client := &oauth.Client{Scope: "openid pension.claim pension.read"}
	if left := c.NotCarried(client); !slices.Contains(left, "pension.claim") || !slices.Contains(left, "card.basic") || slices.Contains(left, "pension.read") {
		t.Errorf("left behind: %v", left)
	}
	if got := c.Machine([]string{"card.status", "card.basic"}); !slices.Equal(got, []string{"card.status"}) {
		t.Errorf("machine: %v", got)
	}
}

const openid = `scopes:
  - {name: openid, token: opaque, title: {zh-CN: a, en: b}, purpose: {zh-CN: a, en: b}}
`

func TestParseRefuses(t *testing.T) {
	entry := func(members string) string {
		return openid + "  - {title: {zh-CN: a, en: b}, purpose: {zh-CN: a, en: b}, " + members + "}\n"
	}
	if _, err := Parse([]byte(entry("name: x, token: jwt, resource: 'urn:x'"))); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"empty":            ``,
		"not-yaml":         `{`,
		"unknown-member":   entry("name: x, token: jwt, resource: 'urn:x', min_acr: x"),
		"unknown-section":  openid + "scope: []\n",
		"member-twice":     entry("name: x, name: y, token: opaque"),
		"two-documents":    openid + "---\n" + openid,
		"no-openid":        strings.Replace(openid, "openid", "other", 1),
		"twice":            entry("name: openid, token: opaque"),
		"claim-item":       entry("name: 'claim:x', token: opaque"),
		"claim-name":       openid + "claims: {'a b': {zh-CN: a, en: b}}\n",
		"two-names":        entry("name: 'a b', token: opaque"),
		"acr":              entry("name: x, token: opaque, acr: high"),
		"token":            entry("name: x, token: saml"),
		"jwt-for-nobody":   entry("name: x, token: jwt"),
		"resource":         entry("name: x, token: jwt, resource: card"),
		"claim":            entry("name: x, token: opaque, claims: [shoe_size]"),
		"client-with-acr":  entry("name: x, token: jwt, resource: 'urn:x', client: true, acr: 'urn:ecardid:acr:mfa'"),
		"client-opaque":    entry("name: x, token: opaque, resource: 'urn:x', client: true"),
		"missing-language": strings.Replace(openid, "purpose: {zh-CN: a, en: b}", "purpose: {en: b}", 1),
		"extra-language":   strings.Replace(openid, "purpose: {zh-CN: a, en: b}", "purpose: {zh-CN: a, en: b, fr: c}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := Parse([]byte(file)); err == nil || c != nil {
				t.Errorf("was taken")
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(shipped)
	f.Add([]byte(openid))
	f.Add([]byte("scopes: &a [*a]"))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := Parse(file)
		if err != nil {
			if c != nil {
				t.Fatal("failed and gave something")
			}
			return
		}
		for _, name := range c.Names() {
			if names, err := oauth.ParseScope(name); err != nil || len(names) != 1 {
				t.Fatalf("took %q", name)
			}
		}
	})
}

// A scope that stands for more is another one to agree to (CN1).
func TestTerms(t *testing.T) {
	terms := func(scope string) string {
		t.Helper()
		c, err := Parse([]byte(strings.NewReplacer("SCOPE", scope).Replace(`
scopes:
  - {name: openid, token: opaque, title: {zh-CN: a, en: a}, purpose: {zh-CN: a, en: a}}
  - {name: x, SCOPE, title: {zh-CN: a, en: a}, purpose: {zh-CN: a, en: a}}
claims:
  name: {zh-CN: a, en: a}
  phone: {zh-CN: a, en: a}
`)))
		if err != nil {
			t.Fatal(err)
		}
		all := c.Terms([]string{"openid", "x"})
		if len(all) != 2 {
			t.Fatalf("%q", all)
		}
		return all[1]
	}
	base := terms("token: opaque, claims: [name]")
	if base != terms("token: opaque, once: true, claims: [name]") || terms("token: opaque, claims: [name, phone]") != terms("token: opaque, claims: [phone, name]") {
		t.Error("the same is another")
	}
	for _, more := range []string{
		"token: opaque, claims: [name, phone]", "token: opaque, claims: [name], resource: 'urn:x'", "token: opaque, claims: [name], acr: 'urn:ecardid:acr:live'",
	} {
		if terms(more) == base {
			t.Errorf("%s is the same", more)
		}
	}
}
