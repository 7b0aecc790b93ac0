package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

const deviceColumns = ` d.id, d.citizen_id, d.kind, d.name, d.state, d.jwk, d.alg, d.thumbprint, d.key_level, d.cookie, d.expires_at, d.created_at, d.last_used_at, d.place `

func scanDevice(r row, more ...any) (authn.Device, error) {
	var d authn.Device
	var jwk, alg, level *string
	var expires *int64
	var created, used int64
	dest := []any{&d.ID, &d.Citizen, &d.Kind, &d.Name, &d.State, &jwk, &alg, &d.Thumbprint, &level, &d.Cookie, &expires, &created, &used, &d.Place}
	if err := r.Scan(append(dest, more...)...); err != nil {
		return authn.Device{}, err
	}
	if jwk != nil {
		d.JWK = []byte(*jwk)
	}
	if alg != nil {
		d.Alg = *alg
	}
	if level != nil {
		d.KeyLevel = identity.KeyLevel(*level)
	}
	d.Expires, d.Created, d.LastUsed = fromMS(expires), at(created), at(used)
	return d, nil
}

// insertDevice stores a device in the epoch of its citizen, whose row is held. A
// key that is known already, a revoked one's included, is identity.ErrConflict.
func (s *Store) insertDevice(ctx context.Context, tx db, d authn.Device) error {
	return only(ctx, tx, identity.ErrConflict, `INSERT INTO devices (id, citizen_id, kind, name, state, state_at, epoch, jwk, alg, thumbprint, key_level, evidence,
  cookie, cookie_at, expires_at, place, created_at, last_used_at)
 SELECT $1, c.id, $2, $3, 'active', $4, c.epoch, $5, $6, $7, $8, $9, $10, $4, $11, $12, $4, $4 FROM citizens c WHERE c.id = $13
 ON CONFLICT DO NOTHING`,
		bin(d.ID), string(d.Kind), d.Name, ms(d.Created), orNull(string(d.JWK)), orNull(d.Alg), nilBytes(d.Thumbprint), orNull(string(d.KeyLevel)),
		nilBytes(d.Evidence), nilBytes(d.Cookie), msOrNull(d.Expires), printable(d.Place, maxReason), bin(d.Citizen))
}

// ListDevices implements authn.Devices: what the citizen may still want to see or
// end; browsers that died with a password are no news.
func (s *Store) ListDevices(ctx context.Context, citizen identity.ID) ([]authn.Device, error) {
	all, err := list(ctx, s.db, func(r row) (authn.Device, error) { return scanDevice(r) },
		`SELECT `+deviceColumns+` FROM devices d JOIN citizens c ON c.id = d.citizen_id
 WHERE d.citizen_id = $1 AND (d.kind <> 'browser' OR d.epoch = c.epoch) AND d.state IN ('active', 'suspended') ORDER BY d.created_at`, bin(citizen))
	return all, wrap(err, "listing devices")
}

// Device implements authn.Devices.
func (s *Store) Device(ctx context.Context, citizen, id identity.ID) (authn.Device, error) {
	d, err := scanDevice(s.db.queryRow(ctx, `SELECT `+deviceColumns+` FROM devices d WHERE d.id = $1 AND d.citizen_id = $2`, bin(id), bin(citizen)))
	return d, notFound(err, "reading a device")
}

