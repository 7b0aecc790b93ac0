package storage

import (
	"context"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
)

// accountColumns read a citizen c and count the factors that count. Of nobody, beside
// something else that was asked for, they make the zero account.
const accountColumns = ` c.id, coalesce(c.state, ''), coalesce(c.epoch, 0), coalesce(c.password, ''), c.greeting, c.name, c.user_handle, coalesce(c.locale, ''),
 EXISTS (SELECT 1 FROM totps t WHERE t.citizen_id = c.id AND t.confirmed_at IS NOT NULL),
 (SELECT count(*) FROM passkeys p WHERE p.citizen_id = c.id AND ` + usablePasskey + `),
 (SELECT count(*) FROM devices d WHERE d.citizen_id = c.id AND d.kind = 'phone' AND d.state = 'active'),
 (SELECT count(*) FROM recovery_codes r WHERE r.citizen_id = c.id AND r.used_at IS NULL) `

func (s *Store) scanAccount(r row, more ...any) (authn.Account, error) {
	var a authn.Account
	var greeting, name []byte
	dest := []any{&a.ID, &a.State, &a.Epoch, &a.Password, &greeting, &name, &a.UserHandle, &a.Locale,
		&a.Factors.TOTP, &a.Factors.Passkeys, &a.Factors.Phones, &a.Factors.Recovery}
	if err := r.Scan(append(dest, more...)...); err != nil {
		return authn.Account{}, err
	}
	plain, err := s.unsealed(seal.PII, "citizens", "greeting", a.ID[:], greeting)
	if err != nil {
		return authn.Account{}, err
	}
	a.Greeting = string(plain)
	if plain, err = s.unsealed(seal.PII, "citizens", "name", a.ID[:], name); err != nil {
		return authn.Account{}, err
	}
	a.MaskedName = idnumber.MaskName(string(plain))
	return a, nil
}

// AccountByAlias implements authn.Accounts.
func (s *Store) AccountByAlias(ctx context.Context, alias authn.Alias) (authn.Account, error) {
	idx, err := s.index(alias)
	if err != nil {
		return authn.Account{}, err
	}
	a, err := s.scanAccount(s.db.queryRow(ctx, `SELECT `+accountColumns+` FROM aliases x JOIN citizens c ON c.id = x.citizen_id WHERE x.idx = $1`, idx))
	return a, notFound(err, "finding an account")
}

// Account implements authn.Accounts.
func (s *Store) Account(ctx context.Context, citizen identity.ID) (authn.Account, error) {
	a, err := s.scanAccount(s.db.queryRow(ctx, `SELECT `+accountColumns+` FROM citizens c WHERE c.id = $1`, bin(citizen)))
	return a, notFound(err, "reading an account")
}

// spare answers authn.ErrLastFactor unless enough is left of the held citizen's
// factors. What the transaction has removed so far is not counted any more, and
// nobody else removes anything meanwhile.
func (s *Store) spare(ctx context.Context, tx db, citizen identity.ID, enough authn.Enough) error {
	if enough == nil {
		return nil
	}
	left, err := s.scanAccount(tx.queryRow(ctx, `SELECT `+accountColumns+` FROM citizens c WHERE c.id = $1`, bin(citizen)))
	if err != nil {
		return err
	}
	keys, err := list(ctx, tx, func(r row) (authn.Passkey, error) { return scanPasskey(r) },
		`SELECT `+passkeyColumns+` FROM passkeys p WHERE p.citizen_id = $1 AND `+usablePasskey, bin(citizen))
	if err != nil {
		return err
	}
	onDevice := 0
	for _, k := range keys {
		if k.OnDevice() {
			onDevice++
		}
	}
	if !enough(left.Factors, onDevice) {
		return authn.ErrLastFactor
	}
	return nil
}

// index is the blind index of one of a citizen's numbers.
func (s *Store) index(a authn.Alias) ([]byte, error) {
	keys := s.keys.Load()
	if keys == nil {
		return nil, ErrLockedAway
	}
	return keys.Index(string(a.Kind), a.Value), nil
}

// upheave raises the citizen's epoch, so that everything made in the old one is
// dead, and lets login keep live on in the new one, if it was alive in the one
// before: what is dead stays dead. Its trusted browser does not come along
// (SECURITY MF5). Clients hear of the sessions that end with it.
func upheave(ctx context.Context, tx db, citizen, keep identity.ID, now time.Time) error {
	return upheaveBut(ctx, tx, citizen, keep, identity.ID{}, now)
}

// upheaveIn is upheave from within a flow, which lives on in the new epoch together
// with the login it raises. actIn has found it in the old one.
func upheaveIn(ctx context.Context, tx db, f *authn.Flow, now time.Time) (epoch int64, err error) {
	if err := upheaveBut(ctx, tx, f.Citizen, f.Login, f.ID, now); err != nil {
		return 0, err
	}
	err = tx.queryRow(ctx, `UPDATE flows SET epoch = (SELECT epoch FROM citizens WHERE id = $1) WHERE id = $2 RETURNING epoch`, bin(f.Citizen), bin(f.ID)).Scan(&epoch)
	return epoch, err
}

