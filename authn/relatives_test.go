package authn_test

import (
	"errors"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
)

// signedIn is a login of p's whose factors are fresh.
func (w *world) signedIn(p *person, name string) (*browser, identity.Login) {
	w.t.Helper()
	b := w.browser(name)
	b.signIn(p, "device-skip")
	l, err := b.login()
	if err != nil {
		w.t.Fatal(err)
	}
	return b, l
}

func (w *world) ties(l identity.Login) []authn.Relative {
	w.t.Helper()
	all, err := w.svc.ListRelatives(w.t.Context(), l)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// TestRelative: somebody who was named and agreed reports a loss, and it is like any other;
// they see a masked name and can do nothing else.
func TestRelative(t *testing.T) {
	w := desk(t)
	alice, bob := w.alice(), w.bob()
	a, la := w.signedIn(alice, "alice")
	b, lb := w.signedIn(bob, "bob")
	if err := w.svc.NameRelative(request(a), la, "b1234-5678"); err != nil {
		t.Fatal(err)
	}
	asked := w.ties(lb)
	if len(asked) != 1 || asked[0].Name != "张**" || !asked[0].Named {
		t.Fatalf("Bob sees %+v", asked)
	}
	id := asked[0].ID
	if _, err := w.svc.ReportForRelative(request(b), lb, id, loss.Card); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("before he agreed: %v", err)
	}
	if err := w.svc.AgreeRelative(request(b), lb, id); err != nil {
		t.Fatal(err)
	}
	for _, what := range []loss.What{"purse", loss.Device} {
		if _, err := w.svc.ReportForRelative(request(b), lb, id, what); !errors.Is(err, authn.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := w.svc.ReportForRelative(request(a), la, id, loss.Card); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("whoever named, for the relative: %v", err)
	}
	receipt, err := w.svc.ReportForRelative(request(b), lb, id, loss.Card)
	if err != nil || receipt.Signed == "" {
		t.Fatal(receipt, err)
	}
	if w.state(alice) != identity.CardTempLost || w.state(bob) != identity.CardNormal {
		t.Errorf("the cards are %s and %s", w.state(alice), w.state(bob))
	}
	if _, err := a.login(); err == nil {
		t.Error("her session lives on")
	}
	if _, err := b.login(); err != nil {
		t.Error("his ended")
	}
	if w.notices(alice, audit.LossReported) != 1 {
		t.Error("she was not told")
	}
	for range 5 { // what changes nothing does not count
		if _, err := w.svc.ReportForRelative(request(b), lb, id, loss.Phone); !errors.Is(err, identity.ErrConflict) {
			t.Errorf("again: %v", err)
		}
	}
}

// TestNobodyIsTold: naming says the same whether somebody has the number or not, and a
// refusal looks like no answer (SECURITY PW1).
func TestNobodyIsTold(t *testing.T) {
	w := desk(t)
	alice, bob := w.alice(), w.bob()
	a, la := w.signedIn(alice, "alice")
	b, lb := w.signedIn(bob, "bob")
	for _, typed := range []string{"", "??", aliceID, alicePhon, alice.card} {
		if err := w.svc.NameRelative(request(a), la, typed); !errors.Is(err, authn.ErrInvalid) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	for _, card := range []string{nobody, bob.card} {
		if err := w.svc.NameRelative(request(a), la, card); err != nil {
			t.Errorf("%s: %v", card, err)
		}
		if err := w.svc.NameRelative(request(a), la, card); !errors.Is(err, identity.ErrConflict) {
			t.Errorf("%s again: %v", card, err)
		}
	}
	if err := w.svc.EndRelative(request(b), lb, w.ties(lb)[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, tie := range w.ties(la) {
		if tie.Name != "" || !tie.Other.IsZero() || !tie.Agreed.IsZero() {
			t.Errorf("Alice sees %+v", tie)
		}
	}
	if len(w.ties(la)) != 2 {
		t.Error("she can tell who refused")
	}
	// A day has so many namings, whoever is named.
	var err error
	for range 10 {
		err = w.svc.NameRelative(request(a), la, nobody)
	}
	if !errors.Is(err, authn.ErrThrottled) {
		t.Errorf("the tenth: %v", err)
	}
}

// TestRelativesAreFresh: each side acts with two fresh factors, and what a relative reports
// is counted for the tie and takes nothing from the citizen (SECURITY PW3).
func TestRelativesAreFresh(t *testing.T) {
	w := desk(t)
	alice, bob := w.alice(), w.bob()
	a, la := w.signedIn(alice, "alice")
	b, lb := w.signedIn(bob, "bob")
	if err := w.svc.NameRelative(request(a), la, bob.card); err != nil {
		t.Fatal(err)
	}
	id := w.ties(lb)[0].ID
	if err := w.svc.AgreeRelative(request(b), lb, id); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := w.svc.ReportForRelative(request(b), lb, id, loss.Phone); err != nil {
			t.Errorf("report %d: %v", i, err)
		}
	}
	if _, err := w.svc.ReportForRelative(request(b), lb, id, loss.Phone); !errors.Is(err, authn.ErrThrottled) {
		t.Errorf("the fourth of a day: %v", err)
	}
	if r := a.lose("phone", alice.card, goodWord); r.status != 303 {
		t.Errorf("his have used up hers: %d", r.status)
	}
	// Nor does somebody with her password take from her what she has by the app.
	for range 3 {
		a.lose("phone", alice.card, goodWord)
	}
	if r := a.lose("phone", alice.card, goodWord); r.status == 303 {
		t.Error("a password reports without end")
	}
	if r := a.lose("phone", alice.card, w.totp(alice)); r.status != 303 {
		t.Errorf("one factor has used up the reports of another: %d", r.status)
	}
	w.clock.Advance(10 * time.Minute)
	for name, err := range map[string]error{
		"naming":   w.svc.NameRelative(request(b), lb, nobody),
		"agreeing": w.svc.AgreeRelative(request(b), lb, id),
		"reporting": func() error {
			_, err := w.svc.ReportForRelative(request(b), lb, id, loss.Card)
			return err
		}(),
	} {
		if !errors.Is(err, authn.ErrNotFresh) {
			t.Errorf("%s with old factors: %v", name, err)
		}
	}
}
