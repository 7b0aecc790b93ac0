package storagetest

import (
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

func grantChecks() []check {
	return []check{
		{"redeemed-as-issued", func(w *world) {
			l := w.signIn(identity.ID{})
			n := w.code(l, opaque, offline)
			r := w.redemption(n)
			r.Binding = oauth.Binding{JKT: "thumb", X5T: "cert"}
			g, err := w.s.Redeem(w.Context(), r)
			w.is("redeeming", err, nil)
			want := n.Grant
			if g.ID != want.ID || g.ClientID != w.client || g.Citizen != w.citizen || g.Login != l.ID || !slices.Equal(g.Scope, want.Scope) || !slices.Equal(g.Resource, want.Resource) ||
				g.RedirectURI != redirect || g.Nonce != want.Nonce || g.ACR != want.ACR || !slices.Equal(g.AMR, want.AMR) || !g.AuthTime.Equal(want.AuthTime) ||
				!g.Offline || !g.Opaque || !g.Created.Equal(want.Created) || !g.Expires.Equal(want.Expires) || g.Binding != r.Binding {
				w.Errorf("%+v", g)
			}
			again, err := w.s.LiveGrant(w.Context(), g.ID, w.now)
			if err != nil || again.Nonce != want.Nonce || again.Binding != r.Binding {
				w.Errorf("%+v, %v", again, err)
			}
		}},
		{"every-wrong-part-refuses-and-spends-nothing", func(w *world) {
			l := w.signIn(identity.ID{})
			other := w.beside()
			n := w.code(l, opaque, func(n *oauth.NewCode) { n.CodeJKT = "the key" })
			for what, wrong := range map[string]func(*oauth.Redemption){
				"code":             func(r *oauth.Redemption) { r.Code = fresh() },
				"no code":          func(r *oauth.Redemption) { r.Code = nil },
				"cut code":         func(r *oauth.Redemption) { r.Code = r.Code[:31] },
				"client":           func(r *oauth.Redemption) { r.ClientID = other.client },
				"no client":        func(r *oauth.Redemption) { r.ClientID = "" },
				"client case":      func(r *oauth.Redemption) { r.ClientID = strings.ToUpper(r.ClientID) },
				"redirect":         func(r *oauth.Redemption) { r.RedirectURI += "/" },
				"no redirect":      func(r *oauth.Redemption) { r.RedirectURI = "" },
				"key":              func(r *oauth.Redemption) { r.JKT = "another key" },
				"no key":           func(r *oauth.Redemption) { r.JKT = "" },
				"late":             func(r *oauth.Redemption) { r.Now = n.CodeExpires },
				"text of no sense": func(r *oauth.Redemption) { r.ClientID = "a\x00b" },
				"broken text":      func(r *oauth.Redemption) { r.Challenge = "\xff" },
			} {
				r := w.redemption(n)
				wrong(&r)
				_, err := w.s.Redeem(w.Context(), r)
				w.is(what, err, identity.ErrNotFound)
				_, err = w.s.Token(w.Context(), r.Access.Token, w.now)
				w.is(what+": token", err, identity.ErrNotFound)
				_, err = w.s.Refresh(w.Context(), w.refreshing(r.Refresh))
				w.is(what+": refresh", err, identity.ErrNotFound)
			}
			r := w.redemption(n)
			r.Access.Scope = []string{"openid", "payments"}
			_, err := w.s.Redeem(w.Context(), r)
			w.is("more scope", err, identity.ErrScope)
			r = w.redemption(n)
			r.Now = n.CodeExpires.Add(-time.Millisecond)
			_, err = w.s.Redeem(w.Context(), r)
			w.is("right, at the last moment", err, nil)
		}},
		{"a-wrong-verifier-ends-the-code", func(w *world) {
			l, other := w.signIn(identity.ID{}), w.beside()
			for what, wrong := range map[string]string{"another": "guess", "none": ""} {
				n := w.code(l)
				for who, change := range map[string]func(*oauth.Redemption){
					"a stranger":       func(r *oauth.Redemption) { r.ClientID = other.client },
					"another redirect": func(r *oauth.Redemption) { r.RedirectURI = "https://evil.example" },
				} {
					r := w.redemption(n)
					r.Challenge = wrong
					change(&r)
					_, err := w.s.Redeem(w.Context(), r)
					w.is(what+" by "+who, err, identity.ErrNotFound)
				}
				r := w.redemption(n)
				r.Challenge = wrong
				_, err := w.s.Redeem(w.Context(), r)
				w.is(what, err, identity.ErrNotFound)
				_, err = w.s.Redeem(w.Context(), w.redemption(n))
				w.is(what+", then the right one", err, identity.ErrNotFound)
			}
			n := w.code(l)
			r := w.redemption(n)
			r.Challenge, r.ClientID = "guess", other.client
			_, err := w.s.Redeem(w.Context(), r)
			w.is("a stranger's guess", err, identity.ErrNotFound)
			_, err = w.s.Redeem(w.Context(), w.redemption(n))
			w.is("which hurts nobody", err, nil)
		}},
		{"a-code-without-pkce-takes-no-verifier", func(w *world) {
			l := w.signIn(identity.ID{})
			n := w.code(l, func(n *oauth.NewCode) { n.Challenge = "" })
			_, err := w.s.Redeem(w.Context(), w.redemption(n))
			w.is("with a verifier", err, identity.ErrNotFound)
			n = w.code(l, func(n *oauth.NewCode) { n.Challenge = "" })
			n.challenge = ""
			_, err = w.s.Redeem(w.Context(), w.redemption(n))
			w.is("without", err, nil)
		}},
		{"the-second-redemption", func(w *world) {
			l := w.signIn(identity.ID{})
			n := w.code(l, opaque, func(n *oauth.NewCode) { n.CodeJKT = "the key" })
			first := w.redemption(n)
			g, err := w.s.Redeem(w.Context(), first)
			w.ok(err)
			fam := family{g, first.Refresh, first.Access.Token}
			bystander := w.family(l, opaque)
			for what, wrong := range map[string]func(*oauth.Redemption){
				"client":   func(r *oauth.Redemption) { r.ClientID = w.beside().client },
				"redirect": func(r *oauth.Redemption) { r.RedirectURI = "https://evil.example" },
				"verifier": func(r *oauth.Redemption) { r.Challenge = "guess" },
				"key":      func(r *oauth.Redemption) { r.JKT = "guess" },
				"no key":   func(r *oauth.Redemption) { r.JKT = "" },
			} {
				r := w.redemption(n)
				wrong(&r)
				_, err := w.s.Redeem(w.Context(), r)
				w.is("wrong "+what, err, identity.ErrNotFound)
				w.accepted("after a wrong "+what, fam, true)
			}
			r := w.redemption(n)
			r.Now = w.now.Add(48 * time.Hour) // it stays spent when it would have expired
			_, err = w.s.Redeem(w.Context(), r)
			w.is("right", err, identity.ErrSpent)
			w.accepted("after a right one", fam, false)
			_, err = w.s.Redeem(w.Context(), w.redemption(n))
			w.is("a third time", err, identity.ErrSpent)
			if n := w.entries(audit.GrantReplayed); n != 1 {
				w.Errorf("%d entries of what ended once", n)
			}
			w.accepted("another family of the login", bystander, true)
		}},
		{"a-dead-code-buys-nothing", func(w *world) {
			for what, kill := range deaths() {
				if what == "the grant's end" || what == "idle" || what == "the login's end" {
					continue // the code is long gone by then
				}
				d := w.beside()
				l := d.signIn(identity.ID{})
				n := d.code(l)
				kill.do(d, l, n.Grant.ID)
				_, err := d.s.Redeem(d.Context(), d.redemption(n))
				d.is(what, err, identity.ErrNotFound)
			}
		}},
		{"issued-only-to-the-living", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			other := w.beside()
			issue := func(what string, want error, change func(*oauth.NewCode)) {
				w.Helper()
				n := w.newCode(l, change)
				w.is(what, w.s.IssueCode(ctx, n.NewCode), want)
				if want == nil {
					return
				}
				r := w.redemption(n)
				r.ClientID = n.Grant.ClientID
				_, err := w.s.Redeem(ctx, r)
				w.is(what+": redeeming", err, identity.ErrNotFound)
			}
			issue("alive", nil, opaque)
			issue("another's login", identity.ErrEnded, func(n *oauth.NewCode) { n.Grant.Login = other.signIn(identity.ID{}).ID })
			issue("another citizen", identity.ErrEnded, func(n *oauth.NewCode) { n.Grant.Citizen = other.citizen })
			issue("no login", identity.ErrEnded, func(n *oauth.NewCode) { n.Grant.Login = identity.ID{} })
			issue("unknown client", identity.ErrEnded, func(n *oauth.NewCode) { n.Grant.ClientID = "unknown" })
			issue("idle", identity.ErrEnded, func(n *oauth.NewCode) { n.Grant.Created = w.now.Add(loginIdle) })
			for what, kill := range deaths() {
				if what == "the grant's end" || what == "the grant" {
					continue
				}
				d := w.beside()
				dl := d.signIn(identity.ID{})
				kill.do(d, dl, identity.NewID())
				d.is(what, d.s.IssueCode(ctx, d.newCode(dl, offline).NewCode), identity.ErrEnded)
			}
		}},
		{"consent", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			ask := func(scope ...string) func(*oauth.NewCode) {
				return func(n *oauth.NewCode) { n.Consent, n.Grant.Scope = false, scope }
			}
			issue := func(what string, want error, change ...func(*oauth.NewCode)) {
				w.Helper()
				w.is(what, w.s.IssueCode(ctx, w.newCode(l, change...).NewCode), want)
			}
			issue("not asked", identity.ErrConsent, ask("openid"))
			issue("first party", nil, ask("openid"), func(n *oauth.NewCode) { n.FirstParty = true })
			issue("which agreed to nothing", identity.ErrConsent, ask("openid"))
			given := func(n *oauth.NewCode) {
				n.Grant.Scope, n.ConsentExpires = []string{"openid", "profile"}, w.now.Add(24*time.Hour)
			}
			issue("given", nil, given)
			issue("as given", nil, ask("openid", "profile"))
			issue("less", nil, ask("profile"))
			issue("none", nil, ask())
			issue("more", identity.ErrConsent, ask("openid", "phone"))
			issue("part of a word", identity.ErrConsent, ask("open"))
			other := w.beside()
			ol := other.signIn(identity.ID{})
			other.is("by another citizen", other.s.IssueCode(ctx, other.newCode(ol, ask("openid"), func(n *oauth.NewCode) { n.Grant.ClientID = w.client }).NewCode), identity.ErrConsent)
			issue("for another client", identity.ErrConsent, ask("openid"), func(n *oauth.NewCode) { n.Grant.ClientID = other.client })
			w.now = start.Add(24 * time.Hour)
			l = w.signIn(identity.ID{})
			issue("run out", identity.ErrConsent, ask("openid"))
			issue("given again", nil, given)
			terms := func(t ...string) func(*oauth.NewCode) { return func(n *oauth.NewCode) { n.Terms = t } }
			issue("a scope that stands for more", identity.ErrConsent, ask("openid", "profile"), terms("", "name address"))
			issue("given for that", nil, given, terms("", "name address"))
			issue("as given for that", nil, ask("profile", "openid"), terms("name address", ""))
			issue("as it was before", identity.ErrConsent, ask("openid", "profile"))
			issue("of the other scope", nil, ask("openid"))
			issue("as given again", nil, ask("openid"))
		}},
		{"the-stored-request", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			put := func() oauth.StoredRequest {
				r := w.request()
				w.ok(w.s.StoreRequest(ctx, r))
				return r
			}
			issue := func(what string, want error, handle []byte, change ...func(*oauth.NewCode)) {
				w.Helper()
				n := w.newCode(l, append(change, func(n *oauth.NewCode) { n.Interaction = handle })...)
				w.is(what, w.s.IssueCode(ctx, n.NewCode), want)
				_, err := w.s.Redeem(ctx, w.redemption(n))
				if want != nil {
					w.is(what+": redeeming", err, identity.ErrNotFound)
				}
			}
			there := func(what string, r oauth.StoredRequest, want error) {
				w.Helper()
				_, err := w.s.Request(ctx, r.Handle, w.client, w.now)
				w.is(what, err, want)
			}
			r := put()
			issue("no consent", identity.ErrConsent, r.Handle, func(n *oauth.NewCode) { n.Consent = false })
			there("it is still there", r, nil)
			issue("another login", identity.ErrEnded, r.Handle, func(n *oauth.NewCode) { n.Grant.Login = identity.NewID() })
			there("it is still there", r, nil)
			issue("right", nil, r.Handle)
			there("it is gone", r, identity.ErrNotFound)
			issue("again", identity.ErrSpent, r.Handle)
			issue("unknown", identity.ErrSpent, fresh())
			late := put()
			issue("expired", identity.ErrSpent, late.Handle, func(n *oauth.NewCode) { n.Grant.Created = late.Expires })
			theirs := w.beside().request()
			w.ok(w.s.StoreRequest(ctx, theirs))
			issue("another client's", identity.ErrSpent, theirs.Handle)
			// What was refused agreed to nothing.
			fresh := w.beside()
			fl := fresh.signIn(identity.ID{})
			n := fresh.newCode(fl, func(n *oauth.NewCode) { n.Interaction = r.Handle })
			fresh.is("spent", fresh.s.IssueCode(ctx, n.NewCode), identity.ErrSpent)
			if got, err := fresh.s.Consents(ctx, fresh.citizen, fresh.client, fresh.now); err != nil || len(got) != 0 || fresh.entries(audit.ConsentGiven) != 0 {
				w.Errorf("consents of a refused code: %+v, %v", got, err)
			}
		}},
	}
}

