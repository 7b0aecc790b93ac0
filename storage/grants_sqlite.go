package storage

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ecardid/identity"
	"ecardid/oauth"
)

// liteHot holds the hot operations as short transactions. The writer runs one at
// a time, so what a transaction reads stays true until it is committed.
type liteHot struct{ db db }

func (h liteHot) issueCode(ctx context.Context, n oauth.NewCode) error {
	g := n.Grant
	return h.db.tx(ctx, func(ctx context.Context, tx db) error {
		var epoch, clientEpoch int64
		var sitting identity.ID
		err := tx.queryRow(ctx, `SELECT l.epoch, k.epoch, coalesce(l.session, l.id) FROM logins l JOIN citizens c ON c.id = l.citizen_id JOIN clients k ON k.id = $4
 WHERE l.id = $1 AND l.citizen_id = $2 AND l.ended_at IS NULL AND l.expires_at > $3 AND l.idle_at > $3
   AND l.epoch = c.epoch AND c.state = 'normal' AND (k.state = 'live' OR k.state = 'testing' AND k.epoch = $5)`,
			bin(g.Login), bin(g.Citizen), ms(g.Created), g.ClientID, n.Epoch).Scan(&epoch, &clientEpoch, &sitting)
		if errors.Is(err, errNoRows) {
			return identity.ErrEnded
		}
		if err != nil {
			return err
		}
		if !g.Session.IsZero() {
			sitting = g.Session
		}
		names, terms := agreed(n)
		if !n.Consent && !n.FirstParty {
			var given int
			if err := tx.queryRow(ctx, `SELECT count(*) FROM consents WHERE citizen_id = $1 AND client_id = $2
 AND (scope, terms) IN (SELECT s.value, t.value FROM json_each($3) s JOIN json_each($5) t ON t.key = s.key)
 AND (expires_at IS NULL OR expires_at > $4)`,
				bin(g.Citizen), g.ClientID, jsonText(names), ms(g.Created), jsonText(terms)).Scan(&given); err != nil {
				return err
			}
			if given != len(names) {
				return identity.ErrConsent
			}
		}
		if len(n.Interaction) > 0 {
			if err := only(ctx, tx, identity.ErrSpent, `DELETE FROM requests WHERE handle = $1 AND client_id = $2 AND expires_at > $3`,
				n.Interaction, g.ClientID, ms(g.Created)); err != nil {
				return err
			}
		}
		// A code that is there is a device code, and somebody else has answered it.
		if err := only(ctx, tx, identity.ErrSpent, `INSERT INTO grants (id, client_id, citizen_id, login_id, epoch, client_epoch, scope, resource, redirect_uri,
  nonce, auth, offline, opaque, jkt, x5t, code, code_expires_at, code_challenge, code_jkt, created_at, expires_at, session, details, claims)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) ON CONFLICT (code) DO NOTHING`,
			bin(g.ID), g.ClientID, bin(g.Citizen), bin(g.Login), epoch, clientEpoch, strings.Join(g.Scope, " "), resourceText(g.Resource), g.RedirectURI,
			g.Nonce, jsonText(authJSON{g.ACR, g.AMR, ms(g.AuthTime)}), g.Offline, g.Opaque, orNull(g.Binding.JKT), orNull(g.Binding.X5T),
			n.Code, ms(n.CodeExpires), n.Challenge, orNull(n.CodeJKT), ms(g.Created), ms(g.Expires),
			bin(sitting), orNull(string(g.Details)), claimsOrNull(g.Claims)); err != nil {
			return err
		}
		if !n.Consent {
			return nil
		}
		for i, name := range names {
			if _, err := tx.exec(ctx, `INSERT INTO consents (citizen_id, client_id, scope, terms, given_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
 ON CONFLICT (citizen_id, client_id, scope) DO UPDATE SET terms = excluded.terms, given_at = excluded.given_at, expires_at = excluded.expires_at`,
				bin(g.Citizen), g.ClientID, name, terms[i], ms(g.Created), msOrNull(n.ConsentExpires)); err != nil {
				return err
			}
		}
		return record(ctx, tx, n.Event)
	})
}

var liteRedeem = `SELECT ` + grantColumns + `
  FROM grants g JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id
 WHERE g.code = $2 AND g.client_id = $3 AND g.redirect_uri = $4 AND g.code_challenge = $5
   AND (g.code_jkt IS NULL OR g.code_jkt = $6) AND g.code_used_at IS NULL AND g.code_expires_at > $1 AND ` + rootAliveAt("$1")

func (h liteHot) redeem(ctx context.Context, r oauth.Redemption) (g oauth.Grant, err error) {
	err = h.spending(ctx, r.Once, r.Now, func(ctx context.Context, tx db) error {
		if g, err = scanGrant(tx.queryRow(ctx, liteRedeem, ms(r.Now), r.Code, r.ClientID, r.RedirectURI, r.Challenge, orNull(r.JKT))); err != nil {
			return err
		}
		if !contains(g.Scope, r.Access.Scope) {
			return identity.ErrScope
		}
		g.Binding = r.Binding
		if _, err := tx.exec(ctx, `UPDATE grants SET code_used_at = $1, jkt = $2, x5t = $3, refresh = $4, refresh_family = $5, refresh_idle_at = $6 WHERE id = $7`,
			ms(r.Now), orNull(r.Binding.JKT), orNull(r.Binding.X5T), nilBytes(r.Refresh), nilBytes(r.Family), msOrNull(r.RefreshIdle), bin(g.ID)); err != nil {
			return err
		}
		return h.access(ctx, tx, g, r.Access, ms(r.Now))
	})
	return g, err
}

