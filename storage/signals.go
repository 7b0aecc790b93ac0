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
	"ecardid/identity"
	"ecardid/internal/seal"
	"ecardid/oauth"
)

const (
	// signalLife is how long a signal waits for its receiver. Who has not listened for a
	// week has to ask anew how its citizens stand.
	signalLife = 7 * 24 * time.Hour

	maxLeftOut     = 10_000 // citizens that one stream hears nothing of
	maxDescription = 500    // characters
)

const streamColumns = ` id, client_id, method, endpoint, credential, requested, delivered, description, status, status_reason, created_at `

func (s *Store) scanStream(r row, more ...any) (oauth.Stream, error) {
	var st oauth.Stream
	var credential []byte
	var requested, delivered string
	var created int64
	dest := []any{&st.ID, &st.ClientID, &st.Method, &st.Endpoint, &credential, &requested, &delivered, &st.Description, &st.Status, &st.StatusReason, &created}
	if err := r.Scan(append(dest, more...)...); err != nil {
		return oauth.Stream{}, err
	}
	err := errors.Join(json.Unmarshal([]byte(requested), &st.Requested), json.Unmarshal([]byte(delivered), &st.Delivered))
	if err != nil {
		return oauth.Stream{}, fmt.Errorf("stream %v: %w", st.ID, err)
	}
	plain, err := s.unsealed(seal.PII, "streams", "credential", st.ID[:], credential)
	if err != nil {
		return oauth.Stream{}, fmt.Errorf("stream %v: credential: %w", st.ID, err)
	}
	st.Authorization, st.Created = string(plain), at(created)
	return st, nil
}

// streamArgs are id, client, and what ChangeStream may change, in the order of streamColumns.
func (s *Store) streamArgs(st oauth.Stream) ([]any, error) {
	var plain []byte
	if st.Authorization != "" {
		plain = []byte(st.Authorization)
	}
	credential, err := s.sealed(seal.PII, "streams", "credential", st.ID[:], plain)
	if err != nil {
		return nil, err
	}
	return []any{bin(st.ID), st.ClientID, st.Method, st.Endpoint, credential, jsonText(slices.Concat([]string{}, st.Requested)), jsonText(slices.Concat([]string{}, st.Delivered)),
		printable(st.Description, maxDescription), st.Status, printable(st.StatusReason, maxDescription)}, nil
}

// CreateStream implements oauth.Streams.
func (s *Store) CreateStream(ctx context.Context, st oauth.Stream, e audit.Event) error {
	args, err := s.streamArgs(st)
	if err != nil {
		return known(err, "sealing a stream's credential")
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		var one int
		err := tx.queryRow(ctx, `SELECT 1 FROM clients k WHERE k.id = $1 AND `+listening, st.ClientID).Scan(&one)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrConflict, `INSERT INTO streams (id, client_id, method, endpoint, credential, requested, delivered, description, status, status_reason, created_at, due_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT DO NOTHING`, append(args, ms(st.Created))...); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "creating a stream")
}

// StreamOf implements oauth.Streams.
func (s *Store) StreamOf(ctx context.Context, clientID string) (oauth.Stream, error) {
	st, err := s.scanStream(s.db.queryRow(ctx, `SELECT `+streamColumns+` FROM streams WHERE client_id = $1`, clientID))
	return st, notFound(err, "reading a stream")
}

