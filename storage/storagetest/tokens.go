package storagetest

import (
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

func tokenChecks() []check {
	return []check{
		{"dead-for-every-layer", func(w *world) {
			for what, kill := range deaths() {
				for _, off := range []bool{false, true} {
					d := w.beside()
					l := d.signIn(identity.ID{})
					change := []func(*oauth.NewCode){opaque, func(n *oauth.NewCode) { n.Grant.Offline = off }}
					r := d.redemption(d.code(l, change...))
					r.Access.Expires, r.RefreshIdle = d.now.AddDate(1, 0, 0), d.now.AddDate(1, 0, 0)
					g, err := d.s.Redeem(d.Context(), r)
					d.ok(err)
					f := family{g, r.Refresh, r.Access.Token}
					d.accepted("before "+what, f, true)
					kill.do(d, l, g.ID)
					d.accepted("after "+what, f, kill.spares && off)
				}
			}
		}},
		{"dead-with-its-device", func(w *world) {
			phone := w.bindPhone(w.signIn(identity.ID{}))
			l := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID})
			f := w.family(l, opaque, offline)
			w.ok(w.s.EndDevice(w.Context(), w.citizen, phone.ID, identity.DeviceSuspended, nil, w.event(audit.DeviceEnded)))
			w.accepted("after", f, false)
		}},
		{"a-suspended-client-comes-back-empty-handed", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			f, code := w.family(l, opaque, offline), w.code(l)
			w.ok(w.s.SuspendClient(ctx, w.client, w.now, w.clientEvent(audit.ClientSuspended)))
			w.ok(w.s.ApplyClient(ctx, oauth.Client{ID: w.client, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
			w.accepted("old", f, false)
			_, err := w.s.Redeem(ctx, w.redemption(code))
			w.is("an old code", err, identity.ErrNotFound)
			w.accepted("new", w.family(l, opaque), true)
			// Applied as suspended is suspended.
			f = w.family(l, opaque)
			w.ok(w.s.ApplyClient(ctx, oauth.Client{ID: w.client, State: oauth.ClientSuspended}, w.clientEvent(audit.ClientApplied)))
			w.accepted("applied as suspended", f, false)
			w.ok(w.s.ApplyClient(ctx, oauth.Client{ID: w.client, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
			w.accepted("and live again", f, false)
		}},
		{"an-opaque-token", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			n := w.code(l, opaque)
			r := w.redemption(n)
			r.Access.Scope, r.Access.Without, r.Access.Resource = []string{"openid", "phone"}, []string{"phone"}, []string{"https://one.example"}
			r.Access.Binding = oauth.Binding{JKT: "a key"}
			g, err := w.s.Redeem(ctx, r)
			w.ok(err)
			got, err := w.s.Token(ctx, r.Access.Token, w.now)
			w.is("reading", err, nil)
			if !slices.Equal(got.Scope, []string{"openid"}) || !slices.Equal(got.Resource, []string{"https://one.example"}) || got.Binding.JKT != "a key" ||
				!got.Issued.Equal(w.now) || !got.Expires.Equal(r.Access.Expires) || got.Grant.ID != g.ID || !slices.Equal(got.Grant.Scope, n.Grant.Scope) {
				w.Errorf("%+v", got)
			}
			for _, token := range [][]byte{nil, {}, fresh(), r.Code, r.Refresh} {
				_, err := w.s.Token(ctx, token, w.now)
				w.is("another kind of secret", err, identity.ErrNotFound)
			}
			_, err = w.s.Token(ctx, r.Access.Token, r.Access.Expires)
			w.is("expired", err, identity.ErrNotFound)
			_, err = w.s.Refresh(ctx, w.refreshing(r.Access.Token))
			w.is("as a refresh token", err, identity.ErrNotFound)
			// A JWT leaves no row behind, though one was prepared.
			r = w.redemption(w.code(l))
			_, err = w.s.Redeem(ctx, r)
			w.ok(err)
			_, err = w.s.Token(ctx, r.Access.Token, w.now)
			w.is("of a JWT", err, identity.ErrNotFound)
			plain := w.family(l, opaque)
			got, err = w.s.Token(ctx, plain.access, w.now)
			if err != nil || !slices.Equal(got.Scope, plain.Scope) || !slices.Equal(got.Resource, plain.Resource) || got.Binding != (oauth.Binding{}) {
				w.Errorf("%+v, %v", got, err)
			}
			none := w.family(l, opaque, func(n *oauth.NewCode) { n.Grant.Resource, n.Grant.Scope = nil, []string{} })
			got, err = w.s.Token(ctx, none.access, w.now)
			if err != nil || len(got.Scope) != 0 || len(got.Resource) != 0 {
				w.Errorf("of nothing: %+v, %v", got, err)
			}
		}},
		{"userinfo", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			f := w.family(l, opaque)
			for _, how := range []struct {
				token []byte
				grant identity.ID
			}{{f.access, identity.ID{}}, {nil, f.ID}} {
				info, p, err := w.s.UserInfo(ctx, how.token, how.grant, []string{"name", "phone_number", "no_such_claim", "locale"}, w.now)
				w.is("reading", err, nil)
				if info.Grant.ID != f.ID || p.Citizen != w.citizen || p.Claims["name"] != fullName || p.Claims["phone_number"] != w.phone.Value || p.Claims["locale"] != "zh-CN" || p.Updated.IsZero() {
					w.Errorf("%+v %+v", info, p)
				}
				for _, not := range []string{"id_number", "card_number", "no_such_claim", "greeting"} {
					if _, ok := p.Claims[not]; ok {
						w.Errorf("%s was not asked for", not)
					}
				}
				_, p, err = w.s.UserInfo(ctx, how.token, how.grant, []string{"id_number", "card_number"}, w.now)
				if err != nil || p.Claims["id_number"] != w.id.Value || p.Claims["card_number"] != w.card.Value || len(p.Claims) != 2 {
					w.Errorf("%+v, %v", p, err)
				}
				_, p, err = w.s.UserInfo(ctx, how.token, how.grant, []string{"email", "email_verified", "address", "birthdate", "claims", "sub"}, w.now)
				if address, _ := p.Claims["address"].(map[string]any); err != nil || p.Claims["email"] != email || p.Claims["email_verified"] != true || address["street_address"] != street || len(p.Claims) != 3 {
					w.Errorf("%+v, %v", p, err)
				}
				_, p, err = w.s.UserInfo(ctx, how.token, how.grant, nil, w.now)
				if err != nil || len(p.Claims) != 0 {
					w.Errorf("%+v, %v", p, err)
				}
			}
			_, _, err := w.s.UserInfo(ctx, fresh(), f.ID, nil, w.now)
			w.is("an unknown token beside a live grant", err, identity.ErrNotFound)
			_, _, err = w.s.UserInfo(ctx, []byte{}, f.ID, nil, w.now)
			w.is("an empty token beside a live grant", err, identity.ErrNotFound)
			_, _, err = w.s.UserInfo(ctx, nil, identity.ID{}, nil, w.now)
			w.is("nothing", err, identity.ErrNotFound)
		}},
		{"revoked-by-its-client", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			one, two, three := w.family(l, opaque), w.family(l, opaque), w.family(l)
			revoke := func(token []byte, client string) {
				w.Helper()
				w.ok(w.s.RevokeToken(ctx, token, client, w.now, w.clientEvent(audit.GrantRevoked)))
				w.ok(w.s.RevokeFamily(ctx, familyOf(token), client, w.now, w.clientEvent(audit.GrantRevoked)))
			}
			other := w.beside()
			w.is("another's access token", w.s.RevokeToken(ctx, one.access, other.client, w.now, other.clientEvent(audit.GrantRevoked)), identity.ErrNotFound)
			w.is("another's family", w.s.RevokeFamily(ctx, familyOf(one.refresh), other.client, w.now, other.clientEvent(audit.GrantRevoked)), identity.ErrNotFound)
			revoke(fresh(), w.client)
			w.ok(w.s.RevokeGrant(ctx, three.ID, other.client, w.now, other.clientEvent(audit.GrantRevoked)))
			w.ok(w.s.RevokeGrant(ctx, identity.NewID(), w.client, w.now, w.clientEvent(audit.GrantRevoked)))
			w.accepted("after strangers tried", one, true)
			w.accepted("after strangers tried", three, true)
			if n := w.entries(audit.GrantRevoked); n != 0 {
				w.Errorf("%d entries of nothing", n)
			}
			revoke(one.access, w.client) // the one access token
			_, err := w.s.Token(ctx, one.access, w.now)
			w.is("the access token", err, identity.ErrNotFound)
			_, err = w.s.LiveGrant(ctx, one.ID, w.now)
			w.is("its family", err, nil)
			rotated := rotating(w.refreshing(two.refresh))
			_, err = w.s.Refresh(ctx, rotated)
			w.ok(err)
			revoke(two.refresh, w.client) // the one before the last rotation
			w.accepted("by an old refresh token", family{two.Grant, rotated.Next, two.access}, false)
			_, err = w.s.Token(ctx, rotated.Access.Token, w.now)
			w.is("a younger access token", err, identity.ErrNotFound)
			w.ok(w.s.RevokeGrant(ctx, three.ID, w.client, w.now, w.clientEvent(audit.GrantRevoked)))
			w.accepted("the grant", three, false)
		}},
	}
}

func refreshChecks() []check {
	return []check{
		{"without-rotation", func(w *world) {
			ctx := w.Context()
			f := w.family(w.signIn(identity.ID{}), opaque)
			for range 3 {
				r := w.refreshing(f.refresh)
				g, err := w.s.Refresh(ctx, r)
				w.is("refreshing", err, nil)
				if g.ID != f.ID || !slices.Equal(g.Scope, f.Scope) || g.Nonce != f.Nonce {
					w.Errorf("%+v", g)
				}
				_, err = w.s.Token(ctx, r.Access.Token, w.now)
				w.is("its token", err, nil)
			}
			_, err := w.s.Token(ctx, f.access, w.now)
			w.is("the first token", err, nil)
		}},
		{"refused", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			n := w.code(l, opaque)
			r := w.redemption(n)
			r.Binding.JKT = "the key"
			_, err := w.s.Redeem(ctx, r)
			w.ok(err)
			right := w.refreshing(r.Refresh)
			right.JKT = "the key"
			for what, wrong := range map[string]func(*oauth.Refreshing){
				"token":        func(r *oauth.Refreshing) { r.Token = fresh(); r.Family = familyOf(r.Token) },
				"no token":     func(r *oauth.Refreshing) { r.Token, r.Family = nil, nil },
				"access token": func(x *oauth.Refreshing) { x.Token, x.Family = r.Access.Token, familyOf(r.Access.Token) },
				"code":         func(x *oauth.Refreshing) { x.Token, x.Family = r.Code, familyOf(r.Code) },
				"client":       func(r *oauth.Refreshing) { r.ClientID = w.beside().client },
				"key":          func(r *oauth.Refreshing) { r.JKT = "another" },
				"no key":       func(r *oauth.Refreshing) { r.JKT = "" },
			} {
				try := rotating(right)
				try.Access.Token = fresh()
				wrong(&try)
				_, err := w.s.Refresh(ctx, try)
				w.is(what, err, identity.ErrNotFound)
				_, err = w.s.Token(ctx, try.Access.Token, w.now)
				w.is(what+": its token", err, identity.ErrNotFound)
			}
			_, err = w.s.Refresh(ctx, right)
			w.is("right", err, nil)
			// A family that got no refresh token has none.
			r = w.redemption(w.code(l))
			r.Refresh = nil
			_, err = w.s.Redeem(ctx, r)
			w.is("redeeming without", err, nil)
		}},
		{"idle", func(w *world) {
			ctx := w.Context()
			f := w.family(w.signIn(identity.ID{}), offline)
			week := 7 * 24 * time.Hour
			w.now = start.Add(week - time.Millisecond)
			_, err := w.s.Refresh(ctx, w.refreshing(f.refresh))
			w.is("in time", err, nil)
			w.now = start.Add(week + 24*time.Hour)
			_, err = w.s.Refresh(ctx, w.refreshing(f.refresh))
			w.is("its idle end has moved", err, nil)
			w.now = w.now.Add(week)
			_, err = w.s.Refresh(ctx, w.refreshing(f.refresh))
			w.is("late", err, identity.ErrNotFound)
		}},
		{"rotation-and-reuse", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			f, bystander := w.family(l, opaque), w.family(l, opaque)
			r := rotating(w.refreshing(f.refresh))
			_, err := w.s.Refresh(ctx, r)
			w.is("rotating", err, nil)
			f2 := family{f.Grant, r.Next, r.Access.Token}
			w.accepted("the next", f2, true)
			again := w.refreshing(f.refresh)
			again.ClientID = w.beside().client
			_, err = w.s.Refresh(ctx, again)
			w.is("the old one, by a stranger", err, identity.ErrNotFound)
			w.accepted("after a stranger", f2, true)
			again = rotating(w.refreshing(f.refresh))
			_, err = w.s.Refresh(ctx, again)
			w.is("the old one", err, identity.ErrSpent)
			w.accepted("after reuse", f2, false)
			_, err = w.s.Token(ctx, f.access, w.now)
			w.is("the first access token", err, identity.ErrNotFound)
			_, err = w.s.Token(ctx, again.Access.Token, w.now)
			w.is("what reuse asked for", err, identity.ErrNotFound)
			w.accepted("another family", bystander, true)
			if n := w.entries(audit.GrantReplayed); n != 1 {
				w.Errorf("%d entries of what ended once", n)
			}
		}},
		{"reuse-of-any-earlier-token", func(w *world) {
			// A thief who rotates twice before the owner comes must not get away.
			ctx := w.Context()
			for _, generation := range []int{0, 1, 2, 3} {
				f := w.family(w.signIn(identity.ID{}), opaque)
				tokens := [][]byte{f.refresh}
				for range 4 {
					w.now = w.now.Add(time.Second)
					r := rotating(w.refreshing(tokens[len(tokens)-1]))
					_, err := w.s.Refresh(ctx, r)
					w.ok(err)
					tokens = append(tokens, r.Next)
				}
				f.refresh = tokens[4]
				w.accepted("the newest", f, true)
				stranger := w.refreshing(tokens[generation])
				stranger.ClientID = w.beside().client
				_, err := w.s.Refresh(ctx, stranger)
				w.is("an earlier one, by a stranger", err, identity.ErrNotFound)
				w.accepted("after a stranger", f, true)
				_, err = w.s.Refresh(ctx, w.refreshing(tokens[generation]))
				w.is("an earlier one", err, identity.ErrSpent)
				w.accepted("after reuse", f, false)
			}
		}},
		{"narrowing", func(w *world) {
			ctx := w.Context()
			f := w.family(w.signIn(identity.ID{}), opaque)
			ask := func(r oauth.Refreshing, scope ...string) (oauth.Refreshing, error) {
				r.Access.Scope = scope
				_, err := w.s.Refresh(ctx, r)
				return r, err
			}
			r, err := ask(rotating(w.refreshing(f.refresh)), "openid", "payments")
			w.is("more than granted", err, identity.ErrScope)
			_, err = w.s.Token(ctx, r.Access.Token, w.now)
			w.is("its token", err, identity.ErrNotFound)
			w.accepted("unchanged", f, true)
			r, err = ask(rotating(w.refreshing(f.refresh)), "openid")
			w.is("less", err, nil)
			got, err := w.s.Token(ctx, r.Access.Token, w.now)
			if err != nil || !slices.Equal(got.Scope, []string{"openid"}) {
				w.Errorf("%+v, %v", got, err)
			}
			f.refresh = r.Next
			back := w.refreshing(f.refresh) // the grant's own scope is not narrowed
			back.Access.Without, back.Access.Resource = []string{"phone"}, []string{"https://two.example"}
			_, err = w.s.Refresh(ctx, back)
			w.is("all but one", err, nil)
			got, err = w.s.Token(ctx, back.Access.Token, w.now)
			if err != nil || !slices.Equal(got.Scope, []string{"openid", "profile"}) || !slices.Equal(got.Resource, []string{"https://two.example"}) {
				w.Errorf("%+v, %v", got, err)
			}
		}},
		{"a-jwt-leaves-no-row", func(w *world) {
			f := w.family(w.signIn(identity.ID{}))
			r := w.refreshing(f.refresh)
			_, err := w.s.Refresh(w.Context(), r)
			w.is("refreshing", err, nil)
			_, err = w.s.Token(w.Context(), r.Access.Token, w.now)
			w.is("reading", err, identity.ErrNotFound)
		}},
		{"bound-to-the-session-or-not", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			bound, off := w.family(l), w.family(l, offline)
			w.now = w.now.Add(loginIdle)
			_, err := w.s.Refresh(ctx, w.refreshing(bound.refresh))
			w.is("when the login is idle", err, identity.ErrNotFound)
			_, err = w.s.Refresh(ctx, w.refreshing(off.refresh))
			w.is("offline", err, nil)
		}},
	}
}
