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

const approvalColumns = `SELECT id, flow_id, citizen_id, context, number, choices, state, device_id, verified, hardware, created_at, expires_at FROM approvals `

func scanApproval(r row) (authn.Approval, error) {
	var a authn.Approval
	var about, choices string
	var created, expires int64
	if err := r.Scan(&a.ID, &a.Flow, &a.Citizen, &about, &a.Number, &choices, &a.State, &a.Device, &a.Verified, &a.Hardware, &created, &expires); err != nil {
		return authn.Approval{}, err
	}
	if err := json.Unmarshal([]byte(choices), &a.Choices); err != nil {
		return authn.Approval{}, fmt.Errorf("approval %v: %w", a.ID, err)
	}
	a.Context, a.Created, a.Expires = []byte(about), at(created), at(expires)
	return a, nil
}

// OpenApproval implements authn.Approvals.
func (s *Store) OpenApproval(ctx context.Context, a authn.Approval) error {
	_, err := s.db.exec(ctx, `INSERT INTO approvals (id, flow_id, citizen_id, context, number, choices, state, created_at, expires_at)
 VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8)
 ON CONFLICT (flow_id) DO UPDATE SET id = excluded.id, citizen_id = excluded.citizen_id, context = excluded.context, number = excluded.number,
   choices = excluded.choices, state = 'pending', device_id = NULL, verified = FALSE, hardware = FALSE,
   created_at = excluded.created_at, expires_at = excluded.expires_at`,
		bin(a.ID), bin(a.Flow), bin(a.Citizen), string(a.Context), a.Number, jsonText(a.Choices), ms(a.Created), ms(a.Expires))
	return wrap(err, "opening an approval")
}

// PendingApprovals implements authn.Approvals.
func (s *Store) PendingApprovals(ctx context.Context, citizen identity.ID, now time.Time) ([]authn.Approval, error) {
	all, err := list(ctx, s.db, scanApproval, approvalColumns+`WHERE citizen_id = $1 AND state = 'pending' AND expires_at > $2 ORDER BY created_at DESC LIMIT 20`, bin(citizen), ms(now))
	return all, wrap(err, "listing approvals")
}

// Approval implements authn.Approvals.
func (s *Store) Approval(ctx context.Context, id identity.ID, now time.Time) (authn.Approval, error) {
	a, err := scanApproval(s.db.queryRow(ctx, approvalColumns+`WHERE id = $1 AND expires_at > $2`, bin(id), ms(now)))
	return a, notFound(err, "reading an approval")
}

// AnswerApproval implements authn.Approvals. The phone's row comes first, as it
// does where a phone is ended: then either the answer is refused, or the approval
// it went to is deleted with the phone.
func (s *Store) AnswerApproval(ctx context.Context, id, device identity.ID, state authn.ApprovalState, verified, hardware bool, now time.Time, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		var citizen identity.ID
		err := tx.queryRow(ctx, `UPDATE devices SET last_used_at = $1, place = $3 WHERE id = $2 AND kind = 'phone' AND state = 'active'
   AND EXISTS (SELECT 1 FROM citizens c WHERE c.id = devices.citizen_id AND c.state = 'normal') RETURNING citizen_id`, ms(now), bin(device), printable(e.Place, maxReason)).Scan(&citizen)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		ok, err := changed(ctx, tx, `UPDATE approvals SET state = $1, device_id = $2, verified = $3, hardware = $4
 WHERE id = $5 AND state = 'pending' AND expires_at > $6 AND citizen_id = $7`,
			string(state), bin(device), verified, hardware, bin(id), ms(now), bin(citizen))
		if err != nil {
			return err
		}
		if !ok {
			return whyNot(ctx, tx, `SELECT 1 FROM approvals WHERE id = $1 AND citizen_id = $2 AND state <> 'pending'`, bin(id), bin(citizen))
		}
		return record(ctx, tx, e)
	}), "answering an approval")
}

// whyNot says why a conditional write found nothing: identity.ErrSpent when the row
// that the query looks for is there, identity.ErrNotFound otherwise.
func whyNot(ctx context.Context, tx db, query string, args ...any) error {
	var one int
	err := tx.queryRow(ctx, query, args...).Scan(&one)
	switch {
	case errors.Is(err, errNoRows):
		return identity.ErrNotFound
	case err != nil:
		return err
	}
	return identity.ErrSpent
}

// PutCeremony implements authn.Ceremonies.
func (s *Store) PutCeremony(ctx context.Context, c authn.Ceremony) error {
	_, err := s.db.exec(ctx, `INSERT INTO ceremonies (id, purpose, owner, citizen_id, data, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		bin(c.ID), c.Purpose, c.Owner, bin(c.Citizen), c.Data, ms(c.Expires))
	return wrap(err, "storing a ceremony")
}

// TakeCeremony implements authn.Ceremonies.
func (s *Store) TakeCeremony(ctx context.Context, id identity.ID, purpose string, owner []byte, now time.Time) (authn.Ceremony, error) {
	c := authn.Ceremony{ID: id, Purpose: purpose, Owner: owner}
	var expires int64
	err := s.db.queryRow(ctx, `DELETE FROM ceremonies WHERE id = $1 AND purpose = $2 AND owner = $3 AND expires_at > $4 RETURNING citizen_id, data, expires_at`,
		bin(id), purpose, owner, ms(now)).Scan(&c.Citizen, &c.Data, &expires)
	c.Expires = at(expires)
	if err != nil {
		return authn.Ceremony{}, notFound(err, "taking a ceremony")
	}
	return c, nil
}

// Notices implements authn.Journal.
func (s *Store) Notices(ctx context.Context, citizen identity.ID, n int) ([]authn.Notice, error) {
	all, err := list(ctx, s.db, func(r row) (authn.Notice, error) {
		var one authn.Notice
		var detail string
		var when int64
		if err := r.Scan(&one.Kind, &detail, &one.Place, &when); err != nil {
			return one, err
		}
		one.At = at(when)
		return one, json.Unmarshal([]byte(detail), &one.Detail)
	}, `SELECT kind, detail, place, at FROM notices WHERE citizen_id = $1 ORDER BY at DESC, id LIMIT $2`, bin(citizen), max(n, 0))
	return all, wrap(err, "reading notices")
}
