package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
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
	exchange(ctx context.Context, x oauth.Exchange) (oauth.Grant, error)
	storeRequest(ctx context.Context, r oauth.StoredRequest, params []byte, once []oauth.Once) error
	// write runs a statement that changes one row and returns of it, after spending once.
	// $FRESH stands where it must stop when something was used before.
	write(ctx context.Context, once []oauth.Once, now time.Time, statement string, args ...any) row
	// ask reads one row after spending once.
	ask(ctx context.Context, once []oauth.Once, now time.Time, q question, args ...any) row
}

// served is the condition under which somebody is served for client k, whom a grant says
// that it was given to. A client that is being tested has no grant of anybody else: the
// statement that issues a code compares the epoch under which its citizen was looked at.
const served = ` k.state IN ('live', 'testing') `

// alive is the condition under which a grant g is, joined with its login l and
// its citizen c; $NOW stands for the parameter that holds the time. It is the one place that says so
// (DESIGN D3), and every statement that uses a grant contains it. A device has no
// line here: ending one ends the logins that stand on it, and no login is made on
// one that has ended.
//
// A grant is found by its keys alone: the "+ 0" here, and what stands behind client_id
// and around citizen_id and login_id elsewhere, keep the planner from walking along another
// index of the same table, which costs as little while it is empty and goes on when it is not.
const alive = ` g.revoked_at IS NULL AND g.expires_at + 0 > $NOW
 AND l.ended_at IS NULL AND (g.offline OR l.expires_at > $NOW AND l.idle_at > $NOW)
 AND g.epoch = c.epoch AND l.epoch = c.epoch AND c.state = 'normal'
 AND EXISTS (SELECT 1 FROM clients k WHERE k.id = g.client_id AND` + served + `AND k.epoch = g.client_epoch) `

// maxLineage is how many grants a grant may descend from: of services that call each
// other on behalf of a citizen, four in a row are many.
const maxLineage = 4

// lineage is the condition under which the grants that grant g descends from are alive
// too, at most that many of them: a child dies with any of them, and when one is
// not there any more. It shares login and citizen with all of them. The walk goes on from
// one that is alive to the one before it, and has to arrive at one that came of no other.
//
// It is one walk and not a condition within a condition for each generation, which
// PostgreSQL prepares anew, all of them, for each grant that came of no other and
// needs none: that was more than half of what it did for an introspection.
func lineage(generations int) string {
	const living = ` p.revoked_at IS NULL AND p.expires_at + 0 > $NOW AND pk.id = p.client_id AND pk.state IN ('live', 'testing') AND pk.epoch = p.client_epoch`
	return fmt.Sprintf(`(g.parent_id IS NULL OR EXISTS (WITH RECURSIVE up (above, n) AS (
 SELECT p.parent_id, 1 FROM grants p, clients pk WHERE p.id = g.parent_id AND%s
 UNION ALL SELECT p.parent_id, up.n + 1 FROM up, grants p, clients pk WHERE up.n < %d AND p.id = up.above AND%s)
 SELECT 1 FROM up WHERE up.above IS NULL))`, living, generations, living)
}

// aliveAt puts the number of the parameter that holds the time into alive.
func aliveAt(param string) string { return asOf(alive+" AND "+lineage(maxLineage), param) }

// rootAliveAt is aliveAt for a grant that is found by a code or a refresh token: one
// that came of another has neither, so there is nothing above it to look at.
func rootAliveAt(param string) string { return asOf(alive+" AND g.parent_id IS NULL", param) }

// asOf puts the number of the parameter that holds the time into a condition.
func asOf(condition, param string) string { return strings.ReplaceAll(condition, "$NOW", param) }

// grantColumns are what scanGrant reads, of a grants row called g.
const grantColumns = ` g.id, g.client_id, g.citizen_id, g.login_id, g.scope, g.resource, g.redirect_uri, g.nonce,
 g.auth, g.offline, g.opaque, g.created_at, g.expires_at, g.jkt, g.x5t, coalesce(g.session, g.login_id) AS session, g.details, g.claims, g.parent_id, g.act `

