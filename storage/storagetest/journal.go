package storagetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/oauth"
)

// An act is a change that leaves an entry. begin readies the world and returns how
// to do it and how to see whether it was done.
type act struct {
	name  string
	kind  audit.Kind
	begin func(w *world) (do func(audit.Event) error, done func() bool)
}

func acts() []act {
	account := func(w *world) authn.Account {
		a, err := w.s.Account(w.Context(), w.citizen)
		w.ok(err)
		return a
	}
	notFound := func(err error) bool { return errors.Is(err, identity.ErrNotFound) }
	return append(deviceActs(), []act{
		{"activate", audit.CitizenActivated, func(w *world) (func(audit.Event) error, func() bool) {
			c := w.arrive()
			w.citizen = c.ID
			return func(e audit.Event) error { return w.s.Activate(w.Context(), c.ID, c.Code, "new", "hi", e) }, func() bool { return account(w).Password != "" }
		}},
		{"finish-flow", audit.LoginFinished, func(w *world) (func(audit.Event) error, func() bool) {
			f, l := w.flow(), w.newLogin(identity.ID{})
			return func(e audit.Event) error {
					return w.s.FinishFlow(w.Context(), f, authn.NewLogin{Login: l.Login, Token: l.token, Idle: loginIdle}, identity.ID{}, e)
				}, func() bool {
					_, err := w.s.Login(w.Context(), l.token, w.now)
					return err == nil
				}
		}},
		{"end-login", audit.LoginEnded, func(w *world) (func(audit.Event) error, func() bool) {
			l := w.signIn(identity.ID{})
			return func(e audit.Event) error { return w.s.EndLogin(w.Context(), w.citizen, l.ID, e) }, func() bool {
				_, err := w.s.Login(w.Context(), l.token, w.now)
				return notFound(err)
			}
		}},
		{"end-other-logins", audit.LoginsEnded, func(w *world) (func(audit.Event) error, func() bool) {
			l := w.signIn(identity.ID{})
			return func(e audit.Event) error { return w.s.EndOtherLogins(w.Context(), w.citizen, identity.ID{}, e) }, func() bool {
				_, err := w.s.Login(w.Context(), l.token, w.now)
				return notFound(err)
			}
		}},
		{"set-password", audit.PasswordChanged, func(w *world) (func(audit.Event) error, func() bool) {
			return func(e audit.Event) error {
				return w.s.SetPassword(w.Context(), w.citizen, "new", identity.ID{}, e)
			}, func() bool { return account(w).Password == "new" || account(w).Epoch > 2 }
		}},
		{"set-greeting", audit.GreetingChanged, func(w *world) (func(audit.Event) error, func() bool) {
			return func(e audit.Event) error { return w.s.SetGreeting(w.Context(), w.citizen, "new", e) }, func() bool { return account(w).Greeting == "new" }
		}},
		{"confirm-totp", audit.TOTPBound, func(w *world) (func(audit.Event) error, func() bool) {
			f := w.proposal()
			w.ok(w.s.ProposeTOTP(w.Context(), f))
			return func(e audit.Event) error {
				return w.s.ConfirmTOTP(w.Context(), w.citizen, f.ID, 1, identity.ID{}, nil, e)
			}, func() bool { return account(w).Factors.TOTP }
		}},
		{"remove-totp", audit.TOTPRemoved, func(w *world) (func(audit.Event) error, func() bool) {
			w.bindTOTP(w.signIn(identity.ID{}))
			return func(e audit.Event) error { return w.s.RemoveTOTP(w.Context(), w.citizen, identity.ID{}, nil, e) }, func() bool { return !account(w).Factors.TOTP }
		}},
		{"replace-recovery", audit.RecoveryRenewed, func(w *world) (func(audit.Event) error, func() bool) {
			return func(e audit.Event) error {
				return w.s.ReplaceRecovery(w.Context(), w.citizen, [][]byte{fresh()}, e)
			}, func() bool { return account(w).Factors.Recovery == 1 }
		}},
		{"spend-recovery", audit.RecoveryUsed, func(w *world) (func(audit.Event) error, func() bool) {
			code := fresh()
			w.ok(w.s.ReplaceRecovery(w.Context(), w.citizen, [][]byte{code}, w.event(audit.RecoveryRenewed)))
			return func(e audit.Event) error { return w.s.SpendRecovery(w.Context(), w.citizen, code, e) }, func() bool { return account(w).Factors.Recovery == 0 }
		}},
		{"add-passkey", audit.PasskeyBound, func(w *world) (func(audit.Event) error, func() bool) {
			p, d := w.newPasskey(true)
			return func(e audit.Event) error { return w.s.AddPasskey(w.Context(), p, d, nil, e) }, func() bool {
				_, err := w.s.Device(w.Context(), w.citizen, d.ID)
				return account(w).Factors.Passkeys == 1 || !notFound(err)
			}
		}},
		{"disable-passkey", audit.PasskeyCloned, func(w *world) (func(audit.Event) error, func() bool) {
			p := w.addPasskey(w.signIn(identity.ID{}), false)
			return func(e audit.Event) error { return w.s.DisablePasskey(w.Context(), w.citizen, p.ID, e) }, func() bool { return account(w).Factors.Passkeys == 0 }
		}},
		{"remove-passkey", audit.PasskeyRemoved, func(w *world) (func(audit.Event) error, func() bool) {
			p := w.addPasskey(w.signIn(identity.ID{}), true)
			return func(e audit.Event) error {
				return w.s.RemovePasskey(w.Context(), w.citizen, p.ID, identity.ID{}, nil, e)
			}, func() bool { return account(w).Factors.Passkeys == 0 }
		}},
		{"rename-passkey", audit.PasskeyRenamed, func(w *world) (func(audit.Event) error, func() bool) {
			p := w.addPasskey(w.signIn(identity.ID{}), true)
			return func(e audit.Event) error { return w.s.RenamePasskey(w.Context(), w.citizen, p.ID, "new", e) }, func() bool {
				all, err := w.s.ListPasskeys(w.Context(), w.citizen)
				w.ok(err)
				return all[0].Name == "new"
			}
		}},
		{"rename-device", audit.DeviceRenamed, func(w *world) (func(audit.Event) error, func() bool) {
			d := w.trustBrowser(w.signIn(identity.ID{}))
			return func(e audit.Event) error { return w.s.RenameDevice(w.Context(), w.citizen, d.ID, "new", e) }, func() bool {
				got, err := w.s.Device(w.Context(), w.citizen, d.ID)
				w.ok(err)
				return got.Name == "new"
			}
		}},
		{"end-device", audit.DeviceEnded, func(w *world) (func(audit.Event) error, func() bool) {
			d := w.bindPhone(w.signIn(identity.ID{}))
			return func(e audit.Event) error {
					return w.s.EndDevice(w.Context(), w.citizen, d.ID, identity.DeviceLost, nil, e)
				}, func() bool {
					_, err := w.s.Phone(w.Context(), d.ID)
					return notFound(err)
				}
		}},
		{"trust-browser", audit.DeviceBound, func(w *world) (func(audit.Event) error, func() bool) {
			d := w.newBrowser()
			return func(e audit.Event) error { return w.s.TrustBrowser(w.Context(), d, nil, e) }, func() bool {
				_, _, err := w.s.Browser(w.Context(), d.Cookie, w.now)
				return err == nil
			}
		}},
		{"bind-phone", audit.DeviceBound, func(w *world) (func(audit.Event) error, func() bool) {
			en, d := w.enrol(w.signIn(identity.ID{})), w.newPhone()
			return func(e audit.Event) error { return w.s.BindPhone(w.Context(), en.ID, d, w.now, e) }, func() bool {
				_, err := w.s.Enrolment(w.Context(), en.ID, w.now)
				return account(w).Factors.Phones == 1 || notFound(err)
			}
		}},
		{"answer-approval", audit.PhoneApproved, func(w *world) (func(audit.Event) error, func() bool) {
			d, a := w.bindPhone(w.signIn(identity.ID{})), w.approval(w.flow())
			w.ok(w.s.OpenApproval(w.Context(), a))
			return func(e audit.Event) error {
					return w.s.AnswerApproval(w.Context(), a.ID, d.ID, authn.ApprovalApproved, true, true, w.now, e)
				}, func() bool {
					got, err := w.s.Approval(w.Context(), a.ID, w.now)
					w.ok(err)
					return got.State != authn.ApprovalPending
				}
		}},
		{"issue-code", audit.ConsentGiven, func(w *world) (func(audit.Event) error, func() bool) {
			l, r := w.signIn(identity.ID{}), w.request()
			w.ok(w.s.StoreRequest(w.Context(), r))
			n := w.newCode(l, func(n *oauth.NewCode) { n.Interaction = r.Handle })
			return func(e audit.Event) error {
					n.Event = e
					return w.s.IssueCode(w.Context(), n.NewCode)
				}, func() bool {
					_, err := w.s.Request(w.Context(), r.Handle, w.client, w.now)
					given, err2 := w.s.Consents(w.Context(), w.citizen, w.client, w.now)
					w.ok(err2)
					return notFound(err) || len(given) > 0
				}
		}},
		{"revoke-token", audit.GrantRevoked, func(w *world) (func(audit.Event) error, func() bool) {
			f := w.family(w.signIn(identity.ID{}))
			return func(e audit.Event) error {
					return w.s.RevokeFamily(w.Context(), familyOf(f.refresh), w.client, w.now, e)
				}, func() bool {
					_, err := w.s.LiveGrant(w.Context(), f.ID, w.now)
					return notFound(err)
				}
		}},
		{"revoke-grant", audit.GrantRevoked, func(w *world) (func(audit.Event) error, func() bool) {
			f := w.family(w.signIn(identity.ID{}))
			return func(e audit.Event) error { return w.s.RevokeGrant(w.Context(), f.ID, w.client, w.now, e) }, func() bool {
				_, err := w.s.LiveGrant(w.Context(), f.ID, w.now)
				return notFound(err)
			}
		}},
		{"withdraw-consent", audit.ConsentWithdrawn, func(w *world) (func(audit.Event) error, func() bool) {
			f := w.family(w.signIn(identity.ID{}))
			return func(e audit.Event) error {
					return w.s.WithdrawConsent(w.Context(), w.citizen, w.client, w.now, e)
				}, func() bool {
					_, err := w.s.LiveGrant(w.Context(), f.ID, w.now)
					given, err2 := w.s.Consents(w.Context(), w.citizen, w.client, w.now)
					w.ok(err2)
					return notFound(err) || len(given) == 0
				}
		}},
		{"suspend-client", audit.ClientSuspended, func(w *world) (func(audit.Event) error, func() bool) {
			f := w.family(w.signIn(identity.ID{}))
			return func(e audit.Event) error { return w.s.SuspendClient(w.Context(), w.client, w.now, e) }, func() bool {
				_, err := w.s.LiveGrant(w.Context(), f.ID, w.now)
				return notFound(err)
			}
		}},
		{"apply-client", audit.ClientApplied, func(w *world) (func(audit.Event) error, func() bool) {
			w.client = "applied-" + identity.NewID().String()
			return func(e audit.Event) error {
					return w.s.ApplyClient(w.Context(), oauth.Client{ID: w.client, State: oauth.ClientLive}, e)
				}, func() bool {
					all, _, err := w.s.AllClients(w.Context())
					w.ok(err)
					return slices.ContainsFunc(all, func(c oauth.Client) bool { return c.ID == w.client })
				}
		}},
		{"change-keys", audit.KeyRotated, func(w *world) (func(audit.Event) error, func() bool) {
			k := oauth.StoredKey{KID: identity.NewID().String(), Alg: "ES256", State: "next", Private: []byte("private"), Created: w.now}
			return func(e audit.Event) error {
					return w.s.ChangeKeys(w.Context(), func(all []oauth.StoredKey) ([]oauth.StoredKey, error) { return append(all, k), nil }, e)
				}, func() bool {
					all, err := w.s.SigningKeys(w.Context())
					w.ok(err)
					return slices.ContainsFunc(all, func(o oauth.StoredKey) bool { return o.KID == k.KID })
				}
		}},
		{"record", audit.LoginRefused, func(w *world) (func(audit.Event) error, func() bool) {
			return func(e audit.Event) error { return w.s.Record(w.Context(), e) }, func() bool { return w.entries(audit.LoginRefused) > 0 }
		}},
	}...)
}

