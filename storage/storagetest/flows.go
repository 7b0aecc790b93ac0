package storagetest

import (
	"reflect"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

func flowChecks() []check {
	return []check{
		{"found-by-its-browser-until-it-expires", func(w *world) {
			ctx := w.Context()
			f := w.flow(func(f *authn.Flow) { f.Need.Txn = "a payment" })
			got, err := w.s.Flow(ctx, f.ID, f.Browser, w.now)
			w.is("own", err, nil)
			if got.Citizen != w.citizen || got.Epoch != f.Epoch || got.Version != f.Version || got.Back != f.Back || got.Need.Txn != "a payment" ||
				got.Need.Hint != w.phone.Value || got.State.Typed != w.id.Value || !got.Expires.Equal(f.Expires) || !got.Created.Equal(f.Created) {
				w.Errorf("%+v", got)
			}
			for what, ask := range map[string]func() error{
				"another browser": func() error { _, err := w.s.Flow(ctx, f.ID, fresh(), w.now); return err },
				"no browser":      func() error { _, err := w.s.Flow(ctx, f.ID, nil, w.now); return err },
				"another id":      func() error { _, err := w.s.Flow(ctx, identity.NewID(), f.Browser, w.now); return err },
				"expired":         func() error { _, err := w.s.Flow(ctx, f.ID, f.Browser, f.Expires); return err },
			} {
				w.is(what, ask(), identity.ErrNotFound)
			}
			w.ok(w.s.DropFlow(ctx, f.ID))
			w.ok(w.s.DropFlow(ctx, f.ID))
			_, err = w.s.Flow(ctx, f.ID, f.Browser, w.now)
			w.is("dropped", err, identity.ErrNotFound)
		}},
		{"is-read-with-its-citizen", func(w *world) {
			ctx := w.Context()
			known, nobody, gone := w.flow(), w.flow(), w.flow()
			nobody.Citizen, gone.Citizen = identity.ID{}, identity.NewID()
			w.ok(w.s.MoveFlow(ctx, &nobody, w.now))
			w.ok(w.s.MoveFlow(ctx, &gone, w.now))
			for _, f := range []authn.Flow{known, nobody, gone} {
				want, err := w.s.Flow(ctx, f.ID, f.Browser, w.now)
				w.ok(err)
				got, acc, err := w.s.Visit(ctx, f.ID, f.Browser, w.now)
				w.ok(err)
				if !reflect.DeepEqual(got, want) {
					w.Errorf("%+v, and %+v alone", got, want)
				}
				var account authn.Account
				if f.ID == known.ID {
					account, err = w.s.Account(ctx, f.Citizen)
					w.ok(err)
				}
				if !reflect.DeepEqual(acc, account) {
					w.Errorf("%+v, and %+v alone", acc, account)
				}
			}
			for what, ask := range map[string]func() error{
				"another browser": func() error { _, _, err := w.s.Visit(ctx, known.ID, fresh(), w.now); return err },
				"no browser":      func() error { _, _, err := w.s.Visit(ctx, known.ID, nil, w.now); return err },
				"expired":         func() error { _, _, err := w.s.Visit(ctx, known.ID, known.Browser, known.Expires); return err },
			} {
				w.is(what, ask(), identity.ErrNotFound)
			}
		}},
		{"moves-from-where-it-stands", func(w *world) {
			ctx := w.Context()
			f := w.flow()
			stale, foreign, late := f, f, f
			foreign.Browser = fresh()
			w.is("from another browser", w.s.MoveFlow(ctx, &foreign, w.now), identity.ErrSpent)
			w.is("when expired", w.s.MoveFlow(ctx, &late, f.Expires), identity.ErrSpent)
			f.Proofs, f.State.Codes = []identity.Proof{{Factor: identity.FactorPassword, At: w.now}}, 3
			w.is("moving", w.s.MoveFlow(ctx, &f, w.now), nil)
			if f.Version != stale.Version+1 {
				w.Errorf("version %d after %d", f.Version, stale.Version)
			}
			w.is("from where it was", w.s.MoveFlow(ctx, &stale, w.now), identity.ErrSpent)
			got, err := w.s.Flow(ctx, f.ID, f.Browser, w.now)
			w.ok(err)
			if len(got.Proofs) != 1 || got.State.Codes != 3 {
				w.Errorf("%+v", got)
			}
			_, err = w.finish(stale, w.newLogin(identity.ID{}), identity.ID{})
			w.is("finishing from where it was", err, identity.ErrSpent)
			_, err = w.finish(f, w.newLogin(identity.ID{}), identity.ID{})
			w.is("finishing", err, nil)
			_, err = w.finish(f, w.newLogin(identity.ID{}), identity.ID{})
			w.is("finishing again", err, identity.ErrSpent)
			w.is("moving what is finished", w.s.MoveFlow(ctx, &f, w.now), identity.ErrSpent)
		}},
		{"finishes-only-while-everything-holds", func(w *world) {
			ctx := w.Context()
			late := w.flow()
			w.now = late.Expires
			_, err := w.finish(late, w.newLogin(identity.ID{}), identity.ID{})
			w.is("expired", err, identity.ErrSpent)
			w.now = start

			foreign := w.flow()
			foreign.Browser = fresh()
			_, err = w.finish(foreign, w.newLogin(identity.ID{}), identity.ID{})
			w.is("another browser", err, identity.ErrSpent)

			moved := w.flow()
			moved.Epoch++
			_, err = w.finish(moved, w.newLogin(identity.ID{}), identity.ID{})
			w.is("another epoch", err, identity.ErrEnded)

			l := w.signIn(identity.ID{})
			phone, browser := w.bindPhone(l), w.trustBrowser(l)
			proof := func(d identity.ID) identity.Proof {
				return identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: d}
			}
			_, err = w.finish(w.flow(), w.newLogin(browser.ID, proof(phone.ID)), identity.ID{})
			w.is("both active", err, nil)
			_, err = w.finish(w.flow(), w.newLogin(identity.ID{}, proof(identity.NewID())), identity.ID{})
			w.is("an unknown device", err, identity.ErrEnded)
			other := w.beside()
			_, err = w.finish(w.flow(), w.newLogin(identity.ID{}, proof(other.bindPhone(other.signIn(identity.ID{})).ID)), identity.ID{})
			w.is("another's device", err, identity.ErrEnded)
			f := w.flow()
			n := w.newLogin(identity.ID{}, proof(phone.ID))
			w.ok(w.s.EndDevice(ctx, w.citizen, phone.ID, identity.DeviceSuspended, nil, w.event(audit.DeviceEnded)))
			_, err = w.finish(f, n, identity.ID{})
			w.is("a device ended meanwhile", err, identity.ErrSpent, identity.ErrEnded)
			_, err = w.finish(w.flow(), n, identity.ID{})
			w.is("an ended device", err, identity.ErrEnded)
			w.live("that login", n, false)
			w.ok(w.s.EndDevice(ctx, w.citizen, browser.ID, identity.DeviceRevoked, nil, w.event(audit.DeviceEnded)))
			_, err = w.finish(w.flow(), w.newLogin(browser.ID), identity.ID{})
			w.is("an ended browser", err, identity.ErrEnded)
		}},
		{"a-passkey-that-was-disabled-finishes-nothing", func(w *world) {
			l := w.signIn(identity.ID{})
			p := w.addPasskey(l, false)
			f := w.flow()
			w.ok(w.s.DisablePasskey(w.Context(), w.citizen, p.ID, w.event(audit.PasskeyCloned)))
			_, err := w.finish(f, w.newLogin(identity.ID{}, identity.Proof{Factor: identity.FactorPasskey, At: w.now, Synced: true}), identity.ID{})
			w.is("finishing", err, identity.ErrEnded)
		}},
		{"step-up-takes-over-what-the-login-gave", func(w *world) {
			ctx := w.Context()
			old, bystander := w.signIn(identity.ID{}), w.signIn(identity.ID{})
			fam, code := w.family(old, opaque, offline), w.code(old)
			f := w.flow(func(f *authn.Flow) { f.Login = old.ID })
			second := w.flow(func(f *authn.Flow) { f.Login = old.ID })
			raised, err := w.finish(f, w.newLogin(identity.ID{}), old.ID)
			w.is("finishing", err, nil)
			w.live("raised", raised, true)
			w.live("replaced", old, false)
			w.live("bystander", bystander, true)
			w.accepted("a grant of the replaced login", fam, true)
			_, err = w.s.Redeem(ctx, w.redemption(code))
			w.is("a code of the replaced login", err, nil)
			_, err = w.finish(second, w.newLogin(identity.ID{}), old.ID)
			if err == nil {
				w.Error("a second step-up from the replaced login")
			}
			w.ok(w.s.EndLogin(ctx, w.citizen, raised.ID, w.event(audit.LoginEnded)))
			w.accepted("after signing out", fam, false)
		}},
		{"step-up-away-from-a-device-leaves-its-grants-behind", func(w *world) {
			first := w.signIn(identity.ID{})
			phone := w.bindPhone(first)
			old := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID})
			fam := w.family(old, opaque)
			_, err := w.finish(w.flow(func(f *authn.Flow) { f.Login = old.ID }), w.newLogin(identity.ID{}), old.ID)
			w.is("finishing", err, nil)
			w.accepted("what stood on the phone", fam, false)
		}},
		{"step-up-of-an-ended-login", func(w *world) {
			old := w.signIn(identity.ID{})
			f := w.flow(func(f *authn.Flow) { f.Login = old.ID })
			w.ok(w.s.EndLogin(w.Context(), w.citizen, old.ID, w.event(audit.LoginEnded)))
			n := w.newLogin(identity.ID{})
			if _, err := w.finish(f, n, old.ID); err == nil {
				w.Error("it was raised")
			}
			w.live("the raised login", n, false)
		}},
		{"another-citizens-login-is-not-replaced", func(w *world) {
			other := w.beside()
			theirs := other.signIn(identity.ID{})
			_, err := w.finish(w.flow(), w.newLogin(identity.ID{}), theirs.ID)
			w.is("finishing", err, nil)
			other.live("theirs", theirs, true)
		}},
	}
}

