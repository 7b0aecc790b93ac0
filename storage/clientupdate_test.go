package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/storage"
)

// A client changes itself while it is live, and never back to life (SECURITY CA4).
func TestUpdateClient(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := openReal(t, realDSN(t, kind))
			ctx, now := t.Context(), time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
			event := func(kind audit.Kind, id string) audit.Event {
				return audit.Event{Kind: kind, At: now, Actor: audit.ByOperator, Client: id}
			}
			registered := func(id string) oauth.Client {
				t.Helper()
				c := oauth.Client{ID: id, Name: "Clinic", State: oauth.ClientLive, Dynamic: true, Registration: bytes.Repeat([]byte{7}, 32)}
				if err := s.RegisterClient(ctx, nil, c, now, event(audit.ClientRegistered, id)); err != nil {
					t.Fatal(err)
				}
				return find(t, s, id)
			}

			c := registered("c-1")
			c.Name, c.BackChannelLogoutURI, c.Secrets = "Other", "https://rp.example/bye", []oauth.SecretHash{{Hash: []byte("hash")}}
			now = now.Add(time.Minute)
			_, before, _ := s.AllClients(ctx)
			if err := s.UpdateClient(ctx, c, event(audit.ClientUpdated, c.ID)); err != nil {
				t.Fatal(err)
			}
			got := find(t, s, c.ID)
			if _, after, _ := s.AllClients(ctx); got.Name != "Other" || len(got.Secrets) != 1 || !got.Dynamic || got.State != oauth.ClientLive || !got.Updated.Equal(now) || after <= before {
				t.Errorf("updated to %+v, version %d after %d", got, after, before)
			}
			for name, change := range map[string]func(*oauth.Client){
				"unknown":              func(c *oauth.Client) { c.ID = "c-0" },
				"another epoch":        func(c *oauth.Client) { c.Epoch++ },
				"another registration": func(c *oauth.Client) { c.Registration = bytes.Repeat([]byte{8}, 32) },
				"no registration":      func(c *oauth.Client) { c.Registration = nil },
			} {
				other := got
				change(&other)
				other.Name = name
				if err := s.UpdateClient(ctx, other, event(audit.ClientUpdated, other.ID)); !errors.Is(err, identity.ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if find(t, s, c.ID).Name != "Other" {
				t.Error("a refused update changed something")
			}

			// Whichever comes first, the suspension holds.
			for i := range 10 {
				c := registered(fmt.Sprintf("c-race-%d", i))
				var both sync.WaitGroup
				both.Go(func() {
					if err := s.UpdateClient(ctx, c, event(audit.ClientUpdated, c.ID)); err != nil && !errors.Is(err, identity.ErrNotFound) {
						t.Error(err)
					}
				})
				both.Go(func() {
					if err := s.SuspendClient(ctx, c.ID, now, event(audit.ClientSuspended, c.ID)); err != nil {
						t.Error(err)
					}
				})
				both.Wait()
				if got := find(t, s, c.ID); got.State != oauth.ClientSuspended {
					t.Fatalf("round %d: %s", i, got.State)
				}
			}
		})
	}
}

func find(t *testing.T, s *storage.Store, id string) oauth.Client {
	t.Helper()
	all, _, err := s.AllClients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no client %s", id)
	return oauth.Client{}
}
