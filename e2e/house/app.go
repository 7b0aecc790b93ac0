package house

import (
	"encoding/base32"
	"strings"
	"testing"
	"time"

	"ecardid/authn/totp"
)

// An App is an authenticator app by the world's clock: it never shows a code twice,
// and waits for the next one when it has to.
type App struct {
	seed totp.Seed
	last int64
}

// NewApp takes a seed as pages and demo.json write it.
func NewApp(t testing.TB, shown string) *App {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ReplaceAll(shown, " ", ""), "="))
	if err != nil {
		t.Fatalf("%q is no seed: %v", shown, err)
	}
	seed, err := totp.SeedOf(key)
	if err != nil {
		t.Fatal(err)
	}
	return &App{seed: seed}
}

// Code is the next code, the one before the present one first: the server takes one
// step to either side, and each once.
func (a *App) Code(t testing.TB) string {
	t.Helper()
	const period = 30 * time.Second
	now := totp.Step(time.Now())
	if left := period - time.Duration(time.Now().UnixNano())%period; a.last < now-1 && left > 3*time.Second {
		now-- // the present one is kept for the next sign-in
	}
	step := max(now, a.last+1)
	if early := time.Until(time.Unix((step-1)*30, 0)); early > 0 {
		time.Sleep(early + 200*time.Millisecond)
	}
	a.last = step
	code, err := totp.Code(a.seed, totp.RFC6238, time.Unix(step*30, 0))
	if err != nil {
		t.Fatal(err)
	}
	return code
}
