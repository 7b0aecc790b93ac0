package storage

import (
	"context"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// AddInitialToken implements oauth.Registrations.
func (s *Store) AddInitialToken(ctx context.Context, t oauth.InitialToken, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO initial_tokens (hash, note, profile, scope, uses, created_at, expires_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (hash) DO NOTHING`,
			nilBytes(t.Hash), t.Note, string(t.Profile), t.Scope, t.Uses, ms(t.Created), ms(t.Expires)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "adding an initial access token")
}

// InitialToken implements oauth.Registrations.
func (s *Store) InitialToken(ctx context.Context, hash []byte, now time.Time) (oauth.InitialToken, error) {
	t := oauth.InitialToken{Hash: hash}
	var created, expires int64
	err := s.db.queryRow(ctx, `SELECT note, profile, scope, uses, created_at, expires_at FROM initial_tokens
 WHERE hash = $1 AND uses > 0 AND expires_at > $2`, hash, ms(now)).Scan(&t.Note, &t.Profile, &t.Scope, &t.Uses, &created, &expires)
	if err != nil {
		return oauth.InitialToken{}, notFound(err, "reading an initial access token")
	}
	t.Created, t.Expires = at(created), at(expires)
	return t, nil
}

// RegisterClient implements oauth.Registrations. The token's row decides who has the
// last use of it; a client that cannot be stored gives the use back.
func (s *Store) RegisterClient(ctx context.Context, initial []byte, c oauth.Client, now time.Time, e audit.Event) error {
	args, err := clientArgs(c, now)
	if err != nil {
		return err
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if initial != nil {
			if err := only(ctx, tx, identity.ErrNotFound, `UPDATE initial_tokens SET uses = uses - 1 WHERE hash = $1 AND uses > 0 AND expires_at > $2`,
				initial, ms(now)); err != nil {
				return err
			}
		}
		if err := only(ctx, tx, identity.ErrConflict, insertClient+` ON CONFLICT (id) DO NOTHING`, args...); err != nil {
			return err
		}
		if err := record(ctx, tx, e); err != nil {
			return err
		}
		return raise(ctx, tx, clientsVersion)
	}), "registering a client")
}
