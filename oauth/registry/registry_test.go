package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
)

type source struct {
	clients []oauth.Client
	version int64
	err     error
	reads   atomic.Int32
}

func (s *source) AllClients(context.Context) ([]oauth.Client, int64, error) {
	s.reads.Add(1)
	return s.clients, s.version, s.err
}

func TestRegistry(t *testing.T) {
	clk := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	src := &source{version: 1, clients: []oauth.Client{{ID: "a", State: oauth.ClientLive}, {ID: "b", State: oauth.ClientSuspended}, {ID: "c"}}}
	r := New(src, clk, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	first, err := r.Client(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"b", "c", "d", ""} {
		if _, err := r.Client(ctx, id); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if n := src.reads.Load(); n != 1 {
		t.Errorf("%d readings", n)
	}
	clk.Advance(TTL + time.Millisecond)
	if again, _ := r.Client(ctx, "a"); again != first || src.reads.Load() != 2 {
		t.Error("the same version is another client")
	}
	// Suspended, and nobody said so: five seconds at most.
	src.clients, src.version = []oauth.Client{{ID: "a", State: oauth.ClientSuspended}}, 2
	clk.Advance(TTL + time.Millisecond)
	if _, err := r.Client(ctx, "a"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("suspended: %v", err)
	}
	// A set that cannot be renewed is not used on.
	src.err = errors.New("away")
	clk.Advance(TTL + time.Millisecond)
	if _, err := r.Client(ctx, "a"); err == nil || errors.Is(err, identity.ErrNotFound) {
		t.Errorf("storage away: %v", err)
	}
}

// Hosts are vouched for by operators alone, for as long as the client is live.
func TestNames(t *testing.T) {
	clk := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	src := &source{version: 1, clients: []oauth.Client{
		{ID: "a", State: oauth.ClientLive, RedirectURIs: []string{"https://A.example/cb", "http://127.0.0.1:1/cb"}, JWKSURI: "https://keys.example:8443/jwks"},
		{ID: "b", State: oauth.ClientSuspended, URI: "https://suspended.example/"},
		{ID: "c", State: oauth.ClientLive, Dynamic: true, RedirectURIs: []string{"https://alone.example/cb"}, BackChannelLogoutURI: "https://alone.example/bye"},
		{ID: "d", State: oauth.ClientLive, Resources: []string{"https://resource.example/"}, TLSURI: "https://certificate.example/"},
	}}
	r := New(src, clk, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	for address, want := range map[string]bool{
		"a.example:443": true, "keys.example:8443": true, "a.example:8443": false, "keys.example:443": false, "127.0.0.1:1": false,
		"suspended.example:443": false, "alone.example:443": false, "resource.example:443": false, "certificate.example:443": false, "": false, "a.example": false,
	} {
		if got := r.Names(ctx, address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
	src.clients, src.version = []oauth.Client{{ID: "a", State: oauth.ClientSuspended, URI: "https://a.example/"}}, 2
	clk.Advance(TTL + time.Millisecond)
	if r.Names(ctx, "a.example:443") {
		t.Error("a suspended client vouches")
	}
	src.clients, src.version = []oauth.Client{{ID: "a", State: oauth.ClientLive, URI: "https://a.example/"}}, 3
	clk.Advance(TTL + time.Millisecond)
	if !r.Names(ctx, "a.example:443") {
		t.Error("live again, and not known")
	}
	src.err = errors.New("away")
	clk.Advance(TTL + time.Millisecond)
	if r.Names(ctx, "a.example:443") {
		t.Error("nobody knows, and it is said to be known")
	}
}

func TestNotify(t *testing.T) {
	src := &source{version: 1}
	r := New(src, clock.System{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	r.Notify()
	r.Notify()
	for deadline := time.Now().Add(time.Second); src.reads.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never read")
		}
	}
	cancel()
	<-done
}
