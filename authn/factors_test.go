package authn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// adds gives the citizen of b a passkey.
func (b *browser) adds(synced bool) authn.Passkey {
	t := b.w.t
	t.Helper()
	l, err := b.login()
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(synced)
	options, err := b.w.svc.BeginPasskey(request(b), l)
	if err != nil {
		t.Fatal(err)
	}
	k, err := b.w.svc.FinishPasskey(request(b), l, []byte(key.create(t, string(options))))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTheLastOfTwoStays: of two removals side by side, each of which leaves the other
// one's factor, one happens (SECURITY MF3, G1).
func TestTheLastOfTwoStays(t *testing.T) {
	for round := range 6 {
		w := newWorld(t)
		alice := w.alice()
		b := w.browser("b")
		b.signIn(alice, "device-skip")
		k := b.adds(false)
		l, err := b.login()
		if err != nil {
			t.Fatal(err)
		}
		acts := []func() error{
			func() error { return w.svc.RemoveTOTP(request(b), l) },
			func() error { return w.svc.RemovePasskey(request(b), l, k.ID) },
		}
		if round%2 == 1 {
			acts[1] = func() error { return w.svc.EndDevice(request(b), l, k.Device, identity.DeviceRevoked) }
		}
		got := make([]error, len(acts))
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i, act := range acts {
			wg.Go(func() { <-start; got[i] = act() })
		}
		close(start)
		wg.Wait()
		if (got[0] == nil) == (got[1] == nil) || !errors.Is(errors.Join(got...), authn.ErrLastFactor) {
			t.Errorf("round %d: %v", round, got)
		}
		acc, err := w.store.Account(t.Context(), alice.id)
		if err != nil || !acc.Factors.Any() {
			t.Errorf("round %d: %+v %v", round, acc.Factors, err)
		}
		// The loser has changed nothing: the winner's raised the epoch, once.
		if removed := w.notices(alice, audit.TOTPRemoved) + w.notices(alice, audit.PasskeyRemoved) + w.notices(alice, audit.DeviceEnded); removed != 1 {
			t.Errorf("round %d: %d notices", round, removed)
		}
	}
}

// TestFactorsEndOtherSessions: what takes a factor away or puts another in its place
// ends the other sessions, trusted browsers and half-finished logins, and leaves the
// session it was done in (SECURITY PW5, G6).
func TestFactorsEndOtherSessions(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, b *browser, p *person) error
		ends bool
	}{
		{"a-generator-in-place-of-one", func(w *world, b *browser, p *person) error {
			l, _ := b.login()
			id, _, err := w.svc.BeginTOTP(request(b), l, totp.RFC6238)
			if err != nil {
				return err
			}
			f, err := w.store.PendingTOTP(context.Background(), p.id, id, start)
			if err != nil {
				return err
			}
			if p.seed, err = totp.SeedOf(f.Seed); err != nil {
				return err
			}
			return w.svc.ConfirmTOTP(request(b), l, id, w.totp(p))
		}, true},
		{"an-authenticator-revoked", func(w *world, b *browser, p *person) error {
			k := b.adds(false)
			l, _ := b.login()
			return w.svc.EndDevice(request(b), l, k.Device, identity.DeviceRevoked)
		}, true},
		{"an-authenticator-lost", func(w *world, b *browser, p *person) error {
			k := b.adds(false)
			l, _ := b.login()
			return w.svc.EndDevice(request(b), l, k.Device, identity.DeviceLost)
		}, true},
		// Nothing was taken from anybody.
		{"a-passkey-more", func(w *world, b *browser, _ *person) error { b.adds(true); return nil }, false},
		{"an-authenticator-suspended", func(w *world, b *browser, p *person) error {
			k := b.adds(false)
			l, _ := b.login()
			return w.svc.EndDevice(request(b), l, k.Device, identity.DeviceSuspended)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.alice()
			other, b := w.browser("other"), w.browser("b")
			other.signIn(alice, "device-bind")
			b.signIn(alice, "device-skip")
			half := w.browser("half")
			half.fill(half.begin(), "username", aliceCard, "password", goodWord)
			if err := c.do(w, b, alice); err != nil {
				t.Fatal(err)
			}
			if _, err := b.login(); err != nil {
				t.Errorf("this session: %v", err)
			}
			if _, err := other.login(); (err != nil) != c.ends {
				t.Errorf("the other session: %v", err)
			}
			delete(other.cookies, "__Host-login")
			if p := page[templates.Login](t, other.visit("/login")); (p.Greeting == "") != c.ends {
				t.Errorf("the trusted browser is shown %q", p.Greeting)
			}
		})
	}
}

