package authn_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// request is one the account room would pass on.
func request(b *browser) *http.Request {
	r := httptest.NewRequest("POST", origin+"/account", nil)
	r.RemoteAddr = b.from
	return r
}

// TestNotFresh: everything that changes how somebody signs in wants MFA of the last
// five minutes, and looks for it itself.
func TestNotFresh(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-skip")
	w.clock.Advance(6 * time.Minute)
	stale, err := b.login()
	if err != nil {
		t.Fatal(err)
	}
	half := identity.Login{ID: stale.ID, Citizen: alice.id, Proofs: []identity.Proof{{Factor: identity.FactorPassword, At: w.clock.Now()}}}
	for _, l := range []identity.Login{stale, half, {}} {
		r := request(b)
		_, _, beginTOTP := w.svc.BeginTOTP(r, l, totp.RFC6238)
		_, showTOTP := w.svc.ShowTOTP(r, l, identity.NewID())
		_, beginKey := w.svc.BeginPasskey(r, l)
		_, finishKey := w.svc.FinishPasskey(r, l, []byte("{}"))
		_, renew := w.svc.RenewRecovery(r, l)
		_, _, _, enrol := w.svc.OpenPhoneEnrolment(r, l)
		for name, err := range map[string]error{
			"ChangePassword": w.svc.ChangePassword(r, l, goodWord, "another good horse"),
			"BeginTOTP":      beginTOTP, "ShowTOTP": showTOTP, "BeginPasskey": beginKey, "FinishPasskey": finishKey,
			"ConfirmTOTP": w.svc.ConfirmTOTP(r, l, identity.NewID(), "123456"),
			"RemoveTOTP":  w.svc.RemoveTOTP(r, l), "RemovePasskey": w.svc.RemovePasskey(r, l, identity.NewID()),
			"RenewRecovery": renew, "OpenPhoneEnrolment": enrol, "SetGreeting": w.svc.SetGreeting(r, l, "你好"),
		} {
			if !errors.Is(err, authn.ErrNotFresh) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// Raised, it works: and both factors are asked for again.
	r := b.raise(w.svc.FreshNeed())
	r = b.fill(r, "username", aliceCard, "password", goodWord)
	// The browser was asked whether to remember it when she first came.
	if r = b.fill(r, "code", w.totp(alice)); r.status != http.StatusSeeOther {
		t.Fatalf("%d %T", r.status, r.Page)
	}
	fresh, err := b.login()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.SetGreeting(request(b), fresh, "你好"); err != nil {
		t.Error(err)
	}
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b, other := w.browser("b"), w.browser("other")
	other.signIn(alice, "device-skip")
	b.signIn(alice, "device-skip")
	half := w.browser("half")
	pending := half.fill(half.begin(), "username", aliceCard, "password", goodWord)
	l, err := b.login()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.ChangePassword(request(b), l, "wrong", "another good horse"); !errors.Is(err, authn.ErrWrong) {
		t.Errorf("%v", err)
	}
	var weak *authn.WeakPassword
	for _, word := range []string{"short", "password1", "12345678"} {
		if err := w.svc.ChangePassword(request(b), l, goodWord, word); !errors.As(err, &weak) {
			t.Errorf("%q: %v", word, err)
		}
	}
	if err := w.svc.ChangePassword(request(b), l, goodWord, "another good horse"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.login(); err != nil {
		t.Errorf("this session: %v", err)
	}
	if _, err := other.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("the other session: %v", err)
	}
	if r := half.fill(pending, "code", w.totp(alice)); r.status != http.StatusNotFound {
		t.Errorf("the half-finished login: %d", r.status)
	}
	if w.notices(alice, audit.PasswordChanged) != 1 {
		t.Error("Alice was not told")
	}
	if r := half.fill(half.begin(), "username", aliceCard, "password", goodWord); problem(t, r) != templates.ProblemCredentials {
		t.Errorf("the old password: %T", r.Page)
	}
	// Guessing at the current password from inside a session is throttled too.
	for range 12 {
		err = w.svc.ChangePassword(request(b), l, "wrong", "yet another horse")
	}
	if !errors.Is(err, authn.ErrThrottled) {
		t.Errorf("%v", err)
	}
}

func TestLastFactorStays(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-skip")
	l, err := b.login()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.RemoveTOTP(request(b), l); !errors.Is(err, authn.ErrLastFactor) {
		t.Fatalf("%v", err)
	}
	key := newKey(false)
	options, err := w.svc.BeginPasskey(request(b), l)
	if err != nil {
		t.Fatal(err)
	}
	k, err := w.svc.FinishPasskey(request(b), l, []byte(key.create(t, string(options))))
	if err != nil || k.Device.IsZero() {
		t.Fatalf("%+v %v", k, err)
	}
	// The answer again: its ceremony is spent.
	if _, err := w.svc.FinishPasskey(request(b), l, []byte(key.create(t, string(options)))); !errors.Is(err, authn.ErrPasskey) {
		t.Errorf("%v", err)
	}
	if err := w.svc.RemoveTOTP(request(b), l); err != nil {
		t.Fatalf("with a passkey at hand: %v", err)
	}
	for name, err := range map[string]error{
		"passkey": w.svc.RemovePasskey(request(b), l, k.ID),
		"device":  w.svc.EndDevice(request(b), l, k.Device, identity.DeviceRevoked),
	} {
		if !errors.Is(err, authn.ErrLastFactor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.svc.EndDevice(request(b), l, k.Device, identity.DeviceLost); err != nil {
		t.Errorf("lost is lost, last factor or not: %v", err)
	}
}

func TestNewGenerator(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-skip")
	l, err := b.login()
	if err != nil {
		t.Fatal(err)
	}
	id, shown, err := w.svc.BeginTOTP(request(b), l, totp.RFC6238)
	if err != nil || shown.URI == "" || shown.Secret == "" {
		t.Fatalf("%+v %v", shown, err)
	}
	if err := w.svc.ConfirmTOTP(request(b), l, id, w.totp(alice)); !errors.Is(err, authn.ErrWrong) {
		t.Errorf("the old app's code: %v", err)
	}
	f, err := w.store.PendingTOTP(t.Context(), alice.id, id, start)
	if err != nil {
		t.Fatal(err)
	}
	if alice.seed, err = totp.SeedOf(f.Seed); err != nil {
		t.Fatal(err)
	}
	code := w.totp(alice)
	if err := w.svc.ConfirmTOTP(request(b), l, id, code); err != nil {
		t.Fatal(err)
	}
	// The code that confirmed it is spent.
	c := w.browser("c")
	r := c.fill(c.begin(), "username", aliceCard, "password", goodWord)
	if r = c.fill(r, "code", code); problem(t, r) != templates.ProblemCode {
		t.Errorf("%T", r.Page)
	}
}
