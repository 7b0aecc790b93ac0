package jose

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// A KeyInfo is what Plan knows of a key.
type KeyInfo struct {
	KeyID string
	Alg   Alg
	State State
	Since time.Time // when it came into State
}

// A Policy says how long keys stay in each state.
type Policy struct {
	Algs []Alg // that we sign with; keys of others are wound down

	// NextFor is how long a key is published before it signs: no less than
	// relying parties may cache a key set, and our replicas take to reload.
	NextFor time.Duration
	// ActiveFor is how long a key signs.
	ActiveFor time.Duration
	// RetireFor is how long a key stays published after that: no less than the
	// longest life of a token, and the same time to reload.
	RetireFor time.Duration
}

// A Change is one step of one key. To create a key, From and KeyID are empty.
type Change struct {
	KeyID    string
	Alg      Alg
	From, To State
}

var errPolicy = errors.New("jose: a key policy needs known algorithms, three positive durations, and NextFor < ActiveFor")

// Check reports whether p can be planned with. A policy with a zero in it would
// drop keys that are still needed.
func (p Policy) Check() error {
	if p.NextFor <= 0 || p.ActiveFor <= p.NextFor || p.RetireFor <= 0 {
		return errPolicy
	}
	for _, alg := range p.Algs {
		if !alg.Known() {
			return errPolicy
		}
	}
	return nil
}

// Plan decides what is due for keys at now. The changes belong together: the
// caller applies them in one transaction, in order, notes now as their Since, and
// plans again a little later. Late runs delay a rotation and break nothing.
//
// No verification fails as long as the durations of p are true, because
//
//   - a key signs only after NextFor in public, so no cached key set lacks it.
//     The exception is the first key of a key set: nobody can have cached a set
//     that was empty, so it signs at once;
//   - a key leaves only RetireFor after its last signature;
//   - an active key retires only in the step that makes another active, however
//     old it is, unless its algorithm was taken out of p.
//
// An algorithm added later has therefore no active key for NextFor.
func Plan(keys []KeyInfo, now time.Time, p Policy) ([]Change, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b KeyInfo) int { // oldest first, then the same on every replica
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.KeyID, b.KeyID))
	})
	var plan []Change
	for _, alg := range slices.Compact(slices.Sorted(slices.Values(p.Algs))) {
		plan = append(plan, planAlg(keys, alg, now, p)...)
	}
	for _, k := range keys {
		switch {
		case k.State == Retired && age(k, now) >= p.RetireFor:
			plan = append(plan, k.to(Gone))
		case k.State == Active && !slices.Contains(p.Algs, k.Alg):
			plan = append(plan, k.to(Retired))
		case k.State == Next && !slices.Contains(p.Algs, k.Alg):
			// It may have begun to sign on a replica that still has the old
			// policy; so it goes the long way.
			plan = append(plan, k.to(Retired))
		}
	}
	return plan, nil
}

// planAlg keeps one key of alg active and its successor ready in time.
func planAlg(keys []KeyInfo, alg Alg, now time.Time, p Policy) []Change {
	var next, active []KeyInfo
	for _, k := range keys {
		switch {
		case k.Alg == alg && k.State == Next:
			next = append(next, k)
		case k.Alg == alg && k.State == Active:
			active = append(active, k)
		}
	}
	var plan []Change
	for len(active) > 1 { // never ours; the youngest stays
		plan = append(plan, active[0].to(Retired))
		active = active[1:]
	}
	soon := len(active) == 0 || age(active[0], now) >= p.ActiveFor-p.NextFor
	switch {
	case len(next) > 0 && age(next[0], now) >= p.NextFor:
		// Its predecessor's time is up, or somebody published it early to have the
		// predecessor replaced: in both cases it is what everybody waits for.
		for _, k := range active {
			plan = append(plan, k.to(Retired))
		}
		plan = append(plan, next[0].to(Active))
	case len(next) == 0 && len(active) == 0 && !published(keys, alg):
		plan = append(plan, Change{Alg: alg, To: Active})
	case len(next) == 0 && soon:
		plan = append(plan, Change{Alg: alg, To: Next})
	}
	return plan
}

// published reports whether the key set that alg belongs in has any keys.
func published(keys []KeyInfo, alg Alg) bool {
	for _, k := range keys {
		if k.State != Gone && (k.Alg == SM2) == (alg == SM2) {
			return true
		}
	}
	return false
}

func age(k KeyInfo, now time.Time) time.Duration { return now.Sub(k.Since) }

func (k KeyInfo) to(s State) Change { return Change{k.KeyID, k.Alg, k.State, s} }
