package keyring

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// Every is how often Run looks whether something is due or was changed by
// another replica. NextFor and RetireFor have to be longer.
const Every = 30 * time.Second

// DefaultPolicy signs with whatever a client may be admitted with (DESIGN D4, OpenID
// Connect Discovery §3) and rotates every 90 days. Relying parties may keep a key
// set for discovery's max-age; an hour is well beyond.
func DefaultPolicy(algs ...jose.Alg) jose.Policy {
	if len(algs) == 0 {
		algs = []jose.Alg{jose.ES256, jose.RS256, jose.PS256, jose.SM2}
	}
	return jose.Policy{Algs: algs, NextFor: time.Hour, ActiveFor: 90 * 24 * time.Hour, RetireFor: 25 * time.Hour}
}

// A Keyring holds the ring of the moment.
type Keyring struct {
	Store  oauth.Keys
	Policy jose.Policy
	Clock  clock.Clock
	Log    *slog.Logger

	ring atomic.Pointer[jose.Ring]
}

var errEmpty = errors.New("keyring: not loaded")

// Ring is the ring of the moment; an empty one before the first Load.
func (k *Keyring) Ring() *jose.Ring {
	if r := k.ring.Load(); r != nil {
		return r
	}
	empty, _ := jose.NewRing(nil) // of nothing nothing can be wrong
	return empty
}

// Signer returns the key that signs with alg now. There may be none in the first
// seconds of a house: see Renew.
func (k *Keyring) Signer(alg jose.Alg) (jose.Key, error) {
	r := k.ring.Load()
	if r == nil {
		return jose.Key{}, errEmpty
	}
	key, ok := r.Active(alg)
	if !ok {
		return jose.Key{}, fmt.Errorf("keyring: no active %s key", string(alg))
	}
	return key, nil
}

// Load reads the keys and swaps the ring.
func (k *Keyring) Load(ctx context.Context) error {
	stored, err := k.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading signing keys: %w", err)
	}
	ring, err := build(stored)
	if err != nil {
		return err
	}
	k.ring.Store(ring)
	return nil
}

// Rotate does what is due, if anything is, and loads the result. It is called at
// start, which also makes the very first keys. RSA keys it leaves to Renew: nobody
// should wait for the half second that one takes to find.
func (k *Keyring) Rotate(ctx context.Context) error {
	return k.change(ctx, k.Policy, false)
}

// Renew is Rotate with RSA keys. Run calls it, and whoever admits a client with an
// algorithm that has no key yet.
func (k *Keyring) Renew(ctx context.Context) error {
	return k.change(ctx, k.Policy, true)
}

// slow reports whether a key for alg takes long to make.
func slow(alg jose.Alg) bool { return alg == jose.RS256 || alg == jose.PS256 }

// RotateNow publishes a successor for every active key that has none. Whoever calls
// Rotate next, once it was published long enough, lets it sign: one call is enough,
// and another meanwhile changes nothing. It is for operators who think a key was
// seen by somebody.
func (k *Keyring) RotateNow(ctx context.Context) error {
	hurried := k.Policy
	hurried.ActiveFor = hurried.NextFor + 1
	return k.change(ctx, hurried, true)
}

func (k *Keyring) change(ctx context.Context, policy jose.Policy, patient bool) error {
	stored, err := k.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading signing keys: %w", err)
	}
	now := k.Clock.Now()
	due, err := jose.Plan(infos(stored), now, policy)
	if err != nil {
		return err
	}
	// Keys that take long are made here and not under storage's lock.
	made := map[jose.Alg]oauth.StoredKey{}
	for _, c := range due {
		if patient && c.KeyID == "" && slow(c.Alg) {
			if made[c.Alg], err = generate(c.Alg); err != nil {
				return err
			}
		}
	}
	if len(ready(due, made)) > 0 {
		event := audit.Event{Kind: audit.KeyRotated, At: now, Actor: audit.BySystem}
		// The plan is made again inside, from the keys as they are under the lock.
		err := k.Store.ChangeKeys(ctx, func(keys []oauth.StoredKey) ([]oauth.StoredKey, error) {
			changes, err := jose.Plan(infos(keys), now, policy)
			if err != nil {
				return nil, err
			}
			return apply(keys, ready(changes, made), made, now)
		}, event)
		if err != nil {
			return fmt.Errorf("rotating signing keys: %w", err)
		}
	}
	return k.Load(ctx)
}

