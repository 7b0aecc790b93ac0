package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/identity"
)

// One search looks at this many entries at a time, and so many times: what is rare in a
// long trail takes several pages, and no page takes the database for itself.
const (
	watchWindow  = 20_000
	watchWindows = 5
)

const watchColumns = ` seq, at, kind, actor, citizen_id, login_id, device_id, coalesce(client_id, ''), reason, detail, place, coalesce(link, 0) `

func scanEntry(r row, more ...any) (console.Entry, error) {
	var e console.Entry
	var when int64
	var kind, actor, detail string
	dest := []any{&e.Seq, &when, &kind, &actor, &e.Citizen, &e.Login, &e.Device, &e.Client, &e.Reason, &detail, &e.Place, &e.Number}
	if err := r.Scan(append(dest, more...)...); err != nil {
		return console.Entry{}, err
	}
	e.At, e.Kind, e.Actor = at(when), audit.Kind(kind), audit.Actor(actor)
	// What somebody made of the row is shown as it is; verifying is another's work.
	if err := json.Unmarshal([]byte(detail), &e.Detail); err != nil {
		e.Detail = map[string]string{"detail": detail}
	}
	return e, nil
}

// SearchTrail implements console.Trail.
func (s *Store) SearchTrail(ctx context.Context, f console.Search, below int64, n int) ([]console.Entry, int64, error) {
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	var conditions []string
	begins := func(column, text string) {
		if text != "" {
			conditions = append(conditions, fmt.Sprintf("substr(%s, 1, %d) = %s", column, len(text), arg(text))) // ASCII
		}
	}
	begins("kind", f.Kind)
	begins("actor", f.Actor)
	// A citizen's entries are few, and all of a client's are found by an index.
	windowed := f.Citizen.IsZero() && (f.Client == "" || f.Kind != "" || f.Actor != "")
	if !f.Citizen.IsZero() {
		conditions = append(conditions, "citizen_id = "+arg(bin(f.Citizen)))
	}
	if f.Client != "" {
		conditions = append(conditions, "client_id = "+arg(f.Client))
	}
	if !f.Since.IsZero() {
		conditions = append(conditions, "at >= "+arg(ms(f.Since)))
	}
	if !f.Until.IsZero() {
		conditions = append(conditions, "at < "+arg(ms(f.Until)))
	}
	first, last, err := s.watched(ctx, f, below)
	if err != nil {
		return nil, 0, known(err, "searching the trail")
	}
	where := strings.Join(append([]string{"seq >= $LOW", "seq < $BELOW"}, conditions...), " AND ")
	var found []console.Entry
	for range watchWindows {
		low := first
		if windowed {
			low = max(first, last-watchWindow)
		}
		more := slices.Clone(args)
		more = append(more, low, last)
		text := strings.NewReplacer("$LOW", fmt.Sprintf("$%d", len(args)+1), "$BELOW", fmt.Sprintf("$%d", len(args)+2)).Replace(where)
		page, err := list(ctx, s.db, func(r row) (console.Entry, error) { return scanEntry(r) },
			fmt.Sprintf(`SELECT %s FROM audit WHERE %s ORDER BY seq DESC LIMIT %d`, watchColumns, text, n-len(found)), more...)
		if err != nil {
			return nil, 0, known(err, "searching the trail")
		}
		found = append(found, page...)
		if len(found) >= n {
			return found, found[len(found)-1].Seq, nil
		}
		if last = low; last <= first {
			return found, 0, nil
		}
	}
	return found, last, nil
}

// watched is the part of the trail there is to look at: from first on, below last. Entries
// are written a moment after the time they carry, and not in the order of it; a minute
// more is looked at on either side, and each entry's own time decides.
func (s *Store) watched(ctx context.Context, f console.Search, below int64) (first, last int64, err error) {
	if err := s.db.queryRow(ctx, `SELECT coalesce((SELECT min(seq) FROM audit), 0), coalesce((SELECT max(seq) FROM audit), 0) + 1`).Scan(&first, &last); err != nil {
		return 0, 0, err
	}
	const slack = time.Minute
	for _, bound := range []struct {
		at    time.Time
		text  string
		seq   *int64
		lower bool
	}{
		{f.Since, `SELECT coalesce(min(seq), -1) FROM (SELECT seq FROM audit WHERE at >= $1 ORDER BY at LIMIT 1000) s`, &first, true},
		{f.Until, `SELECT coalesce(max(seq), -1) + 1 FROM (SELECT seq FROM audit WHERE at < $1 ORDER BY at DESC LIMIT 1000) s`, &last, false},
	} {
		if bound.at.IsZero() {
			continue
		}
		edge := bound.at.Add(slack)
		if bound.lower {
			edge = bound.at.Add(-slack)
		}
		var seq int64
		if err := s.db.queryRow(ctx, bound.text, ms(edge)).Scan(&seq); err != nil {
			return 0, 0, err
		}
		switch {
		case bound.lower && seq < 0:
			return 0, 0, nil // nothing is as young as that
		case bound.lower:
			*bound.seq = max(*bound.seq, seq)
		default:
			*bound.seq = min(*bound.seq, seq)
		}
	}
	if below > 0 {
		last = min(last, below)
	}
	return first, max(first, last), nil
}

