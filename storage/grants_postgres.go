package storage

import (
	"context"
	"strings"

	"ecardid/identity"
	"ecardid/oauth"
)

// pgHot holds the hot operations as single statements. A data-modifying WITH is
// one transaction and one round trip; each part sees the tables as they were
// before it, so the parts speak to each other through RETURNING alone.
type pgHot struct{ db db }

// pgIssue: who is alive → may they (consent) → is the stored request still
// there → grant, consents, event. Each step stands on the rows of the one
// before, so a "no" anywhere changes nothing.
const pgIssue = `
WITH live AS (
  SELECT l.epoch, k.epoch AS client_epoch, coalesce(l.session, l.id) AS session FROM logins l JOIN citizens c ON c.id = l.citizen_id JOIN clients k ON k.id = $4
   WHERE l.id = $1 AND l.citizen_id = $2 AND l.ended_at IS NULL AND l.expires_at > $3 AND l.idle_at > $3
     AND l.epoch = c.epoch AND c.state = 'normal' AND (k.state = 'live' OR k.state = 'testing' AND k.epoch = $42)
), may AS (
  SELECT epoch, client_epoch, session FROM live WHERE $5::boolean OR $6::boolean OR
   (SELECT count(*) FROM (SELECT 1 FROM consents WHERE citizen_id = $2 AND client_id = $4 AND scope = ANY($7::text[])
       AND terms = ($37::text[])[array_position($7::text[], scope)] AND (expires_at IS NULL OR expires_at > $3) FOR KEY SHARE) given) = cardinality($7::text[])
), dropped AS (
  DELETE FROM requests WHERE handle = $8 AND client_id = $4 AND expires_at > $3 AND EXISTS (SELECT 1 FROM may) RETURNING 1
), go AS (
  SELECT epoch, client_epoch, session FROM may WHERE $8::bytea IS NULL OR EXISTS (SELECT 1 FROM dropped)
), issued AS (
  INSERT INTO grants (id, client_id, citizen_id, login_id, epoch, client_epoch, scope, resource, redirect_uri, nonce, auth, offline, opaque,
                      jkt, x5t, code, code_expires_at, code_challenge, code_jkt, created_at, expires_at, session, details, claims)
  SELECT $9, $4, $2, $1, epoch, client_epoch, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $3, $23, coalesce($38, session), $39, $40 FROM go
), agreed AS (
  INSERT INTO consents (citizen_id, client_id, scope, terms, given_at, expires_at)
  SELECT $2, $4, s, t, $3, $24 FROM go, unnest($7::text[], $37::text[]) u (s, t) WHERE $5::boolean
  ON CONFLICT (citizen_id, client_id, scope) DO UPDATE SET terms = excluded.terms, given_at = excluded.given_at, expires_at = excluded.expires_at
), noted AS (
  INSERT INTO audit (at, kind, actor, citizen_id, login_id, device_id, client_id, reason, detail, place, mac)
  SELECT $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $41 FROM go WHERE $5::boolean
), told AS (
  INSERT INTO notices (id, citizen_id, kind, detail, place, at) SELECT $35, $28, $26, $33, $34, $25 FROM go WHERE $36::boolean
)
SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM may), (SELECT count(*) FROM go)`

func (h pgHot) issueCode(ctx context.Context, n oauth.NewCode) error {
	g := n.Grant
	event := make([]any, 10) // no event: NULLs nobody reads
	event[0], event[1], event[2], event[7], event[8], event[9] = int64(0), "", "", "", "{}", ""
	var mac any
	if n.Consent {
		var err error
		if event, err = eventArgs(h.db, n.Event); err != nil {
			return err
		}
		event, mac = event[:10], event[10]
	}
	names, terms := agreed(n)
	var live, may, issued int
	err := h.db.queryRow(ctx, pgIssue, append([]any{
		bin(g.Login), bin(g.Citizen), ms(g.Created), g.ClientID, n.Consent, n.FirstParty, names, nilBytes(n.Interaction),
		bin(g.ID), strings.Join(g.Scope, " "), resourceText(g.Resource), g.RedirectURI, g.Nonce,
		jsonText(authJSON{g.ACR, g.AMR, ms(g.AuthTime)}), g.Offline, g.Opaque, orNull(g.Binding.JKT), orNull(g.Binding.X5T),
		n.Code, ms(n.CodeExpires), n.Challenge, orNull(n.CodeJKT), ms(g.Expires), msOrNull(n.ConsentExpires),
	}, append(event, bin(identity.NewID()), n.Consent && notifies(n.Event), terms,
		bin(g.Session), orNull(string(g.Details)), claimsOrNull(g.Claims), mac, n.Epoch)...)...).Scan(&live, &may, &issued)
	switch {
	case isConflict(err):
		return identity.ErrSpent // a device code that somebody else has answered
	case err != nil:
		return err
	case live == 0:
		return identity.ErrEnded
	case may == 0:
		return identity.ErrConsent
	case issued == 0:
		return identity.ErrSpent
	}
	return nil
}

func nilBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

var pgRedeem = newQuestion(`g AS (
  UPDATE grants g SET code_used_at = $1, jkt = $2, x5t = $3, refresh = $4, refresh_family = $18, refresh_idle_at = $5
    FROM logins l, citizens c
   WHERE g.code = $6 AND g.client_id || '' = $7 AND g.redirect_uri = $8 AND g.code_challenge = $9
     AND (g.code_jkt IS NULL OR g.code_jkt = $10) AND g.code_used_at IS NULL AND g.code_expires_at > $1
     AND ($14::text[] IS NULL OR $14::text[] <@ string_to_array(g.scope, ' '))
     AND l.id = nullif(g.login_id, '') AND c.id = nullif(g.citizen_id, '') AND $FRESH AND `+rootAliveAt("$1")+`
  RETURNING g.*
), t AS (
  INSERT INTO access_tokens (token, grant_id, citizen_id, client_id, scope, resource, jkt, x5t, created_at, expires_at)
  SELECT $11, g.id, g.citizen_id, g.client_id, `+pgTokenScope("g", "$14", "$15")+`, coalesce($12, g.resource), coalesce($16, g.jkt), coalesce($17, g.x5t), $1, $13 FROM g WHERE g.opaque
)`, grantColumns, ` FROM g`)

func (h pgHot) redeem(ctx context.Context, r oauth.Redemption) (oauth.Grant, error) {
	return scanGrant(h.ask(ctx, r.Once, r.Now, pgRedeem, ms(r.Now), orNull(r.Binding.JKT), orNull(r.Binding.X5T),
		nilBytes(r.Refresh), msOrNull(r.RefreshIdle), r.Code, r.ClientID, r.RedirectURI, r.Challenge, orNull(r.JKT),
		nilBytes(r.Access.Token), resourceOrNull(r.Access.Resource), ms(r.Access.Expires), scopeOrNull(r.Access.Scope), without(r.Access),
		orNull(r.Access.Binding.JKT), orNull(r.Access.Binding.X5T), nilBytes(r.Family)))
}

// pgTokenScope is an access token's scope: what was asked, or else the grant's own,
// without what is not carried on.
func pgTokenScope(grant, asked, without string) string {
	return `array_to_string(ARRAY(SELECT s FROM unnest(coalesce(` + asked + `::text[], string_to_array(` + grant + `.scope, ' '))) s WHERE s <> ALL (` + without + `::text[])), ' ')`
}

func scopeOrNull(scope []string) any {
	if scope == nil {
		return nil
	}
	return scope
}

func without(a oauth.NewAccess) []string {
	if a.Without == nil {
		return []string{}
	}
	return a.Without
}

func resourceOrNull(r []string) any {
	if r == nil {
		return nil
	}
	return resourceText(r)
}

// pgRefresh: without rotation and with a JWT it changes nothing but the idle end,
// and that only when it has moved by a tenth: a refresh is then a read. Of two
// rotations of one token the second waits for the first, finds another token and
// returns no row.
var pgRefresh = newQuestion(`g AS (
  SELECT g.* FROM grants g JOIN logins l ON l.id = nullif(g.login_id, '') JOIN citizens c ON c.id = nullif(g.citizen_id, '')
   WHERE g.refresh = $2 AND g.client_id || '' = $3
     AND (g.jkt IS NULL OR g.jkt = $4) AND g.refresh_idle_at > $1 AND $FRESH AND `+rootAliveAt("$1")+`
), ok AS (
  SELECT g.* FROM g WHERE $5::text[] IS NULL OR $5::text[] <@ string_to_array(g.scope, ' ')
), moved AS (
  UPDATE grants SET refresh = coalesce($6, grants.refresh), refresh_idle_at = $7
    FROM ok WHERE grants.id = ok.id AND grants.revoked_at IS NULL AND grants.refresh = ok.refresh
     AND ($6::bytea IS NOT NULL OR grants.refresh_idle_at < $8)
  RETURNING 1
), t AS (
  INSERT INTO access_tokens (token, grant_id, citizen_id, client_id, scope, resource, jkt, x5t, created_at, expires_at)
  SELECT $9, ok.id, ok.citizen_id, ok.client_id,
         `+pgTokenScope("ok", "$5", "$10")+`, coalesce($11, ok.resource), coalesce($13, ok.jkt), coalesce($14, ok.x5t), $1, $12
    FROM ok WHERE ok.opaque AND ($6::bytea IS NULL OR EXISTS (SELECT 1 FROM moved))
)`, grantColumns, ` FROM g WHERE $6::bytea IS NULL OR EXISTS (SELECT 1 FROM moved) OR NOT EXISTS (SELECT 1 FROM ok)`)

