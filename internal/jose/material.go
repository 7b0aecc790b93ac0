package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"

	"github.com/emmansun/gmsm/sm2"
)

// pointSize is an uncompressed point: 04, x, y.
const pointSize = 1 + 2*32

// setPoint takes 04‖x‖y. Both constructors used here check that the point is on
// the curve and not at infinity; nothing else in this package makes such a key,
// since gmsm panics or worse on keys put together by hand.
func (m *material) setPoint(point []byte) (err error) {
	if len(point) != pointSize {
		return fmt.Errorf("%w: %d octets of point", ErrMalformed, len(point))
	}
	var crv string
	var pub *ecdsa.PublicKey
	switch m.family {
	case p256:
		crv = "P-256"
		pub, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	case sm2Key:
		crv = crvSM2
		pub, err = sm2.NewPublicKey(point)
	default:
		return mismatch(m.alg)
	}
	if err != nil {
		return fmt.Errorf("%w: point: %w", ErrMalformed, err)
	}
	m.pub = pub
	m.coord = members{quoted("crv", crv), quoted("kty", "EC"), encoded("x", point[1:33]), encoded("y", point[33:])}
	return nil
}

// pointOf returns 04‖x‖y of a key made elsewhere, of the curve f asks for.
func pointOf(f family, pub *ecdsa.PublicKey) ([]byte, error) {
	if pub == nil {
		return nil, fmt.Errorf("%w: no key", ErrMalformed)
	}
	switch isSM2 := sm2.IsSM2PublicKey(pub); {
	case f == sm2Key && isSM2:
		k, err := sm2.PublicKeyToECDH(pub)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return k.Bytes(), nil
	case f == p256 && pub.Curve == elliptic.P256():
		point, err := pub.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return point, nil
	}
	return nil, fmt.Errorf("%w: key is of another curve", ErrAlgorithm)
}

func (m *material) setPrivateP256(priv *ecdsa.PrivateKey) error {
	if priv == nil || m.family != p256 || priv.Curve != elliptic.P256() {
		return mismatch(m.alg)
	}
	d, err := priv.Bytes()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	fresh, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	point, err := fresh.PublicKey.Bytes()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m.priv = fresh
	return m.setPoint(point)
}

func (m *material) setPrivateSM2(priv *sm2.PrivateKey) error {
	if priv == nil || m.family != sm2Key || !sm2.IsSM2PublicKey(&priv.PublicKey) {
		return mismatch(m.alg)
	}
	d, err := priv.ECDH()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	fresh, err := sm2.NewPrivateKey(d.Bytes()) // refuses 0, n−1 and above
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m.priv = fresh
	return m.setPoint(d.PublicKey().Bytes())
}

func (m *material) setPrivateEd25519(priv ed25519.PrivateKey) error {
	if m.family != ed25519Key || len(priv) != ed25519.PrivateKeySize {
		return mismatch(m.alg)
	}
	fresh := ed25519.NewKeyFromSeed(priv.Seed())
	m.priv = fresh
	return m.setEd25519(ed25519.PublicKey(fresh[ed25519.SeedSize:]))
}

func (m *material) setPrivateRSA(priv *rsa.PrivateKey) error {
	if priv == nil || m.family != rsaKey {
		return mismatch(m.alg)
	}
	if len(priv.Primes) != 2 {
		return fmt.Errorf("%w: RSA key of %d primes", ErrUnsupported, len(priv.Primes))
	}
	if err := m.setRSA(&priv.PublicKey); err != nil {
		return err
	}
	if err := priv.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	fresh, err := x509.ParsePKCS1PrivateKey(x509.MarshalPKCS1PrivateKey(priv)) // a copy nobody else can change
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m.priv = fresh
	return nil
}

// setRSA bounds the modulus on both sides: below it is weak, above it is a way
// to make us compute. A public exponent under 65537 is refused with FIPS 186-5 §5.1.
func (m *material) setRSA(pub *rsa.PublicKey) error {
	if pub == nil || pub.N == nil || m.family != rsaKey {
		return mismatch(m.alg)
	}
	if n := pub.N.BitLen(); n < minRSABits || n > maxRSABits || pub.N.Sign() <= 0 || pub.N.Bit(0) == 0 {
		return fmt.Errorf("%w: RSA modulus of %d bits", ErrMalformed, n)
	}
	if pub.E < minRSAExp || pub.E > maxRSAExp || pub.E%2 == 0 {
		return fmt.Errorf("%w: RSA exponent", ErrMalformed)
	}
	var e [8]byte
	binary.BigEndian.PutUint64(e[:], uint64(pub.E))
	m.pub = &rsa.PublicKey{N: new(big.Int).Set(pub.N), E: pub.E}
	m.coord = members{
		encoded("e", e[bits.LeadingZeros64(uint64(pub.E))/8:]),
		quoted("kty", "RSA"),
		encoded("n", pub.N.Bytes()),
	}
	return nil
}

func (m *material) setEd25519(pub ed25519.PublicKey) error {
	if m.family != ed25519Key {
		return mismatch(m.alg)
	}
	if err := checkEd25519(pub); err != nil {
		return err
	}
	m.pub = ed25519.PublicKey(append([]byte(nil), pub...))
	m.coord = members{quoted("crv", "Ed25519"), quoted("kty", "OKP"), encoded("x", pub)}
	return nil
}

// checkEd25519 refuses what is no point in its one spelling (RFC 8032 §5.1.3),
// and the points of order 1, 2, 4 and 8, under which signatures can be made
// without any private key. The order shows in y alone: of these points y is 1,
// −1 or 0, or doubling meets y = 0, that is x² = −y², which with the curve
// −x² + y² = 1 + d·x²·y² gives d·y⁴ + 2·y² − 1 = 0.
func checkEd25519(pub []byte) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: %d octets of Ed25519 key", ErrMalformed, len(pub))
	}
	one := big.NewInt(1)
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)

	be := make([]byte, len(pub))
	for i, b := range pub {
		be[len(be)-1-i] = b
	}
	be[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(be)
	if y.Cmp(p) >= 0 {
		return fmt.Errorf("%w: Ed25519 key is not canonical", ErrMalformed)
	}
	y2 := new(big.Int).Mul(y, y)
	y2.Mod(y2, p)
	u := new(big.Int).Sub(y2, one) // x² = u/v
	dy2 := new(big.Int).Mul(d, y2)
	v := new(big.Int).Add(dy2, one)
	uv := new(big.Int).Mul(u, v)
	uv.Mod(uv, p)
	if big.Jacobi(uv, p) == -1 {
		return fmt.Errorf("%w: Ed25519 key is not on the curve", ErrMalformed)
	}
	eight := new(big.Int).Mul(dy2, y2)
	eight.Add(eight, y2).Add(eight, y2).Sub(eight, one).Mod(eight, p)
	if u.Mod(u, p); u.Sign() == 0 || y.Sign() == 0 || eight.Sign() == 0 {
		return fmt.Errorf("%w: Ed25519 key of small order", ErrMalformed)
	}
	return nil
}

func mismatch(alg Alg) error {
	return fmt.Errorf("%w: not a key for %q", ErrAlgorithm, string(alg))
}

// quoted and encoded make JWK members of values that need no escaping.
func quoted(name, value string) member { return member{Name: name, Value: []byte(`"` + value + `"`)} }

func encoded(name string, value []byte) member {
	return quoted(name, base64.RawURLEncoding.EncodeToString(value))
}
