package storage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"ecardid/account"
	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/seal"
)

// This file is what the citizen's own pages read all of, and end all of.

// Activity implements account.Records.
func (s *Store) Activity(ctx context.Context, citizen identity.ID, below int64, n int) ([]audit.Entry, error) {
	found, err := s.SearchAudit(ctx, TrailQuery{Citizen: citizen, Below: below, Limit: n})
	if err != nil {
		return nil, err
	}
	all := make([]audit.Entry, len(found))
	for i, l := range found {
		all[i] = l.Entry
	}
	return all, nil
}

// TakeOut implements account.Records. It reads in one transaction, with the entry about
// it, so that the copy is of one moment and nobody has one that the trail does not know.
func (s *Store) TakeOut(ctx context.Context, citizen, login identity.ID, e audit.Event) (account.Copy, error) {
	var c account.Copy
	err := s.db.tx(ctx, func(ctx context.Context, tx db) error {
		c = account.Copy{}
		if err := s.act(ctx, tx, citizen, login, e.At); err != nil {
			return err
		}
		if err := s.copyIdentity(ctx, tx, citizen, &c); err != nil {
			return err
		}
		for _, part := range []func(context.Context, db, identity.ID, *account.Copy) error{copyFactors, copyDevices, copyConsents} {
			if err := part(ctx, tx, citizen, &c); err != nil {
				return err
			}
		}
		ties, err := s.relatives(ctx, tx, citizen, e.At)
		if err != nil {
			return err
		}
		for _, t := range ties {
			c.Relatives = append(c.Relatives, account.CopiedRelative{Name: t.Name, Card: t.Card, Named: t.Named, Asked: t.Asked, Agreed: t.Agreed})
		}
		return record(ctx, tx, e)
	})
	return c, wrap(err, "taking a copy")
}

// copyIdentity opens what is sealed, for its owner.
func (s *Store) copyIdentity(ctx context.Context, tx db, citizen identity.ID, c *account.Copy) error {
	var name, number, phone, card, greeting, claims []byte
	var since, created int64
	var activated, passwordAt, cooling *int64
	err := tx.queryRow(ctx, `SELECT name, id_number, phone, card_number, greeting, claims, state, state_at, created_at, activated_at, password_at, cooling_until, locale
 FROM citizens WHERE id = $1`, bin(citizen)).Scan(&name, &number, &phone, &card, &greeting, &claims, &c.State, &since, &created, &activated, &passwordAt, &cooling, &c.Locale)
	if err != nil {
		return err
	}
	c.StateSince, c.Created, c.Activated, c.PasswordChanged, c.Cooling = at(since), at(created), fromMS(activated), fromMS(passwordAt), fromMS(cooling)
	var further []byte
	for _, f := range []struct {
		column string
		blob   []byte
		set    func(plain []byte)
	}{
		{"name", name, func(p []byte) { c.Name = string(p) }},
		{"id_number", number, func(p []byte) { c.IDNumber = string(p) }},
		{"phone", phone, func(p []byte) { c.Phone = string(p) }},
		{"card_number", card, func(p []byte) { c.Card = string(p) }},
		{"greeting", greeting, func(p []byte) { c.Greeting = string(p) }},
		{"claims", claims, func(p []byte) { further = p }},
	} {
		plain, err := s.unsealed(seal.PII, "citizens", f.column, citizen[:], f.blob)
		if err != nil {
			return fmt.Errorf("opening a citizen's %s: %w", f.column, err)
		}
		f.set(plain)
	}
	if len(further) == 0 {
		return nil
	}
	return json.Unmarshal(further, &c.Claims)
}

// copyFactors says which factors there are, and nothing that a secret could be made from.
func copyFactors(ctx context.Context, tx db, citizen identity.ID, c *account.Copy) error {
	var algorithm string
	var confirmed int64
	err := tx.queryRow(ctx, `SELECT algorithm, confirmed_at FROM totps WHERE citizen_id = $1 AND confirmed_at IS NOT NULL`, bin(citizen)).Scan(&algorithm, &confirmed)
	switch {
	case err == nil:
		c.Generator, c.GeneratorSince = algorithm, at(confirmed)
	case !errors.Is(err, errNoRows):
		return err
	}
	if err := tx.queryRow(ctx, `SELECT count(*), count(used_at) FROM recovery_codes WHERE citizen_id = $1`, bin(citizen)).Scan(&c.RecoveryCodes, &c.RecoveryUsed); err != nil {
		return err
	}
	c.Passkeys, err = list(ctx, tx, func(r row) (account.CopiedPasskey, error) {
		p, err := scanPasskey(r)
		return account.CopiedPasskey{ID: p.ID, Name: p.Name, Synced: !p.OnDevice(), Made: p.Created, LastUsed: p.LastUsed}, err
	}, `SELECT `+passkeyColumns+` FROM passkeys p WHERE p.citizen_id = $1 ORDER BY p.created_at`, bin(citizen))
	return err
}

