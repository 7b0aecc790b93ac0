package issue

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"

	"ecardid/internal/secret"
	"ecardid/oauth"
)

// A Kind is what a handle is; its text begins with it.
type Kind string

// The kinds.
const (
	Code    Kind = "ecc_" // authorization code
	Access  Kind = "eca_" // opaque access token
	Refresh Kind = "ecr_" // refresh token
	Request Kind = "ecq_" // stored authorization request
)

const (
	handleRandom = 32 // bytes; 16 would do (SECURITY §0)
	handleLabel  = "handle"
)

// Handles makes and recognises handles: a kind, 256 random bits, and a tag over
// both, so that what we never made is refused without asking storage.
type Handles struct {
	Keys oauth.Keyed
	Rand io.Reader // nil is crypto/rand
}

// New makes a handle.
func (h Handles) New(kind Kind) secret.Value {
	source := h.Rand
	if source == nil {
		source = rand.Reader
	}
	text := string(kind) + secret.From(source, handleRandom).Reveal()
	return secret.Of(text + base64.RawURLEncoding.EncodeToString(h.Keys.Tag(handleLabel, text)))
}

// Hash returns what is stored in place of a handle of this kind: its SHA-256.
// What is no such handle is not ok and has no hash.
func (h Handles) Hash(kind Kind, text string) (hash []byte, ok bool) {
	const random, tag = 43, 11 // characters of base64url for 32 and 8 bytes
	if len(text) != len(kind)+random+tag || !strings.HasPrefix(text, string(kind)) {
		return nil, false
	}
	body := text[:len(text)-tag]
	// One spelling per handle: loose bits at the end are refused (SECURITY TK4).
	strict := base64.RawURLEncoding.Strict()
	given, err := strict.DecodeString(text[len(body):])
	if err != nil || !h.Keys.CheckTag(given, handleLabel, body) {
		return nil, false
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:], true
}

// IsJWT reports whether the token is of the other form: three parts.
func IsJWT(token string) bool { return strings.Count(token, ".") == 2 }
