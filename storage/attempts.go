package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/authn"
)

// forEver is later than any clock of ours.
const forEver = "9000000000000000"

// attemptSQL counts one guess unless the counter is blocked; then it touches no row
// and returns none. The n-th failure beyond free blocks for base·2ⁿ⁻¹ up to most,
// the max-th for ever. The doubling stops at 2²⁰, long past any cap.
func attemptSQL(first int) string {
	names := []string{"{now}", "CAST($1 AS bigint)"}
	for i, name := range []string{"{key}", "{free}", "{base}", "{most}", "{per}", "{max}"} {
		value := fmt.Sprintf("$%d", first+i)
		if name != "{key}" {
			value = "CAST(" + value + " AS bigint)"
		}
		names = append(names, name, value)
	}
	return strings.NewReplacer(names...).Replace(`INSERT INTO attempts (key, count, first_at, blocked_until, expires_at)
VALUES ({key}, 1, {now}, CASE WHEN {max} = 1 THEN ` + forEver + ` WHEN {free} < 1 THEN {now} + {base} ELSE 0 END, {now} + {per})
ON CONFLICT (key) DO UPDATE SET
  count = CASE WHEN attempts.first_at + {per} <= {now} THEN 1 ELSE attempts.count + 1 END,
  first_at = CASE WHEN attempts.first_at + {per} <= {now} THEN {now} ELSE attempts.first_at END,
  expires_at = CASE WHEN attempts.first_at + {per} <= {now} THEN {now} + {per} ELSE attempts.expires_at END,
  blocked_until = CASE
    WHEN attempts.first_at + {per} <= {now} THEN CASE WHEN {max} = 1 THEN ` + forEver + ` WHEN {free} < 1 THEN {now} + {base} ELSE 0 END
    WHEN {max} > 0 AND attempts.count + 1 >= {max} THEN ` + forEver + `
    WHEN attempts.count + 1 <= {free} THEN 0
    WHEN attempts.count - {free} > 20 THEN {now} + {most}
    WHEN {base} * (1 << CAST(attempts.count - {free} AS integer)) > {most} THEN {now} + {most}
    ELSE {now} + {base} * (1 << CAST(attempts.count - {free} AS integer)) END
WHERE attempts.blocked_until <= {now}
RETURNING count`)
}

func attemptArgs(t authn.Try) []any {
	return []any{t.Key, int64(t.Rule.Free), t.Rule.Base.Milliseconds(), t.Rule.Cap.Milliseconds(), t.Rule.Per.Milliseconds(), int64(t.Rule.Max)}
}

// Attempt implements authn.Attempts. The counters of one call must be different
// ones. They are taken in the order of their keys, so that two calls which share
// some never wait for each other in a circle.
func (s *Store) Attempt(ctx context.Context, now time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	if len(tries) == 0 {
		return nil, nil
	}
	order := make([]int, len(tries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(tries[a].Key, tries[b].Key) })
	all := make([]authn.Tally, len(tries))
	count := attemptOneByOne
	if s.dialect == postgres {
		count = attemptAtOnce
	}
	if err := count(ctx, s.db, now, tries, order, all); err != nil {
		return nil, known(err, "counting an attempt")
	}
	return all, nil
}

// attemptAtOnce is one statement with a part for each counter.
func attemptAtOnce(ctx context.Context, d db, now time.Time, tries []authn.Try, order []int, all []authn.Tally) error {
	args := []any{ms(now)}
	var with, get strings.Builder
	counts := make([]struct{ raised, stands *int64 }, len(order))
	var dest []any
	for i, at := range order {
		if i > 0 {
			with.WriteString(", ")
			get.WriteString(", ")
		}
		key := len(args) + 1
		fmt.Fprintf(&with, "a%d AS (%s)", i, attemptSQL(key))
		fmt.Fprintf(&get, "(SELECT count FROM a%d), (SELECT count FROM attempts WHERE key = $%d)", i, key)
		args = append(args, attemptArgs(tries[at])...)
		dest = append(dest, &counts[i].raised, &counts[i].stands)
	}
	if err := d.queryRow(ctx, "WITH "+with.String()+" SELECT "+get.String(), args...).Scan(dest...); err != nil {
		return err
	}
	for i, at := range order {
		switch c := counts[i]; {
		case c.raised != nil:
			all[at] = authn.Tally{Count: int(*c.raised), Allowed: true}
		case c.stands != nil: // nil only for a counter that was made and blocked in this moment
			all[at] = authn.Tally{Count: int(*c.stands)}
		}
	}
	return nil
}