// RenameDevice implements authn.Devices.
func (s *Store) RenameDevice(ctx context.Context, citizen, id identity.ID, name string, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE devices SET name = $1 WHERE id = $2 AND citizen_id = $3 AND state IN ('active', 'suspended')`, name, bin(id), bin(citizen)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "renaming a device")
}

// EndDevice implements authn.Devices.
func (s *Store) EndDevice(ctx context.Context, citizen, id identity.ID, state identity.DeviceState, enough authn.Enough, e audit.Event) error {
	switch state {
	case identity.DeviceSuspended, identity.DeviceLost, identity.DeviceRevoked:
	default:
		return fmt.Errorf("storage: a device is not ended by making it %q", state)
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := s.hold(ctx, tx, citizen); err != nil {
			return err
		}
		var kind identity.DeviceKind
		var before identity.DeviceState
		err := tx.queryRow(ctx, `SELECT kind, state FROM devices WHERE id = $1 AND citizen_id = $2`, bin(id), bin(citizen)).Scan(&kind, &before)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		factor := kind != identity.DeviceBrowser
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE devices SET state = $1, state_at = $2, state_reason = $3, cookie = NULL, cookie_before = NULL
 WHERE id = $4 AND citizen_id = $5 AND state IN ('active', 'suspended') AND state <> $1`,
			string(state), ms(e.At), printable(e.Reason, maxReason), bin(id), bin(citizen)); err != nil {
			return err
		}
		if state != identity.DeviceSuspended {
			if _, err := tx.exec(ctx, `UPDATE passkeys SET state = 'disabled' WHERE device_id = $1`, bin(id)); err != nil {
				return err
			}
		}
		if factor && before == identity.DeviceActive {
			if err := s.spare(ctx, tx, citizen, enough); err != nil {
				return err
			}
		}
		live, err := list(ctx, tx, func(r row) (identity.Login, error) { return scanLogin(r) },
			`SELECT `+loginColumns+` FROM logins l WHERE l.citizen_id = $1 AND l.ended_at IS NULL`, bin(citizen))
		if err != nil {
			return err
		}
		for _, l := range live {
			if !slices.Contains(devicesOf(l), id) {
				continue
			}
			if err := farewell(ctx, tx, citizen, e.At, thisLogin, l.ID); err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `UPDATE logins SET ended_at = $1, end_reason = 'device' WHERE id = $2`, ms(e.At), bin(l.ID)); err != nil {
				return err
			}
			if err := dropFlowsOf(ctx, tx, l.ID); err != nil {
				return err
			}
		}
		// What a flow holds is sealed, so it cannot be asked whether it stands on
		// this device: all of the citizen's half-finished logins begin anew.
		for _, sql := range []string{`DELETE FROM flows WHERE citizen_id = $1`, `DELETE FROM approvals WHERE citizen_id = $1`, `DELETE FROM ceremonies WHERE citizen_id = $1`} {
			if _, err := tx.exec(ctx, sql, bin(citizen)); err != nil {
				return err
			}
		}
		if factor && state != identity.DeviceSuspended {
			// A login that hung on the device has ended above and is not kept.
			if err := upheave(ctx, tx, citizen, e.Login, e.At); err != nil {
				return err
			}
		}
		if factor {
			return overtake(ctx, tx, citizen, e)
		}
		return record(ctx, tx, e)
	}), "ending a device")
}

// TrustBrowser implements authn.Devices.
func (s *Store) TrustBrowser(ctx context.Context, d authn.Device, f *authn.Flow, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.actIn(ctx, tx, d.Citizen, e.Login, f, e.At); err != nil {
			return err
		}
		if err := s.insertDevice(ctx, tx, d); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "trusting a browser")
}

// Browser implements authn.Devices.
func (s *Store) Browser(ctx context.Context, cookie []byte, now time.Time) (authn.Device, bool, error) {
	var current bool
	d, err := scanDevice(s.db.queryRow(ctx, `SELECT `+deviceColumns+`, d.cookie = $1 FROM devices d JOIN citizens c ON c.id = d.citizen_id
 WHERE (d.cookie = $1 OR d.cookie_before = $1) AND d.kind = 'browser' AND d.state = 'active' AND d.epoch = c.epoch AND d.expires_at > $2`,
		cookie, ms(now)), &current)
	if err != nil {
		return authn.Device{}, false, notFound(err, "reading a browser")
	}
	return d, !current, nil
}

// RotateBrowser implements authn.Devices.
func (s *Store) RotateBrowser(ctx context.Context, id identity.ID, old, next []byte, now time.Time) error {
	ok, err := changed(ctx, s.db, `UPDATE devices SET cookie_before = cookie, cookie = $1, cookie_at = $2, last_used_at = $2
 WHERE id = $3 AND cookie = $4 AND state = 'active'`, next, ms(now), bin(id), old)
	if err == nil && !ok {
		return identity.ErrSpent
	}
	return wrap(err, "rotating a browser's cookie")
}

// Phone implements authn.Phones.
func (s *Store) Phone(ctx context.Context, id identity.ID) (authn.Device, error) {
	d, err := scanDevice(s.db.queryRow(ctx, `SELECT `+deviceColumns+` FROM devices d JOIN citizens c ON c.id = d.citizen_id
 WHERE d.id = $1 AND d.kind = 'phone' AND d.state = 'active' AND c.state = 'normal'`, bin(id)))
	return d, notFound(err, "reading a phone")
}

