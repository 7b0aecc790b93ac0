package authorize

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestPrompt(t *testing.T) {
	for s, want := range map[string]prompts{
		"": {}, "none": {none: true}, "login": {login: true}, "consent": {consent: true},
		"select_account": {login: true}, "login consent": {login: true, consent: true}, "select_account login": {login: true},
	} {
		if got, err := readPrompt(s); err != nil || got != want {
			t.Errorf("%q: %v %v", s, got, err)
		}
	}
	for _, s := range []string{" ", "none login", "None", "login  consent", "login login", "create", "login,consent"} {
		if got, err := readPrompt(s); err == nil || got != (prompts{}) {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestMaxAge(t *testing.T) {
	for s, want := range map[string]time.Duration{"0": 0, "1": time.Second, "86400": 24 * time.Hour} {
		if got, err := readMaxAge(s); err != nil || *got != want {
			t.Errorf("%q: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "x", "99999999999999999999", "2147483648", "１"} {
		if got, err := readMaxAge(s); err == nil || got != nil {
			t.Errorf("%q was taken", s)
		}
	}
}

// The level is the highest anybody asks for, whoever that is (D6).
func TestNeed(t *testing.T) {
	cat, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(n time.Duration) *time.Duration { d := n * time.Second; return &d }
	for _, c := range []struct {
		name  string
		asked asked
		min   string
		scope []string
		floor identity.Level
		want  identity.Level
		since time.Time
	}{
		{"nothing", asked{}, "", []string{"openid"}, identity.LevelNone, identity.LevelBasic, time.Time{}},
		{"floor", asked{}, "", []string{"openid"}, identity.LevelMFA, identity.LevelMFA, time.Time{}},
		{"scope", asked{}, "", []string{"openid", "insurance.pay"}, identity.LevelMFA, identity.LevelBound, time.Time{}},
		{"client", asked{}, "urn:ecardid:acr:bound", []string{"openid"}, identity.LevelMFA, identity.LevelBound, time.Time{}},
		// Asking for less than the scope demands lowers nothing.
		{"lower-acr", asked{voluntary: []string{"urn:ecardid:acr:basic"}}, "", []string{"pension.claim"}, 0, identity.LevelLive, time.Time{}},
		{"voluntary-preferred", asked{voluntary: []string{"gold", "urn:ecardid:acr:bound", "urn:ecardid:acr:mfa"}}, "", []string{"openid"}, 0, identity.LevelBound, time.Time{}},
		{"voluntary-lowest-preferred", asked{voluntary: []string{"urn:ecardid:acr:mfa", "urn:ecardid:acr:bound"}}, "", []string{"openid"}, 0, identity.LevelMFA, time.Time{}},
		{"essential-lowest", asked{essential: []string{"gold", "urn:ecardid:acr:live", "urn:ecardid:acr:mfa"}}, "", []string{"openid"}, 0, identity.LevelMFA, time.Time{}},
		{"max-age", asked{maxAge: seconds(60)}, "", []string{"openid"}, 0, identity.LevelBasic, noon.Add(-time.Minute)},
		{"max-age-0", asked{maxAge: seconds(0)}, "", []string{"openid"}, 0, identity.LevelBasic, noon},
		{"login-beats-max-age", asked{maxAge: seconds(60), prompt: prompts{login: true}}, "", []string{"openid"}, 0, identity.LevelBasic, noon},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := need(c.asked, &oauth.Client{MinACR: c.min}, c.scope, cat, c.floor, noon, noon)
			if n.Level != c.want || !n.Since.Equal(c.since) {
				t.Errorf("level %d since %v", n.Level, n.Since)
			}
		})
	}
}

func TestACR(t *testing.T) {
	for _, c := range []struct {
		reached   identity.Level
		essential []string
		want      string
	}{
		{identity.LevelBound, nil, "urn:ecardid:acr:bound"},
		{identity.LevelBound, []string{"urn:ecardid:acr:bound", "urn:ecardid:acr:mfa"}, "urn:ecardid:acr:bound"},
		// True, and one of those the client insists on.
		{identity.LevelBound, []string{"urn:ecardid:acr:basic", "urn:ecardid:acr:mfa"}, "urn:ecardid:acr:mfa"},
		{identity.LevelMFA, []string{"urn:ecardid:acr:live"}, "urn:ecardid:acr:mfa"},
	} {
		if got := acr(c.reached, c.essential); got != c.want {
			t.Errorf("%d of %v: %s", c.reached, c.essential, got)
		}
	}
}

// A name is its exact letters: what this reader took for "essential" and the next one
// does not would be a demand that is met by half (SECURITY OI1).
func TestClaimsByTheirNames(t *testing.T) {
	const live = "urn:ecardid:acr:live"
	for in, want := range map[string][]string{
		`{"id_token":{"acr":{"essential":true,"values":["` + live + `"]}}}`:                    {live},
		`{"id_token":{"acr":{"essential":true,"value":"` + live + `"}}}`:                       {live},
		`{"id_token":{"acr":{"ESSENTIAL":true,"values":["` + live + `"]}}}`:                    nil,
		`{"id_token":{"acr":{"essential":true,"VALUES":["` + live + `"]}}}`:                    nil,
		`{"id_token":{"acr":{"essential":true,"Value":"` + live + `"}}}`:                       nil,
		`{"id_token":{"ACR":{"essential":true,"values":["` + live + `"]}}}`:                    nil,
		`{"ID_TOKEN":{"acr":{"essential":true,"values":["` + live + `"]}}}`:                    nil,
		`{"id_token":{"acr":{"e\u017fsential":true,"values":["` + live + `"]}}}`:               nil,
		`{"id_token":{"acr":{"essential":false,"values":["` + live + `"]}}}`:                   nil,
		`{"id_token":{"acr":{"essential":true}}}`:                                              nil,
		`{"id_token":{"name":{"essential":true,"value":7}},"userinfo":{"name":{"values":[]}}}`: nil,
	} {
		var a asked
		if err := a.readClaims(in); err != nil || !slices.Equal(a.essential, want) {
			t.Errorf("%s: essential %v, %v", in, a.essential, err)
		}
	}
	for _, member := range []string{
		`"essential":"true"`, `"essential":1`, `"essential":null`, `"values":"x"`, `"values":null`, `"values":[1]`, `"values":[""]`, `"values":[null]`, `"value":""`, `"value":1`, `"value":null`,
		`"value":["x"]`, `"essential":true,"essential":true`, `"essential":true,"Essential":false`,
	} {
		for _, claim := range []string{"acr", "sub"} {
			var a asked
			if err := a.readClaims(`{"id_token":{"` + claim + `":{` + member + `}}}`); err == nil || a.essential != nil || a.subjects != nil {
				t.Errorf("%s %s was taken", claim, member)
			}
		}
	}
}

// What failed to parse returns nothing, and no claims parameter makes anything
// but acr and sub of itself.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"id_token":{"acr":{"essential":true,"values":["urn:ecardid:acr:mfa"]},"sub":{"value":"x"}}}`,
		`{"userinfo":{"name":null}}`, `{"id_token":null}`, `[]`, `{"id_token":{"acr":{"values":[1]}}}`, `{} {}`,
	} {
		f.Add(s, "login", "5", "urn:ecardid:acr:mfa")
	}
	client := &oauth.Client{Profile: oauth.ProfileOIDC}
	f.Fuzz(func(t *testing.T, claims, prompt, maxAge, acrValues string) {
		v := url.Values{"claims": {claims}, "prompt": {prompt}, "max_age": {maxAge}, "acr_values": {acrValues}}
		a, err := read(v, client)
		if err != nil {
			if a.prompt != (prompts{}) || a.maxAge != nil || a.essential != nil || a.subjects != nil {
				t.Fatalf("%v failed and gave %+v", v, a)
			}
			return
		}
		if a.maxAge != nil && *a.maxAge < 0 {
			t.Fatalf("age %v", *a.maxAge)
		}
		if a.essential != nil && !slices.ContainsFunc(a.essential, func(n string) bool { _, ok := identity.ParseACR(n); return ok }) {
			t.Fatalf("essential %v cannot be met", a.essential)
		}
	})
}
