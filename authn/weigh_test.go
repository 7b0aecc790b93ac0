package authn_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/risk"
	"ecardid/identity"
	"ecardid/templates"
)

const (
	elsewhere = "198.51.100.7:1234"
	homeTable = "192.0.2.0/24,杭州,30.27,120.16\n198.51.100.0/24,乌鲁木齐,43.83,87.62\n"
)

// A watched store notes what weighing a sign-in costs and writes down.
type watched struct {
	authn.Store
	mu            sync.Mutex
	reads, writes int
	events        []audit.Event
	broken        bool
}

var errBroken = errors.New("the disk is gone")

func (s *watched) note(e audit.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *watched) SignIns(ctx context.Context, q risk.Query) (risk.History, error) {
	s.reads++
	if s.broken {
		return risk.History{}, errBroken
	}
	return s.Store.SignIns(ctx, q)
}

func (s *watched) Weighed(ctx context.Context, f *authn.Flow, h *risk.Hold, e *audit.Event, now time.Time) error {
	s.writes++
	err := s.Store.Weighed(ctx, f, h, e, now)
	if err == nil && e != nil {
		s.note(*e)
	}
	return err
}

func (s *watched) Record(ctx context.Context, e audit.Event) error {
	s.note(e)
	return s.Store.Record(ctx, e)
}

func (s *watched) FinishFlow(ctx context.Context, f authn.Flow, n authn.NewLogin, replaces identity.ID, e audit.Event) error {
	err := s.Store.FinishFlow(ctx, f, n, replaces, e)
	if err == nil {
		s.note(e)
	}
	return err
}

func (s *watched) of(kind audit.Kind) []audit.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(func(yield func(audit.Event) bool) {
		for _, e := range s.events {
			if e.Kind == kind && !yield(e) {
				return
			}
		}
	})
}

// weighing is a world with rules, and "" for the default.
func weighing(t *testing.T, rules, places string, change ...func(*authn.Parts)) (*world, *watched) {
	t.Helper()
	p, err := risk.Default()
	if rules != "" {
		p, err = risk.Load([]byte(rules))
	}
	if err != nil {
		t.Fatal(err)
	}
	if places != "" {
		if p.Places, err = risk.ReadPlaces(strings.NewReader(places)); err != nil {
			t.Fatal(err)
		}
	}
	s := &watched{}
	w := newWorld(t, append(change, func(parts *authn.Parts) {
		s.Store = parts.Store
		parts.Store, parts.Config.Risk = s, p
	})...)
	return w, s
}

// proves walks password and code and returns what is shown then.
func (b *browser) proves(p *person) reply {
	b.w.t.Helper()
	r := b.fill(b.begin(), "username", p.card, "password", goodWord)
	page[templates.TOTPCode](b.w.t, r)
	r = b.fill(r, "code", b.w.totp(p))
	b.w.clock.Advance(31 * time.Second)
	return r
}

// TestWeighingCosts: at most one read and one write for a sign-in, and none of either
// where there are no rules.
func TestWeighingCosts(t *testing.T) {
	w, s := weighing(t, "", "")
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-bind")
	if s.reads != 1 || s.writes != 1 {
		t.Errorf("a new browser: %d reads, %d writes", s.reads, s.writes)
	}
	delete(b.cookies, "__Host-login")
	b.signIn(alice, "")
	if s.reads != 2 || s.writes != 1 {
		t.Errorf("a remembered browser: %d reads, %d writes more", s.reads-1, s.writes-1)
	}
	done := s.of(audit.LoginFinished)
	if len(done) != 2 || done[0].Detail["rules"] != "first" || done[0].Detail["decision"] != "allow" || done[1].Detail["rules"] != "" {
		t.Errorf("%+v", done)
	}

	w, s = weighing(t, "rules: []", "")
	w.browser("b").signIn(w.alice(), "device-skip")
	if s.reads+s.writes != 0 {
		t.Errorf("without rules: %d reads, %d writes", s.reads, s.writes)
	}
}

