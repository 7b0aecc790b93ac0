package storagetest

import (
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/console"
	"ecardid/identity"
)

// askAbout files a request of one order about the world's citizen.
func (w *world) askAbout(by clerk, act console.Act, target identity.ID) console.Request {
	w.Helper()
	o := console.Order{Act: act, Citizen: w.citizen, Target: target, Reason: "柜台核对本人"}
	r := console.Request{
		ID: identity.NewID(), Order: o, By: by.Staff, State: console.RequestOpen, Created: w.now, Expires: w.now.Add(console.RequestLife),
		Warrants: []console.Warrant{{ID: identity.NewID(), Order: o}},
	}
	w.ok(w.s.FileRequest(w.Context(), r, w.staffEvent(audit.RequestFiled, by.Staff)))
	return r
}

// overtakenChecks: what was asked for about a citizen does not undo what happened to them
// since (SECURITY G6).
func overtakenChecks() []check {
	freeze := func(w *world) error {
		return w.s.SetCardState(w.Context(), w.citizen, identity.CardFrozen, w.event(audit.CitizenFrozen))
	}
	var all []check
	for name, happen := range map[string]func(w *world, l session, phone identity.ID) error{
		"frozen":    func(w *world, _ session, _ identity.ID) error { return freeze(w) },
		"card-lost": func(w *world, _ session, _ identity.ID) error { return w.lose(w.report(loss.Card)) },
		"phone-lost": func(w *world, l session, _ identity.ID) error {
			return w.lose(w.report(loss.Phone, func(r *loss.Report) { r.Keep = l.ID }))
		},
		"suspended": func(w *world, _ session, phone identity.ID) error {
			return w.s.EndDevice(w.Context(), w.citizen, phone, identity.DeviceSuspended, nil, w.event(audit.DeviceSuspended))
		},
		"revoked": func(w *world, _ session, phone identity.ID) error {
			return w.s.EndDevice(w.Context(), w.citizen, phone, identity.DeviceRevoked, nil, w.event(audit.DeviceEnded))
		},
		"reset": func(w *world, _ session, _ identity.ID) error {
			return w.s.ResetFactors(w.Context(), w.citizen, nil, time.Time{}, w.event(audit.FactorsReset))
		},
		"cancelled": func(w *world, _ session, _ identity.ID) error {
			return w.s.SetCardState(w.Context(), w.citizen, identity.CardCancelled, w.event(audit.CitizenCancelled))
		},
		"closed": func(w *world, l session, _ identity.ID) error {
			return w.s.CloseAccount(w.Context(), w.citizen, l.ID, w.from(audit.CitizenCancelled, l.ID))
		},
	} {
		all = append(all, check{name, func(w *world) {
			l := w.signIn(identity.ID{})
			phone := w.bindPhone(l)
			asker, officer := w.join(console.Registrar), w.join(console.SecurityOfficer)
			open, approved := w.askAbout(asker, console.DeviceRestore, phone.ID), w.askAbout(asker, console.CardUnfreeze, identity.ID{})
			other := w.beside()
			theirs := other.askAbout(asker, console.CardUnfreeze, identity.ID{})
			_, err := w.approve(officer, approved, 1)
			w.ok(err)
			w.ok(happen(w, l, phone.ID))
			for _, r := range []console.Request{open, approved} {
				if got := w.stateOf(r.ID); got != console.RequestDropped {
					w.Errorf("%s is %s", r.Order.Act, got)
				}
			}
			_, err = w.approve(officer, open, 1)
			w.is("approved afterwards", err, identity.ErrConflict)
			w.is("carried out afterwards", w.perform(officer, approved.Warrants[0].ID), identity.ErrSpent)
			if n := w.entries(audit.RequestWithdrawn); n != 2 {
				w.Errorf("%d entries", n)
			}
			if got := w.stateOf(theirs.ID); got != console.RequestOpen {
				w.Errorf("somebody else's is %s", got)
			}
		}})
	}
	return append(all,
		check{"by-itself", func(w *world) {
			asker, officer := w.join(console.Registrar), w.join(console.SecurityOfficer)
			r := w.askAbout(asker, console.CardCancel, identity.ID{})
			_, err := w.approve(officer, r, 1)
			w.ok(err)
			e := w.staffEvent(audit.CitizenCancelled, officer.Staff)
			e.Citizen, e.Warrant = w.citizen, r.Warrants[0].ID
			w.ok(w.s.SetCardState(w.Context(), w.citizen, identity.CardCancelled, e))
			if got := w.stateOf(r.ID); got != console.RequestDone {
				w.Errorf("what it was asked by is %s", got)
			}
		}},
		check{"by-what-restores", func(w *world) {
			asker, officer := w.join(console.Registrar), w.join(console.SecurityOfficer)
			w.ok(freeze(w))
			r, other := w.askAbout(asker, console.CardUnfreeze, identity.ID{}), w.askAbout(asker, console.FactorRemove, identity.ID{})
			_, err := w.approve(officer, r, 1)
			w.ok(err)
			e := w.staffEvent(audit.CitizenRestored, officer.Staff)
			e.Citizen, e.Warrant = w.citizen, r.Warrants[0].ID
			w.ok(w.s.SetCardState(w.Context(), w.citizen, identity.CardNormal, e))
			if got := w.stateOf(other.ID); got != console.RequestOpen {
				w.Errorf("another is %s", got)
			}
		}},
		// Who reads a request is asked about the unit it was filed in, not where who asked
		// went since (SECURITY AD1).
		check{"the-unit-of-then", func(w *world) {
			w.join(console.Administrator)
			admin, asker := w.join(console.Administrator), w.join(console.Registrar)
			r := w.askAbout(asker, console.CardUnfreeze, identity.ID{})
			moved := asker.Staff
			moved.Unit = "31"
			w.ok(w.s.SetStaff(w.Context(), moved, w.staffEvent(audit.StaffChanged, admin.Staff)))
			got, err := w.s.StaffRequest(w.Context(), r.ID)
			w.ok(err)
			if got.By.ID != asker.ID || got.By.Unit != asker.Unit {
				w.Errorf("asked by %q of %q", got.By.Name, got.By.Unit)
			}
		}},
	)
}

func overtakenRaces() []race {
	return []race{
		// A phone that comes back in the moment it is reported lost is suspended, whichever
		// comes first.
		{"restored-and-lost", []error{identity.ErrNotFound, identity.ErrSpent, errNothing}, func(w *world) (func(*world, int) error, func()) {
			phone := w.bindPhone(w.signIn(identity.ID{}))
			w.ok(w.s.EndDevice(w.Context(), w.citizen, phone.ID, identity.DeviceSuspended, nil, w.event(audit.DeviceSuspended)))
			asker, officer := w.join(console.Registrar), w.join(console.SecurityOfficer)
			r := w.askAbout(asker, console.DeviceRestore, phone.ID)
			_, err := w.approve(officer, r, 1)
			w.ok(err)
			return func(w *world, i int) error {
				if i == 0 {
					return w.lose(w.report(loss.Phone))
				}
				e := w.staffEvent(audit.DeviceRestored, officer.Staff)
				e.Citizen, e.Device, e.Warrant = w.citizen, phone.ID, r.Warrants[0].ID
				if err := w.s.RestoreDevice(w.Context(), w.citizen, phone.ID, false, 0, e); err != nil {
					return err
				}
				return errNothing
			}, func() { w.stands("the phone", phone.ID, identity.DeviceSuspended) }
		}},
	}
}
