package storage

import (
	"context"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/seal"
)

func (s *Store) scanTOTP(r row) (authn.TOTPFactor, error) {
	var f authn.TOTPFactor
	var seed []byte
	var confirmed *int64
	var created int64
	if err := r.Scan(&f.ID, &f.Citizen, &seed, &f.Algorithm, &f.LastStep, &confirmed, &created); err != nil {
		return authn.TOTPFactor{}, err
	}
	var err error
	if f.Seed, err = s.unsealed(seal.TOTP, "totps", "seed", f.ID[:], seed); err != nil {
		return authn.TOTPFactor{}, err
	}
	f.Confirmed, f.Created = fromMS(confirmed), at(created)
	return f, nil
}

const totpColumns = `SELECT id, citizen_id, seed, algorithm, last_step, confirmed_at, created_at FROM totps `

// TOTP implements authn.TOTPs.
func (s *Store) TOTP(ctx context.Context, citizen identity.ID) (authn.TOTPFactor, error) {
	f, err := s.scanTOTP(s.db.queryRow(ctx, totpColumns+`WHERE citizen_id = $1 AND confirmed_at IS NOT NULL`, bin(citizen)))
	return f, notFound(err, "reading a one-time-password factor")
}

// ProposeTOTP implements authn.TOTPs.
func (s *Store) ProposeTOTP(ctx context.Context, f authn.TOTPFactor) error {
	seed, err := s.sealed(seal.TOTP, "totps", "seed", f.ID[:], f.Seed)
	if err != nil {
		return known(err, "sealing a seed")
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := s.hold(ctx, tx, f.Citizen); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM totps WHERE citizen_id = $1 AND confirmed_at IS NULL`, bin(f.Citizen)); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `INSERT INTO totps (id, citizen_id, seed, algorithm, last_step, created_at) VALUES ($1, $2, $3, $4, 0, $5)`,
			bin(f.ID), bin(f.Citizen), seed, string(f.Algorithm), ms(f.Created))
		return err
	}), "proposing a one-time-password factor")
}

// PendingTOTP implements authn.TOTPs.
func (s *Store) PendingTOTP(ctx context.Context, citizen, id identity.ID, since time.Time) (authn.TOTPFactor, error) {
	f, err := s.scanTOTP(s.db.queryRow(ctx, totpColumns+`WHERE id = $1 AND citizen_id = $2 AND confirmed_at IS NULL AND created_at >= $3`,
		bin(id), bin(citizen), ms(since)))
	return f, notFound(err, "reading a pending factor")
}

// ConfirmTOTP implements authn.TOTPs.
func (s *Store) ConfirmTOTP(ctx context.Context, citizen, id identity.ID, step int64, keep identity.ID, f *authn.Flow, e audit.Event) error {
	var epoch int64
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		epoch = 0
		if err := s.actIn(ctx, tx, citizen, e.Login, f, e.At); err != nil {
			return err
		}
		replaced, err := changed(ctx, tx, `DELETE FROM totps WHERE citizen_id = $1 AND confirmed_at IS NOT NULL
 AND EXISTS (SELECT 1 FROM totps p WHERE p.id = $2 AND p.citizen_id = $1 AND p.confirmed_at IS NULL)`, bin(citizen), bin(id))
		if err != nil {
			return err
		}
		ok, err := changed(ctx, tx, `UPDATE totps SET confirmed_at = $1, last_step = $2 WHERE id = $3 AND citizen_id = $4 AND confirmed_at IS NULL`,
			ms(e.At), step, bin(id), bin(citizen))
		if err != nil {
			return err
		}
		if !ok {
			return whyNot(ctx, tx, `SELECT 1 FROM totps WHERE id = $1 AND citizen_id = $2`, bin(id), bin(citizen))
		}
		switch {
		case f != nil && (replaced || f.State.Recovered):
			epoch, err = upheaveIn(ctx, tx, f, e.At)
		case replaced:
			err = upheave(ctx, tx, citizen, keep, e.At)
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if err == nil && epoch != 0 {
		f.Epoch = epoch
	}
	return wrap(err, "confirming a factor")
}

// SpendStep implements authn.TOTPs.
func (s *Store) SpendStep(ctx context.Context, citizen, id identity.ID, step int64) error {
	ok, err := changed(ctx, s.db, `UPDATE totps SET last_step = $1 WHERE id = $2 AND citizen_id = $3 AND confirmed_at IS NOT NULL AND last_step < $1`,
		step, bin(id), bin(citizen))
	if err == nil && !ok {
		return identity.ErrSpent
	}
	return wrap(err, "spending a time step")
}

// RemoveTOTP implements authn.TOTPs.
func (s *Store) RemoveTOTP(ctx context.Context, citizen, keep identity.ID, enough authn.Enough, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.holdFor(ctx, tx, citizen, keep, e.At); err != nil {
			return err
		}
		ok, err := changed(ctx, tx, `DELETE FROM totps WHERE citizen_id = $1 AND confirmed_at IS NOT NULL`, bin(citizen))
		if err != nil {
			return err
		}
		if !ok {
			return identity.ErrNotFound
		}
		if err := s.spare(ctx, tx, citizen, enough); err != nil {
			return err
		}
		if err := upheave(ctx, tx, citizen, keep, e.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "removing a factor")
}

// ReplaceRecovery implements authn.RecoveryCodes.
func (s *Store) ReplaceRecovery(ctx context.Context, citizen identity.ID, hashes [][]byte, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, citizen, e.Login, e.At); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM recovery_codes WHERE citizen_id = $1`, bin(citizen)); err != nil {
			return err
		}
		for _, h := range hashes {
			if _, err := tx.exec(ctx, `INSERT INTO recovery_codes (citizen_id, code_hash, created_at) VALUES ($1, $2, $3)`, bin(citizen), h, ms(e.At)); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	}), "replacing recovery codes")
}

// SpendRecovery implements authn.RecoveryCodes.
func (s *Store) SpendRecovery(ctx context.Context, citizen identity.ID, hash []byte, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		ok, err := changed(ctx, tx, `UPDATE recovery_codes SET used_at = $1 WHERE citizen_id = $2 AND code_hash = $3 AND used_at IS NULL`,
			ms(e.At), bin(citizen), hash)
		if err != nil {
			return err
		}
		if ok {
			return record(ctx, tx, e)
		}
		return whyNot(ctx, tx, `SELECT 1 FROM recovery_codes WHERE citizen_id = $1 AND code_hash = $2`, bin(citizen), hash)
	}), "spending a recovery code")
}