func attemptOneByOne(ctx context.Context, d db, now time.Time, tries []authn.Try, order []int, all []authn.Tally) error {
	return d.tx(ctx, func(ctx context.Context, tx db) error {
		for _, at := range order {
			t := authn.Tally{Allowed: true}
			err := tx.queryRow(ctx, attemptSQL(2), append([]any{ms(now)}, attemptArgs(tries[at])...)...).Scan(&t.Count)
			if errors.Is(err, errNoRows) {
				t.Allowed = false
				err = tx.queryRow(ctx, `SELECT count FROM attempts WHERE key = $1`, tries[at].Key).Scan(&t.Count)
			}
			if err != nil {
				return err
			}
			all[at] = t
		}
		return nil
	})
}

// Forgive implements authn.Attempts.
func (s *Store) Forgive(ctx context.Context, key []byte) error {
	_, err := s.db.exec(ctx, forgiveSQL+`$1`, key)
	return wrap(err, "forgiving attempts")
}

// Refund implements authn.Attempts. A block that the guess brought about stays:
// lifting it would let whoever knows one secret guess at others without end.
func (s *Store) Refund(ctx context.Context, key []byte) error {
	_, err := s.db.exec(ctx, refundSQL+`$1`, key)
	return wrap(err, "refunding an attempt")
}

const (
	forgiveSQL = `DELETE FROM attempts WHERE key = `
	believeSQL = `UPDATE attempts SET count = count - 1, blocked_until = 0 WHERE count > 0 AND key = `
	refundSQL  = `UPDATE attempts SET count = count - 1 WHERE count > 0 AND key = `
)

// Settle implements authn.Attempts.
func (s *Store) Settle(ctx context.Context, forgive []byte, refund ...[]byte) error {
	return s.settle(ctx, forgiveSQL, forgive, refund)
}

// Believe implements authn.Attempts.
func (s *Store) Believe(ctx context.Context, key []byte, refund ...[]byte) error {
	return s.settle(ctx, believeSQL, key, refund)
}

// settle does what a guess was worth to its own counter, nil for none, and refunds the
// others. They are taken in the order of their keys, as Attempt takes them.
func (s *Store) settle(ctx context.Context, ownSQL string, own []byte, refund [][]byte) error {
	keys := slices.Clone(refund)
	if own != nil {
		keys = append(keys, own)
	}
	if len(keys) == 0 {
		return nil
	}
	slices.SortFunc(keys, bytes.Compare)
	sql := func(key []byte, n int) string {
		if bytes.Equal(key, own) {
			return fmt.Sprint(ownSQL, "$", n)
		}
		return fmt.Sprint(refundSQL, "$", n)
	}
	if s.dialect != postgres {
		return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
			for _, key := range keys {
				if _, err := tx.exec(ctx, sql(key, 1), key); err != nil {
					return err
				}
			}
			return nil
		}), "settling attempts")
	}
	var with, get []string
	args := make([]any, len(keys))
	touched := make([]any, len(keys))
	for i, key := range keys {
		// Each part is read, in order, so that each is carried out in that order.
		with = append(with, fmt.Sprintf("a%d AS (%s RETURNING 1)", i, sql(key, i+1)))
		get = append(get, fmt.Sprintf("(SELECT count(*) FROM a%d)", i))
		args[i], touched[i] = key, new(int64)
	}
	return wrap(s.db.queryRow(ctx, "WITH "+strings.Join(with, ", ")+" SELECT "+strings.Join(get, ", "), args...).Scan(touched...), "settling attempts")
}
