package risk

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"ecardid/identity"
)

//go:embed default.yaml
var defaultRules []byte

// Bounds of a file of rules.
const (
	maxRules    = 64
	maxID       = 40
	maxRemember = 180 * 24 * time.Hour // sign-ins are kept no longer
	maxWindow   = 24 * time.Hour
	maxFresh    = 24 * time.Hour
	// maxHold: whoever is throttled or held by mistake is let go of within a quarter of
	// an hour (SECURITY PW3).
	maxHold = 15 * time.Minute
)

// file is what is written down.
type file struct {
	Mode     string        `yaml:"mode"`
	Remember time.Duration `yaml:"remember"`
	Window   time.Duration `yaml:"window"`
	Rules    []Rule        `yaml:"rules"`
	Tests    []Case        `yaml:"tests"`
}

// The modes of a policy.
const (
	ModeEnforce = "enforce"
	ModeDryRun  = "dry-run"
)

// Default are the rules inside the binary.
func Default() (*Policy, error) {
	p, cases, err := Read(defaultRules)
	if err != nil {
		return nil, err
	}
	return p, Check(p, cases)
}

// Load is Read, for a policy that is to be used: its own tests must pass.
func Load(text []byte) (*Policy, error) {
	p, cases, err := Read(text)
	if err != nil {
		return nil, err
	}
	return p, Check(p, cases)
}

// Read reads rules and the tests beside them. Unknown keys are errors; all that is
// wrong is said at once. On an error there is no policy.
func Read(text []byte) (*Policy, []Case, error) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, said(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("there is more than one document in it")
	}
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	return &Policy{DryRun: f.Mode == ModeDryRun, Remember: f.Remember, Window: f.Window, Rules: f.Rules}, f.Tests, nil
}

// said is the decoder's error without the names of our types.
func said(err error) error {
	var all *yaml.TypeError
	if !errors.As(err, &all) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var errs []error
	for _, line := range all.Errors {
		if i := strings.Index(line, " in type "); i >= 0 {
			line = line[:i]
		}
		errs = append(errs, errors.New(line))
	}
	return errors.Join(errs...)
}

func (f *file) check() error {
	var errs []error
	bad := func(where, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
	}
	if f.Mode == "" {
		f.Mode = ModeEnforce
	}
	if f.Mode != ModeEnforce && f.Mode != ModeDryRun {
		bad("mode", "%s or %s, not %q", ModeEnforce, ModeDryRun, f.Mode)
	}
	within := func(where string, at *time.Duration, least, most, otherwise time.Duration) {
		if *at == 0 {
			*at = otherwise
		}
		if *at < least || *at > most {
			bad(where, "not within %v and %v", least, most)
		}
	}
	within("remember", &f.Remember, time.Hour, maxRemember, maxRemember)
	within("window", &f.Window, time.Minute, maxWindow, time.Hour)
	if len(f.Rules) > maxRules {
		bad("rules", "more than %d", maxRules)
	}
	known := map[string]bool{Unreadable: true}
	for i := range f.Rules {
		r := &f.Rules[i]
		where := fmt.Sprintf("rule %d", i+1)
		switch {
		case !validID(r.ID):
			bad(where, "id: small letters, digits and hyphens, at most %d", maxID)
		case known[r.ID]:
			bad(where, "id: %s is there already", r.ID)
		default:
			where = "rule " + r.ID
			known[r.ID] = true
		}
		r.check(func(format string, args ...any) { bad(where, format, args...) })
	}
	for i, c := range f.Tests {
		for _, id := range append(slices.Clone(c.Rules), c.Facts.Healed...) {
			if !known[id] {
				bad(fmt.Sprintf("test %d (%s)", i+1, c.Name), "there is no rule %q", id)
			}
		}
	}
	return errors.Join(errs...)
}

func validID(id string) bool {
	return id != "" && len(id) <= maxID && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (r *Rule) check(bad func(format string, args ...any)) {
	w := r.When
	own := w.Remembered != nil || w.First != nil || w.NewBrowser != nil || w.NewPlace != nil || len(w.Places) > 0 || w.SpeedOver > 0 || w.AccountsOver > 0
	others := w.Spraying != nil || w.FailuresOver > 0
	switch {
	case !own && !others && w.FactorsChanged == 0 && w.NeedAtLeast == 0:
		bad("when: no condition, so that it would hold for everybody")
	case !own && r.Decision >= Pause:
		// Anybody can guess wrongly at somebody else's password, and factors change by
		// right: such facts alone must not shut the owner out (SECURITY PW3).
		bad("when: a hold or refusal needs a condition on browser, place or source")
	}
	if w.SpeedOver < 0 || w.AccountsOver < 0 || w.FailuresOver < 0 || w.FactorsChanged < 0 || w.FactorsChanged > maxRemember {
		bad("when: a number that is negative, or longer than sign-ins are remembered")
	}
	if slices.Contains(w.Places, "") {
		bad("when: places: a place without a name")
	}
	given := func(name string, is bool, want Verdict) {
		if is && r.Decision != want {
			bad("%s: only with decision: %s", name, want)
		}
	}
	given("level", r.Level != 0, StepUp)
	given("fresh", r.Fresh != 0, StepUp)
	given("for", r.For != 0, Pause)
	switch r.Decision {
	case StepUp:
		if l := identity.Level(r.Level); l != identity.LevelMFA && l != identity.LevelBound {
			bad("level: mfa or bound")
		}
		if r.Fresh != 0 && (r.Fresh < time.Minute || r.Fresh > maxFresh) {
			bad("fresh: not within %v and %v", time.Minute, maxFresh)
		}
	case Pause:
		if r.For < time.Minute || r.For > maxHold {
			bad("for: not within %v and %v: nobody is shut out for longer", time.Minute, maxHold)
		}
	}
}

// A Case is a test of rules: facts, and what they are to come to.
type Case struct {
	Name  string   `yaml:"name"`
	Facts Facts    `yaml:"facts"`
	Want  Verdict  `yaml:"want"`
	Rules []string `yaml:"rules"` // that match; not compared when absent
}

// Run says what is wrong with the policy by this case; nil for nothing. Rules that are
// tried out count as if they were in force: a test says what they mean.
func (c Case) Run(p *Policy) error {
	live := *p
	live.DryRun = false
	live.Rules = slices.Clone(p.Rules)
	for i := range live.Rules {
		live.Rules[i].DryRun = false
	}
	d := live.Decide(c.Facts, time.Unix(0, 0))
	if d.Verdict != c.Want {
		return fmt.Errorf("%s: %s by %v, want %s", c.Name, d.Verdict, d.Rules, c.Want)
	}
	if c.Rules != nil && !slices.Equal(slices.Sorted(slices.Values(d.Rules)), slices.Sorted(slices.Values(c.Rules))) {
		return fmt.Errorf("%s: %s by %v, want %v", c.Name, d.Verdict, d.Rules, c.Rules)
	}
	return nil
}

// Check runs all cases.
func Check(p *Policy, cases []Case) error {
	var errs []error
	for _, c := range cases {
		errs = append(errs, c.Run(p))
	}
	return errors.Join(errs...)
}

// NeedsHistory reports whether any rule looks at what storage remembers. Without one
// nothing is read.
func (p *Policy) NeedsHistory() bool { return len(p.Rules) > 0 }
