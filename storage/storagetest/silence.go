package storagetest

import (
	"errors"
	"testing"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/storage"
)

// endingActs are those by which somebody is kept out, and what hangs on them with them.
func endingActs() []act {
	dead := func(w *world, l session) func() bool {
		return func() bool {
			_, err := w.s.Login(w.Context(), l.token, w.now)
			return errors.Is(err, identity.ErrNotFound)
		}
	}
	return []act{
		{"freeze-card", audit.CitizenFrozen, func(w *world) (func(audit.Event) error, func() bool) {
			l := w.signIn(identity.ID{})
			return func(e audit.Event) error { return w.s.SetCardState(w.Context(), w.citizen, identity.CardFrozen, e) }, dead(w, l)
		}},
		{"report-loss", audit.LossReported, func(w *world) (func(audit.Event) error, func() bool) {
			l, key := w.signIn(identity.ID{}), identity.NewID()
			return func(e audit.Event) error {
				return w.s.ReportLoss(w.Context(), loss.Report{Citizen: w.citizen, What: loss.Card, Key: key[:]}, e)
			}, dead(w, l)
		}},
		{"report-phone", audit.LossReported, func(w *world) (func(audit.Event) error, func() bool) {
			l, key := w.signIn(identity.ID{}), identity.NewID()
			return func(e audit.Event) error {
				return w.s.ReportLoss(w.Context(), loss.Report{Citizen: w.citizen, What: loss.Phone, Key: key[:]}, e)
			}, dead(w, l)
		}},
	}
}

// Silence holds the store to doing nothing that it cannot write down (SECURITY AD3).
// forbid keeps every entry out of the trail behind the store's back, allow lets them in
// again. What is asked meanwhile fails, and not with a word by which somebody is told that
// there was nothing to do; nothing is changed; and it can be done afterwards.
func Silence(t *testing.T, s *storage.Store, forbid, allow func()) {
	for i, a := range append(acts(), endingActs()...) {
		t.Run(a.name, func(t *testing.T) {
			w := newWorld(t, s)
			w.now = start.AddDate(0, 0, i+1)
			do, done := a.begin(w)
			entries, notices := w.entries(a.kind), w.notices(a.kind)
			forbid()
			err := do(w.event(a.kind))
			changed := done()
			allow()
			w.fault("without its entry", err)
			if changed {
				w.Fatal("it was done without its entry")
			}
			if w.entries(a.kind) != entries || w.notices(a.kind) != notices {
				w.Error("something was written down all the same")
			}
			w.is("afterwards", do(w.event(a.kind)), nil)
			if !done() || w.entries(a.kind) != entries+1 {
				w.Error("afterwards it was not done, or not written down")
			}
		})
	}
}
