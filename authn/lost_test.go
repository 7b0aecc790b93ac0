package authn_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/recovery"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/templates"
)

// desk mounts /lost beside the rest, with a key for receipts.
func desk(t *testing.T, change ...func(*authn.Parts)) *world {
	t.Helper()
	key, err := jose.Generate(jose.SM2, "receipts")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, append(change, func(p *authn.Parts) { p.ReceiptKey = func() (jose.Key, error) { return key, nil } })...)
	for _, route := range w.svc.LossRoutes() {
		w.mux.Handle(route.Method+" "+route.Pattern, route.Handler)
	}
	return w
}

func (b *browser) lose(what, username, proof string) reply {
	b.w.t.Helper()
	return b.send("POST", "/lost", "application/x-www-form-urlencoded", form("what", what, "username", username, "proof", proof))
}

func (b *browser) undo(username, password, code string) reply {
	b.w.t.Helper()
	return b.send("POST", "/lost/undo", "application/x-www-form-urlencoded", form("username", username, "password", password, "code", code))
}

func form(fields ...string) string {
	var s strings.Builder
	for i := 0; i+1 < len(fields); i += 2 {
		if i > 0 {
			s.WriteByte('&')
		}
		s.WriteString(fields[i] + "=" + strings.NewReplacer(" ", "+", "&", "%26").Replace(fields[i+1]))
	}
	return s.String()
}

func (w *world) state(p *person) identity.CardState {
	w.t.Helper()
	a, err := w.store.Account(w.t.Context(), p.id)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.State
}

