package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
)

// ReportLoss implements loss.Store. Holding the citizen makes it one with every login,
// binding and removal beside it; raising the epoch makes the rest dead without a row of
// it being touched: sessions, half-finished logins, codes, tokens of any kind, remembered
// browsers. A pushed or stored request names nobody and is worth nothing without a login.
func (s *Store) ReportLoss(ctx context.Context, r loss.Report, e audit.Event) error {
	if !r.What.Valid() || len(r.Key) == 0 || r.Device.IsZero() == (r.What == loss.Device) {
		return errors.New("storage: a report that does not say what was lost")
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, r.Citizen, r.Keep, e.At); err != nil {
			return err
		}
		if err := spendProof(ctx, tx, r, e.At); err != nil {
			return err
		}
		if err := byRelative(ctx, tx, r, e); err != nil {
			return err
		}
		gone, err := s.suspend(ctx, tx, r, e)
		if err != nil {
			return err
		}
		if r.What == loss.Device && len(gone) == 0 {
			return identity.ErrNotFound
		}
		keep, err := keepUnless(ctx, tx, r.Citizen, r.Keep, gone)
		if err != nil {
			return err
		}
		if err := upheave(ctx, tx, r.Citizen, keep, e.At); err != nil {
			return err
		}
		if r.What == loss.Card {
			if err := only(ctx, tx, identity.ErrEnded, `UPDATE citizens SET state = $1, state_at = $2, activation_hash = NULL, activation_expires = NULL
 WHERE id = $3 AND state = 'normal'`, string(identity.CardTempLost), ms(e.At), bin(r.Citizen)); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, `INSERT INTO loss_receipts (number, citizen_id, what, signed, at) VALUES ($1, $2, $3, $4, $5)`,
			r.Key, bin(r.Citizen), string(r.What), r.Signed, ms(e.At)); err != nil {
			return err
		}
		return overtake(ctx, tx, r.Citizen, e)
	}), "reporting a loss")
}

// spendProof uses up what proved a report.
func spendProof(ctx context.Context, tx db, r loss.Report, now time.Time) error {
	if !r.TOTP.IsZero() {
		if err := only(ctx, tx, identity.ErrSpent, `UPDATE totps SET last_step = $1 WHERE id = $2 AND citizen_id = $3 AND confirmed_at IS NOT NULL AND last_step < $1`,
			r.Step, bin(r.TOTP), bin(r.Citizen)); err != nil {
			return err
		}
	}
	if len(r.Recovery) > 0 {
		return only(ctx, tx, identity.ErrNotFound, `UPDATE recovery_codes SET used_at = $1 WHERE citizen_id = $2 AND code_hash = $3 AND used_at IS NULL`,
			ms(now), bin(r.Citizen), r.Recovery)
	}
	return nil
}

