package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/liveness"
	"ecardid/oauth"
	"ecardid/storage"
)

const (
	racers = 16 // at once
	rounds = 4  // of each race
)

// Race holds the stores that open returns, which share one database as replicas
// do, to what may happen once: of many at the same time exactly one wins.
func Race(t *testing.T, open func(t testing.TB) []*storage.Store) {
	stores := open(t)
	for _, r := range slices.Concat(races(), onceRaces(), protocolRaces(), deviceRaces(), admissionRaces(), staffRaces(), overtakenRaces()) {
		t.Run(r.name, func(t *testing.T) {
			for range rounds {
				w := newWorld(t, stores[0])
				try, after := r.begin(w)
				errs := together(racers, func(i int) error { return try(w.on(stores[i%len(stores)]), i) })
				won := 0
				for _, err := range errs {
					switch {
					case err == nil:
						won++
					case r.loses(err):
					default:
						t.Errorf("a loser got %v", err)
					}
				}
				if won != 1 {
					t.Errorf("%d of %d won", won, racers)
				}
				if after != nil {
					after()
				}
			}
		})
	}
	for _, r := range endings() {
		t.Run(r.name, func(t *testing.T) {
			for round := range rounds {
				runEnding(t, stores, r, round)
			}
		})
	}
	for _, c := range crowds() {
		t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, stores[0]), stores) })
	}
}

// errNothing is what one says who was given nothing.
var errNothing = errors.New("nothing was left")

// together runs n calls that begin at the same moment.
func together(n int, call func(i int) error) []error {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-gate
			errs[i] = call(i)
		})
	}
	close(gate)
	wg.Wait()
	return errs
}

// A race is something that may happen once. begin readies it and returns how the
// i-th tries; after, if there is one, looks at what is left.
type race struct {
	name  string
	lose  []error
	begin func(w *world) (try func(w *world, i int) error, after func())
}