// access stores the prepared opaque token if the grant wants one.
func (h liteHot) access(ctx context.Context, tx db, g oauth.Grant, a oauth.NewAccess, now int64) error {
	if !g.Opaque {
		return nil
	}
	scope, resource := g.Scope, g.Resource
	if a.Scope != nil {
		scope = a.Scope
	}
	if a.Resource != nil {
		resource = a.Resource
	}
	scope = slices.DeleteFunc(slices.Clone(scope), func(s string) bool { return slices.Contains(a.Without, s) })
	bound := accessBinding(a.Binding, g.Binding)
	_, err := tx.exec(ctx, `INSERT INTO access_tokens (token, grant_id, citizen_id, client_id, scope, resource, jkt, x5t, created_at, expires_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, nilBytes(a.Token), bin(g.ID), bin(g.Citizen), g.ClientID, strings.Join(scope, " "),
		resourceText(resource), orNull(bound.JKT), orNull(bound.X5T), now, ms(a.Expires))
	return err
}

var liteRefresh = `SELECT ` + grantColumns + `, g.refresh_idle_at
  FROM grants g JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id
 WHERE g.refresh = $2 AND g.client_id = $3
   AND (g.jkt IS NULL OR g.jkt = $4) AND g.refresh_idle_at > $1 AND ` + rootAliveAt("$1")

func (h liteHot) refresh(ctx context.Context, r oauth.Refreshing) (g oauth.Grant, err error) {
	var moves, changes bool
	read := func(ctx context.Context, d db) error {
		var idle int64
		g, err = scanGrant(d.queryRow(ctx, liteRefresh, ms(r.Now), r.Token, r.ClientID, orNull(r.JKT)), &idle)
		moves = idle < ms(r.RefreshIdle.Add(-r.RefreshIdle.Sub(r.Now)/10))
		changes = contains(g.Scope, r.Access.Scope) && (r.Next != nil || g.Opaque || moves)
		return err
	}
	if len(r.Once) == 0 {
		// Most refreshes change nothing; they do not wait for the writer.
		if err := read(ctx, h.db); err != nil || !changes {
			return g, err
		}
	}
	err = h.spending(ctx, r.Once, r.Now, func(ctx context.Context, tx db) error {
		if err := read(ctx, tx); err != nil || !changes {
			return err
		}
		if r.Next != nil {
			if _, err := tx.exec(ctx, `UPDATE grants SET refresh = $1, refresh_idle_at = $2 WHERE id = $3`, r.Next, ms(r.RefreshIdle), bin(g.ID)); err != nil {
				return err
			}
		} else if moves {
			if _, err := tx.exec(ctx, `UPDATE grants SET refresh_idle_at = $1 WHERE id = $2`, ms(r.RefreshIdle), bin(g.ID)); err != nil {
				return err
			}
		}
		return h.access(ctx, tx, g, r.Access, ms(r.Now))
	})
	return g, err
}

var liteExchange = `SELECT ` + grantColumns + `, g.epoch, k.epoch, g.auth
  FROM grants g JOIN logins l ON l.id = g.login_id JOIN citizens c ON c.id = g.citizen_id JOIN clients k ON k.id = $3
 WHERE g.id = $2 AND k.state = 'live' AND l.expires_at > $1 AND l.idle_at > $1 AND ` + mayExchangeAt("$1")

func (h liteHot) exchange(ctx context.Context, x oauth.Exchange) (child oauth.Grant, err error) {
	err = h.spending(ctx, x.Once, x.Now, func(ctx context.Context, tx db) error {
		var epoch, clientEpoch int64
		var auth string
		g, err := scanGrant(tx.queryRow(ctx, liteExchange, ms(x.Now), bin(x.Parent), x.ClientID), &epoch, &clientEpoch, &auth)
		if err != nil {
			return err
		}
		if !contains(g.Scope, x.Scope) || !contains(x.Scope, x.Access.Scope) {
			return identity.ErrScope
		}
		if _, err := tx.exec(ctx, `INSERT INTO grants (id, client_id, citizen_id, login_id, epoch, client_epoch, parent_id, scope, resource, redirect_uri,
  nonce, auth, offline, opaque, jkt, x5t, code_challenge, created_at, expires_at, session, act)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', '', $10, FALSE, $11, $12, $13, '', $14, $15, $16, $17)`,
			bin(x.ID), x.ClientID, bin(g.Citizen), bin(g.Login), epoch, clientEpoch, bin(g.ID), strings.Join(x.Scope, " "), resourceText(x.Resource),
			auth, x.Opaque, orNull(x.Access.Binding.JKT), orNull(x.Access.Binding.X5T), ms(x.Now), min(ms(x.Expires), ms(g.Expires)), bin(g.Session), orNull(string(x.Act))); err != nil {
			return err
		}
		if child, err = scanGrant(tx.queryRow(ctx, `SELECT `+grantColumns+` FROM grants g WHERE g.id = $1`, bin(x.ID))); err != nil {
			return err
		}
		if child.Expires.Before(x.Access.Expires) {
			x.Access.Expires = child.Expires
		}
		return h.access(ctx, tx, child, x.Access, ms(x.Now))
	})
	return child, err
}

func (h liteHot) storeRequest(ctx context.Context, r oauth.StoredRequest, params []byte, once []oauth.Once) error {
	return h.spending(ctx, once, r.Created, func(ctx context.Context, tx db) error {
		_, err := tx.exec(ctx, `INSERT INTO requests (handle, kind, client_id, params, browser, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`, requestArgs(r, params)...)
		return err
	})
}
