package phone

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"ecardid/internal/jose"
)

// sigSize is r‖s of a 256-bit curve, in both algorithms.
const sigSize = 64

// Algorithms lists what a phone may sign with, as an enrolment offers it.
func Algorithms() []jose.Alg { return []jose.Alg{jose.ES256, jose.SM2} }

// A Key is a phone's public key, bound to its one algorithm. The zero Key verifies
// nothing.
type Key struct {
	jose jose.Key
	pub  *ecdsa.PublicKey // the SM2 curve's point too: only alg tells them apart
}

// ParseKey reads the public key a phone sends, as a JWK. What else the JWK says,
// a kid for one, is dropped.
func ParseKey(jwk []byte) (Key, error) {
	sent, err := jose.ParseJWK(jwk)
	if err != nil {
		return Key{}, malformed("%v", err)
	}
	var c struct{ X, Y string }
	raw, err := sent.MarshalJSON()
	if err != nil {
		return Key{}, fmt.Errorf("reading a phone's key: %w", err)
	}
	if alg := sent.Alg(); alg != jose.ES256 && alg != jose.SM2 {
		return Key{}, malformed("a key for %q", string(alg))
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return Key{}, fmt.Errorf("reading a phone's key: %w", err)
	}
	x, errX := decode64(c.X, sigSize/2, sigSize/2)
	y, errY := decode64(c.Y, sigSize/2, sigSize/2)
	if err := errors.Join(errX, errY); err != nil {
		return Key{}, err
	}
	point := append(append([]byte{4}, x...), y...)
	var pub *ecdsa.PublicKey
	if sent.Alg() == jose.SM2 {
		pub, err = sm2.NewPublicKey(point)
	} else {
		pub, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	}
	if err != nil {
		return Key{}, malformed("%v", err)
	}
	named, err := jose.NewPublic(sent.Alg(), "", pub)
	if err != nil {
		return Key{}, malformed("%v", err)
	}
	return Key{jose: named, pub: pub}, nil
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
func (k Key) IsZero() bool { return k.pub == nil }

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
	if k.IsZero() {
		return refuse("no key")
	}
	if len(sig) != sigSize {
		return refuse("a signature of %d bytes", len(sig))
	}
	r, s := new(big.Int).SetBytes(sig[:sigSize/2]), new(big.Int).SetBytes(sig[sigSize/2:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil || r.Sign() == 0 || s.Sign() == 0 {
		return refuse("no signature")
	}
	good := false
	switch k.Alg() {
	case jose.ES256:
		sum := sha256.Sum256(message)
		good = ecdsa.VerifyASN1(k.pub, sum[:], der)
	case jose.SM2:
		good = sm2.VerifyASN1WithSM2(k.pub, nil, message, der) // nil: the default identity
	}
	if !good {
		return refuse("wrong signature")
	}
	return nil
}

// A Signer is the private half, as the phone has it. The server never holds one;
// it is here for the demonstration phone and for tests. It prints as its public
// half.
type Signer struct {
	Key
	jwt  jose.Key
	priv crypto.Signer
}

// NewSigner makes a key as the phone would.
func NewSigner(alg jose.Alg) (Signer, error) {
	if alg != jose.ES256 && alg != jose.SM2 {
		return Signer{}, fmt.Errorf("making a phone's key: %q is not offered", string(alg))
	}
	key, err := jose.Generate(alg, "device")
	if err != nil {
		return Signer{}, fmt.Errorf("making a phone's key: %w", err)
	}
	der, err := key.MarshalPKCS8()
	if err != nil {
		return Signer{}, fmt.Errorf("making a phone's key: %w", err)
	}
	return LoadSigner(alg, der)
}

// LoadSigner reads what PKCS8 wrote.
func LoadSigner(alg jose.Alg, der []byte) (Signer, error) {
	jwt, err := jose.ParsePKCS8(alg, "device", der)
	if err != nil {
		return Signer{}, fmt.Errorf("loading a phone's key: %w", err)
	}
	public, err := jwt.MarshalJSON()
	if err != nil {
		return Signer{}, fmt.Errorf("loading a phone's key: %w", err)
	}
	key, err := ParseKey(public)
	if err != nil {
		return Signer{}, fmt.Errorf("loading a phone's key: %w", err)
	}
	var priv any
	if alg == jose.SM2 {
		priv, err = smx509.ParsePKCS8PrivateKey(der)
	} else {
		priv, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return Signer{}, fmt.Errorf("loading a phone's key: %w", err)
	}
	signer, ok := priv.(crypto.Signer)
	if !ok {
		return Signer{}, fmt.Errorf("loading a phone's key: a %T signs nothing", priv)
	}
	return Signer{Key: key, jwt: jwt, priv: signer}, nil
}

// PKCS8 returns the private key for the demonstration phone to keep.
func (s Signer) PKCS8() ([]byte, error) { return s.jwt.MarshalPKCS8() }

// Format keeps every verb from printing the private half.
func (s Signer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.Key.String())) }

// sign makes a raw r‖s signature.
func (s Signer) sign(message []byte) ([]byte, error) {
	if s.priv == nil {
		return nil, errors.New("no private key")
	}
	digest := sha256.Sum256(message)
	input, opts := digest[:], crypto.SignerOpts(crypto.SHA256)
	if s.Alg() == jose.SM2 {
		// With other options gmsm would take the message for a digest: no ZA.
		input, opts = message, sm2.DefaultSM2SignerOpts
	}
	der, err := s.priv.Sign(rand.Reader, input, opts)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	raw := make([]byte, sigSize)
	sig.R.FillBytes(raw[:sigSize/2])
	sig.S.FillBytes(raw[sigSize/2:])
	return raw, nil
}

// attestable is the key in the form certificates have it; nil for SM2, which the
// attestation formats we know do not cover.
func (k Key) attestable() crypto.PublicKey {
	if k.Alg() != jose.ES256 {
		return nil
	}
	return k.pub
}