func loginChecks() []check {
	return []check{
		{"read-back", func(w *world) {
			l := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPassword, At: w.now}, identity.Proof{Factor: identity.FactorTOTP, At: w.now})
			got, err := w.s.Login(w.Context(), l.token, w.now)
			w.is("reading", err, nil)
			if got.ID != l.ID || got.Citizen != w.citizen || len(got.Proofs) != 2 || got.Proofs[1].Factor != identity.FactorTOTP || !got.Proofs[1].At.Equal(w.now) ||
				!got.Started.Equal(l.Started) || !got.Seen.Equal(l.Started) || !got.Ends.Equal(l.Ends) || got.Locale != "zh-CN" {
				w.Errorf("%+v", got)
			}
			for _, token := range [][]byte{nil, {}, fresh(), l.token[:16]} {
				_, err := w.s.Login(w.Context(), token, w.now)
				w.is("another token", err, identity.ErrNotFound)
			}
		}},
		{"idle-and-absolute-end", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			at := func(d time.Duration, want bool) {
				w.Helper()
				w.now = start.Add(d)
				w.live(d.String(), l, want)
			}
			at(loginIdle-time.Millisecond, true)
			w.ok(w.s.TouchLogin(ctx, l.ID, w.now, loginIdle))
			got, err := w.s.Login(ctx, l.token, w.now)
			w.ok(err)
			if !got.Seen.Equal(w.now) {
				w.Errorf("seen %v, want %v", got.Seen, w.now)
			}
			at(loginIdle, true)
			at(2*loginIdle-time.Millisecond, false) // to the millisecond
			w.ok(w.s.TouchLogin(ctx, l.ID, w.now, loginIdle))
			at(2*loginIdle-time.Millisecond, false) // a dead login stays dead
			// However often it is touched, it has an absolute end.
			w.now = start
			long := w.signIn(identity.ID{})
			for w.now.Before(long.Ends.Add(-loginIdle / 2)) {
				w.ok(w.s.TouchLogin(ctx, long.ID, w.now, loginIdle))
				w.now = w.now.Add(loginIdle / 2)
			}
			w.ok(w.s.TouchLogin(ctx, long.ID, w.now, loginIdle))
			w.now = long.Ends.Add(-time.Millisecond)
			w.live("just before its end", long, true)
			w.now = long.Ends
			w.live("at its end", long, false)
		}},
		{"ended-one-by-one", func(w *world) {
			ctx := w.Context()
			a, b := w.signIn(identity.ID{}), w.signIn(identity.ID{})
			fa, fb := w.family(a, opaque, offline), w.family(b, opaque)
			step := w.flow(func(f *authn.Flow) { f.Login = a.ID })
			w.is("by another", w.s.EndLogin(ctx, w.beside().citizen, a.ID, w.event(audit.LoginEnded)), identity.ErrNotFound)
			w.live("after another tried", a, true)
			w.ok(w.s.EndLogin(ctx, w.citizen, a.ID, w.event(audit.LoginEnded)))
			w.live("ended", a, false)
			w.accepted("what it gave", fa, false)
			_, err := w.s.Flow(ctx, step.ID, step.Browser, w.now)
			w.is("its step-up", err, identity.ErrNotFound)
			w.ok(w.s.TouchLogin(ctx, a.ID, w.now, loginIdle))
			w.live("ended and touched", a, false)
			w.live("the other", b, true)
			w.accepted("what the other gave", fb, true)
			w.is("again", w.s.EndLogin(ctx, w.citizen, a.ID, w.event(audit.LoginEnded)), identity.ErrNotFound)
			w.is("unknown", w.s.EndLogin(ctx, w.citizen, identity.NewID(), w.event(audit.LoginEnded)), identity.ErrNotFound)
		}},
		{"all-others", func(w *world) {
			ctx := w.Context()
			keep, b, c := w.signIn(identity.ID{}), w.signIn(identity.ID{}), w.signIn(identity.ID{})
			fk, fb := w.family(keep, opaque), w.family(b, opaque, offline)
			half := w.flow()
			other := w.beside()
			theirs := other.signIn(identity.ID{})
			w.ok(w.s.EndOtherLogins(ctx, w.citizen, keep.ID, w.event(audit.LoginsEnded)))
			w.live("kept", keep, true)
			w.live("b", b, false)
			w.live("c", c, false)
			w.accepted("of the kept", fk, true)
			w.accepted("of an ended", fb, false)
			_, err := w.finish(half, w.newLogin(identity.ID{}), identity.ID{})
			w.is("a half-finished one", err, identity.ErrSpent)
			other.live("another citizen's", theirs, true)
			w.ok(w.s.EndOtherLogins(ctx, w.citizen, identity.ID{}, w.event(audit.LoginsEnded)))
			w.live("kept by nobody", keep, false)
		}},
		{"listed", func(w *world) {
			ctx := w.Context()
			var all []session
			for range 3 {
				all = append(all, w.signIn(identity.ID{}))
				w.now = w.now.Add(time.Minute)
			}
			_, err := w.s.LastLogin(ctx, w.citizen, all[0].ID)
			w.is("before the first", err, identity.ErrNotFound)
			w.ok(w.s.EndLogin(ctx, w.citizen, all[1].ID, w.event(audit.LoginEnded)))
			got, err := w.s.ListLogins(ctx, w.citizen, w.now)
			w.ok(err)
			if len(got) != 2 || got[0].ID != all[2].ID || got[1].ID != all[0].ID || got[0].Agent != "Firefox on Linux" || got[0].Place != "192.0.2.0/24" {
				w.Errorf("%+v", got)
			}
			last, err := w.s.LastLogin(ctx, w.citizen, all[2].ID) // ended or not
			w.is("last", err, nil)
			if last.ID != all[1].ID {
				w.Errorf("last: %v", last.ID)
			}
			_, err = w.s.LastLogin(ctx, w.beside().citizen, all[2].ID)
			w.is("asked by another", err, identity.ErrNotFound)
			got, err = w.s.ListLogins(ctx, w.citizen, w.now.Add(loginIdle))
			w.ok(err)
			if len(got) != 0 {
				w.Errorf("idle ones are listed: %+v", got)
			}
		}},
	}
}

