package authn_test

import (
	"encoding/base32"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// scan reads the seed off the page that shows it, as an app would.
func scan(t *testing.T, p templates.EnrolTOTP) totp.Seed {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(p.Secret, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := totp.SeedOf(raw)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// arrives walks a first contact to the choice of a second factor.
func (b *browser) arrives(p *person) reply {
	t := b.w.t
	t.Helper()
	r := b.visit("/login/activate")
	page[templates.Activate](t, r)
	r = b.fill(r, "card", p.card, "code", strings.ToLower(p.code))
	page[templates.ActivatePassword](t, r)
	r = b.fill(r, "password", goodWord)
	page[templates.ActivateGreeting](t, r)
	r = b.fill(r, "greeting", greeting)
	if c := page[templates.EnrolChoice](t, r); len(c.Others) != 2 {
		t.Errorf("%+v", c.Others)
	}
	return r
}

func TestFirstContact(t *testing.T) {
	w := newWorld(t)
	p := w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	// Who gives up before the end has lost nothing.
	w.browser("gave-up").arrives(p)

	b := w.browser("b")
	r := b.arrives(p)
	if acc, err := w.store.Account(t.Context(), p.id); err != nil || acc.Password != "" || acc.Factors.Any() {
		t.Errorf("something was stored before the end: %+v %v", acc, err)
	}
	r = b.visit("/login/enrol/totp?flow=" + r.Flow)
	p.seed = scan(t, page[templates.EnrolTOTP](t, r))
	if r = b.fill(r, "code", flip(w.totp(p))); problem(t, r) != templates.ProblemCode {
		t.Errorf("%T", r.Page)
	}
	if again := scan(t, page[templates.EnrolTOTP](t, r)); again.Text() != p.seed.Text() {
		t.Error("another seed after a mistyped code")
	}
	code := w.totp(p)
	r = b.fill(r, "code", code)
	kept := page[templates.RecoveryCodes](t, r)
	if len(kept.Codes) != 10 {
		t.Errorf("%d codes", len(kept.Codes))
	}
	r = b.fill(r, "codes-kept", "1")
	page[templates.BindDevice](t, r)
	if r = b.fill(r, "device-skip", "1"); r.to != "/account" {
		t.Fatalf("%d %s", r.status, r.to)
	}
	l, err := b.login()
	if err != nil || l.Citizen != p.id || !l.Meets(identity.Need{Level: identity.LevelMFA}, w.clock.Now()) {
		t.Errorf("%+v %v", l, err)
	}
	if w.notices(p, audit.CitizenActivated) != 1 {
		t.Error("no notice")
	}

	// The activation code is spent, for those who began before as well.
	c := w.browser("c")
	r = c.visit("/login/activate")
	if r = c.fill(r, "card", p.card, "code", p.code); problem(t, r) != templates.ProblemActivation {
		t.Errorf("%T", r.Page)
	}
	// The confirming code is spent; the next one signs in.
	r = c.fill(c.begin(), "username", aliceCard, "password", goodWord)
	if r = c.fill(r, "code", code); problem(t, r) != templates.ProblemCode {
		t.Error("the confirming code signed in")
	}
	w.clock.Advance(31 * time.Second)
	if pg := page[templates.TOTPCode](t, r); pg.Greeting != greeting {
		t.Errorf("greeting %q", pg.Greeting)
	}
	page[templates.BindDevice](t, c.fill(r, "code", w.totp(p)))

	// And one of the recovery codes opens the way to a new app, once.
	for i, want := range []bool{true, false} {
		d := w.browser("d")
		r = d.fill(d.begin(), "username", aliceCard, "password", goodWord)
		r = d.visit("/login/recovery?flow=" + r.Flow)
		r = d.fill(r, "code", kept.Codes[3])
		if _, ok := r.Page.(templates.EnrolChoice); ok != want {
			t.Errorf("%d: %T", i, r.Page)
		}
	}
}

// TestTwoFirstContacts: of two who hold the same code one gets through, and the
// other changes nothing.
func TestTwoFirstContacts(t *testing.T) {
	w := newWorld(t)
	p := w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	b, c := w.browser("b"), w.browser("c")
	rb, rc := b.arrives(p), c.arrives(p)
	rb, rc = b.visit("/login/enrol/totp?flow="+rb.Flow), c.visit("/login/enrol/totp?flow="+rc.Flow)
	one, two := *p, *p
	one.seed, two.seed = scan(t, page[templates.EnrolTOTP](t, rb)), scan(t, page[templates.EnrolTOTP](t, rc))
	page[templates.RecoveryCodes](t, b.fill(rb, "code", w.totp(&one)))
	if r := c.fill(rc, "code", w.totp(&two)); r.status != http.StatusNotFound {
		t.Errorf("%d %T", r.status, r.Page)
	}
	f, err := w.store.TOTP(t.Context(), p.id)
	if err != nil || string(f.Seed) != string(one.seed.Reveal()) {
		t.Errorf("the loser's app is bound: %v", err)
	}
}

func TestFirstContactWithPasskey(t *testing.T) {
	w := newWorld(t)
	p := w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	b := w.browser("b")
	r := b.arrives(p)
	page[templates.EnrolPasskey](t, b.visit("/login/enrol/passkey?flow="+r.Flow))
	k := newKey(true)
	options := b.script("/login/enrol/passkey/options?flow="+r.Flow, "{}")
	got := b.script("/login/enrol/passkey/finish?flow="+r.Flow, k.create(t, options.body))
	var s said
	if err := json.Unmarshal([]byte(got.body), &s); err != nil || s.Next == "" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	// Made is not shown: the key signs in now.
	r = b.visit(s.Next)
	page[templates.PasskeyStep](t, r)
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
	_, s = b.ceremony(r, k)
	page[templates.RecoveryCodes](t, b.visit(s.Next))
}

// TestFirstKeyIsNotWaitedFor: whoever comes with the code from the counter is the one there
// is. A key on a device that is made at first contact is good at once.
func TestFirstKeyIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	p := w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	b := w.browser("b")
	r := b.arrives(p)
	k := newKey(false)
	options := b.script("/login/enrol/passkey/options?flow="+r.Flow, "{}")
	var s said
	if err := json.Unmarshal([]byte(b.script("/login/enrol/passkey/finish?flow="+r.Flow, k.create(t, options.body)).body), &s); err != nil || s.Next == "" {
		t.Fatal(err, s)
	}
	_, s = b.ceremony(b.visit(s.Next), k)
	r = b.fill(b.visit(s.Next), "codes-kept", "1")
	page[templates.BindDevice](t, r)
	b.fill(r, "device-skip", "1")
	if l, err := b.login(); err != nil || !l.Cooling.IsZero() {
		t.Errorf("waits until %v, %v", l.Cooling, err)
	}
}

func TestActivationIsThrottledAndMute(t *testing.T) {
	w := newWorld(t)
	p := w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	settled := w.bob()
	for round := range 7 {
		want := ""
		for name, card := range map[string]string{"there": p.card, "nobody": nobody, "in-already": settled.card, "no-card": "??"} {
			b := w.browser(name)
			r := b.visit("/login/activate")
			got := b.post(r.Path, r.Flow, "card", card, "code", "0000-0000-0000-0000")
			l := looks(got, r.Flow) + string(problem(t, b.follow(got)))
			if want == "" {
				want = l
			}
			if l != want {
				t.Errorf("round %d, %s: %s, others %s", round, name, l, want)
			}
		}
	}
	b := w.browser("b")
	r := b.visit("/login/activate")
	if r = b.fill(r, "card", p.card, "code", p.code); problem(t, r) != templates.ProblemThrottled {
		t.Errorf("the right code while throttled: %T", r.Page)
	}
	w.clock.Advance(16 * time.Minute)
	r = b.visit("/login/activate")
	page[templates.ActivatePassword](t, b.fill(r, "card", p.card, "code", p.code))
}

func TestFirstChoices(t *testing.T) {
	w := newWorld(t)
	p := w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	b := w.browser("b")
	r := b.visit("/login/activate")
	r = b.fill(r, "card", p.card, "code", p.code)
	for word, want := range map[string]templates.Key{
		"short": templates.ProblemPasswordShort, "password123": templates.ProblemPasswordWeak,
		strings.Repeat("long ", 300): templates.ProblemPasswordLong, "my" + aliceCard + "x": templates.ProblemPasswordWeak,
	} {
		if r = b.fill(r, "password", word); problem(t, r) != want {
			t.Errorf("%q: %v", word, problem(t, r))
		}
	}
	r = b.fill(r, "password", goodWord)
	for _, words := range []string{"", "  ", strings.Repeat("长", 41), "密码 123456", "\u202e"} {
		if r = b.fill(r, "greeting", words); problem(t, r) != templates.ProblemGreeting {
			t.Errorf("%q: %T", words, r.Page)
		}
	}
}

func TestRecovery(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-skip")
	l, err := b.login()
	if err != nil {
		t.Fatal(err)
	}
	codes, err := w.svc.RenewRecovery(request(b), l)
	if err != nil {
		t.Fatal(err)
	}
	c := w.browser("c")
	r := c.fill(c.begin(), "username", aliceCard, "password", goodWord)
	if p := page[templates.TOTPCode](t, r); len(p.Others) != 1 || p.Others[0].Factor != templates.FactorRecovery {
		t.Errorf("%+v", p.Others)
	}
	r = c.visit("/login/recovery?flow=" + r.Flow)
	if r = c.fill(r, "code", "0000-0000-0000-0000"); problem(t, r) != templates.ProblemRecoveryCode {
		t.Errorf("%T", r.Page)
	}
	r = c.fill(r, "code", codes[0])
	page[templates.EnrolChoice](t, r)
	if _, err := c.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Error("a recovery code signed somebody in")
	}
	r = c.visit("/login/enrol/totp?flow=" + r.Flow)
	old := w.totp(alice)
	alice.seed = scan(t, page[templates.EnrolTOTP](t, r))
	if r = c.fill(r, "code", old); problem(t, r) != templates.ProblemCode {
		t.Errorf("the old app: %T", r.Page)
	}
	r = c.fill(r, "code", w.totp(alice))
	page[templates.BindDevice](t, r)
	if r = c.fill(r, "device-skip", "1"); r.to != "/account" {
		t.Errorf("%d %s", r.status, r.to)
	}
	if w.notices(alice, audit.RecoveryUsed) != 1 || w.notices(alice, audit.TOTPBound) == 0 {
		t.Error("Alice was not told")
	}
	// Never for more than mfa.
	d := w.browser("d")
	w.clock.Advance(time.Minute)
	r = d.raise(identity.Need{Level: identity.LevelBound})
	r = d.fill(r, "username", aliceCard, "password", goodWord)
	if p := page[templates.TOTPCode](t, r); len(p.Others) != 0 {
		t.Errorf("%+v", p.Others)
	}
}
