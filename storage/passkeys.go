package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

const passkeyColumns = ` p.id, p.citizen_id, p.device_id, p.name, p.credential, p.created_at, p.last_used_at `

// usablePasskey: not disabled, and the device it lives on is active.
const usablePasskey = ` p.state = 'active' AND (p.device_id IS NULL OR EXISTS (SELECT 1 FROM devices d WHERE d.id = p.device_id AND d.state = 'active')) `

// signsIn: usable, and its citizen may sign in.
const signsIn = usablePasskey + ` AND EXISTS (SELECT 1 FROM citizens c WHERE c.id = p.citizen_id AND c.state = 'normal') `

func scanPasskey(r row, more ...any) (authn.Passkey, error) {
	var p authn.Passkey
	var credential string
	var created int64
	var used *int64
	dest := []any{&p.ID, &p.Citizen, &p.Device, &p.Name, &credential, &created, &used}
	if err := r.Scan(append(dest, more...)...); err != nil {
		return authn.Passkey{}, err
	}
	if err := json.Unmarshal([]byte(credential), &p.Credential); err != nil {
		return authn.Passkey{}, fmt.Errorf("passkey %v: %w", p.ID, err)
	}
	p.Created, p.LastUsed = at(created), fromMS(used)
	return p, nil
}

// PasskeyByCredential implements authn.Passkeys.
func (s *Store) PasskeyByCredential(ctx context.Context, credentialID []byte) (authn.Passkey, authn.Account, error) {
	var p authn.Passkey
	var credential string
	var created int64
	var used *int64
	a, err := s.scanAccount(s.db.queryRow(ctx, `SELECT `+accountColumns+`, `+passkeyColumns+` FROM passkeys p JOIN citizens c ON c.id = p.citizen_id
 WHERE p.credential_id = $1 AND c.state = 'normal' AND `+usablePasskey, credentialID),
		&p.ID, &p.Citizen, &p.Device, &p.Name, &credential, &created, &used)
	if err != nil {
		return authn.Passkey{}, authn.Account{}, notFound(err, "finding a passkey")
	}
	if err := json.Unmarshal([]byte(credential), &p.Credential); err != nil {
		return authn.Passkey{}, authn.Account{}, fmt.Errorf("passkey %v: %w", p.ID, err)
	}
	p.Created, p.LastUsed = at(created), fromMS(used)
	return p, a, nil
}

// ListPasskeys implements authn.Passkeys.
func (s *Store) ListPasskeys(ctx context.Context, citizen identity.ID) ([]authn.Passkey, error) {
	all, err := list(ctx, s.db, func(r row) (authn.Passkey, error) { return scanPasskey(r) },
		`SELECT `+passkeyColumns+` FROM passkeys p WHERE p.citizen_id = $1 AND `+usablePasskey+` ORDER BY p.created_at`, bin(citizen))
	return all, wrap(err, "listing passkeys")
}

