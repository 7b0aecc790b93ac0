package storagetest

import (
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/oauth"
)

func (w *world) report(what loss.What, change ...func(*loss.Report)) loss.Report {
	r := loss.Report{Citizen: w.citizen, What: what, Key: fresh(), Signed: "signed"}
	for _, c := range change {
		c(&r)
	}
	return r
}

func (w *world) lose(r loss.Report) error {
	return w.s.ReportLoss(w.Context(), r, w.event(audit.LossReported))
}

// state is where a device stands.
func (w *world) state(id identity.ID) identity.DeviceState {
	w.Helper()
	d, err := w.s.Device(w.Context(), w.citizen, id)
	w.ok(err)
	return d.State
}

func (w *world) stands(what string, id identity.ID, want identity.DeviceState) {
	w.Helper()
	if got := w.state(id); got != want {
		w.Errorf("%s is %s, want %s", what, got, want)
	}
}

func lossChecks() []check {
	restore := func(w *world, id, login identity.ID, alone bool) error {
		e := w.from(audit.DeviceRestored, login)
		e.Device = id
		return w.s.RestoreDevice(w.Context(), w.citizen, id, alone, 0, e)
	}
	return []check{
		{"a-phone", func(w *world) {
			ctx := w.Context()
			l, other := w.signIn(identity.ID{}), w.beside()
			phone, browser := w.bindPhone(l), w.trustBrowser(l)
			key, held, synced := w.addPasskey(l, true), w.addPasskey(l, true), w.addPasskey(l, false)
			f, half, code := w.family(l, opaque, offline), w.flow(), w.code(l)
			theirs := other.signIn(identity.ID{})
			r := w.report(loss.Phone, func(r *loss.Report) { r.Spare = held.Device })
			w.ok(w.lose(r))
			w.stands("the phone", phone.ID, identity.DeviceSuspended)
			w.stands("a passkey's device", key.Device, identity.DeviceSuspended)
			w.stands("the one in hand", held.Device, identity.DeviceActive)
			w.stands("the browser", browser.ID, identity.DeviceRevoked)
			w.live("the session", l, false)
			w.accepted("the family", f, false)
			_, err := w.s.Redeem(ctx, w.redemption(code))
			w.is("the code", err, identity.ErrNotFound)
			_, err = w.s.Flow(ctx, half.ID, half.Browser, w.now)
			w.is("the half-finished login", err, identity.ErrNotFound)
			_, err = w.s.Phone(ctx, phone.ID)
			w.is("the phone's signature", err, identity.ErrNotFound)
			_, _, err = w.s.Browser(ctx, browser.Cookie, w.now)
			w.is("the remembered browser", err, identity.ErrNotFound)
			_, _, err = w.s.PasskeyByCredential(ctx, key.Credential.ID)
			w.is("the passkey", err, identity.ErrNotFound)
			_, _, err = w.s.PasskeyByCredential(ctx, held.Credential.ID)
			w.is("the passkey in hand", err, nil)
			_, _, err = w.s.PasskeyByCredential(ctx, synced.Credential.ID)
			w.is("the synced passkey, which is on the phone as well", err, identity.ErrNotFound)
			other.live("somebody else", theirs, true)
			what, when, signed, err := w.s.LossReceipt(ctx, r.Key)
			if err != nil || what != loss.Phone || !when.Equal(w.now) || signed != "signed" {
				w.Errorf("receipt: %v %v %q %v", what, when, signed, err)
			}
			_, _, _, err = w.s.LossReceipt(ctx, fresh())
			w.is("another receipt", err, identity.ErrNotFound)
			if w.entries(audit.LossReported) != 1 || w.notices(audit.LossReported) != 1 {
				w.Error("not in the trail, or the citizen does not hear of it")
			}
			// Each that ended has an entry, and nobody hears of it twice.
			if d, k := w.entries(audit.DeviceEnded), w.entries(audit.PasskeyRemoved); d != 3 || k != 1 || w.notices(audit.DeviceEnded)+w.notices(audit.PasskeyRemoved) != 0 {
				w.Errorf("%d devices and %d passkeys are in the trail, %d notices", d, k, w.notices(audit.DeviceEnded)+w.notices(audit.PasskeyRemoved))
			}
			// Once more is no harm.
			w.ok(w.lose(w.report(loss.Phone)))
			w.stands("the one in hand, then", held.Device, identity.DeviceSuspended)
		}},
		{"the-card", func(w *world) {
			l := w.signIn(identity.ID{})
			phone := w.bindPhone(l)
			gen := w.bindTOTP(l)
			w.ok(w.lose(w.report(loss.Card, func(r *loss.Report) { r.Spare = phone.ID })))
			w.stands("even the phone in hand", phone.ID, identity.DeviceSuspended)
			a, err := w.s.Account(w.Context(), w.citizen)
			if err != nil || a.State != identity.CardTempLost {
				w.Errorf("the card is %s, %v", a.State, err)
			}
			w.is("again", w.lose(w.report(loss.Card)), identity.ErrEnded)
			w.is("the phone of a lost card", w.lose(w.report(loss.Phone)), identity.ErrEnded)
			w.is("a device of a lost card", restore(w, phone.ID, identity.ID{}, true), identity.ErrEnded)

			stale := w.epoch() - 1
			w.is("by what was proved before", w.s.RestoreCard(w.Context(), w.citizen, stale, gen.ID, 800, w.event(audit.LossUndone)), identity.ErrConflict)
			undo := func(step int64) error {
				return w.s.RestoreCard(w.Context(), w.citizen, w.epoch(), gen.ID, step, w.event(audit.LossUndone))
			}
			epoch := w.epoch()
			w.is("with a used code", undo(0), identity.ErrSpent)
			w.ok(undo(900))
			w.is("twice", undo(901), identity.ErrConflict)
			if w.epoch() <= epoch {
				w.Error("the epoch did not rise")
			}
			w.live("the session of before", l, false)
			w.stands("the phone", phone.ID, identity.DeviceSuspended)
			again := w.signIn(identity.ID{})
			w.ok(restore(w, phone.ID, again.ID, true))
			w.stands("the phone that is found", phone.ID, identity.DeviceActive)
		}},
		{"one-device-from-another", func(w *world) {
			l := w.signIn(identity.ID{})
			phone, key := w.bindPhone(l), w.addPasskey(l, true)
			on := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID})
			device := func(keep identity.ID) loss.Report {
				return w.report(loss.Device, func(r *loss.Report) { r.Device, r.Keep = phone.ID, keep })
			}
			other := w.beside()
			w.is("somebody else's", other.lose(other.report(loss.Device, func(r *loss.Report) { r.Device = phone.ID })), identity.ErrNotFound)
			w.live("after a stranger's try", on, true)
			w.ok(w.lose(device(l.ID)))
			w.live("the one that reports", l, true)
			w.live("the one on it", on, false)
			w.stands("the other device", key.Device, identity.DeviceActive)
			w.is("what is suspended", w.lose(device(l.ID)), identity.ErrNotFound)
			w.is("from a login that ended", w.lose(device(on.ID)), identity.ErrEnded)

			w.is("restored from a login that ended", restore(w, phone.ID, on.ID, true), identity.ErrEnded)
			w.is("restored by somebody else", restore(other, phone.ID, identity.ID{}, true), identity.ErrNotFound)
			second := w.bindPhone(l)
			w.is("beside another", restore(w, phone.ID, l.ID, true), identity.ErrConflict)
			w.ok(restore(w, phone.ID, l.ID, false))
			w.is("twice", restore(w, phone.ID, l.ID, false), identity.ErrNotFound)
			w.live("what hung on it stays dead", on, false)
			// From a session that stands on it, reporting ends that session too.
			on = w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: second.ID})
			w.ok(w.lose(w.report(loss.Device, func(r *loss.Report) { r.Device, r.Keep = second.ID, on.ID })))
			w.live("itself", on, false)
		}},
		{"told-once", func(w *world) {
			for what, c := range map[string]struct {
				act  func(w *world, l session) error
				want []string
			}{
				"a phone": {func(w *world, _ session) error { return w.lose(w.report(loss.Phone)) }, []string{"session-revoked", "device-compliance-change"}},
				"factors": {func(w *world, _ session) error {
					return w.s.ResetFactors(w.Context(), w.citizen, fresh(), w.now.Add(time.Hour), w.event(audit.FactorsReset))
				}, []string{"session-revoked", "credential-change", "credential-change", "credential-change"}},
				"all": {func(w *world, l session) error {
					return w.s.CloseAccount(w.Context(), w.citizen, l.ID, w.from(audit.CitizenCancelled, l.ID))
				}, []string{"session-revoked", "account-disabled"}},
			} {
				d := w.beside()
				l := d.signIn(identity.ID{})
				d.family(l)
				d.bindPhone(l)
				d.addPasskey(l, true)
				d.addPasskey(l, false)
				st := d.stream(oauth.DeliveryPoll)
				d.ok(c.act(d, l))
				d.hears(what, st, c.want...)
				if n := d.entries(audit.DeviceEnded); n < 2 {
					d.Errorf("%s: of the devices %d are in the trail", what, n)
				}
			}
		}},
		{"back-and-waited-for", func(w *world) {
			const day = 24 * time.Hour
			back := func(id identity.ID, wait time.Duration) {
				w.Helper()
				e := w.event(audit.DeviceRestored)
				e.Device = id
				w.ok(w.s.RestoreDevice(w.Context(), w.citizen, id, false, wait, e))
			}
			suspend := func(id identity.ID) {
				w.Helper()
				w.ok(w.lose(w.report(loss.Device, func(r *loss.Report) { r.Device = id })))
			}
			cooling := func(what string, want time.Time) {
				w.Helper()
				if l := w.signIn(identity.ID{}); true {
					got, err := w.s.Login(w.Context(), l.token, w.now)
					if err != nil || !got.Cooling.Equal(want) {
						w.Errorf("%s: cooling until %v, want %v, %v", what, got.Cooling, want, err)
					}
				}
			}
			phone := w.waitedFor(w.signIn(identity.ID{}), day)
			w.now = w.now.Add(time.Hour)
			suspend(phone.ID)
			w.now = w.now.Add(3 * day)
			back(phone.ID, 0) // by staff: of its day 23 hours are left
			cooling("suspended while it cooled", w.now.Add(23*time.Hour))
			suspend(phone.ID)
			w.now = w.now.Add(3 * day)
			back(phone.ID, day) // by the citizen: they wait anew
			cooling("restored by the citizen", w.now.Add(day))
			over := w.now.Add(day)
			w.now = w.now.Add(2 * day)
			suspend(phone.ID)
			w.now = w.now.Add(time.Hour)
			back(phone.ID, 0)
			cooling("its wait was over", over)
			suspend(phone.ID)
			back(phone.ID, day)
			cooling("by the citizen, long after", w.now.Add(day))
		}},
		{"lost-for-good", func(w *world) {
			l := w.signIn(identity.ID{})
			for _, state := range []identity.DeviceState{identity.DeviceLost, identity.DeviceRevoked} {
				phone := w.bindPhone(l)
				e := w.from(audit.DeviceEnded, l.ID)
				e.Device = phone.ID
				w.ok(w.s.EndDevice(w.Context(), w.citizen, phone.ID, state, nil, e))
				w.is(string(state), restore(w, phone.ID, l.ID, false), identity.ErrNotFound)
				w.is("reported", w.lose(w.report(loss.Device, func(r *loss.Report) { r.Device = phone.ID })), identity.ErrNotFound)
				again := phone
				again.ID = identity.NewID()
				w.is("the same key", w.s.BindPhone(w.Context(), w.enrol(l).ID, again, w.now, w.from(audit.DeviceBound, l.ID)), identity.ErrConflict)
			}
		}},
		{"a-proof-counts-once", func(w *world) {
			l := w.signIn(identity.ID{})
			gen, code := w.bindTOTP(l), fresh()
			w.ok(w.s.ReplaceRecovery(w.Context(), w.citizen, [][]byte{code}, w.from(audit.RecoveryRenewed, l.ID)))
			for want, has := range map[bool][]byte{true: code, false: fresh()} {
				if got, err := w.s.HasRecovery(w.Context(), w.citizen, has); err != nil || got != want {
					w.Errorf("HasRecovery: %v, %v", got, err)
				}
			}
			step := func(r *loss.Report) { r.TOTP, r.Step = gen.ID, 900 }
			paper := func(r *loss.Report) { r.Recovery = code }
			w.ok(w.lose(w.report(loss.Phone, step)))
			w.is("the step again", w.lose(w.report(loss.Phone, step)), identity.ErrSpent)
			w.ok(w.lose(w.report(loss.Phone, paper)))
			w.is("the code again", w.lose(w.report(loss.Card, paper)), identity.ErrNotFound)
			if a, err := w.s.Account(w.Context(), w.citizen); err != nil || a.State != identity.CardNormal {
				w.Errorf("a refused report moved the card to %s, %v", a.State, err)
			}
		}},
		{"one-phone", func(w *world) {
			l := w.signIn(identity.ID{})
			old := w.bindPhone(l)
			on := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: old.ID})
			e := w.enrolment(l)
			e.Alone, e.CoolOff = true, 24*time.Hour
			w.ok(w.s.OpenEnrolment(w.Context(), e))
			_, err := w.s.ClaimEnrolment(w.Context(), e.Code, "challenge", w.now.Add(time.Minute), w.now)
			w.ok(err)
			phone := w.newPhone()
			w.ok(w.s.BindPhone(w.Context(), e.ID, phone, w.now, w.from(audit.DeviceBound, l.ID)))
			w.stands("the old phone", old.ID, identity.DeviceRevoked)
			w.stands("the new one", phone.ID, identity.DeviceActive)
			w.live("the one that binds", l, true)
			w.live("the one on the old phone", on, false)
			got, err := w.s.Login(w.Context(), l.token, w.now)
			if err != nil || !got.Cooling.Equal(w.now.Add(24*time.Hour)) {
				w.Errorf("cooling until %v, %v", got.Cooling, err)
			}
			if w.notices(audit.DeviceEnded) != 1 {
				w.Error("nobody hears of the old phone")
			}
		}},
		{"a-new-key", func(w *world) {
			l := w.signIn(identity.ID{})
			cooling := func(what string, want time.Time) {
				w.Helper()
				if got, err := w.s.Login(w.Context(), l.token, w.now); err != nil || !got.Cooling.Equal(want) {
					w.Errorf("%s: cooling until %v, want %v, %v", what, got.Cooling, want, err)
				}
			}
			w.addPasskey(l, true)
			cooling("nobody said for how long", time.Time{})
			add := func(wait time.Duration) {
				p, d := w.newPasskey(true)
				p.CoolOff = wait
				w.ok(w.s.AddPasskey(w.Context(), p, d, nil, w.from(audit.PasskeyBound, l.ID)))
			}
			until := w.now.Add(24 * time.Hour)
			add(24 * time.Hour)
			cooling("after a key", until)
			add(time.Hour)
			cooling("a shorter wait ends no longer one", until)
		}},
		{"nonsense", func(w *world) {
			for _, r := range []loss.Report{
				w.report("purse"), w.report(loss.Device), w.report(loss.Card, func(r *loss.Report) { r.Device = identity.NewID() }),
				w.report(loss.Card, func(r *loss.Report) { r.Key = nil }),
			} {
				w.fault(string(r.What), w.lose(r))
			}
		}},
	}
}
