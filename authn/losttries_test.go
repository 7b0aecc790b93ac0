package authn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

// A ledger is a store that remembers what it was asked, one word a call.
type ledger struct {
	authn.Store
	mu    sync.Mutex
	calls []string
}

func (l *ledger) note(word string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, word)
}

// taken returns what was asked since the last time.
func (l *ledger) taken() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = nil
	return calls
}

func (l *ledger) AccountByAlias(ctx context.Context, a authn.Alias) (authn.Account, error) {
	l.note("account")
	return l.Store.AccountByAlias(ctx, a)
}

func (l *ledger) Browser(ctx context.Context, cookie []byte, now time.Time) (authn.Device, bool, error) {
	l.note("browser")
	return l.Store.Browser(ctx, cookie, now)
}

func (l *ledger) Attempt(ctx context.Context, now time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	l.note(fmt.Sprint("attempt ", len(tries)))
	return l.Store.Attempt(ctx, now, tries...)
}

func (l *ledger) Forgive(ctx context.Context, key []byte) error {
	l.note("forgive")
	return l.Store.Forgive(ctx, key)
}

func (l *ledger) Refund(ctx context.Context, key []byte) error {
	l.note("refund")
	return l.Store.Refund(ctx, key)
}

func (l *ledger) Settle(ctx context.Context, forgive []byte, refund ...[]byte) error {
	l.note(fmt.Sprint("settle ", len(refund)))
	return l.Store.Settle(ctx, forgive, refund...)
}

func (l *ledger) Believe(ctx context.Context, key []byte, refund ...[]byte) error {
	l.note(fmt.Sprint("believe ", len(refund)))
	return l.Store.Believe(ctx, key, refund...)
}

func (l *ledger) TOTP(ctx context.Context, citizen identity.ID) (authn.TOTPFactor, error) {
	l.note("totp")
	return l.Store.TOTP(ctx, citizen)
}

func (l *ledger) HasRecovery(ctx context.Context, citizen identity.ID, hash []byte) (bool, error) {
	l.note("recovery")
	return l.Store.HasRecovery(ctx, citizen, hash)
}

func (l *ledger) Record(ctx context.Context, e audit.Event) error {
	l.note("record " + string(e.Kind))
	return l.Store.Record(ctx, e)
}

// TestEqualWorkAtTheDesk: whatever is not accepted at /lost and /lost/undo costs the same
// hash and the same questions to the database, the right proof among them (SECURITY PW1).
func TestEqualWorkAtTheDesk(t *testing.T) {
	l := &ledger{}
	w := desk(t, func(p *authn.Parts) { l.Store, p.Store = p.Store, l })
	alice, bob, b := w.alice(), w.bob(), w.browser("b")
	once := func(name string, want *[]string, ask func() reply) {
		t.Helper()
		l.taken()
		hashes := w.hasher.real.Load() + w.hasher.nothing.Load()
		if r := ask(); r.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, r.status)
		}
		if n := w.hasher.real.Load() + w.hasher.nothing.Load() - hashes; n != 1 {
			t.Errorf("%s: %d hashes", name, n)
		}
		got := l.taken()
		if *want == nil {
			*want = got
		}
		if !slices.Equal(got, *want) {
			t.Errorf("%s asks %q, others %q", name, got, *want)
		}
	}
	var undo []string
	card := w.paper(alice)
	reported(t, b, b.lose("card", alice.card, goodWord))
	once("a stranger's", &undo, func() reply { return b.undo(nobody, goodWord, "123456") })
	once("not reported", &undo, func() reply { return b.undo(bob.card, goodWord, w.totp(bob)) })
	once("wrong password", &undo, func() reply { return b.undo(alice.card, "wrong horse battery", w.totp(alice)) })
	once("right password", &undo, func() reply { return b.undo(alice.card, goodWord, "000000") })
	once("no code", &undo, func() reply { return b.undo(alice.card, goodWord, "") })

	var word, code, paper []string
	for range 3 { // each factor has its own reports to use up
		reported(t, b, b.lose("phone", bob.card, goodWord))
		reported(t, b, b.lose("phone", bob.card, w.totp(bob)))
		reported(t, b, b.lose("phone", bob.card, w.paper(bob)))
		w.clock.Advance(31 * time.Second)
	}
	once("nobody's paper", &paper, func() reply { return b.lose("phone", nobody, card) })
	once("reported before", &paper, func() reply { return b.lose("phone", alice.card, card) })
	once("too often", &paper, func() reply { return b.lose("phone", bob.card, w.paper(bob)) })
	once("nobody's code", &code, func() reply { return b.lose("phone", nobody, "123456") })
	once("reported before", &code, func() reply { return b.lose("phone", alice.card, w.totp(alice)) })
	once("too often", &code, func() reply { return b.lose("phone", bob.card, w.totp(bob)) })
	w.clock.Advance(20 * time.Minute)
	once("nobody", &word, func() reply { return b.lose("phone", nobody, goodWord) })
	once("wrong", &word, func() reply { return b.lose("phone", bob.card, "wrong horse battery") })
	once("reported before", &word, func() reply { return b.lose("phone", alice.card, goodWord) })
	w.clock.Advance(20 * time.Minute) // and no block of the wrong one is left
	once("too often", &word, func() reply { return b.lose("phone", bob.card, goodWord) })
}

