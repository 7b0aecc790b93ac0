package storagetest

import (
	"bytes"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

func (w *world) newBrowser() authn.Device {
	return authn.Device{ID: identity.NewID(), Citizen: w.citizen, Kind: identity.DeviceBrowser, Name: "Firefox", Cookie: fresh(),
		Created: w.now, Expires: w.now.Add(30 * 24 * time.Hour), Place: "192.0.2.0/24"}
}

func (w *world) trustBrowser(l session) authn.Device {
	w.Helper()
	d := w.newBrowser()
	w.ok(w.s.TrustBrowser(w.Context(), d, nil, w.from(audit.DeviceBound, l.ID)))
	return d
}

// enrol opens and claims an enrolment in the login.
func (w *world) enrol(l session) authn.PhoneEnrolment {
	w.Helper()
	e := w.enrolment(l)
	w.ok(w.s.OpenEnrolment(w.Context(), e))
	got, err := w.s.ClaimEnrolment(w.Context(), e.Code, "challenge", w.now.Add(time.Minute), w.now)
	w.ok(err)
	return got
}

func (w *world) enrolment(l session) authn.PhoneEnrolment {
	return authn.PhoneEnrolment{ID: identity.NewID(), Citizen: w.citizen, Login: l.ID, Code: fresh(), Expires: w.now.Add(5 * time.Minute)}
}

func (w *world) newPhone() authn.Device {
	return authn.Device{ID: identity.NewID(), Citizen: w.citizen, Kind: identity.DevicePhone, Name: "phone", JWK: []byte(`{"kty":"EC"}`), Alg: "ES256",
		Thumbprint: fresh(), KeyLevel: identity.KeyTEE, Evidence: []byte("evidence"), Created: w.now}
}

func (w *world) bindPhone(l session) authn.Device {
	w.Helper()
	d := w.newPhone()
	w.ok(w.s.BindPhone(w.Context(), w.enrol(l).ID, d, w.now, w.from(audit.DeviceBound, l.ID)))
	return d
}

func (w *world) approval(f authn.Flow) authn.Approval {
	return authn.Approval{ID: identity.NewID(), Flow: f.ID, Citizen: w.citizen, Context: []byte(`{"place":"Wuhan"}`), Number: 42, Choices: []int{7, 42, 93},
		State: authn.ApprovalPending, Created: w.now, Expires: w.now.Add(2 * time.Minute)}
}

func deviceChecks() []check {
	end := func(w *world, id identity.ID, state identity.DeviceState) error {
		e := w.event(audit.DeviceEnded)
		e.Device = id
		return w.s.EndDevice(w.Context(), w.citizen, id, state, nil, e)
	}
	return []check{
		{"read-back", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			phone, browser, key := w.bindPhone(l), w.trustBrowser(l), w.addPasskey(l, true)
			got, err := w.s.Device(ctx, w.citizen, phone.ID)
			w.is("phone", err, nil)
			if got.Kind != identity.DevicePhone || got.State != identity.DeviceActive || !bytes.Equal(got.JWK, phone.JWK) || got.Alg != "ES256" ||
				!bytes.Equal(got.Thumbprint, phone.Thumbprint) || got.KeyLevel != identity.KeyTEE || !got.Created.Equal(w.now) {
				w.Errorf("%+v", got)
			}
			all, err := w.s.ListDevices(ctx, w.citizen)
			if err != nil || len(all) != 3 {
				w.Errorf("%d devices, %v", len(all), err)
			}
			for _, id := range []identity.ID{phone.ID, browser.ID, key.Device} {
				if !slices.ContainsFunc(all, func(d authn.Device) bool { return d.ID == id }) {
					w.Errorf("%v is not listed", id)
				}
			}
			other := w.beside()
			_, err = w.s.Device(ctx, other.citizen, phone.ID)
			w.is("by another", err, identity.ErrNotFound)
			w.is("renamed by another", w.s.RenameDevice(ctx, other.citizen, phone.ID, "x", other.event(audit.DeviceRenamed)), identity.ErrNotFound)
			w.ok(w.s.RenameDevice(ctx, w.citizen, phone.ID, "my phone", w.event(audit.DeviceRenamed)))
			if got, err := w.s.Device(ctx, w.citizen, phone.ID); err != nil || got.Name != "my phone" {
				w.Errorf("%+v, %v", got, err)
			}
			w.ok(end(w, phone.ID, identity.DeviceLost))
			w.is("renaming a lost one", w.s.RenameDevice(ctx, w.citizen, phone.ID, "x", w.event(audit.DeviceRenamed)), identity.ErrNotFound)
			// The browser's trust ended with the factor.
			if all, err := w.s.ListDevices(ctx, w.citizen); err != nil || len(all) != 1 {
				w.Errorf("%d devices, %v", len(all), err)
			}
		}},
		{"last-used-where", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			phone, browser, key := w.bindPhone(l), w.trustBrowser(l), w.addPasskey(l, true)
			bound := w.now
			w.now = w.now.Add(time.Minute)
			n := w.newLogin(browser.ID, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID}, identity.Proof{Factor: identity.FactorPasskey, At: w.now, Device: key.Device})
			f := w.flow()
			w.ok(w.s.FinishFlow(ctx, f, authn.NewLogin{Login: n.Login, Token: n.token, Place: "198.51.100.0/24", Idle: loginIdle}, identity.ID{}, w.event(audit.LoginFinished)))
			for _, c := range []struct {
				what  string
				id    identity.ID
				place string
				at    time.Time
			}{{"the key", key.Device, "198.51.100.0/24", w.now}, {"the browser", browser.ID, "198.51.100.0/24", bound}, {"the phone", phone.ID, phone.Place, w.now}} {
				if d, err := w.s.Device(ctx, w.citizen, c.id); err != nil || d.Place != c.place || !d.LastUsed.Equal(c.at) {
					w.Errorf("%s: %q at %v, want %q at %v, %v", c.what, d.Place, d.LastUsed, c.place, c.at, err)
				}
			}
		}},
		{"ending-one-ends-what-hangs-on-it", func(w *world) {
			ctx := w.Context()
			first := w.signIn(identity.ID{})
			phone, browser, key, second := w.bindPhone(first), w.trustBrowser(first), w.addPasskey(first, true), w.bindPhone(first)
			w.trustBrowser(first)
			made := w.signIn(browser.ID)
			proved := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPassword, At: w.now}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID})
			byKey := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPasskey, At: w.now, Device: key.Device})
			bySecond := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: second.ID})
			logins := []session{first, made, proved, byKey, bySecond}
			var grants []family
			var codes []issue
			for _, l := range logins {
				grants = append(grants, w.family(l, opaque, offline))
				codes = append(codes, w.code(l))
			}
			other := w.beside()
			theirs := other.signIn(identity.ID{})
			theirGrant := other.family(theirs, opaque)
			epoch := w.epoch()
			alive := make([]bool, len(logins))
			for i := range alive {
				alive[i] = true
			}
			check := func(when string) {
				w.Helper()
				for i, l := range logins {
					w.live(when, l, alive[i])
					w.accepted(when, grants[i], alive[i])
				}
				other.live(when+": another's", theirs, true)
				other.accepted(when+": another's", theirGrant, true)
			}
			check("before")
			for _, d := range []struct {
				id    identity.ID
				login int
				state identity.DeviceState
			}{{phone.ID, 2, identity.DeviceSuspended}, {browser.ID, 1, identity.DeviceRevoked}, {key.Device, 3, identity.DeviceSuspended}} {
				f := w.flow()
				w.ok(w.s.OpenApproval(ctx, w.approval(f)))
				w.ok(end(w, d.id, d.state))
				alive[d.login] = false
				check(string(d.state))
				_, err := w.s.Redeem(ctx, w.redemption(codes[d.login]))
				w.is("its unredeemed code", err, identity.ErrNotFound)
				w.is("a new code", w.s.IssueCode(ctx, w.newCode(logins[d.login]).NewCode), identity.ErrEnded)
				_, err = w.s.Flow(ctx, f.ID, f.Browser, w.now)
				w.is("a half-finished login", err, identity.ErrNotFound)
				if got, err := w.s.PendingApprovals(ctx, w.citizen, w.now); err != nil || len(got) != 0 {
					w.Errorf("approvals: %+v, %v", got, err)
				}
			}
			if w.epoch() != epoch {
				w.Error("the epoch was raised: other devices were touched")
			}
			_, err := w.s.Phone(ctx, phone.ID)
			w.is("the phone", err, identity.ErrNotFound)
			_, err = w.s.Phone(ctx, second.ID)
			w.is("the other phone", err, nil)
			_, _, err = w.s.Browser(ctx, browser.Cookie, w.now)
			w.is("the browser", err, identity.ErrNotFound)
			_, _, err = w.s.PasskeyByCredential(ctx, key.Credential.ID)
			w.is("the passkey", err, identity.ErrNotFound)
			w.is("using the passkey", w.s.UsePasskey(ctx, key, w.now), identity.ErrNotFound)
			_, err = w.s.Redeem(ctx, w.redemption(codes[4]))
			w.is("a code of another login", err, nil)
		}},
		{"losing-a-factor-raises-the-epoch", func(w *world) {
			ctx := w.Context()
			for _, state := range []identity.DeviceState{identity.DeviceLost, identity.DeviceRevoked} {
				keep, other := w.signIn(identity.ID{}), w.signIn(identity.ID{})
				phone, key := w.bindPhone(keep), w.addPasskey(keep, true)
				trusted := w.trustBrowser(keep)
				fam := w.family(other, opaque, offline)
				before := w.epoch()
				w.ok(w.s.EndDevice(ctx, w.citizen, phone.ID, state, nil, w.from(audit.DeviceEnded, keep.ID)))
				if w.epoch() != before+1 {
					w.Errorf("%s: epoch %d after %d", state, w.epoch(), before)
				}
				w.live("the login it was done from", keep, true)
				w.live("another", other, false)
				w.accepted("what that gave", fam, false)
				_, _, err := w.s.Browser(ctx, trusted.Cookie, w.now)
				w.is("a trusted browser", err, identity.ErrNotFound)
				// A login that hangs on the device is not spared, whoever it is.
				on := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPasskey, At: w.now, Device: key.Device})
				w.ok(w.s.EndDevice(ctx, w.citizen, key.Device, state, nil, w.from(audit.DeviceEnded, on.ID)))
				w.live("from a login on the key", on, false)
			}
		}},
		{"the-last-factor-stays", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			bound, mfa := authn.EnoughFor(identity.LevelBound), authn.EnoughFor(identity.LevelMFA)
			w.bindTOTP(l)
			phone, key := w.bindPhone(l), w.addPasskey(l, true)
			w.is("one of two", w.s.RemovePasskey(ctx, w.citizen, key.ID, l.ID, bound, w.from(audit.PasskeyRemoved, l.ID)), nil)
			before := w.epoch()
			e := w.from(audit.DeviceEnded, l.ID)
			entries := w.entries(audit.DeviceEnded)
			w.is("the last on a device", w.s.EndDevice(ctx, w.citizen, phone.ID, identity.DeviceRevoked, bound, e), authn.ErrLastFactor)
			_, err := w.s.Phone(ctx, phone.ID)
			w.is("it is there", err, nil)
			w.live("the login", l, true)
			if w.epoch() != before || w.entries(audit.DeviceEnded) != entries {
				w.Error("a refused removal left something behind")
			}
			w.is("where any factor will do", w.s.EndDevice(ctx, w.citizen, phone.ID, identity.DeviceRevoked, mfa, e), nil)
			w.is("the very last", w.s.RemoveTOTP(ctx, w.citizen, l.ID, mfa, w.from(audit.TOTPRemoved, l.ID)), authn.ErrLastFactor)
			_, err = w.s.TOTP(ctx, w.citizen)
			w.is("it is there", err, nil)
			w.is("when nothing is asked", w.s.RemoveTOTP(ctx, w.citizen, l.ID, nil, w.from(audit.TOTPRemoved, l.ID)), nil)
			synced := w.addPasskey(l, false)
			w.is("a synced key", w.s.RemovePasskey(ctx, w.citizen, synced.ID, l.ID, mfa, w.from(audit.PasskeyRemoved, l.ID)), authn.ErrLastFactor)
			browser := w.trustBrowser(l)
			w.is("a browser is no factor", w.s.EndDevice(ctx, w.citizen, browser.ID, identity.DeviceRevoked, mfa, e), nil)
		}},
		{"states", func(w *world) {
			l := w.signIn(identity.ID{})
			phone := w.bindPhone(l)
			w.fault("making it active", end(w, phone.ID, identity.DeviceActive))
			w.fault("making it nonsense", end(w, phone.ID, "nonsense"))
			other := w.beside()
			w.is("by another", w.s.EndDevice(w.Context(), other.citizen, phone.ID, identity.DeviceLost, nil, other.event(audit.DeviceEnded)), identity.ErrNotFound)
			for _, tt := range []struct {
				state identity.DeviceState
				want  error
			}{{identity.DeviceSuspended, nil}, {identity.DeviceSuspended, identity.ErrNotFound}, {identity.DeviceLost, nil},
				{identity.DeviceRevoked, identity.ErrNotFound}, {identity.DeviceSuspended, identity.ErrNotFound}} {
				w.is(string(tt.state), end(w, phone.ID, tt.state), tt.want)
			}
			w.is("unknown", end(w, identity.NewID(), identity.DeviceLost), identity.ErrNotFound)
		}},
		{"trusted-browsers", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			d := w.trustBrowser(l)
			browser := func(what string, cookie []byte, now time.Time, previous bool, want error) {
				w.Helper()
				got, before, err := w.s.Browser(ctx, cookie, now)
				w.is(what, err, want)
				if want == nil && err == nil && (got.ID != d.ID || before != previous || got.Citizen != w.citizen) {
					w.Errorf("%s: %+v, previous %v", what, got, before)
				}
			}
			browser("current", d.Cookie, w.now, false, nil)
			browser("unknown", fresh(), w.now, false, identity.ErrNotFound)
			browser("none", nil, w.now, false, identity.ErrNotFound)
			browser("expired", d.Cookie, d.Expires, false, identity.ErrNotFound)
			second, third := fresh(), fresh()
			w.is("rotating", w.s.RotateBrowser(ctx, d.ID, d.Cookie, second, w.now), nil)
			w.is("from the old one", w.s.RotateBrowser(ctx, d.ID, d.Cookie, third, w.now), identity.ErrSpent)
			w.is("of another browser", w.s.RotateBrowser(ctx, identity.NewID(), second, third, w.now), identity.ErrSpent)
			browser("new", second, w.now, false, nil)
			browser("the one before", d.Cookie, w.now, true, nil)
			w.is("once more", w.s.RotateBrowser(ctx, d.ID, second, third, w.now), nil)
			browser("the one before the one before", d.Cookie, w.now, false, identity.ErrNotFound)
			browser("now the one before", second, w.now, true, nil)
			copied := w.newBrowser()
			copied.Cookie = third
			w.is("a cookie that is taken", w.s.TrustBrowser(ctx, copied, nil, w.from(audit.DeviceBound, l.ID)), identity.ErrConflict)
			w.ok(end(w, d.ID, identity.DeviceRevoked))
			browser("ended", third, w.now, false, identity.ErrNotFound)
			browser("ended, the one before", second, w.now, false, identity.ErrNotFound)
			w.is("rotating an ended one", w.s.RotateBrowser(ctx, d.ID, third, fresh(), w.now), identity.ErrSpent)
		}},
	}
}