// ChangeStream implements oauth.Streams.
func (s *Store) ChangeStream(ctx context.Context, clientID string, id identity.ID, change func(oauth.Stream) (oauth.Stream, error), e audit.Event) (oauth.Stream, error) {
	var after oauth.Stream
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		before, err := s.scanStream(tx.queryRow(ctx, `SELECT `+streamColumns+` FROM streams WHERE id = $1 AND client_id = $2`+s.forUpdate(), bin(id), clientID))
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if after, err = change(before); err != nil {
			return err
		}
		after.ID, after.ClientID, after.Created = before.ID, before.ClientID, before.Created
		args, err := s.streamArgs(after)
		if err != nil {
			return err
		}
		// Whoever has corrected where signals go is not kept waiting for the next try.
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE streams SET method = $3, endpoint = $4, credential = $5, requested = $6, delivered = $7, description = $8,
   status = $9, status_reason = $10, due_at = CASE WHEN failures > 0 THEN $11 ELSE due_at END, failures = 0 WHERE id = $1 AND client_id = $2`,
			append(args, ms(e.At))...); err != nil {
			return err
		}
		if after.Status == oauth.StreamDisabled {
			if _, err := tx.exec(ctx, `DELETE FROM signals WHERE stream_id = $1`, bin(id)); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return oauth.Stream{}, wrap(err, "changing a stream")
	}
	return after, nil
}

// forUpdate locks what a SELECT finds. The one writer of SQLite needs no telling.
func (s *Store) forUpdate() string {
	if s.dialect == sqlite {
		return ``
	}
	return ` FOR UPDATE`
}

// DeleteStream implements oauth.Streams.
func (s *Store) DeleteStream(ctx context.Context, clientID string, id identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `DELETE FROM streams WHERE id = $1 AND client_id = $2`, bin(id), clientID); err != nil {
			return err
		}
		for _, table := range []string{"signals", "stream_exceptions"} {
			if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE stream_id = $1`, bin(id)); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	}), "deleting a stream")
}

// silence takes what waits for a client that is not served any more, and the stream as well
// when it is gone for good. What it asked for at the console as a program is withdrawn.
func silence(ctx context.Context, tx db, clientID string) error {
	const theirs = ` WHERE stream_id IN (SELECT s.id FROM streams s JOIN clients k ON k.id = s.client_id WHERE k.id = $1 AND NOT (` + listening + `))`
	for _, sql := range []string{
		`DELETE FROM signals` + theirs,
		`DELETE FROM stream_exceptions` + theirs + ` AND EXISTS (SELECT 1 FROM clients k WHERE k.id = $1 AND k.state = 'withdrawn')`,
		`DELETE FROM streams WHERE client_id = $1 AND EXISTS (SELECT 1 FROM clients k WHERE k.id = $1 AND k.state = 'withdrawn')`,
		`UPDATE staff_requests SET state = 'withdrawn', ended_at = (SELECT k.updated_at FROM clients k WHERE k.id = $1)
 WHERE client_id = $1 AND state IN ('open', 'approved') AND EXISTS (SELECT 1 FROM clients k WHERE k.id = $1 AND NOT (` + served + `))`,
	} {
		if _, err := tx.exec(ctx, sql, clientID); err != nil {
			return err
		}
	}
	return nil
}

// ofClient finds a stream by its id and its owner, and holds it.
func (s *Store) ofClient(ctx context.Context, tx db, clientID string, id identity.ID) (status string, err error) {
	err = tx.queryRow(ctx, `SELECT s.status FROM streams s WHERE s.id = $1 AND s.client_id = $2`+s.forUpdate(), bin(id), clientID).Scan(&status)
	if errors.Is(err, errNoRows) {
		return "", identity.ErrNotFound
	}
	return status, err
}

