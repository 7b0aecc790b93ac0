package authn_test

import (
	"errors"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/templates"
)

func (w *world) notices(p *person, kind audit.Kind) int {
	w.t.Helper()
	all, err := w.store.Notices(w.t.Context(), p.id, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, one := range all {
		if one.Kind == kind {
			n++
		}
	}
	return n
}

func TestTrustedBrowser(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-bind")
	if n := w.notices(alice, audit.LoginFinished); n != 1 {
		t.Errorf("%d notices of a new browser", n)
	}
	var values []string
	for range 3 {
		values = append(values, b.cookies["__Host-td"])
		delete(b.cookies, "__Host-login")
		r := b.begin()
		if p := r.Page.(templates.Login); p.Greeting != greeting {
			t.Errorf("no greeting in a trusted browser: %q", p.Greeting)
		}
		r = b.fill(r, "username", aliceCard, "password", goodWord)
		// A trusted browser skips no factor.
		page[templates.TOTPCode](t, r)
		if r = b.fill(r, "code", w.totp(alice)); r.to != "/account" {
			t.Fatalf("%d %s %T", r.status, r.to, r.Page)
		}
		if l, err := b.login(); err != nil || l.Device.IsZero() {
			t.Errorf("%+v %v", l, err)
		}
		w.clock.Advance(time.Hour)
	}
	if values[0] == values[1] || values[1] == values[2] {
		t.Error("the cookie does not rotate")
	}
	if n := w.notices(alice, audit.LoginFinished); n != 1 {
		t.Errorf("%d notices, though the browser is known", n)
	}
	// The value before the last, an hour on: somebody has a copy.
	l, err := b.login()
	if err == nil {
		t.Fatalf("idle for an hour and yet %+v", l)
	}
	now := b.cookies["__Host-td"]
	thief := w.browser("thief")
	thief.cookies["__Host-td"] = values[2]
	r := thief.visit("/login")
	if p := page[templates.Login](t, r); p.Greeting != "" {
		t.Error("the greeting was shown to a copy")
	}
	if w.notices(alice, audit.DeviceReused) != 1 {
		t.Error("nobody told Alice")
	}
	b.cookies["__Host-td"] = now
	if p := page[templates.Login](t, b.visit("/login")); p.Greeting != "" {
		t.Error("the browser is still trusted")
	}
}

func TestRotationOverlap(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-bind")
	old := b.cookies["__Host-td"]
	delete(b.cookies, "__Host-login")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	b.fill(r, "code", w.totp(alice))
	// A second tab that was on its way with the old value is no thief.
	tab := w.browser("b")
	tab.cookies["__Host-td"] = old
	w.clock.Advance(20 * time.Second)
	if p := page[templates.Login](t, tab.visit("/login")); p.Greeting != greeting {
		t.Error("the second tab was taken for a thief")
	}
	if w.notices(alice, audit.DeviceReused) != 0 {
		t.Error("and Alice was told")
	}
}

// TestTrustEnds: with the password, with the browser's days, and when it is ended.
func TestTrustEnds(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	trusted := func(b *browser) bool {
		delete(b.cookies, "__Host-login")
		return page[templates.Login](t, b.visit("/login")).Greeting == greeting
	}
	b, c := w.browser("b"), w.browser("c")
	b.signIn(alice, "device-bind")
	c.signIn(alice, "device-bind")
	l, err := c.login()
	if err != nil {
		t.Fatal(err)
	}
	if !trusted(b) {
		t.Fatal("not trusted")
	}
	if err := w.svc.EndDevice(request(c), l, mine(t, w, alice, l.Device), identity.DeviceRevoked); err != nil {
		t.Fatal(err)
	}
	if trusted(b) {
		t.Error("ended and trusted")
	}
	if err := w.svc.ChangePassword(request(c), l, goodWord, "another good horse"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.login(); err != nil {
		t.Errorf("the session that changed it should stay: %v", err)
	}
	if trusted(c) {
		t.Error("trusted across a new password")
	}
	d := w.browser("d")
	r := d.fill(d.begin(), "username", aliceCard, "password", "another good horse")
	w.clock.Advance(31 * time.Second)
	r = d.fill(r, "code", w.totp(alice))
	d.fill(r, "device-bind", "1")
	if !trusted(d) {
		t.Fatal("not trusted")
	}
	w.clock.Advance(30*24*time.Hour + time.Second)
	if trusted(d) {
		t.Error("trusted after thirty days")
	}
}

// mine is the trusted browser of p that is not but.
func mine(t *testing.T, w *world, p *person, but identity.ID) identity.ID {
	t.Helper()
	ds, err := w.store.ListDevices(t.Context(), p.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		if d.ID != but && d.Kind == identity.DeviceBrowser {
			return d.ID
		}
	}
	t.Fatal("no such device")
	return identity.ID{}
}

// TestSomebodyElsesTrust: a browser trusted by Alice is nothing to Bob.
func TestSomebodyElsesTrust(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.alice(), w.bob()
	b := w.browser("b")
	b.signIn(alice, "device-bind")
	delete(b.cookies, "__Host-login")
	b.signIn(bob, "device-skip")
	l, err := b.login()
	if err != nil || l.Citizen != bob.id || !l.Device.IsZero() {
		t.Errorf("%+v %v", l, err)
	}
	if err := w.svc.EndDevice(request(b), l, mine(t, w, alice, identity.ID{}), identity.DeviceLost); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Bob ended Alice's browser: %v", err)
	}
}
