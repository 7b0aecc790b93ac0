package storage

import (
	"context"
	"errors"
	"time"

	"ecardid/authn"
)

// attempt counts one guess unless the counter is blocked; then it touches no row
// and returns none. The n-th failure beyond Free blocks for Base·2ⁿ up to Cap, the
// Max-th for ever. The doubling stops at 2²⁰, long past any cap.
const attemptOne = `
INSERT INTO attempts (key, count, first_at, blocked_until, expires_at)
VALUES ($1, 1, $2, CASE WHEN $3 <= 1 THEN $2 + $4 ELSE 0 END, $2 + $6)
ON CONFLICT (key) DO UPDATE SET
  count = CASE WHEN attempts.first_at + $6 <= $2 THEN 1 ELSE attempts.count + 1 END,
  first_at = CASE WHEN attempts.first_at + $6 <= $2 THEN $2 ELSE attempts.first_at END,
  expires_at = CASE WHEN attempts.first_at + $6 <= $2 THEN $2 + $6 ELSE attempts.expires_at END,
  blocked_until = CASE
    WHEN attempts.first_at + $6 <= $2 THEN CASE WHEN $3 <= 1 THEN $2 + $4 ELSE 0 END
    WHEN $7 > 0 AND attempts.count + 1 >= $7 THEN 9000000000000000
    WHEN attempts.count + 1 < $3 THEN 0
    WHEN attempts.count + 1 - $3 > 20 THEN $2 + $5
    WHEN $4 * (1 << CAST(attempts.count + 1 - $3 AS integer)) > $5 THEN $2 + $5
    ELSE $2 + $4 * (1 << CAST(attempts.count + 1 - $3 AS integer)) END
WHERE attempts.blocked_until <= $2
RETURNING count`

func attempt(ctx context.Context, d db, now time.Time, t authn.Try) (authn.Tally, error) {
	var n int64
	err := d.queryRow(ctx, attemptOne, t.Key, ms(now), int64(t.Rule.Free), t.Rule.Base.Milliseconds(),
		t.Rule.Cap.Milliseconds(), t.Rule.Per.Milliseconds(), int64(t.Rule.Max)).Scan(&n)
	switch {
	case errors.Is(err, errNoRows):
		return authn.Tally{}, nil
	case err != nil:
		return authn.Tally{}, err
	}
	return authn.Tally{Count: int(n), Allowed: true}, nil
}

// Attempt implements authn.Attempts. The counters are independent of each other,
// so each is a statement of its own and no lock is held over two of them.
func (s *Store) Attempt(ctx context.Context, now time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	all := make([]authn.Tally, len(tries))
	for i, t := range tries {
		one, err := attempt(ctx, s.db, now, t)
		if err != nil {
			return nil, known(err, "counting an attempt")
		}
		all[i] = one
	}
	return all, nil
}

// Forgive implements authn.Attempts.
func (s *Store) Forgive(ctx context.Context, key []byte) error {
	_, err := s.db.exec(ctx, `DELETE FROM attempts WHERE key = $1`, key)
	return wrap(err, "forgiving attempts")
}

// Refund implements authn.Attempts.
func (s *Store) Refund(ctx context.Context, key []byte) error {
	_, err := s.db.exec(ctx, `UPDATE attempts SET count = count - 1 WHERE key = $1 AND count > 0`, key)
	return wrap(err, "refunding an attempt")
}
