package totp

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"github.com/pquerna/otp"
	otptotp "github.com/pquerna/otp/totp"
)

const (
	// seedLen is 160 bits: the least SECURITY MF2 allows, what RFC 4226 §4 R6
	// recommends, and 32 characters of base32 without padding.
	seedLen = 20
	// maxSeed bounds what storage may hand us; no algorithm here gains from more.
	maxSeed = 64
	// maxLabel keeps the QR code readable by an old phone.
	maxLabel = 128

	redacted = "[redacted]"
)

// An Algorithm names the computation behind a seed. It is chosen when the seed
// is made and stored with it; a code never says which one it came from.
type Algorithm string

// The algorithms. Their names are what storage keeps.
const (
	RFC6238 Algorithm = "rfc6238" // HMAC-SHA-1, what authenticator apps honour
	SM3     Algorithm = "sm3-otp" // GM/T 0021, for the card app
)

// Valid reports whether a is an algorithm we know.
func (a Algorithm) Valid() bool { return a == RFC6238 || a == SM3 }

// A Seed is the secret a citizen's app and we share. It is always made by us. The
// zero Seed verifies nothing. It prints, logs and encodes as [redacted].
type Seed struct{ key []byte }

// NewSeed returns a fresh seed from r, which is crypto/rand.Reader outside tests.
func NewSeed(r io.Reader) (Seed, error) {
	key := make([]byte, seedLen)
	if _, err := io.ReadFull(r, key); err != nil {
		return Seed{}, fmt.Errorf("making a seed: %w", err)
	}
	return Seed{key}, nil
}

// SeedOf wraps the bytes that Reveal gave when the seed was stored. Bytes that
// are too short to be one of our seeds are an error, not a weak seed.
func SeedOf(key []byte) (Seed, error) {
	if len(key) < seedLen || len(key) > maxSeed {
		return Seed{}, fmt.Errorf("a seed has %d to %d bytes, not %d", seedLen, maxSeed, len(key))
	}
	return Seed{slices.Clone(key)}, nil
}

// Reveal returns the bytes, to be sealed before they are stored.
func (s Seed) Reveal() []byte { return slices.Clone(s.key) }

// usable reports whether codes may be checked against s at all (SECURITY MF2).
func (s Seed) usable() bool { return len(s.key) >= seedLen }

var base32NoPadding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text returns the seed for people who type it instead of scanning: base32 in
// groups of four. Apps ignore the blanks.
func (s Seed) Text() string {
	plain := base32NoPadding.EncodeToString(s.key)
	groups := make([]string, 0, len(plain)/4+1)
	for g := range slices.Chunk([]byte(plain), 4) {
		groups = append(groups, string(g))
	}
	return strings.Join(groups, " ")
}

// URI returns the otpauth URI that goes into the QR code. It contains the seed:
// it is shown once, on a page that is not cached, and never logged.
//
// Authenticator apps take a seed whose algorithm they do not know for SHA-1, so a
// URI with SM3 is for the card app only. A mix-up cannot lock anybody out: a
// factor is active only after its first code was confirmed.
func (s Seed) URI(alg Algorithm, issuer, account string) (string, error) {
	if !s.usable() {
		return "", errors.New("writing a provisioning URI: no usable seed")
	}
	if !alg.Valid() {
		return "", fmt.Errorf("writing a provisioning URI: unknown algorithm %q", alg)
	}
	if err := checkLabel("issuer", issuer); err != nil {
		return "", err
	}
	if err := checkLabel("account", account); err != nil {
		return "", err
	}
	key, err := otptotp.Generate(otptotp.GenerateOpts{
		Issuer:      issuer,
		AccountName: account,
		Period:      period,
		Secret:      s.key,
		Digits:      otp.DigitsSix,
		Algorithm:   otp.AlgorithmSHA1,
	})
	if err != nil {
		return "", fmt.Errorf("writing a provisioning URI: %w", err)
	}
	if alg == SM3 {
		// The library has no name for it. The label before the question mark is
		// percent-encoded, so this place is the only one.
		return strings.Replace(key.URL(), "?algorithm=SHA1&", "?algorithm=SM3&", 1), nil
	}
	return key.URL(), nil
}

// checkLabel refuses what would make the label say something else than meant: a
// colon is the separator between issuer and account.
func checkLabel(what, s string) error {
	switch {
	case s == "" || len(s) > maxLabel:
		return fmt.Errorf("writing a provisioning URI: %s has %d bytes, want 1 to %d", what, len(s), maxLabel)
	case strings.ContainsFunc(s, func(r rune) bool { return r == ':' || r == unicode.ReplacementChar || !unicode.IsPrint(r) }):
		return fmt.Errorf("writing a provisioning URI: %s has a colon or an unprintable character", what)
	}
	return nil
}

// String implements fmt.Stringer without giving the seed away.
func (Seed) String() string { return redacted }

// GoString keeps %#v from printing the bytes.
func (Seed) GoString() string { return redacted }

// MarshalText keeps encoders from writing the bytes.
func (Seed) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Seed) LogValue() slog.Value { return slog.StringValue(redacted) }
