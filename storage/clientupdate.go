package storage

import (
	"context"
	"errors"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// UpdateClient implements oauth.Registrations. The condition of the update decides:
// what was suspended, withdrawn or handed to another registration since the client was
// read is not touched.
//
// Who makes itself over keeps nothing of what was given to it as it was: its epoch rises
// as with a suspension, and then the requests go and after them the consents. A consent
// that is being given in this moment was asked for by a request: it is either refused
// for want of it, or found when it is committed.
func (s *Store) UpdateClient(ctx context.Context, c oauth.Client, e audit.Event) error {
	args, err := clientArgs(c, e.At)
	if err != nil {
		return err
	}
	metadata, secrets, backchannel := args[2], args[3], args[6]
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		// The version row first: of two that change a client at once, the second sees the first.
		if err := raise(ctx, tx, clientsVersion); err != nil {
			return err
		}
		before, err := clientBefore(ctx, tx, c.ID)
		if errors.Is(err, errNoRows) {
			return identity.ErrNotFound
		}
		if err != nil {
			return err
		}
		epoch, over := c.Epoch, madeOver(before, c)
		if over {
			epoch++
		}
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE clients SET metadata = $1, secrets = $2, backchannel = $3, updated_at = $4, epoch = $8
 WHERE id = $5 AND state = 'live' AND epoch = $6 AND dynamic AND registration = $7`,
			metadata, secrets, backchannel, ms(e.At), c.ID, c.Epoch, nilBytes(c.Registration), epoch); err != nil {
			return err
		}
		if over || movedOn(before, c) {
			if _, err := tx.exec(ctx, `DELETE FROM requests WHERE client_id = $1`, c.ID); err != nil {
				return err
			}
		}
		if over {
			if _, err := tx.exec(ctx, `DELETE FROM consents WHERE client_id = $1`, c.ID); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	}), "updating a client")
}
