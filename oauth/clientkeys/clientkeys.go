package clientkeys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

const (
	fresh      = 5 * time.Minute // a set is used without asking
	stale      = time.Hour       // and when nobody answers, for as long as this
	again      = time.Minute     // between two fetches for one client, failed ones included
	maxClients = 1024            // whose keys are kept; few hundred are admitted
)

// ErrUnavailable is returned when a client has no keys, or none that can be had now.
// Whoever wanted to check something with them refuses.
var ErrUnavailable = errors.New("clientkeys: no keys")

// A Fetcher gets documents from other people's servers. *outbound.Client is one.
type Fetcher interface {
	Get(ctx context.Context, url, accept string) ([]byte, http.Header, error)
}

// A Source finds keys. It is safe for concurrent use.
type Source struct {
	Fetch Fetcher // nil: nothing is fetched, and clients of jwks_uri have no keys
	Clock clock.Clock
	Log   *slog.Logger

	mu   sync.Mutex
	kept map[string]*entry // by client id
}

// entry is what is known of one client. Its lock is held while its set is fetched:
// of many requests one asks and the others wait for the answer.
type entry struct {
	lock    chan struct{}
	origin  string // the jwks_uri, or empty
	doc     []byte
	set     jose.Set
	fetched time.Time // zero: never
	tried   time.Time
	used    time.Time // guarded by Source.mu
}

// Keys returns the client's verification keys.
func (s *Source) Keys(ctx context.Context, client *oauth.Client) (jose.Set, error) {
	set, _, err := s.get(ctx, client, false)
	return set, err
}

// Refetch is Keys for a caller who missed a key in it: the set is fetched anew unless
// that was done within the last minute.
func (s *Source) Refetch(ctx context.Context, client *oauth.Client) (jose.Set, error) {
	set, _, err := s.get(ctx, client, true)
	return set, err
}

// Document returns the JWK Set itself, keys for encryption included. The caller does
// not change it.
func (s *Source) Document(ctx context.Context, client *oauth.Client) ([]byte, error) {
	_, doc, err := s.get(ctx, client, false)
	return doc, err
}

// Verify verifies a token signed by the client with one of the algorithms allowed.
// A kid that is not known is looked for once more at the client's, see Refetch.
func (s *Source) Verify(ctx context.Context, client *oauth.Client, token jose.Token, allowed ...jose.Alg) (jose.Verified, error) {
	keys, err := s.Keys(ctx, client)
	if err != nil {
		return jose.Verified{}, err
	}
	verified, err := token.Verify(keys, allowed...)
	if !errors.Is(err, jose.ErrNoKey) || client.JWKSURI == "" {
		return verified, err
	}
	if keys, err = s.Refetch(ctx, client); err != nil {
		return jose.Verified{}, err
	}
	return token.Verify(keys, allowed...)
}

func (s *Source) get(ctx context.Context, client *oauth.Client, anew bool) (jose.Set, []byte, error) {
	if len(client.JWKS) == 0 && client.JWKSURI == "" {
		return jose.Set{}, nil, fmt.Errorf("%w: client %s registered none", ErrUnavailable, client.ID)
	}
	now := s.Clock.Now()
	e := s.entry(client.ID, now)
	select {
	case e.lock <- struct{}{}:
		defer func() { <-e.lock }()
	case <-ctx.Done():
		return jose.Set{}, nil, ctx.Err()
	}
	if len(client.JWKS) > 0 {
		return e.inline(client.JWKS)
	}
	if e.origin != client.JWKSURI {
		// The registration was changed: what was found elsewhere is nobody's key now.
		e.origin, e.doc, e.set, e.fetched, e.tried = client.JWKSURI, nil, jose.Set{}, time.Time{}, time.Time{}
	}
	age := now.Sub(e.fetched)
	if (anew || age >= fresh) && (e.tried.IsZero() || now.Sub(e.tried) >= again) {
		e.tried = now
		if err := s.fetch(ctx, e, now); err != nil {
			s.Log.WarnContext(ctx, "client keys not fetched", "client", client.ID, "error", err)
		}
		age = now.Sub(e.fetched)
	}
	if e.fetched.IsZero() || age >= stale {
		return jose.Set{}, nil, fmt.Errorf("%w: those of client %s cannot be fetched", ErrUnavailable, client.ID)
	}
	return e.set, e.doc, nil
}

// inline reads a registered set once and not for every request.
func (e *entry) inline(doc []byte) (jose.Set, []byte, error) {
	if e.origin == "" && e.doc != nil && bytes.Equal(e.doc, doc) {
		return e.set, e.doc, nil
	}
	set, err := jose.ParseSet(doc)
	if err != nil {
		return jose.Set{}, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	e.origin, e.doc, e.set, e.fetched, e.tried = "", doc, set, time.Time{}, time.Time{}
	return set, doc, nil
}

func (s *Source) fetch(ctx context.Context, e *entry, now time.Time) error {
	if s.Fetch == nil {
		return errors.New("fetching is switched off")
	}
	// Not the request's end: whoever hangs up would otherwise decide that the client's
	// server does not answer.
	doc, _, err := s.Fetch.Get(context.WithoutCancel(ctx), e.origin, "application/jwk-set+json, application/json")
	if err != nil {
		return err
	}
	set, err := jose.ParseSet(doc)
	if err != nil {
		return err
	}
	e.doc, e.set, e.fetched = doc, set, now
	return nil
}

// entry finds or makes the client's. The longest unused makes room.
func (s *Source) entry(id string, now time.Time) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.kept[id]
	if e == nil {
		if s.kept == nil {
			s.kept = map[string]*entry{}
		}
		if len(s.kept) >= maxClients {
			var oldest string
			for other, o := range s.kept {
				if oldest == "" || o.used.Before(s.kept[oldest].used) {
					oldest = other
				}
			}
			delete(s.kept, oldest)
		}
		e = &entry{lock: make(chan struct{}, 1)}
		s.kept[id] = e
	}
	e.used = now
	return e
}
