// Package secret holds values that must be asked for by name before anybody sees
// them. A Value prints, logs and encodes as [redacted], so a secret inside a
// struct that is logged or rendered by mistake stays a secret.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Value is a secret text: a token, a code, a password.
type Value struct{ text string }

// Of wraps text.
func Of(text string) Value { return Value{text} }

// New returns a fresh secret of n random bytes as base64url without padding.
// 16 bytes are the least an opaque handle may have (SECURITY §0); randomness
// that fails to come is a panic in crypto/rand itself, never a weak secret.
func New(n int) Value { return From(rand.Reader, n) }

// From is New with the source of randomness passed in. A source that runs dry
// panics: there is no safe way on.
func From(r io.Reader, n int) Value {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		panic("secret: randomness ran dry: " + err.Error())
	}
	return Value{base64.RawURLEncoding.EncodeToString(b)}
}

// Reveal returns the text. Its callers are the places to look at in a review.
func (v Value) Reveal() string { return v.text }

// Empty reports whether there is nothing inside. An empty secret equals nothing.
func (v Value) Empty() bool { return v.text == "" }

// Equal compares in constant time. Two empty values are not equal: an absent
// secret must never match an absent answer.
func (v Value) Equal(w Value) bool {
	return v.text != "" && subtle.ConstantTimeCompare([]byte(v.text), []byte(w.text)) == 1
}

// Hash returns SHA-256 of the text: what is stored in place of a secret with
// at least 128 bits of entropy. Shorter secrets need a keyed or slow hash.
func (v Value) Hash() []byte {
	h := sha256.Sum256([]byte(v.text))
	return h[:]
}

// String implements fmt.Stringer without giving the secret away.
func (Value) String() string { return redacted }

// GoString keeps %#v from printing the field.
func (Value) GoString() string { return redacted }

// MarshalText keeps encoders (JSON, YAML, XML) from writing the secret.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }
