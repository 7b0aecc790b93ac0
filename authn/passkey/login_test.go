package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestLoginRefused(t *testing.T) {
	clk := testClock()
	r := newRelying(t, testConfig(clk))
	other := newSoft(t, -7)
	otherCred := register(t, r, other)
	otherCred.UserHandle = []byte("the handle of li")

	for _, c := range []struct {
		name   string
		second bool
		bend   func(*soft)
		keep   func(*Credential)
		change func(*Ceremony)
		lookup Lookup
		wait   time.Duration
		want   error
	}{
		{name: "good"},
		{name: "good-as-second-factor", second: true},
		{name: "second-factor-without-handle", second: true, bend: func(s *soft) { s.handle = nil }},
		{name: "wrong-origin", bend: func(s *soft) { s.origin = "https://evil.example" }, want: ErrRefused},
		{name: "in-a-frame", bend: func(s *soft) { s.cross = true }, want: ErrRefused},
		{name: "wrong-rp-id", bend: func(s *soft) { s.rpID = "evil.example" }, want: ErrRefused},
		{name: "a-registration-type", bend: func(s *soft) { s.typ = "webauthn.create" }, want: ErrRefused},
		{name: "wrong-challenge", bend: func(s *soft) { s.asOption = b64(make([]byte, 32)) }, want: ErrRefused},
		{name: "no-presence", bend: func(s *soft) { s.flags &^= up }, want: ErrRefused},
		{name: "no-verification", bend: func(s *soft) { s.flags &^= uv }, want: ErrRefused},
		{name: "no-verification-second-factor", second: true, bend: func(s *soft) { s.flags &^= uv }, want: ErrRefused},
		{name: "broken-signature", bend: func(s *soft) { s.tamper = true }, want: ErrRefused},
		{name: "foreign-user-handle", bend: func(s *soft) { s.handle = []byte("the handle of li") }, want: ErrRefused},
		{name: "foreign-user-handle-second-factor", second: true, bend: func(s *soft) { s.handle = []byte("the handle of li") }, want: ErrRefused},
		{name: "no-user-handle-at-sign-in", bend: func(s *soft) { s.handle = nil }, want: ErrRefused},
		{name: "became-synced", bend: func(s *soft) { s.flags |= be }, want: ErrRefused},
		{name: "somebody-elses-passkey", second: true, bend: func(s *soft) { s.id, s.key = other.id, other.key }, want: ErrUnknown},
		// The same, but listed in the ceremony by a fault of ours.
		{
			name: "somebody-elses-passkey-listed", second: true,
			bend:   func(s *soft) { s.id, s.key, s.handle = other.id, other.key, nil },
			change: func(c *Ceremony) { c.Session.AllowedCredentialIDs = append(c.Session.AllowedCredentialIDs, other.id) },
			want:   ErrRefused,
		},
		{name: "deleted-meanwhile", lookup: stored(), want: ErrUnknown},
		{name: "disabled-meanwhile", keep: func(c *Credential) { c.Disabled = true }, want: ErrUnknown},
		{name: "made-for-another-rp-id", keep: func(c *Credential) { c.RPID = "ecard.example" }, want: ErrUnknown},
		{name: "too-late", wait: maxLife, want: ErrExpired},
		{name: "of-another-purpose", change: func(c *Ceremony) { c.Purpose = Registration }, want: ErrRefused},
		{name: "sign-in-turned-second-factor", change: func(c *Ceremony) { c.Purpose = SecondFactor }, want: ErrRefused},
		{name: "second-factor-turned-sign-in", second: true, change: func(c *Ceremony) { c.Purpose = SignIn }, want: ErrRefused},
		{name: "verification-talked-away", change: func(c *Ceremony) { c.Session.UserVerification = "" }, want: ErrRefused},
		{name: "empty-ceremony", change: func(c *Ceremony) { *c = Ceremony{} }, want: ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSoft(t, -7)
			cred := register(t, r, s)
			begin := r.BeginSignIn
			if c.second {
				begin = func() (json.RawMessage, Ceremony, error) {
					return r.BeginSecondFactor(User{Handle: zhang.Handle, Credentials: []Credential{cred}})
				}
			}
			options, cer, err := begin()
			if err != nil {
				t.Fatal(err)
			}
			s.counter++
			if c.bend != nil {
				c.bend(s)
			}
			if c.keep != nil {
				c.keep(&cred)
			}
			if c.change != nil {
				c.change(&cer)
			}
			lookup := stored(cred, otherCred)
			if c.lookup != nil {
				lookup = c.lookup
			}
			clk.Advance(c.wait)
			res, err := r.FinishLogin(t.Context(), cer, reader(s.get(t, options)), lookup)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v (%v), want %v", err, cause(err), c.want)
			}
			if c.want != nil && !reflect.DeepEqual(res, Result{}) {
				t.Error("a refusal returned a result")
			}
			if c.want == nil && res.Verdict != Accept {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestStorageFaultsAreNotRefusals(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	s := newSoft(t, -7)
	cred := register(t, r, s)
	for name, lookup := range map[string]Lookup{
		"down":  func(context.Context, []byte) (Credential, error) { return Credential{}, errors.New("no database") },
		"wrong": func(context.Context, []byte) (Credential, error) { c := cred; c.ID = []byte("x"); return c, nil },
		"empty": func(context.Context, []byte) (Credential, error) { return Credential{ID: s.id, RPID: rpID}, nil },
		"other-algorithm": func(context.Context, []byte) (Credential, error) {
			c := cred
			c.Algorithm = -257
			return c, nil
		},
		"no-policy": func(context.Context, []byte) (Credential, error) { c := cred; c.Policy = ""; return c, nil },
	} {
		options, c, err := r.BeginSignIn()
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.FinishLogin(t.Context(), c, reader(s.get(t, options)), lookup)
		var refusal *Error
		if err == nil || errors.As(err, &refusal) || !reflect.DeepEqual(res, Result{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeletingOnePasskeyLeavesTheOther(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	a, b := newSoft(t, -7), newSoft(t, -8)
	credA, credB := register(t, r, a), register(t, r, b)
	options, c, err := r.BeginSecondFactor(User{Handle: zhang.Handle, Credentials: []Credential{credA, credB}})
	if err != nil {
		t.Fatal(err)
	}
	b.counter++
	if _, err := r.FinishLogin(t.Context(), c, reader(b.get(t, options)), stored(credB)); err != nil {
		t.Errorf("%v: %v", err, cause(err))
	}
	a.counter++
	if _, err := r.FinishLogin(t.Context(), c, reader(a.get(t, options)), stored(credB)); !errors.Is(err, ErrUnknown) {
		t.Errorf("a deleted passkey: %v", err)
	}
}

func TestSecondFactorNeedsALivePasskey(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	cred := register(t, r, newSoft(t, -7))
	disabled, foreign := cred, cred
	disabled.Disabled = true
	foreign.UserHandle = []byte("the handle of li")
	if _, _, err := r.BeginSecondFactor(User{Handle: zhang.Handle, Credentials: []Credential{disabled, foreign}}); err == nil {
		t.Error("a dead passkey was asked for")
	}
}

// The library's own JSON loses the flags octet; ours must not.
func TestFlagsSurviveStorage(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	s := newSoft(t, -7)
	s.flags |= be
	cred := throughJSON(t, register(t, r, s))
	for _, flags := range []byte{up | uv | be, up | uv | be | bs, up | uv | be} {
		s.flags = flags
		s.counter++
		options, c, err := r.BeginSignIn()
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.FinishLogin(t.Context(), throughJSON(t, c), reader(s.get(t, options)), stored(cred))
		if err != nil {
			t.Fatalf("flags %02x: %v: %v", flags, err, cause(err))
		}
		if !res.Synced || res.Credential.BackupState() != (flags&bs != 0) || !res.Credential.BackupEligible() || !res.Credential.UserVerified() {
			t.Errorf("flags %02x: %+v", flags, res.Credential)
		}
		cred = throughJSON(t, res.Credential)
	}
}

func TestClone(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	for _, c := range []struct {
		name        string
		flags       byte
		first, next uint32
		want        error
		verdict     Verdict
	}{
		{"counting", up | uv, 7, 8, nil, Accept},
		{"not-counting", up | uv, 0, 0, nil, Accept},
		{"synced-not-counting", up | uv | be, 0, 0, nil, Accept},
		{"device-bound-same", up | uv, 7, 7, ErrCloned, Refuse},
		{"device-bound-back", up | uv, 7, 3, ErrCloned, Refuse},
		{"device-bound-zero", up | uv, 7, 0, ErrCloned, Refuse},
		{"synced-back", up | uv | be, 7, 3, nil, StepUp},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSoft(t, -7)
			s.flags, s.counter = c.flags, c.first
			cred := register(t, r, s)
			s.counter = c.next
			sign := func() (Result, error) {
				options, cer, err := r.BeginSignIn()
				if err != nil {
					t.Fatal(err)
				}
				return r.FinishLogin(t.Context(), cer, reader(s.get(t, options)), stored(cred))
			}
			res, err := sign()
			if !errors.Is(err, c.want) || res.Verdict != c.verdict || res.CloneWarning != (c.verdict != Accept) {
				t.Fatalf("%v, %+v", err, res)
			}
			if res.Credential.Disabled != (c.verdict == Refuse) || res.Credential.CloneWarning != res.CloneWarning {
				t.Errorf("%+v", res.Credential)
			}
			cred = throughJSON(t, res.Credential)
			s.counter = 100
			res, err = sign()
			switch c.verdict {
			case Refuse:
				// Disabled for good, even for the copy with the higher counter.
				if !errors.Is(err, ErrUnknown) {
					t.Errorf("afterwards: %v", err)
				}
				cred.Disabled = false // somebody forgot to store it
				if _, err := sign(); !errors.Is(err, ErrCloned) {
					t.Errorf("with the old warning: %v", err)
				}
			case StepUp:
				// The old warning does not stick to a new ceremony.
				if err != nil || res.CloneWarning || res.Verdict != Accept || !res.Credential.CloneWarning {
					t.Errorf("afterwards: %v, %+v", err, res)
				}
			}
		})
	}
}