func (w *world) paper(p *person) string {
	w.t.Helper()
	codes, err := recovery.NewSet(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	hash, err := recovery.Stored(keyed("codes"), recovery.Recovery, p.id[:], codes[0].Reveal())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.ReplaceRecovery(w.t.Context(), p.id, [][]byte{hash}, w.event(audit.RecoveryRenewed, p.id)); err != nil {
		w.t.Fatal(err)
	}
	return codes[0].Reveal()
}

// reported follows a report to its receipt.
func reported(t *testing.T, b *browser, r reply) templates.LossReceipt {
	t.Helper()
	if r.status != http.StatusSeeOther || !strings.HasPrefix(r.to, "/lost/receipt/") {
		t.Fatalf("a report ended at %d %s %T", r.status, r.to, r.Page)
	}
	receipt := page[templates.LossReceipt](t, b.get(r.to))
	if receipt.Signed == "" || "/lost/receipt/"+receipt.Number != r.to {
		t.Errorf("%+v", receipt)
	}
	return receipt
}

// TestLost: any one factor is enough, without a login, and everything ends.
func TestLost(t *testing.T) {
	for name, proof := range map[string]func(*world, *person) string{
		"password":      func(*world, *person) string { return goodWord },
		"code":          func(w *world, p *person) string { return w.totp(p) },
		"recovery-code": func(w *world, p *person) string { return w.paper(p) },
	} {
		t.Run(name, func(t *testing.T) {
			w := desk(t)
			p, mine, other := w.alice(), w.browser("mine"), w.browser("other")
			mine.signIn(p, "device-bind")
			half := w.browser("half")
			r := half.fill(half.begin(), "username", p.card, "password", goodWord)
			page[templates.TOTPCode](t, r)

			word := proof(w, p)
			if got := reported(t, other, other.lose("phone", p.card, word)); got.Lost != templates.LostPhone {
				t.Errorf("%+v", got)
			}
			if _, err := mine.login(); err == nil {
				t.Error("the session lives on")
			}
			if got := half.get(r.Path); got.status != http.StatusNotFound {
				t.Errorf("the half-finished login: %d", got.status)
			}
			if w.state(p) != identity.CardNormal {
				t.Error("the card went with the phone")
			}
			w.clock.Advance(31 * time.Second)
			if name != "password" { // what counts once
				if got := other.lose("card", aliceID, word); got.status != http.StatusForbidden || w.state(p) != identity.CardNormal {
					t.Errorf("the same again: %d", got.status)
				}
			}
			if got := reported(t, other, other.lose("card", aliceID, w.totp(p))); got.Lost != templates.LostCard || w.state(p) != identity.CardTempLost {
				t.Errorf("%+v, the card is %s", got, w.state(p))
			}
		})
	}
}

// TestLostSameForAll: nobody, a wrong word, a card that is frozen, a throttled one and one
// reported before hear the same, after one hash (SECURITY PW1, PW3).
func TestLostSameForAll(t *testing.T) {
	w := desk(t)
	alice, bob := w.alice(), w.bob()
	freeze := w.event(audit.CitizenFrozen, bob.id)
	if err := w.store.SetCardState(t.Context(), bob.id, identity.CardFrozen, freeze); err != nil {
		t.Fatal(err)
	}
	b := w.browser("b")
	for _, c := range []struct{ name, username, proof string }{
		{"nobody", nobody, goodWord}, {"no-number", "nobody at all", goodWord}, {"wrong", alice.card, "wrong horse battery"},
		{"frozen", bob.card, goodWord}, {"nobodys-code", nobody, "123456"}, {"wrong-code", alice.card, "000000"},
		{"frozen-code", bob.card, w.totp(bob)}, {"paper", alice.card, "0000-0000-0000-0000"}, {"nobodys-paper", nobody, "0000-0000-0000-0000"},
		{"empty", alice.card, ""}, {"long", alice.card, strings.Repeat("x", 5000)},
	} {
		before := w.hasher.real.Load() + w.hasher.nothing.Load()
		r := b.lose("card", c.username, c.proof)
		p := page[templates.Lost](t, r)
		if r.status != http.StatusForbidden || p.Problem.Key != templates.ProblemLost || string(p.Account) != c.username {
			t.Errorf("%s: %d %+v", c.name, r.status, p)
		}
		if n := w.hasher.real.Load() + w.hasher.nothing.Load() - before; n != 1 {
			t.Errorf("%s: %d hashes", c.name, n)
		}
	}
	if w.state(alice) != identity.CardNormal {
		t.Error("a wrong answer moved a card")
	}
	// Throttled: right and wrong are alike, and another factor still works.
	for range 10 {
		b.lose("card", alice.card, "wrong again and again")
	}
	if r := b.lose("card", alice.card, goodWord); r.status != http.StatusForbidden || w.state(alice) != identity.CardNormal {
		t.Errorf("throttled, the right password: %d", r.status)
	}
	reported(t, b, b.lose("card", alice.card, w.totp(alice)))
	if r := b.lose("card", alice.card, goodWord); r.status != http.StatusForbidden || page[templates.Lost](t, r).Problem.Key != templates.ProblemLost {
		t.Errorf("reported before: %d", r.status)
	}
}

// TestLostAgainAndAgain: somebody with one secret cannot shut the owner out each time
// they come back (SECURITY PW3).
func TestLostAgainAndAgain(t *testing.T) {
	w := desk(t)
	p, b := w.alice(), w.browser("b")
	for range 3 {
		reported(t, b, b.lose("phone", p.card, goodWord))
	}
	w.browser("mine").signIn(p, "device-skip")
	if r := b.lose("phone", p.card, goodWord); r.status != http.StatusForbidden {
		t.Errorf("the fourth of a day: %d", r.status)
	}
	// Whoever uses the reports of a phone up does not keep the owner from the card's.
	reported(t, b, b.lose("card", p.card, goodWord))
	if w.state(p) != identity.CardTempLost {
		t.Error("the card is still good")
	}
}

// TestLostUndone: a card comes back with password and code, both, once; nothing of before does.
func TestLostUndone(t *testing.T) {
	w := desk(t)
	p, b, mine := w.alice(), w.browser("b"), w.browser("mine")
	mine.signIn(p, "device-bind")
	refused := func(name string, r reply) {
		t.Helper()
		if got := page[templates.LossUndo](t, r); r.status != http.StatusForbidden || got.Done || got.Problem.Key != templates.ProblemUndo {
			t.Errorf("%s: %d %+v", name, r.status, got)
		}
	}
	refused("nothing reported", b.undo(p.card, goodWord, w.totp(p)))
	reported(t, b, b.lose("card", p.card, goodWord))
	refused("nobody", b.undo(nobody, goodWord, "123456"))
	refused("wrong password", b.undo(p.card, "wrong horse battery", w.totp(p)))
	refused("wrong code", b.undo(p.card, goodWord, "000000"))
	refused("no code", b.undo(p.card, goodWord, ""))
	refused("a code on paper", b.undo(p.card, goodWord, "0000-0000-0000-0000"))
	w.clock.Advance(31 * time.Second)
	code := w.totp(p)
	if r := b.undo(p.card, goodWord, code); !page[templates.LossUndo](t, r).Done || w.state(p) != identity.CardNormal {
		t.Fatalf("undoing: %d, the card is %s", r.status, w.state(p))
	}
	refused("twice", b.undo(p.card, goodWord, code))
	if _, err := mine.login(); err == nil {
		t.Error("a session of before lives again")
	}
	w.clock.Advance(31 * time.Second)
	mine.signIn(p, "device-skip")
}

// TestLostOdd: what is no form of ours, and receipts there are not.
func TestLostOdd(t *testing.T) {
	w := desk(t)
	p, b := w.alice(), w.browser("b")
	for _, c := range []struct {
		name string
		r    reply
		want int
	}{
		{"what", b.lose("purse", p.card, goodWord), http.StatusBadRequest},
		{"device", b.lose("device", p.card, goodWord), http.StatusBadRequest},
		{"json", b.send("POST", "/lost", "application/json", "{}"), http.StatusUnsupportedMediaType},
		{"no-number", b.get("/lost/receipt/nonsense"), http.StatusNotFound},
		{"no-receipt", b.get("/lost/receipt/0000-0000-0000"), http.StatusNotFound},
		{"passkey-what", b.script("/lost/passkey/finish?what=purse", "{}"), http.StatusBadRequest},
		{"passkey-twice", b.script("/lost/passkey/finish?what=card&what=phone", "{}"), http.StatusBadRequest},
		{"passkey-nonsense", b.script("/lost/passkey/finish?what=card", "{}"), http.StatusBadRequest},
		{"no-browser", (&browser{w: w, from: "192.0.2.1:1", cookies: map[string]string{}}).script("/lost/passkey/options", "{}"), http.StatusNotFound},
	} {
		if c.r.status != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.r.status, c.want)
		}
	}
	if w.state(p) != identity.CardNormal {
		t.Error("something odd moved a card")
	}
	// Busy is said, and nothing is claimed.
	w.hasher.busy.Store(true)
	if r := b.lose("card", p.card, goodWord); r.status != http.StatusServiceUnavailable || w.state(p) != identity.CardNormal {
		t.Errorf("busy: %d", r.status)
	}
}

