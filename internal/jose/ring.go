package jose

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// A State is a stage in the life of one of our own signing keys (DESIGN D4).
type State string

const (
	Next    State = "next"    // published, not signing yet
	Active  State = "active"  // published and signing, one per algorithm
	Retired State = "retired" // published for the tokens it has signed
	Gone    State = "gone"    // no longer anywhere
)

// A RingKey is a key and where it stands in its life.
type RingKey struct {
	Key   Key
	State State
}

// A Ring is this server's own keys at one moment. It never changes: a rotation
// makes a new Ring and swaps the pointer to it. The key sets are encoded once.
//
// It is also a Keyset, for the tokens that come back to us. A key that is only
// next counts as well: another replica may have begun to use it a moment ago.
type Ring struct {
	active map[Alg]Key
	byID   map[string]Key
	public string
	sm2    string
}

// NewRing makes a Ring. Keys that are gone are left out; two active keys of one
// algorithm, one kid twice, or a next or active key that cannot sign are errors.
func NewRing(keys []RingKey) (*Ring, error) {
	r := &Ring{active: make(map[Alg]Key), byID: make(map[string]Key)}
	var public, national []RingKey
	for _, k := range keys {
		alg, kid := k.Key.Alg(), k.Key.KeyID()
		switch {
		case !alg.Known() || kid == "":
			return nil, fmt.Errorf("jose: ring: %v lacks a name or an algorithm", k.Key)
		case k.State == Gone:
			continue
		case k.State != Next && k.State != Active && k.State != Retired:
			return nil, fmt.Errorf("jose: ring: %v in state %q", k.Key, string(k.State))
		case k.State != Retired && !k.Key.CanSign():
			return nil, fmt.Errorf("jose: ring: %v: %w", k.Key, errNoPrivate)
		}
		if _, dup := r.byID[kid]; dup {
			return nil, fmt.Errorf("jose: ring: kid %q twice", kid)
		}
		r.byID[kid] = k.Key
		if k.State == Active {
			if _, dup := r.active[alg]; dup {
				return nil, fmt.Errorf("jose: ring: two active keys for %q", string(alg))
			}
			r.active[alg] = k.Key
		}
		if alg == SM2 {
			national = append(national, k)
		} else {
			public = append(public, k)
		}
	}
	var errPublic, errSM2 error
	r.public, errPublic = publish(public)
	r.sm2, errSM2 = publish(national)
	if err := errors.Join(errPublic, errSM2); err != nil {
		return nil, fmt.Errorf("jose: ring: %w", err)
	}
	return r, nil
}

// publish encodes a key set in a settled order, so that equal rings give equal
// documents on every replica, active keys first for readers who take the first.
func publish(keys []RingKey) (string, error) {
	rank := map[State]int{Active: 0, Next: 1, Retired: 2}
	slices.SortFunc(keys, func(a, b RingKey) int {
		return cmp.Or(
			cmp.Compare(rank[a.State], rank[b.State]),
			cmp.Compare(a.Key.Alg(), b.Key.Alg()),
			cmp.Compare(a.Key.KeyID(), b.Key.KeyID()))
	})
	set := make([]Key, len(keys))
	for i, k := range keys {
		set[i] = k.Key
	}
	doc, err := marshalSet(set)
	return string(doc), err
}

// Active returns the key that signs with alg now. There may be none, when the
// algorithm was only just enabled: see Plan.
func (r *Ring) Active(alg Alg) (Key, bool) {
	k, ok := r.active[alg]
	return k, ok
}

// Find implements Keyset. Our own tokens always have a kid.
func (r *Ring) Find(kid string) (Key, bool) {
	k, ok := r.byID[kid]
	return k, ok
}

// Public is the document at jwks_uri: every published key but the SM2 ones.
func (r *Ring) Public() string { return r.public }

// SM2Public is the document at sm2_jwks_uri (DESIGN D4).
func (r *Ring) SM2Public() string { return r.sm2 }
