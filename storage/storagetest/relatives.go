package storagetest

import (
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/storage"
)

// name has the world's citizen name the other, by a number only this call knows.
func (w *world) name(l session, other identity.ID, number []byte) error {
	_, err := w.asks(l, other, number)
	return err
}

func (w *world) asks(l session, other identity.ID, number []byte) (identity.ID, error) {
	n := authn.Relative{ID: identity.NewID(), Citizen: w.citizen, Other: other, Card: "A******78", Asked: w.now, Ends: w.now.Add(time.Hour)}
	return n.ID, w.s.NameRelative(w.Context(), n, authn.Alias{Kind: authn.AliasCard, Value: string(number)}, w.from(audit.RelativeNamed, l.ID))
}

func (w *world) ties() []authn.Relative {
	w.Helper()
	all, err := w.s.ListRelatives(w.Context(), w.citizen, w.now)
	w.ok(err)
	return all
}

// tie is one the other has agreed to.
func (w *world) tie(l session, other *world, there session) identity.ID {
	w.Helper()
	id, err := w.asks(l, other.citizen, fresh())
	w.ok(err)
	w.ok(w.s.AgreeRelative(w.Context(), id, other.from(audit.RelativeAgreed, there.ID)))
	return id
}

func relativeChecks() []check {
	end := func(w *world, l session, id identity.ID) error {
		return w.s.EndRelative(w.Context(), id, w.from(audit.RelativeEnded, l.ID))
	}
	by := func(w *world, tie identity.ID, other *world, there session) func(*loss.Report) {
		return func(r *loss.Report) { r.Tie, r.By, r.ByLogin = tie, other.citizen, there.ID }
	}
	return []check{
		{"named-and-agreed", func(w *world) {
			other, stranger := w.beside(), w.beside()
			l, there, third := w.signIn(identity.ID{}), other.signIn(identity.ID{}), stranger.signIn(identity.ID{})
			number := fresh()
			w.ok(w.name(l, other.citizen, number))
			w.is("the same number again", w.name(l, other.citizen, number), identity.ErrConflict)
			w.now = w.now.Add(time.Minute) // so that they come in order
			w.ok(w.name(l, identity.ID{}, fresh()))
			other.now, stranger.now = w.now, w.now
			mine, theirs := w.ties(), other.ties()
			// Whether anybody is there cannot be seen before they agree.
			if len(mine) != 2 || mine[0].Name != "" || mine[0].Card != mine[1].Card || mine[0].Other != mine[1].Other || mine[0].Named || len(stranger.ties()) != 0 {
				w.Errorf("whoever named sees %+v", mine)
			}
			if len(theirs) != 1 || !theirs[0].Named || theirs[0].Name != "欧**" || theirs[0].Card != "" || !theirs[0].Agreed.IsZero() {
				w.Errorf("whoever was named sees %+v", theirs)
			}
			id := theirs[0].ID
			agree := func(w *world, l session, id identity.ID) error {
				return w.s.AgreeRelative(w.Context(), id, w.from(audit.RelativeAgreed, l.ID))
			}
			w.is("by whoever named", agree(w, l, id), identity.ErrNotFound)
			w.is("by a stranger", agree(stranger, third, id), identity.ErrNotFound)
			w.is("ended by a stranger", end(stranger, third, id), identity.ErrNotFound)
			w.ok(agree(other, there, id))
			w.is("twice", agree(other, there, id), identity.ErrNotFound)
			if got := w.ties(); got[0].Name != "欧**" || got[0].Agreed.IsZero() || got[1].Name != "" {
				w.Errorf("agreed, whoever named sees %+v", got)
			}
			for _, e := range []struct {
				w    *world
				kind audit.Kind
			}{{w, audit.RelativeNamed}, {other, audit.RelativeAsked}, {w, audit.RelativeAgreed}, {other, audit.RelativeAgreed}} {
				if e.w.notices(e.kind) < 1 {
					w.Errorf("nobody hears of %s", e.kind)
				}
			}
			w.ok(end(other, there, id))
			w.is("ended twice", end(w, l, id), identity.ErrNotFound)
			if got := w.ties(); len(got) != 1 || len(other.ties()) != 0 || w.notices(audit.RelativeEnded) != 1 {
				w.Errorf("ended, there is %+v", got)
			}
		}},
		{"refused-or-forgotten", func(w *world) {
			other := w.beside()
			l, there := w.signIn(identity.ID{}), other.signIn(identity.ID{})
			w.ok(w.name(l, other.citizen, fresh()))
			id := w.ties()[0].ID
			w.ok(end(other, there, id))
			if got := w.ties(); len(got) != 1 || len(other.ties()) != 0 || w.notices(audit.RelativeEnded) != 0 {
				w.Errorf("whoever asked can tell that it was refused: %+v", got)
			}
			w.is("agreed to afterwards", w.s.AgreeRelative(w.Context(), id, other.from(audit.RelativeAgreed, there.ID)), identity.ErrNotFound)
			w.now = w.now.Add(59 * time.Minute)
			other.now = w.now
			l, there = w.signIn(identity.ID{}), other.signIn(identity.ID{})
			w.ok(w.name(l, other.citizen, fresh()))
			w.now, other.now = w.now.Add(time.Hour), w.now.Add(time.Hour)
			l, there = w.signIn(identity.ID{}), other.signIn(identity.ID{})
			if len(w.ties())+len(other.ties()) != 0 {
				w.Error("a question outlives its time")
			}
			for range authn.MaxRelatives { // and makes room
				w.ok(w.name(l, identity.ID{}, fresh()))
			}
			w.is("one more", w.name(l, identity.ID{}, fresh()), identity.ErrConflict)
			w.ok(w.s.EndOtherLogins(w.Context(), w.citizen, identity.ID{}, w.event(audit.LoginsEnded)))
			w.is("from a login that ended", end(w, l, w.ties()[0].ID), identity.ErrEnded)
		}},
		{"nobody-costs-as-much", func(w *world) {
			other := w.beside()
			l := w.signIn(identity.ID{})
			asked := func(whom identity.ID) []string {
				w.Helper()
				counted := *w
				ctx, count := storage.WithQueryCount(w.ctx)
				counted.ctx = ctx
				w.ok(counted.name(l, whom, fresh()))
				return count.SQL()
			}
			somebody, nobody := asked(other.citizen), asked(identity.ID{})
			if len(somebody) < 5 || !slices.Equal(somebody, nobody) {
				w.Errorf("of a number that is somebody's:\n%q\nand nobody's:\n%q", somebody, nobody)
			}
			if other.notices(audit.RelativeAsked) != 1 || w.entries(audit.RelativeAsked) != 0 || w.notices(audit.RelativeAsked) != 0 {
				w.Error("somebody else hears of it")
			}
		}},
		{"a-question-does-not-outlive-what-it-was-asked-with", func(w *world) {
			other := w.beside()
			l, there := w.signIn(identity.ID{}), other.signIn(identity.ID{})
			tie := w.tie(l, other, there)
			id, err := w.asks(l, other.citizen, fresh())
			w.ok(err)
			theirs, err := other.asks(there, w.citizen, fresh())
			w.ok(err)
			w.ok(w.s.SetPassword(w.Context(), w.citizen, "x", l.ID, w.from(audit.PasswordChanged, l.ID)))
			w.is("agreed to afterwards", w.s.AgreeRelative(w.Context(), id, other.from(audit.RelativeAgreed, there.ID)), identity.ErrNotFound)
			if mine := w.ties(); len(mine) != 2 || mine[0].ID != tie && mine[1].ID != tie || mine[0].ID != theirs && mine[1].ID != theirs {
				w.Errorf("a tie, or what somebody else asked, went with it: %+v", mine)
			}
		}},
		{"reset-with-the-factors", func(w *world) {
			other := w.beside()
			l, there := w.signIn(identity.ID{}), other.signIn(identity.ID{})
			w.bindPhone(l)
			w.addPasskey(l, true)
			tie, back := w.tie(l, other, there), other.tie(there, w, l)
			code := fresh()
			w.ok(w.s.ResetFactors(w.Context(), w.citizen, code, w.now.Add(time.Hour), w.event(audit.FactorsReset)))
			w.ok(w.s.Activate(w.Context(), w.citizen, code, password, greeting, w.event(audit.CitizenActivated)))
			w.is("a report by whom a stranger may have named", w.lose(w.report(loss.Card, by(w, tie, other, there))), identity.ErrNotFound)
			if left := other.ties(); len(left) != 1 || left[0].ID != back || other.notices(audit.RelativeEnded) != 1 {
				w.Errorf("of the ties there is %+v", left)
			}
			if d, k := w.entries(audit.DeviceEnded), w.entries(audit.PasskeyRemoved); d != 2 || k != 1 {
				w.Errorf("%d devices and %d passkeys are in the trail", d, k)
			}
		}},
		{"reports", func(w *world) {
			other, stranger := w.beside(), w.beside()
			l, there, third := w.signIn(identity.ID{}), other.signIn(identity.ID{}), stranger.signIn(identity.ID{})
			tie := w.tie(l, other, there)
			w.is("by a stranger", w.lose(w.report(loss.Phone, by(w, tie, stranger, third))), identity.ErrNotFound)
			w.is("by whoever named, for the relative", other.lose(other.report(loss.Phone, by(other, tie, w, l))), identity.ErrNotFound)
			w.is("in a login of somebody else's", w.lose(w.report(loss.Phone, func(r *loss.Report) {
				r.Tie, r.By, r.ByLogin = tie, other.citizen, third.ID
			})), identity.ErrEnded)
			w.fault("half a relative", w.lose(w.report(loss.Phone, func(r *loss.Report) { r.Tie = tie })))
			w.live("after all that", l, true)
			w.ok(w.lose(w.report(loss.Phone, by(w, tie, other, there))))
			w.live("the session", l, false)
			other.live("the relative's", there, true)
			if w.notices(audit.LossReported) != 1 || other.entries(audit.RelativeReported) != 1 {
				w.Error("not in both trails")
			}
			w.ok(w.lose(w.report(loss.Card, by(w, tie, other, there))))
			w.is("again", w.lose(w.report(loss.Card, by(w, tie, other, there))), identity.ErrEnded)

			l = stranger.signIn(identity.ID{})
			tie = stranger.tie(l, other, there)
			w.ok(end(other, there, tie))
			w.is("by a relative of before", stranger.lose(stranger.report(loss.Phone, by(stranger, tie, other, there))), identity.ErrNotFound)
			tie = stranger.tie(l, other, there)
			w.ok(w.s.EndLogin(w.Context(), other.citizen, there.ID, other.from(audit.LoginEnded, there.ID)))
			w.is("in a session that ended", stranger.lose(stranger.report(loss.Phone, by(stranger, tie, other, there))), identity.ErrEnded)
		}},
	}
}
