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

// looksBack reports whether a condition compares with what is remembered.
func (w When) looksBack() bool {
	return w.First != nil || w.NewBrowser != nil || w.NewPlace != nil || w.SpeedOver > 0 || w.AccountsOver > 0 || w.FactorsChanged > 0
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
	asks    []Rule   // the rules in force that step up
	waits   []string // those that hold, and of which a hold is over
	healed  []string // of all there are
}

// Unreadable is the rule that stands in no file: what a sign-in would have to be
// judged by cannot be read. It asks for a key on a device, the most somebody can show
// without a provider, and where there is none for patience.
const Unreadable = "unreadable"

// Decide is the strictest of the rules that match. A step-up takes the highest level
// and the shortest age of all that ask for one. When nothing is to be had of what is
// remembered, the rules that do not look at it count all the same.
//
// A hold that is over is forgotten for a while, and it alone: what else was asked for
// still is, or wrong guesses would turn a proof into a wait.
func (p *Policy) Decide(f Facts, now time.Time) Decision {
	d := Decision{Because: map[string]string{}, healed: f.Healed}
	if f.Unread {
		d.add(Rule{ID: Unreadable, Decision: StepUp, Level: Level(identity.LevelBound)}, nil, now, p.DryRun)
	}
	for _, r := range p.Rules {
		because, ok := r.When.holds(f)
		if !ok || f.Unread && r.When.looksBack() {
			continue
		}
		if r.Alarm {
			d.Alarms = append(d.Alarms, r)
		}
		if r.Decision == Pause && slices.Contains(f.Healed, r.ID) {
			r.Decision = Allow
			because["healed"] = "yes"
			d.waits = append(d.waits, r.ID)
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
		d.ask(r)
	case Pause:
		d.waits = append(d.waits, r.ID)
		d.Until = later(d.Until, now.Add(r.For))
	}
}

// ask takes the step-up of a rule to those there are.
func (d *Decision) ask(r Rule) {
	d.asks = append(d.asks, r)
	d.Level = max(d.Level, identity.Level(r.Level))
	if r.Fresh > 0 && (d.Fresh == 0 || r.Fresh < d.Fresh) {
		d.Fresh = r.Fresh
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

// Held is the hold to be remembered: the rules that made it, and of those whose hold is
// over what they had waited for.
func (d Decision) Held() Held { return Held{Rules: d.waits, Until: d.Until} }

// OutOfReach is d for somebody who gets to level best and no higher: a short hold, which
// says so, and not a closed door. Whoever has waited for a rule out of their reach is not
// asked for it again, but for all that is within.
func (d Decision) OutOfReach(best identity.Level, now time.Time) Decision {
	asks, level, wait := d.asks, d.Level, time.Duration(0)
	d.asks, d.Level, d.Fresh, d.waits = nil, identity.LevelNone, 0, slices.Clone(d.waits)
	for _, r := range asks {
		if identity.Level(r.Level) <= best {
			d.ask(r)
			continue
		}
		d.waits = append(d.waits, r.ID)
		switch {
		case slices.Contains(d.healed, r.ID):
			d.Because["healed"] = "yes"
		case r.ID == Unreadable:
			wait = max(wait, unreadableFor)
		default:
			wait = max(wait, outOfReachFor)
		}
	}
	switch {
	case wait > 0:
		d.Verdict, d.Would = Pause, max(d.Would, Pause)
		d.Until = later(d.Until, now.Add(wait))
		d.Because["out_of_reach"] = level.ACR()
	case d.Verdict == StepUp && len(d.asks) == 0:
		d.Verdict = Allow
	}
	return d
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const (
	// outOfReachFor is long enough for the owner to see the notice and to telephone, and
	// within what SECURITY PW3 allows.
	outOfReachFor = 10 * time.Minute
	unreadableFor = 2 * time.Minute // a database is back by then, or nobody signs in
)
