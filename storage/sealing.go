package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"ecardid/audit"
	"ecardid/internal/seal"
)

// ErrLockedAway is returned by every operation on personal data before Unlock.
var ErrLockedAway = errors.New("storage: the data keys are not unlocked")

// Unlock opens the data keys under the key-encryption key. Purposes that have no
// key yet, at the first start or after an upgrade, get one. Of two replicas that
// start at once one makes them and the other reads what it made. Call it again
// after a rotation: the new set replaces the old one at once.
//
// The very first keys come with the sealed head of an audit trail without entries.
// From then on there is always a head, so that a trail that was wiped out is not
// taken for one that has not begun.
func (s *Store) Unlock(ctx context.Context, provider seal.KeyProvider, now time.Time) error {
	rows, err := s.DataKeys(ctx)
	if err != nil {
		return err
	}
	if missing := seal.Missing(rows); len(missing) > 0 {
		fresh, err := seal.Generate(provider, missing, now, rand.Reader)
		if err != nil {
			return fmt.Errorf("making data keys: %w", err)
		}
		err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
			first := len(rows) == 0
			for _, k := range fresh {
				made, err := putDataKey(ctx, tx, k)
				if err != nil {
					return err
				}
				first = first && made // else another replica was quicker
			}
			if !first {
				return nil
			}
			keys, err := seal.Open(provider, fresh)
			if err != nil {
				return err
			}
			return writeHead(ctx, tx, audit.Head{}, auditMAC(keys))
		})
		if err != nil {
			return fmt.Errorf("storing data keys: %w", err)
		}
		if rows, err = s.DataKeys(ctx); err != nil {
			return err
		}
	}
	keys, err := seal.Open(provider, rows)
	if err != nil {
		return err
	}
	s.keys.Store(keys)
	return nil
}

// Keys returns the unlocked data keys, or nil before Unlock. Rooms take the MACs
// they need from it; sealing is the store's own work.
func (s *Store) Keys() *seal.Keys { return s.keys.Load() }

// DataKeys returns every data key as it is kept, wrapped.
func (s *Store) DataKeys(ctx context.Context) ([]seal.WrappedKey, error) {
	rows, err := list(ctx, s.db, func(r row) (seal.WrappedKey, error) {
		var k seal.WrappedKey
		var id, seals, created int64
		err := r.Scan(&id, &k.Purpose, &k.Version, &k.State, &k.Wrapped, &seals, &created)
		k.ID, k.Seals, k.Created = uint32(id), uint64(seals), at(created)
		return k, err
	}, `SELECT id, purpose, version, state, wrapped, seals, created_at FROM data_keys ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("reading data keys: %w", err)
	}
	return rows, nil
}

// putDataKey reports whether the key is there because of it.
func putDataKey(ctx context.Context, d db, k seal.WrappedKey) (bool, error) {
	return changed(ctx, d, `INSERT INTO data_keys (id, purpose, version, state, wrapped, seals, created_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
		int64(k.ID), string(k.Purpose), k.Version, string(k.State), k.Wrapped, int64(k.Seals), ms(k.Created))
}

// sealed encrypts a field for its place; nil stays NULL.
func (s *Store) sealed(purpose seal.Purpose, table, column string, row, plain []byte) ([]byte, error) {
	keys := s.keys.Load()
	if keys == nil {
		return nil, ErrLockedAway
	}
	if plain == nil {
		return nil, nil
	}
	return keys.Seal(purpose, seal.Place{Table: table, Column: column, Row: row}, plain)
}

// unsealed opens what sealed made; NULL is nil, and so is the nothing that is left of a
// closed account.
func (s *Store) unsealed(purpose seal.Purpose, table, column string, row, blob []byte) ([]byte, error) {
	keys := s.keys.Load()
	if keys == nil {
		return nil, ErrLockedAway
	}
	if len(blob) == 0 {
		return nil, nil
	}
	return keys.Unseal(purpose, seal.Place{Table: table, Column: column, Row: row}, blob)
}
