package storagetest

import (
	"bytes"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/authn/totp"
	"ecardid/identity"
)

var seed = []byte("a seed that nobody may find in a dump")

func (w *world) proposal() authn.TOTPFactor {
	return authn.TOTPFactor{ID: identity.NewID(), Citizen: w.citizen, Seed: seed, Algorithm: totp.RFC6238, Created: w.now}
}

// bindTOTP confirms a generator with step 100.
func (w *world) bindTOTP(l session) authn.TOTPFactor {
	w.Helper()
	f := w.proposal()
	w.ok(w.s.ProposeTOTP(w.Context(), f))
	w.ok(w.s.ConfirmTOTP(w.Context(), w.citizen, f.ID, 100, identity.ID{}, nil, w.from(audit.TOTPBound, l.ID)))
	return f
}

// addPasskey stores a synced passkey, or one on a device of its own.
func (w *world) addPasskey(l session, bound bool) authn.Passkey {
	w.Helper()
	p, d := w.newPasskey(bound)
	w.ok(w.s.AddPasskey(w.Context(), p, d, nil, w.from(audit.PasskeyBound, l.ID)))
	return p
}

func (w *world) newPasskey(bound bool) (authn.Passkey, *authn.Device) {
	p := authn.Passkey{ID: identity.NewID(), Citizen: w.citizen, Name: "key", Created: w.now,
		Credential: passkey.Credential{ID: fresh(), RPID: "id.example", PublicKey: []byte("COSE"), SignCount: 5}}
	if !bound {
		return p, nil
	}
	p.Device = identity.NewID()
	return p, &authn.Device{ID: p.Device, Citizen: w.citizen, Kind: identity.DeviceAuthenticator, Name: "key", Created: w.now}
}

