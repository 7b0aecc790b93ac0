package seal

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// A WrappedKey is a data key as storage keeps it. The row alone is worth nothing
// without the key-encryption key.
type WrappedKey struct {
	ID      uint32 // KeyID(Purpose, Version)
	Purpose Purpose
	Version int
	State   State
	Wrapped []byte // empty once destroyed
	Created time.Time
	Seals   uint64 // how often it has sealed, as far as was written down; see Keys.Usage
}

const dataKeySize = 32

// NewKey makes a data key of 32 bytes from random and wraps it. The row comes
// back DecryptOnly, which is how a further version enters service; Generate
// makes first ones Active.
func NewKey(provider KeyProvider, purpose Purpose, version int, now time.Time, random io.Reader) (WrappedKey, error) {
	id, err := KeyID(purpose, version)
	if err != nil {
		return WrappedKey{}, err
	}
	key := make([]byte, dataKeySize)
	defer clear(key)
	if _, err := io.ReadFull(random, key); err != nil {
		return WrappedKey{}, fmt.Errorf("seal: drawing a data key: %w", err)
	}
	wrapped, err := provider.Wrap(purpose, version, key)
	if err != nil {
		return WrappedKey{}, fmt.Errorf("seal: wrapping key %s/%d: %w", purpose, version, err)
	}
	return WrappedKey{
		ID: id, Purpose: purpose, Version: version,
		State: DecryptOnly, Wrapped: wrapped, Created: now,
	}, nil
}

// Missing lists the purposes rows hold no key for at all, which is what a first
// start or a new release has to make. A purpose whose keys are all destroyed is
// not missing: making another one by itself would hide the loss.
func Missing(rows []WrappedKey) []Purpose {
	var missing []Purpose
	for _, p := range Purposes() {
		if !slices.ContainsFunc(rows, func(r WrappedKey) bool { return r.Purpose == p }) {
			missing = append(missing, p)
		}
	}
	return missing
}

// Generate makes version 1 of each purpose, active at once.
func Generate(provider KeyProvider, purposes []Purpose, now time.Time, random io.Reader) ([]WrappedKey, error) {
	rows := make([]WrappedKey, 0, len(purposes))
	for _, p := range purposes {
		row, err := NewKey(provider, p, 1, now, random)
		if err != nil {
			return nil, err
		}
		row.State = Active
		rows = append(rows, row)
	}
	return rows, nil
}

// Rewrap returns rows wrapped by another provider. The data keys stay the same,
// so nothing sealed has to be touched. It is all or nothing: with any row that
// does not unwrap there is an error and no rows. Rows the new provider already
// wrapped are not expected; a run that was interrupted wrote nothing.
func Rewrap(from, to KeyProvider, rows []WrappedKey) ([]WrappedKey, error) {
	out := slices.Clone(rows)
	for i, row := range out {
		if row.State == Destroyed {
			continue
		}
		wrapped, err := rewrap(from, to, row)
		if err != nil {
			return nil, fmt.Errorf("seal: rewrapping key %s/%d: %w", row.Purpose, row.Version, err)
		}
		out[i].Wrapped = wrapped
	}
	return out, nil
}

func rewrap(from, to KeyProvider, row WrappedKey) ([]byte, error) {
	key, err := from.Unwrap(row.Purpose, row.Version, row.Wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return to.Wrap(row.Purpose, row.Version, key)
}
