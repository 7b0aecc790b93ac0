package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
)

// hot is the part of the store whose statements differ in shape between the two
// databases: one data-modifying statement on PostgreSQL, one short transaction
// on SQLite. Everything else shares its text.
type hot interface {
	issueCode(ctx context.Context, n oauth.NewCode) error
	redeem(ctx context.Context, r oauth.Redemption) (oauth.Grant, error)
	refresh(ctx context.Context, r oauth.Refreshing) (oauth.Grant, error)
}

// alive is the condition under which a grant g is, joined with its login l and
// its citizen c; $NOW stands for the parameter that holds the time. It is the one place that says so
// (DESIGN D3), and every statement that uses a grant contains it. A device has no
// line here: ending one ends the logins that stand on it, and no login is made on
// one that has ended.
//
// A grant is found by its keys alone: the "+ 0" here, and what stands behind client_id
// elsewhere, keep the planner from walking along another index of the same table,
// which costs as little while it is empty and goes on when it is not.
const alive = ` g.revoked_at IS NULL AND g.expires_at + 0 > $NOW
 AND l.ended_at IS NULL AND (g.offline OR l.expires_at > $NOW AND l.idle_at > $NOW)
 AND g.epoch = c.epoch AND l.epoch = c.epoch AND c.state = 'normal'
 AND EXISTS (SELECT 1 FROM clients k WHERE k.id = g.client_id AND k.state = 'live' AND k.epoch = g.client_epoch) `

// aliveAt puts the number of the parameter that holds the time into alive.
func aliveAt(param string) string { return asOf(alive, param) }

// asOf puts the number of the parameter that holds the time into a condition.
func asOf(condition, param string) string { return strings.ReplaceAll(condition, "$NOW", param) }

// grantColumns are what scanGrant reads, of a grants row called g.
const grantColumns = ` g.id, g.client_id, g.citizen_id, g.login_id, g.scope, g.resource, g.redirect_uri, g.nonce,
 g.auth, g.offline, g.opaque, g.created_at, g.expires_at, g.jkt, g.x5t `

// authJSON is the auth column.
type authJSON struct {
	ACR  string   `json:"acr,omitempty"`
	AMR  []string `json:"amr,omitempty"`
	Time int64    `json:"auth_time"`
}

func scanGrant(r row, more ...any) (oauth.Grant, error) {
	var g oauth.Grant
	var scope, resource, auth string
	var created, expires int64
	var jkt, x5t *string
	dest := []any{&g.ID, &g.ClientID, &g.Citizen, &g.Login, &scope, &resource, &g.RedirectURI, &g.Nonce,
		&auth, &g.Offline, &g.Opaque, &created, &expires, &jkt, &x5t}
	if err := r.Scan(append(dest, more...)...); err != nil {
		return oauth.Grant{}, err
	}
	var a authJSON
	if err := json.Unmarshal([]byte(auth), &a); err != nil {
		return oauth.Grant{}, fmt.Errorf("grant %v: auth: %w", g.ID, err)
	}
	if err := json.Unmarshal([]byte(resource), &g.Resource); err != nil {
		return oauth.Grant{}, fmt.Errorf("grant %v: resource: %w", g.ID, err)
	}
	g.Scope = strings.Fields(scope)
	g.ACR, g.AMR, g.AuthTime = a.ACR, a.AMR, at(a.Time)
	g.Created, g.Expires = at(created), at(expires)
	g.Binding = binding(jkt, x5t)
	return g, nil
}

func binding(jkt, x5t *string) oauth.Binding {
	var b oauth.Binding
	if jkt != nil {
		b.JKT = *jkt
	}
	if x5t != nil {
		b.X5T = *x5t
	}
	return b
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // strings and numbers only
		panic("storage: " + err.Error())
	}
	return string(b)
}

// resourceText keeps no audience as an empty list, not as null.
func resourceText(r []string) string {
	if r == nil {
		r = []string{}
	}
	return jsonText(r)
}

// terms are what each scope of a new grant stands for.
func terms(n oauth.NewCode) []string {
	all := make([]string, len(n.Grant.Scope))
	copy(all, n.Terms)
	return all
}

// IssueCode implements oauth.Codes.
func (s *Store) IssueCode(ctx context.Context, n oauth.NewCode) error {
	if err := s.hot.issueCode(ctx, n); err != nil {
		return known(err, "issuing a code")
	}
	return nil
}

// Redeem implements oauth.Codes.
func (s *Store) Redeem(ctx context.Context, r oauth.Redemption) (oauth.Grant, error) {
	g, err := s.hot.redeem(ctx, r)
	if errors.Is(err, errNoRows) {
		return oauth.Grant{}, known(s.replayed(ctx, r), "redeeming a code")
	}
	if err != nil {
		return oauth.Grant{}, known(err, "redeeming a code")
	}
	return g, nil
}

// accessBinding is what a token is bound to: the key this request proved, or else
// what the grant is bound to. Bearer is only what both call bearer.
func accessBinding(asked, grant oauth.Binding) oauth.Binding {
	if asked.JKT == "" {
		asked.JKT = grant.JKT
	}
	if asked.X5T == "" {
		asked.X5T = grant.X5T
	}
	return asked
}

