package storagetest

import (
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/oauth"
)

// listening makes the world's client one that wants to hear of ends.
func (w *world) listening() {
	w.Helper()
	w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: w.client, State: oauth.ClientLive, BackChannelLogoutURI: "https://rp.example/bye"}, w.clientEvent(audit.ClientApplied)))
}

// said are the farewells of the world's citizen that are due; they are leased.
func (w *world) said() []oauth.Farewell {
	w.Helper()
	all, err := w.s.TakeFarewells(w.Context(), w.now, time.Minute, 10_000)
	w.ok(err)
	return slices.DeleteFunc(all, func(f oauth.Farewell) bool { return f.Citizen != w.citizen })
}

// told checks to which sessions the client is told farewell.
func (w *world) told(what string, sessions ...identity.ID) {
	w.Helper()
	var got []string
	for _, f := range w.said() {
		if f.ClientID != w.client || f.ID.IsZero() || !f.At.Equal(w.now) || f.Tries != 0 {
			w.Errorf("%s: %+v", what, f)
		}
		got = append(got, f.Session.String())
		w.ok(w.s.Delivered(w.Context(), f.ID))
	}
	var want []string
	for _, s := range sessions {
		want = append(want, s.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("%s: told %v, want %v", what, strings.Join(got, " "), strings.Join(want, " "))
	}
}

func (w *world) sitting(l session) identity.ID {
	w.Helper()
	got, err := w.s.Login(w.Context(), l.token, w.now)
	w.ok(err)
	return got.Session
}

func farewellChecks() []check {
	return []check{
		{"a-sitting-outlives-a-step-up", func(w *world) {
			ctx := w.Context()
			w.listening()
			first := w.signIn(identity.ID{})
			if s := w.sitting(first); s != first.ID {
				w.Errorf("a new login has the session %v", s)
			}
			fam := w.family(first)
			l, err := w.finish(w.flow(func(f *authn.Flow) { f.Login = first.ID }), w.newLogin(identity.ID{}), first.ID)
			w.ok(err)
			l, err = w.finish(w.flow(func(f *authn.Flow) { f.Login = l.ID }), w.newLogin(identity.ID{}), l.ID)
			w.ok(err)
			if s := w.sitting(l); s != first.ID {
				w.Errorf("raised twice: %v, want %v", s, first.ID)
			}
			g, err := w.s.LiveGrant(ctx, fam.ID, w.now)
			if err != nil || g.Session != first.ID || g.Login != l.ID {
				w.Errorf("%+v, %v", g, err)
			}
			rows, err := w.s.ListLogins(ctx, w.citizen, w.now)
			if err != nil || len(rows) != 1 || rows[0].Session != first.ID {
				w.Errorf("%+v, %v", rows, err)
			}
			w.told("a step-up is no end")
			w.ok(w.s.EndLogin(ctx, w.citizen, l.ID, w.event(audit.LoginEnded)))
			w.told("the end", first.ID)
		}},
		{"a-step-up-that-leaves-grants-behind-is-another-sitting", func(w *world) {
			w.listening()
			phone := w.bindPhone(w.signIn(identity.ID{}))
			old := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID})
			w.family(old)
			l, err := w.finish(w.flow(func(f *authn.Flow) { f.Login = old.ID }), w.newLogin(identity.ID{}), old.ID)
			w.ok(err)
			if s := w.sitting(l); s != l.ID {
				w.Errorf("its session is %v", s)
			}
			w.told("what stood on the phone", old.ID)
		}},
		{"told-by-every-end", func(w *world) {
			for what, end := range map[string]func(w *world, l session){
				"signing out": func(w *world, l session) {
					w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.event(audit.LoginEnded)))
				},
				"signing out elsewhere": func(w *world, _ session) {
					w.ok(w.s.EndOtherLogins(w.Context(), w.citizen, w.signIn(identity.ID{}).ID, w.event(audit.LoginsEnded)))
				},
				"a new password": func(w *world, _ session) {
					w.ok(w.s.SetPassword(w.Context(), w.citizen, "x", w.signIn(identity.ID{}).ID, w.event(audit.PasswordChanged)))
				},
				"a freeze": func(w *world, _ session) { w.freeze(identity.CardFrozen) },
				"a freeze and a thaw": func(w *world, _ session) {
					w.freeze(identity.CardFrozen)
					w.freeze(identity.CardNormal)
				},
				"factors reset": func(w *world, _ session) {
					w.ok(w.s.ResetFactors(w.Context(), w.citizen, fresh(), w.now.Add(time.Hour), w.event(audit.FactorsReset)))
				},
				"a device lost": func(w *world, l session) {
					w.ok(w.s.EndDevice(w.Context(), w.citizen, l.Device, identity.DeviceLost, nil, w.event(audit.DeviceEnded)))
				},
				"a device suspended": func(w *world, l session) {
					w.ok(w.s.EndDevice(w.Context(), w.citizen, l.Device, identity.DeviceSuspended, nil, w.event(audit.DeviceEnded)))
				},
				"another factor lost": func(w *world, _ session) {
					phone := w.bindPhone(w.signIn(identity.ID{}))
					w.ok(w.s.EndDevice(w.Context(), w.citizen, phone.ID, identity.DeviceLost, nil, w.event(audit.DeviceEnded)))
				},
			} {
				d := w.beside()
				d.listening()
				browser := d.trustBrowser(d.signIn(identity.ID{}))
				l := d.signIn(browser.ID)
				d.family(l)
				d.family(l, opaque, offline) // twice the same client: once told
				silent := d.beside()
				d.ok(d.s.IssueCode(d.Context(), d.newCode(l, func(n *oauth.NewCode) { n.Grant.ClientID = silent.client }).NewCode))
				end(d, l)
				d.told(what, l.ID)
				d.told(what + ": delivered")
			}
		}},
		{"not-told", func(w *world) {
			for what, end := range map[string]func(w *world, l session){
				"nothing happened": func(*world, session) {},
				"it ran out":       func(w *world, l session) { w.now = l.Ends },
				"it ran out, and others are ended": func(w *world, l session) {
					w.now = w.now.Add(loginIdle)
					w.ok(w.s.EndOtherLogins(w.Context(), w.citizen, w.signIn(identity.ID{}).ID, w.event(audit.LoginsEnded)))
				},
				"swept": func(w *world, _ session) {
					w.now = w.now.AddDate(2, 0, 0)
					_, err := w.s.Sweep(w.Context(), w.now)
					w.ok(err)
				},
				"the login that is kept": func(w *world, l session) {
					w.ok(w.s.EndOtherLogins(w.Context(), w.citizen, l.ID, w.event(audit.LoginsEnded)))
					w.ok(w.s.SetPassword(w.Context(), w.citizen, "x", l.ID, w.event(audit.PasswordChanged)))
				},
				"consent withdrawn first": func(w *world, l session) {
					w.ok(w.s.WithdrawConsent(w.Context(), w.citizen, w.client, w.now, w.event(audit.ConsentWithdrawn)))
					w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.event(audit.LoginEnded)))
				},
				"its client suspended first": func(w *world, l session) {
					w.ok(w.s.SuspendClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended)))
					w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.event(audit.LoginEnded)))
				},
				"a client that listens no more": func(w *world, l session) {
					w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: w.client, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
					w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.event(audit.LoginEnded)))
				},
				"an end that was refused": func(w *world, l session) {
					w.is("a stranger", w.s.EndLogin(w.Context(), w.beside().citizen, l.ID, w.event(audit.LoginEnded)), identity.ErrNotFound)
				},
			} {
				d := w.beside()
				d.listening()
				l := d.signIn(identity.ID{})
				d.family(l)
				end(d, l)
				d.told(what)
			}
		}},
		{"what-is-offline-is-told-when-it-ends", func(w *world) {
			w.listening()
			l := w.signIn(identity.ID{})
			w.family(l, offline)
			w.now = l.Ends
			w.told("running out is no end")
			w.ok(w.s.EndOtherLogins(w.Context(), w.citizen, identity.ID{}, w.event(audit.LoginsEnded)))
			w.told("ended", l.ID)
		}},
		{"leased-and-tried-again", func(w *world) {
			ctx := w.Context()
			w.listening()
			l := w.signIn(identity.ID{})
			w.family(l)
			w.ok(w.s.EndLogin(ctx, w.citizen, l.ID, w.event(audit.LoginEnded)))
			tries := func(what string, want ...int) (last oauth.Farewell) {
				w.Helper()
				var got []int
				for _, f := range w.said() {
					got, last = append(got, f.Tries), f
				}
				if !slices.Equal(got, want) {
					w.Errorf("%s: %v, want %v", what, got, want)
				}
				return last
			}
			first := tries("first", 0)
			tries("leased")
			w.now = start.Add(time.Minute)
			again := tries("the lease is over", 1)
			if again.ID != first.ID || !again.At.Equal(start) {
				w.Errorf("%+v after %+v", again, first)
			}
			w.ok(w.s.Undelivered(ctx, first.ID, start.Add(time.Hour)))
			w.now = start.Add(time.Hour - time.Millisecond)
			tries("before its time")
			w.now = start.Add(time.Hour)
			tries("in its time", 2)
			w.ok(w.s.Undelivered(ctx, first.ID, start.Add(2*time.Hour)))
			w.now = start.Add(24 * time.Hour)
			tries("after a day")
			if gone, err := w.s.Sweep(ctx, w.now); err != nil || gone["farewells"] == 0 {
				w.Errorf("%v, %v", gone, err)
			}
			w.ok(w.s.Delivered(ctx, first.ID))
			w.ok(w.s.Undelivered(ctx, first.ID, w.now))
			tries("gone")
			if all, err := w.s.TakeFarewells(ctx, w.now, time.Minute, 0); err != nil || len(all) != 0 {
				w.Errorf("%v, %v", all, err)
			}
		}},
		{"a-sessions-clients", func(w *world) {
			ctx := w.Context()
			l, other := w.signIn(identity.ID{}), w.beside()
			w.family(l)
			w.ok(w.s.RevokeGrant(ctx, w.family(l).ID, w.client, w.now, w.clientEvent(audit.GrantRevoked)))
			// Whoever never redeemed its code was in no session.
			w.ok(w.s.IssueCode(ctx, w.newCode(l, func(n *oauth.NewCode) { n.Grant.ClientID = other.client }).NewCode))
			other.family(other.signIn(identity.ID{}))
			want := []string{w.client}
			if got, err := w.s.SessionClients(ctx, l.ID); err != nil || !slices.Equal(got, want) {
				w.Errorf("%v, %v", got, err)
			}
			for _, id := range []identity.ID{{}, identity.NewID()} {
				if got, err := w.s.SessionClients(ctx, id); err != nil || len(got) != 0 {
					w.Errorf("%v, %v", got, err)
				}
			}
		}},
	}
}
