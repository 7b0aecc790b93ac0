package attest

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"ecardid/identity"
)

// None is the format of a phone that attests nothing.
const None = "none"

var (
	// ErrFormat: no verifier for this format is configured. The caller tells the
	// app which ones there are.
	ErrFormat = errors.New("attestation format not supported")
	// ErrRefused: the statement does not hold. Every reason is this one to the
	// app; the wrapped text is for the log.
	ErrRefused = errors.New("attestation refused")
)

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}

// A Statement is what came with a new key.
type Statement struct {
	Format    string
	Chain     [][]byte         // DER certificates, the key's own first
	Key       crypto.PublicKey // that the phone proved to hold, and enrols
	Challenge []byte           // that we set
}

// A Result is what may be believed of a key from now on.
type Result struct {
	Format  string            `json:"format"`
	Level   identity.KeyLevel `json:"level"`
	Version string            `json:"version"` // of the verifier, for when its rules change
	// The rest as far as the format says it.
	Packages   []string `json:"packages,omitempty"`
	PatchLevel int      `json:"patch_level,omitempty"` // YYYYMM
	OSVersion  int      `json:"os_version,omitempty"`
	UserAuth   bool     `json:"user_auth,omitempty"` // the hardware asks for PIN or biometrics before it signs
	Root       string   `json:"root,omitempty"`      // SHA-256 of the root's public key, hex
}

// LogValue implements slog.LogValuer: format and level, and no more.
func (r Result) LogValue() slog.Value {
	return slog.GroupValue(slog.String("format", r.Format), slog.String("level", string(r.Level)))
}

// A Verifier judges statements of one format. It is safe for concurrent use, and
// with an error its Result is zero.
type Verifier interface {
	Format() string
	Verify(now time.Time, s Statement) (Result, error)
}

// A Set is the verifiers that are configured. The zero Set verifies nothing.
type Set struct{ byFormat map[string]Verifier }

// NewSet makes a set of verifiers, one for each format.
func NewSet(vs ...Verifier) (Set, error) {
	set := Set{byFormat: make(map[string]Verifier, len(vs))}
	for _, v := range vs {
		if _, twice := set.byFormat[v.Format()]; twice {
			return Set{}, fmt.Errorf("two verifiers for attestation format %q", v.Format())
		}
		set.byFormat[v.Format()] = v
	}
	return set, nil
}

// Formats lists the formats, sorted, as the app is offered them.
func (s Set) Formats() []string {
	fs := make([]string, 0, len(s.byFormat))
	for f := range s.byFormat {
		fs = append(fs, f)
	}
	slices.Sort(fs)
	return fs
}

// Verify judges a statement by the verifier of its format.
func (s Set) Verify(now time.Time, st Statement) (Result, error) {
	v, ok := s.byFormat[st.Format]
	if !ok {
		return Result{}, ErrFormat
	}
	return v.Verify(now, st)
}

// AtLeast reports whether have is want or better on the ladder. A level that is
// not on it is worse than all and asks for more than all.
func AtLeast(have, want identity.KeyLevel) bool {
	ladder := []identity.KeyLevel{identity.KeyUnattested, identity.KeySoftware, identity.KeyTEE, identity.KeySecureElement}
	h, w := slices.Index(ladder, have), slices.Index(ladder, want)
	return h >= 0 && w >= 0 && h >= w
}

// Unattested is the verifier of format none.
type Unattested struct{}

// Format implements Verifier.
func (Unattested) Format() string { return None }

// Verify implements Verifier. A statement of this format says nothing at all: one
// with certificates is a mistake of the app's that must not pass for a level.
func (Unattested) Verify(_ time.Time, s Statement) (Result, error) {
	if s.Format != None || len(s.Chain) != 0 {
		return Result{}, refuse("format none with something attached")
	}
	return Result{Format: None, Level: identity.KeyUnattested, Version: "1"}, nil
}
