package storage

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/seal"
)

const requestsKept = 14 * 24 * time.Hour // in the list, after they ended

// FileRequest implements console.Requests.
func (s *Store) FileRequest(ctx context.Context, r console.Request, e audit.Event) error {
	plain, err := json.Marshal(r.Order)
	if err != nil {
		return fmt.Errorf("encoding an order: %w", err)
	}
	sealed, err := s.sealed(seal.PII, "staff_requests", "orders", r.ID[:], plain)
	if err != nil {
		return err
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		subject := waitsFor(r.Order)
		if _, err := tx.exec(ctx, `UPDATE staff_requests SET subject = NULL WHERE subject = $1 AND (state NOT IN ('open', 'approved') OR expires_at <= $2)`, subject, ms(r.Created)); err != nil {
			return err
		}
		limit := console.MaxOpen
		if r.Client != "" {
			limit = console.MaxOpenOfProgram
		}
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO staff_requests (id, orders, staff_id, unit, client_id, citizen_id, act, subject, state, created_at, expires_at)
 SELECT $1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10
 WHERE (SELECT count(*) FROM staff_requests q WHERE q.state = 'open' AND q.expires_at > $9 AND (q.staff_id = $3 OR q.client_id = $5 AND q.client_id <> '')) < $11
 ON CONFLICT (subject) DO NOTHING`,
			bin(r.ID), sealed, bin(r.By.ID), r.By.Unit, r.Client, bin(r.Order.Citizen), string(r.Order.Act), subject, ms(r.Created), ms(r.Expires), limit); err != nil {
			return err
		}
		for i, w := range r.Warrants {
			if _, err := tx.exec(ctx, `INSERT INTO staff_warrants (id, request_id, place, state) VALUES ($1, $2, $3, 'ready')`, bin(w.ID), bin(r.ID), int64(i)); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	}), "filing a request")
}

// waitsFor is what one request at a time waits for: an act on its subject, whatever its
// value; where it has no subject, the value or the many are one.
func waitsFor(o console.Order) []byte {
	parts := []any{o.Act, o.Citizen, o.Target, o.Client}
	if o.Subject() == "" {
		parts = append(parts, o.Value, o.Many)
	}
	h := sha256.Sum256([]byte(jsonText(parts)))
	return h[:]
}

// ApproveRequest implements console.Requests. The request's row is locked before anything
// is counted: of two who approve at once the second sees the first. An approval counts as
// long as whoever gave it is who they were.
func (s *Store) ApproveRequest(ctx context.Context, id identity.ID, needs int, e audit.Event) (all bool, err error) {
	if e.Standing.Staff.IsZero() || needs < 1 {
		return false, fmt.Errorf("approving a request: %w", identity.ErrEnded)
	}
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		all = false
		ok, err := changed(ctx, tx, `UPDATE staff_requests SET state = state WHERE id = $1 AND state = 'open' AND expires_at > $2 AND (staff_id IS NULL OR staff_id <> $3)`,
			bin(id), ms(e.At), bin(e.Standing.Staff))
		if err != nil {
			return err
		}
		if !ok {
			var one int
			if err := tx.queryRow(ctx, `SELECT 1 FROM staff_requests WHERE id = $1`, bin(id)).Scan(&one); errors.Is(err, errNoRows) {
				return identity.ErrNotFound
			} else if err != nil {
				return err
			}
			return identity.ErrConflict
		}
		// An approval of theirs as who they were before counts no more, and may be given again.
		if err := only(ctx, tx, identity.ErrSpent, `INSERT INTO staff_approvals (request_id, staff_id, version, at) VALUES ($1, $2, $3, $4)
 ON CONFLICT (request_id, staff_id) DO UPDATE SET version = excluded.version, at = excluded.at WHERE staff_approvals.version <> excluded.version`,
			bin(id), bin(e.Standing.Staff), e.Standing.Version, ms(e.At)); err != nil {
			return err
		}
		var n int64
		if err := tx.queryRow(ctx, `SELECT count(*) FROM staff_approvals a JOIN staff s ON s.id = a.staff_id
 WHERE a.request_id = $1 AND s.state = 'active' AND s.version = a.version`, bin(id)).Scan(&n); err != nil {
			return err
		}
		if n >= int64(needs) {
			if _, err := tx.exec(ctx, `UPDATE staff_requests SET state = 'approved', expires_at = $1 WHERE id = $2`, ms(e.At.Add(console.RequestLife)), bin(id)); err != nil {
				return err
			}
			all = true
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		all = false
	}
	return all, wrap(err, "approving a request")
}

// RejectRequest implements console.Requests.
func (s *Store) RejectRequest(ctx context.Context, id identity.ID, state console.RequestState, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE staff_requests SET state = $1, ended_at = $2 WHERE id = $3 AND state = 'open'`,
			string(state), ms(e.At), bin(id)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "ending a request")
}

