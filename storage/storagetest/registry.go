package storagetest

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

func consentChecks() []check {
	return []check{
		{"kept-and-withdrawn", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			until := w.now.Add(24 * time.Hour)
			f := w.family(l, opaque, offline, func(n *oauth.NewCode) { n.ConsentExpires = until })
			code := w.code(l, func(n *oauth.NewCode) { n.Grant.Scope = []string{"address"} })
			first := w.code(l, func(n *oauth.NewCode) { n.Consent, n.FirstParty = false, true })
			other := w.beside()
			theirs := other.family(other.signIn(identity.ID{}), opaque)
			elsewhere := w.family(l, opaque, func(n *oauth.NewCode) { n.Grant.ClientID = other.client })
			got, err := w.s.Consents(ctx, w.citizen, w.client, w.now)
			w.ok(err)
			var scopes []string
			for _, c := range got {
				scopes = append(scopes, c.Scope)
				if c.ClientID != w.client || !c.Given.Equal(w.now) || (c.Scope != "address") != c.Expires.Equal(until) {
					w.Errorf("%+v", c)
				}
			}
			slices.Sort(scopes)
			if !slices.Equal(scopes, []string{"address", "openid", "phone", "profile"}) {
				w.Errorf("%v", scopes)
			}
			if got, err := w.s.Consents(ctx, w.citizen, w.client, until); err != nil || len(got) != 1 {
				w.Errorf("%+v, %v", got, err)
			}
			if all, err := w.s.AllConsents(ctx, w.citizen, w.now); err != nil || len(all) != 7 {
				w.Errorf("%+v, %v", all, err)
			}
			w.ok(w.s.WithdrawConsent(ctx, w.citizen, w.client, w.now, w.event(audit.ConsentWithdrawn)))
			if got, err := w.s.Consents(ctx, w.citizen, w.client, w.now); err != nil || len(got) != 0 {
				w.Errorf("%+v, %v", got, err)
			}
			w.accepted("withdrawn", f, false)
			for _, n := range []issue{code, first} {
				_, err = w.s.Redeem(ctx, w.redemption(n))
				w.is("an unredeemed code", err, identity.ErrNotFound)
			}
			other.accepted("another citizen's", theirs, true)
			_, err = w.s.LiveGrant(ctx, elsewhere.ID, w.now)
			w.is("with another client", err, nil)
			w.is("asking again", w.s.IssueCode(ctx, w.newCode(l, func(n *oauth.NewCode) { n.Consent = false }).NewCode), identity.ErrConsent)
		}},
	}
}

