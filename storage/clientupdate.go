package storage

import (
	"context"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// UpdateClient implements oauth.Registrations. The condition of the update decides:
// what was suspended, withdrawn or handed to another registration since the client was
// read is not touched.
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
		moved, err := movedOn(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE clients SET metadata = $1, secrets = $2, backchannel = $3, updated_at = $4
 WHERE id = $5 AND state = 'live' AND epoch = $6 AND dynamic AND registration = $7`,
			metadata, secrets, backchannel, ms(e.At), c.ID, c.Epoch, nilBytes(c.Registration)); err != nil {
			return err
		}
		if moved {
			if _, err := tx.exec(ctx, `DELETE FROM requests WHERE client_id = $1`, c.ID); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	}), "updating a client")
}