func phoneChecks() []check {
	return []check{
		{"enrolment", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			e := w.enrolment(l)
			w.ok(w.s.OpenEnrolment(ctx, e))
			claim := func(code []byte, now time.Time) error {
				got, err := w.s.ClaimEnrolment(ctx, code, "nonce", w.now.Add(time.Minute), now)
				if err == nil && (got.ID != e.ID || got.Citizen != w.citizen || got.Login != l.ID || got.Challenge != "nonce") {
					w.Errorf("%+v", got)
				}
				return err
			}
			_, err := w.s.Enrolment(ctx, e.ID, w.now)
			w.is("not claimed", err, identity.ErrNotFound)
			bind := func(citizen *world, d authn.Device) error {
				return citizen.s.BindPhone(ctx, e.ID, d, w.now, citizen.event(audit.DeviceBound))
			}
			w.is("binding unclaimed", bind(w, w.newPhone()), identity.ErrNotFound)
			w.is("unknown code", claim(fresh(), w.now), identity.ErrNotFound)
			w.is("no code", claim(nil, w.now), identity.ErrNotFound)
			w.is("expired", claim(e.Code, e.Expires), identity.ErrNotFound)
			w.is("right", claim(e.Code, w.now), nil)
			w.is("again", claim(e.Code, w.now), identity.ErrNotFound)
			got, err := w.s.Enrolment(ctx, e.ID, w.now)
			if err != nil || got.Challenge != "nonce" || got.Login != l.ID {
				w.Errorf("%+v, %v", got, err)
			}
			_, err = w.s.Enrolment(ctx, e.ID, w.now.Add(time.Minute))
			w.is("claimed and expired", err, identity.ErrNotFound)
			other := w.beside()
			w.is("bound by another", bind(other, other.newPhone()), identity.ErrNotFound)
			known := w.bindPhone(l)
			twin := w.newPhone()
			twin.Thumbprint = known.Thumbprint
			w.is("a known key", bind(w, twin), identity.ErrConflict)
			d := w.newPhone()
			w.is("binding", bind(w, d), nil)
			w.is("again", bind(w, w.newPhone()), identity.ErrSpent)
			_, err = w.s.Enrolment(ctx, e.ID, w.now)
			w.is("finished", err, identity.ErrNotFound)
			got2, err := w.s.Phone(ctx, d.ID)
			if err != nil || got2.Citizen != w.citizen || !bytes.Equal(got2.JWK, d.JWK) {
				w.Errorf("%+v, %v", got2, err)
			}
			if a, err := w.s.Account(ctx, w.citizen); err != nil || a.Factors.Phones != 2 {
				w.Errorf("%+v, %v", a.Factors, err)
			}
		}},
		{"a-key-never-comes-back", func(w *world) {
			l := w.signIn(identity.ID{})
			d := w.bindPhone(l)
			w.ok(w.s.EndDevice(w.Context(), w.citizen, d.ID, identity.DeviceRevoked, nil, w.event(audit.DeviceEnded)))
			for _, who := range []*world{w, w.beside()} {
				again := who.newPhone()
				again.Thumbprint = d.Thumbprint
				ll := who.signIn(identity.ID{})
				w.is("the same key", w.s.BindPhone(w.Context(), who.enrol(ll).ID, again, w.now, who.event(audit.DeviceBound)), identity.ErrConflict)
			}
		}},
		{"the-login-that-opened-it-must-live", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			e := w.enrol(l)
			w.ok(w.s.EndLogin(ctx, w.citizen, l.ID, w.event(audit.LoginEnded)))
			d := w.newPhone()
			w.is("ended", w.s.BindPhone(ctx, e.ID, d, w.now, w.event(audit.DeviceBound)), identity.ErrEnded)
			_, err := w.s.Device(ctx, w.citizen, d.ID)
			w.is("the phone", err, identity.ErrNotFound)
			keep := w.signIn(identity.ID{})
			e = w.enrol(keep)
			w.ok(w.s.SetPassword(ctx, w.citizen, "x", keep.ID, w.event(audit.PasswordChanged)))
			w.is("from before a new password", w.s.BindPhone(ctx, e.ID, d, w.now, w.event(audit.DeviceBound)), identity.ErrNotFound, identity.ErrEnded)
			e = w.enrol(keep)
			w.freeze(identity.CardFrozen)
			w.is("of a frozen card", w.s.BindPhone(ctx, e.ID, d, w.now, w.event(audit.DeviceBound)), identity.ErrNotFound, identity.ErrEnded)
		}},
		{"approvals", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			phone, lost, browser := w.bindPhone(l), w.bindPhone(l), w.trustBrowser(l)
			w.ok(w.s.EndDevice(ctx, w.citizen, lost.ID, identity.DeviceLost, nil, w.event(audit.DeviceEnded)))
			other := w.beside()
			theirs := other.bindPhone(other.signIn(identity.ID{}))
			f := w.flow()
			old, a := w.approval(f), w.approval(f)
			w.ok(w.s.OpenApproval(ctx, old))
			w.ok(w.s.OpenApproval(ctx, a))
			answer := func(id, device identity.ID, now time.Time) error {
				return w.s.AnswerApproval(ctx, id, device, authn.ApprovalApproved, true, true, now, w.event(audit.PhoneApproved))
			}
			_, err := w.s.Approval(ctx, old.ID, w.now)
			w.is("the one it replaced", err, identity.ErrNotFound)
			got, err := w.s.PendingApprovals(ctx, w.citizen, w.now)
			if err != nil || len(got) != 1 || got[0].ID != a.ID || got[0].Number != 42 || !slices.Equal(got[0].Choices, a.Choices) || !bytes.Equal(got[0].Context, a.Context) || got[0].Flow != f.ID {
				w.Errorf("%+v, %v", got, err)
			}
			if got, err := w.s.PendingApprovals(ctx, w.citizen, a.Expires); err != nil || len(got) != 0 {
				w.Errorf("expired ones are pending: %+v, %v", got, err)
			}
			if got, err := w.s.PendingApprovals(ctx, other.citizen, w.now); err != nil || len(got) != 0 {
				w.Errorf("another sees them: %+v, %v", got, err)
			}
			w.is("the replaced one", answer(old.ID, phone.ID, w.now), identity.ErrNotFound)
			w.is("another's phone", answer(a.ID, theirs.ID, w.now), identity.ErrNotFound)
			w.is("a lost phone", answer(a.ID, lost.ID, w.now), identity.ErrNotFound)
			w.is("a browser", answer(a.ID, browser.ID, w.now), identity.ErrNotFound)
			w.is("unknown phone", answer(a.ID, identity.NewID(), w.now), identity.ErrNotFound)
			w.is("late", answer(a.ID, phone.ID, a.Expires), identity.ErrNotFound)
			w.is("right", answer(a.ID, phone.ID, w.now), nil)
			w.is("again", answer(a.ID, phone.ID, w.now), identity.ErrSpent)
			one, err := w.s.Approval(ctx, a.ID, w.now)
			if err != nil || one.State != authn.ApprovalApproved || one.Device != phone.ID || !one.Verified || !one.Hardware {
				w.Errorf("%+v, %v", one, err)
			}
			_, err = w.s.Approval(ctx, a.ID, a.Expires)
			w.is("expired", err, identity.ErrNotFound)
			denied := w.approval(w.flow())
			w.ok(w.s.OpenApproval(ctx, denied))
			w.ok(w.s.AnswerApproval(ctx, denied.ID, phone.ID, authn.ApprovalDenied, false, false, w.now, w.event(audit.PhoneDenied)))
			w.is("approved after it was denied", answer(denied.ID, phone.ID, w.now), identity.ErrSpent)
			// An answer to the approval before is no answer to the one in its place.
			next := w.approval(f)
			w.ok(w.s.OpenApproval(ctx, next))
			if one, err := w.s.Approval(ctx, next.ID, w.now); err != nil || one.State != authn.ApprovalPending || !one.Device.IsZero() || one.Verified || one.Hardware {
				w.Errorf("%+v, %v", one, err)
			}
			w.freeze(identity.CardFrozen)
			w.is("of a frozen card", answer(next.ID, phone.ID, w.now), identity.ErrNotFound)
		}},
	}
}