// AddPasskey implements authn.Passkeys.
func (s *Store) AddPasskey(ctx context.Context, p authn.Passkey, d *authn.Device, f *authn.Flow, e audit.Event) error {
	credential, err := json.Marshal(p.Credential)
	if err != nil {
		return fmt.Errorf("encoding a passkey: %w", err)
	}
	var epoch int64
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		epoch = 0
		if err := s.actIn(ctx, tx, p.Citizen, e.Login, f, e.At); err != nil {
			return err
		}
		if d != nil {
			if err := s.insertDevice(ctx, tx, *d); err != nil {
				return err
			}
		}
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO passkeys (id, citizen_id, device_id, name, state, credential_id, credential, sign_count, created_at)
 VALUES ($1, $2, $3, $4, 'active', $5, $6, $7, $8) ON CONFLICT (credential_id) DO NOTHING`,
			bin(p.ID), bin(p.Citizen), bin(p.Device), p.Name, p.Credential.ID, string(credential), int64(p.Credential.SignCount), ms(p.Created)); err != nil {
			return err
		}
		if err := coolOff(ctx, tx, p.Citizen, p.Device, e.At, p.CoolOff); err != nil {
			return err
		}
		if f != nil && f.State.Recovered {
			if epoch, err = upheaveIn(ctx, tx, f, e.At); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	})
	if err == nil && epoch != 0 {
		f.Epoch = epoch
	}
	return wrap(err, "adding a passkey")
}

// UsePasskey implements authn.Passkeys. Of two sign-ins with one counter value the
// second finds the stored one no longer below its own.
func (s *Store) UsePasskey(ctx context.Context, p authn.Passkey, now time.Time) error {
	credential, err := json.Marshal(p.Credential)
	if err != nil {
		return fmt.Errorf("encoding a passkey: %w", err)
	}
	ok, err := changed(ctx, s.db, `UPDATE passkeys AS p SET credential = $1, sign_count = $2, last_used_at = $3
 WHERE p.id = $4 AND p.citizen_id = $5 AND (p.sign_count < $2 OR p.sign_count = 0 AND $2 = 0) AND `+signsIn,
		string(credential), int64(p.Credential.SignCount), ms(now), bin(p.ID), bin(p.Citizen))
	if err == nil && !ok {
		err = whyNot(ctx, s.db, `SELECT 1 FROM passkeys p WHERE p.id = $1 AND p.citizen_id = $2 AND `+signsIn, bin(p.ID), bin(p.Citizen))
	}
	return wrap(err, "using a passkey")
}

// DisablePasskey implements authn.Passkeys.
func (s *Store) DisablePasskey(ctx context.Context, citizen, id identity.ID, e audit.Event) error {
	return wrap(s.endPasskey(ctx, citizen, id, identity.ID{}, nil, `UPDATE passkeys SET state = 'disabled' WHERE id = $1 AND citizen_id = $2 AND state = 'active'`, e), "disabling a passkey")
}

// RemovePasskey implements authn.Passkeys.
func (s *Store) RemovePasskey(ctx context.Context, citizen, id, keep identity.ID, enough authn.Enough, e audit.Event) error {
	return wrap(s.endPasskey(ctx, citizen, id, keep, enough, `DELETE FROM passkeys WHERE id = $1 AND citizen_id = $2`, e), "removing a passkey")
}

// endPasskey runs the statement that ends the passkey, and ends what hangs on it:
// the device it lived on and, because a factor is gone, every login but keep.
func (s *Store) endPasskey(ctx context.Context, citizen, id, keep identity.ID, enough authn.Enough, statement string, e audit.Event) error {
	return s.db.tx(ctx, func(ctx context.Context, tx db) error {
		// Nothing is asked of the one who disables: that is us, who saw a copy.
		if err := s.holdFor(ctx, tx, citizen, keep, e.At); err != nil {
			return err
		}
		var device identity.ID
		err := tx.queryRow(ctx, statement+` RETURNING device_id`, bin(id), bin(citizen)).Scan(&device)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if !device.IsZero() {
			if _, err := tx.exec(ctx, `UPDATE devices SET state = 'revoked', state_at = $1 WHERE id = $2 AND kind = 'authenticator'`, ms(e.At), bin(device)); err != nil {
				return err
			}
		}
		if err := s.spare(ctx, tx, citizen, enough); err != nil {
			return err
		}
		if err := upheave(ctx, tx, citizen, keep, e.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// RenamePasskey implements authn.Passkeys.
func (s *Store) RenamePasskey(ctx context.Context, citizen, id identity.ID, name string, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		var device identity.ID
		err := tx.queryRow(ctx, `UPDATE passkeys SET name = $1 WHERE id = $2 AND citizen_id = $3 AND state = 'active' RETURNING device_id`, name, bin(id), bin(citizen)).Scan(&device)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE devices SET name = $1 WHERE id = $2 AND kind = 'authenticator'`, name, bin(device)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "renaming a passkey")
}
