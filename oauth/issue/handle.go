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
	Device  Kind = "ecd_" // device code
)

const (
	handleRandom = 32 // bytes; 16 would do (SECURITY §0)
	refreshPart  = 18 // bytes of each half of a refresh token: no loose bits at the seam
	handleLabel  = "handle"

	handleText = 43 // characters of base64url for handleRandom
	partText   = 24 // and for refreshPart
	tagText    = 11 // and for the tag's 8 bytes
)

// Handles makes and recognises handles: a kind, 256 random bits, and a tag over
// both, so that what we never made is refused without asking storage.
//
// The random bits of a refresh token are two halves. The first is the family's and
// stays through every rotation; the second is the token's own. So any token there
// ever was still names its family, and none has to be kept to be recognised.
type Handles struct {
	Keys oauth.Keyed
	Rand io.Reader // nil is crypto/rand
}

// New makes a handle; of a refresh token, the first of a new family.
func (h Handles) New(kind Kind) secret.Value {
	if kind == Refresh {
		return h.tagged(string(kind) + h.random(refreshPart) + h.random(refreshPart))
	}
	return h.tagged(string(kind) + h.random(handleRandom))
}

// Next makes the token that comes after a refresh token of ours: another of its
// family.
func (h Handles) Next(refresh string) secret.Value {
	return h.tagged(refresh[:min(len(Refresh)+partText, len(refresh))] + h.random(refreshPart))
}

func (h Handles) random(n int) string {
	source := h.Rand
	if source == nil {
		source = rand.Reader
	}
	return secret.From(source, n).Reveal()
}

func (h Handles) tagged(text string) secret.Value {
	return secret.Of(text + base64.RawURLEncoding.EncodeToString(h.Keys.Tag(handleLabel, text)))
}

// Family returns what is stored of a refresh token's family: the SHA-256 of the
// half that its tokens have in common. What is no refresh token has none.
func (h Handles) Family(text string) []byte {
	if _, ok := h.Hash(Refresh, text); !ok {
		return nil
	}
	sum := sha256.Sum256([]byte(text[:len(Refresh)+partText]))
	return sum[:]
}

// Hash returns what is stored in place of a handle of this kind: its SHA-256.
// What is no such handle is not ok and has no hash.
func (h Handles) Hash(kind Kind, text string) (hash []byte, ok bool) {
	random := handleText
	if kind == Refresh {
		random = 2 * partText
	}
	if len(text) != len(kind)+random+tagText || !strings.HasPrefix(text, string(kind)) {
		return nil, false
	}
	body := text[:len(text)-tagText]
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
