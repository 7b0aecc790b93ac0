package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/seal"
)

// maxFlows caps what strangers can make us keep (SECURITY DS3): a quarter of an
// hour of a hundred sign-ins begun each second.
const maxFlows = 90_000

// flowBody is the sealed part of a flow: it holds what a person typed.
type flowBody struct {
	Need   identity.Need    `json:"need"`
	Back   string           `json:"back"`
	Proofs []identity.Proof `json:"proofs,omitempty"`
	State  authn.FlowState  `json:"state"`
}

func (s *Store) sealFlow(f authn.Flow) ([]byte, error) {
	b, err := json.Marshal(flowBody{f.Need, f.Back, f.Proofs, f.State})
	if err != nil {
		return nil, fmt.Errorf("encoding a flow: %w", err)
	}
	return s.sealed(seal.PII, "flows", "body", f.ID[:], b)
}

// BeginFlow implements authn.Flows. The cap is counted from the planner's side of
// things: an exact count of a large table costs more than it is worth, so the
// oldest flows make room once the table has grown over it (see Sweep).
func (s *Store) BeginFlow(ctx context.Context, f authn.Flow) error {
	body, err := s.sealFlow(f)
	if err != nil {
		return known(err, "sealing a flow")
	}
	ok, err := changed(ctx, s.db, `INSERT INTO flows (id, browser, body, citizen_id, epoch, login_id, version, created_at, expires_at)
 SELECT $1, $2, $3, $4, $5, $6, 1, $7, $8
  WHERE (SELECT count(*) FROM (SELECT 1 FROM flows WHERE expires_at > $7 LIMIT $9) n) < $9`,
		bin(f.ID), f.Browser, body, bin(f.Citizen), f.Epoch, bin(f.Login), ms(f.Created), ms(f.Expires), maxFlows)
	if err == nil && !ok {
		return identity.ErrConflict
	}
	return wrap(err, "beginning a flow")
}

// Flow implements authn.Flows.
func (s *Store) Flow(ctx context.Context, id identity.ID, browser []byte, now time.Time) (authn.Flow, error) {
	f := authn.Flow{ID: id, Browser: browser}
	var blob []byte
	var created, expires int64
	err := s.db.queryRow(ctx, `SELECT body, citizen_id, epoch, login_id, version, created_at, expires_at FROM flows
 WHERE id = $1 AND browser = $2 AND expires_at > $3`, bin(id), browser, ms(now)).
		Scan(&blob, &f.Citizen, &f.Epoch, &f.Login, &f.Version, &created, &expires)
	if err != nil {
		return authn.Flow{}, notFound(err, "reading a flow")
	}
	plain, err := s.unsealed(seal.PII, "flows", "body", id[:], blob)
	if err != nil {
		return authn.Flow{}, known(err, "opening a flow")
	}
	var body flowBody
	if err := json.Unmarshal(plain, &body); err != nil {
		return authn.Flow{}, fmt.Errorf("decoding a flow: %w", err)
	}
	f.Need, f.Back, f.Proofs, f.State = body.Need, body.Back, body.Proofs, body.State
	f.Created, f.Expires = at(created), at(expires)
	return f, nil
}

// MoveFlow implements authn.Flows.
func (s *Store) MoveFlow(ctx context.Context, f *authn.Flow, now time.Time) error {
	body, err := s.sealFlow(*f)
	if err != nil {
		return known(err, "sealing a flow")
	}
	ok, err := changed(ctx, s.db, `UPDATE flows SET body = $1, citizen_id = $2, epoch = $3, login_id = $4, version = version + 1
 WHERE id = $5 AND browser = $6 AND version = $7 AND expires_at > $8`,
		body, bin(f.Citizen), f.Epoch, bin(f.Login), bin(f.ID), f.Browser, f.Version, ms(now))
	if err != nil {
		return known(err, "moving a flow")
	}
	if !ok {
		return identity.ErrSpent
	}
	f.Version++
	return nil
}

// FinishFlow implements authn.Flows. It is one transaction: the flow's deletion decides
// who finishes it, and the locks on citizen and devices make a revocation either
// see the login or be seen by it.
func (s *Store) FinishFlow(ctx context.Context, f authn.Flow, n authn.NewLogin, replaces identity.ID, e audit.Event) error {
	l := n.Login
	proofs, err := json.Marshal(l.Proofs)
	if err != nil {
		return fmt.Errorf("encoding proofs: %w", err)
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		ok, err := changed(ctx, tx, `DELETE FROM flows WHERE id = $1 AND browser = $2 AND version = $3 AND expires_at > $4`,
			bin(f.ID), f.Browser, f.Version, ms(l.Started))
		if err != nil {
			return err
		}
		if !ok {
			return identity.ErrSpent
		}
		var epoch int64
		err = tx.queryRow(ctx, s.locked(`SELECT epoch FROM citizens WHERE id = $1 AND epoch = $2 AND state = 'normal'`), bin(f.Citizen), f.Epoch).Scan(&epoch)
		if errors.Is(err, errNoRows) {
			return identity.ErrEnded
		}
		if err != nil {
			return err
		}
		for _, id := range devicesOf(l) {
			var one int
			err := tx.queryRow(ctx, s.locked(`SELECT 1 FROM devices WHERE id = $1 AND citizen_id = $2 AND state = 'active' AND (kind <> 'browser' OR epoch = $3)`),
				bin(id), bin(f.Citizen), epoch).Scan(&one)
			if errors.Is(err, errNoRows) {
				return identity.ErrEnded
			}
			if err != nil {
				return err
			}
		}
		if !replaces.IsZero() {
			if _, err := tx.exec(ctx, `UPDATE logins SET ended_at = $1, end_reason = 'replaced' WHERE id = $2 AND ended_at IS NULL`,
				ms(l.Started), bin(replaces)); err != nil {
				return err
			}
		}
		idle := l.Started.Add(n.Idle)
		if _, err := tx.exec(ctx, `INSERT INTO logins (id, citizen_id, epoch, device_id, token, proofs, locale, agent, place, created_at, seen_at, idle_at, expires_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12)`,
			bin(l.ID), bin(f.Citizen), epoch, bin(l.Device), n.Token, string(proofs), l.Locale, printable(n.Agent, maxReason), printable(n.Place, maxReason),
			ms(l.Started), ms(idle), ms(l.Ends)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "finishing a flow")
}

// locked makes a read hold its row against change until the transaction ends. The
// one writer of SQLite needs no telling.
func (s *Store) locked(sql string) string {
	if s.dialect == postgres {
		return sql + ` FOR SHARE`
	}
	return sql
}

// devicesOf lists the devices a login stands on, each once.
func devicesOf(l identity.Login) []identity.ID {
	var ids []identity.ID
	add := func(id identity.ID) {
		if !id.IsZero() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add(l.Device)
	for _, p := range l.Proofs {
		add(p.Device)
	}
	// In one order everywhere, so that two transactions never wait for each other.
	slices.SortFunc(ids, func(a, b identity.ID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// DropFlow implements authn.Flows.
func (s *Store) DropFlow(ctx context.Context, id identity.ID) error {
	_, err := s.db.exec(ctx, `DELETE FROM flows WHERE id = $1`, bin(id))
	return wrap(err, "dropping a flow")
}
