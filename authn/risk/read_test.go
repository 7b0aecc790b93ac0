package risk

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", ``, ""},
		{"switched-off", `rules: []`, ""},
		{"unknown-key", "modus: x", "field modus not found"},
		{"unknown-condition", "rules: [{id: a, when: {moon: full}, decision: refuse}]", "field moon not found"},
		{"two-documents", "mode: dry-run\n---\nmode: enforce", "more than one document"},
		{"mode", "mode: maybe", `not "maybe"`},
		{"remember", "remember: 9000h", "remember: not within"},
		{"window", "window: 1s", "window: not within"},
		{"verdict", "rules: [{id: a, when: {first: true}, decision: maybe}]", "none of allow, step-up, hold, refuse"},
		{"no-condition", "rules: [{id: a, when: {}, decision: allow}]", "no condition"},
		{"no-id", "rules: [{when: {first: true}, decision: allow}]", "id: small letters"},
		{"odd-id", "rules: [{id: 'A b', when: {first: true}, decision: allow}]", "id: small letters"},
		{"twice", "rules: [{id: a, when: {first: true}, decision: allow}, {id: a, when: {first: true}, decision: allow}]", "there already"},
		{"our-own-name", "rules: [{id: unreadable, when: {first: true}, decision: allow}]", "there already"},
		{"step-up-to-where", "rules: [{id: a, when: {first: true}, decision: step-up}]", "level: mfa or bound"},
		{"step-up-to-a-face", "rules: [{id: a, when: {first: true}, decision: step-up, level: live}]", "level: mfa or bound"},
		{"level-of-nothing", "rules: [{id: a, when: {first: true}, decision: step-up, level: high}]", "none of basic, mfa, bound, live"},
		{"level-of-a-hold", "rules: [{id: a, when: {first: true}, decision: hold, for: 5m, level: mfa}]", "only with decision: step-up"},
		{"hold-for-how-long", "rules: [{id: a, when: {first: true}, decision: hold}]", "for: not within"},
		{"hold-for-a-day", "rules: [{id: a, when: {first: true}, decision: hold, for: 24h}]", "nobody is shut out for longer"},
		{"hold-by-strangers", "rules: [{id: a, when: {failures_over: 3}, decision: hold, for: 5m}]", "condition on browser, place or source"},
		{"refuse-by-strangers", "rules: [{id: a, when: {spraying: true, need_at_least: bound}, decision: refuse}]", "condition on browser, place or source"},
		{"hold-by-strangers-elsewhere", "rules: [{id: a, when: {failures_over: 3, new_place: true}, decision: hold, for: 5m}]", ""},
		{"negative", "rules: [{id: a, when: {first: true, speed_over: -1}, decision: allow}]", "negative"},
		{"nameless-place", "rules: [{id: a, when: {places: ['']}, decision: allow}]", "without a name"},
		{"test-of-no-rule", "tests: [{name: x, facts: {}, want: allow, rules: [b]}]", `no rule "b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := Read([]byte(c.text))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && (p == nil || p.Remember == 0 || p.Window == 0):
				t.Errorf("%+v", p)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			case c.want != "" && p != nil:
				t.Error("there is a policy beside the error")
			}
		})
	}
}

// TestLoad: rules whose own tests fail are not used.
func TestLoad(t *testing.T) {
	const rules = "rules: [{id: a, when: {new_place: true}, decision: hold, for: 5m, dry_run: true}]\n"
	if _, err := Load([]byte(rules + "tests: [{name: away, facts: {new_place: true}, want: hold, rules: [a]}]")); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{
		"tests: [{name: away, facts: {new_place: true}, want: allow}]",
		"tests: [{name: home, facts: {}, want: allow, rules: [a]}]",
	} {
		if _, err := Load([]byte(rules + wrong)); err == nil {
			t.Errorf("%s passes", wrong)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(defaultRules)
	f.Add([]byte("rules: [{id: a, when: {first: true}, decision: hold, for: 5m}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, cases, err := Read(text)
		if err != nil {
			if p != nil || cases != nil {
				t.Error("what cannot be read gives rules")
			}
			return
		}
		for _, r := range p.Rules {
			if !validID(r.ID) || r.Decision == Pause && (r.For <= 0 || r.For > maxHold) {
				t.Errorf("%+v", r)
			}
		}
		if d := p.Decide(Facts{Unread: true}, now); !p.DryRun && d.Verdict < StepUp {
			t.Error("what cannot be known lets somebody in")
		}
		_ = Check(p, cases)
	})
}

func TestPlaces(t *testing.T) {
	p := mustPlaces(t, chinese)
	for place, want := range map[string]string{
		"10.20.0.0/24": "杭州", "10.20.255.0/24": "杭州", "10.20.8.0/24": "宁波", "10.20.9.0/24": "杭州", "10.21.0.0/24": "", "10.19.255.0/24": "",
		"10.99.3.0/24": "乌鲁木齐", "2001:db8:7::/48": "杭州", "2001:db9::/48": "", "": "", "somewhere": "", "0.0.0.0/24": "", "255.255.255.0/24": "",
	} {
		if got := p.Of(place).Name; got != want {
			t.Errorf("%s is %q, want %q", place, got, want)
		}
	}
	if got := p.Names(); !slices.Equal(got, []string{"乌鲁木齐", "嘉兴", "宁波", "杭州", "某地"}) {
		t.Error(got)
	}
	if (*Places)(nil).Of("10.20.0.0/24") != (Place{}) {
		t.Error("no table knows a place")
	}
	for text, want := range map[string]string{
		"10.0.0.0/8":                  "want NETWORK,NAME",
		"10.0.0.0/8,a,1":              "want NETWORK,NAME",
		"10.0.0.1/8,a":                "bits behind",
		"10.0.0.0,a":                  "no network",
		"10.0.0.0/25,a":               "finer than /24",
		"2001:db8::/49,a":             "finer than /48",
		"::ffff:10.0.0.0/104,a":       "write it as IPv4",
		"10.0.0.0/8,":                 "printable",
		"10.0.0.0/8,a\u202eb":         "printable",
		"10.0.0.0/8,a,91,0":           "no latitude",
		"10.0.0.0/8,a,0,-181":         "no latitude",
		"10.0.0.0/8,a,NaN,0":          "no latitude",
		"10.0.0.0/8,a,x,0":            "no latitude",
		"10.0.0.0/8,a\n10.0.0.0/8,b":  "there twice",
		"# one\n10.0.0.0/8,a\n10.0,b": "line 3",
		"10.0.0.0/8,\"a":              "places",
	} {
		if p, err := ReadPlaces(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) || p != nil {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzReadPlaces(f *testing.F) {
	f.Add(chinese, "10.20.8.0/24")
	f.Add("0.0.0.0/0,a\n::/0,b,0,0", "2001:db8::/48")
	f.Fuzz(func(t *testing.T, text, place string) {
		p, err := ReadPlaces(strings.NewReader(text))
		if err != nil {
			if p != nil {
				t.Error("a table that cannot be read is one")
			}
			return
		}
		// The narrowest network around the place, found the slow way.
		want, bits := Place{}, -1
		if prefix, ok := prefixOf(place); ok {
			for _, r := range p.rows {
				if r.prefix.Bits() <= prefix.Bits() && r.prefix.Contains(prefix.Addr()) && r.prefix.Bits() > bits {
					want, bits = p.names[r.place], r.prefix.Bits()
				}
			}
			if prefix != prefix.Masked() || prefix.Addr().Is4() && prefix.Bits() != finest4 || !prefix.Addr().Is4() && prefix.Bits() != finest6 {
				return // no place as it is stored
			}
		}
		if got := p.Of(place); got != want {
			t.Errorf("%s: %+v, want %+v", place, got, want)
		}
		if s := speed(want, Place{Located: true}, time.Hour); s < 0 || s > fastest {
			t.Errorf("%d km/h", s)
		}
	})
}
