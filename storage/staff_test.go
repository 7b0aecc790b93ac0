package storage

import (
	"errors"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/console"
	"ecardid/identity"
)

// TestLastAdministrator: two administrators deactivate each other at once, again and
// again, and change each other's roles. One of them is left.
func TestLastAdministrator(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		joined := func(name string) console.Staff {
			id := identity.NewID()
			n := console.Staff{ID: id, Name: name, Roles: []console.Role{console.Administrator}}
			if err := s.InviteStaff(ctx, n, id[:], opNow.Add(time.Hour), opEvent(audit.StaffAdded)); err != nil {
				t.Fatal(err)
			}
			k := console.Key{ID: identity.NewID(), Staff: id, Created: opNow, Credential: passkey.Credential{ID: id[:], UserHandle: id[:]}}
			if err := s.AcceptInvitation(ctx, id[:], k, opEvent(audit.StaffJoined)); err != nil {
				t.Fatal(err)
			}
			n, err := s.StaffByID(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		active := func() (n int) {
			all, err := s.ListStaff(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range all {
				if one.State == console.StaffActive && len(one.Roles) == 1 && one.Roles[0] == console.Administrator {
					n++
				}
			}
			return n
		}
		change := func(by, who console.Staff, to func(*console.Staff)) error {
			to(&who)
			e := audit.Event{Kind: audit.StaffChanged, At: opNow, Actor: by.By(), Standing: audit.Standing{Staff: by.ID, Version: by.Version}}
			return s.SetStaff(ctx, who, e)
		}
		end := func(one *console.Staff) { one.State = console.StaffDeactivated }
		demote := func(one *console.Staff) { one.Roles = []console.Role{console.Registrar} }
		left := joined("a.0")
		for i, to := range []func(*console.Staff){end, demote, end, demote} {
			other := joined("b." + string(rune('0'+i)))
			errs := make([]error, 2)
			var both sync.WaitGroup
			both.Go(func() { errs[0] = change(left, other, to) })
			both.Go(func() { errs[1] = change(other, left, to) })
			both.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("they answered %v and %v", errs[0], errs[1])
			}
			for _, err := range errs {
				if err != nil && !errors.Is(err, identity.ErrEnded) && !errors.Is(err, identity.ErrConflict) {
					t.Error(err)
				}
			}
			if active() != 1 {
				t.Fatalf("%d administrators are left", active())
			}
			if errs[0] != nil {
				left = other
			}
			for _, to := range []func(*console.Staff){end, demote} {
				if err := change(left, left, to); !errors.Is(err, identity.ErrConflict) {
					t.Errorf("the last one: %v", err)
				}
			}
		}
	})
}
