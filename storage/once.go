package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
)

// leastRemembered is how long a value is known at the least: what is accepted in the
// last moment of its life must not be acceptable twice in that moment.
const leastRemembered = time.Minute

// spending is the statement that records values which may be used once, and its
// arguments; its parameters are numbered from first. It touches as many rows as
// there are values, unless one of them was used before: the row that is there is
// the earlier use, and counts until it has expired. What was new beside it may be
// recorded or not. The values are in order, so that
// two who spend the same do not wait for each other in a circle.
func spending(once []oauth.Once, now time.Time, first int) (text string, args []any, err error) {
	all := slices.Clone(once)
	slices.SortFunc(all, func(a, b oauth.Once) int { return bytes.Compare(a.Key, b.Key) })
	args = []any{ms(now)}
	rows := make([]string, len(all))
	for i, o := range all {
		switch {
		case len(o.Key) == 0:
			return "", nil, errors.New("storage: a value to be used once has no key")
		case i > 0 && bytes.Equal(o.Key, all[i-1].Key):
			return "", nil, identity.ErrReplayed
		}
		rows[i] = fmt.Sprintf("($%d, $%d)", first+len(args), first+len(args)+1)
		args = append(args, o.Key, max(ms(o.Expires), ms(now.Add(leastRemembered))))
	}
	return fmt.Sprintf(`INSERT INTO replay (key, expires_at) VALUES %s
 ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE replay.expires_at <= $%d`, strings.Join(rows, ", "), first), args, nil
}

// spend records the values on d.
func spend(ctx context.Context, d db, once []oauth.Once, now time.Time) error {
	if len(once) == 0 {
		return nil
	}
	text, args, err := spending(once, now, 1)
	if err != nil {
		return err
	}
	n, err := d.exec(ctx, text, args...)
	if err == nil && n < int64(len(once)) {
		err = identity.ErrReplayed
	}
	return err
}

// Spend implements oauth.Replay.
func (s *Store) Spend(ctx context.Context, now time.Time, once ...oauth.Once) error {
	return wrap(spend(ctx, s.db, once, now), "spending")
}

// unsent is what becomes of an operation that was never sent, because of text the
// databases could not keep: what it carried is spent like that of any other that
// finds nothing.
func (s *Store) unsent(ctx context.Context, err error, once []oauth.Once, now time.Time) error {
	if !errors.Is(err, errText) {
		return err
	}
	return s.refuse(ctx, identity.ErrNotFound, once, now)
}

// refuse spends what a refused operation carried and says why.
func (s *Store) refuse(ctx context.Context, why error, once []oauth.Once, now time.Time) error {
	if err := spend(ctx, s.db, once, now); err != nil {
		return err
	}
	return why
}

// A question is a hot statement in the parts that spending is put between.
type question struct {
	with    string // data-modifying parts that come first; $FRESH is where they must stop when something was used before
	columns string
	from    string
	plain   string // the statement when nothing is spent
}

// newQuestion puts the statement together, once: the texts are long.
func newQuestion(with, columns, from string) question {
	plain := "SELECT " + columns + from
	if with != "" {
		plain = "WITH " + strings.ReplaceAll(with, "$FRESH", "TRUE") + " " + plain
	}
	return question{with, columns, from, plain}
}

// ask runs the question on PostgreSQL: what is spent is recorded by the same
// statement, and the rest of it stands on that. The answer has two columns more.
func (h pgHot) ask(ctx context.Context, once []oauth.Once, now time.Time, q question, args ...any) row {
	if len(once) == 0 {
		return h.db.queryRow(ctx, q.plain, args...)
	}
	insert, more, err := spending(once, now, len(args)+1)
	if err != nil {
		return failedRow(err)
	}
	text := fmt.Sprintf(`WITH spent AS (%s RETURNING 1), fresh AS (SELECT count(*) = %d AS ok FROM spent)`, insert, len(once))
	if q.with != "" {
		text += ", " + strings.ReplaceAll(q.with, "$FRESH", "(SELECT ok FROM fresh)")
	}
	// Materialized, so that it is planned as it is without all this: folded into the outer
	// join it was once planned to walk through every citizen.
	text += `, a AS MATERIALIZED (SELECT TRUE AS found, ` + q.columns + q.from + `) SELECT fresh.ok, a.* FROM fresh LEFT JOIN a ON fresh.ok`
	args = append(slices.Clone(args), more...)
	return rowFunc(func(dest ...any) error {
		var fresh bool
		var found *bool
		err := h.db.query(ctx, func(r row) error {
			// The columns of no answer are NULL and not to be read: they are skipped at first.
			if err := r.Scan(append([]any{&fresh, &found}, make([]any, len(dest))...)...); err != nil || found == nil {
				return err
			}
			return r.Scan(append([]any{nil, nil}, dest...)...)
		}, text, args...)
		switch {
		case err != nil:
			return err
		case !fresh:
			return identity.ErrReplayed
		case found == nil:
			return errNoRows
		}
		return nil
	})
}

// write runs the statement on PostgreSQL, as the part of a question that changes.
func (h pgHot) write(ctx context.Context, once []oauth.Once, now time.Time, statement string, args ...any) row {
	return h.ask(ctx, once, now, newQuestion("w AS ("+statement+")", "w.*", " FROM w"), args...)
}

// write runs the statement on SQLite, after what is spent.
func (h liteHot) write(ctx context.Context, once []oauth.Once, now time.Time, statement string, args ...any) row {
	return rowFunc(func(dest ...any) error {
		return h.spending(ctx, once, now, func(ctx context.Context, tx db) error {
			return tx.queryRow(ctx, strings.ReplaceAll(statement, "$FRESH", "TRUE"), args...).Scan(dest...)
		})
	})
}

// ask runs the question, which only reads, on SQLite; spending makes it a write.
func (h liteHot) ask(ctx context.Context, once []oauth.Once, now time.Time, q question, args ...any) row {
	if len(once) == 0 {
		return h.db.queryRow(ctx, q.plain, args...)
	}
	return rowFunc(func(dest ...any) error {
		return h.spending(ctx, once, now, func(ctx context.Context, tx db) error {
			return tx.queryRow(ctx, q.plain, args...).Scan(dest...)
		})
	})
}

// spending runs fn as a transaction that spends first. When fn answers with one of the
// words the rooms know, or finds nothing, it must not have changed anything: that is
// an outcome, and what was spent stays spent. Any other error undoes it all.
func (h liteHot) spending(ctx context.Context, once []oauth.Once, now time.Time, fn func(context.Context, db) error) error {
	if len(once) == 0 {
		return h.db.tx(ctx, fn)
	}
	var outcome error
	err := h.db.tx(ctx, func(ctx context.Context, tx db) error {
		outcome = nil
		if err := spend(ctx, tx, once, now); err != nil {
			return err
		}
		err := fn(ctx, tx)
		if errors.Is(err, errNoRows) || answers(err) {
			outcome = err
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return outcome
}
