package storagetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/liveness"
	"ecardid/oauth"
	"ecardid/storage"
)

// Fill does everything a citizen, a client and we ourselves may do, all of it
// under ctx, and returns the words that must not be found in the database by whoever has
// no key to it: personal data, seeds, private keys.
func Fill(ctx context.Context, t testing.TB, s *storage.Store) map[string]string {
	t.Helper()
	w := newWorldUnder(ctx, t, s)
	l := w.signIn(identity.ID{})
	w.ok(s.SetGreeting(ctx, w.citizen, greeting, w.event(audit.GreetingChanged)))
	w.ok(s.SetLocale(ctx, w.citizen, "en"))
	w.ok(s.Rehash(ctx, w.citizen, password, "encoded anew"))

	w.bindTOTP(l)
	w.ok(s.ProposeTOTP(ctx, w.proposal()))
	code := fresh()
	w.ok(s.ReplaceRecovery(ctx, w.citizen, [][]byte{code, fresh()}, w.event(audit.RecoveryRenewed)))
	w.ok(s.SpendRecovery(ctx, w.citizen, code, w.event(audit.RecoveryUsed)))
	key := w.addPasskey(l, true)
	key.Credential.SignCount++
	w.ok(s.UsePasskey(ctx, key, w.now))
	removed, disabled := w.addPasskey(l, true), w.addPasskey(l, false)
	phone, lost, browser := w.bindPhone(l), w.bindPhone(l), w.trustBrowser(l)
	w.ok(s.RotateBrowser(ctx, browser.ID, browser.Cookie, fresh(), w.now))
	w.ok(s.EndDevice(ctx, w.citizen, lost.ID, identity.DeviceLost, nil, w.from(audit.DeviceEnded, l.ID)))
	w.ok(s.RemovePasskey(ctx, w.citizen, removed.ID, l.ID, nil, w.from(audit.PasskeyRemoved, l.ID)))
	w.ok(s.DisablePasskey(ctx, w.citizen, disabled.ID, w.event(audit.PasskeyCloned)))

	l = w.signIn(identity.ID{})
	f := w.flow(func(f *authn.Flow) {
		f.Login = l.ID
		f.State.Seed, f.State.Kept = seed, []string{keptCode}
	})
	a := w.approval(f)
	w.ok(s.OpenApproval(ctx, a))
	w.ok(s.AnswerApproval(ctx, a.ID, phone.ID, authn.ApprovalApproved, true, true, w.now, w.event(audit.PhoneApproved)))
	w.ok(s.OpenApproval(ctx, w.approval(w.flow())))
	w.ok(s.PutCeremony(ctx, authn.Ceremony{ID: identity.NewID(), Purpose: "p", Owner: fresh(), Data: []byte("challenge"), Expires: w.now.Add(time.Minute)}))
	w.ok(s.SpendNonce(ctx, fresh(), w.now.Add(time.Minute), w.now))
	_, err := s.Attempt(ctx, w.now, authn.Try{Key: fresh(), Rule: authn.Rule{Free: 5, Per: time.Hour}}, authn.Try{Key: fresh(), Rule: authn.Rule{Free: 5, Per: time.Hour}})
	w.ok(err)

	w.ok(s.StoreRequest(ctx, w.request()))
	fam := w.family(l, opaque, offline)
	for range 3 {
		r := rotating(w.refreshing(fam.refresh))
		_, err := s.Refresh(ctx, r)
		w.ok(err)
		fam.refresh = r.Next
	}
	w.code(l)
	w.ok(s.RevokeGrant(ctx, w.family(l).ID, w.client, w.now, w.clientEvent(audit.GrantRevoked)))
	w.ok(s.RevokeFamily(ctx, familyOf(w.family(l).refresh), w.client, w.now, w.clientEvent(audit.GrantRevoked)))
	other := w.beside()
	ol := other.signIn(identity.ID{})
	other.family(ol)
	other.ok(s.WithdrawConsent(ctx, other.citizen, other.client, other.now, other.event(audit.ConsentWithdrawn)))
	other.ok(s.SuspendClient(ctx, other.client, other.now, other.clientEvent(audit.ClientSuspended)))
	w.ok(s.ChangeKeys(ctx, func(all []oauth.StoredKey) ([]oauth.StoredKey, error) {
		return append(all, oauth.StoredKey{KID: identity.NewID().String(), Alg: "ES256", State: "next", Private: []byte(privateKey), Created: w.now}), nil
	}, w.clientEvent(audit.KeyRotated)))

	v := w.begin()
	w.ok(s.Liveness().Attach(ctx, v.ID, v.ID.String()))
	n := liveness.Notice{JTI: fresh(), Digest: fresh()}
	w.ok(s.Liveness().Note(ctx, "provider", v.ID.String(), n))
	how := w.passed()
	how.Digest = n.Digest
	w.ok(s.Liveness().Settle(ctx, v.ID, how))

	ended := w.signIn(identity.ID{})
	w.ok(s.EndLogin(ctx, w.citizen, ended.ID, w.event(audit.LoginEnded)))
	raised, err := w.finish(w.flow(func(f *authn.Flow) { f.Login = l.ID }), w.newLogin(identity.ID{}), l.ID)
	w.ok(err)
	other.ok(s.SetPassword(ctx, other.citizen, "x", ol.ID, other.event(audit.PasswordChanged)))
	other.ok(s.EndOtherLogins(ctx, other.citizen, ol.ID, other.event(audit.LoginsEnded)))
	other.freeze(identity.CardFrozen)
	w.ok(s.Record(ctx, w.event(audit.LoginRefused)))
	w.ok(s.OpenEnrolment(ctx, w.enrolment(raised)))
	w.enrol(raised)
	w.weigh()
	w.protocol(raised)
	w.signals(raised)
	w.devices(raised)
	w.read(raised, fam, browser.Cookie, key, phone.ID)

	secrets := map[string]string{"name": fullName, "greeting": greeting, "seed": string(seed), "private key": privateKey, "recovery code": keptCode, "email": email, "street": street, "device": deviceNote, "receiver's token": receiverToken}
	for who, c := range map[string]*world{"": w, "another's ": other} {
		secrets[who+"card"], secrets[who+"id"], secrets[who+"phone"] = c.card.Value, c.id.Value, c.phone.Value
	}
	waiting := w.arrive()
	secrets["waiting card"], secrets["waiting id"], secrets["waiting phone"] = waiting.Card.Reveal(), waiting.IDNumber.Reveal(), waiting.Phone.Reveal()
	return secrets
}