// TestHold: a pause for one citizen from one place, which ends by itself.
func TestHold(t *testing.T) {
	w, s := weighing(t, "rules: [{id: far, when: {new_place: true}, decision: hold, for: 5m, alarm: true}]", "")
	alice := w.alice()
	home := w.browser("home")
	home.signIn(alice, "device-skip")

	far := w.browser("far")
	far.from = elsewhere
	r := far.proves(alice)
	held := page[templates.Held](t, r)
	until := held.Until
	if r.status != http.StatusForbidden || until.Sub(w.clock.Now()) > 6*time.Minute || until.Second() != 0 || !strings.HasPrefix(r.Path, "/login/held") {
		t.Errorf("%d %v %s", r.status, until, r.Path)
	}
	if _, err := far.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("held, and signed in: %v", err)
	}
	// No step is to be had past it (SECURITY G4).
	for _, path := range []string{"/login/device", "/login/code", "/login/codes", "/login/password"} {
		if got := far.follow(far.post(path, r.Flow, "device-bind", "1", "device-skip", "1", "code", w.totp(alice))); got.Page != nil {
			page[templates.Held](t, got)
		}
	}
	if far.cookies["__Host-td"] != "" || far.cookies["__Host-login"] != "" {
		t.Error("a held sign-in has its browser remembered")
	}
	w.clock.Advance(time.Minute)
	page[templates.Held](t, far.visit(held.ContinueURL))
	// Beginning anew makes it neither shorter nor longer, and the owner hears of it once.
	if again := page[templates.Held](t, far.proves(alice)); !again.Until.Equal(until) {
		t.Errorf("held until %v, then until %v", until, again.Until)
	}
	if n := w.notices(alice, audit.SignInHeld); n != 1 {
		t.Errorf("%d notices", n)
	}
	events := s.of(audit.SignInHeld)
	if len(events) != 2 || events[0].Citizen != alice.id || !strings.Contains(events[0].Place, "198.51.100.0/24") ||
		events[0].Detail["rules"] != "far" || events[0].Detail["decision"] != "hold" || events[0].Detail["new_place"] != "true" || events[1].Detail["held"] != "yes" {
		t.Errorf("%+v", events)
	}
	for _, e := range s.events {
		for name, value := range e.Detail {
			if strings.Contains(value, "198.51.100.7") {
				t.Errorf("%s: an address in %s", e.Kind, name)
			}
		}
	}
	// The owner at home is not touched, nor is anybody else there (SECURITY PW3).
	delete(home.cookies, "__Host-login")
	home.signIn(alice, "device-skip")
	other := w.browser("other")
	other.from = elsewhere
	other.signIn(w.bob(), "device-skip")

	w.clock.Advance(until.Sub(w.clock.Now()))
	r = far.visit(held.ContinueURL)
	page[templates.BindDevice](t, r)
	if r = far.fill(r, "device-skip", "1"); r.to != "/account" {
		t.Fatalf("when it is over: %d %s %T", r.status, r.to, r.Page)
	}
	if len(s.of(audit.AlarmRaised)) != 1 {
		t.Errorf("%d alarms within ten minutes", len(s.of(audit.AlarmRaised)))
	}
}

// TestGuessedElsewhere: the default, when somebody guesses and then is right, from
// where the citizen has never been.
func TestGuessedElsewhere(t *testing.T) {
	w, s := weighing(t, "", "")
	alice := w.alice()
	home := w.browser("home")
	home.signIn(alice, "device-skip")
	far := w.browser("far")
	far.from = elsewhere
	for range 10 {
		far.fill(far.begin(), "username", aliceCard, "password", "wrong")
		w.clock.Advance(15 * time.Minute)
	}
	page[templates.Held](t, far.proves(alice))
	alarms := s.of(audit.AlarmRaised)
	if len(alarms) != 2 || alarms[0].Detail["rule"] != "guessed" || alarms[1].Detail["rule"] != "guessed-elsewhere" || alarms[1].Detail["decision"] != "hold" ||
		alarms[1].Detail["count"] != "1" || alarms[1].Detail["failures"] != "10" || !alarms[1].Citizen.IsZero() {
		t.Errorf("%+v", alarms)
	}
}

