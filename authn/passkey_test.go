package authn_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/templates"
)

// A key is an authenticator with one passkey.
type key struct {
	auth virtualwebauthn.Authenticator
	cred virtualwebauthn.Credential
}

// wholeKey makes a P-256 key whose coordinates fill their 32 bytes: the library
// leaves leading zeros out, and one key in 128 has some.
func wholeKey() virtualwebauthn.Credential {
	for {
		if c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(c.Key.AttestationData()) == 77 {
			return c
		}
	}
}

func rp() virtualwebauthn.RelyingParty {
	return virtualwebauthn.RelyingParty{ID: "localhost", Name: "电子社保卡", Origin: origin}
}

func newKey(synced bool) *key {
	return &key{
		auth: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{BackupEligible: synced, BackupState: synced}),
		cred: wholeKey(),
	}
}

func (k *key) create(t *testing.T, options string) string {
	t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	k.auth.Options.UserHandle = []byte(o.UserID)
	return virtualwebauthn.CreateAttestationResponse(rp(), k.auth, k.cred, *o)
}

func (k *key) get(t *testing.T, options string) string {
	t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	k.cred.Counter++
	return virtualwebauthn.CreateAssertionResponse(rp(), k.auth, k.cred, *o)
}

// registers gives p a passkey from the account pages.
func (w *world) registers(p *person, synced bool) *key {
	w.t.Helper()
	b := w.browser("registers")
	b.signIn(p, "device-skip")
	l, err := b.login()
	if err != nil {
		w.t.Fatal(err)
	}
	k := newKey(synced)
	options, err := w.svc.BeginPasskey(request(b), l)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.svc.FinishPasskey(request(b), l, []byte(k.create(w.t, string(options)))); err != nil {
		w.t.Fatal(err)
	}
	return k
}

type said struct{ Next, Problem string }

func (b *browser) ceremony(r reply, k *key) (reply, said) {
	b.w.t.Helper()
	options := b.script("/login/passkey/options?flow="+r.Flow, "{}")
	if options.status != http.StatusOK {
		b.w.t.Fatalf("options: %d %s", options.status, options.body)
	}
	return b.answer(r, k.get(b.w.t, options.body))
}

func (b *browser) answer(r reply, body string) (reply, said) {
	b.w.t.Helper()
	got := b.script("/login/passkey/finish?flow="+r.Flow, body)
	var s said
	if err := json.Unmarshal([]byte(got.body), &s); err != nil {
		b.w.t.Fatalf("%d %q: %v", got.status, got.body, err)
	}
	return got, s
}

func TestPasskeySignIn(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	k := w.registers(alice, false)
	b := w.browser("b")
	r := b.raise(identity.Need{Level: identity.LevelBound})
	page[templates.Login](t, r)
	// The page asks for challenges as often as it likes.
	b.script("/login/passkey/options?flow="+r.Flow, "{}")
	_, s := b.ceremony(r, k)
	r = b.visit(s.Next)
	page[templates.BindDevice](t, r)
	if r = b.fill(r, "device-skip", "1"); r.status != http.StatusSeeOther {
		t.Fatalf("%d %T", r.status, r.Page)
	}
	l, err := b.login()
	a := l.Assurance(identity.Need{}, w.clock.Now())
	if err != nil || l.Citizen != alice.id || a.Level != identity.LevelBound || strings.Join(a.AMR, " ") != "hwk user mfa" {
		t.Errorf("%+v %v", a, err)
	}
}

// TestFinishedByScript: when nothing is owed after the passkey, the answer to the
// script brings the session.
func TestFinishedByScript(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	k := w.registers(alice, false)
	b := w.browser("b")
	b.signIn(alice, "device-bind")
	r := b.raise(identity.Need{Level: identity.LevelBound})
	page[templates.PasskeyStep](t, r) // only what is missing
	_, s := b.ceremony(r, k)
	if s.Next != "/authorize?request_uri=x" {
		t.Fatalf("%+v", s)
	}
	if l, err := b.login(); err != nil || l.Assurance(identity.Need{}, w.clock.Now()).Level != identity.LevelBound {
		t.Errorf("%+v %v", l, err)
	}
}

