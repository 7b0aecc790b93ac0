package storagetest

import (
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// tellingChecks are about who is told of a citizen at all.
func tellingChecks() []check {
	const (
		revoked, credential = "session-revoked", "credential-change"
		disabled            = "account-disabled"
	)
	return []check{
		{"who-withdrew-consent", func(w *world) {
			ctx, other := w.Context(), w.beside()
			st, theirs := w.stream(oauth.DeliveryPoll), other.stream(oauth.DeliveryPoll)
			l := w.signIn(identity.ID{})
			w.family(l)
			given := w.family(l)
			w.ok(w.s.IssueCode(ctx, w.newCode(l, func(n *oauth.NewCode) { n.Grant.ClientID = other.client }).NewCode))
			key := func() {
				w.now = w.now.Add(time.Second)
				w.addPasskey(l, false)
			}
			withdraw := func() error {
				return w.s.WithdrawConsent(ctx, w.citizen, w.client, w.now, w.event(audit.ConsentWithdrawn))
			}
			key()
			// What the client itself gave back, it was told of until now.
			w.ok(w.s.RevokeGrant(ctx, given.ID, w.client, w.now, w.event(audit.GrantRevoked)))
			w.ok(withdraw())
			w.hears("what waited is gone", st, revoked)
			w.is("twice", withdraw(), identity.ErrNotFound)
			key()
			w.freeze(identity.CardFrozen)
			w.freeze(identity.CardNormal)
			w.hears("nothing more", st)
			if n := len(other.pending(theirs)); n != 0 {
				w.Errorf("%d told to a client that fetched nothing", n)
			}
			// Who agrees anew is told of again.
			l = w.signIn(identity.ID{})
			w.family(l)
			key()
			w.hears("agreed anew", st, credential)
			// Who has no session any more is not told that it ends.
			w.ok(w.s.EndLogin(ctx, w.citizen, l.ID, w.event(audit.LoginEnded)))
			w.hears("signed out", st, revoked)
			w.ok(withdraw())
			w.hears("withdrawn later", st)
			// That it has ended is told all the same.
			l = w.signIn(identity.ID{})
			w.family(l)
			key()
			w.ok(w.s.EndLogin(ctx, w.citizen, l.ID, w.event(audit.LoginEnded)))
			w.ok(withdraw())
			w.hears("signed out before", st, revoked)
		}},
		{"who-closes-the-account", func(w *world) {
			st, l := w.stream(oauth.DeliveryPoll), w.signIn(identity.ID{})
			w.family(l)
			w.ok(w.s.CloseAccount(w.Context(), w.citizen, l.ID, w.from(audit.CitizenCancelled, l.ID)))
			w.hears("the end", st, revoked, disabled)
		}},
		{"a-client-that-is-tested", func(w *world) {
			st := w.stream(oauth.DeliveryPush)
			w.family(w.signIn(identity.ID{}))
			w.freeze(identity.CardFrozen)
			w.freeze(identity.CardNormal)
			w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: w.client, State: oauth.ClientTesting}, w.clientEvent(audit.ClientApplied)))
			if l := w.lag(st); l.Pending != 0 {
				w.Errorf("what was from before: %+v", l)
			}
			w.family(w.signIn(identity.ID{}), func(n *oauth.NewCode) { n.Epoch = w.epochOf() }) // of a tester
			w.freeze(identity.CardFrozen)
			if l := w.lag(st); l.Pending != 0 {
				w.Errorf("told while it is tested: %+v", l)
			}
			st.ID = identity.NewID()
			st.ClientID = w.beside().client
			w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: st.ClientID, State: oauth.ClientTesting}, w.clientEvent(audit.ClientApplied)))
			w.is("a stream while it is tested", w.s.CreateStream(w.Context(), st, w.clientEvent(audit.StreamCreated)), identity.ErrNotFound)
		}},
	}
}
