package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// This file puts signals on streams, in the transactions of the acts.

const (
	// maxSignals wait on one stream. A receiver so far behind is not listening, and what
	// comes on top is not kept: the stream says so, at most once in lossMarked, because
	// whoever is told anything would wait for the one row.
	maxSignals = 10_000
	lossMarked = time.Hour
)

// listening is the condition under which a stream of client k hears of anybody: one that is
// tested is served for a few, and has no token of its own to listen with.
const listening = ` k.state = 'live' `

// listener is a stream that is to be told something.
type listener struct {
	stream    identity.ID
	session   identity.ID // of the grant; zero where that was not asked for
	delivered string
}

func (l listener) hears(kind string) bool {
	var types []string
	return json.Unmarshal([]byte(l.delivered), &types) == nil && slices.Contains(types, kind)
}

// signal puts on the streams what receivers are told of an act. It runs in the act's
// transaction, called by record, so that whoever adds an act to the trail need not think
// of it.
func signal(ctx context.Context, tx db, e audit.Event) error {
	if e.Citizen.IsZero() || !oauth.Signals(e.Kind) {
		return nil
	}
	// Grants are swept a day after their end: until then the client may still hold on to
	// what it learned of the citizen, unless the citizen has told it not to.
	all, err := list(ctx, tx, func(r row) (l listener, err error) {
		err = r.Scan(&l.stream, &l.delivered)
		return l, err
	}, `SELECT s.id, s.delivered FROM streams s JOIN clients k ON k.id = s.client_id
 WHERE `+listening+` AND s.status <> 'disabled' AND EXISTS (SELECT 1 FROM grants g
   WHERE g.citizen_id = $1 AND g.client_id = s.client_id AND g.client_epoch = k.epoch AND NOT g.withdrawn AND `+redeemed+`) ORDER BY s.id`, bin(e.Citizen))
	if err != nil || len(all) == 0 {
		return err
	}
	var kind identity.DeviceKind
	var state identity.DeviceState
	if !e.Device.IsZero() {
		err := tx.queryRow(ctx, `SELECT kind, state FROM devices WHERE id = $1`, bin(e.Device)).Scan(&kind, &state)
		if err != nil && !errors.Is(err, errNoRows) {
			return err
		}
	}
	for _, told := range oauth.SignalsOf(e, kind, state) {
		told.Citizen = e.Citizen
		for _, l := range all {
			if err := tell(ctx, tx, l, told); err != nil {
				return err
			}
		}
	}
	return nil
}

// signalEnds does so for logins that end: those that farewell selects, under the same
// conditions. Of one login its session is told, of several that all have ended.
func signalEnds(ctx context.Context, tx db, citizen identity.ID, now time.Time, which string, login identity.ID) error {
	all, err := list(ctx, tx, func(r row) (l listener, err error) {
		err = r.Scan(&l.stream, &l.delivered, &l.session)
		return l, err
	}, `SELECT DISTINCT s.id, s.delivered, coalesce(g.session, g.login_id) FROM grants g
 JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id JOIN clients k ON k.id = g.client_id JOIN streams s ON s.client_id = g.client_id
 WHERE g.citizen_id = $1 AND s.status <> 'disabled' AND `+listening+` AND `+ending+` AND `+which+` ORDER BY s.id`, bin(citizen), ms(now), login[:])
	if err != nil {
		return err
	}
	told := oauth.SessionRevoked(now)
	told.Citizen = citizen
	if which != thisLogin {
		for i := range all {
			all[i].session = identity.ID{}
		}
		all = slices.Compact(all)
	}
	for _, l := range all {
		told.Session = l.session
		if err := tell(ctx, tx, l, told); err != nil {
			return err
		}
	}
	return nil
}

// signalWithdrawal has a client hear that its sessions end, or have ended, and nothing else
// of what waited for it about a citizen who withdraws consent (SECURITY CN2). It is called
// while the grants are what they are.
func signalWithdrawal(ctx context.Context, tx db, citizen identity.ID, clientID string, now time.Time) error {
	told := oauth.SessionRevoked(now)
	told.Citizen = citizen
	if _, err := tx.exec(ctx, `DELETE FROM signals WHERE citizen_id = $1 AND type <> $2 AND stream_id IN (SELECT s.id FROM streams s WHERE s.client_id = $3)`,
		bin(citizen), told.Type, clientID); err != nil {
		return err
	}
	all, err := list(ctx, tx, func(r row) (l listener, err error) {
		err = r.Scan(&l.stream, &l.delivered)
		return l, err
	}, `SELECT s.id, s.delivered FROM streams s JOIN clients k ON k.id = s.client_id
 WHERE s.client_id = $3 AND `+listening+` AND s.status <> 'disabled' AND EXISTS (SELECT 1 FROM grants g
   JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id
   WHERE g.citizen_id = $1 AND g.client_id = s.client_id AND `+ending+`)`, bin(citizen), ms(now), clientID)
	if err != nil {
		return err
	}
	for _, l := range all {
		if err := tell(ctx, tx, l, told); err != nil {
			return err
		}
	}
	return nil
}

// tell puts one signal on one stream, if it is one that the stream delivers.
func tell(ctx context.Context, tx db, l listener, told oauth.Signal) error {
	if !l.hears(told.Type) {
		return nil
	}
	return putSignal(ctx, tx, l.stream, told)
}

func putSignal(ctx context.Context, tx db, stream identity.ID, s oauth.Signal) error {
	kept, err := changed(ctx, tx, fmt.Sprintf(`INSERT INTO signals (id, stream_id, type, citizen_id, session, data, at)
 SELECT $1, s.id, $2, $3, $4, $5, $6 FROM streams s WHERE s.id = $7
   AND (SELECT count(*) FROM (SELECT 1 FROM signals x WHERE x.stream_id = $7 LIMIT %d) waiting) < %d`, maxSignals, maxSignals),
		bin(identity.NewID()), s.Type, bin(s.Citizen), bin(s.Session), string(s.Data), ms(s.At), bin(stream))
	if err != nil || kept {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE streams SET lost_at = $1 WHERE id = $2 AND (lost_at IS NULL OR lost_at <= $3)`, ms(s.At), bin(stream), ms(s.At.Add(-lossMarked)))
	return err
}