// suspend takes the devices of a report out of use, and with them the passkeys that live
// there: a passkey is asked for its device each time it is used. Where the passkeys of a
// lost phone live nobody can tell apart from the others, so all of them stop but the one
// that reported. Browsers are forgotten; to be remembered again costs a sign-in.
func (s *Store) suspend(ctx context.Context, tx db, r loss.Report, e audit.Event) ([]identity.ID, error) {
	which, spare := `kind <> 'browser'`, r.Spare
	switch r.What {
	case loss.Card:
		spare = identity.ID{}
	case loss.Device:
		which, spare = `id = $5`, identity.ID{}
	}
	args := []any{ms(e.At), printable(e.Reason, maxReason), bin(r.Citizen), spare[:]}
	if r.What == loss.Device {
		args = append(args, bin(r.Device))
	}
	gone, err := list(ctx, tx, scanID, `UPDATE devices SET state = 'suspended', state_at = $1, state_reason = $2, cookie = NULL, cookie_before = NULL
 WHERE citizen_id = $3 AND id <> $4 AND state = 'active' AND `+which+` RETURNING id`, args...)
	if err != nil {
		return nil, err
	}
	var keys []identity.ID
	if r.What != loss.Device {
		// A synced passkey may be on the lost phone like everywhere else, and no device can
		// be suspended for it: it ends, but for the one that reported a phone.
		kept := r.SparePasskey
		if r.What == loss.Card {
			kept = identity.ID{}
		}
		keys, err = list(ctx, tx, scanID, `UPDATE passkeys SET state = 'disabled' WHERE citizen_id = $1 AND device_id IS NULL AND state = 'active' AND id <> $2 RETURNING id`,
			bin(r.Citizen), kept[:])
		if err != nil {
			return nil, err
		}
	}
	browsers, err := list(ctx, tx, scanID, `UPDATE devices SET state = 'revoked', state_at = $1, state_reason = $2, cookie = NULL, cookie_before = NULL
 WHERE citizen_id = $3 AND kind = 'browser' AND state IN ('active', 'suspended') RETURNING id`, args[:3]...)
	if err != nil {
		return nil, err
	}
	return gone, ended(ctx, tx, e, slices.Concat(gone, browsers), keys)
}

func scanID(r row) (id identity.ID, err error) {
	err = r.Scan(&id)
	return id, err
}

// ended writes down each device and passkey that ended with act e (SECURITY DV5). The
// citizen and the receivers of signals are told of the act, and of no part of it.
func ended(ctx context.Context, tx db, e audit.Event, devices, passkeys []identity.ID) error {
	part := audit.Event{At: e.At, Actor: e.Actor, Citizen: e.Citizen, Login: e.Login, Reason: e.Reason, Place: e.Place}
	detail := func(more ...string) map[string]string {
		d := map[string]string{"with": string(e.Kind)}
		if by := e.Detail["by"]; by != "" {
			d["by"] = by
		}
		for i := 0; i+1 < len(more); i += 2 {
			d[more[i]] = more[i+1]
		}
		return d
	}
	for _, id := range devices {
		part.Kind, part.Device, part.Detail = audit.DeviceEnded, id, detail()
		if err := enter(ctx, tx, part); err != nil {
			return err
		}
	}
	part.Device = identity.ID{}
	for _, id := range passkeys {
		part.Kind, part.Detail = audit.PasskeyRemoved, detail("passkey", id.String())
		if err := enter(ctx, tx, part); err != nil {
			return err
		}
	}
	return nil
}

// keepUnless is the login that may live on: none, when it stands on what is gone.
func keepUnless(ctx context.Context, tx db, citizen, keep identity.ID, gone []identity.ID) (identity.ID, error) {
	if keep.IsZero() || len(gone) == 0 {
		return keep, nil
	}
	l, err := scanLogin(tx.queryRow(ctx, `SELECT `+loginColumns+` FROM logins l WHERE l.id = $1 AND l.citizen_id = $2`, bin(keep), bin(citizen)))
	if err != nil {
		return identity.ID{}, err
	}
	if slices.ContainsFunc(devicesOf(l), func(id identity.ID) bool { return slices.Contains(gone, id) }) {
		return identity.ID{}, nil
	}
	return keep, nil
}

// HasRecovery implements authn.RecoveryCodes.
func (s *Store) HasRecovery(ctx context.Context, citizen identity.ID, hash []byte) (bool, error) {
	var one int
	err := s.db.queryRow(ctx, `SELECT 1 FROM recovery_codes WHERE citizen_id = $1 AND code_hash = $2 AND used_at IS NULL`, citizen[:], hash).Scan(&one)
	if errors.Is(err, errNoRows) {
		return false, nil
	}
	return err == nil, wrap(err, "looking for a recovery code")
}