// authJSON is the auth column.
type authJSON struct {
	ACR  string   `json:"acr,omitempty"`
	AMR  []string `json:"amr,omitempty"`
	Time int64    `json:"auth_time"`
}

func scanGrant(r row, more ...any) (oauth.Grant, error) {
	var row struct { // one piece of memory, for what is read on every request
		g                    oauth.Grant
		scope, resource      string
		auth                 []byte
		created, expires     int64
		jkt, x5t             nullable
		details, claims, act nullable
	}
	g := &row.g
	dest := append(make([]any, 0, 20+len(more)), &g.ID, &g.ClientID, &g.Citizen, &g.Login, &row.scope, &row.resource, &g.RedirectURI, &g.Nonce,
		&row.auth, &g.Offline, &g.Opaque, &row.created, &row.expires, &row.jkt, &row.x5t, &g.Session, &row.details, &row.claims, &g.Parent, &row.act)
	if err := r.Scan(append(dest, more...)...); err != nil {
		return oauth.Grant{}, err
	}
	var a authJSON
	if err := json.Unmarshal(row.auth, &a); err != nil {
		return oauth.Grant{}, fmt.Errorf("grant %v: auth: %w", g.ID, err)
	}
	var err error
	if g.Resource, err = textList(row.resource); err != nil {
		return oauth.Grant{}, fmt.Errorf("grant %v: resource: %w", g.ID, err)
	}
	if row.claims != "" {
		if err := json.Unmarshal([]byte(row.claims), &g.Claims); err != nil {
			return oauth.Grant{}, fmt.Errorf("grant %v: claims: %w", g.ID, err)
		}
	}
	g.Details, g.Act = row.details.json(), row.act.json()
	g.Scope = strings.Fields(row.scope)
	g.ACR, g.AMR, g.AuthTime = a.ACR, a.AMR, at(a.Time)
	g.Created, g.Expires = at(row.created), at(row.expires)
	g.Binding = oauth.Binding{JKT: string(row.jkt), X5T: string(row.x5t)}
	return *g, nil
}

