package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// MoveClient implements oauth.Clients. The version row is taken first, as by all who
// change clients, so what the transition is applied to stays what it is.
func (s *Store) MoveClient(ctx context.Context, id string, t oauth.Transition, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := raise(ctx, tx, clientsVersion); err != nil {
			return err
		}
		before, err := scanClient(tx.queryRow(ctx, `SELECT `+clientColumns+` FROM clients WHERE id = $1`, id))
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		c, err := t.Apply(before, e.At)
		if err != nil {
			return err
		}
		args, err := clientArgs(c, e.At)
		if err != nil {
			return err
		}
		epoch := before.Epoch
		if severs(before, c, e.At) {
			epoch++
			if _, err := tx.exec(ctx, `DELETE FROM requests WHERE client_id = $1`, id); err != nil {
				return err
			}
		}
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE clients SET state = $1, metadata = $2, epoch = $3, updated_at = $4 WHERE id = $5 AND state = $6 AND epoch = $7`,
			string(c.State), args[2], epoch, ms(e.At), id, string(before.State), before.Epoch); err != nil {
			return err
		}
		if err := silence(ctx, tx, id); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "moving a client")
}

// severs reports whether what a client held before a transition is dead after it: all of
// it but what a live client holds that stays one, and a tested one with the same testers.
// What a client held whose admission ran out was dead and stays it (SECURITY G6).
func severs(before, c oauth.Client, now time.Time) bool {
	if before.State != c.State || before.Admission.Lapsed(now) {
		return true
	}
	return c.State != oauth.ClientLive && !slices.Equal(testers(before), testers(c))
}

func testers(c oauth.Client) []identity.ID {
	if c.Admission == nil {
		return nil
	}
	return c.Admission.Testers
}