// ClientRefusals implements console.Trail. It looks at the client's last entries.
func (s *Store) ClientRefusals(ctx context.Context, clientID string, n int) ([]console.Moment, error) {
	all, err := list(ctx, s.db, func(r row) (console.Moment, error) {
		e, err := scanEntry(r)
		return e.Moment, err
	}, fmt.Sprintf(`SELECT %s FROM (SELECT * FROM audit WHERE client_id = $1 ORDER BY seq DESC LIMIT %d) last WHERE kind LIKE '%%.refuse' ORDER BY seq DESC LIMIT %d`,
		watchColumns, watchWindow, n), clientID)
	return all, wrap(err, "reading refusals")
}

// isAlarm is the condition of the index that alarms have.
const isAlarm = ` substr(a.kind, 1, 6) = 'alarm.' `

// within is the condition that an alarm is for staff of a unit, whose name is ASCII. next
// is the number of its parameter, which is among args when there is one.
func within(unit string, next int) (sql string, args []any) {
	if unit == "" {
		return "", nil
	}
	return fmt.Sprintf(` AND (a.citizen_id IS NULL OR EXISTS (SELECT 1 FROM citizens z WHERE z.id = a.citizen_id AND substr(z.region, 1, %d) = $%d)) `, len(unit), next), []any{unit}
}

func scanAlarm(r row) (console.Alarm, error) {
	var seen *int64
	var by, note *string
	var region string
	e, err := scanEntry(r, &seen, &by, &note, &region)
	if err != nil {
		return console.Alarm{}, err
	}
	a := console.Alarm{Moment: e.Moment, Citizen: e.Citizen, Region: region, Seen: fromMS(seen)}
	if by != nil {
		a.By = *by
	}
	if note != nil {
		a.Note = *note
	}
	return a, nil
}

const alarmFrom = `SELECT a.seq, a.at, a.kind, a.actor, a.citizen_id, a.login_id, a.device_id, coalesce(a.client_id, ''), a.reason, a.detail, a.place, coalesce(a.link, 0),
 s.at, t.name, s.note, coalesce((SELECT z.region FROM citizens z WHERE z.id = a.citizen_id), '') FROM audit a LEFT JOIN alarms_seen s ON s.seq = a.seq LEFT JOIN staff t ON t.id = s.staff_id WHERE` + isAlarm

// Alarms implements console.Trail.
func (s *Store) Alarms(ctx context.Context, unit string, below int64, n int) ([]console.Alarm, error) {
	theirs, more := within(unit, 2)
	all, err := list(ctx, s.db, scanAlarm, fmt.Sprintf(alarmFrom+`AND ($1 = 0 OR a.seq < $1)`+theirs+` ORDER BY a.seq DESC LIMIT %d`, n), append([]any{below}, more...)...)
	return all, wrap(err, "reading alarms")
}

// Alarm implements console.Trail.
func (s *Store) Alarm(ctx context.Context, seq int64) (console.Alarm, error) {
	a, err := scanAlarm(s.db.queryRow(ctx, alarmFrom+`AND a.seq = $1`, seq))
	return a, notFound(err, "reading an alarm")
}

// AlarmCounts implements console.Trail.
func (s *Store) AlarmCounts(ctx context.Context, unit string, since time.Time) ([]console.AlarmCount, error) {
	theirs, more := within(unit, 2)
	const day = 24 * 60 * 60 * 1000
	all, err := list(ctx, s.db, func(r row) (console.AlarmCount, error) {
		var c console.AlarmCount
		var number int64
		var kind string
		err := r.Scan(&number, &kind, &c.Count)
		c.Day, c.Rule = at(number*day-8*60*60*1000), strings.TrimPrefix(kind, "alarm.")
		return c, err
	}, fmt.Sprintf(`SELECT (a.at + 8 * 3600000) / %d AS day, a.kind, count(*) FROM audit a WHERE`+isAlarm+`AND a.at >= $1`+theirs+` GROUP BY 1, 2 ORDER BY 1 DESC, 2`, day), append([]any{ms(since)}, more...)...)
	return all, wrap(err, "counting alarms")
}

// UnseenAlarms implements console.Trail.
func (s *Store) UnseenAlarms(ctx context.Context, unit string, since time.Time) (n int, err error) {
	theirs, more := within(unit, 2)
	err = s.db.queryRow(ctx, `SELECT count(*) FROM audit a WHERE`+isAlarm+`AND a.at >= $1 AND NOT EXISTS (SELECT 1 FROM alarms_seen s WHERE s.seq = a.seq)`+theirs, append([]any{ms(since)}, more...)...).Scan(&n)
	return n, wrap(err, "counting alarms")
}

// SeeAlarm implements console.Trail. Of two who see to it at once the first has.
func (s *Store) SeeAlarm(ctx context.Context, seq int64, staff identity.ID, note string, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		var one int
		err := tx.queryRow(ctx, `SELECT 1 FROM audit a WHERE a.seq = $1 AND`+isAlarm, seq).Scan(&one)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO alarms_seen (seq, staff_id, note, at) VALUES ($1, $2, $3, $4) ON CONFLICT (seq) DO NOTHING`,
			seq, bin(staff), printable(note, maxReason), ms(e.At)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "seeing to an alarm")
}