// overtake records an act that leaves less standing of a citizen than there was: what was
// asked for about them before it was asked for of somebody else, and whoever still wants
// it asks again (SECURITY G6). The request the act itself comes from is done by then.
func overtake(ctx context.Context, tx db, citizen identity.ID, e audit.Event) error {
	if err := record(ctx, tx, e); err != nil {
		return err
	}
	ids, err := list(ctx, tx, func(r row) (id identity.ID, err error) {
		err = r.Scan(&id)
		return id, err
	}, `UPDATE staff_requests SET state = 'withdrawn', ended_at = $1 WHERE citizen_id = $2 AND state IN ('open', 'approved') RETURNING id`, ms(e.At), bin(citizen))
	if err != nil {
		return fmt.Errorf("withdrawing requests: %w", err)
	}
	for _, id := range ids {
		if err := record(ctx, tx, audit.Event{
			Kind: audit.RequestWithdrawn, At: e.At, Actor: e.Actor, Citizen: citizen, Place: e.Place,
			Detail: map[string]string{"request": id.String(), "overtaken": string(e.Kind)},
		}); err != nil {
			return err
		}
	}
	return nil
}

// FailWarrant implements console.Requests.
func (s *Store) FailWarrant(ctx context.Context, id identity.ID, problem string, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := useWarrant(ctx, tx, id, console.WarrantFailed, problem, e.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "failing a warrant")
}

// spendWarrant uses the warrant of an event, in the transaction of the act it allows.
func spendWarrant(ctx context.Context, d db, e audit.Event) error {
	if e.Warrant.IsZero() {
		return nil
	}
	return useWarrant(ctx, d, e.Warrant, console.WarrantDone, "", e.At)
}

