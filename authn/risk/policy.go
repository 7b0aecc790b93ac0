package risk

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"ecardid/identity"
)

// A Verdict is what is to be done with a sign-in. The higher is the stricter.
type Verdict int

// The verdicts.
const (
	Allow Verdict = iota
	StepUp
	Pause // "hold" in rules and in the trail
	Refuse
)

var verdicts = [...]string{Allow: "allow", StepUp: "step-up", Pause: "hold", Refuse: "refuse"}

// String is the verdict as rules, metrics and the trail name it.
func (v Verdict) String() string {
	if v < Allow || v > Refuse {
		return "?"
	}
	return verdicts[v]
}

// MarshalText is String.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdicts[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is none of allow, step-up, hold, refuse", text)
	}
	*v = Verdict(i)
	return nil
}

// A Level is an identity.Level as rules name it: basic, mfa, bound or live.
type Level identity.Level

// UnmarshalText reads a level's name.
func (l *Level) UnmarshalText(text []byte) error {
	known, ok := identity.ParseACR("urn:ecardid:acr:" + string(text))
	if !ok {
		return fmt.Errorf("%q is none of basic, mfa, bound, live", text)
	}
	*l = Level(known)
	return nil
}

// A Policy is the rules in force. It is not changed after it was read.
type Policy struct {
	DryRun bool
	// Remember is how far back sign-ins are looked at, Window the time in which
	// accounts of one source are counted.
	Remember time.Duration
	Window   time.Duration
	Rules    []Rule
	Places   *Places // nil: no table
}

// A Rule says what is done when all of When is so.
type Rule struct {
	ID string `yaml:"id"`
	// Why is for whoever reads the file.
	Why  string `yaml:"why"`
	When When   `yaml:"when"`
	// Decision, and for a step-up at least which level, of proofs not older than Fresh;
	// for a hold for how long.
	Decision Verdict       `yaml:"decision"`
	Level    Level         `yaml:"level"`
	Fresh    time.Duration `yaml:"fresh"`
	For      time.Duration `yaml:"for"`
	// Alarm tells operators when it matches, DryRun does nothing but write it down.
	Alarm  bool `yaml:"alarm"`
	DryRun bool `yaml:"dry_run"`
}

// A When is a list of conditions; those that are given must all hold.
type When struct {
	Remembered     *bool         `yaml:"remembered"`
	First          *bool         `yaml:"first"`
	NewBrowser     *bool         `yaml:"new_browser"`
	NewPlace       *bool         `yaml:"new_place"`
	Places         []string      `yaml:"places"`
	SpeedOver      int           `yaml:"speed_over"`
	Spraying       *bool         `yaml:"spraying"`
	AccountsOver   int           `yaml:"accounts_over"`
	FailuresOver   int           `yaml:"failures_over"`
	FactorsChanged time.Duration `yaml:"factors_changed_within"`
	NeedAtLeast    Level         `yaml:"need_at_least"`
}

// holds reports whether the conditions are met, and the facts they were met by in the
// words of the trail.
func (w When) holds(f Facts) (because map[string]string, ok bool) {
	because = map[string]string{}
	say := func(name, value string) bool { because[name] = value; return true }
	is := func(name string, want *bool, have bool) bool {
		return want == nil || *want == have && say(name, strconv.FormatBool(have))
	}
	over := func(name string, limit, have int) bool {
		return limit == 0 || have > limit && say(name, strconv.Itoa(have))
	}
	ok = is("remembered", w.Remembered, f.Remembered) &&
		is("first", w.First, f.First) &&
		is("new_browser", w.NewBrowser, f.NewBrowser) &&
		is("new_place", w.NewPlace, f.NewPlace) &&
		is("spraying", w.Spraying, f.Spraying) &&
		over("speed", w.SpeedOver, f.Speed) &&
		over("accounts", w.AccountsOver, f.Accounts) &&
		over("failures", w.FailuresOver, f.Failures) &&
		(len(w.Places) == 0 || slices.Contains(w.Places, f.Place) && say("place", f.Place)) &&
		(w.FactorsChanged == 0 || f.Changed > 0 && f.Changed <= w.FactorsChanged && say("factors_changed", f.Changed.Truncate(time.Second).String())) &&
		(w.NeedAtLeast == 0 || f.Need >= w.NeedAtLeast && say("need", identity.Level(f.Need).ACR()))
	if ok && because["speed"] != "" {
		say("before", f.Before)
		say("place", f.Place)
	}
	return because, ok
}

