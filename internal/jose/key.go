package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// family is the kind of key material. Go keeps SM2 and P-256 keys in one type,
// so the type of a key says too little.
type family uint8

const (
	noFamily family = iota
	p256
	sm2Key
	rsaKey
	ed25519Key
)

// A Key is a public key, with its private half if it is ours, bound to one
// algorithm and named by a kid. Keys are checked when they are made and never
// change; a copy is cheap, and all methods are safe for concurrent use. The zero
// Key verifies nothing. However it is printed, logged or encoded, a Key shows
// its public half at most.
type Key struct{ m *material }

type material struct {
	alg    Alg // unbound for an RSA key of no declared algorithm
	kid    string
	family family
	pub    crypto.PublicKey
	priv   crypto.Signer // nil for other people's keys
	coord  members       // the public parameters of the JWK, in the order of RFC 7638
	header []byte        // the start of every JWS header this key signs
}

// NewPublic makes a Key of a public key of the standard library or gmsm. The kid
// may be empty.
func NewPublic(alg Alg, kid string, pub crypto.PublicKey) (k Key, err error) {
	defer recovered(&k, &err)
	m := &material{alg: alg, kid: kid, family: alg.family()}
	if err := m.checkName(); err != nil {
		return Key{}, err
	}
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		var point []byte
		if point, err = pointOf(m.family, pub); err == nil {
			err = m.setPoint(point)
		}
	case *rsa.PublicKey:
		err = m.setRSA(pub)
	case ed25519.PublicKey:
		err = m.setEd25519(pub)
	default:
		err = fmt.Errorf("%w: key of type %T", ErrUnsupported, pub)
	}
	if err != nil {
		return Key{}, err
	}
	return Key{m}, nil
}

// NewPrivate makes a signing Key. The public half is computed anew, and the
// private one is checked to be in range: for SM2 that is 1 ≤ d ≤ n−2 (GB/T
// 32918.1 §6.1), which PKCS#8 parsers do not look at.
func NewPrivate(alg Alg, kid string, priv crypto.PrivateKey) (k Key, err error) {
	defer recovered(&k, &err)
	m := &material{alg: alg, kid: kid, family: alg.family()}
	if err := m.checkName(); err != nil {
		return Key{}, err
	}
	if kid == "" {
		return Key{}, errors.New("jose: a signing key needs a kid")
	}
	switch priv := priv.(type) {
	case *ecdsa.PrivateKey:
		err = m.setPrivateP256(priv)
	case *sm2.PrivateKey:
		err = m.setPrivateSM2(priv)
	case *rsa.PrivateKey:
		err = m.setPrivateRSA(priv)
	case ed25519.PrivateKey:
		err = m.setPrivateEd25519(priv)
	default:
		err = fmt.Errorf("%w: key of type %T", ErrUnsupported, priv)
	}
	if err != nil {
		return Key{}, err
	}
	m.header, err = headerStart(alg, kid)
	if err != nil {
		return Key{}, err
	}
	return Key{m}, nil
}

// Generate makes a new signing key.
func Generate(alg Alg, kid string) (Key, error) {
	var priv crypto.PrivateKey
	var err error
	switch alg.family() {
	case p256:
		priv, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case sm2Key:
		priv, err = sm2.GenerateKey(rand.Reader)
	case rsaKey:
		priv, err = rsa.GenerateKey(rand.Reader, newRSABits)
	case ed25519Key:
		_, priv, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = ErrAlgorithm
	}
	if err != nil {
		return Key{}, fmt.Errorf("generating a %q key: %w", string(alg), err)
	}
	return NewPrivate(alg, kid, priv)
}

// ParsePKCS8 is the way back from MarshalPKCS8.
func ParsePKCS8(alg Alg, kid string, der []byte) (k Key, err error) {
	defer recovered(&k, &err)
	var priv any
	if alg.family() == sm2Key {
		priv, err = smx509.ParsePKCS8PrivateKey(der)
	} else {
		priv, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return Key{}, fmt.Errorf("%w: PKCS#8: %w", ErrMalformed, err)
	}
	return NewPrivate(alg, kid, priv)
}

