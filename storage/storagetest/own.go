package storagetest

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/storage"
)

// ownChecks are about everything that is kept of one citizen: their trail, their copy, and
// the end of it all.
func ownChecks() []check {
	take := func(w *world, l session) (string, error) {
		c, err := w.s.TakeOut(w.Context(), w.citizen, l.ID, w.from(audit.DataTaken, l.ID))
		b, jerr := json.Marshal(c)
		w.ok(jerr)
		return string(b), err
	}
	closed := func(w *world, l session) error {
		return w.s.CloseAccount(w.Context(), w.citizen, l.ID, w.from(audit.CitizenCancelled, l.ID))
	}
	return []check{
		{"activity", func(w *world) {
			other := w.beside()
			for range 5 {
				w.ok(w.s.Record(w.Context(), w.event(audit.LoginRefused)))
				w.ok(w.s.Record(w.Context(), other.event(audit.LoginRefused)))
			}
			all, err := w.s.Activity(w.Context(), w.citizen, 0, 100)
			w.ok(err)
			var paged []audit.Entry
			for below := int64(0); ; {
				page, err := w.s.Activity(w.Context(), w.citizen, below, 2)
				w.ok(err)
				if len(page) == 0 {
					break
				}
				paged, below = append(paged, page...), page[len(page)-1].Seq
			}
			if len(paged) != len(all) || len(all) < 5 {
				w.Errorf("%d entries one way, %d the other", len(all), len(paged))
			}
			for i, e := range paged {
				if e.Citizen != w.citizen || i > 0 && e.Seq >= paged[i-1].Seq {
					w.Errorf("entry %d: %+v", i, e)
				}
			}
		}},
		{"a-copy", func(w *world) {
			other := w.beside()
			l := w.signIn(identity.ID{})
			w.bindTOTP(l)
			phone := w.bindPhone(l)
			key := w.addPasskey(l, false)
			w.trustBrowser(l)
			w.ok(w.s.ReplaceRecovery(w.Context(), w.citizen, [][]byte{fresh()}, w.from(audit.RecoveryRenewed, l.ID)))
			w.code(l, offline)
			w.tie(l, other, other.signIn(identity.ID{}))
			got, err := take(w, l)
			w.ok(err)
			for _, word := range []string{fullName, w.card.Value, w.id.Value, w.phone.Value, greeting, email, phone.ID.String(), key.ID.String(), w.client, "rfc6238"} {
				if !strings.Contains(got, word) {
					w.Errorf("the copy lacks %q", word)
				}
			}
			for _, word := range []string{string(seed), password, string(key.Credential.PublicKey), other.id.Value, other.card.Value} {
				if strings.Contains(got, word) {
					w.Errorf("the copy has %q", word)
				}
			}
			if w.entries(audit.DataTaken) != 1 || w.notices(audit.DataTaken) != 1 {
				w.Error("not in the trail")
			}
			_, err = take(w, other.signIn(identity.ID{}))
			w.is("in somebody else's login", err, identity.ErrEnded)
			w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.from(audit.LoginEnded, l.ID)))
			_, err = take(w, l)
			w.is("in a login that ended", err, identity.ErrEnded)
		}},
		{"last-uses", func(w *world) {
			l := w.signIn(identity.ID{})
			begun := w.now
			w.now = w.now.Add(time.Minute)
			w.code(l)
			uses, err := w.s.LastUses(w.Context(), w.citizen)
			if err != nil || !uses[w.client].After(begun) {
				w.Errorf("%v, %v", uses, err)
			}
		}},
		{"closing", func(w *world) {
			ctx := w.Context()
			other := w.beside()
			theirs := other.signIn(identity.ID{})
			w.listening()
			l := w.signIn(identity.ID{})
			gen, phone, browser := w.bindTOTP(l), w.bindPhone(l), w.trustBrowser(l)
			key := w.addPasskey(l, true)
			paper := fresh()
			w.ok(w.s.ReplaceRecovery(ctx, w.citizen, [][]byte{paper}, w.from(audit.RecoveryRenewed, l.ID)))
			f, half, code := w.family(l, opaque, offline), w.flow(), w.code(l)
			sitting := w.sitting(l)
			tie := w.tie(l, other, theirs)
			back := other.tie(theirs, w, l)
			asked, err := other.asks(theirs, w.citizen, fresh())
			w.ok(err)
			w.is("in somebody else's login", w.s.CloseAccount(ctx, w.citizen, theirs.ID, w.from(audit.CitizenCancelled, theirs.ID)), identity.ErrEnded)
			w.live("after a stranger's try", l, true)

			w.ok(closed(w, l))
			w.is("twice", closed(w, l), identity.ErrEnded)
			w.live("the session", l, false)
			w.accepted("the family", f, false)
			_, err = w.s.Redeem(ctx, w.redemption(code))
			w.is("the code", err, identity.ErrNotFound)
			_, err = w.s.Flow(ctx, half.ID, half.Browser, w.now)
			w.is("the half-finished login", err, identity.ErrNotFound)
			_, err = w.s.Phone(ctx, phone.ID)
			w.is("the phone", err, identity.ErrNotFound)
			_, _, err = w.s.Browser(ctx, browser.Cookie, w.now)
			w.is("the remembered browser", err, identity.ErrNotFound)
			_, _, err = w.s.PasskeyByCredential(ctx, key.Credential.ID)
			w.is("the passkey", err, identity.ErrNotFound)
			_, err = w.s.TOTP(ctx, w.citizen)
			w.is("the generator", err, identity.ErrNotFound)
			if ok, err := w.s.HasRecovery(ctx, w.citizen, paper); ok || err != nil {
				w.Errorf("the paper: %v, %v", ok, err)
			}
			for _, a := range []authn.Alias{w.card, w.id, w.phone} {
				_, err := w.s.AccountByAlias(ctx, a)
				w.is("by "+string(a.Kind), err, identity.ErrNotFound)
			}
			a, err := w.s.Account(ctx, w.citizen)
			if err != nil || a.State != identity.CardCancelled || a.MaskedName != "" || a.Greeting != "" || a.Password != "" || a.Factors != (authn.Factors{}) {
				w.Errorf("what is left: %+v, %v", a, err)
			}
			if left, err := w.s.AllConsents(ctx, w.citizen, w.now); err != nil || len(left) != 0 {
				w.Errorf("consents: %v, %v", left, err)
			}
			w.told("the application", sitting)
			if left := other.ties(); len(left) != 1 || left[0].ID != asked || left[0].Name != "" || !left[0].Agreed.IsZero() {
				w.Errorf("whoever asked sees %+v", left)
			}
			if n := other.notices(audit.RelativeEnded); n != 2 {
				w.Errorf("%d notices of ties that ended", n)
			}
			if d, k := w.entries(audit.DeviceEnded), w.entries(audit.PasskeyRemoved); d != 3 || k != 1 {
				w.Errorf("%d devices and %d passkeys are in the trail", d, k)
			}
			for name, id := range map[string]identity.ID{"a relative's report": tie, "a report for a relative": back} {
				w.is(name, w.lose(w.report(loss.Phone, func(r *loss.Report) { r.Tie, r.By, r.ByLogin = id, other.citizen, theirs.ID })), identity.ErrEnded)
			}
			other.live("somebody else", theirs, true)

			// Nothing brings it back.
			w.is("thawed", w.s.SetCardState(ctx, w.citizen, identity.CardNormal, w.event(audit.CitizenRestored)), identity.ErrConflict)
			w.is("given a code", w.s.IssueActivation(ctx, w.citizen, fresh(), w.now.Add(time.Hour), w.event(audit.ActivationIssued)), identity.ErrConflict)
			w.is("reset", w.s.ResetFactors(ctx, w.citizen, fresh(), w.now.Add(time.Hour), w.event(audit.FactorsReset)), identity.ErrConflict)
			w.is("found again", w.s.RestoreCard(ctx, w.citizen, w.epoch(), gen.ID, 900, w.event(audit.LossUndone)), identity.ErrSpent, identity.ErrConflict)
			entries, err := w.s.Activity(ctx, w.citizen, 0, 100)
			if err != nil || len(entries) < 5 {
				w.Errorf("the trail has %d entries, %v", len(entries), err)
			}
		}},
		{"the-card-comes-again", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			phone := w.bindPhone(l)
			before := w.citizen
			again := storage.NewCitizen{ID: identity.NewID(), Name: fullName, Code: fresh(), Expires: w.now.Add(time.Hour)}
			var err error
			again.Card, err = idnumber.ParseCard(w.card.Value)
			w.ok(err)
			again.IDNumber, err = idnumber.ParseID(w.id.Value, w.now)
			w.ok(err)
			again.Phone, err = idnumber.ParsePhone(w.phone.Value)
			w.ok(err)
			var taken *storage.ImportError
			if err := w.s.ImportCitizens(ctx, []storage.NewCitizen{again}, w.event(audit.CitizenImported)); !errors.As(err, &taken) {
				w.Errorf("beside a living account: %v", err)
			}
			w.ok(closed(w, l))
			w.ok(w.s.ImportCitizens(ctx, []storage.NewCitizen{again}, w.event(audit.CitizenImported)))
			a, err := w.s.AccountByAlias(ctx, w.card)
			if err != nil || a.ID == before || a.Password != "" || a.Factors != (authn.Factors{}) {
				w.Errorf("%+v, %v", a, err)
			}
			w.citizen = again.ID
			w.ok(w.s.Activate(ctx, again.ID, again.Code, password, greeting, w.event(audit.CitizenActivated)))
			l = w.signIn(identity.ID{})
			old := phone
			old.ID, old.Citizen = identity.NewID(), again.ID
			w.is("the key of before", w.s.BindPhone(ctx, w.enrol(l).ID, old, w.now, w.from(audit.DeviceBound, l.ID)), identity.ErrConflict)
			if left, err := w.s.AllConsents(ctx, again.ID, w.now); err != nil || len(left) != 0 {
				w.Errorf("consents of before: %v, %v", left, err)
			}
			if uses, err := w.s.LastUses(ctx, again.ID); err != nil || len(uses) != 0 {
				w.Errorf("uses of before: %v, %v", uses, err)
			}
		}},
		{"confirmed-at-a-counter", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			confirm := func(id identity.ID) error {
				return w.s.ConfirmPhone(ctx, w.citizen, id, w.event(audit.DeviceConfirmed))
			}
			bind := func() authn.Device { return w.waitedFor(l, 24*time.Hour) }
			_, err := w.s.LatestKey(ctx, w.citizen)
			w.is("no phone", err, identity.ErrNotFound)
			phone := bind()
			w.is("no phone of theirs", confirm(identity.NewID()), identity.ErrConflict)
			w.is("somebody else's", w.beside().s.ConfirmPhone(ctx, w.beside().citizen, phone.ID, w.event(audit.DeviceConfirmed)), identity.ErrNotFound, identity.ErrConflict)
			w.ok(confirm(phone.ID))
			if got, err := w.s.Login(ctx, l.token, w.now); err != nil || !got.Cooling.IsZero() {
				w.Errorf("cooling until %v, %v", got.Cooling, err)
			}
			w.is("with nothing to wait for", confirm(phone.ID), identity.ErrConflict)
			w.now = w.now.Add(time.Minute)
			newer := bind()
			w.is("the one before the latest", confirm(phone.ID), identity.ErrConflict)
			if d, err := w.s.LatestKey(ctx, w.citizen); err != nil || d.ID != newer.ID {
				w.Errorf("the latest is %v, %v", d.ID, err)
			}
			w.ok(confirm(newer.ID))
			if w.entries(audit.DeviceConfirmed) != 2 {
				w.Error("not in the trail")
			}
		}},
		{"confirmed-beside-another", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			strange := w.waitedFor(l, 24*time.Hour) // a phone that nobody has shown
			until := w.now.Add(24 * time.Hour)
			w.now = w.now.Add(time.Minute)
			phone := w.waitedFor(l, 24*time.Hour)
			confirm := func() error { return w.s.ConfirmPhone(ctx, w.citizen, phone.ID, w.event(audit.DeviceConfirmed)) }
			w.ok(confirm())
			if got, err := w.s.Login(ctx, l.token, w.now); err != nil || !got.Cooling.Equal(until) {
				w.Errorf("cooling until %v, want %v as for the other, %v", got.Cooling, until, err)
			}
			w.is("again, for the other", confirm(), identity.ErrConflict)
			w.ok(w.lose(w.report(loss.Device, func(r *loss.Report) { r.Device, r.Keep = strange.ID, l.ID })))
			w.live("the session", l, true)
		}},
	}
}

// waitedFor is a phone that was bound now, and for which the citizen waits.
func (w *world) waitedFor(l session, wait time.Duration) authn.Device {
	w.Helper()
	e := w.enrolment(l)
	e.CoolOff = wait
	w.ok(w.s.OpenEnrolment(w.Context(), e))
	_, err := w.s.ClaimEnrolment(w.Context(), e.Code, "challenge", w.now.Add(time.Minute), w.now)
	w.ok(err)
	d := w.newPhone()
	d.Created = w.now
	w.ok(w.s.BindPhone(w.Context(), e.ID, d, w.now, w.from(audit.DeviceBound, l.ID)))
	return d
}
