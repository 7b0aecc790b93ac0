package phone

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"

	"ecardid/internal/jose"
)

// sigSize is r‖s of a 256-bit curve, in both algorithms.
const sigSize = 64

// Algorithms lists what a phone may sign with, as an enrolment offers it.
func Algorithms() []jose.Alg { return []jose.Alg{jose.ES256, jose.SM2} }

// A Key is a phone's public key, bound to its one algorithm. The zero Key verifies
// nothing.
type Key struct{ jose jose.Key }

// ParseKey reads the public key a phone sends, as a JWK. What else the JWK says,
// a kid for one, is dropped.
func ParseKey(jwk []byte) (Key, error) {
	sent, err := jose.ParseJWK(jwk)
	if err != nil {
		return Key{}, malformed("%v", err)
	}
	if !slices.Contains(Algorithms(), sent.Alg()) {
		return Key{}, malformed("a key for %q", string(sent.Alg()))
	}
	return Key{sent.Unnamed()}, nil
}

// LoadKey reads a stored key back. The algorithm stored beside it must be its own.
func LoadKey(jwk []byte, alg string) (Key, error) {
	k, err := ParseKey(jwk)
	if err != nil {
		return Key{}, fmt.Errorf("loading a phone's key: %w", err)
	}
	if string(k.Alg()) != alg {
		return Key{}, fmt.Errorf("loading a phone's key: stored for %q, made for %q", alg, string(k.Alg()))
	}
	return k, nil
}

// Alg returns the key's algorithm.
func (k Key) Alg() jose.Alg { return k.jose.Alg() }

// IsZero reports whether k is no key at all.
func (k Key) IsZero() bool { return k.jose.IsZero() }

// JWK returns the key as it is stored; nil for the zero Key.
func (k Key) JWK() []byte {
	b, err := k.jose.MarshalJSON()
	if err != nil {
		return nil
	}
	return b
}

// Thumbprint is the SHA-256 JWK thumbprint (RFC 7638) in base64url.
func (k Key) Thumbprint() string { return k.jose.Thumbprint() }

// Digest is the thumbprint's 32 bytes: what storage keeps unique over all citizens
// and for ever (SECURITY DV1, DV3). Nil for the zero Key.
func (k Key) Digest() []byte {
	b, err := decode64(k.Thumbprint(), sha256.Size, sha256.Size)
	if err != nil {
		return nil
	}
	return b
}

// String names the key by its thumbprint.
func (k Key) String() string {
	if k.IsZero() {
		return "no phone key"
	}
	return string(k.Alg()) + " phone key " + k.Thumbprint()
}

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// verify checks a raw r‖s signature over message by the key's own algorithm.
func (k Key) verify(message, sig []byte) error {
	if err := k.jose.VerifyRaw(message, sig); err != nil {
		return refuse("%v", err)
	}
	return nil
}

// A Signer is the private half, as the phone has it. The server never holds one;
// it is here for the demonstration phone and for tests. It prints as its public
// half.
type Signer struct {
	Key
	jwt jose.Key
}

// NewSigner makes a key as the phone would.
func NewSigner(alg jose.Alg) (Signer, error) {
	if !slices.Contains(Algorithms(), alg) {
		return Signer{}, fmt.Errorf("making a phone's key: %q is not offered", string(alg))
	}
	private, err := jose.Generate(alg, "device")
	if err != nil {
		return Signer{}, fmt.Errorf("making a phone's key: %w", err)
	}
	return Signer{Key{private.Unnamed()}, private}, nil
}

// LoadSigner reads what PKCS8 wrote.
func LoadSigner(alg jose.Alg, der []byte) (Signer, error) {
	if !slices.Contains(Algorithms(), alg) {
		return Signer{}, fmt.Errorf("loading a phone's key: %q is not offered", string(alg))
	}
	private, err := jose.ParsePKCS8(alg, "device", der)
	if err != nil {
		return Signer{}, fmt.Errorf("loading a phone's key: %w", err)
	}
	return Signer{Key{private.Unnamed()}, private}, nil
}

// PKCS8 returns the private key for the demonstration phone to keep.
func (s Signer) PKCS8() ([]byte, error) { return s.jwt.MarshalPKCS8() }

// Format keeps every verb from printing the private half.
func (s Signer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.Key.String())) }

// sign makes a raw r‖s signature.
func (s Signer) sign(message []byte) ([]byte, error) { return s.jwt.SignRaw(message) }

// attestable is the key in the form certificates have it; nil for SM2, which the
// attestation formats we know do not cover.
func (k Key) attestable() crypto.PublicKey {
	if k.Alg() != jose.ES256 {
		return nil
	}
	der, err := k.jose.PKIX()
	if err != nil {
		return nil
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil
	}
	return pub
}