// useWarrant is the gate: of two who use one warrant one gets through, while its request
// is approved and not over. The request is locked first and, with the last one, done.
func useWarrant(ctx context.Context, tx db, id identity.ID, state console.WarrantState, problem string, now time.Time) error {
	if err := only(ctx, tx, identity.ErrSpent, `UPDATE staff_requests SET state = state
 WHERE id = (SELECT request_id FROM staff_warrants WHERE id = $1) AND state = 'approved' AND expires_at > $2`, bin(id), ms(now)); err != nil {
		return err
	}
	if err := only(ctx, tx, identity.ErrSpent, `UPDATE staff_warrants SET state = $1, problem = $2 WHERE id = $3 AND state = 'ready'`, string(state), problem, bin(id)); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE staff_requests SET state = 'done', ended_at = $1
 WHERE id = (SELECT request_id FROM staff_warrants WHERE id = $2)
   AND NOT EXISTS (SELECT 1 FROM staff_warrants w WHERE w.request_id = staff_requests.id AND w.state = 'ready')`, ms(now), bin(id))
	return err
}

const staffRequestColumns = `SELECT q.id, q.orders, q.client_id, q.state, q.created_at, q.expires_at,
 coalesce(s.id, q.id), coalesce(s.name, ''), coalesce(s.roles, '[]'), q.unit, coalesce(s.state, ''), coalesce(s.version, 0), s.id IS NOT NULL
 FROM staff_requests q LEFT JOIN staff s ON s.id = q.staff_id `

func (s *Store) scanRequest(r row) (console.Request, error) {
	var q console.Request
	var sealed []byte
	var roles string
	var created, expires int64
	var known bool
	if err := r.Scan(&q.ID, &sealed, &q.Client, &q.State, &created, &expires, &q.By.ID, &q.By.Name, &roles, &q.By.Unit, &q.By.State, &q.By.Version, &known); err != nil {
		return console.Request{}, err
	}
	if !known {
		q.By = console.Staff{}
	} else if err := json.Unmarshal([]byte(roles), &q.By.Roles); err != nil {
		return console.Request{}, fmt.Errorf("request %v: roles: %w", q.ID, err)
	}
	plain, err := s.unsealed(seal.PII, "staff_requests", "orders", q.ID[:], sealed)
	if err != nil {
		return console.Request{}, err
	}
	if err := json.Unmarshal(plain, &q.Order); err != nil {
		return console.Request{}, fmt.Errorf("request %v: %w", q.ID, err)
	}
	q.Created, q.Expires = at(created), at(expires)
	return q, nil
}

// StaffRequest implements console.Requests.
func (s *Store) StaffRequest(ctx context.Context, id identity.ID) (console.Request, error) {
	q, err := s.scanRequest(s.db.queryRow(ctx, staffRequestColumns+`WHERE q.id = $1`, bin(id)))
	if err != nil {
		return console.Request{}, notFound(err, "reading a request")
	}
	if q.Approved, err = s.approvers(ctx, id); err != nil {
		return console.Request{}, err
	}
	orders := q.Order.Each()
	q.Warrants, err = list(ctx, s.db, func(r row) (console.Warrant, error) {
		var w console.Warrant
		var place int64
		if err := r.Scan(&w.ID, &place, &w.State, &w.Problem); err != nil {
			return w, err
		}
		if place < 0 || place >= int64(len(orders)) {
			return w, fmt.Errorf("warrant %v: no order at %d", w.ID, place)
		}
		w.Order = orders[place]
		return w, nil
	}, `SELECT id, place, state, problem FROM staff_warrants WHERE request_id = $1 ORDER BY place`, bin(id))
	return q, wrap(err, "reading a request's warrants")
}

// approvers are those whose approval counts.
func (s *Store) approvers(ctx context.Context, id identity.ID) ([]console.Staff, error) {
	all, err := list(ctx, s.db, func(r row) (console.Staff, error) { return scanStaff(r) }, `SELECT `+staffColumns+` FROM staff_approvals a JOIN staff s ON s.id = a.staff_id
 WHERE a.request_id = $1 AND s.state = 'active' AND s.version = a.version ORDER BY a.at`, bin(id))
	return all, wrap(err, "reading a request's approvals")
}

// ListRequests implements console.Requests. What is not theirs to see is left out before
// it is counted, as far as the row says it.
func (s *Store) ListRequests(ctx context.Context, reader console.Staff, now time.Time, n int) ([]console.Request, error) {
	args := []any{ms(now), ms(now.Add(-requestsKept)), n, bin(reader.ID)}
	theirs := `q.staff_id = $4`
	if acts := console.Approves(reader.Roles); len(acts) > 0 {
		args = append(args, reader.Unit) // $5
		var in []string
		for _, act := range acts {
			args = append(args, string(act))
			in = append(in, fmt.Sprintf("$%d", len(args)))
		}
		theirs += ` OR q.act IN (` + strings.Join(in, ", ") + `) AND (CAST($5 AS TEXT) = ''
 OR q.client_id = '' AND substr(q.unit, 1, length(CAST($5 AS TEXT))) = CAST($5 AS TEXT)
 OR q.citizen_id IS NULL AND q.act <> 'bulk.loss'
 OR EXISTS (SELECT 1 FROM citizens c WHERE c.id = q.citizen_id AND substr(c.region, 1, length(CAST($5 AS TEXT))) = CAST($5 AS TEXT)))`
	}
	all, err := list(ctx, s.db, s.scanRequest, staffRequestColumns+`WHERE (`+theirs+`) AND (q.state IN ('open', 'approved') AND q.expires_at > $1 OR coalesce(q.ended_at, q.expires_at) > $2)
 ORDER BY CASE WHEN q.state = 'open' AND q.expires_at > $1 THEN 0 ELSE 1 END, q.created_at DESC, q.id LIMIT $3`, args...)
	if err != nil {
		return nil, wrap(err, "listing requests")
	}
	for i := range all {
		if all[i].State != console.RequestOpen {
			continue
		}
		if all[i].Approved, err = s.approvers(ctx, all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}