func registryChecks() []check {
	find := func(w *world) (oauth.Client, int64, bool) {
		all, version, err := w.s.AllClients(w.Context())
		w.ok(err)
		i := slices.IndexFunc(all, func(c oauth.Client) bool { return c.ID == w.client })
		if i < 0 {
			return oauth.Client{}, version, false
		}
		return all[i], version, true
	}
	return []check{
		{"clients", func(w *world) {
			ctx := w.Context()
			_, before, _ := find(w)
			age := 60
			c := oauth.Client{ID: w.client, Name: "社保", Names: map[string]string{"en": "Social Security"}, RedirectURIs: []string{redirect}, State: oauth.ClientLive,
				DefaultMaxAge: &age, JWKS: []byte(`{"keys":[]}`), FirstParty: true, MinACR: "urn:mfa", Secrets: []oauth.SecretHash{{Hash: []byte("keyed hash")}}}
			w.now = w.now.Add(time.Minute)
			w.ok(w.s.ApplyClient(ctx, c, w.clientEvent(audit.ClientApplied)))
			got, after, ok := find(w)
			if !ok || after <= before || got.Name != c.Name || got.Names["en"] != "Social Security" || !slices.Equal(got.RedirectURIs, c.RedirectURIs) || *got.DefaultMaxAge != 60 ||
				!bytes.Equal(got.JWKS, c.JWKS) || !got.FirstParty || got.MinACR != c.MinACR || len(got.Secrets) != 1 || !bytes.Equal(got.Secrets[0].Hash, c.Secrets[0].Hash) ||
				!got.Created.Equal(start) || !got.Updated.Equal(w.now) || got.State != oauth.ClientLive {
				w.Errorf("%+v (version %d after %d)", got, after, before)
			}
			r := w.request()
			w.ok(w.s.StoreRequest(ctx, r))
			w.ok(w.s.SuspendClient(ctx, w.client, w.now, w.clientEvent(audit.ClientSuspended)))
			got, last, _ := find(w)
			if got.State != oauth.ClientSuspended || last <= after || got.Name != c.Name {
				w.Errorf("%+v (version %d after %d)", got, last, after)
			}
			_, err := w.s.Request(ctx, r.Handle, w.client, w.now)
			w.is("a waiting request", err, identity.ErrNotFound)
			w.is("unknown", w.s.SuspendClient(ctx, "unknown", w.now, w.clientEvent(audit.ClientSuspended)), identity.ErrNotFound)
		}},
		{"requests", func(w *world) {
			ctx := w.Context()
			r := w.request()
			w.ok(w.s.StoreRequest(ctx, r))
			got, err := w.s.Request(ctx, r.Handle, w.client, w.now)
			w.is("reading", err, nil)
			if got.Params != r.Params || got.Kind != r.Kind || !bytes.Equal(got.Browser, r.Browser) || !got.Created.Equal(r.Created) || !got.Expires.Equal(r.Expires) || got.ClientID != w.client {
				w.Errorf("%+v", got)
			}
			_, err = w.s.Request(ctx, r.Handle, w.beside().client, w.now)
			w.is("another client", err, identity.ErrNotFound)
			_, err = w.s.Request(ctx, r.Handle, w.client, r.Expires)
			w.is("expired", err, identity.ErrNotFound)
			_, err = w.s.Request(ctx, fresh(), w.client, w.now)
			w.is("unknown", err, identity.ErrNotFound)
			w.fault("a handle that is taken", w.s.StoreRequest(ctx, r))
			w.is("dropping", w.s.DropRequest(ctx, r.Handle), nil)
			w.is("again", w.s.DropRequest(ctx, r.Handle), identity.ErrSpent)
			w.is("nothing", w.s.DropRequest(ctx, nil), identity.ErrSpent)
			_, err = w.s.Request(ctx, r.Handle, w.client, w.now)
			w.is("dropped", err, identity.ErrNotFound)
		}},
		{"requests-with-a-login", func(w *world) {
			ctx := w.Context()
			r := w.request()
			w.ok(w.s.StoreRequest(ctx, r))
			l := w.signIn(identity.ID{})
			asking := func(what string, token []byte, now time.Time, want *identity.ID) {
				got, in, err := w.s.RequestFor(ctx, r.Handle, w.client, token, now)
				w.is(what, err, nil)
				if got.Params != r.Params || got.Kind != r.Kind || !bytes.Equal(got.Browser, r.Browser) || !got.Expires.Equal(r.Expires) {
					w.Errorf("%s: %+v", what, got)
				}
				if (in == nil) != (want == nil) || in != nil && in.ID != *want {
					w.Errorf("%s: login %+v", what, in)
				}
			}
			asking("no token", nil, w.now, nil)
			asking("an unknown token", fresh(), w.now, nil)
			asking("a live login", l.token, w.now, &l.ID)
			alone, err := w.s.Login(ctx, l.token, w.now)
			_, beside, err2 := w.s.RequestFor(ctx, r.Handle, w.client, l.token, w.now)
			if err != nil || err2 != nil || beside == nil || !reflect.DeepEqual(*beside, alone) {
				w.Errorf("%v, %v: %+v beside a request, %+v alone", err, err2, beside, alone)
			}
			for what, ask := range map[string]func() (oauth.StoredRequest, *identity.Login, error){
				"another client": func() (oauth.StoredRequest, *identity.Login, error) {
					return w.s.RequestFor(ctx, r.Handle, w.beside().client, l.token, w.now)
				},
				"expired": func() (oauth.StoredRequest, *identity.Login, error) {
					return w.s.RequestFor(ctx, r.Handle, w.client, l.token, r.Expires)
				},
				"unknown": func() (oauth.StoredRequest, *identity.Login, error) {
					return w.s.RequestFor(ctx, fresh(), w.client, l.token, w.now)
				},
			} {
				got, in, err := ask()
				w.is(what, err, identity.ErrNotFound)
				if in != nil || got.Params != "" {
					w.Errorf("%s: %+v with %+v", what, got, in)
				}
			}
			w.ok(w.s.EndLogin(ctx, w.citizen, l.ID, w.from(audit.LoginEnded, l.ID)))
			asking("an ended login", l.token, w.now, nil)
		}},
		{"signing-keys", func(w *world) {
			ctx := w.Context()
			kid := identity.NewID().String()
			key := oauth.StoredKey{KID: kid, Alg: "ES256", State: "next", Private: []byte("private half"), Created: w.now}
			change := func(plan func([]oauth.StoredKey) ([]oauth.StoredKey, error)) error {
				return w.s.ChangeKeys(ctx, plan, w.clientEvent(audit.KeyRotated))
			}
			ours := func(all []oauth.StoredKey) int {
				return slices.IndexFunc(all, func(k oauth.StoredKey) bool { return k.KID == kid })
			}
			stored := func() (oauth.StoredKey, bool) {
				all, err := w.s.SigningKeys(ctx)
				w.ok(err)
				if i := ours(all); i >= 0 {
					return all[i], true
				}
				return oauth.StoredKey{}, false
			}
			w.ok(change(func(all []oauth.StoredKey) ([]oauth.StoredKey, error) { return append(all, key), nil }))
			if got, ok := stored(); !ok || got.State != "next" || !bytes.Equal(got.Private, key.Private) || !got.Created.Equal(w.now) || !got.Activated.IsZero() {
				w.Errorf("%+v", got)
			}
			w.ok(change(func(all []oauth.StoredKey) ([]oauth.StoredKey, error) {
				i := ours(all)
				all[i].State, all[i].Activated = "active", w.now
				return all, nil
			}))
			if got, _ := stored(); got.State != "active" || !got.Activated.Equal(w.now) || !bytes.Equal(got.Private, key.Private) {
				w.Errorf("%+v", got)
			}
			w.ok(change(func(all []oauth.StoredKey) ([]oauth.StoredKey, error) { return all, nil }))
			if n := w.entries(audit.KeyRotated); n != 2 {
				w.Errorf("%d entries, want 2: a round that changes nothing is none", n)
			}
			no := errors.New("no plan")
			w.is("a plan that fails", change(func(all []oauth.StoredKey) ([]oauth.StoredKey, error) { return nil, no }), no)
			w.ok(change(func(all []oauth.StoredKey) ([]oauth.StoredKey, error) {
				i := ours(all)
				return slices.Delete(all, i, i+1), nil
			}))
			if _, ok := stored(); ok {
				w.Error("it was taken out")
			}
		}},
	}
}
