package storage

import (
	"context"
	"errors"
	"time"

	"ecardid/identity"
	"ecardid/internal/seal"
	"ecardid/oauth"
)

// StoreRequest implements oauth.Requests. The parameters are sealed: login_hint
// names a person.
func (s *Store) StoreRequest(ctx context.Context, r oauth.StoredRequest, once ...oauth.Once) error {
	params, err := s.sealed(seal.PII, "requests", "params", r.Handle, []byte(r.Params))
	if err != nil {
		return known(err, "sealing a request")
	}
	room := &s.waiting
	if r.Vouched {
		room = &s.pushed
	}
	if err := room.admit(ctx, s.db, "requests", r.Created); err != nil {
		if errors.Is(err, identity.ErrConflict) {
			err = s.refuse(ctx, err, once, r.Created)
		}
		return known(err, "counting requests")
	}
	err = s.hot.storeRequest(ctx, r, params, once)
	return wrap(s.unsent(ctx, err, once, r.Created), "storing a request")
}

func requestArgs(r oauth.StoredRequest, params []byte) []any {
	return []any{r.Handle, r.Kind, r.ClientID, params, nilBytes(r.Browser), ms(r.Created), ms(r.Expires)}
}

// ClaimRequest implements oauth.Requests. The write itself decides whose it is; who
// loses is told apart from who came too late afterwards.
func (s *Store) ClaimRequest(ctx context.Context, handle []byte, clientID string, browser []byte, expires, now time.Time) error {
	if len(browser) == 0 {
		return identity.ErrNotFound // nobody in particular
	}
	ok, err := changed(ctx, s.db, `UPDATE requests SET browser = $1, expires_at = CASE WHEN browser IS NULL THEN $2 ELSE expires_at END
 WHERE handle = $3 AND client_id = $4 AND expires_at > $5 AND (browser IS NULL OR browser = $1)`, browser, ms(expires), handle, clientID, ms(now))
	if err == nil && !ok {
		var one int
		if err = s.db.queryRow(ctx, `SELECT 1 FROM requests WHERE handle = $1 AND client_id = $2 AND expires_at > $3`, handle, clientID, ms(now)).Scan(&one); err == nil {
			err = identity.ErrSpent
		}
	}
	return notFound(err, "claiming a request")
}

// Request implements oauth.Requests.
func (s *Store) Request(ctx context.Context, handle []byte, clientID string, now time.Time) (oauth.StoredRequest, error) {
	return s.openRequest(s.db.queryRow(ctx, `SELECT `+requestColumns+` FROM requests r WHERE `+liveRequest, handle, clientID, ms(now)), handle, clientID)
}

// RequestFor implements oauth.Requests.
func (s *Store) RequestFor(ctx context.Context, handle []byte, clientID string, login []byte, now time.Time) (oauth.StoredRequest, *identity.Login, error) {
	if len(login) == 0 {
		r, err := s.Request(ctx, handle, clientID, now)
		return r, nil, err
	}
	var l loginRow
	r, err := s.openRequest(s.db.queryRow(ctx, `SELECT `+requestColumns+`, l.* FROM requests r LEFT JOIN (SELECT `+loginColumns+` AS session
 FROM logins l JOIN citizens c ON c.id = l.citizen_id WHERE l.token = $4 AND `+asOf(liveLogin, "$3")+`) l ON TRUE
 WHERE `+liveRequest, handle, clientID, ms(now), login), handle, clientID, l.dest()...)
	if err != nil || l.absent() {
		return r, nil, err
	}
	in, err := l.login()
	if err != nil {
		return oauth.StoredRequest{}, nil, known(err, "reading a request with a login")
	}
	return r, &in, nil
}

const (
	requestColumns = ` r.kind, r.params, r.browser, r.created_at, r.expires_at `
	liveRequest    = ` r.handle = $1 AND r.client_id = $2 AND r.expires_at > $3 `
)

// openRequest scans requestColumns, and what more there is, and unseals.
func (s *Store) openRequest(found row, handle []byte, clientID string, more ...any) (oauth.StoredRequest, error) {
	r := oauth.StoredRequest{Handle: handle, ClientID: clientID}
	var params []byte
	var created, expires int64
	if err := found.Scan(append([]any{&r.Kind, &params, &r.Browser, &created, &expires}, more...)...); err != nil {
		return oauth.StoredRequest{}, notFound(err, "reading a request")
	}
	plain, err := s.unsealed(seal.PII, "requests", "params", handle, params)
	if err != nil {
		return oauth.StoredRequest{}, known(err, "opening a request")
	}
	r.Params, r.Created, r.Expires = string(plain), at(created), at(expires)
	return r, nil
}

// DropRequest implements oauth.Requests.
func (s *Store) DropRequest(ctx context.Context, handle []byte) error {
	ok, err := changed(ctx, s.db, `DELETE FROM requests WHERE handle = $1`, handle)
	if err != nil {
		return known(err, "dropping a request")
	}
	if !ok {
		return identity.ErrSpent
	}
	return nil
}

// Remember implements oauth.Replay; SpendNonce is the same for phones. One row,
// one winner: the row that is there already is the earlier use.
func (s *Store) Remember(ctx context.Context, key []byte, expires, now time.Time) error {
	ok, err := changed(ctx, s.db, `INSERT INTO replay (key, expires_at) VALUES ($1, $2)
 ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE replay.expires_at <= $3`, key, ms(expires), ms(now))
	if err != nil {
		return known(err, "remembering a value")
	}
	if !ok {
		return identity.ErrSpent
	}
	return nil
}