// TestAReportRenewsNoTries: the count of wrong codes is the generator's. A report, which
// whoever has the password can make, does not begin it anew; a new password, which takes
// two factors, does.
func TestAReportRenewsNoTries(t *testing.T) {
	w := desk(t, func(p *authn.Parts) {
		p.Config.Rules.Code = authn.Rule{Free: 2, Base: time.Hour, Cap: time.Hour, Per: 1000 * time.Hour, Max: 100}
	})
	p, mine := w.alice(), w.browser("mine")
	mine.signIn(p, "device-skip")
	thief := w.browser("thief")
	code := func(word, code string) templates.Key {
		t.Helper()
		r := thief.fill(thief.begin(), "username", p.card, "password", word)
		page[templates.TOTPCode](t, r)
		if r = thief.fill(r, "code", code); r.status == http.StatusSeeOther {
			return ""
		}
		if _, asked := r.Page.(templates.BindDevice); asked {
			return ""
		}
		return problem(t, r)
	}
	for range 3 {
		code(goodWord, "000000")
	}
	reported(t, thief, thief.lose("phone", p.card, goodWord))
	if got := code(goodWord, w.totp(p)); got != templates.ProblemThrottled {
		t.Errorf("after a report: %q", got)
	}
	// The owner's session ended with the report, so they come in when the hour is over.
	if _, err := mine.login(); err == nil {
		t.Fatal("a session outlived a report")
	}
	w.clock.Advance(time.Hour + time.Second)
	mine.signIn(p, "device-skip")
	for range 4 {
		code(goodWord, "000000")
	}
	l, err := mine.login()
	if err != nil {
		t.Fatal(err)
	}
	const next = "another horse battery"
	if err := w.svc.ChangePassword(request(mine), l, goodWord, next); err != nil {
		t.Fatal(err)
	}
	if got := code(next, w.totp(p)); got != "" {
		t.Errorf("after a new password: %q", got)
	}
}

// TestPaperWhileStrangersGuess: guesses at the password leave the codes on paper alone, and
// a code on paper forgives no guesses at the password (SECURITY PW2, PW3).
func TestPaperWhileStrangersGuess(t *testing.T) {
	w := desk(t)
	p, b := w.alice(), w.browser("b")
	word := w.paper(p)
	for range 10 {
		b.lose("card", p.card, "wrong again and again")
	}
	reported(t, b, b.lose("phone", p.card, word))
	if r := b.lose("card", p.card, goodWord); r.status != http.StatusForbidden || w.state(p) != identity.CardNormal {
		t.Errorf("the password's count was forgiven for a code on paper: %d", r.status)
	}
	w.clock.Advance(15*time.Minute + time.Second)
	reported(t, b, b.lose("card", p.card, goodWord))
}

// TestKnownBrowserAtTheDesk: strangers' guesses do not count in a browser its owner trusts,
// whatever they guess at (SECURITY PW3).
func TestKnownBrowserAtTheDesk(t *testing.T) {
	for name, proof := range map[string]func(*world, *person) string{
		"password": func(*world, *person) string { return goodWord },
		"code":     func(w *world, p *person) string { return w.totp(p) },
		"paper":    func(w *world, p *person) string { return w.paper(p) },
	} {
		t.Run(name, func(t *testing.T) {
			w := desk(t)
			p, mine, stranger := w.alice(), w.browser("mine"), w.browser("stranger")
			mine.signIn(p, "device-bind")
			stranger.from = "203.0.113.7:1"
			for range 10 {
				stranger.lose("card", p.card, "wrong again and again")
				stranger.lose("card", p.card, "000000")
				stranger.lose("card", p.card, "0000-0000-0000-0000")
			}
			word := proof(w, p)
			if r := stranger.lose("card", p.card, word); r.status != http.StatusForbidden {
				t.Errorf("a strange browser: %d", r.status)
			}
			reported(t, mine, mine.lose("card", p.card, word))
		})
	}
}

