package storage

import (
	"bytes"
	"context"
	"errors"
	"time"

	"ecardid/identity"
	"ecardid/liveness"
)

// Liveness returns the store as the liveness room sees it.
func (s *Store) Liveness() liveness.Sessions { return livenessSessions{s} }

// livenessSessions is a type of its own because its method names are the liveness
// room's and would say nothing on the Store.
type livenessSessions struct{ s *Store }

// Begin counts and inserts under the lock of the citizen's row, so that n parallel
// beginnings see each other.
func (l livenessSessions) Begin(ctx context.Context, n liveness.Session, lim liveness.Limits) error {
	return wrapLiveness(l.s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if _, err := l.s.hold(ctx, tx, n.Citizen); err != nil {
			return err
		}
		var inTxn, recent, day int
		// A session that is still pending has reserved what a whole one may use.
		if err := tx.queryRow(ctx, `SELECT
 (SELECT count(*) FROM liveness_sessions WHERE txn_hash = $1),
 (SELECT CAST(coalesce(sum(CASE WHEN state = 'pending' THEN $2 ELSE tries END), 0) AS bigint) FROM liveness_sessions WHERE citizen_id = $3 AND begun_at > $4),
 (SELECT CAST(coalesce(sum(CASE WHEN state = 'pending' THEN $2 ELSE tries END), 0) AS bigint) FROM liveness_sessions WHERE citizen_id = $3 AND begun_at > $5)`,
			n.TxnHash, int64(lim.PerSession), bin(n.Citizen), ms(n.Begun.Add(-lim.TriesWithin)), ms(n.Begun.Add(-24*time.Hour))).
			Scan(&inTxn, &recent, &day); err != nil {
			return err
		}
		switch {
		case inTxn >= lim.PerTransaction:
			return liveness.ErrTransactionLimit
		case recent+lim.PerSession > lim.Tries || day+lim.PerSession > lim.PerDay:
			return liveness.ErrCitizenLimit
		}
		_, err := tx.exec(ctx, `INSERT INTO liveness_sessions (id, provider, txn_hash, citizen_id, device_id, purpose, state, begun_at, ends_at)
 VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8)`,
			bin(n.ID), n.Provider, n.TxnHash, bin(n.Citizen), bin(n.Device), string(n.Purpose), ms(n.Begun), ms(n.Ends))
		return err
	}), "beginning a liveness session")
}

func (l livenessSessions) Attach(ctx context.Context, id identity.ID, name string) error {
	ok, err := changed(ctx, l.s.db, `UPDATE liveness_sessions SET provider_session = $1
 WHERE id = $2 AND state = 'pending' AND provider_session IS NULL
   AND NOT EXISTS (SELECT 1 FROM liveness_sessions o WHERE o.provider = liveness_sessions.provider AND o.provider_session = $1)`, name, bin(id))
	if isConflict(err) || err == nil && !ok {
		return identity.ErrConflict
	}
	return wrapLiveness(err, "attaching a liveness session")
}

func (l livenessSessions) Note(ctx context.Context, provider, name string, n liveness.Notice) error {
	ok, err := changed(ctx, l.s.db, `UPDATE liveness_sessions SET notice_jti = coalesce(notice_jti, $1), notice_digest = coalesce(notice_digest, $2),
   contradicted = contradicted OR (notice_digest IS NOT NULL AND notice_digest <> $2)
 WHERE provider = $3 AND provider_session = $4 AND state = 'pending'`, n.JTI, n.Digest, provider, name)
	if err == nil && !ok {
		return identity.ErrNotFound
	}
	return wrapLiveness(err, "noting a liveness result")
}

// standing: the citizen may sign in and the device, when there is one, is active.
const standing = ` EXISTS (SELECT 1 FROM citizens c WHERE c.id = v.citizen_id AND c.state = 'normal')
 AND (v.device_id IS NULL OR EXISTS (SELECT 1 FROM devices d WHERE d.id = v.device_id AND d.state = 'active')) `

func (l livenessSessions) Get(ctx context.Context, id identity.ID) (liveness.Session, error) {
	s, err := l.get(ctx, l.s.db, id, "")
	return s, notFound(err, "reading a liveness session")
}

func (l livenessSessions) get(ctx context.Context, d db, id identity.ID, lock string) (liveness.Session, error) {
	var v liveness.Session
	var name *string
	var jti, digest []byte
	var begun, ends int64
	err := d.queryRow(ctx, `SELECT v.id, v.provider, v.provider_session, v.txn_hash, v.citizen_id, v.device_id, v.purpose, v.state,
  v.notice_jti, v.notice_digest, v.contradicted, v.begun_at, v.ends_at, `+standing+` FROM liveness_sessions v WHERE v.id = $1 `+lock, bin(id)).
		Scan(&v.ID, &v.Provider, &name, &v.TxnHash, &v.Citizen, &v.Device, &v.Purpose, &v.State, &jti, &digest, &v.Contradicted, &begun, &ends, &v.Standing)
	if err != nil {
		return liveness.Session{}, err
	}
	if name != nil {
		v.ProviderSession = *name
	}
	if digest != nil {
		v.Notice = &liveness.Notice{JTI: jti, Digest: digest}
	}
	v.Begun, v.Ends = at(begun), at(ends)
	return v, nil
}

func (l livenessSessions) Settle(ctx context.Context, id identity.ID, how liveness.Settlement) error {
	var answer error
	// Whose session it is never changes; their row is held first, as everywhere,
	// so that standing is what it is when this is committed.
	before, err := l.Get(ctx, id)
	if err != nil {
		return err
	}
	err = l.s.db.tx(ctx, func(ctx context.Context, tx db) error {
		answer = nil
		if _, err := l.s.hold(ctx, tx, before.Citizen); err != nil {
			return err
		}
		lock := ""
		if l.s.dialect == postgres {
			lock = `FOR UPDATE OF v`
		}
		v, err := l.get(ctx, tx, id, lock)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		if v.State != liveness.StatePending {
			return identity.ErrSpent
		}
		if how.JTI != nil {
			var n int
			if err := tx.queryRow(ctx, `SELECT count(*) FROM liveness_sessions WHERE jti = $1`, how.JTI).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return liveness.ErrReplayed
			}
		}
		end := how
		if how.State == liveness.StatePassed {
			switch {
			case !v.Standing:
				end.State, end.Reason, answer = liveness.StateFailed, liveness.ReasonStanding, liveness.ErrStanding
			case v.Contradicted || v.Notice != nil && !bytes.Equal(v.Notice.Digest, how.Digest):
				end.State, end.Reason, answer = liveness.StateFailed, liveness.ReasonDisagree, liveness.ErrContradicted
			}
		}
		ok, err := changed(ctx, tx, `UPDATE liveness_sessions SET state = $1, reason = $2, band = $3, jti = $4, digest = $5, tries = $6, captured_at = $7, settled_at = $8
 WHERE id = $9 AND state = 'pending'`, string(end.State), string(end.Reason), string(end.Band), nilBytes(end.JTI), nilBytes(end.Digest), end.Tries,
			msOrNull(end.Captured), ms(end.At), bin(id))
		if err == nil && !ok {
			return identity.ErrSpent
		}
		return err
	})
	if isConflict(err) {
		// Two sessions settled with one result in the same moment.
		return liveness.ErrReplayed
	}
	if err != nil {
		return wrapLiveness(err, "settling a liveness session")
	}
	return answer
}

func wrapLiveness(err error, doing string) error {
	for _, e := range []error{liveness.ErrTransactionLimit, liveness.ErrCitizenLimit, liveness.ErrReplayed} {
		if errors.Is(err, e) {
			return e
		}
	}
	return wrap(err, doing)
}
