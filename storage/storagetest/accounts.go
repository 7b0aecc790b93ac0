package storagetest

import (
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

func accountChecks() []check {
	return []check{
		{"found-by-every-number", func(w *world) {
			ctx := w.Context()
			for _, a := range []authn.Alias{w.card, w.id, w.phone} {
				got, err := w.s.AccountByAlias(ctx, a)
				w.is(string(a.Kind), err, nil)
				if got.ID != w.citizen || got.State != identity.CardNormal || got.Password != password || got.Greeting != greeting || got.MaskedName == fullName || got.MaskedName == "" || len(got.UserHandle) != 64 {
					w.Errorf("%s: %+v", a.Kind, got)
				}
			}
			// One number as another kind, a stranger's, none.
			for _, a := range []authn.Alias{{Kind: authn.AliasPhone, Value: w.card.Value}, {Kind: authn.AliasCard, Value: "Z00000000"}, {}, {Kind: authn.AliasCard, Value: w.card.Value + "\x00"}} {
				_, err := w.s.AccountByAlias(ctx, a)
				w.is("wrong alias", err, identity.ErrNotFound)
			}
			_, err := w.s.Account(ctx, identity.NewID())
			w.is("unknown citizen", err, identity.ErrNotFound)
			_, err = w.s.Account(ctx, identity.ID{})
			w.is("nobody", err, identity.ErrNotFound)
		}},
		{"activation", func(w *world) {
			ctx := w.Context()
			c := w.arrive() // w's aliases are the new citizen's now
			w.citizen = c.ID
			found := func(want error, card authn.Alias, code []byte, now time.Time) {
				w.Helper()
				id, err := w.s.CheckActivation(ctx, card, code, now)
				w.is("checking", err, want)
				if want == nil && id != c.ID {
					w.Error("another citizen")
				}
			}
			found(nil, w.card, c.Code, w.now)
			found(nil, w.card, c.Code, w.now) // it changes nothing
			found(identity.ErrNotFound, w.card, fresh(), w.now)
			found(identity.ErrNotFound, w.card, nil, w.now)
			found(identity.ErrNotFound, w.phone, c.Code, w.now)
			found(identity.ErrNotFound, w.beside().card, c.Code, w.now)
			found(identity.ErrNotFound, w.card, c.Code, c.Expires)
			found(nil, w.card, c.Code, c.Expires.Add(-time.Millisecond))

			late := w.event(audit.CitizenActivated)
			late.At = c.Expires
			w.is("late", w.s.Activate(ctx, c.ID, c.Code, "x", "y", late), identity.ErrSpent)
			e := w.event(audit.CitizenActivated)
			w.is("wrong code", w.s.Activate(ctx, c.ID, fresh(), "x", "y", e), identity.ErrSpent)
			w.is("no code", w.s.Activate(ctx, c.ID, nil, "x", "y", e), identity.ErrSpent)
			w.is("another's code", w.s.Activate(ctx, w.beside().citizen, c.Code, "x", "y", e), identity.ErrSpent)
			before := w.epoch()
			w.is("right", w.s.Activate(ctx, c.ID, c.Code, "hash", "hello", e), nil)
			w.is("again", w.s.Activate(ctx, c.ID, c.Code, "x", "y", e), identity.ErrSpent)
			found(identity.ErrNotFound, w.card, c.Code, w.now)
			a, err := w.s.Account(ctx, c.ID)
			w.is("account", err, nil)
			if a.Epoch <= before || a.Password != "hash" || a.Greeting != "hello" {
				w.Errorf("after: %+v", a)
			}
		}},
		{"activation-of-a-frozen-card", func(w *world) {
			c := w.arrive()
			w.citizen = c.ID
			w.freeze(identity.CardFrozen)
			_, err := w.s.CheckActivation(w.Context(), w.card, c.Code, w.now)
			w.is("checking", err, identity.ErrNotFound)
			w.is("activating", w.s.Activate(w.Context(), c.ID, c.Code, "x", "y", w.event(audit.CitizenActivated)), identity.ErrSpent)
		}},
		{"a-new-password-ends-all-but-one", func(w *world) {
			ctx := w.Context()
			keep, other := w.signIn(identity.ID{}), w.signIn(identity.ID{})
			kept, lost := w.family(keep, opaque, offline), w.family(other, opaque, offline)
			unredeemed := w.code(keep)
			f := w.flow()
			browser := w.trustBrowser(keep)
			stranger := w.beside()
			sl := stranger.signIn(identity.ID{})
			sf := stranger.family(sl, opaque)
			before := w.epoch()

			w.ok(w.s.SetPassword(ctx, w.citizen, "another", keep.ID, w.from(audit.PasswordChanged, keep.ID)))
			if now := w.epoch(); now != before+1 {
				w.Errorf("epoch %d after %d", now, before)
			}
			w.live("kept login", keep, true)
			w.live("other login", other, false)
			w.accepted("a grant of the other login", lost, false)
			// Grants remember their epoch too: the login lives on, what it gave does not.
			w.accepted("a grant of the kept login", kept, false)
			_, err := w.s.Redeem(ctx, w.redemption(unredeemed))
			w.is("a code from before", err, identity.ErrNotFound)
			_, err = w.finish(f, w.newLogin(identity.ID{}), identity.ID{})
			w.is("a flow from before", err, identity.ErrEnded)
			_, _, err = w.s.Browser(ctx, browser.Cookie, w.now)
			w.is("a trusted browser", err, identity.ErrNotFound)
			w.accepted("what the kept login gives now", w.family(keep, opaque), true)
			stranger.live("somebody else's login", sl, true)
			stranger.accepted("somebody else's grant", sf, true)

			// What is dead stays dead, also as the one to keep.
			w.is("from a dead login", w.s.SetPassword(ctx, w.citizen, "x", other.ID, w.event(audit.PasswordChanged)), identity.ErrEnded)
			w.is("from another's login", w.s.SetPassword(ctx, w.citizen, "x", sl.ID, w.event(audit.PasswordChanged)), identity.ErrEnded)
			w.is("of nobody", w.s.SetPassword(ctx, identity.NewID(), "x", identity.ID{}, w.event(audit.PasswordChanged)), identity.ErrNotFound)
			w.ok(w.s.SetPassword(ctx, w.citizen, "third", identity.ID{}, w.event(audit.PasswordChanged)))
			w.live("kept by nobody", keep, false)
		}},
		{"rehash-only-what-is-old", func(w *world) {
			ctx := w.Context()
			before := w.epoch()
			w.ok(w.s.Rehash(ctx, w.citizen, "not it", "x"))
			w.ok(w.s.Rehash(ctx, w.citizen, password, "stronger"))
			w.ok(w.s.Rehash(ctx, w.citizen, password, "weaker"))
			a, err := w.s.Account(ctx, w.citizen)
			w.ok(err)
			if a.Password != "stronger" || a.Epoch != before {
				w.Errorf("%+v", a)
			}
		}},
		{"greeting-and-locale", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			w.ok(w.s.SetGreeting(ctx, w.citizen, "海内存知己", w.event(audit.GreetingChanged)))
			w.is("of nobody", w.s.SetGreeting(ctx, identity.NewID(), "x", w.event(audit.GreetingChanged)), identity.ErrNotFound)
			w.ok(w.s.SetLocale(ctx, w.citizen, "en"))
			a, err := w.s.Account(ctx, w.citizen)
			w.ok(err)
			if a.Greeting != "海内存知己" || a.Locale != "en" {
				w.Errorf("%+v", a)
			}
			w.live("the login", l, true)
		}},
		{"a-frozen-card-ends-everything-for-good", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			fam, unredeemed, f := w.family(l, opaque, offline), w.code(l), w.flow()
			browser := w.trustBrowser(l)
			phone := w.bindPhone(l)
			check := func(when string) {
				w.Helper()
				w.live(when+": login", l, false)
				w.accepted(when, fam, false)
				_, err := w.s.Redeem(ctx, w.redemption(unredeemed))
				w.is(when+": code", err, identity.ErrNotFound)
				w.is(when+": issuing", w.s.IssueCode(ctx, w.newCode(l).NewCode), identity.ErrEnded)
				_, err = w.finish(f, w.newLogin(identity.ID{}), identity.ID{})
				w.is(when+": flow", err, identity.ErrEnded)
				_, _, err = w.s.Browser(ctx, browser.Cookie, w.now)
				w.is(when+": browser", err, identity.ErrNotFound)
				w.is(when+": password", w.s.SetPassword(ctx, w.citizen, "x", l.ID, w.event(audit.PasswordChanged)), identity.ErrEnded)
			}
			w.freeze(identity.CardFrozen)
			check("frozen")
			_, err := w.s.Phone(ctx, phone.ID)
			w.is("phone", err, identity.ErrNotFound)
			a, err := w.s.AccountByAlias(ctx, w.card)
			w.is("account", err, nil)
			if a.State != identity.CardFrozen {
				w.Errorf("state %s", a.State)
			}
			w.freeze(identity.CardNormal)
			check("restored")
			w.live("a new login", w.signIn(identity.ID{}), true)
		}},
	}
}

// freeze moves the card.
func (w *world) freeze(to identity.CardState) {
	w.Helper()
	w.ok(w.s.SetCardState(w.Context(), w.citizen, to, w.event(audit.CitizenFrozen)))
}
