package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"ecardid/identity"
	"ecardid/internal/clock"
)

var zhang = User{Handle: []byte("the handle of zhang"), Name: "张**", DisplayName: "张**"}

// stored is a Lookup over what a test keeps.
func stored(creds ...Credential) Lookup {
	return func(_ context.Context, id []byte) (Credential, error) {
		for _, c := range creds {
			if bytes.Equal(c.ID, id) {
				return c, nil
			}
		}
		return Credential{}, identity.ErrNotFound
	}
}

func register(t testing.TB, r *Relying, s *soft) Credential {
	t.Helper()
	options, c, err := r.BeginRegistration(zhang, Open)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := r.FinishRegistration(t.Context(), c, reader(s.create(t, options)))
	if err != nil {
		t.Fatalf("%v: %v", err, cause(err))
	}
	return cred
}

func cause(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	return nil
}

// throughJSON is what storing and loading does to a value.
func throughJSON[T any](t testing.TB, v T) T {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestVirtualAuthenticator(t *testing.T) {
	for _, keyType := range []virtualwebauthn.KeyType{virtualwebauthn.KeyTypeEC2, virtualwebauthn.KeyTypeRSA} {
		t.Run(string(keyType), func(t *testing.T) {
			r := newRelying(t, testConfig(testClock()))
			rp := virtualwebauthn.RelyingParty{ID: rpID, Name: "电子社保卡", Origin: origin}
			auth := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: zhang.Handle})
			key := virtualwebauthn.NewCredential(keyType)
			// It drops leading zeros of coordinates: draw until there are none.
			for keyType == virtualwebauthn.KeyTypeEC2 && len(key.Key.AttestationData()) != 77 {
				key = virtualwebauthn.NewCredential(keyType)
			}

			options, c, err := r.BeginRegistration(zhang, Open)
			if err != nil {
				t.Fatal(err)
			}
			attOpts, err := virtualwebauthn.ParseAttestationOptions(string(options))
			if err != nil {
				t.Fatal(err)
			}
			cred, err := r.FinishRegistration(t.Context(), throughJSON(t, c), reader(virtualwebauthn.CreateAttestationResponse(rp, auth, key, *attOpts)))
			if err != nil {
				t.Fatalf("%v: %v", err, cause(err))
			}
			if !bytes.Equal(cred.UserHandle, zhang.Handle) || !bytes.Equal(cred.ID, key.ID) || cred.BackupEligible() || !cred.UserVerified() || cred.Policy != Open {
				t.Errorf("%+v", cred)
			}

			auth.AddCredential(key)
			cred = throughJSON(t, cred)
			zhangNow := User{Handle: zhang.Handle, Credentials: []Credential{cred}}
			for name, begin := range map[string]func() (json.RawMessage, Ceremony, error){
				"sign-in":       r.BeginSignIn,
				"second-factor": func() (json.RawMessage, Ceremony, error) { return r.BeginSecondFactor(zhangNow) },
			} {
				options, c, err := begin()
				if err != nil {
					t.Fatal(name, err)
				}
				opts, err := virtualwebauthn.ParseAssertionOptions(string(options))
				if err != nil {
					t.Fatal(name, err)
				}
				if allowed := auth.FindAllowedCredential(*opts); (allowed != nil) != (name == "second-factor") {
					t.Errorf("%s: allowCredentials %v", name, opts.AllowCredentials)
				}
				key.Counter++
				res, err := r.FinishLogin(t.Context(), throughJSON(t, c), reader(virtualwebauthn.CreateAssertionResponse(rp, auth, key, *opts)), stored(cred))
				if err != nil {
					t.Fatalf("%s: %v: %v", name, err, cause(err))
				}
				if !res.UserVerified || res.Synced || res.CloneWarning || res.Verdict != Accept || res.Credential.SignCount != key.Counter {
					t.Errorf("%s: %+v", name, res)
				}
				cred = throughJSON(t, res.Credential)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	old := newSoft(t, -7)
	cred := register(t, r, old)
	raw, c, err := r.BeginRegistration(User{Handle: zhang.Handle, Name: "张**", DisplayName: "张**", Credentials: []Credential{cred}}, Open)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		PublicKey struct {
			Challenge, Attestation string
			RP                     struct{ ID string }
			User                   struct{ ID string }
			PubKeyCredParams       []struct{ Alg int }
			ExcludeCredentials     []struct{ ID string }
			Timeout                int
			AuthenticatorSelection struct {
				ResidentKey, UserVerification string
				RequireResidentKey            bool
			}
		}
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	p := o.PublicKey
	algs := fmt.Sprint(p.PubKeyCredParams)
	switch {
	case len(p.Challenge) < 22: // 16 bytes
		t.Errorf("challenge %q", p.Challenge)
	case algs != "[{-7} {-8} {-257}]":
		t.Errorf("algorithms %s", algs)
	case p.RP.ID != rpID || p.User.ID != b64(zhang.Handle):
		t.Errorf("rp %q user %q", p.RP.ID, p.User.ID)
	case len(p.ExcludeCredentials) != 1 || p.ExcludeCredentials[0].ID != b64(cred.ID):
		t.Errorf("excluded %v", p.ExcludeCredentials)
	case p.AuthenticatorSelection.UserVerification != "required" || p.AuthenticatorSelection.ResidentKey != "required" || !p.AuthenticatorSelection.RequireResidentKey:
		t.Errorf("selection %+v", p.AuthenticatorSelection)
	case p.Timeout != 300000 || p.Attestation != "none":
		t.Errorf("timeout %d attestation %q", p.Timeout, p.Attestation)
	case c.Session.Expires.IsZero() || c.Expires.IsZero():
		t.Error("the ceremony does not expire")
	}

	// Sign-in options name nobody: two of them differ in the challenge alone.
	a, ca, err := r.BeginSignIn()
	if err != nil {
		t.Fatal(err)
	}
	b, cb, err := r.BeginSignIn()
	if err != nil {
		t.Fatal(err)
	}
	if string(bytes.ReplaceAll(a, []byte(ca.Session.Challenge), nil)) != string(bytes.ReplaceAll(b, []byte(cb.Session.Challenge), nil)) ||
		bytes.Contains(a, []byte("allowCredentials")) || ca.Session.Challenge == cb.Session.Challenge {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestRegistrationRefused(t *testing.T) {
	clk := testClock()
	r := newRelying(t, testConfig(clk))
	for _, c := range []struct {
		name   string
		alg    int
		bend   func(*soft)
		change func(*Ceremony)
		wait   time.Duration
		want   error
	}{
		{name: "good", alg: -7},
		{name: "good-ed25519", alg: -8},
		{name: "good-rsa", alg: -257},
		{name: "good-self-attested", alg: -7, bend: func(s *soft) { s.format = "packed" }},
		{name: "good-synced", alg: -7, bend: func(s *soft) { s.flags |= be | bs }},
		{name: "at-the-last-moment", alg: -7, wait: maxLife - time.Millisecond},
		{name: "wrong-origin", alg: -7, bend: func(s *soft) { s.origin = "https://login.ecard.test.evil.example" }, want: ErrRefused},
		{name: "origin-of-another-port", alg: -7, bend: func(s *soft) { s.origin = origin + ":8443" }, want: ErrRefused},
		{name: "plain-http", alg: -7, bend: func(s *soft) { s.origin = "http://login.ecard.test" }, want: ErrRefused},
		{name: "in-a-frame", alg: -7, bend: func(s *soft) { s.cross = true }, want: ErrRefused},
		{name: "wrong-rp-id", alg: -7, bend: func(s *soft) { s.rpID = "evil.example" }, want: ErrRefused},
		{name: "an-assertion-type", alg: -7, bend: func(s *soft) { s.typ = "webauthn.get" }, want: ErrRefused},
		{name: "wrong-challenge", alg: -7, bend: func(s *soft) { s.asOption = b64(make([]byte, 32)) }, want: ErrRefused},
		{name: "no-presence", alg: -7, bend: func(s *soft) { s.flags &^= up }, want: ErrRefused},
		{name: "no-verification", alg: -7, bend: func(s *soft) { s.flags &^= uv }, want: ErrRefused},
		{name: "backed-up-but-not-eligible", alg: -7, bend: func(s *soft) { s.flags |= bs }, want: ErrRefused},
		{name: "algorithm-not-offered", alg: -35, want: ErrRefused},
		// Even if the offer were forged in storage, the key is held to our list.
		{name: "algorithm-not-ours", alg: -35, change: func(c *Ceremony) { c.Session.CredParams[0].Algorithm = -35 }, want: ErrPolicy},
		{name: "broken-self-attestation", alg: -7, bend: func(s *soft) { s.format = "packed"; s.tamper = true }, want: ErrRefused},
		{name: "unknown-format", alg: -7, bend: func(s *soft) { s.format = "trust-me" }, want: ErrRefused},
		{name: "extension-nobody-asked-for", alg: -7, bend: func(s *soft) { s.props = map[string]any{"appid": true} }, want: ErrRefused},
		{name: "not-discoverable", alg: -7, bend: func(s *soft) { s.props = map[string]any{"credProps": map[string]any{"rk": false}} }, want: ErrPolicy},
		{name: "too-late", alg: -7, wait: maxLife, want: ErrExpired},
		{name: "no-expiry", alg: -7, change: func(c *Ceremony) { c.Expires = time.Time{} }, want: ErrExpired},
		{name: "of-another-purpose", alg: -7, change: func(c *Ceremony) { c.Purpose = SignIn }, want: ErrRefused},
		{name: "without-a-user", alg: -7, change: func(c *Ceremony) { c.Session.UserID = nil }, want: ErrRefused},
		{name: "without-a-challenge", alg: -7, change: func(c *Ceremony) { c.Session.Challenge = "" }, bend: func(s *soft) { s.asOption = " " }, want: ErrRefused},
		{name: "verification-talked-away", alg: -7, change: func(c *Ceremony) { c.Session.UserVerification = "discouraged" }, want: ErrRefused},
		{name: "empty-ceremony", alg: -7, change: func(c *Ceremony) { *c = Ceremony{} }, want: ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSoft(t, c.alg)
			options, cer, err := r.BeginRegistration(zhang, Open)
			if err != nil {
				t.Fatal(err)
			}
			if c.bend != nil {
				c.bend(s)
			}
			cer = throughJSON(t, cer)
			if c.change != nil {
				c.change(&cer)
			}
			clk.Advance(c.wait)
			cred, err := r.FinishRegistration(t.Context(), cer, reader(s.create(t, options)))
			if !errors.Is(err, c.want) {
				t.Fatalf("%v (%v), want %v", err, cause(err), c.want)
			}
			if c.want != nil && !reflect.DeepEqual(cred, Credential{}) {
				t.Error("a refusal returned a credential")
			}
			if c.want == nil && (len(cred.Transports) != 1 || cred.Transports[0] != "internal" || cred.Algorithm != int64(c.alg)) {
				t.Errorf("%+v", cred)
			}
		})
	}
}

func TestSmallRSAKey(t *testing.T) {
	key := map[int]any{1: 3, 3: -257, -1: bytes.Repeat([]byte{0xff}, 128), -2: []byte{1, 0, 1}}
	if _, err := checkKey(encode(t, key)); err == nil {
		t.Error("1024 bits were accepted")
	}
	key[-1] = bytes.Repeat([]byte{0xff}, 1024)
	if _, err := checkKey(encode(t, key)); err == nil {
		t.Error("8192 bits were accepted")
	}
}

func TestBodies(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	s := newSoft(t, -7)
	cred := register(t, r, s)
	s.counter++
	options, cer, err := r.BeginSignIn()
	if err != nil {
		t.Fatal(err)
	}
	regOptions, regCer, err := r.BeginRegistration(zhang, Open)
	if err != nil {
		t.Fatal(err)
	}
	good, goodReg := s.get(t, options), newSoft(t, -7).create(t, regOptions)
	for name, bend := range map[string]func(string) string{
		"empty":          func(string) string { return "" },
		"null":           func(string) string { return "null" },
		"array":          func(b string) string { return "[" + b + "]" },
		"string":         func(string) string { return `"x"` },
		"trailing-data":  func(b string) string { return b + "{}" },
		"trailing-text":  func(b string) string { return b + "x" },
		"cut-short":      func(b string) string { return b[:len(b)-2] },
		"too-long":       func(b string) string { return b + strings.Repeat(" ", maxBody) },
		"invalid-utf8":   func(b string) string { return strings.Replace(b, `"platform"`, "\"\xff\"", 1) },
		"id-twice":       func(b string) string { return `{"id":"AAAA",` + b[1:] },
		"id-twice-cased": func(b string) string { return `{"ID":"AAAA",` + b[1:] },
		"inner-twice": func(b string) string {
			return strings.Replace(b, `"response":{`, `"response":{"clientDataJSON":"e30",`, 1)
		},
		"deep": func(b string) string {
			return `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "," + b[1:]
		},
		"other-type": func(b string) string { return strings.Replace(b, "public-key", "password", 1) },
		"giant-id": func(b string) string {
			return strings.ReplaceAll(b, b64(s.id), b64(make([]byte, 1024)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.FinishLogin(t.Context(), cer, reader(bend(good)), stored(cred)); !errors.Is(err, ErrMalformed) && name != "giant-id" {
				t.Errorf("login: %v", err)
			} else if err == nil {
				t.Error("login: accepted")
			}
			if _, err := r.FinishRegistration(t.Context(), regCer, reader(bend(goodReg))); !errors.Is(err, ErrMalformed) && name != "giant-id" {
				t.Errorf("registration: %v", err)
			}
		})
	}
	if _, err := r.FinishLogin(t.Context(), cer, reader(good), stored(cred)); err != nil {
		t.Errorf("the good one: %v: %v", err, cause(err))
	}
}

func TestErrorsSayLittle(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	s := newSoft(t, -7)
	cred := register(t, r, s)
	options, c, err := r.BeginSignIn()
	if err != nil {
		t.Fatal(err)
	}
	s.origin = "https://evil.example"
	_, err = r.FinishLogin(t.Context(), c, reader(s.get(t, options)), stored(cred))
	if err == nil || err.Error() != ErrRefused.Error() {
		t.Fatalf("says %q", err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("refused", "err", err)
	if !strings.Contains(log.String(), "origin") {
		t.Errorf("the log does not hear the cause: %s", log.String())
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		bend func(*Config)
		ok   bool
	}{
		{"good", func(*Config) {}, true},
		{"localhost", func(c *Config) { c.RPID, c.Origins = "localhost", []string{"http://localhost:8080"} }, true},
		{"below-localhost", func(c *Config) { c.RPID, c.Origins = "op.localhost", []string{"http://op.localhost:8080"} }, true},
		{"app", func(c *Config) { c.AppOrigins = []string{"android:apk-key-hash:" + b64(make([]byte, 32))} }, true},
		{"no-rp-id", func(c *Config) { c.RPID = "" }, false},
		{"ip", func(c *Config) { c.RPID, c.Origins = "127.0.0.1", []string{"https://127.0.0.1"} }, false},
		{"ipv6", func(c *Config) { c.RPID, c.Origins = "[::1]", []string{"https://[::1]"} }, false},
		{"upper-case", func(c *Config) { c.RPID = "Ecard.test" }, false},
		{"url", func(c *Config) { c.RPID = "https://ecard.test" }, false},
		{"dot-at-the-end", func(c *Config) { c.RPID = "ecard.test." }, false},
		{"no-origin", func(c *Config) { c.Origins = nil }, false},
		{"plain-http", func(c *Config) { c.Origins = []string{"http://login.ecard.test"} }, false},
		{"other-domain", func(c *Config) { c.Origins = []string{"https://notecard.test"} }, false},
		{"slash", func(c *Config) { c.Origins = []string{origin + "/"} }, false},
		{"userinfo", func(c *Config) { c.Origins = []string{"https://ecard.test@evil.example"} }, false},
		{"no-clock", func(c *Config) { c.Clock = nil }, false},
		{"no-name", func(c *Config) { c.Name = "" }, false},
		{"lives-too-long", func(c *Config) { c.Life = maxLife + 1 }, false},
		{"odd-app", func(c *Config) { c.AppOrigins = []string{"https://evil.example"} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(clock.System{})
			c.bend(&cfg)
			if r, err := New(cfg); (err == nil) != c.ok || (r != nil) != c.ok {
				t.Errorf("%v", err)
			}
		})
	}
}