// MarshalPKCS8 returns the private key as PKCS#8 DER, to be sealed and stored.
// It is the only way a private key leaves this package.
func (k Key) MarshalPKCS8() ([]byte, error) {
	if !k.CanSign() {
		return nil, errNoPrivate
	}
	if k.m.family == sm2Key {
		return smx509.MarshalPKCS8PrivateKey(k.m.priv)
	}
	return x509.MarshalPKCS8PrivateKey(k.m.priv)
}

// Alg is the algorithm the key is bound to. It is empty for an RSA key whose JWK
// names none, until For has decided.
func (k Key) Alg() Alg {
	if k.m == nil {
		return unbound
	}
	return k.m.alg
}

// KeyID is the kid, or empty.
func (k Key) KeyID() string {
	if k.m == nil {
		return ""
	}
	return k.m.kid
}

// IsZero reports whether k is no key at all.
func (k Key) IsZero() bool { return k.m == nil }

// CanSign reports whether the private half is here.
func (k Key) CanSign() bool { return k.m != nil && k.m.priv != nil }

// Public returns k without its private half.
func (k Key) Public() Key {
	if !k.CanSign() {
		return k
	}
	m := *k.m
	m.priv, m.header = nil, nil
	return Key{&m}
}

// Unnamed returns the public half of k without its kid, for those who name keys by
// their thumbprint.
func (k Key) Unnamed() Key {
	if k.m == nil {
		return k
	}
	m := *k.m
	m.kid, m.priv, m.header = "", nil, nil
	return Key{&m}
}

// PKIX returns the public half as the SubjectPublicKeyInfo that certificates have
// (RFC 5280 §4.1.2.7).
func (k Key) PKIX() ([]byte, error) {
	if k.m == nil {
		return nil, ErrNoKey
	}
	return smx509.MarshalPKIXPublicKey(k.m.pub)
}

// For returns k bound to alg: k itself where that is its algorithm, a bound copy
// of an RSA key that names none, and otherwise ErrAlgorithm. An algorithm taken
// from a token's header is no decision about a registered key; for DPoP, where
// the key comes with the proof, it is.
func (k Key) For(alg Alg) (Key, error) {
	switch {
	case k.m == nil:
		return Key{}, ErrNoKey
	case alg != unbound && k.m.alg == alg:
		return k, nil
	case k.m.alg == unbound && alg.family() == rsaKey:
		m := *k.m
		m.alg = alg
		return Key{&m}, nil
	}
	return Key{}, fmt.Errorf("%w: key is for %q, not %q", ErrAlgorithm, string(k.m.alg), string(alg))
}

// Equal reports whether k and l have the same name, algorithm and public half.
func (k Key) Equal(l Key) bool {
	if k.m == nil || l.m == nil {
		return k.m == l.m
	}
	return k.m.kid == l.m.kid && k.m.alg == l.m.alg && k.Thumbprint() == l.Thumbprint()
}

// String names the key and shows nothing of it.
func (k Key) String() string {
	if k.m == nil {
		return "no key"
	}
	return fmt.Sprintf("%s key %q", string(k.m.alg), k.m.kid)
}

// Format keeps every verb, %+v and %#v included, to String.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (m *material) checkName() error {
	if m.family == noFamily {
		return fmt.Errorf("%w: %q", ErrAlgorithm, string(m.alg))
	}
	if len(m.kid) > maxName || !utf8.ValidString(m.kid) {
		return fmt.Errorf("%w: kid", ErrMalformed)
	}
	return nil
}

// headerStart is everything of a JWS header but the typ and the closing brace.
// A signature then costs no encoder for its header, and no cache of headers is
// left to bound.
func headerStart(alg Alg, kid string) ([]byte, error) {
	b, err := json.Marshal(struct {
		Alg Alg    `json:"alg"`
		Kid string `json:"kid"`
	}{alg, kid})
	if err != nil {
		return nil, fmt.Errorf("encoding a header: %w", err)
	}
	return b[:len(b)-1], nil
}

// recovered turns a panic of a library on strange key material into an error:
// both crypto/ecdsa and gmsm meet nil coordinates with one.
func recovered(k *Key, err *error) {
	if p := recover(); p != nil {
		*k, *err = Key{}, fmt.Errorf("%w: key", ErrMalformed)
	}
}
