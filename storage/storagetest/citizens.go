package storagetest

import (
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/console"
	"ecardid/identity"
)

// hangs reads what hangs on the citizen, a device or a session.
func (w *world) hangs(what string, device, session identity.ID, want console.Hanging) {
	w.Helper()
	got, err := w.s.HangingOn(w.Context(), w.citizen, device, session, w.now)
	w.is(what, err, nil)
	if got != want {
		w.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func citizenChecks() []check {
	return []check{
		{"found-and-read-masked", func(w *world) {
			ctx := w.Context()
			c := w.arrive()
			for _, a := range []struct {
				alias string
				is    bool
			}{{w.card.Value, true}, {"Z00000000", false}} {
				alias := w.card
				alias.Value = a.alias
				id, region, err := w.s.FindCitizen(ctx, alias)
				if a.is && (err != nil || id != c.ID || region != "110105") {
					w.Errorf("%v, %q, %v", id, region, err)
				}
				if !a.is {
					w.is("nobody's", err, identity.ErrNotFound)
				}
			}
			if region, err := w.s.RegionOf(ctx, c.ID); err != nil || region != "110105" {
				w.Errorf("%q, %v", region, err)
			}
			_, err := w.s.RegionOf(ctx, identity.NewID())
			w.is("nobody", err, identity.ErrNotFound)
			_, err = w.s.FileOf(ctx, identity.NewID(), w.now)
			w.is("nobody's file", err, identity.ErrNotFound)
			f, err := w.s.FileOf(ctx, c.ID, w.now)
			w.is("the file", err, nil)
			if f.Name != "欧**" || !strings.Contains(f.IDNumber, "****") || !strings.Contains(f.Phone, "****") || !strings.Contains(f.Card, "****") ||
				f.State != identity.CardNormal || f.Password || f.TOTP || !f.Activated.IsZero() || !f.CodeExpires.Equal(c.Expires) || f.Region != "110105" {
				w.Errorf("%+v", f)
			}
		}},
		{"what-hangs-on-a-citizen", func(w *world) {
			ctx := w.Context()
			w.hangs("nothing yet", identity.ID{}, identity.ID{}, console.Hanging{})
			l := w.signIn(identity.ID{})
			phone, browser, key, synced := w.bindPhone(l), w.trustBrowser(l), w.addPasskey(l, true), w.addPasskey(l, false)
			w.bindTOTP(l)
			onPhone := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID, Verified: true})
			onBrowser := w.signIn(browser.ID)
			w.family(onPhone, opaque)
			w.family(onBrowser)
			w.code(l)
			w.flow()
			all := console.Hanging{Devices: 2, Browsers: 1, Passkeys: 2, TOTP: 1, Sessions: 3, Requests: 1, Codes: 1, Grants: 2, Tokens: 1}
			w.hangs("all", identity.ID{}, identity.ID{}, all)
			w.hangs("the phone", phone.ID, identity.ID{}, console.Hanging{Devices: 1, Sessions: 1, Grants: 1, Tokens: 1})
			w.hangs("the key", key.Device, identity.ID{}, console.Hanging{Devices: 1, Passkeys: 1})
			w.hangs("the browser", browser.ID, identity.ID{}, console.Hanging{Browsers: 1, Sessions: 1, Grants: 1})
			w.hangs("a session", identity.ID{}, l.ID, console.Hanging{Sessions: 1, Codes: 1})
			_, err := w.s.HangingOn(ctx, w.citizen, identity.NewID(), identity.ID{}, w.now)
			w.is("no device", err, identity.ErrNotFound)
			_, err = w.s.HangingOn(ctx, w.citizen, identity.ID{}, identity.NewID(), w.now)
			w.is("no session", err, identity.ErrNotFound)
			other := w.beside()
			_, err = other.s.HangingOn(ctx, other.citizen, phone.ID, identity.ID{}, w.now)
			w.is("somebody else's device", err, identity.ErrNotFound)
			_, err = other.s.HangingOn(ctx, other.citizen, identity.ID{}, l.ID, w.now)
			w.is("somebody else's session", err, identity.ErrNotFound)

			f, err := w.s.FileOf(ctx, w.citizen, w.now)
			w.is("the file", err, nil)
			if len(f.Devices) != 3 || len(f.Passkeys) != 2 || len(f.Sessions) != 3 || len(f.Before) != 0 || !f.TOTP || !f.Password || f.Activated.IsZero() {
				w.Errorf("%+v", f)
			}
			if !slices.ContainsFunc(f.Passkeys, func(p console.FiledPasskey) bool { return p.ID == synced.ID && p.Device.IsZero() }) {
				w.Errorf("passkeys: %+v", f.Passkeys)
			}

			// The count before is what ends; after it nothing is left to count.
			w.ok(w.lose(w.report(loss.Card)))
			w.hangs("after the loss", identity.ID{}, identity.ID{}, console.Hanging{Devices: 2, TOTP: 1})
			_, err = w.s.HangingOn(ctx, w.citizen, identity.ID{}, l.ID, w.now)
			w.is("the session that ended", err, identity.ErrNotFound)
			f, err = w.s.FileOf(ctx, w.citizen, w.now)
			w.is("the file", err, nil)
			if f.State != identity.CardTempLost || len(f.Sessions) != 0 || len(f.Before) != 3 {
				w.Errorf("%+v", f)
			}
		}},
		{"facts-for-the-telephone", func(w *world) {
			f, err := w.s.FactsOf(w.Context(), w.citizen)
			w.is("facts", err, nil)
			if f.IDNumber.Reveal() != w.id.Value || f.Phone.Reveal() != w.phone.Value || f.Card.Reveal() != w.card.Value || f.Activated.IsZero() || !f.Bound.IsZero() {
				w.Errorf("%+v", f)
			}
			l := w.signIn(identity.ID{})
			w.bindPhone(l)
			w.now = w.now.Add(time.Hour / 2)
			w.addPasskey(l, true)
			if f, err = w.s.FactsOf(w.Context(), w.citizen); err != nil || !f.Bound.Equal(w.now) {
				w.Errorf("%+v, %v", f, err)
			}
			_, err = w.s.FactsOf(w.Context(), identity.NewID())
			w.is("nobody's", err, identity.ErrNotFound)
		}},
		{"the-file-of-a-closed-account", func(w *world) {
			l := w.signIn(identity.ID{})
			w.ok(w.s.CloseAccount(w.Context(), w.citizen, l.ID, w.from(audit.CitizenCancelled, l.ID)))
			f, err := w.s.FileOf(w.Context(), w.citizen, w.now)
			w.is("the file", err, nil)
			if f.State != identity.CardCancelled || strings.Contains(f.Name+f.IDNumber+f.Phone+f.Card, w.card.Value[:1]) || f.Region != "" {
				w.Errorf("%+v", f)
			}
			got, err := w.s.RevealCitizen(w.Context(), w.citizen, console.FieldName, w.event(audit.CitizenRevealed))
			if got != "" || err != nil {
				w.Errorf("%q, %v", got, err)
			}
			if facts, err := w.s.FactsOf(w.Context(), w.citizen); err != nil || len(loss.Questions(facts)) != 0 {
				w.Errorf("%v, %v", loss.Questions(facts), err)
			}
			_, _, err = w.s.FindCitizen(w.Context(), w.card)
			w.is("by the card", err, identity.ErrNotFound)
		}},
		{"a-caller-who-passed", func(w *world) {
			e := w.event(audit.CallerPassed)
			e.Actor = "staff:a"
			w.ok(w.s.Record(w.Context(), e))
			for _, c := range []struct {
				by    audit.Actor
				since time.Time
				want  bool
			}{{"staff:a", w.now, true}, {"staff:a", w.now.Add(time.Millisecond), false}, {"staff:b", w.now, false}} {
				if got, err := w.s.CallerPassed(w.Context(), w.citizen, c.by, c.since); err != nil || got != c.want {
					w.Errorf("%+v: %t, %v", c, got, err)
				}
			}
			other := w.beside()
			if got, err := w.s.CallerPassed(w.Context(), other.citizen, "staff:a", w.now); err != nil || got {
				w.Errorf("somebody else's: %t, %v", got, err)
			}
		}},
		{"a-timeline-in-pages", func(w *world) {
			ctx := w.Context()
			for i := range 7 {
				e := w.event(audit.LoginRefused)
				e.At, e.Detail = w.now.Add(time.Duration(i)*time.Second), map[string]string{"via": "form", "signed": "a long one"}
				w.ok(w.s.Record(ctx, e))
				e.Kind = audit.CitizenRead
				w.ok(w.s.Record(ctx, e))
			}
			var all []console.Moment
			for below := int64(0); ; {
				page, err := w.s.Moments(ctx, w.citizen, below, 3)
				w.ok(err)
				if len(page) == 0 {
					break
				}
				all = append(all, page...)
				below = page[len(page)-1].Seq
			}
			// What came before is there as well, in order and nothing twice; who looked is not.
			for i, m := range all {
				if m.Kind == audit.CitizenRead || i > 0 && m.Seq >= all[i-1].Seq || m.Detail["signed"] != "" || i < 7 && m.Detail["via"] != "form" {
					w.Errorf("%d: %+v", i, m)
				}
			}
			if n := len(all); n < 8 || all[n-1].Kind != audit.CitizenImported {
				w.Errorf("%d entries: %+v", n, all[n-1])
			}
			_, err := w.s.Moments(ctx, w.citizen, 0, 0)
			w.fault("a page of none", err)
		}},
		{"revealed-and-written-down", func(w *world) {
			ctx := w.Context()
			for field, want := range map[console.Field]string{console.FieldName: fullName, console.FieldID: w.id.Value, console.FieldPhone: w.phone.Value, console.FieldCard: w.card.Value} {
				got, err := w.s.RevealCitizen(ctx, w.citizen, field, w.event(audit.CitizenRevealed))
				if err != nil || got != want {
					w.Errorf("%s: %q, %v", field, got, err)
				}
			}
			if n, m := w.entries(audit.CitizenRevealed), w.notices(audit.CitizenRevealed); n != 4 || m != 4 {
				w.Errorf("%d entries, %d notices", n, m)
			}
			for _, field := range []console.Field{"password", "", "name, password"} {
				_, err := w.s.RevealCitizen(ctx, w.citizen, field, w.event(audit.CitizenRevealed))
				w.is(string(field), err, identity.ErrNotFound)
			}
			_, err := w.s.RevealCitizen(ctx, identity.NewID(), console.FieldName, w.event(audit.CitizenRevealed))
			w.is("nobody's", err, identity.ErrNotFound)
			// Whoever may not any more sees nothing, and nor does a warrant that is none.
			e := w.event(audit.CitizenRevealed)
			e.Standing = audit.Standing{Staff: identity.NewID(), Version: 1}
			if got, err := w.s.RevealCitizen(ctx, w.citizen, console.FieldName, e); got != "" || err == nil {
				w.Errorf("%q, %v", got, err)
			}
			e = w.event(audit.CitizenRevealed)
			e.Warrant = identity.NewID()
			if got, err := w.s.RevealCitizen(ctx, w.citizen, console.FieldName, e); got != "" || err == nil {
				w.Errorf("%q, %v", got, err)
			}
			if n := w.entries(audit.CitizenRevealed); n != 4 {
				w.Errorf("%d entries of what was not shown", n-4)
			}
		}},
		{"all-factors-without-a-code", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			w.bindPhone(l)
			w.ok(w.s.ResetFactors(ctx, w.citizen, nil, time.Time{}, w.event(audit.FactorsReset)))
			w.live("the session", l, false)
			f, err := w.s.FileOf(ctx, w.citizen, w.now)
			w.is("the file", err, nil)
			if f.Password || !f.Activated.IsZero() || !f.CodeExpires.IsZero() {
				w.Errorf("%+v", f)
			}
			// Nothing, which is no code, does not bring them in; the counter's code does.
			for _, code := range [][]byte{nil, {}} {
				_, err = w.s.CheckActivation(ctx, w.card, code, w.now)
				w.is("no code", err, identity.ErrNotFound)
			}
			code := fresh()
			w.ok(w.s.IssueActivation(ctx, w.citizen, code, w.now.Add(time.Hour), w.event(audit.ActivationIssued)))
			id, err := w.s.CheckActivation(ctx, w.card, code, w.now)
			if err != nil || id != w.citizen {
				w.Errorf("%v, %v", id, err)
			}
		}},
	}
}