// claimsOrNull keeps no claims as NULL.
func claimsOrNull(c oauth.ClaimNames) any {
	if c.IsZero() {
		return nil
	}
	return jsonText(c)
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

// agreed are the names that consent to a new grant is kept under, each once, and what
// each stands for.
func agreed(n oauth.NewCode) (names, terms []string) {
	all := n.Agree
	if all == nil {
		all = n.Grant.Scope
	}
	names, terms = []string{}, []string{} // a NULL array is not an empty one
	for i, name := range all {
		if slices.Contains(names, name) {
			continue
		}
		term := ""
		if i < len(n.Terms) {
			term = n.Terms[i]
		}
		names, terms = append(names, name), append(terms, term)
	}
	return names, terms
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
	err = s.unsent(ctx, err, r.Once, r.Now)
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
	spent, err := s.cameBack(ctx, "code", r.ClientID, r.Now, `code = $1 AND client_id = $2 AND redirect_uri = $3 AND code_challenge = $4
   AND (code_jkt IS NULL OR code_jkt = $5) AND code_used_at IS NOT NULL`, r.Code, r.ClientID, r.RedirectURI, r.Challenge, orNull(r.JKT))
	if err != nil {
		return err
	}
	if spent {
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
	err = s.unsent(ctx, err, r.Once, r.Now)
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
	spent, err := s.cameBack(ctx, "refresh token", r.ClientID, r.Now, `refresh_family = $1 AND refresh <> $2 AND client_id = $3 AND (jkt IS NULL OR jkt = $4)`,
		nilBytes(r.Family), r.Token, r.ClientID, orNull(r.JKT))
	if err != nil {
		return err
	}
	if spent {
		return identity.ErrSpent
	}
	return identity.ErrNotFound
}

// cameBack looks for the grant that something spent was of, and revokes it with its
// entry in the trail. One that was revoked before has its entry from then.
func (s *Store) cameBack(ctx context.Context, what, clientID string, now time.Time, where string, args ...any) (found bool, err error) {
	var live bool
	look := func(ctx context.Context, d db) error {
		err := d.queryRow(ctx, `SELECT revoked_at IS NULL FROM grants WHERE `+where, args...).Scan(&live)
		if found = err == nil; errors.Is(err, errNoRows) {
			live, err = false, nil
		}
		return err
	}
	// Mostly it is somebody's guess, and that is to cost one round trip. On SQLite what
	// spent it may not be committed yet, so only the writer can tell.
	if s.dialect == postgres {
		if err := look(ctx, s.db); err != nil || !live {
			return found, err
		}
	}
	err = s.db.tx(ctx, func(ctx context.Context, tx db) error {
		if err := look(ctx, tx); err != nil || !live {
			return err
		}
		e := audit.Event{Kind: audit.GrantReplayed, At: now, Actor: audit.BySystem, Client: clientID, Reason: what}
		err := tx.queryRow(ctx, fmt.Sprintf(`UPDATE grants SET revoked_at = $%d WHERE %s AND revoked_at IS NULL RETURNING citizen_id, login_id`, len(args)+1, where),
			append(slices.Clone(args), ms(now))...).Scan(&e.Citizen, &e.Login)
		if errors.Is(err, errNoRows) {
			return nil // somebody else did, in this moment
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	return found, err
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
func (s *Store) Token(ctx context.Context, token []byte, now time.Time, once ...oauth.Once) (oauth.TokenInfo, error) {
	t, err := scanToken(s.hot.ask(ctx, once, now, tokenQuestion, token, ms(now)))
	return t, notFound(err, "reading a token")
}

const (
	tokenColumns = `, t.scope, t.resource, t.jkt, t.x5t, t.created_at, t.expires_at `
	tokenFrom    = ` FROM access_tokens t JOIN grants g ON g.id = t.grant_id
 JOIN logins l ON l.id = nullif(g.login_id, '') JOIN citizens c ON c.id = nullif(g.citizen_id, '')
 WHERE t.token = $1 AND t.expires_at > $2 AND `
	grantFrom = ` FROM grants g JOIN logins l ON l.id = nullif(g.login_id, '') JOIN citizens c ON c.id = nullif(g.citizen_id, '')
 WHERE g.id = $1 AND `
)

var (
	tokenQuestion = newQuestion("", grantColumns+tokenColumns, tokenFrom+aliveAt("$2"))
	grantQuestion = newQuestion("", grantColumns, grantFrom+aliveAt("$2"))
)

func scanToken(r row, more ...any) (oauth.TokenInfo, error) {
	var row struct {
		scope, resource string
		jkt, x5t        nullable
		issued, expires int64
	}
	g, err := scanGrant(r, append([]any{&row.scope, &row.resource, &row.jkt, &row.x5t, &row.issued, &row.expires}, more...)...)
	if err != nil {
		return oauth.TokenInfo{}, err
	}
	t := oauth.TokenInfo{
		Grant: g, Scope: strings.Fields(row.scope), Binding: oauth.Binding{JKT: string(row.jkt), X5T: string(row.x5t)},
		Issued: at(row.issued), Expires: at(row.expires),
	}
	if t.Resource, err = textList(row.resource); err != nil {
		return oauth.TokenInfo{}, fmt.Errorf("access token of grant %v: resource: %w", g.ID, err)
	}
	return t, nil
}

// LiveGrant implements oauth.Tokens.
func (s *Store) LiveGrant(ctx context.Context, grant identity.ID, now time.Time, once ...oauth.Once) (oauth.Grant, error) {
	g, err := scanGrant(s.hot.ask(ctx, once, now, grantQuestion, bin(grant), ms(now)))
	return g, notFound(err, "reading a grant")
}

// answers reports whether err is one of the answers the rooms know.
func answers(err error) bool {
	for _, e := range []error{identity.ErrNotFound, identity.ErrSpent, identity.ErrReplayed, identity.ErrEnded, identity.ErrConflict, identity.ErrConsent, identity.ErrScope} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// known passes the answers the rooms know and gives the others their context.
func known(err error, doing string) error {
	if answers(err) {
		return err
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
