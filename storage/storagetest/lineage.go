package storagetest

import (
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

func exchangeChecks() []check {
	return []check{
		{"a-child-is-as-it-was-asked-for", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			f := w.family(l, opaque, offline, func(n *oauth.NewCode) {
				n.Grant.Details, n.Grant.Claims = []byte(`[{"type":"t"}]`), oauth.ClaimNames{UserInfo: []string{"email"}}
			})
			x := w.exchange(f.Grant, "openid", "phone")
			x.ClientID, x.Opaque = w.service(), true
			x.Access.Binding, x.Access.Scope = oauth.Binding{JKT: "a key"}, []string{"phone"}
			g, err := w.s.Exchange(ctx, x)
			w.is("exchanging", err, nil)
			if g.ID != x.ID || g.ClientID != x.ClientID || g.Citizen != w.citizen || g.Login != l.ID || g.Session != f.Session || g.Parent != f.ID || string(g.Act) != string(x.Act) ||
				!slices.Equal(g.Scope, x.Scope) || !slices.Equal(g.Resource, x.Resource) || g.ACR != f.ACR || !slices.Equal(g.AMR, f.AMR) || !g.AuthTime.Equal(f.AuthTime) ||
				g.Offline || !g.Opaque || g.Nonce != "" || g.RedirectURI != "" || !g.Created.Equal(w.now) || !g.Expires.Equal(x.Expires) || g.Binding.JKT != "a key" ||
				g.Details != nil || !g.Claims.IsZero() {
				w.Errorf("%+v", g)
			}
			got, err := w.s.Token(ctx, x.Access.Token, w.now)
			if err != nil || got.Grant.ID != g.ID || !slices.Equal(got.Scope, []string{"phone"}) || !slices.Equal(got.Resource, x.Resource) || got.Binding.JKT != "a key" || !got.Expires.Equal(x.Access.Expires) {
				w.Errorf("%+v, %v", got, err)
			}
			x = w.exchange(f.Grant)
			x.Expires = w.now.AddDate(10, 0, 0)
			g, err = w.s.Exchange(ctx, x)
			if err != nil || !g.Expires.Equal(f.Expires) || len(g.Scope) != 0 {
				w.Errorf("%+v, %v", g, err)
			}
			_, err = w.s.Token(ctx, x.Access.Token, w.now)
			w.is("the token of a JWT", err, identity.ErrNotFound)
			_, err = w.s.Exchange(ctx, x)
			w.fault("an id that is taken", err)
		}},
		{"refused", func(w *world) {
			ctx := w.Context()
			f := w.family(w.signIn(identity.ID{}))
			suspended := w.service()
			w.ok(w.s.SuspendClient(ctx, suspended, w.now, w.clientEvent(audit.ClientSuspended)))
			for what, c := range map[string]struct {
				change func(*oauth.Exchange)
				want   error
			}{
				"more scope":         {func(x *oauth.Exchange) { x.Scope = []string{"openid", "payments"} }, identity.ErrScope},
				"a wider token":      {func(x *oauth.Exchange) { x.Access.Scope = []string{"profile"} }, identity.ErrScope},
				"unknown parent":     {func(x *oauth.Exchange) { x.Parent = identity.NewID() }, identity.ErrNotFound},
				"no parent":          {func(x *oauth.Exchange) { x.Parent = identity.ID{} }, identity.ErrNotFound},
				"unknown client":     {func(x *oauth.Exchange) { x.ClientID = "unknown" }, identity.ErrNotFound},
				"a suspended client": {func(x *oauth.Exchange) { x.ClientID = suspended }, identity.ErrNotFound},
				"text of no sense":   {func(x *oauth.Exchange) { x.ClientID = "a\x00b" }, identity.ErrNotFound},
			} {
				x := w.exchange(f.Grant, "openid")
				x.Opaque = true
				c.change(&x)
				_, err := w.s.Exchange(ctx, x)
				w.is(what, err, c.want)
				_, err = w.s.LiveGrant(ctx, x.ID, w.now)
				w.is(what+": the child", err, identity.ErrNotFound)
				_, err = w.s.Token(ctx, x.Access.Token, w.now)
				w.is(what+": its token", err, identity.ErrNotFound)
			}
		}},
		{"four-in-a-row", func(w *world) {
			g := w.family(w.signIn(identity.ID{})).Grant
			for i := range 5 {
				child, err := w.s.Exchange(w.Context(), w.exchange(g, "openid"))
				if i == 4 {
					w.is("the fifth", err, identity.ErrConflict)
					break
				}
				w.ok(err)
				_, err = w.s.LiveGrant(w.Context(), child.ID, w.now)
				w.is("alive", err, nil)
				g = child
			}
		}},
		{"dead-with-any-of-its-ancestors", func(w *world) {
			ctx := w.Context()
			for generation := range 4 {
				for what, kill := range map[string]func(w *world, g oauth.Grant){
					"revoked": func(w *world, g oauth.Grant) {
						w.ok(w.s.RevokeGrant(ctx, g.ID, g.ClientID, w.now, w.clientEvent(audit.GrantRevoked)))
					},
					"its client suspended": func(w *world, g oauth.Grant) {
						w.ok(w.s.SuspendClient(ctx, g.ClientID, w.now, w.clientEvent(audit.ClientSuspended)))
					},
					"its client suspended and live again": func(w *world, g oauth.Grant) {
						w.ok(w.s.SuspendClient(ctx, g.ClientID, w.now, w.clientEvent(audit.ClientSuspended)))
						w.ok(w.s.ApplyClient(ctx, oauth.Client{ID: g.ClientID, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
					},
					"its client withdrawn": func(w *world, g oauth.Grant) {
						w.ok(w.s.WithdrawClient(ctx, g.ClientID, w.now, w.clientEvent(audit.ClientSuspended)))
					},
					"its consent withdrawn": func(w *world, g oauth.Grant) {
						w.ok(w.s.WithdrawConsent(ctx, w.citizen, g.ClientID, w.now, w.event(audit.ConsentWithdrawn)))
					},
				} {
					if what != "revoked" && generation != 1 {
						continue // whose it is makes no difference to how far down it is found
					}
					d := w.beside()
					chain := []oauth.Grant{d.family(d.signIn(identity.ID{})).Grant}
					for range 4 {
						x := d.exchange(chain[len(chain)-1], "openid")
						x.ClientID, x.Opaque = d.service(), true
						child, err := d.s.Exchange(ctx, x)
						d.ok(err)
						_, err = d.s.Token(ctx, x.Access.Token, d.now)
						d.is("its token", err, nil)
						chain = append(chain, child)
					}
					kill(d, chain[generation])
					for i, g := range chain {
						_, err := d.s.LiveGrant(ctx, g.ID, d.now)
						if i < generation {
							d.is("above", err, nil)
						} else {
							d.is(what+": below", err, identity.ErrNotFound)
						}
						_, err = d.s.Exchange(ctx, d.exchange(g, "openid"))
						if i >= generation {
							d.is(what+": a new child", err, identity.ErrNotFound)
						}
					}
				}
			}
		}},
		{"dead-with-login-and-citizen", func(w *world) {
			for what, kill := range deaths() {
				d := w.beside()
				l := d.signIn(identity.ID{})
				f := d.family(l, offline)
				x := d.exchange(f.Grant, "openid")
				x.ClientID, x.Expires = d.service(), d.now.AddDate(1, 0, 0)
				child, err := d.s.Exchange(d.Context(), x)
				d.ok(err)
				kill.do(d, l, f.ID)
				_, err = d.s.LiveGrant(d.Context(), child.ID, d.now)
				d.is(what, err, identity.ErrNotFound)
				_, err = d.s.Exchange(d.Context(), d.exchange(f.Grant, "openid"))
				d.is(what+": a new child", err, identity.ErrNotFound)
			}
		}},
		{"an-ancestor-that-was-swept-is-a-dead-one", func(w *world) {
			ctx := w.Context()
			parent := w.family(w.signIn(identity.ID{})).Grant
			x := w.exchange(parent, "openid")
			x.ClientID, x.Expires = w.service(), w.now.AddDate(0, 0, 20)
			child, err := w.s.Exchange(ctx, x)
			w.ok(err)
			w.ok(w.s.RevokeGrant(ctx, parent.ID, w.client, w.now.Add(-30*24*time.Hour), w.clientEvent(audit.GrantRevoked)))
			_, err = w.s.Sweep(ctx, w.now)
			w.ok(err)
			_, err = w.s.LiveGrant(ctx, child.ID, w.now)
			w.is("the child", err, identity.ErrNotFound)
		}},
	}
}
