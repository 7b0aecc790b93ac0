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

// The things replicas keep in memory, and the channel that says they changed.
const (
	clientsVersion = "clients"
	keysVersion    = "keys"

	// Changed is the channel on which the name of what changed is told.
	Changed = "ecardid_changed"
)

// raise counts a change up and tells the replicas.
func raise(ctx context.Context, d db, name string) error {
	if _, err := d.exec(ctx, `INSERT INTO versions (name, version) VALUES ($1, 1)
 ON CONFLICT (name) DO UPDATE SET version = versions.version + 1`, name); err != nil {
		return err
	}
	return d.notify(ctx, Changed, name)
}

func (s *Store) version(ctx context.Context, name string) (int64, error) {
	var v int64
	err := s.db.queryRow(ctx, `SELECT coalesce(max(version), 0) FROM versions WHERE name = $1`, name).Scan(&v)
	return v, err
}

// AllClients implements oauth.Clients.
func (s *Store) AllClients(ctx context.Context) ([]oauth.Client, int64, error) {
	// The version is read first: a change in between is then seen again, never missed.
	v, err := s.version(ctx, clientsVersion)
	if err != nil {
		return nil, 0, known(err, "reading the clients' version")
	}
	all, err := list(ctx, s.db, func(r row) (oauth.Client, error) {
		var id, state, metadata, secrets string
		var epoch, created, updated int64
		if err := r.Scan(&id, &state, &epoch, &metadata, &secrets, &created, &updated); err != nil {
			return oauth.Client{}, err
		}
		var kept clientRow
		if err := json.Unmarshal([]byte(metadata), &kept); err != nil {
			return oauth.Client{}, fmt.Errorf("client %s: metadata: %w", id, err)
		}
		c := kept.Client
		if err := json.Unmarshal([]byte(secrets), &c.Secrets); err != nil {
			return oauth.Client{}, fmt.Errorf("client %s: secrets: %w", id, err)
		}
		c.ID, c.State, c.Names = id, oauth.ClientState(state), kept.Names
		c.Epoch, c.Created, c.Updated = epoch, at(created), at(updated)
		return c, nil
	}, `SELECT id, state, epoch, metadata, secrets, created_at, updated_at FROM clients ORDER BY id`)
	if err != nil {
		return nil, 0, known(err, "reading clients")
	}
	return all, v, nil
}

// clientRow is a client's metadata column: the registered members, and the names
// in other languages, which RFC 7591 §2.2 spells into the member names.
type clientRow struct {
	oauth.Client
	Names map[string]string `json:"names,omitempty"`
}

// ApplyClient implements oauth.Clients.
func (s *Store) ApplyClient(ctx context.Context, c oauth.Client, e audit.Event) error {
	metadata, err := json.Marshal(clientRow{c, c.Names})
	if err != nil {
		return fmt.Errorf("encoding client %s: %w", c.ID, err)
	}
	secrets := c.Secrets
	if secrets == nil {
		secrets = []oauth.SecretHash{}
	}
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		// The version row first: of two that apply at once, the second sees the first.
		if err := raise(ctx, tx, clientsVersion); err != nil {
			return err
		}
		moved, err := movedOn(ctx, tx, c)
		if err != nil {
			return err
		}
		if moved {
			if _, err := tx.exec(ctx, `DELETE FROM requests WHERE client_id = $1`, c.ID); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, `INSERT INTO clients (id, state, metadata, secrets, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
 ON CONFLICT (id) DO UPDATE SET state = excluded.state, metadata = excluded.metadata, secrets = excluded.secrets, updated_at = excluded.updated_at,
   epoch = clients.epoch + CASE WHEN excluded.state = 'live' THEN 0 ELSE 1 END`,
			c.ID, string(c.State), string(metadata), jsonText(secrets), ms(e.At)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return known(err, "applying a client")
	}
	return nil
}

// movedOn reports whether c is to be another client than the one whose requests are
// waiting: suspended, or with other redirect URIs, scope or authentication.
func movedOn(ctx context.Context, tx db, c oauth.Client) (bool, error) {
	var metadata string
	err := tx.queryRow(ctx, `SELECT metadata FROM clients WHERE id = $1`, c.ID).Scan(&metadata)
	if errors.Is(err, errNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var before clientRow
	if err := json.Unmarshal([]byte(metadata), &before); err != nil {
		return false, fmt.Errorf("client %s: metadata: %w", c.ID, err)
	}
	return c.State != oauth.ClientLive || !slices.Equal(c.RedirectURIs, before.RedirectURIs) || c.Scope != before.Scope ||
		c.TokenEndpointAuthMethod != before.TokenEndpointAuthMethod, nil
}

// SuspendClient implements oauth.Clients. A client has an epoch as a citizen has:
// raising it ends all that was issued before, a code that is being issued in this
// moment included, without touching a million grants.
func (s *Store) SuspendClient(ctx context.Context, id string, now time.Time, e audit.Event) error {
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE clients SET state = $1, epoch = epoch + 1, updated_at = $2 WHERE id = $3`, string(oauth.ClientSuspended), ms(now), id); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM requests WHERE client_id = $1`, id); err != nil {
			return err
		}
		if err := record(ctx, tx, e); err != nil {
			return err
		}
		return raise(ctx, tx, clientsVersion)
	})
	if err != nil {
		return known(err, "suspending a client")
	}
	return nil
}