// recovers signs p in with a recovery code in b, to the choice of a new factor.
func (b *browser) recovers(p *person, code string) reply {
	b.w.t.Helper()
	r := b.fill(b.begin(), "username", p.card, "password", goodWord)
	r = b.visit("/login/recovery?flow=" + r.Flow)
	r = b.fill(r, "code", code)
	page[templates.EnrolChoice](b.w.t, r)
	return r
}

// TestRecoveryEndsWhatWasBefore: whoever had to recover is alone in the account
// afterwards, and gets no further than MFA with what they have bound; a complete new
// sign-in does (SECURITY PW5, MF4).
func TestRecoveryEndsWhatWasBefore(t *testing.T) {
	for _, with := range []string{"generator", "passkey"} {
		t.Run(with, func(t *testing.T) {
			w := newWorld(t)
			alice := w.alice()
			old := w.browser("old")
			old.signIn(alice, "device-bind")
			l, err := old.login()
			if err != nil {
				t.Fatal(err)
			}
			codes, err := w.svc.RenewRecovery(request(old), l)
			if err != nil {
				t.Fatal(err)
			}
			half := w.browser("half")
			pending := half.fill(half.begin(), "username", aliceCard, "password", goodWord)
			rival := w.browser("rival")
			rivals := rival.recovers(alice, codes[1])

			// In the trusted browser itself, whose trust ends as well.
			delete(old.cookies, "__Host-login")
			b := old
			r := b.recovers(alice, codes[0])
			k := newKey(false)
			if with == "generator" {
				r = b.visit("/login/enrol/totp?flow=" + r.Flow)
				alice.seed = scan(t, page[templates.EnrolTOTP](t, r))
				r = b.fill(r, "code", w.totp(alice))
			} else {
				options := b.script("/login/enrol/passkey/options?flow="+r.Flow, "{}")
				got := b.script("/login/enrol/passkey/finish?flow="+r.Flow, k.create(t, options.body))
				var s said
				if err := json.Unmarshal([]byte(got.body), &s); err != nil || s.Next == "" {
					t.Fatalf("%d %s", got.status, got.body)
				}
				// The generator is still there and asked for first; the key will do.
				r = b.visit("/login/passkey?flow=" + r.Flow)
				_, s = b.ceremony(r, k)
				r = b.visit(s.Next)
			}
			page[templates.BindDevice](t, r)
			if r = b.fill(r, "device-skip", "1"); r.to != "/account" {
				t.Fatalf("%d %s %T", r.status, r.to, r.Page)
			}
			if ls, err := w.store.ListLogins(t.Context(), alice.id, w.clock.Now()); err != nil || len(ls) != 1 {
				t.Errorf("%d sessions, %v", len(ls), err)
			}
			for name, got := range map[string]reply{
				"half-finished": half.fill(pending, "code", w.totp(alice)), "a rival's recovery": rival.visit("/login/enrol/totp?flow=" + rivals.Flow),
			} {
				if got.status != http.StatusNotFound {
					t.Errorf("%s: %d %T", name, got.status, got.Page)
				}
			}

			// No key is had by stepping up, nor used.
			now := w.clock.Now()
			l, err = b.login()
			if err != nil || l.Assurance(identity.Need{}, now).Level != identity.LevelMFA || !hasRecovery(l) {
				t.Fatalf("%+v %v", l, err)
			}
			w.clock.Advance(4 * time.Minute)
			if with == "generator" {
				r = b.raise(identity.Need{Level: identity.LevelMFA, Since: w.clock.Now().Add(-time.Minute)})
				r = b.fill(r, "username", aliceCard, "password", goodWord)
				if r = b.fill(r, "code", w.totp(alice)); r.status != http.StatusSeeOther {
					t.Fatalf("%d %T", r.status, r.Page)
				}
				// Both factors were proved anew: a complete sign-in.
				if l, err = b.login(); err != nil || hasRecovery(l) {
					t.Errorf("%+v %v", l, err)
				}
				return
			}
			r = b.raise(identity.Need{Level: identity.LevelBound})
			page[templates.Login](t, r) // from the beginning, with nothing taken along
			_, s := b.ceremony(r, k)
			if s.Next != "/authorize?request_uri=x" {
				t.Fatalf("%+v", s)
			}
			if l, err = b.login(); err != nil || l.Assurance(identity.Need{}, w.clock.Now()).Level != identity.LevelBound {
				t.Errorf("%+v %v", l, err)
			}
		})
	}
}

