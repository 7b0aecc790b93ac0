package storagetest

import (
	"bytes"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/liveness"
)

// limits leave room for two sessions of a transaction and three of a citizen.
var limits = liveness.Limits{PerSession: 2, PerTransaction: 2, Tries: 6, TriesWithin: 10 * time.Minute, PerDay: 10}

func (w *world) livenessSession() liveness.Session {
	return liveness.Session{ID: identity.NewID(), Provider: "provider", TxnHash: fresh(), Citizen: w.citizen, Purpose: liveness.PurposeStepUp,
		State: liveness.StatePending, Begun: w.now, Ends: w.now.Add(5 * time.Minute)}
}

func (w *world) begin() liveness.Session {
	w.Helper()
	v := w.livenessSession()
	w.ok(w.s.Liveness().Begin(w.Context(), v, limits))
	return v
}

func (w *world) passed() liveness.Settlement {
	return liveness.Settlement{State: liveness.StatePassed, Band: liveness.BandClear, JTI: fresh(), Digest: fresh(), Tries: 1, Captured: w.now, At: w.now}
}

func livenessChecks() []check {
	return []check{
		{"read-back", func(w *world) {
			ctx, l := w.Context(), w.s.Liveness()
			v := w.begin()
			v.Device = w.bindPhone(w.signIn(identity.ID{})).ID
			v.ID, v.TxnHash = identity.NewID(), fresh()
			w.ok(l.Begin(ctx, v, limits))
			got, err := l.Get(ctx, v.ID)
			w.is("reading", err, nil)
			if got.Provider != "provider" || got.ProviderSession != "" || !bytes.Equal(got.TxnHash, v.TxnHash) || got.Citizen != w.citizen || got.Device != v.Device ||
				got.Purpose != v.Purpose || got.State != liveness.StatePending || !got.Begun.Equal(v.Begun) || !got.Ends.Equal(v.Ends) || got.Notice != nil || got.Contradicted || !got.Standing {
				w.Errorf("%+v", got)
			}
			_, err = l.Get(ctx, identity.NewID())
			w.is("unknown", err, identity.ErrNotFound)
			w.is("settling what is unknown", l.Settle(ctx, identity.NewID(), w.passed()), identity.ErrNotFound)
			nobody := w.livenessSession()
			nobody.Citizen = identity.NewID()
			if l.Begin(ctx, nobody, limits) == nil {
				w.Error("a session of nobody")
			}
			w.ok(w.s.EndDevice(ctx, w.citizen, v.Device, identity.DeviceLost, nil, w.event(audit.DeviceEnded)))
			if got, err := l.Get(ctx, v.ID); err != nil || got.Standing {
				w.Errorf("after the device was lost: %+v, %v", got, err)
			}
		}},
		{"limits", func(w *world) {
			ctx, l := w.Context(), w.s.Liveness()
			txn := w.livenessSession()
			begin := func(txnHash []byte, want error) liveness.Session {
				w.Helper()
				v := w.livenessSession()
				v.TxnHash = txnHash
				w.is("beginning", l.Begin(ctx, v, limits), want)
				_, err := l.Get(ctx, v.ID)
				if want == nil {
					w.is("reading", err, nil)
				} else {
					w.is("reading", err, identity.ErrNotFound)
				}
				return v
			}
			settle := func(v liveness.Session, tries int) {
				w.Helper()
				w.ok(l.Settle(ctx, v.ID, liveness.Settlement{State: liveness.StateFailed, Reason: liveness.ReasonVerdict, Tries: tries, At: w.now}))
			}
			a, b := begin(txn.TxnHash, nil), begin(txn.TxnHash, nil)
			settle(a, 0) // whatever came of them
			begin(txn.TxnHash, liveness.ErrTransactionLimit)
			settle(b, 1) // 0+1 of 6
			c, d := begin(fresh(), nil), begin(fresh(), nil)
			begin(fresh(), liveness.ErrCitizenLimit) // 1+2+2+2 > 6: pending ones count in full
			w.now = c.Ends.Add(time.Minute)
			begin(fresh(), liveness.ErrCitizenLimit) // also when their time is over
			settle(c, 1)
			begin(fresh(), nil) // 1+1+2+2 = 6
			begin(fresh(), liveness.ErrCitizenLimit)
			other := w.beside()
			v := other.livenessSession()
			w.is("another citizen", l.Begin(ctx, v, limits), nil)
			w.now = start.Add(limits.TriesWithin + time.Minute)
			settle(d, 2)
			begin(fresh(), nil) // within the day: 0+1+1+2+2+2
			begin(fresh(), nil) // 10
			w.now = w.now.Add(limits.TriesWithin + time.Minute)
			begin(fresh(), liveness.ErrCitizenLimit)
			w.now = start.Add(25 * time.Hour)
			begin(fresh(), nil)
		}},
		{"attached-once", func(w *world) {
			ctx, l := w.Context(), w.s.Liveness()
			a, b := w.begin(), w.begin()
			name := identity.NewID().String()
			w.is("attaching", l.Attach(ctx, a.ID, name), nil)
			w.is("again", l.Attach(ctx, a.ID, name), identity.ErrConflict)
			w.is("another name", l.Attach(ctx, a.ID, name+"x"), identity.ErrConflict)
			w.is("a name that is taken", l.Attach(ctx, b.ID, name), identity.ErrConflict)
			w.is("unknown", l.Attach(ctx, identity.NewID(), name+"y"), identity.ErrConflict)
			elsewhere := w.livenessSession()
			elsewhere.Provider = "another provider"
			w.ok(l.Begin(ctx, elsewhere, limits))
			w.is("the same name elsewhere", l.Attach(ctx, elsewhere.ID, name), nil)
			w.ok(l.Settle(ctx, b.ID, liveness.Settlement{State: liveness.StateUnavailable, At: w.now}))
			w.is("settled", l.Attach(ctx, b.ID, name+"z"), identity.ErrConflict)
			if got, err := l.Get(ctx, a.ID); err != nil || got.ProviderSession != name {
				w.Errorf("%+v, %v", got, err)
			}
		}},
		{"notices", func(w *world) {
			ctx, l := w.Context(), w.s.Liveness()
			v := w.begin()
			name := identity.NewID().String()
			w.ok(l.Attach(ctx, v.ID, name))
			first, second := liveness.Notice{JTI: fresh(), Digest: fresh()}, liveness.Notice{JTI: fresh(), Digest: fresh()}
			same := liveness.Notice{JTI: fresh(), Digest: first.Digest}
			w.is("unknown", l.Note(ctx, "provider", name+"x", first), identity.ErrNotFound)
			w.is("another provider", l.Note(ctx, "another provider", name, first), identity.ErrNotFound)
			for i, n := range []liveness.Notice{first, same, second} {
				w.is("noting", l.Note(ctx, "provider", name, n), nil)
				got, err := l.Get(ctx, v.ID)
				w.ok(err)
				if got.Notice == nil || !bytes.Equal(got.Notice.JTI, first.JTI) || !bytes.Equal(got.Notice.Digest, first.Digest) || got.Contradicted != (i == 2) {
					w.Errorf("after %d: %+v", i, got)
				}
			}
			how := w.passed()
			how.Digest = first.Digest
			w.is("passing", l.Settle(ctx, v.ID, how), liveness.ErrContradicted)
			w.is("noting what is settled", l.Note(ctx, "provider", name, first), identity.ErrNotFound)
			if got, err := l.Get(ctx, v.ID); err != nil || got.State != liveness.StateFailed {
				w.Errorf("%+v, %v", got, err)
			}
		}},
		{"settled-once", func(w *world) {
			ctx, l := w.Context(), w.s.Liveness()
			a, b, c := w.begin(), w.begin(), w.begin()
			how := w.passed()
			w.is("settling", l.Settle(ctx, a.ID, how), nil)
			w.is("again", l.Settle(ctx, a.ID, w.passed()), identity.ErrSpent)
			w.is("again with the same", l.Settle(ctx, a.ID, how), identity.ErrSpent, liveness.ErrReplayed)
			w.is("the same result elsewhere", l.Settle(ctx, b.ID, how), liveness.ErrReplayed)
			failed := how
			failed.State = liveness.StateFailed
			w.is("failing with the same result", l.Settle(ctx, b.ID, failed), liveness.ErrReplayed)
			if got, err := l.Get(ctx, b.ID); err != nil || got.State != liveness.StatePending {
				w.Errorf("%+v, %v", got, err)
			}
			w.is("with its own", l.Settle(ctx, b.ID, w.passed()), nil)
			w.is("without a result", l.Settle(ctx, c.ID, liveness.Settlement{State: liveness.StateExpired, Tries: 2, At: w.now}), nil)
			for v, want := range map[identity.ID]liveness.State{a.ID: liveness.StatePassed, b.ID: liveness.StatePassed, c.ID: liveness.StateExpired} {
				if got, err := l.Get(ctx, v); err != nil || got.State != want {
					w.Errorf("%+v, %v", got, err)
				}
			}
		}},
		{"only-in-good-standing", func(w *world) {
			ctx, l := w.Context(), w.s.Liveness()
			settle := func(what string, v liveness.Session, how liveness.Settlement, want error, state liveness.State) {
				w.Helper()
				w.is(what, l.Settle(ctx, v.ID, how), want)
				if got, err := l.Get(ctx, v.ID); err != nil || got.State != state {
					w.Errorf("%s: %+v, %v", what, got, err)
				}
			}
			phone := w.bindPhone(w.signIn(identity.ID{}))
			v := w.livenessSession()
			v.Device = phone.ID
			w.ok(l.Begin(ctx, v, limits))
			noted := w.begin()
			name := identity.NewID().String()
			w.ok(l.Attach(ctx, noted.ID, name))
			w.ok(l.Note(ctx, "provider", name, liveness.Notice{JTI: fresh(), Digest: fresh()}))
			settle("another digest than the notice's", noted, w.passed(), liveness.ErrContradicted, liveness.StateFailed)
			w.ok(w.s.EndDevice(ctx, w.citizen, phone.ID, identity.DeviceSuspended, nil, w.event(audit.DeviceEnded)))
			settle("a device that ended", v, w.passed(), liveness.ErrStanding, liveness.StateFailed)
			w.now = w.now.Add(time.Hour)
			frozen, failed := w.begin(), w.begin()
			w.freeze(identity.CardFrozen)
			settle("a frozen card", frozen, w.passed(), liveness.ErrStanding, liveness.StateFailed)
			settle("failing with a frozen card", failed, liveness.Settlement{State: liveness.StateFailed, Reason: liveness.ReasonVerdict, At: w.now}, nil, liveness.StateFailed)
			w.freeze(identity.CardNormal)
			settle("after it was restored", frozen, w.passed(), identity.ErrSpent, liveness.StateFailed)
		}},
	}
}