func copyDevices(ctx context.Context, tx db, citizen identity.ID, c *account.Copy) (err error) {
	c.Devices, err = list(ctx, tx, func(r row) (account.CopiedDevice, error) {
		d, err := scanDevice(r)
		return account.CopiedDevice{ID: d.ID, Kind: d.Kind, Name: d.Name, State: d.State, KeyLevel: d.KeyLevel, Bound: d.Created, LastUsed: d.LastUsed, Place: d.Place}, err
	}, `SELECT `+deviceColumns+` FROM devices d WHERE d.citizen_id = $1 ORDER BY d.created_at`, bin(citizen))
	if err != nil {
		return err
	}
	c.Sessions, err = list(ctx, tx, func(r row) (account.CopiedSession, error) {
		var l account.CopiedSession
		var began, seen int64
		var ended *int64
		err := r.Scan(&l.Agent, &l.Place, &began, &seen, &ended)
		l.Began, l.Seen, l.Ended = at(began), at(seen), fromMS(ended)
		return l, err
	}, `SELECT agent, place, created_at, seen_at, ended_at FROM logins WHERE citizen_id = $1 AND coalesce(end_reason, '') <> 'replaced' ORDER BY created_at`, bin(citizen))
	if err != nil {
		return err
	}
	c.Losses, err = list(ctx, tx, func(r row) (account.CopiedLoss, error) {
		var l account.CopiedLoss
		var when int64
		err := r.Scan(&l.What, &when)
		l.At = at(when)
		return l, err
	}, `SELECT what, at FROM loss_receipts WHERE citizen_id = $1 ORDER BY at`, bin(citizen))
	return err
}

func copyConsents(ctx context.Context, tx db, citizen identity.ID, c *account.Copy) (err error) {
	c.Consents, err = list(ctx, tx, func(r row) (account.CopiedConsent, error) {
		one, err := scanConsent(r)
		return account.CopiedConsent{Client: one.ClientID, Scope: one.Scope, Given: one.Given, Expires: one.Expires}, err
	}, `SELECT client_id, scope, terms, given_at, expires_at FROM consents WHERE citizen_id = $1 ORDER BY client_id, scope`, bin(citizen))
	return err
}

// LastUses implements account.Records: a grant is used when it is made and each time it is
// refreshed, of which the idle end tells.
func (s *Store) LastUses(ctx context.Context, citizen identity.ID) (map[string]time.Time, error) {
	type use struct {
		client string
		at     int64
	}
	all, err := list(ctx, s.db, func(r row) (u use, err error) {
		err = r.Scan(&u.client, &u.at)
		return u, err
	}, `SELECT g.client_id, max(coalesce(g.code_used_at, g.created_at)) FROM grants g WHERE g.citizen_id = $1 GROUP BY g.client_id`, bin(citizen))
	if err != nil {
		return nil, wrap(err, "reading when consents were used")
	}
	last := make(map[string]time.Time, len(all))
	for _, u := range all {
		last[u.client] = at(u.at)
	}
	return last, nil
}

