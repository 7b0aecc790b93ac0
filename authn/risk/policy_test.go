package risk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
)

var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func mustPlaces(t *testing.T, text string) *Places {
	t.Helper()
	p, err := ReadPlaces(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const chinese = `# a table
10.20.0.0/16,杭州,30.27,120.16
10.20.8.0/24,宁波,29.87,121.55
10.99.0.0/16,乌鲁木齐,43.83,87.62
10.30.0.0/16,嘉兴,30.75,120.76
10.40.0.0/16,某地
2001:db8::/32,杭州,30.27,120.16
`

func TestDefault(t *testing.T) {
	p, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if p.DryRun || !p.NeedsHistory() {
		t.Error("the default does nothing")
	}
	if d := p.Decide(Facts{}, now); d.Verdict != Allow || d.Would != Allow || len(d.Rules)+len(d.Alarms) > 0 {
		t.Errorf("an ordinary day: %+v", d)
	}
	// No default rule refuses, and none holds anybody in a browser they chose to have
	// remembered by what strangers can do (SECURITY PW3).
	if d := p.Decide(Facts{Remembered: true, Spraying: true, Accounts: 1e6}, now); d.Verdict >= Pause {
		t.Errorf("strangers: %+v", d)
	}
}

func TestCompare(t *testing.T) {
	table := mustPlaces(t, chinese)
	seen := func(agent, place string, at time.Time) Seen { return Seen{agent, place, at} }
	for _, c := range []struct {
		name  string
		h     History
		here  Here
		table *Places
		want  Facts
	}{
		{"first", History{}, Here{Agent: "Firefox", Place: "10.20.1.0/24"}, table, Facts{First: true, NewBrowser: true, Place: "杭州"}},
		{"as-ever", History{Seen: []Seen{seen("Firefox", "10.20.1.0/24", ago(time.Hour))}}, Here{Agent: "Firefox", Place: "10.20.1.0/24"}, table,
			Facts{Place: "杭州", Before: "杭州"}},
		// Another network of the same town is no other place; without a table it is.
		{"other-network-same-place", History{Seen: []Seen{seen("Firefox", "10.20.1.0/24", ago(time.Hour))}}, Here{Agent: "Firefox", Place: "10.20.2.0/24"}, table,
			Facts{Place: "杭州", Before: "杭州"}},
		{"other-network-no-table", History{Seen: []Seen{seen("Firefox", "10.20.1.0/24", ago(time.Hour))}}, Here{Agent: "Firefox", Place: "10.20.2.0/24"}, nil,
			Facts{NewPlace: true}},
		{"two-unknown-networks-are-two-places", History{Seen: []Seen{seen("Firefox", "192.0.2.0/24", ago(time.Hour))}}, Here{Agent: "Firefox", Place: "198.51.100.0/24"}, table,
			Facts{NewPlace: true}},
		{"next-town", History{Seen: []Seen{seen("Firefox", "10.20.1.0/24", ago(time.Minute))}}, Here{Agent: "Firefox", Place: "10.30.1.0/24"}, table,
			Facts{NewPlace: true, Place: "嘉兴", Before: "杭州"}},
		{"flown", History{Seen: []Seen{seen("Firefox", "10.20.1.0/24", ago(10*time.Hour)), seen("Firefox", "10.99.1.0/24", ago(20*time.Hour))}}, Here{Agent: "Firefox", Place: "10.99.1.0/24"}, table,
			Facts{Place: "乌鲁木齐", Before: "杭州", Speed: 322}},
		{"teleported", History{Seen: []Seen{seen("Firefox", "2001:db8:1::/48", now)}}, Here{Agent: "Firefox", Place: "10.99.1.0/24"}, table,
			Facts{NewPlace: true, Place: "乌鲁木齐", Before: "杭州", Speed: 193_717}},
		{"no-coordinates", History{Seen: []Seen{seen("Firefox", "10.20.1.0/24", now)}}, Here{Agent: "Firefox", Place: "10.40.1.0/24"}, table,
			Facts{NewPlace: true, Place: "某地", Before: "杭州"}},
		{"remembered", History{Seen: []Seen{seen("Chrome", "x", now)}}, Here{Agent: "Firefox", Place: "x", Remembered: true}, nil, Facts{Remembered: true}},
		{"signed-in-here", History{Seen: []Seen{seen("Chrome", "x", now)}}, Here{Agent: "Firefox", Place: "x", Known: true}, nil, Facts{}},
		{"changed", History{Seen: []Seen{seen("a", "x", now)}, Changed: ago(time.Hour), Accounts: 3}, Here{Agent: "a", Place: "x"}, nil, Facts{Changed: time.Hour, Accounts: 3}},
		{"changed-this-very-moment", History{Seen: []Seen{seen("a", "x", now)}, Changed: now}, Here{Agent: "a", Place: "x"}, nil, Facts{Changed: time.Second}},
		{"held", History{Seen: []Seen{seen("a", "x", now)}, Held: Held{[]string{"r"}, now.Add(1)}}, Here{Agent: "a", Place: "x"}, nil, Facts{Held: Held{[]string{"r"}, now.Add(1)}}},
		{"healed", History{Seen: []Seen{seen("a", "x", now)}, Held: Held{[]string{"r"}, now}}, Here{Agent: "a", Place: "x"}, nil, Facts{Healed: []string{"r"}}},
		{"healed-long-ago", History{Seen: []Seen{seen("a", "x", now)}, Held: Held{[]string{"r"}, ago(HealedFor)}}, Here{Agent: "a", Place: "x"}, nil, Facts{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Compare(c.h, c.here, c.table, now); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	p, _, err := Read([]byte(`
rules:
  - {id: note, when: {new_browser: true}, decision: allow, alarm: true}
  - {id: two, when: {new_place: true}, decision: step-up, level: mfa, fresh: 20m}
  - {id: key, when: {speed_over: 900}, decision: step-up, level: bound, fresh: 40m}
  - {id: wait, when: {accounts_over: 3}, decision: hold, for: 5m}
  - {id: wait-longer, when: {accounts_over: 9}, decision: hold, for: 12m}
  - {id: never, when: {places: [境外]}, decision: refuse}
  - {id: trial, when: {first: true}, decision: refuse, dry_run: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		facts Facts
		want  string
	}{
		{"nothing", Facts{}, "allow [] / allow []"},
		{"a-note", Facts{NewBrowser: true}, "allow [note] / allow [] alarm"},
		{"step-up", Facts{NewPlace: true}, "step-up 2 20m0s [two] / step-up []"},
		{"highest-level-and-shortest-age", Facts{NewPlace: true, Speed: 901}, "step-up 3 20m0s [two key] / step-up []"},
		{"not-over", Facts{Speed: 900}, "allow [] / allow []"},
		{"hold", Facts{NewPlace: true, Accounts: 4}, "hold 5m0s [two wait] / hold []"},
		{"the-longer-hold", Facts{Accounts: 10}, "hold 12m0s [wait wait-longer] / hold []"},
		{"strictest-wins", Facts{Accounts: 10, Place: "境外"}, "refuse [wait wait-longer never] / refuse []"},
		{"tried-out", Facts{First: true}, "allow [] / refuse [trial]"},
		{"tried-out-beside-others", Facts{First: true, NewPlace: true}, "step-up 2 20m0s [two] / refuse [trial]"},
		{"healed", Facts{Accounts: 4, NewPlace: true, Healed: []string{"wait"}}, "step-up 2 20m0s [two wait] / step-up []"},
		// What was asked for beside a hold still is when the hold is over.
		{"a-step-up-does-not-heal", Facts{Accounts: 4, NewPlace: true, Healed: []string{"wait", "two"}}, "step-up 2 20m0s [two wait] / step-up []"},
		{"a-refusal-does-not-heal", Facts{Place: "境外", Healed: []string{"never"}}, "refuse [never] / refuse []"},
		{"healed-but-worse", Facts{Accounts: 10, Healed: []string{"wait"}}, "hold 12m0s [wait wait-longer] / hold []"},
		{"resumed", Facts{Held: Held{[]string{"wait"}, now.Add(time.Minute)}}, "hold 1m0s [wait] / hold []"},
		// Neither longer by asking again, nor shorter.
		{"resumed-and-still-so", Facts{Accounts: 4, Held: Held{[]string{"wait"}, now.Add(time.Minute)}}, "hold 1m0s [wait] / hold []"},
		{"resumed-and-refused", Facts{Place: "境外", Held: Held{[]string{"wait"}, now.Add(time.Minute)}}, "refuse [never wait] / refuse []"},
		{"unread", Facts{Unread: true}, "step-up 3 0s [unreadable] / step-up []"},
		// What needs no history counts all the same, and what needs it is not guessed at.
		{"unread-and-refused", Facts{Unread: true, Place: "境外"}, "refuse [unreadable never] / refuse []"},
		{"unread-and-held", Facts{Unread: true, Held: Held{[]string{"wait"}, now.Add(time.Minute)}}, "hold 1m0s [unreadable wait] / hold []"},
		{"unread-and-guessed-at", Facts{Unread: true, NewPlace: true, Accounts: 10, First: true}, "step-up 3 0s [unreadable] / step-up []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := told(p.Decide(c.facts, now)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	dry := *p
	dry.DryRun = true
	if got := told(dry.Decide(Facts{Place: "境外", Held: Held{[]string{"wait"}, now.Add(time.Minute)}}, now)); got != "allow [] / refuse [never]" {
		t.Errorf("dry run: %q", got)
	}
	if got := told(dry.Decide(Facts{Unread: true}, now)); got != "allow [] / step-up [unreadable]" {
		t.Errorf("dry run: %q", got)
	}
	d := p.Decide(Facts{NewPlace: true, Speed: 2000, Before: "杭州", Place: "喀什"}, now)
	for name, want := range map[string]string{"new_place": "true", "speed": "2000", "before": "杭州", "place": "喀什"} {
		if d.Because[name] != want {
			t.Errorf("because %s is %q, want %q", name, d.Because[name], want)
		}
	}
}

// TestOutOfReach: what somebody has nothing for is waited for once, and only that.
func TestOutOfReach(t *testing.T) {
	p, _, err := Read([]byte(`
rules:
  - {id: two, when: {new_place: true}, decision: step-up, level: mfa, fresh: 20m}
  - {id: key, when: {speed_over: 900}, decision: step-up, level: bound, fresh: 5m}
  - {id: wait, when: {failures_over: 9, new_place: true}, decision: hold, for: 5m}
`))
	if err != nil {
		t.Fatal(err)
	}
	all := Facts{NewPlace: true, Speed: 901, Failures: 10}
	for _, c := range []struct {
		name   string
		facts  Facts
		healed string
		best   identity.Level
		want   string
		held   string
	}{
		{"a-key", Facts{NewPlace: true, Speed: 901}, "", identity.LevelMFA, "hold 10m0s [two key] / hold []", "[key]"},
		{"all-of-it", Facts{NewPlace: true, Speed: 901}, "", identity.LevelBasic, "hold 10m0s [two key] / hold []", "[two key]"},
		// Beside a hold it is waited for at once, and the longer of both counts.
		{"beside-a-hold", all, "", identity.LevelMFA, "hold 10m0s [two key wait] / hold []", "[wait key]"},
		{"waited-for", all, "wait key", identity.LevelMFA, "step-up 2 20m0s [two key wait] / step-up []", "[wait key]"},
		{"waited-for-all", all, "two wait key", identity.LevelBasic, "allow [two key wait] / step-up []", "[wait two key]"},
		// What was waited for is remembered when something new is.
		{"and-now-this", all, "key", identity.LevelMFA, "hold 5m0s [two key wait] / hold []", "[wait key]"},
		{"unread", Facts{Unread: true}, "", identity.LevelMFA, "hold 2m0s [unreadable] / hold []", "[unreadable]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.facts.Healed = strings.Fields(c.healed)
			before := p.Decide(c.facts, now)
			d := before.OutOfReach(c.best, now)
			if got := told(d); got != c.want || fmt.Sprint(d.Held().Rules) != c.held || d.Verdict == Pause && !d.Held().Until.Equal(d.Until) {
				t.Errorf("%q by %v, want %q by %s", got, d.Held(), c.want, c.held)
			}
			if (d.Because["out_of_reach"] != "") != strings.Contains(c.want, "hold 10m") && c.name != "unread" {
				t.Errorf("because %v", d.Because)
			}
		})
	}
}

func told(d Decision) string {
	s := d.Verdict.String()
	switch d.Verdict {
	case StepUp:
		s += fmt.Sprintf(" %d %s", d.Level, d.Fresh)
	case Pause:
		s += " " + d.Until.Sub(now).String()
	}
	s += fmt.Sprintf(" %v / %s %v", d.Rules, d.Would, d.Trial)
	if len(d.Alarms) > 0 {
		s += " alarm"
	}
	return s
}

// TestNever goes through facts of every kind: a hold ends within a quarter of an hour
// (SECURITY PW3), what cannot be read lets nobody in (G5), and more reason for doubt
// never gives a milder verdict.
func TestNever(t *testing.T) {
	p, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	var all []Facts
	for bits := range 1 << 7 {
		f := Facts{NewBrowser: bits&1 != 0, NewPlace: bits&2 != 0, Spraying: bits&4 != 0, Remembered: bits&8 != 0, Need: Level(identity.LevelMFA)}
		if bits&16 != 0 {
			f.Accounts = 1000
		}
		if bits&32 != 0 {
			f.Failures = 12
		}
		if bits&64 != 0 {
			f.Speed, f.Changed, f.Need = 5000, time.Hour, Level(identity.LevelBound)
		}
		all = append(all, f)
	}
	for bits, f := range all {
		d := p.Decide(f, now)
		if d.Verdict == Pause && d.Until.Sub(now) > maxHold || d.Verdict > Pause {
			t.Errorf("%+v: %s", f, told(d))
		}
		// Remembered is the one fact that calms.
		for more := range 7 {
			if more == 3 || bits&(1<<more) != 0 {
				continue
			}
			if worse := p.Decide(all[bits|1<<more], now); worse.Verdict < d.Verdict {
				t.Errorf("%+v: %s, and with more against it %s", f, told(d), told(worse))
			}
		}
		f.Unread = true
		if d := p.Decide(f, now); d.Verdict == Allow {
			t.Errorf("unread: %s", told(d))
		}
		f.Unread = false
		// When a hold is over nobody is held again, and of the rest nothing is forgotten but
		// what they have nothing for.
		out := d.OutOfReach(identity.LevelMFA, now)
		f.Healed = out.Held().Rules
		again := p.Decide(f, now)
		if again.Verdict >= Pause || again.Level != d.Level {
			t.Errorf("healed %+v: %s", f, told(again))
		}
		if again = again.OutOfReach(identity.LevelMFA, now); again.Verdict >= Pause || again.Level > identity.LevelMFA || d.Level == identity.LevelMFA && again.Level != d.Level {
			t.Errorf("healed and out of reach %+v: %s", f, told(again))
		}
	}
}
