package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

const (
	loginColumns = ` l.id, l.citizen_id, l.device_id, l.proofs, l.locale, l.created_at, l.seen_at, l.expires_at,
 (SELECT y.cooling_until FROM citizens y WHERE y.id = l.citizen_id) AS cooling, coalesce(l.session, l.id) `

	// liveLogin is the condition under which a login l of citizen c is one; $NOW is
	// the time. A trusted browser that was ended took its logins along, so it
	// needs no look here.
	liveLogin = ` l.ended_at IS NULL AND l.expires_at > $NOW AND l.idle_at > $NOW AND l.epoch = c.epoch AND c.state = 'normal' `
)

// A loginRow takes loginColumns in, and that they are NULL because there is no login
// beside what was asked for.
type loginRow struct {
	l                   identity.Login
	proofs, locale      *string
	created, seen, ends *int64
	cooling             *int64
}

func (r *loginRow) dest() []any {
	return []any{&r.l.ID, &r.l.Citizen, &r.l.Device, &r.proofs, &r.locale, &r.created, &r.seen, &r.ends, &r.cooling, &r.l.Session}
}

func (r *loginRow) absent() bool { return r.proofs == nil }

// login is what the columns, none of which may be NULL, say.
func (r *loginRow) login() (identity.Login, error) {
	l := r.l
	if err := json.Unmarshal([]byte(*r.proofs), &l.Proofs); err != nil {
		return identity.Login{}, fmt.Errorf("login %v: proofs: %w", l.ID, err)
	}
	l.Locale, l.Started, l.Seen, l.Ends = *r.locale, at(*r.created), at(*r.seen), at(*r.ends)
	l.Cooling = fromMS(r.cooling)
	return l, nil
}

func scanLogin(r row, more ...any) (identity.Login, error) {
	var l loginRow
	if err := r.Scan(append(l.dest(), more...)...); err != nil {
		return identity.Login{}, err
	}
	return l.login()
}

// Login implements authn.Logins.
func (s *Store) Login(ctx context.Context, token []byte, now time.Time) (identity.Login, error) {
	l, err := scanLogin(s.db.queryRow(ctx, `SELECT `+loginColumns+` FROM logins l JOIN citizens c ON c.id = l.citizen_id
 WHERE l.token = $1 AND `+asOf(liveLogin, "$2"), token, ms(now)))
	return l, notFound(err, "reading a login")
}

// TouchLogin implements authn.Logins.
func (s *Store) TouchLogin(ctx context.Context, id identity.ID, now time.Time, idle time.Duration) error {
	_, err := s.db.exec(ctx, `UPDATE logins SET seen_at = $1, idle_at = $2 WHERE id = $3 AND ended_at IS NULL AND idle_at > $1 AND expires_at > $1`,
		ms(now), ms(now.Add(idle)), bin(id))
	return wrap(err, "touching a login")
}

// EndLogin implements authn.Logins.
func (s *Store) EndLogin(ctx context.Context, citizen, login identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := s.hold(ctx, tx, citizen); err != nil {
			return err
		}
		if err := farewell(ctx, tx, citizen, e.At, thisLogin, login); err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE logins SET ended_at = $1, end_reason = 'ended' WHERE id = $2 AND citizen_id = $3 AND ended_at IS NULL`,
			ms(e.At), bin(login), bin(citizen)); err != nil {
			return err
		}
		if err := dropFlowsOf(ctx, tx, login); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "ending a login")
}

// dropFlowsOf forgets the step-ups under way in a login that has ended.
func dropFlowsOf(ctx context.Context, tx db, login identity.ID) error {
	_, err := tx.exec(ctx, `DELETE FROM flows WHERE login_id = $1`, bin(login))
	return err
}

// EndOtherLogins implements authn.Logins.
func (s *Store) EndOtherLogins(ctx context.Context, citizen, keep identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := s.hold(ctx, tx, citizen); err != nil {
			return err
		}
		if err := farewell(ctx, tx, citizen, e.At, otherLogins, keep); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE logins SET ended_at = $1, end_reason = 'ended' WHERE citizen_id = $2 AND id <> $3 AND ended_at IS NULL`,
			ms(e.At), bin(citizen), keep[:]); err != nil {
			return err
		}
		// Half-finished logins of the citizen end too: one of them may be the stranger's.
		if _, err := tx.exec(ctx, `DELETE FROM flows WHERE citizen_id = $1`, bin(citizen)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "ending other logins")
}

func scanLoginRow(r row) (authn.LoginRow, error) {
	var l authn.LoginRow
	var err error
	l.Login, err = scanLogin(r, &l.Agent, &l.Place)
	return l, err
}

// ListLogins implements authn.Logins.
func (s *Store) ListLogins(ctx context.Context, citizen identity.ID, now time.Time) ([]authn.LoginRow, error) {
	all, err := list(ctx, s.db, scanLoginRow, `SELECT `+loginColumns+`, l.agent, l.place FROM logins l JOIN citizens c ON c.id = l.citizen_id
 WHERE l.citizen_id = $1 AND `+asOf(liveLogin, "$2")+` ORDER BY l.created_at DESC LIMIT 200`, bin(citizen), ms(now))
	return all, wrap(err, "listing logins")
}

// LastLogin implements authn.Logins.
func (s *Store) LastLogin(ctx context.Context, citizen, before identity.ID) (authn.LoginRow, error) {
	l, err := scanLoginRow(s.db.queryRow(ctx, `SELECT `+loginColumns+`, l.agent, l.place FROM logins l
 WHERE l.citizen_id = $1 AND l.id <> $2 AND l.created_at <= (SELECT created_at FROM logins WHERE id = $2 AND citizen_id = $1)
   AND coalesce(l.end_reason, '') <> 'replaced' ORDER BY l.created_at DESC LIMIT 1`, bin(citizen), bin(before)))
	return l, notFound(err, "reading the last login")
}