// TestTriesAtUndoHeal: whoever has the password cannot keep the owner from bringing the
// card back (SECURITY PW3).
func TestTriesAtUndoHeal(t *testing.T) {
	w := desk(t)
	p, b := w.alice(), w.browser("b")
	reported(t, b, b.lose("card", p.card, goodWord))
	for range 110 {
		b.undo(p.card, goodWord, "000000")
		w.clock.Advance(16 * time.Minute)
	}
	if r := b.undo(p.card, goodWord, w.totp(p)); !page[templates.LossUndo](t, r).Done || w.state(p) != identity.CardNormal {
		t.Errorf("%d, the card is %s", r.status, w.state(p))
	}
}

// TestCopyAtTheDesk: a passkey of which there are two reports nothing, ends, and its owner
// hears of it (SECURITY WA3).
func TestCopyAtTheDesk(t *testing.T) {
	for name, synced := range map[string]bool{"on-device": false, "synced": true} {
		t.Run(name, func(t *testing.T) {
			w := desk(t)
			p := w.alice()
			k, b := w.registers(p, synced), w.browser("b")
			report := func() (reply, said) {
				t.Helper()
				r := b.script("/lost/passkey/finish?what=card", k.get(t, b.script("/lost/passkey/options", "{}").body))
				var s said
				if err := json.Unmarshal([]byte(r.body), &s); err != nil {
					t.Fatalf("%d %q", r.status, r.body)
				}
				return r, s
			}
			k.cred.Counter = 10
			b.ceremony(b.begin(), k)
			k.cred.Counter = 3
			if r, s := report(); r.status != http.StatusForbidden || s.Next != "" || w.state(p) != identity.CardNormal {
				t.Errorf("%d %+v", r.status, s)
			}
			if w.notices(p, audit.PasskeyCloned) != 1 {
				t.Error("its owner was not told")
			}
			k.cred.Counter = 100
			if r, _ := report(); (r.status == http.StatusOK) != synced {
				t.Errorf("the next time: %d", r.status)
			}
		})
	}
}

// TestStrangersFillNoTrail: answers that belong to no challenge are refused however many
// they are, and what is written down about them is bounded, by source and for all.
func TestStrangersFillNoTrail(t *testing.T) {
	l := &ledger{}
	w := desk(t, func(p *authn.Parts) { l.Store, p.Store = p.Store, l })
	k := newKey(false)
	k.auth.Options.UserHandle = []byte("nobody")
	b := w.browser("b")
	body := k.get(t, b.script("/lost/passkey/options", "{}").body)
	b.cookies["browser"] = "another"
	l.taken()
	throttled := 0
	for range 80 {
		switch r := b.script("/lost/passkey/finish?what=card", body); r.status {
		case http.StatusForbidden:
		case http.StatusTooManyRequests:
			throttled++
		default:
			t.Fatal(r.status)
		}
	}
	if throttled == 0 {
		t.Error("one source asks as often as it likes")
	}
	for i := range 300 {
		b.from = fmt.Sprintf("203.0.%d.%d:1", i/200, i%200)
		b.script("/lost/passkey/finish?what=card", body)
	}
	entries := 0
	for _, c := range l.taken() {
		if strings.HasPrefix(c, "record ") {
			entries++
		}
	}
	if entries == 0 || entries > 110 {
		t.Errorf("%d entries", entries)
	}
}

// TestCoolingAfterAPasskey: one that lives on a device reaches what a phone reaches, so it
// is waited for like a phone; a synced one does not, nor at first contact.
func TestCoolingAfterAPasskey(t *testing.T) {
	for name, c := range map[string]struct{ synced, wait bool }{"on-device": {false, true}, "synced": {true, false}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, b := w.alice(), w.browser("b")
			b.signIn(p, "device-skip")
			made := w.clock.Now()
			w.registers(p, c.synced)
			l, err := b.login()
			if err != nil {
				t.Fatal(err)
			}
			if l.Cooling.After(made.Add(24*time.Hour)) != c.wait {
				t.Errorf("waits until %v", l.Cooling)
			}
		})
	}
}