func (r race) loses(err error) bool {
	for _, want := range r.lose {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func races() []race {
	spent := []error{identity.ErrSpent}
	gone := []error{identity.ErrNotFound}
	return []race{
		{"redeem", spent, func(w *world) (func(*world, int) error, func()) {
			n := w.code(w.signIn(identity.ID{}), opaque)
			return func(w *world, _ int) error {
					_, err := w.s.Redeem(w.Context(), w.redemption(n))
					return err
				}, func() {
					// The others redeemed it a second time, rightly.
					_, err := w.s.LiveGrant(w.Context(), n.Grant.ID, w.now)
					w.is("the grant", err, identity.ErrNotFound)
				}
		}},
		{"rotate", []error{identity.ErrSpent, identity.ErrNotFound}, func(w *world) (func(*world, int) error, func()) {
			f := w.family(w.signIn(identity.ID{}), opaque)
			return func(w *world, _ int) error {
					_, err := w.s.Refresh(w.Context(), rotating(w.refreshing(f.refresh)))
					return err
				}, func() {
					_, err := w.s.LiveGrant(w.Context(), f.ID, w.now)
					w.is("the family", err, identity.ErrNotFound)
				}
		}},
		{"issue-from-a-request", spent, func(w *world) (func(*world, int) error, func()) {
			l, r := w.signIn(identity.ID{}), w.request()
			w.ok(w.s.StoreRequest(w.Context(), r))
			return func(w *world, _ int) error {
				return w.s.IssueCode(w.Context(), w.newCode(l, func(n *oauth.NewCode) { n.Interaction = r.Handle }).NewCode)
			}, nil
		}},
		{"drop-a-request", spent, func(w *world) (func(*world, int) error, func()) {
			r := w.request()
			w.ok(w.s.StoreRequest(w.Context(), r))
			return func(w *world, _ int) error { return w.s.DropRequest(w.Context(), r.Handle) }, nil
		}},
		{"name-a-relative", []error{identity.ErrConflict}, func(w *world) (func(*world, int) error, func()) {
			l := w.signIn(identity.ID{})
			for range authn.MaxRelatives - 1 {
				w.ok(w.name(l, identity.ID{}, fresh()))
			}
			return func(w *world, _ int) error { return w.name(l, identity.ID{}, fresh()) }, func() {
				if n := len(w.ties()); n != authn.MaxRelatives {
					w.Errorf("%d relatives", n)
				}
			}
		}},
		{"agree-to-be-a-relative", gone, func(w *world) (func(*world, int) error, func()) {
			other := w.beside()
			there := other.signIn(identity.ID{})
			w.ok(w.name(w.signIn(identity.ID{}), other.citizen, fresh()))
			tie := w.ties()[0].ID
			return func(w *world, _ int) error {
				return w.s.AgreeRelative(w.Context(), tie, other.from(audit.RelativeAgreed, there.ID))
			}, nil
		}},
		{"close-an-account", []error{identity.ErrEnded}, func(w *world) (func(*world, int) error, func()) {
			l := w.signIn(identity.ID{})
			return func(w *world, _ int) error {
				return w.s.CloseAccount(w.Context(), w.citizen, l.ID, w.from(audit.CitizenCancelled, l.ID))
			}, nil
		}},
		{"time-step", spent, func(w *world) (func(*world, int) error, func()) {
			f := w.bindTOTP(w.signIn(identity.ID{}))
			return func(w *world, _ int) error { return w.s.SpendStep(w.Context(), w.citizen, f.ID, 101) }, nil
		}},
		{"recovery-code", spent, func(w *world) (func(*world, int) error, func()) {
			code := fresh()
			w.ok(w.s.ReplaceRecovery(w.Context(), w.citizen, [][]byte{code}, w.event(audit.RecoveryRenewed)))
			return func(w *world, _ int) error {
				return w.s.SpendRecovery(w.Context(), w.citizen, code, w.event(audit.RecoveryUsed))
			}, nil
		}},
		{"passkey-counter", spent, func(w *world) (func(*world, int) error, func()) {
			p := w.addPasskey(w.signIn(identity.ID{}), false)
			p.Credential.SignCount++
			return func(w *world, _ int) error { return w.s.UsePasskey(w.Context(), p, w.now) }, nil
		}},
		{"credential-id", []error{identity.ErrConflict}, func(w *world) (func(*world, int) error, func()) {
			id := fresh()
			return func(w *world, _ int) error {
				p, d := w.newPasskey(true)
				p.Credential.ID = id
				return w.s.AddPasskey(w.Context(), p, d, nil, w.event(audit.PasskeyBound))
			}, nil
		}},
		{"liveness-settled", spent, func(w *world) (func(*world, int) error, func()) {
			v := w.begin()
			return func(w *world, _ int) error { return w.s.Liveness().Settle(w.Context(), v.ID, w.passed()) }, nil
		}},
		{"liveness-result", []error{liveness.ErrReplayed}, func(w *world) (func(*world, int) error, func()) {
			// One result for sixteen sessions of sixteen citizens.
			how := w.passed()
			var all []liveness.Session
			for range racers {
				all = append(all, w.beside().begin())
			}
			return func(w *world, i int) error { return w.s.Liveness().Settle(w.Context(), all[i].ID, how) }, nil
		}},
		{"move-flow", spent, func(w *world) (func(*world, int) error, func()) {
			f := w.flow()
			return func(w *world, i int) error {
				mine := f
				mine.State.Codes = i
				return w.s.MoveFlow(w.Context(), &mine, w.now)
			}, nil
		}},
		{"finish-flow", spent, func(w *world) (func(*world, int) error, func()) {
			f := w.flow()
			return func(w *world, _ int) error {
					_, err := w.finish(f, w.newLogin(identity.ID{}), identity.ID{})
					return err
				}, func() {
					if all, err := w.s.ListLogins(w.Context(), w.citizen, w.now); err != nil || len(all) != 1 {
						w.Errorf("%d logins, %v", len(all), err)
					}
				}
		}},
		{"ceremony", gone, func(w *world) (func(*world, int) error, func()) {
			c := authn.Ceremony{ID: identity.NewID(), Purpose: "p", Owner: fresh(), Data: []byte("d"), Expires: w.now.Add(time.Minute)}
			w.ok(w.s.PutCeremony(w.Context(), c))
			return func(w *world, _ int) error {
				_, err := w.s.TakeCeremony(w.Context(), c.ID, c.Purpose, c.Owner, w.now)
				return err
			}, nil
		}},
		{"claim-enrolment", gone, func(w *world) (func(*world, int) error, func()) {
			e := w.enrolment(w.signIn(identity.ID{}))
			w.ok(w.s.OpenEnrolment(w.Context(), e))
			return func(w *world, _ int) error {
				_, err := w.s.ClaimEnrolment(w.Context(), e.Code, "c", w.now.Add(time.Minute), w.now)
				return err
			}, nil
		}},
		{"bind-phone", spent, func(w *world) (func(*world, int) error, func()) {
			e := w.enrol(w.signIn(identity.ID{}))
			return func(w *world, _ int) error {
				return w.s.BindPhone(w.Context(), e.ID, w.newPhone(), w.now, w.event(audit.DeviceBound))
			}, nil
		}},
		{"phone-key", []error{identity.ErrConflict}, func(w *world) (func(*world, int) error, func()) {
			l, key := w.signIn(identity.ID{}), fresh()
			var all []authn.PhoneEnrolment
			for range racers {
				all = append(all, w.enrol(l))
			}
			return func(w *world, i int) error {
				d := w.newPhone()
				d.Thumbprint = key
				return w.s.BindPhone(w.Context(), all[i].ID, d, w.now, w.event(audit.DeviceBound))
			}, nil
		}},
		{"answer-approval", spent, func(w *world) (func(*world, int) error, func()) {
			l := w.signIn(identity.ID{})
			phones := []authn.Device{w.bindPhone(l), w.bindPhone(l)}
			a := w.approval(w.flow())
			w.ok(w.s.OpenApproval(w.Context(), a))
			return func(w *world, i int) error {
				state := []authn.ApprovalState{authn.ApprovalApproved, authn.ApprovalDenied}[i%2]
				return w.s.AnswerApproval(w.Context(), a.ID, phones[i/2%2].ID, state, true, true, w.now, w.event(audit.PhoneApproved))
			}, nil
		}},
		{"activate", spent, func(w *world) (func(*world, int) error, func()) {
			c := w.arrive()
			w.citizen = c.ID
			return func(w *world, _ int) error {
				return w.s.Activate(w.Context(), c.ID, c.Code, "x", "y", w.event(audit.CitizenActivated))
			}, nil
		}},
		{"remember", spent, func(w *world) (func(*world, int) error, func()) {
			key := fresh()
			return func(w *world, i int) error {
				if i%2 == 0 {
					return w.s.SpendNonce(w.Context(), key, w.now.Add(time.Minute), w.now)
				}
				return w.s.Remember(w.Context(), key, w.now.Add(time.Minute), w.now)
			}, nil
		}},
		{"rotate-browser", spent, func(w *world) (func(*world, int) error, func()) {
			d := w.trustBrowser(w.signIn(identity.ID{}))
			return func(w *world, _ int) error { return w.s.RotateBrowser(w.Context(), d.ID, d.Cookie, fresh(), w.now) }, nil
		}},
		{"end-device", gone, func(w *world) (func(*world, int) error, func()) {
			d := w.bindPhone(w.signIn(identity.ID{}))
			return func(w *world, _ int) error {
				return w.s.EndDevice(w.Context(), w.citizen, d.ID, identity.DeviceLost, nil, w.event(audit.DeviceEnded))
			}, nil
		}},
		{"confirm-totp", spent, func(w *world) (func(*world, int) error, func()) {
			f := w.proposal()
			w.ok(w.s.ProposeTOTP(w.Context(), f))
			return func(w *world, _ int) error {
				return w.s.ConfirmTOTP(w.Context(), w.citizen, f.ID, 1, identity.ID{}, nil, w.event(audit.TOTPBound))
			}, nil
		}},
	}
}

// crowds are races whose outcome is a number other than one.
func crowds() []struct {
	name string
	run  func(w *world, stores []*storage.Store)
} {
	return []struct {
		name string
		run  func(w *world, stores []*storage.Store)
	}{
		{"guesses-side-by-side-all-count", func(w *world, stores []*storage.Store) {
			for range rounds {
				shared, rule := fresh(), authn.Rule{Free: 5, Base: time.Minute, Cap: time.Hour, Per: 24 * time.Hour}
				var mu sync.Mutex
				allowed := 0
				for _, err := range together(racers, func(i int) error {
					got, err := stores[i%len(stores)].Attempt(w.Context(), w.now, authn.Try{Key: fresh(), Rule: rule}, authn.Try{Key: shared, Rule: rule})
					mu.Lock()
					defer mu.Unlock()
					if err == nil && got[1].Allowed {
						allowed++
					}
					return err
				}) {
					w.is("attempt", err, nil)
				}
				if allowed != rule.Free+1 {
					w.Errorf("%d guesses were judged, want %d", allowed, rule.Free+1)
				}
			}
		}},
		{"liveness-has-room-for-one", func(w *world, stores []*storage.Store) {
			for range rounds {
				c := w.beside()
				begun := 0
				for _, err := range together(racers, func(i int) error {
					l := limits
					l.Tries = 2 * l.PerSession
					return stores[i%len(stores)].Liveness().Begin(c.Context(), c.livenessSession(), l)
				}) {
					if err == nil {
						begun++
					} else {
						c.is("beginning", err, liveness.ErrCitizenLimit)
					}
				}
				if begun != 2 {
					w.Errorf("%d sessions begun, want 2", begun)
				}
			}
		}},
		{"a-revocation-beats-rotations", func(w *world, stores []*storage.Store) {
			for range rounds {
				f := w.family(w.signIn(identity.ID{}), opaque)
				for i, err := range together(racers, func(i int) error {
					s := stores[i%len(stores)]
					if i == 0 {
						return s.RevokeFamily(w.Context(), familyOf(f.refresh), w.client, w.now, w.clientEvent(audit.GrantRevoked))
					}
					_, err := s.Refresh(w.Context(), rotating(w.refreshing(f.refresh)))
					return ignore(err, identity.ErrNotFound, identity.ErrSpent)
				}) {
					w.is(fmt.Sprintf("racer %d", i), err, nil)
				}
				_, err := w.s.LiveGrant(w.Context(), f.ID, w.now)
				w.is("the family", err, identity.ErrNotFound)
			}
		}},
		{"removals-side-by-side-leave-one-factor", func(w *world, stores []*storage.Store) {
			for range rounds {
				c := w.beside()
				l := c.signIn(identity.ID{})
				phones := make([]authn.Device, racers)
				for i := range phones {
					phones[i] = c.bindPhone(l)
				}
				for _, err := range together(racers, func(i int) error {
					return stores[i%len(stores)].EndDevice(c.Context(), c.citizen, phones[i].ID, identity.DeviceRevoked, authn.EnoughFor(identity.LevelBound), c.event(audit.DeviceEnded))
				}) {
					c.is("ending", err, nil, authn.ErrLastFactor)
				}
				if a, err := c.s.Account(c.Context(), c.citizen); err != nil || a.Factors.Phones != 1 {
					c.Errorf("%d phones left, %v", a.Factors.Phones, err)
				}
			}
		}},
		{"two-rotations-of-keys", func(w *world, stores []*storage.Store) {
			kid := identity.NewID().String()
			for _, err := range together(racers, func(i int) error {
				return stores[i%len(stores)].ChangeKeys(w.Context(), func(all []oauth.StoredKey) ([]oauth.StoredKey, error) {
					for _, k := range all {
						if k.KID == kid {
							return all, nil
						}
					}
					return append(all, oauth.StoredKey{KID: kid, Alg: "ES256", State: "next", Private: []byte("private"), Created: w.now}), nil
				}, w.clientEvent(audit.KeyRotated))
			}) {
				w.is("rotating", err, nil)
			}
			if n := w.entries(audit.KeyRotated); n != 1 {
				w.Errorf("%d rotations", n)
			}
		}},
	}
}