// A Decision is what the rules say, and why.
type Decision struct {
	Verdict Verdict
	// For a step-up: at least which level, of proofs not older than Fresh (0: any).
	Level identity.Level
	Fresh time.Duration
	// For a hold: until when.
	Until time.Time
	// Rules that matched and are in force, and what made them match.
	Rules   []string
	Because map[string]string
	// Would is what it had been, with the rules that are only tried out. It is the
	// verdict itself when there are none.
	Would   Verdict
	Trial   []string
	Alarms  []Rule // that matched and want operators to know
	resumed bool
}

// Unreadable is the rule that stands in no file: what a sign-in would have to be
// judged by cannot be read. It asks for a key on a device, the most somebody can show
// without a provider, and where there is none for patience.
const Unreadable = "unreadable"

// Decide is the strictest of the rules that match. A step-up takes the highest level
// and the shortest age of all that ask for one.
func (p *Policy) Decide(f Facts, now time.Time) Decision {
	d := Decision{Because: map[string]string{}}
	if f.Unread {
		d.add(Rule{ID: Unreadable, Decision: StepUp, Level: Level(identity.LevelBound)}, nil, now, p.DryRun)
		return d
	}
	for _, r := range p.Rules {
		because, ok := r.When.holds(f)
		if !ok {
			continue
		}
		if r.Alarm {
			d.Alarms = append(d.Alarms, r)
		}
		if slices.Contains(f.Healed, r.ID) {
			r.Decision = Allow
			because["healed"] = "yes"
		}
		d.add(r, because, now, p.DryRun || r.DryRun)
	}
	if f.Held.Until.After(now) {
		d.resume(f.Held, p.DryRun)
	}
	return d
}

func (d *Decision) add(r Rule, because map[string]string, now time.Time, trial bool) {
	d.Would = max(d.Would, r.Decision)
	if trial {
		d.Trial = append(d.Trial, r.ID)
		return
	}
	d.Verdict = max(d.Verdict, r.Decision)
	d.Rules = append(d.Rules, r.ID)
	for name, value := range because {
		d.Because[name] = value
	}
	switch r.Decision {
	case StepUp:
		d.Level = max(d.Level, identity.Level(r.Level))
		if r.Fresh > 0 && (d.Fresh == 0 || r.Fresh < d.Fresh) {
			d.Fresh = r.Fresh
		}
	case Pause:
		if until := now.Add(r.For); until.After(d.Until) {
			d.Until = until
		}
	}
}

// resume goes on with a hold that is not over, whatever the rules say by now: it does
// not end early and is not begun again.
func (d *Decision) resume(h Held, trial bool) {
	d.Would = max(d.Would, Pause)
	if trial {
		return
	}
	d.Verdict = max(d.Verdict, Pause)
	d.Until = h.Until
	for _, id := range h.Rules {
		if !slices.Contains(d.Rules, id) {
			d.Rules = append(d.Rules, id)
		}
	}
	d.Because["held"] = "yes"
	d.resumed = true
}

// Resumed reports whether the hold was there before this decision.
func (d Decision) Resumed() bool { return d.resumed }

// OutOfReach is d for somebody who has nothing to step up with: a short hold, which
// says so, and not a closed door.
func (d Decision) OutOfReach(now time.Time) Decision {
	d.Verdict, d.Would = Pause, max(d.Would, Pause)
	d.Until = now.Add(outOfReachFor)
	if slices.Contains(d.Rules, Unreadable) {
		d.Until = now.Add(unreadableFor)
	}
	d.Because["out_of_reach"] = d.Level.ACR()
	return d
}

const (
	// outOfReachFor is long enough for the owner to see the notice and to telephone, and
	// within what SECURITY PW3 allows.
	outOfReachFor = 10 * time.Minute
	unreadableFor = 2 * time.Minute // a database is back by then, or nobody signs in
)