func hasRecovery(l identity.Login) bool {
	for _, p := range l.Proofs {
		if p.Factor == identity.FactorRecovery {
			return true
		}
	}
	return false
}

// TestRecoveredStepUp: what is taken along into a step-up takes the recovery along,
// also past a time before which nothing counts (SECURITY MF4).
func TestRecoveredStepUp(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	first := w.browser("first")
	first.signIn(alice, "device-skip")
	l, err := first.login()
	if err != nil {
		t.Fatal(err)
	}
	codes, err := w.svc.RenewRecovery(request(first), l)
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser("b")
	r := b.recovers(alice, codes[0])
	k := newKey(false)
	options := b.script("/login/enrol/passkey/options?flow="+r.Flow, "{}")
	b.script("/login/enrol/passkey/finish?flow="+r.Flow, k.create(t, options.body))
	w.clock.Advance(time.Minute)
	between := w.clock.Now()
	w.clock.Advance(time.Minute)
	_, s := b.ceremony(b.visit("/login/passkey?flow="+r.Flow), k)
	b.fill(b.visit(s.Next), "device-skip", "1")
	if l, err = b.login(); err != nil {
		t.Fatal(err)
	}
	if l.Meets(identity.Need{Level: identity.LevelBound, Since: between}, w.clock.Now()) {
		t.Error("a max_age washes the recovery off")
	}
	// The key alone is fresh enough for this; what it stands on goes along.
	w.clock.Advance(31 * time.Second)
	r = b.raise(identity.Need{Level: identity.LevelMFA, Since: between})
	if r.to != "/authorize?request_uri=x" {
		t.Fatalf("%d %s %T", r.status, r.to, r.Page)
	}
	if l, err = b.login(); err != nil || !hasRecovery(l) || l.Assurance(identity.Need{}, w.clock.Now()).Level != identity.LevelMFA {
		t.Errorf("%+v %v", l, err)
	}
}

// TestNothingIsLeftBehind: an answer in a flow that arrives while the account's epoch
// moves, or the flow ends, leaves no factor and no trusted browser (SECURITY G6).
func TestNothingIsLeftBehind(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	ctx := t.Context()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	id, err := identity.ParseID(r.Flow)
	if err != nil {
		t.Fatal(err)
	}
	owner := w.svc.Parts.Browser(b.request())
	f, err := w.store.Flow(ctx, id, owner, w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	attempts := func(f authn.Flow) map[string]error {
		proposal := authn.TOTPFactor{ID: identity.NewID(), Citizen: alice.id, Seed: alice.seed.Reveal(), Algorithm: totp.RFC6238, Created: w.clock.Now()}
		if err := w.store.ProposeTOTP(ctx, proposal); err != nil {
			t.Fatal(err)
		}
		k := authn.Passkey{ID: identity.NewID(), Citizen: alice.id, Name: "x", Created: w.clock.Now()}
		k.Credential.ID = bytes.Repeat([]byte{7}, 16)
		d := authn.Device{ID: identity.NewID(), Citizen: alice.id, Kind: identity.DeviceBrowser, Name: "x", Cookie: []byte(identity.NewID().String()), Created: w.clock.Now(), Expires: w.clock.Now().Add(time.Hour)}
		return map[string]error{
			"ConfirmTOTP":  w.store.ConfirmTOTP(ctx, alice.id, proposal.ID, 1<<40, identity.ID{}, &f, w.event(audit.TOTPBound, alice.id)),
			"AddPasskey":   w.store.AddPasskey(ctx, k, nil, &f, w.event(audit.PasskeyBound, alice.id)),
			"TrustBrowser": w.store.TrustBrowser(ctx, d, &f, w.event(audit.DeviceBound, alice.id)),
		}
	}
	before, err := w.store.TOTP(ctx, alice.id)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(when string, f authn.Flow) {
		t.Helper()
		for name, err := range attempts(f) {
			if !errors.Is(err, identity.ErrEnded) {
				t.Errorf("%s, %s: %v", when, name, err)
			}
		}
		now, err := w.store.TOTP(ctx, alice.id)
		acc, err2 := w.store.Account(ctx, alice.id)
		if err != nil || err2 != nil || now.ID != before.ID || acc.Factors.Passkeys != 0 {
			t.Errorf("%s: %+v %v %v", when, acc.Factors, err, err2)
		}
	}
	dead := f
	dead.Login = identity.NewID()
	refused("a login that is gone", dead)
	stray := f
	stray.ID = identity.NewID()
	refused("no such flow", stray)
	other := f
	other.Citizen = identity.NewID()
	refused("another citizen's flow", other)
	if err := w.store.SetPassword(ctx, alice.id, "salt:new", identity.ID{}, w.event(audit.PasswordChanged, alice.id)); err != nil {
		t.Fatal(err)
	}
	refused("a new password", f)
	// Brought up to the new epoch by hand it is still not there.
	f.Epoch++
	refused("a flow that was ended", f)
}

// request is what the browser sends, for asking who it is.
func (b *browser) request() *http.Request {
	r := request(b)
	for n, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	return r
}

// TestChangeBudgetIsTheCitizens: a new session gives no new guesses at the current
// password (SECURITY PW2).
func TestChangeBudgetIsTheCitizens(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	var last error
	judged := w.hasher.real.Load()
	for i := range 4 {
		b := w.browser(fmt.Sprint(i))
		b.from = fmt.Sprintf("198.51.100.%d:1", i)
		b.signIn(alice, "device-skip")
		l, err := b.login()
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			last = w.svc.ChangePassword(request(b), l, "wrong", "another good horse")
		}
	}
	if !errors.Is(last, authn.ErrThrottled) {
		t.Errorf("%v", last)
	}
	if n := w.hasher.real.Load() - judged - 4; n > 12 { // four sign-ins, and half a minute in between them
		t.Errorf("%d guesses were judged", n)
	}
}

