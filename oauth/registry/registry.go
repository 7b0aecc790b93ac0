package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/outbound"
	"ecardid/oauth"
)

// TTL is how long a set of clients is believed: what SECURITY §0 allows a cache.
const TTL = 5 * time.Second

// Source is what the registry needs from storage.
type Source interface {
	AllClients(ctx context.Context) ([]oauth.Client, int64, error)
}

// A Registry answers who a client is. Its methods are safe for concurrent use.
type Registry struct {
	source Source
	clock  clock.Clock
	log    *slog.Logger

	set    atomic.Pointer[set]
	reload sync.Mutex
	wake   chan struct{}
}

type set struct {
	clients map[string]*oauth.Client
	hosts   map[string]bool // addresses that operators vouched for
	version int64
	read    time.Time
}

// New returns a Registry that has read nothing yet.
func New(source Source, clk clock.Clock, log *slog.Logger) *Registry {
	return &Registry{source: source, clock: clk, log: log, wake: make(chan struct{}, 1)}
}

// Client returns a client that is served, or identity.ErrNotFound for one that is
// unknown or suspended; oauth.ErrLapsed, which is that as well, for one whose admission
// has run out. Any other error means that nobody knows at the moment.
//
// One that is being tested is served for few: oauth.Client.Serves.
func (r *Registry) Client(ctx context.Context, id string) (*oauth.Client, error) {
	s := r.set.Load()
	if s == nil || r.old(s) {
		var err error
		if s, err = r.renew(ctx); err != nil {
			return nil, err
		}
	}
	c, ok := s.clients[id]
	if !ok || !c.State.Served() {
		return nil, identity.ErrNotFound
	}
	if c.Admission.Lapsed(r.clock.Now()) {
		return nil, oauth.ErrLapsed
	}
	return c, nil
}

// Names implements outbound.Hosts: it reports whether a client in service that an operator
// admitted names the address in one of its URIs. Who registered itself vouches for
// nobody (SECURITY SR1).
func (r *Registry) Names(ctx context.Context, address string) bool {
	s := r.set.Load()
	if s == nil || r.old(s) {
		var err error
		if s, err = r.renew(ctx); err != nil {
			return false
		}
	}
	return s.hosts[address]
}

// Reload reads the clients anew.
func (r *Registry) Reload(ctx context.Context) error {
	r.reload.Lock()
	defer r.reload.Unlock()
	_, err := r.read(ctx)
	return err
}

// Notify says that something changed. It never blocks.
func (r *Registry) Notify() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run renews the set ahead of its end and on every Notify, until ctx is done, so
// that no request has to wait for it.
func (r *Registry) Run(ctx context.Context) {
	ticker := time.NewTicker(TTL / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-r.wake:
		}
		if err := r.Reload(ctx); err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "clients not renewed", "error", err)
		}
	}
}

func (r *Registry) old(s *set) bool { return r.clock.Now().Sub(s.read) > TTL }

// renew reads the set unless somebody else just did while we waited for them.
func (r *Registry) renew(ctx context.Context) (*set, error) {
	r.reload.Lock()
	defer r.reload.Unlock()
	if s := r.set.Load(); s != nil && !r.old(s) {
		return s, nil
	}
	return r.read(ctx)
}

// read is called with the lock held. The time is taken before the reading, so
// the set is never older than it says.
func (r *Registry) read(ctx context.Context) (*set, error) {
	now := r.clock.Now()
	clients, version, err := r.source.AllClients(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading clients: %w", err)
	}
	if s := r.set.Load(); s != nil && s.version == version {
		// Nothing changed; the pointers people may hold stay the current ones.
		same := &set{clients: s.clients, hosts: s.hosts, version: version, read: now}
		r.set.Store(same)
		return same, nil
	}
	fresh := &set{clients: make(map[string]*oauth.Client, len(clients)), hosts: map[string]bool{}, version: version, read: now}
	for i := range clients {
		c := &clients[i]
		fresh.clients[c.ID] = c
		if !c.State.Served() || c.Dynamic {
			continue
		}
		for _, uri := range c.URIs() {
			if at := outbound.Address(uri); at != "" {
				fresh.hosts[at] = true
			}
		}
	}
	r.set.Store(fresh)
	return fresh, nil
}