func factorChecks() []check {
	return []check{
		{"totp-proposed-and-confirmed", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			_, err := w.s.TOTP(ctx, w.citizen)
			w.is("none", err, identity.ErrNotFound)
			first, second := w.proposal(), w.proposal()
			w.ok(w.s.ProposeTOTP(ctx, first))
			w.ok(w.s.ProposeTOTP(ctx, second))
			_, err = w.s.PendingTOTP(ctx, w.citizen, first.ID, w.now)
			w.is("the earlier proposal", err, identity.ErrNotFound)
			got, err := w.s.PendingTOTP(ctx, w.citizen, second.ID, w.now)
			w.is("the proposal", err, nil)
			if !bytes.Equal(got.Seed, seed) || got.Algorithm != totp.RFC6238 || !got.Confirmed.IsZero() {
				w.Errorf("%+v", got)
			}
			_, err = w.s.PendingTOTP(ctx, w.citizen, second.ID, w.now.Add(time.Millisecond))
			w.is("an old proposal", err, identity.ErrNotFound)
			_, err = w.s.PendingTOTP(ctx, w.beside().citizen, second.ID, w.now)
			w.is("another's proposal", err, identity.ErrNotFound)
			_, err = w.s.TOTP(ctx, w.citizen)
			w.is("not confirmed", err, identity.ErrNotFound)
			w.is("a step of a proposal", w.s.SpendStep(ctx, w.citizen, second.ID, 5), identity.ErrSpent)
			if a, err := w.s.Account(ctx, w.citizen); err != nil || a.Factors.Any() {
				w.Errorf("a proposal counts: %+v, %v", a.Factors, err)
			}
			other := w.beside()
			w.is("confirmed by another", w.s.ConfirmTOTP(ctx, other.citizen, second.ID, 100, identity.ID{}, nil, other.event(audit.TOTPBound)), identity.ErrNotFound)
			w.ok(w.s.ConfirmTOTP(ctx, w.citizen, second.ID, 100, identity.ID{}, nil, w.from(audit.TOTPBound, l.ID)))
			w.is("confirmed again", w.s.ConfirmTOTP(ctx, w.citizen, second.ID, 200, identity.ID{}, nil, w.event(audit.TOTPBound)), identity.ErrSpent)
			got, err = w.s.TOTP(ctx, w.citizen)
			w.is("confirmed", err, nil)
			if got.ID != second.ID || got.LastStep != 100 || got.Confirmed.IsZero() {
				w.Errorf("%+v", got)
			}
			third := w.bindTOTP(l)
			got, err = w.s.TOTP(ctx, w.citizen)
			w.is("replaced", err, nil)
			if got.ID != third.ID {
				w.Error("the factor before is still there")
			}
			w.is("a step of the factor before", w.s.SpendStep(ctx, w.citizen, second.ID, 500), identity.ErrSpent)
		}},
		{"totp-steps", func(w *world) {
			ctx := w.Context()
			f := w.bindTOTP(w.signIn(identity.ID{}))
			for _, tt := range []struct {
				step int64
				want error
			}{{99, identity.ErrSpent}, {100, identity.ErrSpent}, {101, nil}, {101, identity.ErrSpent}, {100, identity.ErrSpent}, {103, nil}, {102, identity.ErrSpent}} {
				w.is("step", w.s.SpendStep(ctx, w.citizen, f.ID, tt.step), tt.want)
			}
			w.is("another's", w.s.SpendStep(ctx, w.beside().citizen, f.ID, 200), identity.ErrSpent)
			w.is("unknown", w.s.SpendStep(ctx, w.citizen, identity.NewID(), 200), identity.ErrSpent)
		}},
		{"totp-removed", func(w *world) {
			ctx := w.Context()
			keep, other := w.signIn(identity.ID{}), w.signIn(identity.ID{})
			w.is("none", w.s.RemoveTOTP(ctx, w.citizen, keep.ID, nil, w.event(audit.TOTPRemoved)), identity.ErrNotFound)
			f := w.bindTOTP(keep)
			fam, before := w.family(other, opaque, offline), w.epoch()
			w.ok(w.s.RemoveTOTP(ctx, w.citizen, keep.ID, nil, w.from(audit.TOTPRemoved, keep.ID)))
			if w.epoch() != before+1 {
				w.Error("the epoch was not raised once")
			}
			_, err := w.s.TOTP(ctx, w.citizen)
			w.is("the factor", err, identity.ErrNotFound)
			w.is("its steps", w.s.SpendStep(ctx, w.citizen, f.ID, 500), identity.ErrSpent)
			w.live("kept", keep, true)
			w.live("other", other, false)
			w.accepted("what the other gave", fam, false)
			w.is("from a dead login", w.s.ConfirmTOTP(ctx, w.citizen, f.ID, 1, identity.ID{}, nil, w.from(audit.TOTPBound, other.ID)), identity.ErrEnded)
		}},
		{"a-dead-login-binds-nothing", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			f := w.proposal()
			w.ok(w.s.ProposeTOTP(ctx, f))
			w.ok(w.s.EndLogin(ctx, w.citizen, l.ID, w.event(audit.LoginEnded)))
			w.is("a generator", w.s.ConfirmTOTP(ctx, w.citizen, f.ID, 1, identity.ID{}, nil, w.from(audit.TOTPBound, l.ID)), identity.ErrEnded)
			w.is("codes", w.s.ReplaceRecovery(ctx, w.citizen, [][]byte{fresh()}, w.from(audit.RecoveryRenewed, l.ID)), identity.ErrEnded)
			p, d := w.newPasskey(true)
			w.is("a passkey", w.s.AddPasskey(ctx, p, d, nil, w.from(audit.PasskeyBound, l.ID)), identity.ErrEnded)
			w.is("a browser", w.s.TrustBrowser(ctx, w.newBrowser(), nil, w.from(audit.DeviceBound, l.ID)), identity.ErrEnded)
			if a, err := w.s.Account(ctx, w.citizen); err != nil || a.Factors != (authn.Factors{}) {
				w.Errorf("%+v, %v", a.Factors, err)
			}
		}},
		{"recovery-codes", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			old, codes := [][]byte{fresh(), fresh()}, [][]byte{fresh(), fresh(), fresh()}
			w.ok(w.s.ReplaceRecovery(ctx, w.citizen, old, w.from(audit.RecoveryRenewed, l.ID)))
			w.ok(w.s.ReplaceRecovery(ctx, w.citizen, codes, w.from(audit.RecoveryRenewed, l.ID)))
			spend := func(citizen identity.ID, hash []byte) error {
				return w.s.SpendRecovery(ctx, citizen, hash, w.event(audit.RecoveryUsed))
			}
			w.is("an old one", spend(w.citizen, old[0]), identity.ErrNotFound)
			w.is("another's", spend(w.beside().citizen, codes[0]), identity.ErrNotFound)
			w.is("unknown", spend(w.citizen, fresh()), identity.ErrNotFound)
			w.is("none", spend(w.citizen, nil), identity.ErrNotFound)
			w.is("right", spend(w.citizen, codes[0]), nil)
			w.is("again", spend(w.citizen, codes[0]), identity.ErrSpent)
			if a, err := w.s.Account(ctx, w.citizen); err != nil || a.Factors.Recovery != 2 || a.Factors.Any() {
				w.Errorf("%+v, %v", a.Factors, err)
			}
			w.live("the login", l, true)
		}},
		{"ceremonies", func(w *world) {
			ctx := w.Context()
			c := authn.Ceremony{ID: identity.NewID(), Purpose: "passkey.login", Owner: fresh(), Data: []byte("challenge"), Citizen: w.citizen, Expires: w.now.Add(time.Minute)}
			w.ok(w.s.PutCeremony(ctx, c))
			take := func(id identity.ID, purpose string, owner []byte, now time.Time) error {
				got, err := w.s.TakeCeremony(ctx, id, purpose, owner, now)
				if err == nil && (!bytes.Equal(got.Data, c.Data) || got.Citizen != w.citizen || !got.Expires.Equal(c.Expires) || got.ID != c.ID) {
					w.Errorf("%+v", got)
				}
				return err
			}
			w.is("another purpose", take(c.ID, "passkey.register", c.Owner, w.now), identity.ErrNotFound)
			w.is("another owner", take(c.ID, c.Purpose, fresh(), w.now), identity.ErrNotFound)
			w.is("no owner", take(c.ID, c.Purpose, nil, w.now), identity.ErrNotFound)
			w.is("unknown", take(identity.NewID(), c.Purpose, c.Owner, w.now), identity.ErrNotFound)
			w.is("expired", take(c.ID, c.Purpose, c.Owner, c.Expires), identity.ErrNotFound)
			w.is("right", take(c.ID, c.Purpose, c.Owner, w.now), nil)
			w.is("again", take(c.ID, c.Purpose, c.Owner, w.now), identity.ErrNotFound)
		}},
	}
}

