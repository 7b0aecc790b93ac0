package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"ecardid/internal/jose"
)

const (
	patience = 5 * time.Second
	maxBody  = 256 << 10
	fresh    = 15 * time.Minute // as the server says of its key sets
	stale    = 12 * time.Hour   // while they cannot be had anew
	between  = 30 * time.Second // two fetches for a kid nobody knows
	retry    = time.Second      // two fetches while there are no keys at all
)

// keys are the server's, fetched when they are needed and kept.
type keys struct {
	issuer string
	http   *http.Client
	now    func() time.Time

	mu   sync.Mutex
	meta *metadata
	sets [2]keyset // 0: jwks_uri, 1: sm2_jwks_uri
}

type keyset struct {
	set   jose.Set
	asked time.Time     // last fetch, whatever came of it
	have  time.Time     // last good one
	busy  chan struct{} // closed when the fetch under way is over; nil for none
	err   error         // what came of the last one
}

type metadata struct {
	Issuer        string `json:"issuer"`
	JWKS          string `json:"jwks_uri"`
	SM2           string `json:"sm2_jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
}

// find returns the set in which a token's key is to be looked for. An unknown kid
// fetches it anew, once in a while: a stranger's kids cost nobody anything. Whoever
// finds their key in what there is does not wait for that.
func (k *keys) find(ctx context.Context, alg jose.Alg, kid string) (jose.Set, error) {
	which := 0
	if alg == jose.SM2 {
		which = 1
	}
	for waited := false; ; waited = true {
		set, busy, err := k.look(ctx, which, kid, waited)
		if busy == nil {
			return set, err
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return jose.Set{}, fmt.Errorf("rp: waiting for keys: %w", ctx.Err())
		}
	}
}

// look returns the set, or what to wait for before looking again.
func (k *keys) look(ctx context.Context, which int, kid string, waited bool) (jose.Set, <-chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, now := &k.sets[which], k.now()
	_, known := s.set.Find(kid)
	usable, pause := !s.have.IsZero() && now.Sub(s.have) <= stale, between
	if !usable {
		pause = retry
	}
	due := !usable || !known || now.Sub(s.have) > fresh
	if due && !waited && s.busy == nil && (s.asked.IsZero() || now.Sub(s.asked) > pause) {
		s.asked, s.busy = now, make(chan struct{})
		go k.refresh(context.WithoutCancel(ctx), which) // others wait for it too
	}
	switch {
	case usable && known, usable && s.busy == nil, usable && waited:
		return s.set, nil, nil
	case s.busy != nil && !waited:
		return jose.Set{}, s.busy, nil
	case s.err != nil:
		return jose.Set{}, nil, s.err
	default:
		return jose.Set{}, nil, fmt.Errorf("rp: the keys of %s are not to be had", k.issuer)
	}
}

func (k *keys) refresh(ctx context.Context, which int) {
	set, err := k.fetch(ctx, which)
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.sets[which]
	if s.err = err; err == nil {
		s.set, s.have = set, s.asked
	} else {
		k.meta = nil // it may be what is out of date
	}
	close(s.busy)
	s.busy = nil
}

func (k *keys) fetch(ctx context.Context, which int) (jose.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	meta, err := k.describe(ctx)
	if err != nil {
		return jose.Set{}, err
	}
	uri := [...]string{meta.JWKS, meta.SM2}[which]
	if uri == "" {
		return jose.Set{}, nil // a server without keys of that kind has signed nothing with them
	}
	body, err := k.get(ctx, uri)
	if err != nil {
		return jose.Set{}, err
	}
	set, err := jose.ParseSet(body)
	if err != nil {
		return jose.Set{}, fmt.Errorf("rp: keys: %w", err)
	}
	return set, nil
}

// describe returns the metadata, read once.
func (k *keys) describe(ctx context.Context) (*metadata, error) {
	k.mu.Lock()
	known := k.meta
	k.mu.Unlock()
	if known != nil {
		return known, nil
	}
	body, err := k.get(ctx, k.issuer+"/.well-known/oauth-authorization-server")
	if err != nil {
		return nil, err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("rp: metadata: %w", err)
	}
	// RFC 8414 §3.3; and what is asked with our secret stays with the issuer.
	if m.Issuer != k.issuer {
		return nil, errors.New("rp: the metadata is of another issuer")
	}
	for _, uri := range []string{m.JWKS, m.SM2, m.Introspection} {
		if uri != "" && !strings.HasPrefix(uri, k.issuer+"/") {
			return nil, errors.New("rp: the metadata leads away from the issuer")
		}
	}
	k.mu.Lock()
	k.meta = &m
	k.mu.Unlock()
	return &m, nil
}

func (k *keys) get(ctx context.Context, uri string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	return do(k.http, r)
}

// do returns the body of a JSON answer with status 200.
func do(c *http.Client, r *http.Request) ([]byte, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, fmt.Errorf("rp: asking the issuer: %w", err)
	}
	defer resp.Body.Close()
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || err != nil || media != "application/json" && media != "application/jwk-set+json" {
		return nil, fmt.Errorf("rp: the issuer answered with status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("rp: the issuer's answer: %w", err)
	case len(body) > maxBody:
		return nil, errors.New("rp: the issuer's answer is too long")
	}
	return body, nil
}