// Run rotates and reloads until ctx is done.
func (k *Keyring) Run(ctx context.Context) {
	ticker := time.NewTicker(Every)
	defer ticker.Stop()
	for {
		if err := k.Renew(ctx); err != nil && ctx.Err() == nil {
			k.Log.ErrorContext(ctx, "signing keys not renewed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ready leaves out the keys that would have to be made and are not there.
func ready(changes []jose.Change, made map[jose.Alg]oauth.StoredKey) []jose.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c jose.Change) bool {
		_, there := made[c.Alg]
		return c.KeyID == "" && slow(c.Alg) && !there
	})
}

// apply carries out changes on keys and returns the keys as they are to be, new
// ones included and gone ones left out.
//
// The first key of an algorithm signs at once. That it is in no cached key set yet
// hurts nobody: a client is admitted with an algorithm only when there is a key that
// signs with it, so nobody has asked for its signatures before.
func apply(keys []oauth.StoredKey, changes []jose.Change, made map[jose.Alg]oauth.StoredKey, now time.Time) ([]oauth.StoredKey, error) {
	state := make(map[string]jose.State, len(keys))
	for _, c := range changes {
		if c.KeyID != "" {
			state[c.KeyID] = c.To
		}
	}
	var after []oauth.StoredKey
	for _, key := range keys {
		to, changed := state[key.KID]
		if !changed {
			after = append(after, key)
			continue
		}
		switch to {
		case jose.Gone:
			continue
		case jose.Active:
			key.Activated = now
		case jose.Retired:
			key.Retired = now
		}
		key.State = string(to)
		after = append(after, key)
	}
	for _, c := range changes {
		if c.KeyID != "" {
			continue
		}
		key, there := made[c.Alg]
		if !there {
			var err error
			if key, err = generate(c.Alg); err != nil {
				return nil, err
			}
		}
		key.State, key.Created = string(c.To), now
		if !slices.ContainsFunc(keys, func(k oauth.StoredKey) bool { return k.Alg == key.Alg }) {
			key.State = string(jose.Active)
		}
		if key.State == string(jose.Active) {
			key.Activated = now
		}
		after = append(after, key)
	}
	return after, nil
}

// generate makes a key under a random name: a thumbprint would be two for one
// SM2 key, as curve names differ between readers.
func generate(alg jose.Alg) (oauth.StoredKey, error) {
	id := identity.NewID()
	key, err := jose.Generate(alg, hex.EncodeToString(id[:8]))
	if err != nil {
		return oauth.StoredKey{}, err
	}
	private, err := key.MarshalPKCS8()
	if err != nil {
		return oauth.StoredKey{}, fmt.Errorf("encoding a signing key: %w", err)
	}
	return oauth.StoredKey{KID: key.KeyID(), Alg: string(alg), Private: private}, nil
}

func infos(keys []oauth.StoredKey) []jose.KeyInfo {
	list := make([]jose.KeyInfo, len(keys))
	for i, k := range keys {
		list[i] = jose.KeyInfo{KeyID: k.KID, Alg: jose.Alg(k.Alg), State: jose.State(k.State), Since: since(k)}
	}
	return list
}

func since(k oauth.StoredKey) time.Time {
	switch jose.State(k.State) {
	case jose.Active:
		return k.Activated
	case jose.Retired:
		return k.Retired
	}
	return k.Created
}

func build(stored []oauth.StoredKey) (*jose.Ring, error) {
	keys := make([]jose.RingKey, 0, len(stored))
	for _, s := range stored {
		key, err := jose.ParsePKCS8(jose.Alg(s.Alg), s.KID, s.Private)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", s.KID, err)
		}
		keys = append(keys, jose.RingKey{Key: key, State: jose.State(s.State)})
	}
	return jose.NewRing(keys)
}
