package seal

import (
	"crypto/cipher"
	"fmt"
	"sync/atomic"
)

const (
	// maxSeals per key version: with random 96-bit nonces the chance that any two
	// of 2³⁰ are equal is below 2⁻³⁷ (NIST SP 800-38D §8.3 allows 2⁻³²).
	maxSeals = 1 << 30
	// rotateAt leaves three quarters of a key's life to rotate in.
	rotateAt = maxSeals / 4
)

// Keys are the data keys, unwrapped. They do not change: after a rotation the
// caller opens the rows again and swaps the pointer. Safe for concurrent use.
type Keys struct {
	byID   map[uint32]*dataKey
	active map[Purpose]*dataKey
	index  *indexKeys
}

type dataKey struct {
	id      uint32
	purpose Purpose
	version int
	state   State

	// One of the two, by what the purpose is for.
	aead cipher.AEAD
	mac  []byte

	before uint64        // seals written down when the rows were read
	count  atomic.Uint64 // seals since then
}

// Open unwraps the rows. It insists on a complete house: every row well formed,
// every live row unwrapping under this provider, and exactly one active key for
// each purpose. Anything less is an error, never a purpose that quietly does
// without.
func Open(provider KeyProvider, rows []WrappedKey) (*Keys, error) {
	keys := &Keys{byID: map[uint32]*dataKey{}, active: map[Purpose]*dataKey{}}
	for _, row := range rows {
		key, err := openRow(provider, row)
		if err != nil {
			return nil, fmt.Errorf("seal: key %s/%d: %w", row.Purpose, row.Version, err)
		}
		if keys.byID[key.id] != nil {
			return nil, fmt.Errorf("seal: key %s/%d appears twice: %w", row.Purpose, row.Version, ErrMalformed)
		}
		keys.byID[key.id] = key
		if key.state != Active {
			continue
		}
		if keys.active[key.purpose] != nil {
			return nil, fmt.Errorf("seal: two active keys for %s: %w", row.Purpose, ErrMalformed)
		}
		keys.active[key.purpose] = key
	}
	for _, p := range Purposes() {
		if keys.active[p] == nil {
			return nil, fmt.Errorf("seal: no active key for %s: %w", p, ErrNoKey)
		}
	}
	keys.index = newIndexKeys(keys.active[Index].mac)
	return keys, nil
}

func openRow(provider KeyProvider, row WrappedKey) (*dataKey, error) {
	id, err := KeyID(row.Purpose, row.Version)
	if err != nil {
		return nil, err
	}
	if row.ID != id {
		return nil, fmt.Errorf("id %d does not belong to it: %w", row.ID, ErrMalformed)
	}
	key := &dataKey{id: id, purpose: row.Purpose, version: row.Version, state: row.State, before: row.Seals}
	switch row.State {
	case Destroyed:
		return key, nil
	case Active, DecryptOnly:
	default:
		return nil, fmt.Errorf("state %q: %w", row.State, ErrMalformed)
	}
	secret, err := provider.Unwrap(row.Purpose, row.Version, row.Wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	if len(secret) != dataKeySize {
		return nil, fmt.Errorf("data key of %d bytes: %w", len(secret), ErrMalformed)
	}
	return key, key.derive(secret)
}

// derive makes the key that is really used. A label per purpose and use keeps
// them apart even if a provider were to hand out one secret twice.
func (k *dataKey) derive(secret []byte) error {
	if useOf(k.purpose) == macs {
		mac, err := derive(secret, "ecardid hmac-sm3 "+string(k.purpose), dataKeySize)
		k.mac = mac
		return err
	}
	sm4Key, err := derive(secret, "ecardid sm4-gcm "+string(k.purpose), sm4KeySize)
	if err != nil {
		return err
	}
	defer clear(sm4Key)
	k.aead, err = newAEAD(sm4Key)
	return err
}

// key returns a key that may still be used for what was made under it.
func (k *Keys) key(purpose Purpose, id uint32) (*dataKey, error) {
	key := k.byID[id]
	switch {
	case key == nil:
		return nil, fmt.Errorf("seal: key %d: %w", id, ErrNoKey)
	case key.purpose != purpose:
		return nil, fmt.Errorf("seal: key %d is for %s and not for %s: %w", id, key.purpose, purpose, ErrPurpose)
	case key.state == Destroyed:
		return nil, fmt.Errorf("seal: key %d: %w", id, ErrDestroyed)
	}
	return key, nil
}

// Usage is what one live sealing key has done.
type Usage struct {
	ID      uint32
	Purpose Purpose
	Version int
	State   State
	// Since is the number of seals since Open. The caller adds it to the row's
	// Seals now and then and before it opens the rows anew, so that the count
	// outlives the process and is shared by replicas.
	Since uint64
	Total uint64 // Since and what the row said
}

// Usage reports on every sealing key that is not destroyed, in no order.
func (k *Keys) Usage() []Usage {
	var all []Usage
	for _, key := range k.byID {
		if key.aead == nil {
			continue
		}
		since := key.count.Load()
		all = append(all, Usage{
			ID: key.id, Purpose: key.purpose, Version: key.version, State: key.state,
			Since: since, Total: key.before + since,
		})
	}
	return all
}

// NeedsRotation lists the purposes whose active key has sealed so often that a
// new version should be made. Long after that Seal refuses with ErrExhausted.
func (k *Keys) NeedsRotation() []Purpose {
	var due []Purpose
	for _, p := range Purposes() {
		if key := k.active[p]; key.before+key.count.Load() >= rotateAt {
			due = append(due, p)
		}
	}
	return due
}