// TestStepUpByRule: who has a key is asked for it, and who has none is not asked to
// make one: whoever is doubted would be the one who makes it.
func TestStepUpByRule(t *testing.T) {
	const rules = "rules: [{id: fast, when: {speed_over: 1000}, decision: step-up, level: bound}]"
	w, s := weighing(t, rules, homeTable)
	alice, bob := w.alice(), w.bob()
	k := w.registers(alice, false)
	far := w.browser("far")
	far.from = elsewhere
	r := far.proves(alice)
	if p := page[templates.PasskeyStep](t, r); p.Problem.Key != templates.ProblemUnusual {
		t.Errorf("without a word: %+v", p.Problem)
	}
	asked := s.of(audit.SignInQuestioned)
	if len(asked) != 1 || asked[0].Detail["rules"] != "fast" || asked[0].Detail["place"] != "乌鲁木齐" || asked[0].Detail["before"] != "杭州" || asked[0].Detail["speed"] == "" {
		t.Errorf("%+v", asked)
	}
	if got := far.follow(far.post("/login/device", r.Flow, "device-skip", "1")); got.Page == nil {
		t.Errorf("past the key: %d %s", got.status, got.to)
	}
	_, said := far.ceremony(r, k)
	r = far.visit(said.Next)
	if r = far.fill(r, "device-skip", "1"); r.to != "/account" {
		t.Errorf("%d %s %T", r.status, r.to, r.Page)
	}
	if l, err := far.login(); err != nil || l.Assurance(identity.Need{}, w.clock.Now()).Level != identity.LevelBound {
		t.Errorf("%+v %v", l, err)
	}

	w.browser("bob's").signIn(bob, "device-skip")
	strange := w.browser("strange")
	strange.from = elsewhere
	r = strange.proves(bob)
	held := page[templates.Held](t, r)
	if got := strange.script("/login/enrol/passkey/options?flow="+r.Flow, "{}"); strings.Contains(got.body, "challenge") {
		t.Errorf("a key may be made: %s", got.body)
	}
	if e := s.of(audit.SignInHeld); len(e) != 1 || e[0].Detail["out_of_reach"] != identity.LevelBound.ACR() {
		t.Errorf("%+v", e)
	}
	w.clock.Advance(held.Until.Sub(w.clock.Now()))
	page[templates.BindDevice](t, strange.visit(held.ContinueURL))
}

// TestStepUpAtTheFloor: where a password will do, a strange browser brings two factors.
func TestStepUpAtTheFloor(t *testing.T) {
	w, _ := weighing(t, "", "", func(p *authn.Parts) { p.Config.Floor = identity.LevelBasic })
	alice := w.alice()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	b.fill(r, "device-skip", "1")
	far := w.browser("far")
	far.from = elsewhere
	r = far.fill(far.begin(), "username", aliceCard, "password", goodWord)
	page[templates.TOTPCode](t, r)
	if problem(t, r) != templates.ProblemUnusual {
		t.Error("without a word")
	}
	r = far.fill(r, "code", w.totp(alice))
	if r = far.fill(r, "device-skip", "1"); r.to != "/account" {
		t.Errorf("%d %s %T", r.status, r.to, r.Page)
	}
	// The same browser at the same place is no surprise any more.
	delete(far.cookies, "__Host-login")
	r = far.fill(far.begin(), "username", aliceCard, "password", goodWord)
	page[templates.BindDevice](t, r)
}

