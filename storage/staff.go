package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/identity"
)

const staffColumns = ` s.id, s.name, s.roles, s.unit, s.state, s.version, s.created_at, s.last_seen `

func scanStaff(r row, more ...any) (console.Staff, error) {
	var s console.Staff
	var roles string
	var created int64
	var seen *int64
	if err := r.Scan(append([]any{&s.ID, &s.Name, &roles, &s.Unit, &s.State, &s.Version, &created, &seen}, more...)...); err != nil {
		return console.Staff{}, err
	}
	if err := json.Unmarshal([]byte(roles), &s.Roles); err != nil {
		return console.Staff{}, fmt.Errorf("staff %v: roles: %w", s.ID, err)
	}
	s.Created, s.LastSeen = at(created), fromMS(seen)
	return s, nil
}

// StaffByInvitation implements console.Staffs.
func (s *Store) StaffByInvitation(ctx context.Context, id identity.ID, hash []byte, now time.Time) (console.Staff, error) {
	one, err := scanStaff(s.db.queryRow(ctx, `SELECT `+staffColumns+` FROM staff s WHERE s.id = $1 AND s.invitation = $2 AND s.state = 'invited' AND s.expires_at > $3`,
		bin(id), hash, ms(now)))
	return one, notFound(err, "finding an invitation")
}

// AcceptInvitation implements console.Staffs. The invitation is spent by the statement
// that makes them active; a credential that is anybody's already is identity.ErrConflict.
func (s *Store) AcceptInvitation(ctx context.Context, hash []byte, k console.Key, e audit.Event) error {
	credential, err := json.Marshal(k.Credential)
	if err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE staff SET state = 'active', invitation = NULL, expires_at = NULL, version = version + 1
 WHERE id = $1 AND invitation = $2 AND state = 'invited' AND expires_at > $3`, bin(k.Staff), hash, ms(e.At)); err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO staff_keys (id, staff_id, credential_id, credential, sign_count, state, created_at)
 SELECT $1, $2, $3, $4, $5, 'active', $6 WHERE NOT EXISTS (SELECT 1 FROM passkeys WHERE credential_id = $3) ON CONFLICT (credential_id) DO NOTHING`,
			bin(k.ID), bin(k.Staff), k.Credential.ID, string(credential), int64(k.Credential.SignCount), ms(k.Created)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "accepting an invitation")
}

// liveKey: not disabled, and of active staff.
const liveKey = ` k.state = 'active' AND EXISTS (SELECT 1 FROM staff s WHERE s.id = k.staff_id AND s.state = 'active') `

func decodeKey(k *console.Key, credential string, created int64) error {
	k.Created = at(created)
	if err := json.Unmarshal([]byte(credential), &k.Credential); err != nil {
		return fmt.Errorf("staff key %v: %w", k.ID, err)
	}
	return nil
}

// StaffKey implements console.Staffs.
func (s *Store) StaffKey(ctx context.Context, credentialID []byte) (console.Key, console.Staff, error) {
	var k console.Key
	var credential string
	var created int64
	one, err := scanStaff(s.db.queryRow(ctx, `SELECT `+staffColumns+`, k.id, k.staff_id, k.credential, k.created_at FROM staff_keys k JOIN staff s ON s.id = k.staff_id
 WHERE k.credential_id = $1 AND `+liveKey, credentialID), &k.ID, &k.Staff, &credential, &created)
	if err == nil {
		err = decodeKey(&k, credential, created)
	}
	if err != nil {
		return console.Key{}, console.Staff{}, notFound(err, "finding a staff key")
	}
	return k, one, nil
}

// StaffKeys implements console.Staffs.
func (s *Store) StaffKeys(ctx context.Context, staff identity.ID) ([]console.Key, error) {
	all, err := list(ctx, s.db, func(r row) (console.Key, error) {
		var k console.Key
		var credential string
		var created int64
		if err := r.Scan(&k.ID, &k.Staff, &credential, &created); err != nil {
			return k, err
		}
		return k, decodeKey(&k, credential, created)
	}, `SELECT k.id, k.staff_id, k.credential, k.created_at FROM staff_keys k WHERE k.staff_id = $1 AND `+liveKey+` ORDER BY k.created_at`, bin(staff))
	return all, wrap(err, "listing staff keys")
}

// UseStaffKey implements console.Staffs. Of two uses with one counter value the second
// finds the stored one no longer below its own.
func (s *Store) UseStaffKey(ctx context.Context, k console.Key) error {
	credential, err := json.Marshal(k.Credential)
	if err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	ok, err := changed(ctx, s.db, `UPDATE staff_keys AS k SET credential = $1, sign_count = $2
 WHERE k.id = $3 AND (k.sign_count < $2 OR k.sign_count = 0 AND $2 = 0) AND `+liveKey, string(credential), int64(k.Credential.SignCount), bin(k.ID))
	if err == nil && !ok {
		err = whyNot(ctx, s.db, `SELECT 1 FROM staff_keys k WHERE k.id = $1 AND `+liveKey, bin(k.ID))
	}
	return wrap(err, "using a staff key")
}