const (
	privateKey = "the private half of a signing key"
	keptCode   = "a recovery code shown once"
)

// read asks everything that may be asked.
func (w *world) read(l session, f family, cookie []byte, key authn.Passkey, phone identity.ID) {
	w.Helper()
	ctx, s := w.ctx, w.s
	for _, ask := range []func() error{
		func() error { _, err := s.AccountByAlias(ctx, w.card); return err },
		func() error { _, err := s.Login(ctx, l.token, w.now); return err },
		func() error { _, err := s.ListLogins(ctx, w.citizen, w.now); return err },
		func() error { _, err := s.LastLogin(ctx, w.citizen, l.ID); return err },
		func() error { return s.TouchLogin(ctx, l.ID, w.now, loginIdle) },
		func() error { _, err := s.TOTP(ctx, w.citizen); return err },
		func() error { _, err := s.ListPasskeys(ctx, w.citizen); return err },
		func() error { _, _, err := s.PasskeyByCredential(ctx, key.Credential.ID); return err },
		func() error { _, err := s.ListDevices(ctx, w.citizen); return err },
		func() error { _, err := s.Device(ctx, w.citizen, phone); return err },
		func() error { _, err := s.Phone(ctx, phone); return err },
		func() error { _, err := s.PendingApprovals(ctx, w.citizen, w.now); return err },
		func() error { _, err := s.Token(ctx, f.access, w.now); return ignore(err, identity.ErrNotFound) },
		func() error { _, err := s.LiveGrant(ctx, f.ID, w.now); return err },
		func() error {
			_, _, err := s.UserInfo(ctx, f.access, identity.ID{}, []string{"name"}, w.now)
			return err
		},
		func() error { _, _, err := s.UserInfo(ctx, nil, f.ID, []string{"name"}, w.now); return err },
		func() error { _, err := s.SessionClients(ctx, f.Session); return err },
		func() error { _, err := s.Consents(ctx, w.citizen, w.client, w.now); return err },
		func() error { _, err := s.AllConsents(ctx, w.citizen, w.now); return err },
		func() error { _, err := s.Notices(ctx, w.citizen, 20); return err },
		func() error { return ignore(s.SpendStep(ctx, w.citizen, identity.NewID(), 5), identity.ErrSpent) },
		func() error { return s.Forgive(ctx, fresh()) },
		func() error { return s.Refund(ctx, fresh()) },
		func() error { return s.Settle(ctx, fresh(), fresh(), fresh()) },
		func() error { return s.Believe(ctx, fresh(), fresh(), fresh()) },
		func() error { return s.DropFlow(ctx, identity.NewID()) },
		func() error { _, _, err := s.Browser(ctx, cookie, w.now); return ignore(err, identity.ErrNotFound) },
		func() error {
			_, err := s.Refresh(ctx, w.refreshing(fresh()))
			return ignore(err, identity.ErrNotFound)
		},
		func() error {
			_, err := s.Redeem(ctx, w.redemption(w.newCode(l)))
			return ignore(err, identity.ErrNotFound)
		},
		func() error {
			_, err := s.TakeCeremony(ctx, identity.NewID(), "p", fresh(), w.now)
			return ignore(err, identity.ErrNotFound)
		},
		func() error {
			_, err := s.CheckActivation(ctx, w.card, fresh(), w.now)
			return ignore(err, identity.ErrNotFound)
		},
	} {
		w.ok(ask())
	}
}

