package storagetest

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

func (w *world) initialToken(uses int) oauth.InitialToken {
	w.Helper()
	t := oauth.InitialToken{Hash: fresh(), Note: "市档案馆", Profile: oauth.ProfileFAPI2, Scope: "openid profile", Uses: uses, Created: w.now, Expires: w.now.Add(time.Hour)}
	w.ok(w.s.AddInitialToken(w.Context(), t, w.clientEvent(audit.ClientApplied)))
	return t
}

// newcomer is a client nobody knows yet, under its own name in the trail.
func (w *world) newcomer() (oauth.Client, audit.Event) {
	c := oauth.Client{ID: "dynamic-" + identity.NewID().String(), Name: "新", State: oauth.ClientLive, Dynamic: true, Registration: fresh()}
	e := w.clientEvent(audit.ClientApplied)
	e.Client = c.ID
	return c, e
}

func (w *world) clientOf(id string) (oauth.Client, bool) {
	w.Helper()
	all, _, err := w.s.AllClients(w.Context())
	w.ok(err)
	i := slices.IndexFunc(all, func(c oauth.Client) bool { return c.ID == id })
	if i < 0 {
		return oauth.Client{}, false
	}
	return all[i], true
}

func registrationChecks() []check {
	return []check{
		{"an-initial-token-is-used-up", func(w *world) {
			ctx := w.Context()
			t := w.initialToken(2)
			got, err := w.s.InitialToken(ctx, t.Hash, w.now)
			if err != nil || !bytes.Equal(got.Hash, t.Hash) || got.Note != t.Note || got.Profile != t.Profile || got.Scope != t.Scope || got.Uses != 2 || !got.Created.Equal(t.Created) || !got.Expires.Equal(t.Expires) {
				w.Errorf("%+v, %v", got, err)
			}
			w.is("a hash that is taken", w.s.AddInitialToken(ctx, t, w.clientEvent(audit.ClientApplied)), identity.ErrConflict)
			c, e := w.newcomer()
			w.is("registering", w.s.RegisterClient(ctx, t.Hash, c, w.now, e), nil)
			if got, ok := w.clientOf(c.ID); !ok || !got.Dynamic || !bytes.Equal(got.Registration, c.Registration) || got.State != oauth.ClientLive || !got.Created.Equal(w.now) {
				w.Errorf("%+v", got)
			}
			// A client that cannot be stored gives the use back.
			w.is("an id that is taken", w.s.RegisterClient(ctx, t.Hash, c, w.now, e), identity.ErrConflict)
			if got, err := w.s.InitialToken(ctx, t.Hash, w.now); err != nil || got.Uses != 1 {
				w.Errorf("%+v, %v", got, err)
			}
			last, e := w.newcomer()
			w.is("the last use", w.s.RegisterClient(ctx, t.Hash, last, w.now, e), nil)
			_, err = w.s.InitialToken(ctx, t.Hash, w.now)
			w.is("reading it", err, identity.ErrNotFound)
			for what, hash := range map[string][]byte{"used up": t.Hash, "unknown": fresh(), "empty": {}, "a registration token": c.Registration} {
				c, e := w.newcomer()
				w.is(what, w.s.RegisterClient(ctx, hash, c, w.now, e), identity.ErrNotFound)
				if _, ok := w.clientOf(c.ID); ok {
					w.Errorf("%s: it was stored", what)
				}
			}
			late := w.initialToken(1)
			w.now = late.Expires
			_, err = w.s.InitialToken(ctx, late.Hash, w.now)
			w.is("reading an expired one", err, identity.ErrNotFound)
			c, e = w.newcomer()
			w.is("expired", w.s.RegisterClient(ctx, late.Hash, c, w.now, e), identity.ErrNotFound)
			w.is("without a token", w.s.RegisterClient(ctx, nil, c, w.now, e), nil)
		}},
		{"a-registration-is-replaced", func(w *world) {
			ctx := w.Context()
			c, e := w.newcomer()
			w.ok(w.s.RegisterClient(ctx, nil, c, w.now, e))
			c.Name, c.Registration = "更名", fresh()
			w.ok(w.s.ApplyClient(ctx, c, e))
			if got, _ := w.clientOf(c.ID); got.Name != c.Name || !got.Dynamic || !bytes.Equal(got.Registration, c.Registration) {
				w.Errorf("%+v", got)
			}
			c.Dynamic, c.Registration = false, nil
			w.ok(w.s.ApplyClient(ctx, c, e))
			if got, _ := w.clientOf(c.ID); got.Dynamic || got.Registration != nil {
				w.Errorf("%+v", got)
			}
		}},
		{"withdrawn-for-good", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			fam, code, r := w.family(l, opaque, offline), w.code(l), w.request()
			w.ok(w.s.StoreRequest(ctx, r))
			_, before, err := w.s.AllClients(ctx)
			w.ok(err)
			w.ok(w.s.WithdrawClient(ctx, w.client, w.now, w.clientEvent(audit.ClientSuspended)))
			if _, after, err := w.s.AllClients(ctx); err != nil || after <= before {
				w.Errorf("version %d after %d, %v", after, before, err)
			}
			dead := func(what string) {
				w.Helper()
				got, ok := w.clientOf(w.client)
				if !ok || got.State != oauth.ClientWithdrawn || len(got.Secrets) != 0 || got.Registration != nil || got.Name != "养老金" {
					w.Errorf("%s: %+v", what, got)
				}
				w.accepted(what, fam, false)
				_, err := w.s.Redeem(ctx, w.redemption(code))
				w.is(what+": a code", err, identity.ErrNotFound)
				_, err = w.s.Request(ctx, r.Handle, w.client, w.now)
				w.is(what+": a request", err, identity.ErrNotFound)
				w.is(what+": a new code", w.s.IssueCode(ctx, w.newCode(l).NewCode), identity.ErrEnded)
			}
			dead("withdrawn")
			w.is("applied again", w.s.ApplyClient(ctx, oauth.Client{ID: w.client, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)), identity.ErrConflict)
			w.is("suspended", w.s.SuspendClient(ctx, w.client, w.now, w.clientEvent(audit.ClientSuspended)), identity.ErrNotFound)
			w.is("withdrawn twice", w.s.WithdrawClient(ctx, w.client, w.now, w.clientEvent(audit.ClientSuspended)), identity.ErrNotFound)
			w.is("registered under its id", w.s.RegisterClient(ctx, nil, oauth.Client{ID: w.client, State: oauth.ClientLive}, w.now, w.clientEvent(audit.ClientApplied)), identity.ErrConflict)
			dead("after all that")
			w.is("unknown", w.s.WithdrawClient(ctx, "unknown", w.now, w.clientEvent(audit.ClientSuspended)), identity.ErrNotFound)
		}},
		{"requests-of-what-the-client-was", func(w *world) {
			ctx := w.Context()
			for what, test := range map[string]struct {
				change func(*oauth.Client)
				want   error
			}{
				"nothing":            {func(*oauth.Client) {}, nil},
				"a name":             {func(c *oauth.Client) { c.Name = "x" }, nil},
				"a secret":           {func(c *oauth.Client) { c.Secrets = []oauth.SecretHash{{Hash: fresh()}} }, nil},
				"spaces in its keys": {func(c *oauth.Client) { c.JWKS = []byte("{\n\"keys\": [ ]}") }, nil},
				"its keys":           {func(c *oauth.Client) { c.JWKS = []byte(`{"keys":[{}]}`) }, identity.ErrNotFound},
				"its method":         {func(c *oauth.Client) { c.TokenEndpointAuthMethod = oauth.AuthNone }, identity.ErrNotFound},
				"its certificate":    {func(c *oauth.Client) { c.TLSDNS = "x.example" }, identity.ErrNotFound},
				"its profile":        {func(c *oauth.Client) { c.Profile = oauth.ProfileFAPI2 }, identity.ErrNotFound},
				"a redirect":         {func(c *oauth.Client) { c.RedirectURIs = nil }, identity.ErrNotFound},
				"its scope":          {func(c *oauth.Client) { c.Scope = "openid" }, identity.ErrNotFound},
			} {
				d := w.beside()
				c := oauth.Client{ID: d.client, State: oauth.ClientLive, RedirectURIs: []string{redirect}, JWKS: []byte(`{"keys":[]}`), TokenEndpointAuthMethod: oauth.AuthPrivateKey}
				d.ok(d.s.ApplyClient(ctx, c, d.clientEvent(audit.ClientApplied)))
				r := d.request()
				d.ok(d.s.StoreRequest(ctx, r))
				test.change(&c)
				d.ok(d.s.ApplyClient(ctx, c, d.clientEvent(audit.ClientApplied)))
				_, err := d.s.Request(ctx, r.Handle, d.client, d.now)
				d.is(what, err, test.want)
			}
		}},
		{"agreed-to-as-it-was", func(w *world) {
			ctx := w.Context()
			for what, test := range map[string]struct {
				change func(*oauth.Client)
				over   bool
			}{
				"nothing":            {func(*oauth.Client) {}, false},
				"a secret":           {func(c *oauth.Client) { c.Secrets = []oauth.SecretHash{{Hash: fresh()}} }, false},
				"spaces in its keys": {func(c *oauth.Client) { c.JWKS = []byte("{\n\"keys\": [ ]}") }, false},
				"its policy":         {func(c *oauth.Client) { c.PolicyURI = "https://rp.example/policy" }, false},
				"less scope":         {func(c *oauth.Client) { c.Scope = "openid" }, false},
				"its name":           {func(c *oauth.Client) { c.Name = "x" }, true},
				"a name":             {func(c *oauth.Client) { c.Names = map[string]string{"en": "x"} }, true},
				"a redirect":         {func(c *oauth.Client) { c.RedirectURIs = []string{redirect, redirect + "2"} }, true},
				"its subjects":       {func(c *oauth.Client) { c.SubjectType = oauth.SubjectPublic }, true},
				"its sector":         {func(c *oauth.Client) { c.SectorIdentifierURI = "https://rp.example/sector" }, true},
				"its keys":           {func(c *oauth.Client) { c.JWKS = []byte(`{"keys":[{}]}`) }, true},
				"where its keys are": {func(c *oauth.Client) { c.JWKS, c.JWKSURI = nil, "https://rp.example/keys" }, true},
				"its method":         {func(c *oauth.Client) { c.TokenEndpointAuthMethod = oauth.AuthNone }, true},
			} {
				d := w.beside()
				c := oauth.Client{
					ID: d.client, Name: "养老金", State: oauth.ClientLive, Dynamic: true, Registration: fresh(), RedirectURIs: []string{redirect},
					Scope: "openid profile", JWKS: []byte(`{"keys":[]}`), TokenEndpointAuthMethod: oauth.AuthPrivateKey,
				}
				d.ok(d.s.ApplyClient(ctx, c, d.clientEvent(audit.ClientApplied)))
				c, _ = d.clientOf(c.ID)
				l := d.signIn(identity.ID{})
				fam, code, r := d.family(l, opaque, offline), d.code(l), d.request()
				d.ok(d.s.StoreRequest(ctx, r))
				agreed := func() bool {
					given, err := d.s.Consents(ctx, d.citizen, d.client, d.now)
					d.ok(err)
					return len(given) > 0
				}
				if !agreed() {
					d.Fatalf("%s: nothing was agreed to", what)
				}
				test.change(&c)
				d.ok(d.s.UpdateClient(ctx, c, d.clientEvent(audit.ClientUpdated)))
				got, _ := d.clientOf(c.ID)
				if got.State != oauth.ClientLive || (got.Epoch != c.Epoch) != test.over || got.Epoch < c.Epoch || agreed() == test.over {
					d.Errorf("%s: epoch %d after %d, agreed to: %v", what, got.Epoch, c.Epoch, agreed())
				}
				d.accepted(what, fam, !test.over)
				if _, err := d.s.Redeem(ctx, d.redemption(code)); (err == nil) == test.over {
					d.Errorf("%s: a code: %v", what, err)
				}
				if _, err := d.s.Request(ctx, r.Handle, d.client, d.now); test.over && !errors.Is(err, identity.ErrNotFound) {
					d.Errorf("%s: a request: %v", what, err)
				}
				// It is live, and may be agreed to anew.
				d.is(what+": an old copy", d.s.UpdateClient(ctx, c, d.clientEvent(audit.ClientUpdated)), map[bool]error{true: identity.ErrNotFound}[test.over])
				d.accepted(what+": anew", d.family(l, opaque, offline), true)
			}
		}},
		{"a-request-is-one-browsers", func(w *world) {
			ctx := w.Context()
			r := w.request()
			r.Kind, r.Browser, r.Expires = "par", nil, w.now.Add(time.Minute)
			w.ok(w.s.StoreRequest(ctx, r))
			mine, theirs, until := fresh(), fresh(), w.now.Add(time.Hour)
			claim := func(what string, want error, handle []byte, client string, browser []byte) {
				w.Helper()
				w.is(what, w.s.ClaimRequest(ctx, handle, client, browser, until, w.now), want)
			}
			claim("by another client", identity.ErrNotFound, r.Handle, w.beside().client, mine)
			claim("unknown", identity.ErrNotFound, fresh(), w.client, mine)
			claim("by nobody", identity.ErrNotFound, r.Handle, w.client, nil)
			claim("the first", nil, r.Handle, w.client, mine)
			until = w.now.Add(9 * time.Hour)
			claim("the first again", nil, r.Handle, w.client, mine)
			claim("another", identity.ErrSpent, r.Handle, w.client, theirs)
			got, err := w.s.Request(ctx, r.Handle, w.client, w.now)
			if err != nil || !bytes.Equal(got.Browser, mine) || !got.Expires.Equal(w.now.Add(time.Hour)) || got.Params != r.Params {
				w.Errorf("%+v, %v", got, err)
			}
			w.now = start.Add(59 * time.Minute)
			_, err = w.s.Request(ctx, r.Handle, w.client, w.now)
			w.is("it lives for the login", err, nil)
			late := w.request()
			late.Browser, late.Created, late.Expires = nil, w.now, w.now.Add(time.Minute)
			w.ok(w.s.StoreRequest(ctx, late))
			w.now = late.Expires
			claim("late", identity.ErrNotFound, late.Handle, w.client, mine)
		}},
		{"agreed-to-by-name", func(w *world) {
			ctx := w.Context()
			l := w.signIn(identity.ID{})
			agree := func(consent bool, names ...string) func(*oauth.NewCode) {
				return func(n *oauth.NewCode) {
					n.Consent, n.Agree = consent, names
					n.Grant.Scope, n.Grant.Claims = []string{"openid"}, oauth.ClaimNames{IDToken: []string{"email"}, UserInfo: []string{"email", "birthdate"}}
					n.Grant.Details, n.Grant.Session = []byte(`[{"type":"payment","amount":"1"}]`), l.ID
				}
			}
			issue := func(what string, want error, change ...func(*oauth.NewCode)) {
				w.Helper()
				w.is(what, w.s.IssueCode(ctx, w.newCode(l, change...).NewCode), want)
			}
			issue("not asked", identity.ErrConsent, agree(false, "openid", "claim:email"))
			issue("given, one of them named twice", nil, agree(true, "openid", "claim:email", "claim:email"))
			issue("as given", nil, agree(false, "claim:email", "openid", "claim:email"))
			issue("one more", identity.ErrConsent, agree(false, "openid", "claim:birthdate"))
			issue("a claim's name as a scope", identity.ErrConsent, agree(false, "email"))
			issue("nothing to agree to", nil, func(n *oauth.NewCode) { n.Consent, n.Agree, n.Grant.Scope = false, []string{}, []string{"phone"} })
			issue("scopes, when nothing else is said", identity.ErrConsent, func(n *oauth.NewCode) { n.Consent, n.Grant.Scope = false, []string{"phone"} })
			got, err := w.s.Consents(ctx, w.citizen, w.client, w.now)
			if err != nil || len(got) != 2 || got[0].Scope != "claim:email" || got[1].Scope != "openid" {
				w.Errorf("%+v, %v", got, err)
			}
			f := w.family(l, opaque, agree(true, "openid"))
			for what, g := range map[string]oauth.Grant{"redeemed": f.Grant, "read": w.grantOf(f.ID)} {
				if string(g.Details) != `[{"type":"payment","amount":"1"}]` || g.Session != l.ID || !slices.Equal(g.Claims.IDToken, []string{"email"}) || !slices.Equal(g.Claims.UserInfo, []string{"email", "birthdate"}) || g.Parent != (identity.ID{}) || g.Act != nil {
					w.Errorf("%s: %+v", what, g)
				}
			}
			if g := w.family(l).Grant; g.Details != nil || !g.Claims.IsZero() || g.Session != l.ID {
				w.Errorf("of a plain one: %+v", g)
			}
		}},
	}
}