func upheaveBut(ctx context.Context, tx db, citizen, keep, flow identity.ID, now time.Time) error {
	if err := farewell(ctx, tx, citizen, now, otherLogins, keep); err != nil {
		return err
	}
	if err := only(ctx, tx, identity.ErrNotFound, `UPDATE citizens SET epoch = epoch + 1, updated_at = $1 WHERE id = $2`, ms(now), bin(citizen)); err != nil {
		return err
	}
	if !keep.IsZero() {
		if _, err := tx.exec(ctx, `UPDATE logins SET epoch = epoch + 1, device_id = NULL
 WHERE id = $1 AND citizen_id = $2 AND ended_at IS NULL AND epoch = (SELECT epoch - 1 FROM citizens WHERE id = $2)`, bin(keep), bin(citizen)); err != nil {
			return err
		}
	}
	// These would be refused anyway; gone, they need no sweeping.
	if _, err := tx.exec(ctx, `DELETE FROM flows WHERE citizen_id = $1 AND id <> $2`, bin(citizen), flow[:]); err != nil {
		return err
	}
	for _, table := range []string{"approvals", "ceremonies", "enrolments"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE citizen_id = $1`, bin(citizen)); err != nil {
			return err
		}
	}
	// A question to a relative is pending as well: nobody says yes to what was asked before.
	_, err := tx.exec(ctx, `DELETE FROM relatives WHERE citizen_id = $1 AND agreed_at IS NULL`, bin(citizen))
	return err
}

// SetPassword implements authn.Passwords.
func (s *Store) SetPassword(ctx context.Context, citizen identity.ID, encoded string, keep identity.ID, e audit.Event) error {
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := s.act(ctx, tx, citizen, keep, e.At); err != nil {
			return err
		}
		if err := upheave(ctx, tx, citizen, keep, e.At); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE citizens SET password = $1, password_at = $2 WHERE id = $3`, encoded, ms(e.At), bin(citizen)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "setting a password")
}

// Rehash implements authn.Passwords.
func (s *Store) Rehash(ctx context.Context, citizen identity.ID, old, encoded string) error {
	_, err := changed(ctx, s.db, `UPDATE citizens SET password = $1 WHERE id = $2 AND password = $3`, encoded, bin(citizen), old)
	return wrap(err, "rehashing a password")
}

// SetGreeting implements authn.Passwords.
func (s *Store) SetGreeting(ctx context.Context, citizen identity.ID, greeting string, e audit.Event) error {
	blob, err := s.sealed(seal.PII, "citizens", "greeting", citizen[:], []byte(greeting))
	if err != nil {
		return known(err, "sealing a greeting")
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrNotFound, `UPDATE citizens SET greeting = $1, updated_at = $2 WHERE id = $3`, blob, ms(e.At), bin(citizen)); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "setting a greeting")
}

// SetLocale implements authn.Passwords.
func (s *Store) SetLocale(ctx context.Context, citizen identity.ID, locale string) error {
	_, err := s.db.exec(ctx, `UPDATE citizens SET locale = $1 WHERE id = $2`, locale, bin(citizen))
	return wrap(err, "setting a language")
}

// CheckActivation implements authn.Activations.
func (s *Store) CheckActivation(ctx context.Context, card authn.Alias, code []byte, now time.Time) (identity.ID, error) {
	idx, err := s.index(card)
	if err != nil {
		return identity.ID{}, err
	}
	var id identity.ID
	err = s.db.queryRow(ctx, `SELECT c.id FROM aliases x JOIN citizens c ON c.id = x.citizen_id
 WHERE x.idx = $1 AND x.kind = 'card' AND c.activation_hash = $2 AND c.activation_expires > $3 AND c.state = 'normal'`,
		idx, code, ms(now)).Scan(&id)
	return id, notFound(err, "checking an activation code")
}

// Activate implements authn.Activations.
func (s *Store) Activate(ctx context.Context, citizen identity.ID, code []byte, encoded, greeting string, e audit.Event) error {
	blob, err := s.sealed(seal.PII, "citizens", "greeting", citizen[:], []byte(greeting))
	if err != nil {
		return known(err, "sealing a greeting")
	}
	return wrap(s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := only(ctx, tx, identity.ErrSpent, `UPDATE citizens SET password = $1, password_at = $2, greeting = $3, activated_at = $2, updated_at = $2,
   activation_hash = NULL, activation_expires = NULL, epoch = epoch + 1
 WHERE id = $4 AND activation_hash = $5 AND activation_expires > $2 AND state = 'normal'`,
			encoded, ms(e.At), blob, bin(citizen), code); err != nil {
			return err
		}
		return record(ctx, tx, e)
	}), "activating")
}