// A Hot operation is one that has a budget of one round trip.
type Hot struct {
	Name string
	Do   func(ctx context.Context) error
}

// HotPath returns the operations of a sign-in that happen for everybody, ready to
// be done once each, in order.
func HotPath(t testing.TB, s *storage.Store) []Hot {
	t.Helper()
	w := newWorld(t, s)
	l := w.signIn(identity.ID{})
	w.ok(s.StoreRequest(t.Context(), w.request())) // how many wait is counted once a second
	req := w.request()
	given := w.newCode(l, opaque, func(n *oauth.NewCode) { n.Interaction = req.Handle })
	silent := w.newCode(l, func(n *oauth.NewCode) { n.Consent = false })
	one, two := w.redemption(given), w.redemption(silent)
	turn := rotating(w.refreshing(one.Refresh))
	again := rotating(w.refreshing(turn.Next))
	keep, jwt := w.refreshing(again.Next), w.refreshing(two.Refresh)
	waiting, parent := w.request(), w.family(l)
	waiting.Browser = nil
	w.ok(s.StoreRequest(t.Context(), waiting))
	return slices.Concat([]Hot{
		{"StoreRequest", func(ctx context.Context) error { return s.StoreRequest(ctx, req) }},
		{"Request", func(ctx context.Context) error { _, err := s.Request(ctx, req.Handle, w.client, w.now); return err }},
		{"Login", func(ctx context.Context) error { _, err := s.Login(ctx, l.token, w.now); return err }},
		{"Consents", func(ctx context.Context) error { _, err := s.Consents(ctx, w.citizen, w.client, w.now); return err }},
		{"IssueCode with consent", func(ctx context.Context) error { return s.IssueCode(ctx, given.NewCode) }},
		{"IssueCode as agreed", func(ctx context.Context) error { return s.IssueCode(ctx, silent.NewCode) }},
		{"Redeem opaque", func(ctx context.Context) error { _, err := s.Redeem(ctx, one); return err }},
		{"Redeem JWT", func(ctx context.Context) error { _, err := s.Redeem(ctx, two); return err }},
		{"Refresh with rotation", func(ctx context.Context) error { _, err := s.Refresh(ctx, turn); return err }},
		{"Refresh with another rotation", func(ctx context.Context) error { _, err := s.Refresh(ctx, again); return err }},
		{"Refresh opaque", func(ctx context.Context) error { _, err := s.Refresh(ctx, keep); return err }},
		{"Refresh JWT", func(ctx context.Context) error { _, err := s.Refresh(ctx, jwt); return err }},
		{"Token", func(ctx context.Context) error { _, err := s.Token(ctx, one.Access.Token, w.now); return err }},
		{"LiveGrant", func(ctx context.Context) error { _, err := s.LiveGrant(ctx, given.Grant.ID, w.now); return err }},
		{"UserInfo by token", func(ctx context.Context) error {
			_, _, err := s.UserInfo(ctx, one.Access.Token, identity.ID{}, []string{"name"}, w.now)
			return err
		}},
		{"UserInfo by grant", func(ctx context.Context) error {
			_, _, err := s.UserInfo(ctx, nil, given.Grant.ID, []string{"name"}, w.now)
			return err
		}},
	}, w.devicePath(), w.withOnce(), []Hot{
		{"ClaimRequest", func(ctx context.Context) error {
			return s.ClaimRequest(ctx, waiting.Handle, w.client, fresh(), w.now.Add(time.Hour), w.now)
		}},
		{"Spend", func(ctx context.Context) error { return s.Spend(ctx, w.now, w.once(), w.once(), w.once()) }},
		{"Exchange", func(ctx context.Context) error {
			_, err := s.Exchange(ctx, w.exchange(parent.Grant, "openid"))
			return err
		}},
		{"TakeFarewells", func(ctx context.Context) error { _, err := s.TakeFarewells(ctx, w.now, time.Minute, 10); return err }},
		{"Account", func(ctx context.Context) error { _, err := s.Account(ctx, w.citizen); return err }},
		{"AccountByAlias", func(ctx context.Context) error { _, err := s.AccountByAlias(ctx, w.card); return err }},
		{"Attempt", func(ctx context.Context) error {
			rule := authn.Rule{Free: 5, Per: time.Hour}
			_, err := s.Attempt(ctx, w.now, authn.Try{Key: fresh(), Rule: rule}, authn.Try{Key: fresh(), Rule: rule}, authn.Try{Key: fresh(), Rule: rule})
			return err
		}},
	})
}