// DisableStaffKey implements console.Staffs. Whoever had a copy of it may have been in by
// it: the version rises, so that sessions end, and approvals and what was asked for count
// no more, whichever key they came in with.
func (s *Store) DisableStaffKey(ctx context.Context, id identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		// The row of staff comes first, as for whoever changes it.
		var staff identity.ID
		err := tx.queryRow(ctx, `UPDATE staff SET version = version + 1 WHERE id = (SELECT staff_id FROM staff_keys WHERE id = $1) RETURNING id`, bin(id)).Scan(&staff)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE staff_keys SET state = 'disabled' WHERE id = $1 AND state = 'active'`, bin(id)); err != nil {
			return err
		}
		if err := endStaff(ctx, tx, staff, false, e.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "disabling a staff key")
}

// OpenStaffSession implements console.Staffs.
func (s *Store) OpenStaffSession(ctx context.Context, in console.Session, token []byte, key, before identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if !before.IsZero() {
			if _, err := tx.exec(ctx, `UPDATE staff_sessions SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL`, ms(e.At), bin(before)); err != nil {
				return err
			}
		}
		if err := only(ctx, tx, identity.ErrNotFound, `INSERT INTO staff_sessions (id, token, staff_id, key_id, version, started_at, seen_at, ends_at)
 SELECT $1, $2, k.staff_id, k.id, s.version, $3, $3, $4 FROM staff_keys k JOIN staff s ON s.id = k.staff_id
 WHERE k.id = $5 AND k.staff_id = $6 AND s.version = $7 AND `+liveKey,
			bin(in.ID), token, ms(in.Started), ms(in.Started.Add(console.SessionLife)), bin(key), bin(in.Staff.ID), in.Staff.Version); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "opening a staff session")
}

// seenEvery is how exact the idle end of a staff session is.
const seenEvery = 30 * time.Second

// StaffSession implements console.Staffs.
func (s *Store) StaffSession(ctx context.Context, token []byte, now time.Time) (console.Session, error) {
	var in console.Session
	var started, seen int64
	var purposed *int64
	var err error
	in.Staff, err = scanStaff(s.db.queryRow(ctx, `SELECT `+staffColumns+`, x.id, x.started_at, x.seen_at, x.purpose, x.purpose_at
 FROM staff_sessions x JOIN staff s ON s.id = x.staff_id
 WHERE x.token = $1 AND x.ended_at IS NULL AND x.ends_at > $2 AND x.seen_at > $3 AND s.state = 'active' AND s.version = x.version`,
		token, ms(now), ms(now.Add(-console.SessionIdle))), &in.ID, &started, &seen, &in.Purpose, &purposed)
	if err != nil {
		return console.Session{}, notFound(err, "reading a staff session")
	}
	in.Started, in.Seen, in.At = at(started), at(seen), fromMS(purposed)
	if now.Sub(in.Seen) < seenEvery {
		return in, nil
	}
	ok, err := changed(ctx, s.db, `UPDATE staff_sessions SET seen_at = $1 WHERE id = $2 AND token = $3 AND ended_at IS NULL`, ms(now), bin(in.ID), token)
	if err == nil && !ok {
		err = identity.ErrNotFound // ended, or under another token, since it was read
	}
	if err != nil {
		return console.Session{}, wrap(err, "seeing a staff session")
	}
	in.Seen = now
	return in, nil
}

// StepUp implements console.Staffs. The token is compared where it is replaced: of two
// step-ups of one session one counts.
func (s *Store) StepUp(ctx context.Context, id identity.ID, old, token []byte, purpose string, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE staff_sessions SET token = $1, purpose = $2, purpose_at = $3, seen_at = $3
 WHERE id = $4 AND token = $5 AND ended_at IS NULL AND ends_at > $3`, token, purpose, ms(e.At), bin(id), old); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "stepping up")
}

// EndStaffSession implements console.Staffs.
func (s *Store) EndStaffSession(ctx context.Context, id identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE staff_sessions SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL`, ms(e.At), bin(id)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "ending a staff session")
}

// ListStaff implements console.Staffs.
func (s *Store) ListStaff(ctx context.Context) ([]console.Staff, error) {
	all, err := list(ctx, s.db, func(r row) (console.Staff, error) { return scanStaff(r) }, `SELECT `+staffColumns+` FROM staff s ORDER BY s.name`)
	return all, wrap(err, "listing staff")
}

// StaffByID implements console.Staffs.
func (s *Store) StaffByID(ctx context.Context, id identity.ID) (console.Staff, error) {
	one, err := scanStaff(s.db.queryRow(ctx, `SELECT `+staffColumns+` FROM staff s WHERE s.id = $1`, bin(id)))
	return one, notFound(err, "reading staff")
}

// InviteStaff implements console.Staffs.
func (s *Store) InviteStaff(ctx context.Context, n console.Staff, hash []byte, expires time.Time, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO staff (id, name, roles, unit, state, version, invitation, expires_at, created_at, invited_by)
 VALUES ($1, $2, $3, $4, 'invited', 1, $5, $6, $7, (SELECT q.staff_id FROM staff_warrants w JOIN staff_requests q ON q.id = w.request_id WHERE w.id = $8)) ON CONFLICT (name) DO NOTHING`,
			bin(n.ID), n.Name, jsonText(n.Roles), n.Unit, hash, ms(expires), ms(e.At), bin(e.Warrant)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "inviting staff")
}