func (w *world) grantOf(id identity.ID) oauth.Grant {
	w.Helper()
	g, err := w.s.LiveGrant(w.Context(), id, w.now)
	w.ok(err)
	return g
}

// protocolRaces are about requests, clients and farewells.
func protocolRaces() []race {
	return []race{
		{"claim-request", []error{identity.ErrSpent}, func(w *world) (func(*world, int) error, func()) {
			r := w.request()
			r.Browser = nil
			w.ok(w.s.StoreRequest(w.Context(), r))
			return func(w *world, _ int) error {
				return w.s.ClaimRequest(w.Context(), r.Handle, w.client, fresh(), w.now.Add(time.Hour), w.now)
			}, nil
		}},
		{"register-with-one-use-left", []error{identity.ErrNotFound}, func(w *world) (func(*world, int) error, func()) {
			t := w.initialToken(1)
			return func(w *world, _ int) error {
				c, e := w.newcomer()
				return w.s.RegisterClient(w.Context(), t.Hash, c, w.now, e)
			}, nil
		}},
		{"register-one-id", []error{identity.ErrConflict}, func(w *world) (func(*world, int) error, func()) {
			c, e := w.newcomer()
			return func(w *world, _ int) error { return w.s.RegisterClient(w.Context(), nil, c, w.now, e) }, nil
		}},
		{"withdraw-client", []error{identity.ErrNotFound}, func(w *world) (func(*world, int) error, func()) {
			return func(w *world, _ int) error {
				return w.s.WithdrawClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended))
			}, nil
		}},
		{"take-farewells", []error{errNothing}, func(w *world) (func(*world, int) error, func()) {
			w.listening()
			l := w.signIn(identity.ID{})
			w.family(l)
			w.ok(w.s.EndLogin(w.Context(), w.citizen, l.ID, w.event(audit.LoginEnded)))
			return func(w *world, _ int) error {
				all, err := w.s.TakeFarewells(w.Context(), w.now, time.Minute, 100)
				if err == nil && !slices.ContainsFunc(all, func(f oauth.Farewell) bool { return f.Citizen == w.citizen }) {
					err = errNothing
				}
				return err
			}, nil
		}},
	}
}