func journalChecks() []check {
	var all []check
	for i, a := range acts() {
		all = append(all, check{a.name, func(w *world) {
			w.now = start.AddDate(0, 0, i+1) // a day of its own: entries looks no further back
			do, done := a.begin(w)
			entries, notices := w.entries(a.kind), w.notices(a.kind)
			for what, spoil := range map[string]func(*audit.Event){
				"time": func(e *audit.Event) { e.At = time.Time{} },
				"kind": func(e *audit.Event) { e.Kind = "" },
			} {
				e := w.event(a.kind)
				spoil(&e)
				w.fault("with an event without "+what, do(e))
				if done() {
					w.Fatalf("it was done with an event without %s", what)
				}
			}
			if w.entries(a.kind) != entries || w.notices(a.kind) != notices {
				w.Error("an entry without its act")
			}
			w.is("doing it", do(w.event(a.kind)), nil)
			if !done() {
				w.Error("it was not done")
			}
			if got := w.entries(a.kind); got != entries+1 {
				w.Errorf("%d entries more, want 1", got-entries)
			}
			if got := w.notices(a.kind); got != notices+1 {
				w.Errorf("%d notices more, want 1", got-notices)
			}
		}})
	}
	return append(all, check{"notices", func(w *world) {
		ctx := w.Context()
		for i := range 5 {
			e := w.event(audit.DeviceEnded)
			e.At, e.Detail, e.Place = w.now.Add(time.Duration(i)*time.Minute), map[string]string{"n": strings.Repeat("x", i)}, "192.0.2.0/24\n\u202eevil"
			e.Reason = strings.Repeat("字", 300) + "\x1b[31m"
			w.ok(w.s.Record(ctx, e))
			e.Notify = false
			w.ok(w.s.Record(ctx, e))
		}
		got, err := w.s.Notices(ctx, w.citizen, 3)
		w.ok(err)
		if len(got) != 3 || got[0].Detail["n"] != "xxxx" || !got[0].At.Equal(w.now.Add(4*time.Minute)) || got[2].Detail["n"] != "xx" || got[0].Place != "192.0.2.0/24evil" {
			w.Errorf("%+v", got)
		}
		for n, want := range map[int]int{0: 0, -1: 0, 100: 6} { // and the activation
			if got, err := w.s.Notices(ctx, w.citizen, n); err != nil || len(got) != want {
				w.Errorf("%d of at most %d, %v", len(got), n, err)
			}
		}
		if n := w.entries(audit.DeviceEnded); n != 10 {
			w.Errorf("%d entries", n)
		}
		if got, err := w.s.Notices(ctx, w.beside().citizen, 100); err != nil || len(got) != 1 {
			w.Errorf("another's notices: %+v, %v", got, err)
		}
	}})
}