// replayed finds out why a code bought nothing. A spent one that comes back with
// everything right was stolen from somebody, or by somebody: the grant ends (RFC
// 6749 §4.1.2). With anything wrong it is a stranger's guess and hurts nobody. An
// unspent one that the right client brings with another verifier ends: whoever
// brought it there is not whom it was given to, and does not get a second try.
func (s *Store) replayed(ctx context.Context, r oauth.Redemption) error {
	ok, err := changed(ctx, s.db, `UPDATE grants SET revoked_at = coalesce(revoked_at, $1)
 WHERE code = $2 AND client_id = $3 AND redirect_uri = $4 AND code_challenge = $5
   AND (code_jkt IS NULL OR code_jkt = $6) AND code_used_at IS NOT NULL`,
		ms(r.Now), r.Code, r.ClientID, r.RedirectURI, r.Challenge, orNull(r.JKT))
	switch {
	case err != nil:
		return err
	case ok:
		return identity.ErrSpent
	}
	if _, err := s.db.exec(ctx, `UPDATE grants SET revoked_at = $1
 WHERE code = $2 AND client_id = $3 AND redirect_uri = $4 AND code_challenge <> $5 AND code_used_at IS NULL AND revoked_at IS NULL`,
		ms(r.Now), r.Code, r.ClientID, r.RedirectURI, r.Challenge); err != nil {
		return err
	}
	if r.Access.Scope == nil {
		return identity.ErrNotFound
	}
	var scope string
	err = s.db.queryRow(ctx, `SELECT scope FROM grants
 WHERE code = $2 AND client_id = $3 AND redirect_uri = $4 AND code_challenge = $5
   AND (code_jkt IS NULL OR code_jkt = $6) AND code_used_at IS NULL AND code_expires_at > $1`,
		ms(r.Now), r.Code, r.ClientID, r.RedirectURI, r.Challenge, orNull(r.JKT)).Scan(&scope)
	switch {
	case err != nil && !errors.Is(err, errNoRows):
		return err
	case err == nil && !contains(strings.Fields(scope), r.Access.Scope):
		return identity.ErrScope
	}
	return identity.ErrNotFound
}

// Refresh implements oauth.Refreshes.
func (s *Store) Refresh(ctx context.Context, r oauth.Refreshing) (oauth.Grant, error) {
	g, err := s.hot.refresh(ctx, r)
	if errors.Is(err, errNoRows) {
		return oauth.Grant{}, known(s.refused(ctx, r), "refreshing")
	}
	if err != nil {
		return oauth.Grant{}, known(err, "refreshing")
	}
	if !contains(g.Scope, r.Access.Scope) {
		// The statement compared as well and changed nothing.
		return oauth.Grant{}, identity.ErrScope
	}
	return g, nil
}

// refused finds out why a refresh token bought nothing. One of a family whose token
// is another by now was rotated away, however many rotations ago, and ends the
// family (RFC 9700 §4.14.2): a thief may have rotated more than once before the
// owner came.
func (s *Store) refused(ctx context.Context, r oauth.Refreshing) error {
	ok, err := changed(ctx, s.db, `UPDATE grants SET revoked_at = coalesce(revoked_at, $1)
 WHERE refresh_family = $2 AND refresh <> $3 AND client_id = $4 AND (jkt IS NULL OR jkt = $5)`,
		ms(r.Now), nilBytes(r.Family), r.Token, r.ClientID, orNull(r.JKT))
	switch {
	case err != nil:
		return err
	case ok:
		return identity.ErrSpent
	}
	return identity.ErrNotFound
}

func contains(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// Token implements oauth.Tokens.
func (s *Store) Token(ctx context.Context, token []byte, now time.Time) (oauth.TokenInfo, error) {
	t, err := scanToken(s.db.queryRow(ctx, `SELECT `+grantColumns+tokenColumns+tokenFrom+aliveAt("$2"), token, ms(now)))
	return t, notFound(err, "reading a token")
}

const (
	tokenColumns = `, t.scope, t.resource, t.jkt, t.x5t, t.created_at, t.expires_at `
	tokenFrom    = ` FROM access_tokens t JOIN grants g ON g.id = t.grant_id
 JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id
 WHERE t.token = $1 AND t.expires_at > $2 AND `
	grantFrom = ` FROM grants g JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id WHERE g.id = $1 AND `
)

func scanToken(r row, more ...any) (oauth.TokenInfo, error) {
	var t oauth.TokenInfo
	var scope, resource string
	var jkt, x5t *string
	var issued, expires int64
	g, err := scanGrant(r, append([]any{&scope, &resource, &jkt, &x5t, &issued, &expires}, more...)...)
	if err != nil {
		return oauth.TokenInfo{}, err
	}
	if err := json.Unmarshal([]byte(resource), &t.Resource); err != nil {
		return oauth.TokenInfo{}, fmt.Errorf("access token of grant %v: resource: %w", g.ID, err)
	}
	t.Grant, t.Scope, t.Binding = g, strings.Fields(scope), binding(jkt, x5t)
	t.Issued, t.Expires = at(issued), at(expires)
	return t, nil
}

// LiveGrant implements oauth.Tokens.
func (s *Store) LiveGrant(ctx context.Context, grant identity.ID, now time.Time) (oauth.Grant, error) {
	g, err := scanGrant(s.db.queryRow(ctx, `SELECT `+grantColumns+grantFrom+aliveAt("$2"), bin(grant), ms(now)))
	return g, notFound(err, "reading a grant")
}

// known passes the answers the rooms know and gives the others their context.
func known(err error, doing string) error {
	for _, e := range []error{identity.ErrNotFound, identity.ErrSpent, identity.ErrEnded, identity.ErrConflict, identity.ErrConsent, identity.ErrScope} {
		if errors.Is(err, e) {
			return err
		}
	}
	if errors.Is(err, errText) {
		// A lookup by text the databases cannot hold: there is no such row.
		return identity.ErrNotFound
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// notFound is known for a read of one row.
func notFound(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoRows):
		return identity.ErrNotFound
	}
	return known(err, doing)
}

// wrap is known for operations that usually succeed.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return known(err, doing)
}