// TestLostFromAnotherDevice: a device is reported by a login that lives on, comes back by
// a fresh one, and a second phone takes the first one's place.
func TestLostFromAnotherDevice(t *testing.T) {
	w := desk(t)
	p, mine, other := w.alice(), w.browser("mine"), w.browser("other")
	id := w.phone(p)
	other.signIn(p, "device-skip")
	mine.signIn(p, "device-skip")
	l, err := mine.login()
	if err != nil {
		t.Fatal(err)
	}
	r := request(mine)
	receipt, err := w.svc.ReportDevice(r, l, id)
	if err != nil || receipt.Signed == "" {
		t.Fatal(receipt, err)
	}
	if _, err := mine.login(); err != nil {
		t.Error("the one that reported ended")
	}
	if _, err := other.login(); err == nil {
		t.Error("another session lives on")
	}
	w.clock.Advance(10 * time.Minute)
	if err := w.svc.RestoreDevice(r, l, id); !errors.Is(err, authn.ErrNotFresh) {
		t.Errorf("restored by a stale login: %v", err)
	}
	w.clock.Advance(-10 * time.Minute)
	if err := w.svc.RestoreDevice(r, l, id); err != nil {
		t.Errorf("restoring: %v", err)
	}
	if d, err := w.store.Device(t.Context(), p.id, id); err != nil || d.State != identity.DeviceActive {
		t.Errorf("%+v, %v", d, err)
	}
	// It is waited for as if it were new.
	if l, err := mine.login(); err != nil || !l.Cooling.Equal(w.clock.Now().Add(24*time.Hour)) {
		t.Errorf("cooling until %v, %v", l.Cooling, err)
	}
}

// Anybody who knows a number may guess at the six digits, so their count heals with time:
// it must not be a way to take the app from its owner (SECURITY PW3).
func TestLostCodesHeal(t *testing.T) {
	w := desk(t)
	p, b := w.alice(), w.browser("b")
	for range 110 {
		b.lose("card", p.card, "000000")
		w.clock.Advance(15*time.Minute + time.Second)
	}
	if b.lose("card", p.card, w.totp(p)); w.state(p) != identity.CardTempLost {
		t.Error("the right code counts no more")
	}
}