// CloseAccount implements account.Records. What is left is a tombstone: an id that is
// never given to anybody again (SECURITY OI4), hashes of keys that never return, and the
// trail. Whoever imports the same card later makes another citizen, to whom nothing of
// this one belongs (SECURITY G6).
func (s *Store) CloseAccount(ctx context.Context, citizen, login identity.ID, e audit.Event) error {
	handle := make([]byte, userHandleSize)
	if _, err := io.ReadFull(rand.Reader, handle); err != nil {
		return fmt.Errorf("drawing a user handle: %w", err)
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, citizen, login, e.At); err != nil {
			return err
		}
		if err := upheave(ctx, tx, citizen, identity.ID{}, e.At); err != nil {
			return err
		}
		// Those who are told of it are those who know the citizen now.
		if err := overtake(ctx, tx, citizen, e); err != nil {
			return err
		}
		if err := lastNotices(ctx, tx, citizen, e.At); err != nil {
			return err
		}
		none := []byte{}
		if err := only(ctx, tx, identity.ErrEnded, `UPDATE citizens SET state = $1, state_at = $2, updated_at = $2, name = $3, id_number = $3, phone = $3, card_number = $3,
   greeting = NULL, claims = NULL, password = NULL, password_at = NULL, activation_hash = NULL, activation_expires = NULL, activated_at = NULL,
   cooling_until = NULL, region = NULL, user_handle = $4 WHERE id = $5 AND state = 'normal'`,
			string(identity.CardCancelled), ms(e.At), none, handle, bin(citizen)); err != nil {
			return err
		}
		// Whoever has asked the citizen goes on waiting, as if nobody had the number.
		if _, err := tx.exec(ctx, `UPDATE relatives SET relative_id = NULL WHERE relative_id = $1 AND agreed_at IS NULL`, bin(citizen)); err != nil {
			return err
		}
		if err := endTies(ctx, tx, citizen, `(citizen_id = $1 OR relative_id = $1)`, e); err != nil {
			return err
		}
		keys, err := list(ctx, tx, scanID, `SELECT id FROM passkeys WHERE citizen_id = $1 AND state = 'active'`, bin(citizen))
		if err != nil {
			return err
		}
		devices, err := list(ctx, tx, scanID, `SELECT id FROM devices WHERE citizen_id = $1 AND state IN ('active', 'suspended')`, bin(citizen))
		if err != nil {
			return err
		}
		if err := ended(ctx, tx, e, devices, keys); err != nil {
			return err
		}
		for _, table := range []string{"aliases", "totps", "recovery_codes", "passkeys", "consents", "access_tokens", "liveness_sessions"} {
			if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE citizen_id = $1`, bin(citizen)); err != nil {
				return err
			}
		}
		// A key's hash stays: a key that was once somebody's is never bound again.
		if _, err := tx.exec(ctx, `UPDATE devices SET state = 'revoked', state_at = $1, state_reason = 'account closed', name = '', place = '', jwk = NULL, evidence = NULL,
   cookie = NULL, cookie_before = NULL WHERE citizen_id = $2`, ms(e.At), bin(citizen)); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE grants SET revoked_at = coalesce(revoked_at, $1), details = NULL, claims = NULL WHERE citizen_id = $2`, ms(e.At), bin(citizen)); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE logins SET ended_at = coalesce(ended_at, $1), end_reason = coalesce(end_reason, 'closed'), agent = '', place = '', source = NULL WHERE citizen_id = $2`,
			ms(e.At), bin(citizen))
		return err
	}), "closing an account")
}

// ConfirmPhone ends a citizen's wait for a new phone: somebody at a counter has seen it
// in their hand. What else is in use and waited for is waited for still. device must be the
// latest phone or key of theirs: identity.ErrConflict otherwise, and when nobody waits for it.
func (s *Store) ConfirmPhone(ctx context.Context, citizen, device identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, citizen, identity.ID{}, e.At); err != nil {
			return err
		}
		latest, err := s.latestKey(ctx, tx, citizen)
		if err != nil {
			return err
		}
		if latest.ID != device || latest.Kind != identity.DevicePhone {
			return identity.ErrConflict
		}
		if err := only(ctx, tx, identity.ErrConflict, `UPDATE devices SET cooling_until = NULL WHERE id = $1 AND cooling_until > $2`, bin(device), ms(e.At)); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE citizens SET updated_at = $1, cooling_until = (SELECT max(d.cooling_until) FROM devices d
   WHERE d.citizen_id = $2 AND d.kind <> 'browser' AND d.state = 'active' AND d.cooling_until > $1) WHERE id = $2`, ms(e.At), bin(citizen)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "confirming a phone")
}

// LatestKey returns the phone or authenticator that was added last and is in use.
func (s *Store) LatestKey(ctx context.Context, citizen identity.ID) (authn.Device, error) {
	d, err := s.latestKey(ctx, s.db, citizen)
	return d, wrap(err, "reading the latest device")
}

func (s *Store) latestKey(ctx context.Context, d db, citizen identity.ID) (authn.Device, error) {
	found, err := scanDevice(d.queryRow(ctx, `SELECT `+deviceColumns+` FROM devices d WHERE d.citizen_id = $1 AND d.kind <> 'browser' AND d.state = 'active'
 ORDER BY d.created_at DESC, d.id LIMIT 1`, bin(citizen)))
	if errors.Is(err, errNoRows) {
		err = identity.ErrNotFound
	}
	return found, err
}

var _ account.Records = (*Store)(nil)
