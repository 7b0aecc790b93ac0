package storage_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/storage"
)

// TestLastFactor: each of three removals leaves a factor when it is looked at alone.
// Side by side, on two replicas, one factor is left (SECURITY MF3, G1).
func TestLastFactor(t *testing.T) {
	for kind, replicas := range map[string]int{"sqlite": 1, "postgres": 2} {
		t.Run(kind, func(t *testing.T) {
			dsn := realDSN(t, kind)
			stores := make([]*storage.Store, replicas)
			for i := range stores {
				stores[i] = openReal(t, dsn)
			}
			for round := range 25 {
				removeAll(t, stores, round)
			}
		})
	}
}

// numberOf is the ID number of the nth citizen (GB 11643).
func numberOf(n int) string {
	number, sum := fmt.Sprintf("11010519491231%03d", n), 0
	for i, weight := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += weight * int(number[i]-'0')
	}
	return number + string("10X98765432"[sum%11])
}

func removeAll(t *testing.T, stores []*storage.Store, round int) {
	t.Helper()
	ctx, now, s := t.Context(), time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC), stores[0]
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	citizen := identity.NewID()
	event := func(kind audit.Kind) audit.Event {
		return audit.Event{Kind: kind, At: now, Actor: audit.ByCitizen, Citizen: citizen, Notify: true}
	}
	card, err := idnumber.ParseCard(fmt.Sprintf("A%08d", 10_000_000+round))
	ok(err)
	id, err := idnumber.ParseID(numberOf(round), now)
	ok(err)
	phone, err := idnumber.ParsePhone(fmt.Sprintf("138%08d", round))
	ok(err)
	ok(s.ImportCitizens(ctx, []storage.NewCitizen{{ID: citizen, Name: "张爱丽", IDNumber: id, Phone: phone, Card: card, Code: citizen[:], Expires: now.Add(time.Hour)}}, event(audit.CitizenImported)))
	ok(s.Activate(ctx, citizen, citizen[:], "encoded", "greeting", event(audit.CitizenActivated)))
	f := authn.TOTPFactor{ID: identity.NewID(), Citizen: citizen, Seed: []byte("twenty bytes of seed"), Algorithm: totp.RFC6238, Created: now}
	ok(s.ProposeTOTP(ctx, f))
	ok(s.ConfirmTOTP(ctx, citizen, f.ID, 1, identity.ID{}, nil, event(audit.TOTPBound)))
	var keys []authn.Passkey
	for range 2 {
		d := &authn.Device{ID: identity.NewID(), Citizen: citizen, Kind: identity.DeviceAuthenticator, Name: "key", Created: now}
		k := authn.Passkey{ID: identity.NewID(), Citizen: citizen, Device: d.ID, Name: "key", Created: now,
			Credential: passkey.Credential{ID: d.ID[:], RPID: "id.example", PublicKey: []byte("COSE")}}
		ok(s.AddPasskey(ctx, k, d, nil, event(audit.PasskeyBound)))
		keys = append(keys, k)
	}
	before, err := s.Account(ctx, citizen)
	ok(err)

	enough := authn.EnoughFor(identity.LevelMFA)
	removals := []func(s *storage.Store) error{
		func(s *storage.Store) error {
			return s.RemoveTOTP(ctx, citizen, identity.ID{}, enough, event(audit.TOTPRemoved))
		},
		func(s *storage.Store) error {
			return s.RemovePasskey(ctx, citizen, keys[0].ID, identity.ID{}, enough, event(audit.PasskeyRemoved))
		},
		func(s *storage.Store) error {
			return s.EndDevice(ctx, citizen, keys[1].Device, identity.DeviceRevoked, enough, event(audit.DeviceEnded))
		},
	}
	errs := make([]error, len(removals))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, remove := range removals {
		wg.Go(func() {
			<-start
			errs[i] = remove(stores[i%len(stores)])
		})
	}
	close(start)
	wg.Wait()
	kept := 0
	for i, err := range errs {
		switch {
		case errors.Is(err, authn.ErrLastFactor):
			kept++
		case err != nil:
			t.Errorf("round %d, removal %d: %v", round, i, err)
		}
	}
	after, err := s.Account(ctx, citizen)
	ok(err)
	if kept != 1 || !after.Factors.Any() || after.Epoch != before.Epoch+2 {
		t.Errorf("round %d: %d refused, %+v, epoch %d after %d", round, kept, after.Factors, after.Epoch, before.Epoch)
	}
	// What is lost goes, whatever is left.
	for _, k := range keys {
		err := s.EndDevice(ctx, citizen, k.Device, identity.DeviceLost, nil, event(audit.DeviceEnded))
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

// TestFlowOutlivesItsUpheaval: a generator confirmed in a flow in place of another one,
// and anything bound after a recovery code, ends every other flow and login; that flow,
// with the login it raises, goes on.
func TestFlowOutlivesItsUpheaval(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := openReal(t, realDSN(t, kind))
			ctx, now := t.Context(), time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
			ok := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			citizen := identity.NewID()
			event := func(kind audit.Kind) audit.Event {
				return audit.Event{Kind: kind, At: now, Actor: audit.ByCitizen, Citizen: citizen}
			}
			card, err := idnumber.ParseCard("A12345678")
			ok(err)
			id, err := idnumber.ParseID("11010519491231002X", now)
			ok(err)
			phone, err := idnumber.ParsePhone("13800131234")
			ok(err)
			ok(s.ImportCitizens(ctx, []storage.NewCitizen{{ID: citizen, Name: "张爱丽", IDNumber: id, Phone: phone, Card: card, Code: []byte("code"), Expires: now.Add(time.Hour)}}, event(audit.CitizenImported)))
			ok(s.Activate(ctx, citizen, []byte("code"), "encoded", "greeting", event(audit.CitizenActivated)))
			epoch := func() int64 {
				t.Helper()
				acc, err := s.Account(ctx, citizen)
				ok(err)
				return acc.Epoch
			}
			begin := func(login identity.ID, state authn.FlowState) authn.Flow {
				t.Helper()
				f := authn.Flow{ID: identity.NewID(), Browser: []byte("browser"), Back: "/", Citizen: citizen, Epoch: epoch(), Login: login, State: state,
					Created: now, Expires: now.Add(time.Minute)}
				ok(s.BeginFlow(ctx, f))
				f, err := s.Flow(ctx, f.ID, f.Browser, now)
				ok(err)
				return f
			}
			signIn := func() (identity.ID, []byte) {
				t.Helper()
				f, l := begin(identity.ID{}, authn.FlowState{}), identity.NewID()
				token := append([]byte("token"), l[:]...)
				ok(s.FinishFlow(ctx, f, authn.NewLogin{Token: token, Idle: time.Hour, Login: identity.Login{ID: l, Citizen: citizen, Started: now, Ends: now.Add(time.Hour),
					Proofs: []identity.Proof{{Factor: identity.FactorPassword, At: now}}}}, identity.ID{}, event(audit.LoginFinished)))
				return l, token
			}
			confirm := func(f *authn.Flow) error {
				t.Helper()
				p := authn.TOTPFactor{ID: identity.NewID(), Citizen: citizen, Seed: []byte("twenty bytes of seed"), Algorithm: totp.RFC6238, Created: now}
				ok(s.ProposeTOTP(ctx, p))
				return s.ConfirmTOTP(ctx, citizen, p.ID, 1, f.Login, f, event(audit.TOTPBound))
			}
			add := func(f *authn.Flow) error {
				k := authn.Passkey{ID: identity.NewID(), Citizen: citizen, Name: "key", Created: now}
				k.Credential = passkey.Credential{ID: k.ID[:], RPID: "id.example", PublicKey: []byte("COSE")}
				return s.AddPasskey(ctx, k, nil, f, event(audit.PasskeyBound))
			}
			for _, c := range []struct {
				name  string
				state authn.FlowState
				do    func(f *authn.Flow) error
				ends  bool
			}{
				{"the-first-generator", authn.FlowState{}, confirm, false},
				{"a-passkey-more", authn.FlowState{}, add, false},
				{"a-generator-in-place-of-one", authn.FlowState{}, confirm, true},
				{"a-generator-after-recovery", authn.FlowState{Recovered: true}, confirm, true},
				{"a-passkey-after-recovery", authn.FlowState{Recovered: true}, add, true},
			} {
				own, ownToken := signIn()
				_, otherToken := signIn()
				f, other, before := begin(own, c.state), begin(identity.ID{}, authn.FlowState{}), epoch()
				ok(c.do(&f))
				if raised := epoch() != before; raised != c.ends || f.Epoch != epoch() {
					t.Errorf("%s: epoch %d, was %d, the flow's %d", c.name, epoch(), before, f.Epoch)
				}
				if got, err := s.Flow(ctx, f.ID, f.Browser, now); err != nil || got.Epoch != epoch() || got.Version != f.Version {
					t.Errorf("%s: the flow: %+v %v", c.name, got, err)
				}
				if err := s.MoveFlow(ctx, &f, now); err != nil {
					t.Errorf("%s: moving the flow: %v", c.name, err)
				}
				_, flowErr := s.Flow(ctx, other.ID, other.Browser, now)
				_, ownErr := s.Login(ctx, ownToken, now)
				_, otherErr := s.Login(ctx, otherToken, now)
				if ownErr != nil || (flowErr != nil) != c.ends || (otherErr != nil) != c.ends {
					t.Errorf("%s: own login %v, other flow %v, other login %v", c.name, ownErr, flowErr, otherErr)
				}
			}
		})
	}
}