// SpendNonce implements authn.Phones.
func (s *Store) SpendNonce(ctx context.Context, key []byte, expires, now time.Time) error {
	return s.Remember(ctx, key, expires, now)
}

// OpenEnrolment implements authn.Phones.
func (s *Store) OpenEnrolment(ctx context.Context, e authn.PhoneEnrolment) error {
	_, err := s.db.exec(ctx, `INSERT INTO enrolments (id, citizen_id, login_id, code, expires_at, alone, cooloff) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		bin(e.ID), bin(e.Citizen), bin(e.Login), e.Code, ms(e.Expires), e.Alone, e.CoolOff.Milliseconds())
	return wrap(err, "opening an enrolment")
}

func scanEnrolment(r row) (authn.PhoneEnrolment, error) {
	var e authn.PhoneEnrolment
	var challenge *string
	var expires int64
	if err := r.Scan(&e.ID, &e.Citizen, &e.Login, &challenge, &expires); err != nil {
		return authn.PhoneEnrolment{}, err
	}
	if challenge != nil {
		e.Challenge = *challenge
	}
	e.Expires = at(expires)
	return e, nil
}

// ClaimEnrolment implements authn.Phones.
func (s *Store) ClaimEnrolment(ctx context.Context, code []byte, challenge string, expires, now time.Time) (authn.PhoneEnrolment, error) {
	e, err := scanEnrolment(s.db.queryRow(ctx, `UPDATE enrolments SET code = NULL, challenge = $1, expires_at = $2
 WHERE code = $3 AND expires_at > $4 RETURNING id, citizen_id, login_id, challenge, expires_at`, challenge, ms(expires), code, ms(now)))
	return e, notFound(err, "claiming an enrolment")
}

// Enrolment implements authn.Phones.
func (s *Store) Enrolment(ctx context.Context, id identity.ID, now time.Time) (authn.PhoneEnrolment, error) {
	e, err := scanEnrolment(s.db.queryRow(ctx, `SELECT id, citizen_id, login_id, challenge, expires_at FROM enrolments
 WHERE id = $1 AND challenge IS NOT NULL AND finished_at IS NULL AND expires_at > $2`, bin(id), ms(now)))
	return e, notFound(err, "reading an enrolment")
}

// BindPhone implements authn.Phones.
func (s *Store) BindPhone(ctx context.Context, enrolment identity.ID, d authn.Device, now time.Time, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		h, err := s.hold(ctx, tx, d.Citizen)
		if err != nil {
			return err
		}
		var login identity.ID
		var alone bool
		var cooloff int64
		err = tx.queryRow(ctx, `UPDATE enrolments SET finished_at = $1
 WHERE id = $2 AND citizen_id = $3 AND challenge IS NOT NULL AND finished_at IS NULL AND expires_at > $1 RETURNING login_id, alone, cooloff`,
			ms(now), bin(enrolment), bin(d.Citizen)).Scan(&login, &alone, &cooloff)
		if errors.Is(err, errNoRows) {
			return whyNot(ctx, tx, `SELECT 1 FROM enrolments WHERE id = $1 AND citizen_id = $2 AND finished_at IS NOT NULL`, bin(enrolment), bin(d.Citizen))
		}
		if err != nil {
			return err
		}
		if !h.state.MaySignIn() {
			return identity.ErrEnded
		}
		if err := aliveIn(ctx, tx, h, d.Citizen, login, now); err != nil {
			return err
		}
		if alone {
			if err := s.alonePhone(ctx, tx, d.Citizen, login, e); err != nil {
				return err
			}
		}
		if err := s.insertDevice(ctx, tx, d); err != nil {
			return err
		}
		if err := coolOff(ctx, tx, d.Citizen, d.ID, now, time.Duration(cooloff)*time.Millisecond); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "binding a phone")
}

// coolOff has a citizen wait for a device with what is of high value, and never shorter
// than they had to before. Which device it is for is kept, so that what ends the wait for
// one does not end it for another (DESIGN D8).
func coolOff(ctx context.Context, tx db, citizen, device identity.ID, now time.Time, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	until := ms(now.Add(wait))
	if !device.IsZero() {
		if _, err := tx.exec(ctx, `UPDATE devices SET cooling_until = $1 WHERE id = $2`, until, bin(device)); err != nil {
			return err
		}
	}
	_, err := tx.exec(ctx, `UPDATE citizens SET cooling_until = $1 WHERE id = $2 AND coalesce(cooling_until, 0) < $1`, until, bin(citizen))
	return err
}
