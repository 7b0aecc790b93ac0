package storage

import (
	"context"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

func scanConsent(r row) (oauth.Consent, error) {
	var c oauth.Consent
	var given int64
	var expires *int64
	err := r.Scan(&c.ClientID, &c.Scope, &c.Terms, &given, &expires)
	c.Given, c.Expires = at(given), fromMS(expires)
	return c, err
}

const consentColumns = `SELECT client_id, scope, terms, given_at, expires_at FROM consents
 WHERE citizen_id = $1 AND (expires_at IS NULL OR expires_at > $2) `

// Consents implements oauth.Consents.
func (s *Store) Consents(ctx context.Context, citizen identity.ID, clientID string, now time.Time) ([]oauth.Consent, error) {
	all, err := list(ctx, s.db, scanConsent, consentColumns+`AND client_id = $3 ORDER BY scope`, bin(citizen), ms(now), clientID)
	if err != nil {
		return nil, known(err, "reading consents")
	}
	return all, nil
}

// AllConsents implements oauth.Consents.
func (s *Store) AllConsents(ctx context.Context, citizen identity.ID, now time.Time) ([]oauth.Consent, error) {
	all, err := list(ctx, s.db, scanConsent, consentColumns+`ORDER BY client_id, scope`, bin(citizen), ms(now))
	if err != nil {
		return nil, known(err, "reading consents")
	}
	return all, nil
}

// WithdrawConsent implements oauth.Consents. The consents go first: a code that is
// being issued on the strength of one holds its row, so it is either refused or
// found among the grants.
func (s *Store) WithdrawConsent(ctx context.Context, citizen identity.ID, clientID string, now time.Time, e audit.Event) error {
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		n, err := tx.exec(ctx, `DELETE FROM consents WHERE citizen_id = $1 AND client_id = $2`, bin(citizen), clientID)
		if err != nil {
			return err
		}
		if err := signalWithdrawal(ctx, tx, citizen, clientID, now); err != nil {
			return err
		}
		// The grants first-party clients got without asking end as well, and those that
		// have ended are no reason any more to tell the client anything.
		m, err := tx.exec(ctx, `UPDATE grants SET revoked_at = coalesce(revoked_at, $1), withdrawn = TRUE WHERE citizen_id = $2 AND client_id = $3 AND NOT withdrawn`,
			ms(now), bin(citizen), clientID)
		if err != nil {
			return err
		}
		if n+m == 0 {
			return identity.ErrNotFound
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return known(err, "withdrawing consent")
	}
	return nil
}

// RevokeToken implements oauth.Revocations.
func (s *Store) RevokeToken(ctx context.Context, token []byte, clientID string, now time.Time, e audit.Event) error {
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		ok, err := changed(ctx, tx, `DELETE FROM access_tokens WHERE token = $1 AND client_id = $2`, token, clientID)
		if err == nil && !ok {
			return anothers(ctx, tx, `SELECT EXISTS (SELECT 1 FROM access_tokens WHERE token = $1 AND client_id <> $2)`, token, clientID)
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return known(err, "revoking a token")
	}
	return nil
}

// RevokeFamily implements oauth.Revocations. It does not ask which of the family's
// tokens is the current one, so a rotation at the same time changes nothing.
func (s *Store) RevokeFamily(ctx context.Context, family []byte, clientID string, now time.Time, e audit.Event) error {
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		ok, err := changed(ctx, tx, `UPDATE grants SET revoked_at = $1 WHERE refresh_family = $2 AND client_id = $3 AND revoked_at IS NULL`,
			ms(now), nilBytes(family), clientID)
		if err == nil && !ok {
			return anothers(ctx, tx, `SELECT EXISTS (SELECT 1 FROM grants WHERE refresh_family = $1 AND client_id <> $2)`, nilBytes(family), clientID)
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return known(err, "revoking a family of tokens")
	}
	return nil
}

// anothers tells what is another client's from what is nobody's.
func anothers(ctx context.Context, tx db, sql string, args ...any) error {
	var there bool
	err := tx.queryRow(ctx, sql, args...).Scan(&there)
	if err == nil && there {
		err = identity.ErrNotFound
	}
	return err
}

// RevokeGrant implements oauth.Revocations.
func (s *Store) RevokeGrant(ctx context.Context, grant identity.ID, clientID string, now time.Time, e audit.Event) error {
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		ok, err := changed(ctx, tx, `UPDATE grants SET revoked_at = $1 WHERE id = $2 AND client_id = $3 AND revoked_at IS NULL`,
			ms(now), bin(grant), clientID)
		if err != nil || !ok {
			return err
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return known(err, "revoking a grant")
	}
	return nil
}