// VerifyStream implements oauth.Streams.
func (s *Store) VerifyStream(ctx context.Context, clientID string, id identity.ID, v oauth.Signal, gap time.Duration) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		status, err := s.ofClient(ctx, tx, clientID, id)
		if err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE streams SET verified_at = $1 WHERE id = $2 AND (verified_at IS NULL OR verified_at <= $3)`,
			ms(v.At), bin(id), ms(v.At.Add(-gap))); err != nil {
			return err
		}
		if status == oauth.StreamDisabled {
			return nil
		}
		v.Citizen, v.Session = identity.ID{}, identity.ID{}
		return putSignal(ctx, tx, id, v)
	}), "verifying a stream")
}

func scanSignal(r row) (oauth.Signal, error) {
	var s oauth.Signal
	var data string
	var when int64
	if err := r.Scan(&s.ID, &s.Type, &s.Citizen, &s.Session, &data, &when, &s.Tries); err != nil {
		return oauth.Signal{}, err
	}
	s.Data, s.At = json.RawMessage(data), at(when)
	return s, nil
}

// pendingSignals are the first n signals of a stream that are not too old.
func pendingSignals(ctx context.Context, d db, stream identity.ID, now time.Time, n int) ([]oauth.Signal, error) {
	return list(ctx, d, scanSignal, fmt.Sprintf(`SELECT id, type, citizen_id, session, data, at, tries FROM signals WHERE stream_id = $1 AND at > $2 ORDER BY seq LIMIT %d`, n),
		bin(stream), ms(now.Add(-signalLife)))
}

// PollStream implements oauth.Streams.
func (s *Store) PollStream(ctx context.Context, clientID string, id identity.ID, acks []identity.ID, n int, now time.Time) (signals []oauth.Signal, more bool, err error) {
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		signals, more = nil, false
		status, err := s.ofClient(ctx, tx, clientID, id)
		if err != nil {
			return err
		}
		taken := int64(0)
		for batch := range slices.Chunk(acks, sweepBatch) {
			args, in := []any{bin(id)}, make([]string, len(batch))
			for i, ack := range batch {
				args = append(args, bin(ack))
				in[i] = fmt.Sprintf("$%d", len(args))
			}
			gone, err := tx.exec(ctx, `DELETE FROM signals WHERE stream_id = $1 AND id IN (`+strings.Join(in, ", ")+`)`, args...)
			if err != nil {
				return err
			}
			taken += gone
		}
		if taken > 0 {
			if _, err := tx.exec(ctx, `UPDATE streams SET delivered_at = $1 WHERE id = $2`, ms(now), bin(id)); err != nil {
				return err
			}
		}
		if status != oauth.StreamEnabled {
			return nil
		}
		if signals, err = pendingSignals(ctx, tx, id, now, n+1); err != nil {
			return err
		}
		if more = len(signals) > n; more {
			signals = signals[:n]
		}
		return nil
	})
	if err != nil {
		return nil, false, wrap(err, "polling a stream")
	}
	return signals, more, nil
}

// LeavePerson implements oauth.Streams.
func (s *Store) LeavePerson(ctx context.Context, clientID string, id identity.ID, sub []byte) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := s.ofClient(ctx, tx, clientID, id); err != nil {
			return err
		}
		var left int
		if err := tx.queryRow(ctx, `SELECT count(*) FROM stream_exceptions WHERE stream_id = $1 AND sub <> $2`, bin(id), sub).Scan(&left); err != nil {
			return err
		}
		if left >= maxLeftOut {
			return identity.ErrConflict
		}
		_, err := tx.exec(ctx, `INSERT INTO stream_exceptions (stream_id, sub) VALUES ($1, $2) ON CONFLICT DO NOTHING`, bin(id), sub)
		return err
	}), "leaving somebody out of a stream")
}

// JoinPerson implements oauth.Streams.
func (s *Store) JoinPerson(ctx context.Context, clientID string, id identity.ID, sub []byte) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := s.ofClient(ctx, tx, clientID, id); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `DELETE FROM stream_exceptions WHERE stream_id = $1 AND sub = $2`, bin(id), sub)
		return err
	}), "taking somebody into a stream")
}

// LeftOut implements oauth.Streams.
func (s *Store) LeftOut(ctx context.Context, id identity.ID, subs [][]byte) (map[string]bool, error) {
	out := map[string]bool{}
	for batch := range slices.Chunk(subs, sweepBatch) {
		args, in := []any{bin(id)}, make([]string, len(batch))
		for i, sub := range batch {
			args = append(args, sub)
			in[i] = fmt.Sprintf("$%d", len(args))
		}
		err := s.db.query(ctx, func(r row) error {
			var sub []byte
			err := r.Scan(&sub)
			out[string(sub)] = true
			return err
		}, `SELECT sub FROM stream_exceptions WHERE stream_id = $1 AND sub IN (`+strings.Join(in, ", ")+`)`, args...)
		if err != nil {
			return nil, wrap(err, "looking who is left out of a stream")
		}
	}
	return out, nil
}

// TakePushes implements oauth.Streams. A stream is leased and not a signal: whoever has
// it is the only one to carry anything there, so that the order is kept.
func (s *Store) TakePushes(ctx context.Context, now time.Time, lease time.Duration, n, each int) ([]oauth.Push, error) {
	if n <= 0 || each <= 0 {
		return nil, nil
	}
	skip := `FOR UPDATE OF s SKIP LOCKED` // not those another replica is at
	if s.dialect == sqlite {
		skip = ``
	}
	until := now.Add(lease).Truncate(time.Millisecond)
	taken, err := list(ctx, s.db, func(r row) (p oauth.Push, err error) {
		p.Stream, err = s.scanStream(r, &p.Failures)
		p.Until = until
		return p, err
	}, fmt.Sprintf(`WITH due (due_id) AS MATERIALIZED (SELECT s.id FROM streams s WHERE s.due_at <= $1 AND s.method = $3 AND s.status = 'enabled'
   AND EXISTS (SELECT 1 FROM signals x WHERE x.stream_id = s.id AND x.at > $4) AND EXISTS (SELECT 1 FROM clients k WHERE k.id = s.client_id AND %s)
   ORDER BY s.due_at LIMIT %d %s)
 UPDATE streams SET due_at = $2 FROM due WHERE id = due_id RETURNING `+streamColumns+`, failures`, listening, n, skip),
		ms(now), ms(until), oauth.DeliveryPush, ms(now.Add(-signalLife)))
	if err != nil {
		return nil, wrap(err, "taking pushes")
	}
	for i := range taken {
		if taken[i].Signals, err = pendingSignals(ctx, s.db, taken[i].ID, now, each); err != nil {
			return nil, wrap(err, "reading what is to be pushed")
		}
	}
	return taken, nil
}

// Pushed implements oauth.Streams.
func (s *Store) Pushed(ctx context.Context, stream, id identity.ID, now time.Time) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := tx.exec(ctx, `DELETE FROM signals WHERE id = $1 AND stream_id = $2`, bin(id), bin(stream)); err != nil {
			return err
		}
		if now.IsZero() {
			return nil
		}
		_, err := tx.exec(ctx, `UPDATE streams SET delivered_at = $1 WHERE id = $2`, ms(now), bin(stream))
		return err
	}), "settling a push")
}

// Rest implements oauth.Streams.
func (s *Store) Rest(ctx context.Context, p oauth.Push, next time.Time, id identity.ID, problem string) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		ok, err := changed(ctx, tx, `UPDATE streams SET due_at = $1, problem = $2, failures = CASE WHEN $2 = '' THEN 0 ELSE failures + 1 END WHERE id = $3 AND due_at = $4`,
			ms(next), problem, bin(p.ID), ms(p.Until))
		if err != nil || !ok || id.IsZero() {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE signals SET tries = tries + 1 WHERE id = $1`, bin(id))
		return err
	}), "ending a stream's turn")
}

// SignalLag implements oauth.Streams.
func (s *Store) SignalLag(ctx context.Context) ([]oauth.StreamLag, error) {
	all, err := list(ctx, s.db, func(r row) (oauth.StreamLag, error) {
		var l oauth.StreamLag
		var oldest, delivered, lost *int64
		err := r.Scan(&l.ClientID, &l.Stream, &l.Method, &l.Status, &l.Pending, &oldest, &delivered, &l.Failures, &l.Error, &lost)
		l.Oldest, l.Delivered, l.Lost = fromMS(oldest), fromMS(delivered), fromMS(lost)
		return l, err
	}, `SELECT s.client_id, s.id, s.method, s.status, count(x.id), min(x.at), s.delivered_at, s.failures, s.problem, s.lost_at
 FROM streams s LEFT JOIN signals x ON x.stream_id = s.id GROUP BY s.id ORDER BY s.client_id`)
	return all, wrap(err, "reading the lag of streams")
}

var _ oauth.Streams = (*Store)(nil)