func TestPasskeyRefused(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.alice(), w.bob()
	k := w.registers(alice, false)
	bobs := w.registers(bob, false)
	b := w.browser("b")
	r := b.begin()
	options := b.script("/login/passkey/options?flow="+r.Flow, "{}").body
	refused := func(name string, got reply, s said) {
		t.Helper()
		if got.status != http.StatusForbidden || s.Problem != string(templates.ProblemPasskey) || s.Next != "" {
			t.Errorf("%s: %d %+v", name, got.status, s)
		}
	}
	unknown := newKey(false)
	unknown.auth.Options.UserHandle = k.auth.Options.UserHandle
	got, s := b.answer(r, unknown.get(t, options))
	refused("unknown credential", got, s)
	// Any answer spends the challenge.
	got, s = b.answer(r, k.get(t, options))
	refused("spent challenge", got, s)
	// Another flow's challenge is nothing here.
	thief := w.browser("thief")
	tr := thief.begin()
	stolen := thief.script("/login/passkey/options?flow="+tr.Flow, "{}").body
	got, s = b.answer(r, k.get(t, stolen))
	refused("another flow's challenge", got, s)
	// Too late.
	options = b.script("/login/passkey/options?flow="+r.Flow, "{}").body
	w.clock.Advance(6 * time.Minute)
	got, s = b.answer(r, k.get(t, options))
	refused("late", got, s)
	// As a second factor, only the citizen's own.
	w.clock.Advance(time.Minute)
	r = b.raise(identity.Need{Level: identity.LevelBound})
	r = b.fill(r, "username", aliceCard, "password", goodWord)
	page[templates.PasskeyStep](t, r)
	options = b.script("/login/passkey/options?flow="+r.Flow, "{}").body
	got, s = b.answer(r, bobs.get(t, options))
	refused("somebody else's", got, s)
	// Without user verification.
	options = b.script("/login/passkey/options?flow="+r.Flow, "{}").body
	k.auth.Options.UserNotVerified = true
	got, s = b.answer(r, k.get(t, options))
	refused("not verified", got, s)
	k.auth.Options.UserNotVerified = false
	// Frozen.
	w.clock.Advance(time.Minute)
	r = b.begin()
	options = b.script("/login/passkey/options?flow="+r.Flow, "{}").body
	if err := w.store.SetCardState(t.Context(), alice.id, identity.CardFrozen, w.event(audit.CitizenFrozen, alice.id)); err != nil {
		t.Fatal(err)
	}
	got, s = b.answer(r, k.get(t, options))
	refused("frozen", got, s)
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
}

// TestClonedPasskey: a counter that goes back ends the key and tells its owner.
func TestClonedPasskey(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	k := w.registers(alice, false)
	k.cred.Counter = 10
	b := w.browser("b")
	r := b.begin()
	if _, s := b.ceremony(r, k); s.Next == "" {
		t.Fatalf("%+v", s)
	}
	k.cred.Counter = 3
	c := w.browser("c")
	r = c.begin()
	if got, s := c.ceremony(r, k); got.status != http.StatusForbidden || s.Problem == "" {
		t.Errorf("%d %+v", got.status, s)
	}
	if w.notices(alice, audit.PasskeyCloned) != 1 {
		t.Error("Alice was not told")
	}
	k.cred.Counter = 100
	if got, s := c.ceremony(r, k); got.status != http.StatusForbidden {
		t.Errorf("it signs in again: %+v", s)
	}
}

// TestMakingAKey: the need wants a key on a device and there is none. Two fresh
// factors are enough to make one, and then it has to sign.
func TestMakingAKey(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-skip")
	r := b.raise(identity.Need{Level: identity.LevelBound})
	p := page[templates.StepUp](t, r)
	if len(p.Done) != 2 || len(p.Needed) != 1 {
		t.Errorf("%+v", p)
	}
	r = b.fill(r, "step-continue", "1")
	page[templates.EnrolPasskey](t, r)
	enrol := func(k *key) said {
		options := b.script("/login/enrol/passkey/options?flow="+r.Flow, "{}")
		got := b.script("/login/enrol/passkey/finish?flow="+r.Flow, k.create(t, options.body))
		var s said
		if err := json.Unmarshal([]byte(got.body), &s); err != nil || s.Next == "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return s
	}
	// A synced one lives on no device.
	back := b.visit(enrol(newKey(true)).Next)
	if problem(t, back) != templates.ErrorLevelNext {
		t.Errorf("%+v", back.Page)
	}
	k := newKey(false)
	r = b.visit(enrol(k).Next)
	page[templates.PasskeyStep](t, r)
	if _, s := b.ceremony(r, k); s.Next != "/authorize?request_uri=x" {
		t.Errorf("%+v", s)
	}

	// Proved an hour ago is too long ago to make a key with.
	bob := w.bob()
	c := w.browser("c")
	c.signIn(bob, "device-skip")
	w.clock.Advance(20 * time.Minute)
	r = c.raise(identity.Need{Level: identity.LevelBound})
	page[templates.StepUp](t, r)
	if got := c.get("/login/enrol/passkey?flow=" + r.Flow); got.status != http.StatusSeeOther {
		t.Errorf("%d", got.status)
	}
	if got := c.script("/login/enrol/passkey/options?flow="+r.Flow, "{}"); strings.Contains(got.body, "challenge") {
		t.Errorf("%s", got.body)
	}
	r = c.fill(r, "step-continue", "1")
	page[templates.Login](t, r)
	r = c.fill(r, "username", bobCard, "password", goodWord)
	r = c.fill(r, "code", w.totp(bob))
	page[templates.StepUp](t, r)
}
