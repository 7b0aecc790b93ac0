package rp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"ecardid/internal/jose"
	"ecardid/rp"
)

// A new key is found without a restart, and a stranger's kids do not make us ask for
// it (SECURITY KY5).
func TestRotation(t *testing.T) {
	o := newOffice(t)
	v := o.verifier()
	later := func(d time.Duration) { o.change(func() { o.now = o.now.Add(d) }) }
	ok := func(token string) { t.Helper(); expect(t, v, request("Bearer "+token), rp.Demand{}, "", 200) }
	no := func(token string) {
		t.Helper()
		expect(t, v, request("Bearer "+token), rp.Demand{}, "invalid_token", 401)
	}
	asked := func(want int) {
		t.Helper()
		if got := o.asked("/jwks"); got != want {
			t.Errorf("the keys were asked for %d times, want %d", got, want)
		}
	}
	for range 5 {
		ok(o.token())
	}
	asked(1)
	stranger := newKey(t, jose.ES256, "unknown")
	for i := range 50 {
		no(o.signed(newKey(t, jose.ES256, fmt.Sprint("kid-", i)), "at+jwt", o.claims()))
	}
	asked(1) // asked a moment ago
	later(31 * time.Second)
	for range 50 {
		no(o.signed(stranger, "at+jwt", o.claims()))
	}
	asked(2)
	next := newKey(t, jose.ES256, "es-2")
	o.change(func() { o.main = append(o.main, next) })
	no(o.signed(next, "at+jwt", o.claims())) // the price of not asking: half a minute, and keys are published before they sign
	later(31 * time.Second)
	ok(o.signed(next, "at+jwt", o.claims()))
	asked(3)
	// A key that was taken away is believed no longer than the set is fresh.
	old := o.main[0]
	o.change(func() { o.main = o.main[1:] })
	later(16 * time.Minute)
	ok(o.signed(next, "at+jwt", o.claims())) // makes somebody ask, without waiting
	for deadline := time.Now().Add(5 * time.Second); o.asked("/jwks") < 4 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := v.Check(request("Bearer "+o.signed(old, "at+jwt", o.claims())), rp.Demand{}); err != nil {
			break
		}
	}
	no(o.signed(old, "at+jwt", o.claims()))
	asked(4)
}

// Without its issuer an API goes on with the keys it has, for half a day, and lets
// nobody in without keys (SECURITY G5).
func TestIssuerDown(t *testing.T) {
	o := newOffice(t)
	o.down = true
	v := o.verifier()
	expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 503)
	for range 20 {
		expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 503)
	}
	const meta = "/.well-known/oauth-authorization-server"
	if got := o.asked(meta); got != 1 {
		t.Errorf("a server that is down was asked %d times in one moment", got)
	}
	o.change(func() { o.down, o.now = false, o.now.Add(2*time.Second) })
	expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 200)
	o.change(func() { o.down, o.now = true, o.now.Add(11*time.Hour) })
	expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 200)
	o.change(func() { o.now = o.now.Add(2 * time.Hour) })
	expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 503)
	o.change(func() { o.down, o.now = false, o.now.Add(2*time.Second) })
	expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 200)
}

// Metadata that is not the issuer's, or leads elsewhere, gives no keys.
func TestMetadata(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked elsewhere") }))
	defer elsewhere.Close()
	for name, f := range map[string]func(*office){
		"other-issuer":   func(o *office) { o.meta = map[string]string{"issuer": o.url + "/"} },
		"keys-elsewhere": func(o *office) { o.meta = map[string]string{"jwks_uri": elsewhere.URL} },
		"ask-elsewhere":  func(o *office) { o.meta = map[string]string{"introspection_endpoint": elsewhere.URL} },
		"prefix":         func(o *office) { o.meta = map[string]string{"jwks_uri": o.url + ".evil.example/jwks"} },
		"text":           func(o *office) { o.media = "text/html" },
		"no-jwks":        func(o *office) { o.meta = map[string]string{"jwks_uri": o.url + "/none"} },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			f(o)
			expect(t, o.verifier(), request("Bearer "+o.token()), rp.Demand{}, "", 503)
		})
	}
	t.Run("redirect", func(t *testing.T) {
		away := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
		defer away.Close()
		o := newOffice(t)
		v := o.verifier(func(c *rp.Config) { c.Issuer, c.HTTP = away.URL, &http.Client{} })
		expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 503)
		expect(t, v, request("Bearer eca_x"), rp.Demand{}, "", 503)
	})
	t.Run("no-sm2", func(t *testing.T) {
		o := newOffice(t)
		o.meta = map[string]string{"sm2_jwks_uri": "", "introspection_endpoint": ""}
		v := o.verifier()
		expect(t, v, request("Bearer "+o.signed(o.sm2[0], "at+jwt", o.claims())), rp.Demand{}, "invalid_token", 401)
		expect(t, v, request("Bearer "+o.token()), rp.Demand{}, "", 200)
		expect(t, v, request("Bearer eca_x"), rp.Demand{}, "", 503)
	})
}

// A crowd that comes before the keys are there waits for one fetch; who goes away
// waits no longer.
func TestCrowd(t *testing.T) {
	o := newOffice(t)
	v := o.verifier()
	token := o.token()
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := v.Check(request("Bearer "+token).WithContext(gone), rp.Demand{}); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("who left is told %v", err)
	}
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			if _, err := v.Check(request("Bearer "+token), rp.Demand{}); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
	if got := o.asked("/jwks"); got != 1 {
		t.Errorf("the keys were asked for %d times", got)
	}
}
