package authn_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/templates"
)

// This file is about what whoever is doubted might get by waiting, by asking for more,
// or by coming again.

const abroad = "{id: abroad, when: {places: [乌鲁木齐]}, decision: step-up, level: bound}"

// guesses n wrong passwords of Alice's, with enough time in between.
func (b *browser) guesses(n int) {
	b.w.t.Helper()
	for range n {
		b.fill(b.begin(), "username", aliceCard, "password", "wrong")
		b.w.clock.Advance(15 * time.Minute)
	}
}

// waits until a hold is over and goes on.
func (b *browser) waits(r reply) reply {
	b.w.t.Helper()
	held := page[templates.Held](b.w.t, r)
	b.w.clock.Advance(held.Until.Sub(b.w.clock.Now()))
	return b.visit(held.ContinueURL)
}

// TestAProofIsNotWaitedFor: what was asked for beside a hold is asked for when it is over,
// so that nobody gets rid of it by guessing wrongly first.
func TestAProofIsNotWaitedFor(t *testing.T) {
	w, _ := weighing(t, "rules: ["+abroad+", {id: guessed, when: {failures_over: 9, new_place: true}, decision: hold, for: 10m}]", homeTable)
	alice := w.alice()
	k, code := w.registers(alice, false), w.paper(alice)
	far := w.browser("far")
	far.from = elsewhere
	far.guesses(10)
	r := far.waits(far.proves(alice))
	page[templates.PasskeyStep](t, r)
	_, said := far.ceremony(r, k)
	page[templates.BindDevice](t, far.visit(said.Next))
	// Nor had they waited for the key: who comes without it does so now.
	r = far.fill(far.begin(), "username", aliceCard, "password", goodWord)
	page[templates.Held](t, far.follow(far.post("/login/recovery", r.Flow, "code", code)))
}

// TestNeedMakesNoKey: to ask for a higher level is no way to be offered a key, which
// whoever is doubted would be the one to make.
func TestNeedMakesNoKey(t *testing.T) {
	w, s := weighing(t, "rules: ["+abroad+"]", homeTable)
	bob := w.bob()
	w.browser("home").signIn(bob, "device-skip")
	far := w.browser("far")
	far.from = elsewhere
	r := far.fill(far.raise(identity.Need{Level: identity.LevelBound}), "username", bobCard, "password", goodWord)
	r = far.fill(r, "code", w.totp(bob))
	page[templates.Held](t, r)
	for _, path := range []string{"/login/key", "/login/enrol/passkey", "/login/enrol/totp", "/login/enrol"} {
		page[templates.Held](t, far.visit(path+"?flow="+r.Flow))
	}
	if got := far.script("/login/enrol/passkey/options?flow="+r.Flow, "{}"); strings.Contains(got.body, "challenge") {
		t.Errorf("a key may be made: %s", got.body)
	}
	if e := s.of(audit.SignInHeld); len(e) != 1 || e[0].Detail["out_of_reach"] != identity.LevelBound.ACR() || w.notices(bob, audit.SignInHeld) != 1 {
		t.Errorf("%+v", e)
	}
	// Nobody is shut out for good: the owner has had the notice by then.
	page[templates.StepUp](t, far.waits(r))
}

// TestPaperMakesNoFactor: nor is a code on paper, for as long as it takes the owner to see
// the notice.
func TestPaperMakesNoFactor(t *testing.T) {
	w, _ := weighing(t, "rules: [{id: strange, when: {new_place: true}, decision: step-up, level: mfa}]", "")
	alice := w.alice()
	code := w.paper(alice)
	w.browser("home").signIn(alice, "device-skip")
	far := w.browser("far")
	far.from = elsewhere
	r := far.fill(far.begin(), "username", aliceCard, "password", goodWord)
	r = far.follow(far.post("/login/recovery", r.Flow, "code", code))
	page[templates.Held](t, r)
	for _, path := range []string{"/login/enrol", "/login/enrol/totp", "/login/enrol/passkey"} {
		page[templates.Held](t, far.visit(path+"?flow="+r.Flow))
	}
	page[templates.EnrolChoice](t, far.waits(r))
	// At home it leads on at once.
	home := w.browser("home")
	r = home.fill(home.begin(), "username", aliceCard, "password", goodWord)
	page[templates.EnrolChoice](t, home.follow(home.post("/login/recovery", r.Flow, "code", w.paper(alice))))
}

