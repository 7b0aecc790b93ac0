package storage

import (
	"context"
	"fmt"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
)

// farewellLife is how long a client is tried: one that has not listened for a day does
// not learn of it any more. Sweeping counts those that were given up.
const farewellLife = 24 * time.Hour

// farewell puts into the outbox who has to hear that logins of the held citizen end:
// those that which selects, of logins called l with login as $3. It is called while
// they are still what they are, in the transaction that ends them. A login that has run
// out ends nobody's session anew, but what is offline lived on until now.
func farewell(ctx context.Context, tx db, citizen identity.ID, now time.Time, which string, login identity.ID) error {
	type pair struct {
		client  string
		session identity.ID
	}
	pairs, err := list(ctx, tx, func(r row) (p pair, err error) {
		err = r.Scan(&p.client, &p.session)
		return p, err
	}, `SELECT DISTINCT g.client_id, coalesce(g.session, g.login_id) FROM grants g
 JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id JOIN clients k ON k.id = g.client_id
 WHERE g.citizen_id = $1 AND`+served+`AND k.backchannel AND `+ending+` AND `+which, bin(citizen), ms(now), login[:])
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if _, err := tx.exec(ctx, `INSERT INTO farewells (id, client_id, citizen_id, session, at, due_at) VALUES ($1, $2, $3, $4, $5, $5)
 ON CONFLICT (session, client_id) DO NOTHING`, bin(identity.NewID()), p.client, bin(citizen), bin(p.session), ms(now)); err != nil {
			return err
		}
	}
	return signalEnds(ctx, tx, citizen, now, which, login)
}

// ending is the condition under which a grant g has a session that can end at $2: joined
// with its login l, its citizen c and its client k.
const ending = ` g.revoked_at IS NULL AND g.expires_at + 0 > $2 AND g.epoch = c.epoch
 AND l.ended_at IS NULL AND l.epoch = c.epoch AND (g.offline OR l.expires_at > $2 AND l.idle_at > $2) AND k.epoch = g.client_epoch AND ` + redeemed + ` `

// redeemed: a client that never fetched its tokens was in no session.
const redeemed = ` (g.code_used_at IS NOT NULL OR g.parent_id IS NOT NULL) `

// Which logins end.
const (
	thisLogin   = ` l.id = $3 `
	otherLogins = ` l.id <> $3 `
)

func scanFarewell(r row) (oauth.Farewell, error) {
	var f oauth.Farewell
	var at int64
	err := r.Scan(&f.ID, &f.ClientID, &f.Citizen, &f.Session, &at, &f.Tries)
	f.At = time.UnixMilli(at).UTC()
	return f, err
}

// TakeFarewells implements oauth.Farewells. Taking one is moving the moment it is due:
// who comes meanwhile does not see it, and when nobody reports back it is due again.
func (s *Store) TakeFarewells(ctx context.Context, now time.Time, lease time.Duration, n int) ([]oauth.Farewell, error) {
	if n <= 0 {
		return nil, nil
	}
	skip := `FOR UPDATE SKIP LOCKED` // not those another replica is at
	if s.dialect == sqlite {
		skip = ``
	}
	// Materialized: found once, and not again for each row. The number stands in the
	// text for the planner to see that it is small.
	all, err := list(ctx, s.db, scanFarewell, fmt.Sprintf(`WITH due AS MATERIALIZED (SELECT id FROM farewells WHERE due_at <= $1 AND at > $2 ORDER BY due_at LIMIT %d %s)
 UPDATE farewells SET due_at = $3, tries = tries + 1 FROM due WHERE farewells.id = due.id
 RETURNING farewells.id, client_id, citizen_id, session, at, tries - 1`, n, skip), ms(now), ms(now.Add(-farewellLife)), ms(now.Add(lease)))
	return all, wrap(err, "taking farewells")
}

// Delivered implements oauth.Farewells.
func (s *Store) Delivered(ctx context.Context, id identity.ID) error {
	_, err := s.db.exec(ctx, `DELETE FROM farewells WHERE id = $1`, bin(id))
	return wrap(err, "settling a farewell")
}

// Undelivered implements oauth.Farewells.
func (s *Store) Undelivered(ctx context.Context, id identity.ID, next time.Time) error {
	_, err := s.db.exec(ctx, `UPDATE farewells SET due_at = $1 WHERE id = $2`, ms(next), bin(id))
	return wrap(err, "putting a farewell off")
}

// SessionClients implements oauth.Farewells.
func (s *Store) SessionClients(ctx context.Context, session identity.ID) ([]string, error) {
	all, err := list(ctx, s.db, func(r row) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, `SELECT DISTINCT g.client_id FROM grants g WHERE g.session = $1 AND `+redeemed+` ORDER BY g.client_id`, bin(session))
	return all, wrap(err, "listing a session's clients")
}
