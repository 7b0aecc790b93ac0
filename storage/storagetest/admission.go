package storagetest

import (
	"errors"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// move takes the world's client to another state, as it is now.
func (w *world) move(to oauth.ClientState, a *oauth.Admission) error {
	w.Helper()
	c, ok := w.clientOf(w.client)
	if !ok {
		w.Fatal("no client")
	}
	revision, err := c.Revision()
	w.ok(err)
	kind := audit.ClientPrepared
	if to == oauth.ClientLive {
		kind = audit.ClientAdmitted
	}
	return w.s.MoveClient(w.Context(), w.client, oauth.Transition{Revision: revision, To: to, Admission: a}, w.clientEvent(kind))
}

// assessed is an admission that is good now, tested with the citizen.
func (w *world) assessed(testers ...identity.ID) *oauth.Admission {
	day := func(t time.Time) oauth.Day {
		d, err := oauth.ParseDay(t.Format(time.DateOnly))
		w.ok(err)
		return d
	}
	return &oauth.Admission{Assessor: "网信办", Assessed: day(w.now), Expires: day(w.now.AddDate(1, 0, 0)), Testers: testers, Scopes: []oauth.Basis{{Scope: "openid"}}}
}

// apply registers the world's client anew.
func (w *world) apply(state oauth.ClientState, a *oauth.Admission) {
	w.Helper()
	w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: w.client, Name: "养老金", Scope: "openid profile phone", State: state, Admission: a}, w.clientEvent(audit.ClientApplied)))
}

// epochOf is the epoch of the world's client.
func (w *world) epochOf() int64 {
	c, _ := w.clientOf(w.client)
	return c.Epoch
}