// TestActivationWorksAlike: whatever the card, a guess at an activation code costs the
// same hash, and a server too busy for it judges nobody (SECURITY PW1).
func TestActivationWorksAlike(t *testing.T) {
	w := newWorld(t)
	p := w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	settled := w.bob()
	cards := map[string]string{"there": p.card, "nobody": nobody, "in-already": settled.card, "no-card": "??", "empty": "", "long": strings.Repeat("9", 300)}
	for round := range 7 {
		for name, card := range cards {
			b := w.browser(name)
			b.from = fmt.Sprintf("198.51.100.%d:1", len(name)+round*10)
			r := b.visit("/login/activate")
			before := w.hasher.nothing.Load()
			b.post(r.Path, r.Flow, "card", card, "code", "0000-0000-0000-0000")
			if worked := w.hasher.nothing.Load() - before; worked != 1 || w.hasher.real.Load() != 0 {
				t.Errorf("round %d, %s: %d hashes", round, name, worked)
			}
		}
	}
	w = newWorld(t)
	p = w.imports("张爱丽", aliceCard, aliceID, alicePhon)
	b := w.browser("b")
	r := b.visit("/login/activate")
	w.hasher.busy.Store(true)
	for range 7 {
		for name, card := range cards {
			got := b.post(r.Path, r.Flow, "card", card, "code", p.code)
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Fatalf("%s: %d %v", name, got.status, got.header)
			}
		}
	}
	w.hasher.busy.Store(false)
	before := w.hasher.nothing.Load()
	page[templates.ActivatePassword](t, b.fill(r, "card", p.card, "code", p.code))
	if worked := w.hasher.nothing.Load() - before; worked != 1 {
		t.Errorf("the right code: %d hashes", worked)
	}
}

// TestAHundredInARow: failures at a code are counted until one is right, over days
// and weeks, and the hundredth is the last (SECURITY §0).
func TestAHundredInARow(t *testing.T) {
	for name, rule := range map[string]authn.Rule{"code": authn.DefaultRules().Code, "browser": authn.DefaultRules().Browser} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx := t.Context()
			guess := func(key string) bool {
				t.Helper()
				w.clock.Advance(25 * time.Hour)
				got, err := w.store.Attempt(ctx, w.clock.Now(), authn.Try{Key: []byte(key), Rule: rule})
				if err != nil || len(got) != 1 {
					t.Fatalf("%v %v", got, err)
				}
				return got[0].Allowed
			}
			judged := 0
			for range 150 {
				if guess("never right") {
					judged++
				}
			}
			if judged != 100 {
				t.Errorf("%d guesses in a row were judged", judged)
			}
			for i := range 150 {
				if !guess("right at times") {
					t.Fatalf("shut after %d, though not in a row", i)
				}
				if i%99 == 98 {
					if err := w.store.Forgive(ctx, []byte("right at times")); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}