// Reinvite lets somebody in again who has lost their key: the keys and sessions they have
// end, and a new invitation is theirs. It is for the operator at the machine.
func (s *Store) Reinvite(ctx context.Context, id identity.ID, hash []byte, expires time.Time, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE staff SET state = 'invited', version = version + 1, invitation = $1, expires_at = $2
 WHERE id = $3 AND state <> 'deactivated'`, hash, ms(expires), bin(id)); err != nil {
			return err
		}
		if err := endStaff(ctx, tx, id, true, e.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "inviting staff again")
}

// endStaff ends what hangs on a version of somebody's row; with their keys, also the
// invitations they asked for that nobody took up.
func endStaff(ctx context.Context, tx db, id identity.ID, keys bool, now time.Time) error {
	if _, err := tx.exec(ctx, `UPDATE staff_sessions SET ended_at = $1 WHERE staff_id = $2 AND ended_at IS NULL`, ms(now), bin(id)); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `UPDATE staff_requests SET state = 'withdrawn', ended_at = $1 WHERE staff_id = $2 AND state IN ('open', 'approved')`, ms(now), bin(id)); err != nil {
		return err
	}
	if !keys {
		return nil
	}
	if _, err := tx.exec(ctx, `UPDATE staff SET invitation = NULL WHERE invited_by = $1 AND state = 'invited'`, bin(id)); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE staff_keys SET state = 'disabled' WHERE staff_id = $1 AND state = 'active'`, bin(id))
	return err
}

// SetStaff implements console.Staffs. The rows of all active staff are locked first, so
// that two administrators who deactivate each other do not both succeed.
func (s *Store) SetStaff(ctx context.Context, n console.Staff, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := tx.exec(ctx, `UPDATE staff SET name = name WHERE state = 'active'`); err != nil {
			return err
		}
		invitation := ""
		if n.State == console.StaffDeactivated {
			invitation = `, invitation = NULL`
		}
		before, err := powers(ctx, tx)
		if err != nil {
			return err
		}
		ok, err := changed(ctx, tx, `UPDATE staff SET roles = $1, unit = $2, state = $3, version = version + 1`+invitation+`
 WHERE id = $4 AND version = $5 AND state <> 'deactivated' AND ($3 = 'deactivated' OR state = $3)`,
			jsonText(n.Roles), n.Unit, string(n.State), bin(n.ID), n.Version)
		if err != nil {
			return err
		}
		if !ok {
			var one int
			err := tx.queryRow(ctx, `SELECT 1 FROM staff WHERE id = $1`, bin(n.ID)).Scan(&one)
			if errors.Is(err, errNoRows) {
				return identity.ErrNotFound
			}
			return errors.Join(err, identity.ErrConflict)
		}
		if err := endStaff(ctx, tx, n.ID, n.State == console.StaffDeactivated, e.At); err != nil {
			return err
		}
		after, err := powers(ctx, tx)
		if err != nil {
			return err
		}
		for _, power := range []console.Role{console.Administrator, console.SecurityOfficer, console.Auditor} {
			if e.Actor != audit.ByOperator && before[power] > 0 && after[power] == 0 {
				return identity.ErrConflict
			}
		}
		return record(ctx, tx, e)
	}), "changing staff")
}

// powers counts the active staff of each role.
func powers(ctx context.Context, tx db) (map[console.Role]int, error) {
	active, err := list(ctx, tx, func(r row) (console.Staff, error) { return scanStaff(r) }, `SELECT `+staffColumns+` FROM staff s WHERE s.state = 'active'`)
	n := map[console.Role]int{}
	for _, s := range active {
		for _, r := range s.Roles {
			n[r]++
		}
	}
	return n, err
}

// stand checks, in the transaction of an act, that who of staff does it still is who they
// were when they were asked in, and holds their row until it ends: a change of it comes
// before the act, which is then identity.ErrEnded, or after.
func stand(ctx context.Context, d db, e audit.Event) error {
	if e.Standing == (audit.Standing{}) {
		return nil
	}
	return only(ctx, d, identity.ErrEnded, `UPDATE staff SET last_seen = $1 WHERE id = $2 AND version = $3 AND state = 'active'`,
		ms(e.At), bin(e.Standing.Staff), e.Standing.Version)
}
