package jose

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"

	"github.com/emmansun/gmsm/sm3"
)

// Alg is the name of a signature algorithm as it stands in "alg".
type Alg string

const (
	ES256 Alg = "ES256"       // ECDSA on P-256 with SHA-256, RFC 7518 §3.4
	PS256 Alg = "PS256"       // RSASSA-PSS with SHA-256, salt as long as the hash, §3.5
	RS256 Alg = "RS256"       // RSASSA-PKCS1-v1_5 with SHA-256, §3.3
	EdDSA Alg = "EdDSA"       // Ed25519 only, RFC 8037 §3.1
	SM2   Alg = "SGD_SM3_SM2" // SM2 with SM3, GB/T 32918.2, named by GM/T 0125.1

	// unbound marks an RSA key whose JWK has no alg: the registration decides
	// between PS256 and RS256, see Key.For.
	unbound Alg = ""
)

// Known reports whether a is one of the algorithms of this package, spelled
// exactly: names are case-sensitive (RFC 7515 §4.1.1).
func (a Alg) Known() bool { return a.family() != noFamily }

func (a Alg) family() family {
	switch a {
	case ES256:
		return p256
	case PS256, RS256:
		return rsaKey
	case EdDSA:
		return ed25519Key
	case SM2:
		return sm2Key
	}
	return noFamily
}

// HalfHash is the left half of the hash of an access token, code or state, in
// base64url: at_hash, c_hash and s_hash (OpenID Connect Core §3.1.3.6). The hash
// is the one inside alg: SHA-512 for Ed25519, SM3 for SM2, otherwise SHA-256. For
// an unknown alg it is empty, which matches no hash anybody could send.
func HalfHash(alg Alg, token string) string {
	switch alg {
	case ES256, PS256, RS256:
		h := sha256.Sum256([]byte(token))
		return base64.RawURLEncoding.EncodeToString(h[:16])
	case EdDSA:
		h := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(h[:32])
	case SM2:
		h := sm3.Sum([]byte(token))
		return base64.RawURLEncoding.EncodeToString(h[:16])
	}
	return ""
}
