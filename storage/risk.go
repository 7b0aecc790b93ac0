package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/risk"
	"ecardid/identity"
)

// Bounds of what one sign-in is compared with.
const (
	maxSeen     = 200
	maxAccounts = 10_000
)

// SignIns implements authn.Risks. It is one statement: the parts of a history are rows
// of one result, told apart by their first column.
func (s *Store) SignIns(ctx context.Context, q risk.Query) (risk.History, error) {
	var h risk.History
	err := s.db.query(ctx, func(r row) error {
		var what, a, b string
		var n, when int64
		if err := r.Scan(&what, &a, &b, &n, &when); err != nil {
			return err
		}
		switch what {
		case "seen":
			h.Seen = append(h.Seen, risk.Seen{Agent: a, Place: b, At: at(when)})
		case "accounts":
			h.Accounts = int(n)
		case "changed":
			h.Changed = at(when)
		case "held":
			h.Held.Until = at(when)
			if err := json.Unmarshal([]byte(a), &h.Held.Rules); err != nil {
				return fmt.Errorf("rules of a hold: %w", err)
			}
		}
		return nil
	}, `SELECT 'seen', agent, place, 0, max(created_at) FROM
  (SELECT agent, place, created_at FROM logins WHERE citizen_id = $1 AND created_at > $2 ORDER BY created_at DESC LIMIT $3) x GROUP BY agent, place
UNION ALL SELECT 'accounts', '', '', count(*), 0 FROM
  (SELECT DISTINCT citizen_id FROM logins WHERE source = $4 AND created_at > $5 AND citizen_id <> $1 LIMIT $6) x
UNION ALL SELECT 'changed', '', '', 0, max(x.at) FROM
  (SELECT password_at AS at FROM citizens WHERE id = $1
   UNION ALL SELECT confirmed_at FROM totps WHERE citizen_id = $1
   UNION ALL SELECT created_at FROM passkeys WHERE citizen_id = $1
   UNION ALL SELECT created_at FROM devices WHERE citizen_id = $1 AND kind = 'phone') x
  WHERE x.at > (SELECT min(created_at) FROM logins WHERE citizen_id = $1)
  HAVING max(x.at) IS NOT NULL
UNION ALL SELECT 'held', rules, '', 0, until FROM risk_holds WHERE key = $7 AND expires_at > $8`,
		bin(q.Citizen), ms(q.Since), maxSeen, q.Source, ms(q.Window), maxAccounts, q.Hold, ms(q.Now))
	if err != nil {
		return risk.History{}, known(err, "reading earlier sign-ins")
	}
	return h, nil
}

// Weighed implements authn.Risks.
func (s *Store) Weighed(ctx context.Context, f *authn.Flow, h *risk.Hold, e *audit.Event, now time.Time) error {
	if h == nil && e == nil { // as a rule: one statement needs no transaction around it
		return s.MoveFlow(ctx, f, now)
	}
	body, err := s.sealFlow(*f)
	if err != nil {
		return known(err, "sealing a flow")
	}
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrSpent, moveFlow, moveArgs(*f, body, now)...); err != nil {
			return err
		}
		if h != nil {
			// Two sign-ins side by side make one hold; one that is not over is not made longer.
			if _, err := tx.exec(ctx, `INSERT INTO risk_holds (key, rules, until, expires_at) VALUES ($1, $2, $3, $4)
 ON CONFLICT (key) DO UPDATE SET rules = excluded.rules, until = excluded.until, expires_at = excluded.expires_at WHERE risk_holds.until <= $5`,
				h.Key, jsonText(h.Rules), ms(h.Until), ms(h.Until.Add(risk.HealedFor)), ms(now)); err != nil {
				return err
			}
		}
		if e != nil {
			return record(ctx, tx, *e)
		}
		return nil
	})
	if err != nil {
		return known(err, "weighing a sign-in")
	}
	f.Version++
	return nil
}