func TestRefuseByRule(t *testing.T) {
	w, s := weighing(t, "rules: [{id: abroad, when: {places: [乌鲁木齐]}, decision: refuse}]", homeTable)
	alice := w.alice()
	far := w.browser("far")
	far.from = elsewhere
	r := far.proves(alice)
	if p := page[templates.Error](t, r); r.status != http.StatusForbidden || p.Title.Key != templates.ErrorUnusualTitle {
		t.Errorf("%d %+v", r.status, p)
	}
	if len(s.of(audit.SignInRefused)) != 1 || w.notices(alice, audit.SignInRefused) != 1 {
		t.Error("not in the trail, or the citizen does not hear of it")
	}
	// The flow belongs to the browser, and the answer to the place: at home it is weighed
	// again.
	far.from = "192.0.2.1:1234"
	page[templates.BindDevice](t, far.visit("/login?flow="+r.Flow))
	far.from = elsewhere
	page[templates.Error](t, far.visit("/login?flow="+r.Flow))
	if _, err := far.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestUnread: what cannot be weighed is not let in on two factors (SECURITY G5).
func TestUnread(t *testing.T) {
	w, s := weighing(t, "", "")
	alice, bob := w.alice(), w.bob()
	k := w.registers(alice, false)
	s.broken = true
	b := w.browser("b")
	r := b.proves(bob)
	held := page[templates.Held](t, r)
	if e := s.of(audit.SignInHeld); len(e) != 1 || e[0].Detail["rules"] != risk.Unreadable {
		t.Errorf("%+v", e)
	}
	c := w.browser("c")
	r = c.proves(alice)
	page[templates.PasskeyStep](t, r)
	_, said := c.ceremony(r, k)
	page[templates.BindDevice](t, c.visit(said.Next))

	s.broken = false
	w.clock.Advance(held.Until.Sub(w.clock.Now()))
	page[templates.BindDevice](t, b.visit(held.ContinueURL))
}

// TestDryRun: everything is written down and nothing done.
func TestDryRun(t *testing.T) {
	for _, rules := range []string{
		"mode: dry-run\nrules: [{id: far, when: {new_place: true}, decision: refuse, alarm: true}]",
		"rules: [{id: far, when: {new_place: true}, decision: refuse, alarm: true, dry_run: true}]",
	} {
		w, s := weighing(t, rules, "")
		alice := w.alice()
		w.browser("home").signIn(alice, "device-skip")
		far := w.browser("far")
		far.from = elsewhere
		far.signIn(alice, "device-skip")
		done := s.of(audit.LoginFinished)
		if d := done[len(done)-1].Detail; d["decision"] != "allow" || d["would"] != "refuse" || d["dry_run"] != "far" {
			t.Errorf("%v", d)
		}
		if a := s.of(audit.AlarmRaised); len(a) != 1 || a[0].Detail["dry_run"] != "yes" {
			t.Errorf("%+v", a)
		}
		if w.notices(alice, audit.SignInRefused) != 0 {
			t.Error("the citizen is told of a refusal that was none")
		}
	}
}

// TestAlarmsAreFew: one entry in ten minutes for each rule, with how many there were.
func TestAlarmsAreFew(t *testing.T) {
	w, s := weighing(t, "rules: [{id: all, when: {remembered: false}, decision: allow, alarm: true}, {id: first, when: {first: true}, decision: allow, alarm: true}]", "")
	alice := w.alice()
	for range 4 {
		w.browser("b").signIn(alice, "device-skip")
	}
	w.clock.Advance(10 * time.Minute)
	w.browser("b").signIn(alice, "device-skip")
	counts := map[string]string{}
	for _, e := range s.of(audit.AlarmRaised) {
		counts[e.Detail["rule"]] += e.Detail["count"] + " "
	}
	if want := map[string]string{"all": "1 4 ", "first": "1 "}; !maps.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}

// TestChangedFactors: with a factor that is new, what was proved long ago is proved
// again before what is worth having.
func TestChangedFactors(t *testing.T) {
	w, s := weighing(t, "", "")
	alice := w.alice()
	k := w.registers(alice, false)
	b := w.browser("b")
	r := b.raise(identity.Need{Level: identity.LevelBound})
	_, said := b.ceremony(r, k)
	b.fill(b.visit(said.Next), "device-skip", "1")
	w.clock.Advance(40 * time.Minute)
	// The session would do, were it not for the rule.
	since := identity.Need{Level: identity.LevelBound, Since: w.clock.Now().Add(-50 * time.Minute)}
	r = b.raise(since)
	page[templates.Login](t, r)
	if e := s.of(audit.SignInQuestioned); len(e) != 1 || e[0].Detail["rules"] != "changed-factors" {
		t.Errorf("%+v", e)
	}
	_, said = b.ceremony(r, k)
	if said.Next != "/authorize?request_uri=x" {
		t.Errorf("%+v", said)
	}
}