func admissionChecks() []check {
	lets := func(w *world, what string, want error) {
		w.Helper()
		l := w.signIn(identity.ID{})
		n := w.newCode(l)
		n.Epoch = w.epochOf()
		w.is(what, w.s.IssueCode(w.Context(), n.NewCode), want)
	}
	return []check{
		// What a client holds is alive in the states in which it is served, and dead with
		// each step that is one.
		{"states", func(w *world) {
			w.apply(oauth.ClientDraft, nil)
			lets(w, "a draft", identity.ErrEnded)
			w.ok(w.move(oauth.ClientDraft, w.assessed(w.citizen)))
			w.ok(w.move(oauth.ClientTesting, nil))
			tested := w.family(w.signIn(identity.ID{}), opaque, func(n *oauth.NewCode) { n.Epoch = w.epochOf() })
			w.accepted("tested", tested, true)
			w.ok(w.move(oauth.ClientAssessed, nil))
			w.accepted("assessed", tested, false)
			lets(w, "assessed", identity.ErrEnded)
			w.ok(w.move(oauth.ClientLive, nil))
			w.accepted("what was given for a test", tested, false)
			live := w.family(w.signIn(identity.ID{}), opaque)
			w.accepted("live", live, true)
			w.ok(w.move(oauth.ClientLive, w.assessed()))
			w.accepted("assessed anew", live, true)
			w.ok(w.s.SuspendClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended)))
			w.accepted("suspended", live, false)
			w.ok(w.move(oauth.ClientLive, nil))
			w.accepted("let in again", live, false)
			lets(w, "live again", nil)
			w.ok(w.s.WithdrawClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientWithdrawn)))
			w.is("withdrawn", w.move(oauth.ClientLive, nil), identity.ErrConflict)
			if got := w.entries(audit.ClientPrepared) + w.entries(audit.ClientAdmitted); got != 6 {
				w.Errorf("%d entries", got)
			}
		}},
		// What was held under an admission that ran out does not come back with the next.
		{"renewed-too-late", func(w *world) {
			w.apply(oauth.ClientLive, w.assessed())
			held := w.family(w.signIn(identity.ID{}), opaque)
			w.accepted("before", held, true)
			epoch := w.epochOf()
			w.ok(w.s.StoreRequest(w.Context(), w.request()))
			w.now = w.now.AddDate(1, 0, 2)
			w.ok(w.move(oauth.ClientLive, w.assessed()))
			w.accepted("what was given before", held, false)
			if got := w.epochOf(); got != epoch+1 {
				w.Errorf("the epoch is %d after %d", got, epoch)
			}
		}},
		// Only what is served is suspended, and only what was live is suspended afterwards: no
		// step to live is gone round.
		{"suspended", func(w *world) {
			suspend := func() error {
				return w.s.SuspendClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended))
			}
			for _, state := range []oauth.ClientState{oauth.ClientDraft, oauth.ClientAssessed} {
				w.apply(state, w.assessed(w.citizen))
				w.is(string(state), suspend(), identity.ErrNotFound)
			}
			w.apply(oauth.ClientDraft, w.assessed(w.citizen))
			w.ok(w.move(oauth.ClientTesting, nil))
			held := w.family(w.signIn(identity.ID{}), opaque, func(n *oauth.NewCode) { n.Epoch = w.epochOf() })
			w.ok(suspend())
			w.accepted("what was given for a test", held, false)
			if c, _ := w.clientOf(w.client); c.State != oauth.ClientDraft {
				w.Errorf("tested, suspended, and %s", c.State)
			}
			w.is("and to live", w.move(oauth.ClientLive, nil), identity.ErrConflict)
			w.apply(oauth.ClientLive, w.assessed())
			w.ok(suspend())
			if c, _ := w.clientOf(w.client); c.State != oauth.ClientSuspended {
				w.Errorf("live, suspended, and %s", c.State)
			}
		}},
		// Of a client that is tested it counts under which epoch its citizen was looked at:
		// who is taken off the list in this moment gets nothing.
		{"testers", func(w *world) {
			w.apply(oauth.ClientDraft, w.assessed(w.citizen))
			w.ok(w.move(oauth.ClientTesting, nil))
			seen := w.epochOf()
			l := w.signIn(identity.ID{})
			held := w.family(l, opaque, func(n *oauth.NewCode) { n.Epoch = seen })
			w.ok(w.move(oauth.ClientTesting, w.assessed(w.citizen)))
			w.accepted("the same testers", held, true)
			r := w.request()
			w.ok(w.s.StoreRequest(w.Context(), r))
			w.ok(w.move(oauth.ClientTesting, w.assessed(identity.NewID())))
			w.accepted("others", held, false)
			_, err := w.s.Request(w.Context(), r.Handle, w.client, w.now)
			w.is("a waiting request", err, identity.ErrNotFound)
			n := w.newCode(l)
			n.Epoch = seen
			w.is("a code by the old list", w.s.IssueCode(w.Context(), n.NewCode), identity.ErrEnded)
			n.Epoch = 0
			w.is("a code by no list", w.s.IssueCode(w.Context(), n.NewCode), identity.ErrEnded)
			n.Epoch = w.epochOf()
			w.ok(w.s.IssueCode(w.Context(), n.NewCode))
		}},
		// Nothing is passed on to a client that is tested.
		{"exchange", func(w *world) {
			parent := w.family(w.signIn(identity.ID{}), opaque)
			x := w.exchange(parent.Grant, "openid")
			w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: x.ClientID, Name: "x", State: oauth.ClientTesting, Admission: w.assessed(w.citizen)}, w.clientEvent(audit.ClientApplied)))
			_, err := w.s.Exchange(w.Context(), x)
			w.is("to one that is tested", err, identity.ErrNotFound)
		}},
		// What is added at once, by whichever replica, adds up.
		{"usage", func(w *world) {
			ctx, day := w.Context(), oauth.DayNumber(w.now)
			many := []oauth.Usage{{ClientID: w.client, Day: day, Codes: 1, Overasked: 4}, {ClientID: w.client, Day: day - 1, Refreshes: 2, Refusals: 3}}
			for i := range 150 { // more than one statement holds
				many = append(many, oauth.Usage{ClientID: w.client + "-other", Day: i, Codes: 1})
			}
			for _, err := range together(8, func(int) error { return w.s.AddUsage(ctx, many) }) {
				w.ok(err)
			}
			w.ok(w.s.AddUsage(ctx, nil))
			got, err := w.s.UsageSince(ctx, w.client, day-1)
			want := []oauth.Usage{{ClientID: w.client, Day: day - 1, Refreshes: 16, Refusals: 24}, {ClientID: w.client, Day: day, Codes: 8, Overasked: 32}}
			if err != nil || !slices.Equal(got, want) {
				w.Errorf("%+v, %v", got, err)
			}
			if got, err := w.s.UsageSince(ctx, w.client, day); err != nil || len(got) != 1 {
				w.Errorf("from today: %+v, %v", got, err)
			}
			_, err = w.s.Sweep(ctx, w.now)
			w.ok(err)
			if got, err := w.s.UsageSince(ctx, w.client+"-other", 0); err != nil || len(got) != 0 {
				w.Errorf("of the seventies: %d, %v", len(got), err)
			}
			if got, err := w.s.UsageSince(ctx, w.client, 0); err != nil || len(got) != 2 {
				w.Errorf("kept: %d, %v", len(got), err)
			}
		}},
		{"weight", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			w.family(l, opaque)
			w.family(l)
			w.ok(w.s.StoreRequest(ctx, w.request()))
			if got, err := w.s.ClientWeight(ctx, w.client, w.now); err != nil || got != (oauth.Weight{Grants: 2, Citizens: 1, Requests: 1}) {
				w.Errorf("%+v, %v", got, err)
			}
			w.ok(w.s.SuspendClient(ctx, w.client, w.now, w.clientEvent(audit.ClientSuspended)))
			if got, err := w.s.ClientWeight(ctx, w.client, w.now); err != nil || got != (oauth.Weight{}) {
				w.Errorf("suspended: %+v, %v", got, err)
			}
		}},
		{"conditions", func(w *world) {
			w.apply(oauth.ClientDraft, nil)
			c, _ := w.clientOf(w.client)
			revision, err := c.Revision()
			w.ok(err)
			to := oauth.Transition{Revision: revision, To: oauth.ClientDraft, Admission: w.assessed(w.citizen)}
			w.is("nobody", w.s.MoveClient(w.Context(), "nobody", to, w.clientEvent(audit.ClientPrepared)), identity.ErrNotFound)
			w.ok(w.s.MoveClient(w.Context(), w.client, to, w.clientEvent(audit.ClientPrepared)))
			w.is("of what it was before", w.s.MoveClient(w.Context(), w.client, to, w.clientEvent(audit.ClientPrepared)), identity.ErrConflict)
			w.is("too far", w.move(oauth.ClientLive, nil), identity.ErrConflict)
			var wrong *oauth.MetadataError
			if err := w.move(oauth.ClientDraft, &oauth.Admission{Scopes: []oauth.Basis{{Scope: "card.basic"}}}); !errors.As(err, &wrong) {
				w.Errorf("a scope that is not registered: %v", err)
			}
			got, _ := w.clientOf(w.client)
			if got.Admission == nil || !slices.Equal(got.Admission.Testers, []identity.ID{w.citizen}) || got.State != oauth.ClientDraft {
				w.Errorf("%+v", got.Admission)
			}
			if n := w.entries(audit.ClientPrepared); n != 1 {
				w.Errorf("%d entries", n)
			}
		}},
	}
}

func admissionRaces() []race {
	return []race{
		// What was approved of one revision is carried out once.
		{"admit", []error{identity.ErrConflict}, func(w *world) (func(*world, int) error, func()) {
			w.apply(oauth.ClientAssessed, w.assessed())
			c, _ := w.clientOf(w.client)
			revision, err := c.Revision()
			w.ok(err)
			return func(w *world, _ int) error {
				return w.s.MoveClient(w.Context(), w.client, oauth.Transition{Revision: revision, To: oauth.ClientLive}, w.clientEvent(audit.ClientAdmitted))
			}, nil
		}},
	}
}
