package storagetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/storage"
)

// An ending is a revocation that runs into those who use what it ends. Once it
// has returned nothing may be accepted, whoever came first (SECURITY DV2, G6).
type ending struct {
	name string
	end  func(w *world, phone identity.ID, login identity.ID) error
}

func endings() []ending {
	return []ending{
		{"end-device-against-all", func(w *world, phone, _ identity.ID) error {
			return w.s.EndDevice(w.Context(), w.citizen, phone, identity.DeviceLost, nil, w.event(audit.DeviceEnded))
		}},
		{"end-login-against-all", func(w *world, _, login identity.ID) error {
			return w.s.EndLogin(w.Context(), w.citizen, login, w.event(audit.LoginEnded))
		}},
		{"end-other-logins-against-all", func(w *world, _, _ identity.ID) error {
			return w.s.EndOtherLogins(w.Context(), w.citizen, identity.NewID(), w.event(audit.LoginsEnded))
		}},
		{"set-password-against-all", func(w *world, _, _ identity.ID) error {
			return w.s.SetPassword(w.Context(), w.citizen, "x", identity.ID{}, w.event(audit.PasswordChanged))
		}},
		{"freeze-against-all", func(w *world, _, _ identity.ID) error {
			return w.s.SetCardState(w.Context(), w.citizen, identity.CardFrozen, w.event(audit.CitizenFrozen))
		}},
		{"report-phone-against-all", func(w *world, _, _ identity.ID) error { return w.lose(w.report(loss.Phone)) }},
		{"report-card-against-all", func(w *world, _, _ identity.ID) error { return w.lose(w.report(loss.Card)) }},
		{"suspend-device-against-all", func(w *world, phone, _ identity.ID) error {
			return w.s.EndDevice(w.Context(), w.citizen, phone, identity.DeviceSuspended, nil, w.event(audit.DeviceEnded))
		}},
		{"suspend-client-against-all", func(w *world, _, _ identity.ID) error {
			return w.s.SuspendClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended))
		}},
		{"withdraw-consent-against-all", func(w *world, _, _ identity.ID) error {
			return w.s.WithdrawConsent(w.Context(), w.citizen, w.client, w.now, w.event(audit.ConsentWithdrawn))
		}},
	}
}

// runEnding lets an ending run into redemptions, refreshes, new codes and a
// step-up of the login it is about, and looks at what was handed out.
func runEnding(t *testing.T, stores []*storage.Store, e ending, round int) {
	w := newWorld(t, stores[0])
	phone := w.bindPhone(w.signIn(identity.ID{}))
	l := w.signIn(identity.ID{}, identity.Proof{Factor: identity.FactorPhone, At: w.now, Device: phone.ID})
	fam := w.family(l, opaque, offline)
	codes := make([]issue, 5)
	for i := range codes {
		codes[i] = w.code(l, opaque, offline)
	}
	step := w.flow(func(f *authn.Flow) { f.Login = l.ID })
	raised := w.newLogin(identity.ID{}, l.Proofs...)

	var mu sync.Mutex
	families := []family{fam}
	issued := make([]issue, 4)
	endsLogins := e.name != "suspend-client-against-all" && e.name != "withdraw-consent-against-all"
	for _, err := range together(racers, func(i int) error {
		w := w.on(stores[i%len(stores)])
		switch {
		case i == 0:
			time.Sleep(time.Duration(round) * time.Millisecond)
			return e.end(w, phone.ID, l.ID)
		case i <= 5:
			r := w.redemption(codes[i-1])
			g, err := w.s.Redeem(w.Context(), r)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				families = append(families, family{g, r.Refresh, r.Access.Token})
			}
			return ignore(err, identity.ErrNotFound)
		case i <= 10:
			r := w.refreshing(fam.refresh)
			g, err := w.s.Refresh(w.Context(), r)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				families = append(families, family{g, fam.refresh, r.Access.Token})
			}
			return ignore(err, identity.ErrNotFound)
		case i <= 14:
			n := w.newCode(l, opaque, offline, func(n *oauth.NewCode) { n.Consent = false })
			issued[i-11] = n
			return ignore(w.s.IssueCode(w.Context(), n.NewCode), identity.ErrEnded, identity.ErrConsent)
		default:
			if !endsLogins {
				return nil
			}
			_, err := w.finish(step, raised, l.ID)
			return ignore(err, identity.ErrEnded, identity.ErrSpent)
		}
	}) {
		if errors.Is(err, identity.ErrNotFound) && e.name == "end-login-against-all" {
			// The step-up replaced the login first. Whoever wanted to end that one sees
			// the new one in the list, and nothing was promised about it.
			return
		}
		if err != nil {
			t.Errorf("%v", err)
		}
	}
	for _, f := range families {
		w.accepted("handed out meanwhile", f, false)
	}
	for _, n := range append(issued, codes...) {
		if _, err := w.s.Redeem(w.Context(), w.redemption(n)); err == nil {
			t.Error("a code was redeemed")
		}
	}
	if endsLogins {
		w.live("the login", l, false)
		w.live("the raised login", raised, false)
	}
}

func ignore(err error, expected ...error) error {
	for _, e := range expected {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}