// A death is one way in which a grant dies.
type death struct {
	do     func(w *world, l session, grant identity.ID)
	spares bool // what is offline lives on
}

// deaths are the layers of revocation (SECURITY G7). Each is enough by itself.
func deaths() map[string]death {
	return map[string]death{
		"the grant": {do: func(w *world, _ session, grant identity.ID) {
			w.ok(w.s.RevokeGrant(w.Context(), grant, w.client, w.now, w.clientEvent(audit.GrantRevoked)))
		}},
		"the login": {do: func(w *world, l session, _ identity.ID) {
			w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.event(audit.LoginEnded)))
		}},
		"all other logins": {do: func(w *world, _ session, _ identity.ID) {
			w.ok(w.s.EndOtherLogins(w.Context(), w.citizen, identity.NewID(), w.event(audit.LoginsEnded)))
		}},
		"the password": {do: func(w *world, l session, _ identity.ID) {
			w.ok(w.s.SetPassword(w.Context(), w.citizen, "x", identity.ID{}, w.event(audit.PasswordChanged)))
		}},
		"the card": {do: func(w *world, _ session, _ identity.ID) { w.freeze(identity.CardLost) }},
		"the card, restored": {do: func(w *world, _ session, _ identity.ID) {
			w.freeze(identity.CardTempLost)
			w.freeze(identity.CardNormal)
		}},
		"the client": {do: func(w *world, _ session, _ identity.ID) {
			w.ok(w.s.SuspendClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended)))
		}},
		"idle":            {do: func(w *world, _ session, _ identity.ID) { w.now = w.now.Add(loginIdle) }, spares: true},
		"the login's end": {do: func(w *world, l session, _ identity.ID) { w.now = l.Ends }, spares: true},
		"the grant's end": {do: func(w *world, l session, grant identity.ID) { w.now = w.now.Add(30 * 24 * time.Hour) }},
	}
}

// request is an authorization request waiting for its citizen.
func (w *world) request() oauth.StoredRequest {
	return oauth.StoredRequest{Handle: fresh(), Kind: "authorize", ClientID: w.client, Params: "login_hint=" + w.phone.Value + "&scope=openid",
		Browser: fresh(), Created: w.now, Expires: w.now.Add(10 * time.Minute)}
}
