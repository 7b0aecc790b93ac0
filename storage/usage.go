package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/oauth"
)

// usageBatch is how many days of clients one statement adds to.
const usageBatch = 100

// AddUsage implements oauth.Usages. The rows go in one order, so that replicas that add
// at once do not wait for each other in a ring.
func (s *Store) AddUsage(ctx context.Context, all []oauth.Usage) error {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b oauth.Usage) int {
		if c := strings.Compare(a.ClientID, b.ClientID); c != 0 {
			return c
		}
		return a.Day - b.Day
	})
	for batch := range slices.Chunk(all, usageBatch) {
		rows, args := make([]string, len(batch)), make([]any, 0, 6*len(batch))
		for i, u := range batch {
			n := len(args)
			rows[i] = fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d)", n+1, n+2, n+3, n+4, n+5, n+6)
			args = append(args, u.ClientID, int64(u.Day), u.Codes, u.Refreshes, u.Refusals, u.Overasked)
		}
		_, err := s.db.exec(ctx, `INSERT INTO client_usage (client_id, day, codes, refreshes, refusals, overasked) VALUES `+strings.Join(rows, ", ")+`
 ON CONFLICT (client_id, day) DO UPDATE SET codes = client_usage.codes + excluded.codes, refreshes = client_usage.refreshes + excluded.refreshes,
   refusals = client_usage.refusals + excluded.refusals, overasked = client_usage.overasked + excluded.overasked`, args...)
		if err != nil {
			return known(err, "adding usage")
		}
	}
	return nil
}

// UsageSince implements oauth.Usages.
func (s *Store) UsageSince(ctx context.Context, clientID string, day int) ([]oauth.Usage, error) {
	all, err := list(ctx, s.db, func(r row) (oauth.Usage, error) {
		u := oauth.Usage{ClientID: clientID}
		var d int64
		err := r.Scan(&d, &u.Codes, &u.Refreshes, &u.Refusals, &u.Overasked)
		u.Day = int(d)
		return u, err
	}, `SELECT day, codes, refreshes, refusals, overasked FROM client_usage WHERE client_id = $1 AND day >= $2 ORDER BY day`, clientID, int64(day))
	return all, wrap(err, "reading usage")
}

// sweepUsage deletes what is older than it is kept.
func (s *Store) sweepUsage(ctx context.Context, now time.Time) (int64, error) {
	return s.db.exec(ctx, `DELETE FROM client_usage WHERE day < $1`, int64(oauth.DayNumber(now)-oauth.UsageKept))
}

// ClientWeight says what hangs on a client: grants that are not over, of how many
// citizens. It counts, so it is for somebody who is about to end them and not for a list.
func (s *Store) ClientWeight(ctx context.Context, clientID string, now time.Time) (w oauth.Weight, err error) {
	err = s.db.queryRow(ctx, `SELECT count(*), count(DISTINCT g.citizen_id) FROM grants g JOIN clients k ON k.id = g.client_id
 WHERE g.client_id = $1 AND g.revoked_at IS NULL AND g.expires_at > $2 AND g.client_epoch = k.epoch`, clientID, ms(now)).Scan(&w.Grants, &w.Citizens)
	if err != nil {
		return oauth.Weight{}, known(err, "weighing a client")
	}
	err = s.db.queryRow(ctx, `SELECT count(*) FROM requests WHERE client_id = $1 AND expires_at > $2`, clientID, ms(now)).Scan(&w.Requests)
	return w, wrap(err, "weighing a client")
}
