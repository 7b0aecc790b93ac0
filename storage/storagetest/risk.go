package storagetest

import (
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/risk"
	"ecardid/identity"
)

// query asks about a sign-in from the source, by what was in the last three months.
func (w *world) query(source []byte) risk.Query {
	return risk.Query{Citizen: w.citizen, Source: source, Hold: fresh(), Since: w.now.Add(-90 * 24 * time.Hour), Window: w.now.Add(-time.Hour), Now: w.now}
}

func (w *world) remembered(q risk.Query) risk.History {
	w.Helper()
	h, err := w.s.SignIns(w.Context(), q)
	w.ok(err)
	return h
}

// signInFrom makes a login in a kind of browser, at a place and from a source.
func (w *world) signInFrom(agent, place string, source []byte) {
	w.Helper()
	l := w.newLogin(identity.ID{})
	w.ok(w.s.FinishFlow(w.Context(), w.flow(), authn.NewLogin{Login: l.Login, Token: l.token, Agent: agent, Place: place, Source: source, Idle: loginIdle},
		identity.ID{}, w.from(audit.LoginFinished, l.ID)))
}

// weigh does all there is to do about a sign-in that is weighed.
func (w *world) weigh() {
	w.Helper()
	source := fresh()
	w.signInFrom("Firefox", "192.0.2.0/24", source)
	w.remembered(w.query(source))
	f, e := w.flow(), w.event(audit.SignInHeld)
	w.ok(w.s.Weighed(w.Context(), &f, &risk.Hold{Key: fresh(), Held: risk.Held{Rules: []string{"a"}, Until: w.now.Add(time.Minute)}}, &e, w.now))
}

func riskChecks() []check {
	const home, away = "192.0.2.0/24", "198.51.100.0/24"
	return []check{
		{"sign-ins-of-before", func(w *world) {
			source := fresh()
			if h := w.remembered(w.query(source)); len(h.Seen) != 0 || h.Accounts != 0 || !h.Held.Until.IsZero() {
				w.Errorf("a newcomer: %+v", h)
			}
			w.beside().signInFrom("Firefox", away, fresh())
			w.signInFrom("Firefox", home, source)
			w.now = w.now.Add(time.Hour)
			w.signInFrom("Firefox", home, source)
			w.signInFrom("Safari", away, nil)
			h := w.remembered(w.query(source))
			slices.SortFunc(h.Seen, func(a, b risk.Seen) int { return len(a.Agent) - len(b.Agent) })
			if len(h.Seen) != 2 || h.Seen[0].Place != away || h.Seen[1].Agent != "Firefox" || h.Seen[1].Place != home || !h.Seen[1].At.Equal(w.now) {
				w.Errorf("%+v", h.Seen)
			}
			if h.Accounts != 0 {
				w.Errorf("their own sign-ins count as %d other accounts", h.Accounts)
			}
			q := w.query(source)
			q.Since = w.now
			if h := w.remembered(q); len(h.Seen) != 0 {
				w.Errorf("older than asked for: %+v", h.Seen)
			}
		}},
		{"accounts-of-one-source", func(w *world) {
			source := fresh()
			for range 3 {
				other := w.beside()
				other.signInFrom("Firefox", home, source)
				other.signInFrom("Firefox", home, source)
			}
			w.beside().signInFrom("Firefox", home, fresh())
			w.beside().signInFrom("Firefox", home, nil)
			if h := w.remembered(w.query(source)); h.Accounts != 3 {
				w.Errorf("%d accounts, want 3", h.Accounts)
			}
			if h := w.remembered(w.query(nil)); h.Accounts != 0 {
				w.Errorf("%d accounts of a source that cannot be told", h.Accounts)
			}
			q := w.query(source)
			q.Window = w.now
			if h := w.remembered(q); h.Accounts != 0 {
				w.Errorf("%d accounts outside the window", h.Accounts)
			}
		}},
		{"changed-factors", func(w *world) {
			w.now = w.now.Add(time.Minute)
			l := w.signIn(identity.ID{})
			if h := w.remembered(w.query(nil)); !h.Changed.IsZero() {
				w.Errorf("what they came in with changed %v", h.Changed)
			}
			for what, change := range map[string]func(){
				"a generator": func() { w.bindTOTP(l) },
				"a passkey":   func() { w.addPasskey(l, true) },
				"a phone":     func() { w.bindPhone(l) },
				"a password": func() {
					w.ok(w.s.SetPassword(w.Context(), w.citizen, password, l.ID, w.from(audit.PasswordChanged, l.ID)))
				},
			} {
				w.now = w.now.Add(time.Minute)
				change()
				if h := w.remembered(w.query(nil)); !h.Changed.Equal(w.now) {
					w.Errorf("%s changed %v, not %v", what, h.Changed, w.now)
				}
			}
			w.now = w.now.Add(time.Minute)
			w.trustBrowser(l)
			if h := w.remembered(w.query(nil)); h.Changed.Equal(w.now) {
				w.Error("a remembered browser is no factor")
			}
		}},
		{"holds", func(w *world) {
			ctx := w.Context()
			f, q := w.flow(), w.query(nil)
			hold := func(until time.Time, rules ...string) *risk.Hold {
				return &risk.Hold{Key: q.Hold, Held: risk.Held{Rules: rules, Until: until}}
			}
			is := func(what string, until time.Time, rules ...string) {
				w.Helper()
				q.Now = w.now
				if h := w.remembered(q).Held; !h.Until.Equal(until) || !slices.Equal(h.Rules, rules) {
					w.Errorf("%s: %+v, want %v until %v", what, h, rules, until)
				}
			}
			e := w.event(audit.SignInHeld)
			first := w.now.Add(10 * time.Minute)
			stale := f
			w.ok(w.s.Weighed(ctx, &f, hold(first, "a"), &e, w.now))
			is("held", first, "a")
			if w.entries(audit.SignInHeld) != 1 || w.notices(audit.SignInHeld) != 1 {
				w.Error("not in the trail, or the citizen does not hear of it")
			}
			if f.Version != stale.Version+1 {
				w.Error("the flow did not move")
			}
			// What has not moved holds nobody, and is not in the trail.
			other := w.query(nil)
			w.is("from where it was", w.s.Weighed(ctx, &stale, &risk.Hold{Key: other.Hold, Held: risk.Held{Until: first, Rules: []string{"a"}}}, &e, w.now), identity.ErrSpent)
			if h := w.remembered(other).Held; !h.Until.IsZero() || w.entries(audit.SignInHeld) != 1 {
				w.Errorf("half of it was done: %+v", h)
			}
			// It does not grow while it lasts.
			w.now = w.now.Add(5 * time.Minute)
			w.ok(w.s.Weighed(ctx, &f, hold(w.now.Add(10*time.Minute), "a", "b"), nil, w.now))
			is("held again", first, "a")
			w.now = first
			is("over", first, "a")
			f = w.flow()
			w.ok(w.s.Weighed(ctx, &f, hold(first.Add(time.Minute), "b"), nil, w.now))
			is("another one", first.Add(time.Minute), "b")
			w.now = first.Add(time.Minute + risk.HealedFor)
			is("forgotten", time.Time{})
			_, err := w.s.Sweep(ctx, w.now)
			w.ok(err)
			// Without a hold and an event it is MoveFlow.
			f = w.flow()
			w.ok(w.s.Weighed(ctx, &f, nil, nil, w.now))
			w.is("an expired flow", w.s.Weighed(ctx, &f, nil, nil, f.Expires), identity.ErrSpent)
		}},
	}
}
