package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	all, err := list(ctx, s.db, scanClient, `SELECT `+clientColumns+` FROM clients ORDER BY id`)
	if err != nil {
		return nil, 0, known(err, "reading clients")
	}
	return all, v, nil
}

// clientColumns are what scanClient reads.
const clientColumns = ` id, state, epoch, metadata, secrets, registration, dynamic, created_at, updated_at `

func scanClient(r row) (oauth.Client, error) {
	var id, state, metadata, secrets string
	var epoch, created, updated int64
	var registration []byte
	var dynamic bool
	if err := r.Scan(&id, &state, &epoch, &metadata, &secrets, &registration, &dynamic, &created, &updated); err != nil {
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
	c.Registration, c.Dynamic = registration, dynamic
	c.Epoch, c.Created, c.Updated = epoch, at(created), at(updated)
	return c, nil
}

// clientRow is a client's metadata column: the registered members, and the names
// in other languages, which RFC 7591 §2.2 spells into the member names.
type clientRow struct {
	oauth.Client
	Names map[string]string `json:"names,omitempty"`
}

const insertClient = `INSERT INTO clients (id, state, metadata, secrets, registration, dynamic, backchannel, created_at, updated_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`

// clientArgs are the arguments of insertClient.
func clientArgs(c oauth.Client, now time.Time) ([]any, error) {
	metadata, err := json.Marshal(clientRow{c, c.Names})
	if err != nil {
		return nil, fmt.Errorf("encoding client %s: %w", c.ID, err)
	}
	secrets := c.Secrets
	if secrets == nil {
		secrets = []oauth.SecretHash{}
	}
	return []any{c.ID, string(c.State), string(metadata), jsonText(secrets), nilBytes(c.Registration), c.Dynamic, c.BackChannelLogoutURI != "", ms(now)}, nil
}

// ApplyClient implements oauth.Clients. A withdrawn client is not replaced by anything.
func (s *Store) ApplyClient(ctx context.Context, c oauth.Client, e audit.Event) error {
	args, err := clientArgs(c, e.At)
	if err != nil {
		return err
	}
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		// The version row first: of two that apply at once, the second sees the first.
		if err := raise(ctx, tx, clientsVersion); err != nil {
			return err
		}
		before, err := clientBefore(ctx, tx, c.ID)
		if err != nil && !errors.Is(err, errNoRows) {
			return err
		}
		if err == nil && movedOn(before, c) {
			if _, err := tx.exec(ctx, `DELETE FROM requests WHERE client_id = $1`, c.ID); err != nil {
				return err
			}
		}
		if err := only(ctx, tx, identity.ErrConflict, insertClient+`
 ON CONFLICT (id) DO UPDATE SET state = excluded.state, metadata = excluded.metadata, secrets = excluded.secrets, registration = excluded.registration,
   dynamic = excluded.dynamic, backchannel = excluded.backchannel, updated_at = excluded.updated_at,
   epoch = clients.epoch + CASE WHEN excluded.state = 'live' THEN 0 ELSE 1 END
 WHERE clients.state <> 'withdrawn'`, args...); err != nil {
			return err
		}
		if err := silence(ctx, tx, c.ID); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return known(err, "applying a client")
	}
	return nil
}

// clientBefore reads what a client's registration says before it is replaced, or
// errNoRows when there is none.
func clientBefore(ctx context.Context, tx db, id string) (oauth.Client, error) {
	var metadata string
	if err := tx.queryRow(ctx, `SELECT metadata FROM clients WHERE id = $1`, id).Scan(&metadata); err != nil {
		return oauth.Client{}, err
	}
	var before clientRow
	if err := json.Unmarshal([]byte(metadata), &before); err != nil {
		return oauth.Client{}, fmt.Errorf("client %s: metadata: %w", id, err)
	}
	c := before.Client
	c.Names = before.Names
	return c, nil
}

// movedOn reports whether c is to be another client than the one whose requests are
// waiting: suspended, or with other redirect URIs, scope or authentication.
func movedOn(before, c oauth.Client) bool {
	return c.State != oauth.ClientLive || !slices.Equal(c.RedirectURIs, before.RedirectURIs) || c.Scope != before.Scope ||
		authentication(c) != authentication(before)
}

// madeOver reports whether c is to be another client than the one that citizens agreed
// to: with another name, going elsewhere, told other subjects, or held by whoever has
// other keys.
func madeOver(before, c oauth.Client) bool {
	return !slices.Equal(c.RedirectURIs, before.RedirectURIs) || c.Name != before.Name || !maps.Equal(c.Names, before.Names) ||
		c.SubjectType != before.SubjectType || c.SectorIdentifierURI != before.SectorIdentifierURI ||
		authentication(c) != authentication(before)
}

// authentication is how a client shows who it is, secrets aside: one of those is
// replaced while the other still counts.
func authentication(c oauth.Client) string {
	return jsonText([]any{c.TokenEndpointAuthMethod, c.Profile, c.JWKS, c.JWKSURI, c.RequireSignedRequest, c.TLSSubjectDN, c.TLSDNS, c.TLSURI, c.TLSIP, c.TLSEmail})
}

// SuspendClient implements oauth.Clients. A client has an epoch as a citizen has:
// raising it ends all that was issued before, a code that is being issued in this
// moment included, without touching a million grants.
func (s *Store) SuspendClient(ctx context.Context, id string, now time.Time, e audit.Event) error {
	return wrap(s.endClient(ctx, id, `UPDATE clients SET state = CASE state WHEN 'testing' THEN 'draft' ELSE 'suspended' END, epoch = epoch + 1, updated_at = $1
 WHERE id = $2 AND state IN ('live', 'testing', 'suspended')`, now, e),
		"suspending a client")
}

// WithdrawClient implements oauth.Clients. What could authenticate it goes; what it is
// called stays, for whoever reads the trail.
func (s *Store) WithdrawClient(ctx context.Context, id string, now time.Time, e audit.Event) error {
	return wrap(s.endClient(ctx, id, `UPDATE clients SET state = 'withdrawn', epoch = epoch + 1, updated_at = $1, secrets = '[]', registration = NULL
 WHERE id = $2 AND state <> 'withdrawn'`, now, e), "withdrawing a client")
}

// endClient carries out the update, which ends one client, and forgets its requests.
func (s *Store) endClient(ctx context.Context, id, update string, now time.Time, e audit.Event) error {
	return s.db.tx(ctx, func(ctx context.Context, tx db) error {
		// The version row first, as whoever changes a client has it: in the other order
		// the two wait for each other, and a client that updates itself without a pause
		// could put off its own end.
		if err := raise(ctx, tx, clientsVersion); err != nil {
			return err
		}
		if err := only(ctx, tx, identity.ErrNotFound, update, ms(now), id); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM requests WHERE client_id = $1`, id); err != nil {
			return err
		}
		if err := silence(ctx, tx, id); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}