// LossReceipt implements loss.Store.
func (s *Store) LossReceipt(ctx context.Context, key []byte) (what loss.What, when time.Time, signed string, err error) {
	var ms int64
	err = s.db.queryRow(ctx, `SELECT what, at, signed FROM loss_receipts WHERE number = $1`, key).Scan(&what, &ms, &signed)
	if err != nil {
		return "", time.Time{}, "", notFound(err, "reading a receipt")
	}
	return what, at(ms), signed, nil
}

// RestoreDevice implements authn.Devices.
func (s *Store) RestoreDevice(ctx context.Context, citizen, id identity.ID, alone bool, wait time.Duration, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, citizen, e.Login, e.At); err != nil {
			return err
		}
		if alone {
			var other int
			err := tx.queryRow(ctx, `SELECT 1 FROM devices o WHERE o.citizen_id = $1 AND o.id <> $2 AND o.kind = 'phone' AND o.state = 'active'
 AND EXISTS (SELECT 1 FROM devices d WHERE d.id = $2 AND d.kind = 'phone') LIMIT 1`, bin(citizen), bin(id)).Scan(&other)
			if err == nil {
				return identity.ErrConflict
			}
			if !errors.Is(err, errNoRows) {
				return err
			}
		}
		// What was left to wait when it was suspended is left now: nobody waited meanwhile.
		var left int64
		err := tx.queryRow(ctx, `SELECT coalesce(cooling_until - state_at, 0) FROM devices
 WHERE id = $1 AND citizen_id = $2 AND kind <> 'browser' AND state = 'suspended'`, bin(id), bin(citizen)).Scan(&left)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE devices SET state = 'active', state_at = $1, state_reason = $2, cooling_until = NULL WHERE id = $3`,
			ms(e.At), printable(e.Reason, maxReason), bin(id)); err != nil {
			return err
		}
		if err := coolOff(ctx, tx, citizen, id, e.At, max(wait, time.Duration(left)*time.Millisecond)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "restoring a device")
}

// RestoreCard implements authn.Cards.
func (s *Store) RestoreCard(ctx context.Context, citizen identity.ID, epoch int64, generator identity.ID, step int64, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := s.hold(ctx, tx, citizen); err != nil {
			return err
		}
		if err := spendProof(ctx, tx, loss.Report{Citizen: citizen, TOTP: generator, Step: step}, e.At); err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE citizens SET state = 'normal', state_at = $1 WHERE id = $2 AND state = 'temp_lost' AND epoch = $3`,
			ms(e.At), bin(citizen), epoch); err != nil {
			return err
		}
		if err := upheave(ctx, tx, citizen, identity.ID{}, e.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "restoring a card")
}

// alonePhone ends every other phone of the held citizen, because a new one is about to
// be the only one, and all that hung on them. login binds it and lives on if it does not
// stand on one of them.
func (s *Store) alonePhone(ctx context.Context, tx db, citizen, login identity.ID, e audit.Event) error {
	gone, err := list(ctx, tx, scanID, `UPDATE devices SET state = 'revoked', state_at = $1, state_reason = 'replaced' WHERE citizen_id = $2 AND kind = 'phone' AND state IN ('active', 'suspended') RETURNING id`,
		ms(e.At), bin(citizen))
	if err != nil || len(gone) == 0 {
		return err
	}
	for _, id := range gone {
		if _, err := tx.exec(ctx, `UPDATE passkeys SET state = 'disabled' WHERE device_id = $1`, bin(id)); err != nil {
			return err
		}
		replaced := audit.Event{Kind: audit.DeviceEnded, At: e.At, Actor: e.Actor, Citizen: citizen, Login: login, Device: id, Reason: "replaced", Place: e.Place, Notify: true}
		if err := record(ctx, tx, replaced); err != nil {
			return err
		}
	}
	keep, err := keepUnless(ctx, tx, citizen, login, gone)
	if err != nil {
		return err
	}
	return upheave(ctx, tx, citizen, keep, e.At)
}

var _ loss.Store = (*Store)(nil)
var _ authn.Cards = (*Store)(nil)