func passkeyChecks() []check {
	return []check{
		{"found-by-its-credential", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			synced, bound := w.addPasskey(l, false), w.addPasskey(l, true)
			for _, p := range []authn.Passkey{synced, bound} {
				got, a, err := w.s.PasskeyByCredential(ctx, p.Credential.ID)
				w.is("finding", err, nil)
				if got.ID != p.ID || got.Device != p.Device || got.Credential.SignCount != 5 || got.Credential.RPID != "id.example" || a.ID != w.citizen || a.Greeting != greeting || a.Factors.Passkeys != 2 {
					w.Errorf("%+v %+v", got, a)
				}
			}
			for _, id := range [][]byte{nil, {}, fresh()} {
				_, _, err := w.s.PasskeyByCredential(ctx, id)
				w.is("unknown", err, identity.ErrNotFound)
			}
			all, err := w.s.ListPasskeys(ctx, w.citizen)
			if err != nil || len(all) != 2 {
				w.Errorf("%d listed, %v", len(all), err)
			}
			other := w.beside()
			p, d := other.newPasskey(true)
			p.Credential.ID = synced.Credential.ID
			w.is("a known credential", w.s.AddPasskey(ctx, p, d, nil, other.event(audit.PasskeyBound)), identity.ErrConflict)
			_, err = w.s.Device(ctx, other.citizen, d.ID)
			w.is("its device", err, identity.ErrNotFound)
			w.freeze(identity.CardTempLost)
			_, _, err = w.s.PasskeyByCredential(ctx, bound.Credential.ID)
			w.is("of a frozen card", err, identity.ErrNotFound)
		}},
		{"counters", func(w *world) {
			ctx := w.Context()
			p := w.addPasskey(w.signIn(identity.ID{}), false)
			use := func(count uint32) error {
				p.Credential.SignCount = count
				return w.s.UsePasskey(ctx, p, w.now)
			}
			w.is("the same", use(5), identity.ErrSpent)
			w.is("backwards", use(4), identity.ErrSpent)
			w.is("to zero", use(0), identity.ErrSpent)
			w.is("forward", use(6), nil)
			w.is("again", use(6), identity.ErrSpent)
			got, _, err := w.s.PasskeyByCredential(ctx, p.Credential.ID)
			w.ok(err)
			if got.Credential.SignCount != 6 || !got.LastUsed.Equal(w.now) {
				w.Errorf("%+v", got)
			}
			q, _ := w.newPasskey(false)
			q.Credential.SignCount = 0
			w.ok(w.s.AddPasskey(ctx, q, nil, nil, w.event(audit.PasskeyBound)))
			w.is("zero", w.s.UsePasskey(ctx, q, w.now), nil)
			w.is("zero again", w.s.UsePasskey(ctx, q, w.now), nil)
			theirs := q
			theirs.Citizen = w.beside().citizen
			w.is("another's", w.s.UsePasskey(ctx, theirs, w.now), identity.ErrNotFound)
			w.ok(w.s.DisablePasskey(ctx, w.citizen, q.ID, w.event(audit.PasskeyCloned)))
			w.is("disabled", w.s.UsePasskey(ctx, q, w.now), identity.ErrNotFound)
		}},
		{"removed-and-disabled", func(w *world) {
			ctx := w.Context()
			first := w.signIn(identity.ID{})
			bound, synced, third := w.addPasskey(first, true), w.addPasskey(first, false), w.addPasskey(first, true)
			keep := w.signIn(identity.ID{})
			proved := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPasskey, At: w.now, Device: bound.Device})
			fam := w.family(proved, opaque, offline)
			end := func(id identity.ID) error {
				return w.s.RemovePasskey(ctx, w.citizen, id, keep.ID, nil, w.from(audit.PasskeyRemoved, keep.ID))
			}
			other := w.beside()
			w.is("by another", w.s.RemovePasskey(ctx, other.citizen, bound.ID, identity.ID{}, nil, other.event(audit.PasskeyRemoved)), identity.ErrNotFound)
			w.is("removing", end(bound.ID), nil)
			w.is("again", end(bound.ID), identity.ErrNotFound)
			w.live("kept", keep, true)
			w.live("proved by it", proved, false)
			w.accepted("what that gave", fam, false)
			d, err := w.s.Device(ctx, w.citizen, bound.Device)
			if err != nil || d.State != identity.DeviceRevoked {
				w.Errorf("its device: %+v, %v", d, err)
			}
			w.is("disabling", w.s.DisablePasskey(ctx, w.citizen, synced.ID, w.event(audit.PasskeyCloned)), nil)
			w.live("after a copy was seen", keep, false)
			w.is("disabling again", w.s.DisablePasskey(ctx, w.citizen, synced.ID, w.event(audit.PasskeyCloned)), identity.ErrNotFound)
			for _, p := range []authn.Passkey{bound, synced} {
				_, _, err := w.s.PasskeyByCredential(ctx, p.Credential.ID)
				w.is("finding", err, identity.ErrNotFound)
			}
			_, _, err = w.s.PasskeyByCredential(ctx, third.Credential.ID)
			w.is("the third", err, nil)
			// Disabled for good: it does not come back as a new one.
			p, _ := w.newPasskey(false)
			p.Credential.ID = synced.Credential.ID
			w.is("a disabled credential", w.s.AddPasskey(ctx, p, nil, nil, w.event(audit.PasskeyBound)), identity.ErrConflict)
		}},
		{"renamed", func(w *world) {
			ctx := w.Context()
			p := w.addPasskey(w.signIn(identity.ID{}), true)
			w.ok(w.s.RenamePasskey(ctx, w.citizen, p.ID, "blue", w.event(audit.PasskeyRenamed)))
			all, err := w.s.ListPasskeys(ctx, w.citizen)
			if err != nil || len(all) != 1 || all[0].Name != "blue" {
				w.Errorf("%+v, %v", all, err)
			}
			if d, err := w.s.Device(ctx, w.citizen, p.Device); err != nil || d.Name != "blue" {
				w.Errorf("%+v, %v", d, err)
			}
			w.is("by another", w.s.RenamePasskey(ctx, w.beside().citizen, p.ID, "x", w.event(audit.PasskeyRenamed)), identity.ErrNotFound)
		}},
	}
}
