package storage

import (
	"context"
	"errors"
	"slices"

	"ecardid/audit"
	"ecardid/internal/seal"
	"ecardid/oauth"
)

// SigningKeys implements oauth.Keys. The private halves come unsealed.
func (s *Store) SigningKeys(ctx context.Context) ([]oauth.StoredKey, error) {
	keys, err := s.signingKeys(ctx, s.db)
	if err != nil {
		return nil, known(err, "reading signing keys")
	}
	return keys, nil
}

func (s *Store) signingKeys(ctx context.Context, d db) ([]oauth.StoredKey, error) {
	keys, err := list(ctx, d, func(r row) (oauth.StoredKey, error) {
		var k oauth.StoredKey
		var created int64
		var activated, retired *int64
		err := r.Scan(&k.KID, &k.Alg, &k.State, &k.Private, &created, &activated, &retired)
		k.Created, k.Activated, k.Retired = at(created), fromMS(activated), fromMS(retired)
		return k, err
	}, `SELECT kid, alg, state, private, created_at, activated_at, retired_at FROM signing_keys ORDER BY created_at, kid`)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if keys[i].Private, err = s.unsealed(seal.Signing, "signing_keys", "private", []byte(k.KID), k.Private); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// errUnchanged rolls a round back that has nothing to do, so that nobody is told.
var errUnchanged = errors.New("storage: nothing to change")

// ChangeKeys implements oauth.Keys. The version row is the lock: whoever raises it
// first works, the other then reads what became of it.
func (s *Store) ChangeKeys(ctx context.Context, plan func([]oauth.StoredKey) ([]oauth.StoredKey, error), e audit.Event) error {
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := raise(ctx, tx, keysVersion); err != nil {
			return err
		}
		before, err := s.signingKeys(ctx, tx)
		if err != nil {
			return err
		}
		after, err := plan(slices.Clone(before))
		if err != nil {
			return err
		}
		changedAny := false
		for _, k := range before {
			if slices.ContainsFunc(after, func(a oauth.StoredKey) bool { return a.KID == k.KID }) {
				continue
			}
			changedAny = true
			if _, err := tx.exec(ctx, `DELETE FROM signing_keys WHERE kid = $1`, k.KID); err != nil {
				return err
			}
		}
		for _, k := range after {
			i := slices.IndexFunc(before, func(b oauth.StoredKey) bool { return b.KID == k.KID })
			if i >= 0 && before[i].State == k.State {
				continue
			}
			changedAny = true
			private, err := s.sealed(seal.Signing, "signing_keys", "private", []byte(k.KID), k.Private)
			if err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `INSERT INTO signing_keys (kid, alg, state, private, created_at, activated_at, retired_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7)
 ON CONFLICT (kid) DO UPDATE SET state = excluded.state, activated_at = excluded.activated_at, retired_at = excluded.retired_at`,
				k.KID, k.Alg, k.State, private, ms(k.Created), msOrNull(k.Activated), msOrNull(k.Retired)); err != nil {
				return err
			}
		}
		if !changedAny {
			return errUnchanged
		}
		return record(ctx, tx, e)
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return known(err, "changing signing keys")
	}
	return nil
}

// Record implements the journals of authn and oauth.
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	if !e.Notify && e.Standing == (audit.Standing{}) && e.Warrant.IsZero() {
		return wrap(record(ctx, s.db, e), "recording an event")
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error { return record(ctx, tx, e) }), "recording an event")
}