func (h pgHot) refresh(ctx context.Context, r oauth.Refreshing) (oauth.Grant, error) {
	return scanGrant(h.ask(ctx, r.Once, r.Now, pgRefresh, ms(r.Now), r.Token, r.ClientID, orNull(r.JKT),
		scopeOrNull(r.Access.Scope), nilBytes(r.Next), ms(r.RefreshIdle), ms(r.RefreshIdle.Add(-r.RefreshIdle.Sub(r.Now)/10)),
		nilBytes(r.Access.Token), without(r.Access), resourceOrNull(r.Access.Resource), ms(r.Access.Expires),
		orNull(r.Access.Binding.JKT), orNull(r.Access.Binding.X5T)))
}

// pgExchange: a parent that is alive and may have a child, and whose login will carry
// it → the child → its token. A child is never offline.
var pgExchange = newQuestion(`p AS (
  SELECT g.*, k.epoch AS for_epoch FROM grants g JOIN logins l ON l.id = nullif(g.login_id, '') JOIN citizens c ON c.id = nullif(g.citizen_id, '') JOIN clients k ON k.id = $4
   WHERE g.id = $2 AND k.state = 'live' AND l.expires_at > $1 AND l.idle_at > $1
     AND $5::text[] <@ string_to_array(g.scope, ' ') AND $FRESH AND `+mayExchangeAt("$1")+`
), g AS (
  INSERT INTO grants (id, client_id, citizen_id, login_id, epoch, client_epoch, parent_id, scope, resource, redirect_uri, nonce, auth, offline, opaque,
                      jkt, x5t, code_challenge, created_at, expires_at, session, act)
  SELECT $3, $4, p.citizen_id, p.login_id, p.epoch, p.for_epoch, p.id, $6, $7, '', '', p.auth, FALSE, $8::boolean, $9, $10, '', $1, least($11, p.expires_at),
         coalesce(p.session, p.login_id), $12 FROM p
  RETURNING *
), t AS (
  INSERT INTO access_tokens (token, grant_id, citizen_id, client_id, scope, resource, jkt, x5t, created_at, expires_at)
  SELECT $13, g.id, g.citizen_id, g.client_id, `+pgTokenScope("g", "$14", "$15")+`, coalesce($16, g.resource), g.jkt, g.x5t, $1, least($17, g.expires_at) FROM g WHERE g.opaque
)`, grantColumns, ` FROM g`)

func (h pgHot) exchange(ctx context.Context, x oauth.Exchange) (oauth.Grant, error) {
	return scanGrant(h.ask(ctx, x.Once, x.Now, pgExchange, ms(x.Now), bin(x.Parent), bin(x.ID), x.ClientID, append([]string{}, x.Scope...),
		strings.Join(x.Scope, " "), resourceText(x.Resource), x.Opaque, orNull(x.Access.Binding.JKT), orNull(x.Access.Binding.X5T), ms(x.Expires),
		orNull(string(x.Act)), nilBytes(x.Access.Token), scopeOrNull(x.Access.Scope), without(x.Access), resourceOrNull(x.Access.Resource), ms(x.Access.Expires)))
}

// pgStore keeps a request; "1" is the row that says so.
var pgStore = newQuestion(`kept AS (
  INSERT INTO requests (handle, kind, client_id, params, browser, created_at, expires_at) SELECT $1, $2, $3, $4, $5, $6, $7 WHERE $FRESH RETURNING 1 AS one
)`, `one`, ` FROM kept`)

func (h pgHot) storeRequest(ctx context.Context, r oauth.StoredRequest, params []byte, once []oauth.Once) error {
	var one int
	return h.ask(ctx, once, r.Created, pgStore, requestArgs(r, params)...).Scan(&one)
}