// TestWrongAnswersAreRemembered: the right answer does not make the wrong ones before it
// forgotten until the sign-in is through, whatever address whoever guessed comes from
// next (SECURITY PW2). The owner is not held in a browser they had remembered (PW3).
func TestWrongAnswersAreRemembered(t *testing.T) {
	const rules = "rules: [{id: guessed, when: {failures_over: 2, new_place: true}, decision: hold, for: 10m}]"
	for name, guess := range map[string]func(b *browser, p *person){
		"password": func(b *browser, _ *person) { b.guesses(7) },
		"code": func(b *browser, p *person) {
			for i := range 7 {
				r := b.fill(b.begin(), "username", p.card, "password", goodWord)
				b.fill(r, "code", flip(b.w.totp(p)))
				b.w.clock.Advance(time.Duration(i) * 5 * time.Minute)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := weighing(t, rules, "")
			alice := w.alice()
			home, own := w.browser("home"), w.browser("own")
			home.signIn(alice, "device-skip")
			own.signIn(alice, "device-bind")
			thief := func(i int) *browser {
				b := w.browser(fmt.Sprint("thief", i))
				b.from = fmt.Sprintf("198.51.%d.7:1", i)
				return b
			}
			guess(thief(1), alice)
			for i := range 4 {
				page[templates.Held](t, thief(i+1).proves(alice))
				if _, err := thief(i + 1).login(); !errors.Is(err, identity.ErrNotFound) {
					t.Error(err)
				}
			}
			if e := s.of(audit.SignInHeld); len(e) != 4 || e[3].Detail["failures"] != "7" {
				t.Errorf("%+v", e)
			}
			// The owner, wherever they take their browser, and at home in any.
			delete(own.cookies, "__Host-login")
			own.from = "203.0.113.9:1"
			own.signIn(alice, "")
			delete(home.cookies, "__Host-login")
			home.signIn(alice, "device-skip")
			// Who is in is in: the next one is not weighed by what was before.
			page[templates.BindDevice](t, thief(9).proves(alice))
		})
	}
}

// TestAReportForgetsNoWrongAnswers: nor does a report of a loss with the right password.
func TestAReportForgetsNoWrongAnswers(t *testing.T) {
	key, err := jose.Generate(jose.SM2, "receipts")
	if err != nil {
		t.Fatal(err)
	}
	w, _ := weighing(t, "", "", func(p *authn.Parts) { p.ReceiptKey = func() (jose.Key, error) { return key, nil } })
	for _, route := range w.svc.LossRoutes() {
		w.mux.Handle(route.Method+" "+route.Pattern, route.Handler)
	}
	alice := w.alice()
	w.browser("home").signIn(alice, "device-skip")
	far := w.browser("far")
	far.from = elsewhere
	far.guesses(10)
	reported(t, far, far.lose("phone", aliceCard, goodWord))
	page[templates.Held](t, far.proves(alice))
}

// TestUnreadAndRefused: a refusal that needs no history is not skipped for want of it
// (SECURITY G5).
func TestUnreadAndRefused(t *testing.T) {
	w, s := weighing(t, "rules: [{id: abroad, when: {places: [乌鲁木齐]}, decision: refuse}]", homeTable)
	alice := w.alice()
	w.registers(alice, false)
	s.broken = true
	far := w.browser("far")
	far.from = elsewhere
	if r := far.proves(alice); r.status != http.StatusForbidden {
		t.Errorf("%d %T", r.status, r.Page)
	} else if p := page[templates.Error](t, r); p.Title.Key != templates.ErrorUnusualTitle {
		t.Errorf("%+v", p)
	}
	if e := s.of(audit.SignInRefused); len(e) != 1 || e[0].Detail["rules"] != "unreadable abroad" {
		t.Errorf("%+v", e)
	}
}

// TestPasskeyRefusalsAreBounded: strangers do not fill the trail with passkeys that are
// none, from one source or from many, and the right one is taken all the while
// (SECURITY DS3, AD3, PW3).
func TestPasskeyRefusalsAreBounded(t *testing.T) {
	w, s := weighing(t, "rules: []", "", func(p *authn.Parts) {
		p.Config.Rules.Source = authn.Rule{Free: 5, Base: time.Minute, Cap: time.Minute, Per: time.Hour}
	})
	alice := w.alice()
	k := w.registers(alice, false)
	b := w.browser("b")
	r := b.begin()
	spent := newKey(false).get(t, b.script("/login/passkey/options?flow="+r.Flow, "{}").body)
	entries := func() int { return len(s.of(audit.LoginRefused)) }
	from := entries()
	var got reply
	for range 40 {
		got, _ = b.answer(r, spent)
	}
	if n := entries() - from; n == 0 || n > 7 || got.status != http.StatusTooManyRequests {
		t.Errorf("%d entries, and then %d", n, got.status)
	}
	if _, said := b.ceremony(r, k); said.Next == "" {
		t.Errorf("%+v", said)
	}
	from = entries()
	crowd := w.browser("crowd")
	r = crowd.begin()
	for i := range 300 {
		crowd.from = fmt.Sprintf("198.51.%d.7:1", i%250)
		crowd.answer(r, spent)
	}
	if n := entries() - from + len(s.of(audit.LoginThrottled)); n > 110 {
		t.Errorf("%d entries of a crowd", n)
	}
}