func attemptChecks() []check {
	rule := authn.Rule{Free: 3, Base: 10 * time.Second, Cap: time.Minute, Per: time.Hour}
	guess := func(w *world, now time.Time, key []byte, r authn.Rule) authn.Tally {
		w.Helper()
		got, err := w.s.Attempt(w.Context(), now, authn.Try{Key: key, Rule: r})
		w.ok(err)
		if len(got) != 1 {
			w.Fatalf("%d tallies", len(got))
		}
		return got[0]
	}
	want := func(w *world, now time.Time, key []byte, r authn.Rule, want authn.Tally) {
		w.Helper()
		if got := guess(w, now, key, r); got != want {
			w.Errorf("at %v: %+v, want %+v", now.Sub(start), got, want)
		}
	}
	return []check{
		{"over-time", func(w *world) {
			key := fresh()
			for n := range 4 { // three are forgiven; the fourth is judged too, and costs
				want(w, w.now, key, rule, authn.Tally{Count: n + 1, Allowed: true})
			}
			now := w.now
			for i, block := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
				want(w, now.Add(block-time.Millisecond), key, rule, authn.Tally{Count: i + 4})
				now = now.Add(block)
				want(w, now, key, rule, authn.Tally{Count: i + 5, Allowed: true})
			}
			want(w, w.now.Add(rule.Per), key, rule, authn.Tally{Count: 1, Allowed: true}) // it starts anew
		}},
		{"for-good", func(w *world) {
			key, r := fresh(), authn.Rule{Free: 10, Per: time.Hour, Max: 3}
			for n := range 3 {
				want(w, w.now, key, r, authn.Tally{Count: n + 1, Allowed: true})
			}
			want(w, w.now.AddDate(100, 0, 0), key, r, authn.Tally{Count: 3})
			w.ok(w.s.Forgive(w.Context(), key))
			want(w, w.now, key, r, authn.Tally{Count: 1, Allowed: true})
		}},
		{"never-more-than-once", func(w *world) {
			key, r := fresh(), authn.Rule{Max: 1, Per: time.Hour}
			want(w, w.now, key, r, authn.Tally{Count: 1, Allowed: true})
			want(w, w.now, key, r, authn.Tally{Count: 1})
		}},
		{"nothing-is-free", func(w *world) {
			key, r := fresh(), authn.Rule{Base: time.Second, Cap: time.Hour, Per: 24 * time.Hour}
			want(w, w.now, key, r, authn.Tally{Count: 1, Allowed: true})
			want(w, w.now, key, r, authn.Tally{Count: 1})
			want(w, w.now.Add(time.Second), key, r, authn.Tally{Count: 2, Allowed: true})
			want(w, w.now.Add(3*time.Second-1), key, r, authn.Tally{Count: 2})
		}},
		{"a-hundred-doublings-do-not-overflow", func(w *world) {
			key, r := fresh(), authn.Rule{Base: time.Minute, Cap: time.Hour, Per: 1000 * time.Hour}
			now := w.now
			for n := range 100 {
				want(w, now, key, r, authn.Tally{Count: n + 1, Allowed: true})
				want(w, now, key, r, authn.Tally{Count: n + 1})
				now = now.Add(r.Cap)
			}
		}},
		{"several-counters-at-once", func(w *world) {
			a, b, c := fresh(), fresh(), fresh()
			once := authn.Rule{Max: 1, Per: time.Hour}
			tries := []authn.Try{{Key: a, Rule: rule}, {Key: b, Rule: once}, {Key: c, Rule: rule}}
			got, err := w.s.Attempt(w.Context(), w.now, tries...)
			w.ok(err)
			got2, err := w.s.Attempt(w.Context(), w.now, tries...)
			w.ok(err)
			// A blocked counter is not raised; the others are.
			if w1, w2 := []authn.Tally{{Count: 1, Allowed: true}, {Count: 1, Allowed: true}, {Count: 1, Allowed: true}},
				[]authn.Tally{{Count: 2, Allowed: true}, {Count: 1}, {Count: 2, Allowed: true}}; !slices.Equal(got, w1) || !slices.Equal(got2, w2) {
				w.Errorf("%+v then %+v", got, got2)
			}
			none, err := w.s.Attempt(w.Context(), w.now)
			if err != nil || len(none) != 0 {
				w.Errorf("no counters: %v, %v", none, err)
			}
		}},
		{"forgive-and-refund", func(w *world) {
			key, other := fresh(), fresh()
			for range 3 {
				guess(w, w.now, key, rule)
			}
			guess(w, w.now, other, rule)
			w.ok(w.s.Refund(w.Context(), key))
			want(w, w.now, key, rule, authn.Tally{Count: 3, Allowed: true})
			want(w, w.now, key, rule, authn.Tally{Count: 4, Allowed: true})
			w.ok(w.s.Refund(w.Context(), key))
			want(w, w.now, key, rule, authn.Tally{Count: 3}) // what the guess cost stays
			w.ok(w.s.Forgive(w.Context(), key))
			want(w, w.now, key, rule, authn.Tally{Count: 1, Allowed: true})
			want(w, w.now, other, rule, authn.Tally{Count: 2, Allowed: true})
			w.ok(w.s.Forgive(w.Context(), fresh()))
			w.ok(w.s.Refund(w.Context(), fresh()))
		}},
		{"believe", func(w *world) {
			own, source := fresh(), fresh()
			for range 4 {
				guess(w, w.now, own, rule)
				guess(w, w.now, source, rule)
			}
			want(w, w.now, own, rule, authn.Tally{Count: 4})
			// The right answer costs nothing, and the wrong ones before it are not forgotten.
			w.ok(w.s.Believe(w.Context(), own, source, fresh()))
			want(w, w.now, own, rule, authn.Tally{Count: 4, Allowed: true})
			want(w, w.now, own, rule, authn.Tally{Count: 4})
			want(w, w.now, source, rule, authn.Tally{Count: 3}) // what the guess cost stays
			last, r := fresh(), authn.Rule{Free: 10, Per: time.Hour, Max: 2}
			guess(w, w.now, last, r)
			want(w, w.now, last, r, authn.Tally{Count: 2, Allowed: true})
			w.ok(w.s.Believe(w.Context(), last))
			want(w, w.now, last, r, authn.Tally{Count: 2, Allowed: true})
			w.ok(w.s.Believe(w.Context(), fresh()))
		}},
		{"settle", func(w *world) {
			own, source, global, blocked := fresh(), fresh(), fresh(), fresh()
			for range 2 {
				guess(w, w.now, own, rule)
				guess(w, w.now, source, rule)
				guess(w, w.now, global, rule)
			}
			once := authn.Rule{Max: 1, Per: time.Hour}
			guess(w, w.now, blocked, once)
			w.ok(w.s.Settle(w.Context(), own, source, blocked, global, fresh()))
			want(w, w.now, own, rule, authn.Tally{Count: 1, Allowed: true})
			want(w, w.now, source, rule, authn.Tally{Count: 2, Allowed: true})
			want(w, w.now, global, rule, authn.Tally{Count: 2, Allowed: true})
			want(w, w.now, blocked, once, authn.Tally{Count: 0}) // what the guess cost stays
			w.ok(w.s.Settle(w.Context(), nil, source, own))
			want(w, w.now, own, rule, authn.Tally{Count: 1, Allowed: true})
			want(w, w.now, source, rule, authn.Tally{Count: 2, Allowed: true})
			w.ok(w.s.Settle(w.Context(), nil))
		}},
		{"spent-values", func(w *world) {
			ctx := w.Context()
			key := fresh()
			until := w.now.Add(time.Minute)
			w.is("first", w.s.Remember(ctx, key, until, w.now), nil)
			w.is("again", w.s.Remember(ctx, key, until, w.now), identity.ErrSpent)
			w.is("as a nonce", w.s.SpendNonce(ctx, key, until, w.now), identity.ErrSpent)
			w.is("another", w.s.SpendNonce(ctx, fresh(), until, w.now), nil)
			w.is("almost forgotten", w.s.Remember(ctx, key, until.Add(time.Minute), until.Add(-time.Millisecond)), identity.ErrSpent)
		}},
	}
}
