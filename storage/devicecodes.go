package storage

import (
	"context"
	"errors"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/seal"
	"ecardid/oauth"
)

// maxDevices caps the devices that wait at once (SECURITY DS3). It is also what
// guessing at user codes has to hit: the fewer there are, the harder it is.
const maxDevices = 10_000

// The client of a device code is the one it was when the device asked (SECURITY G6).
const deviceClient = ` EXISTS (SELECT 1 FROM clients k WHERE k.id = device_codes.client_id AND` + served + `AND k.epoch = device_codes.client_epoch) `

// deviceAllowed: a citizen agreed. Whether the grant is still alive is for whoever redeems it.
const deviceAllowed = ` EXISTS (SELECT 1 FROM grants g WHERE g.code = device_codes.code) `

// deviceWaits is the condition under which a citizen may answer; $2 is the time.
const deviceWaits = ` expires_at > $2 AND denied_at IS NULL AND NOT ` + deviceAllowed + ` AND ` + deviceClient

const addDeviceCode = `INSERT INTO device_codes (code, user_code, client_id, client_epoch, params, created_at, expires_at)
 SELECT $1, $2, $3, k.epoch, $4, $5, $6 FROM clients k WHERE k.id = $3 AND` + served + `AND $FRESH
 ON CONFLICT (user_code) DO NOTHING RETURNING 1 AS one`

// AddDeviceCode implements oauth.DeviceCodes.
func (s *Store) AddDeviceCode(ctx context.Context, d oauth.DeviceCode, once ...oauth.Once) error {
	params, err := s.sealed(seal.PII, "device_codes", "params", d.Code, []byte(d.Params))
	if err != nil {
		return known(err, "sealing a device code")
	}
	room := &s.devices
	if d.Vouched {
		room = &s.vouched
	}
	if err := room.admit(ctx, s.db, "device_codes", d.Created); err != nil {
		if errors.Is(err, identity.ErrConflict) {
			err = s.refuse(ctx, err, once, d.Created)
		}
		return known(err, "counting device codes")
	}
	var one int
	err = s.hot.write(ctx, once, d.Created, addDeviceCode, d.Code, d.User, d.ClientID, params, ms(d.Created), ms(d.Expires)).Scan(&one)
	if errors.Is(err, errNoRows) {
		return identity.ErrSpent
	}
	return wrap(s.unsent(ctx, err, once, d.Created), "storing a device code")
}

// TypedDeviceCode implements oauth.DeviceCodes.
func (s *Store) TypedDeviceCode(ctx context.Context, user []byte, now time.Time) (oauth.DeviceCode, error) {
	return s.deviceCode(ctx, "user_code", user, now)
}

// DeviceCode implements oauth.DeviceCodes.
func (s *Store) DeviceCode(ctx context.Context, code []byte, now time.Time) (oauth.DeviceCode, error) {
	return s.deviceCode(ctx, "code", code, now)
}

func (s *Store) deviceCode(ctx context.Context, column string, hash []byte, now time.Time) (oauth.DeviceCode, error) {
	var d oauth.DeviceCode
	var params []byte
	var created, expires int64
	err := s.db.queryRow(ctx, `SELECT code, user_code, client_id, params, created_at, expires_at FROM device_codes
 WHERE `+column+` = $1 AND `+deviceWaits, hash, ms(now)).Scan(&d.Code, &d.User, &d.ClientID, &params, &created, &expires)
	if err != nil {
		return oauth.DeviceCode{}, notFound(err, "reading a device code")
	}
	plain, err := s.unsealed(seal.PII, "device_codes", "params", d.Code, params)
	if err != nil {
		return oauth.DeviceCode{}, known(err, "opening a device code")
	}
	d.Params, d.Created, d.Expires = string(plain), at(created), at(expires)
	return d, nil
}

// DenyDeviceCode implements oauth.DeviceCodes. A yes of somebody else in this very
// moment loses to it: a poll looks for a no first.
func (s *Store) DenyDeviceCode(ctx context.Context, code []byte, now time.Time, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrSpent, `UPDATE device_codes SET denied_at = $2 WHERE code = $1 AND `+deviceWaits, code, ms(now)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "denying a device")
}

// pollDeviceCode decides by the row as it is when its turn comes: of polls side by
// side, the second sees the first.
const pollDeviceCode = `UPDATE device_codes SET polled_at = $1,
  hasty = coalesce(polled_at + CAST($4 AS bigint) * (hastes + 1) > $1, FALSE),
  hastes = hastes + CASE WHEN polled_at + CAST($4 AS bigint) * (hastes + 1) > $1 THEN 1 ELSE 0 END
 WHERE code = $2 AND client_id = $3 AND expires_at > $1 AND $FRESH AND ` + deviceClient + `
 RETURNING hasty, denied_at IS NOT NULL AS denied, ` + deviceAllowed + ` AS allowed`

// PollDeviceCode implements oauth.DeviceCodes.
func (s *Store) PollDeviceCode(ctx context.Context, p oauth.DevicePoll) (oauth.DeviceState, error) {
	var hasty, denied, allowed bool
	err := s.hot.write(ctx, p.Once, p.Now, pollDeviceCode, ms(p.Now), p.Code, p.ClientID, p.Interval.Milliseconds()).Scan(&hasty, &denied, &allowed)
	err = s.unsent(ctx, err, p.Once, p.Now)
	switch {
	case errors.Is(err, errNoRows):
		return 0, known(s.unpolled(ctx, p), "polling")
	case err != nil:
		return 0, known(err, "polling")
	case hasty:
		return oauth.DeviceHasty, nil
	case denied:
		return oauth.DeviceDenied, nil
	case allowed:
		return oauth.DeviceAllowed, nil
	}
	return oauth.DevicePending, nil
}

// unpolled finds out why there was nothing to poll. What was swept is over.
func (s *Store) unpolled(ctx context.Context, p oauth.DevicePoll) error {
	var client string
	err := s.db.queryRow(ctx, `SELECT client_id FROM device_codes WHERE code = $1`, p.Code).Scan(&client)
	switch {
	case errors.Is(err, errNoRows):
		return identity.ErrEnded
	case err != nil:
		return err
	case client != p.ClientID:
		return identity.ErrNotFound
	}
	return identity.ErrEnded
}

// CountGuess implements oauth.Counters.
func (s *Store) CountGuess(ctx context.Context, now time.Time, counters ...oauth.Counter) ([]bool, error) {
	tries := make([]authn.Try, len(counters))
	for i, c := range counters {
		tries[i] = authn.Try{Key: c.Key, Rule: authn.Rule{Free: c.Free, Base: c.Base, Cap: c.Cap, Per: c.Per}}
	}
	tallies, err := s.Attempt(ctx, now, tries...)
	if err != nil {
		return nil, err
	}
	open := make([]bool, len(tallies))
	for i, t := range tallies {
		open[i] = t.Allowed
	}
	return open, nil
}