// protocol does what clients do that authenticate by proofs and delegate, and
// registers and withdraws them; it ends a session whose client has not heard of it yet.
func (w *world) protocol(l session) {
	w.Helper()
	ctx, s := w.ctx, w.s
	for _, b := range bearers() {
		right, _, _ := b.ready(w, l)
		w.ok(right(w, w.once(), w.once()))
	}
	par := w.request()
	par.Browser = nil
	w.ok(s.StoreRequest(ctx, par, w.once()))
	w.ok(s.ClaimRequest(ctx, par.Handle, w.client, fresh(), par.Expires, w.now))
	w.is("another browser", s.ClaimRequest(ctx, par.Handle, w.client, fresh(), par.Expires, w.now), identity.ErrSpent)
	x := w.exchange(w.family(l).Grant, "openid")
	x.Opaque = true
	g, err := s.Exchange(ctx, x)
	w.ok(err)
	_, err = s.Exchange(ctx, w.exchange(g, "payments"))
	w.is("more scope", err, identity.ErrScope)
	t := w.initialToken(3)
	_, err = s.InitialToken(ctx, t.Hash, w.now)
	w.ok(err)
	c, e := w.newcomer()
	w.ok(s.RegisterClient(ctx, t.Hash, c, w.now, e))
	w.ok(s.WithdrawClient(ctx, c.ID, w.now, e))
	d := w.beside()
	for range 3 {
		d.listening()
		dl := d.signIn(identity.ID{})
		d.family(dl)
		d.ok(s.EndLogin(ctx, d.citizen, dl.ID, d.event(audit.LoginEnded)))
	}
	taken, err := s.TakeFarewells(ctx, w.now, time.Minute, 2)
	if err != nil || len(taken) != 2 {
		w.Fatalf("%d farewells, %v", len(taken), err)
	}
	w.ok(s.Delivered(ctx, taken[0].ID))
	w.ok(s.Undelivered(ctx, taken[1].ID, w.now))
}

// Broken holds a store to what it says when nothing can be written: every act is a
// fault and was not done, and can be done when all is well again. Both stores see
// one database, and while spoil(true) holds broken may only read it.
func Broken(t *testing.T, good, broken *storage.Store, spoil func(on bool)) {
	spoiled := func(do func() error) error {
		spoil(true)
		defer spoil(false)
		return do()
	}
	for _, a := range acts() {
		t.Run(a.name, func(t *testing.T) {
			w := newWorld(t, good)
			do, done := a.begin(w)
			w.s = broken
			w.fault("doing it", spoiled(func() error { return do(w.event(a.kind)) }))
			w.s = good
			if done() {
				t.Error("it was done")
			}
		})
	}
	for _, r := range slices.Concat(races(), onceRaces(), protocolRaces(), deviceRaces()) {
		t.Run("once-"+r.name, func(t *testing.T) {
			w := newWorld(t, good)
			try, _ := r.begin(w)
			w.fault("trying", spoiled(func() error { return try(w.on(broken), 0) }))
			w.is("when it is mended", try(w, 1), nil)
		})
	}
}
