package jose

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

const (
	crvSM2    = "SM2"
	crvSM2Alt = "SM2-P-256" // the spelling some attribute to GM/T 0125.4; read, never written
)

// ParseJWK reads one public key (RFC 7517 §4). Members it does not know are
// ignored; those it knows must be right to the octet: lengths exact (RFC 7518
// §6.2.1.2), point on its curve, alg fitting the kind of key. A document with a
// private or symmetric member is ErrPrivate, and a sound key of no use for
// verifying is ErrUnsupported.
func ParseJWK(data []byte) (Key, error) {
	if len(data) > maxJWK {
		return Key{}, fmt.Errorf("%w: JWK of %d octets", ErrMalformed, len(data))
	}
	ms, err := object(data)
	if err != nil {
		return Key{}, fmt.Errorf("JWK: %w", err)
	}
	k, err := parseJWK(ms)
	if err != nil {
		return Key{}, fmt.Errorf("JWK: %w", err)
	}
	return k, nil
}

func parseJWK(ms members) (k Key, err error) {
	defer recovered(&k, &err)
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, found := ms.get(name); found {
			return Key{}, fmt.Errorf("%w: %s", ErrPrivate, name)
		}
	}
	kty, ok, err := ms.label("kty")
	switch {
	case err != nil:
		return Key{}, err
	case !ok:
		return Key{}, fmt.Errorf("%w: no kty", ErrMalformed)
	case kty == "oct":
		return Key{}, fmt.Errorf("%w: kty oct", ErrPrivate)
	}
	m := new(material)
	if m.kid, _, err = ms.label("kid"); err != nil {
		return Key{}, err
	}
	if m.family, err = familyOf(kty, ms); err != nil {
		return Key{}, err
	}
	if err := checkUse(ms); err != nil {
		return Key{}, err
	}
	if m.alg, err = algOf(m.family, ms); err != nil {
		return Key{}, err
	}
	switch m.family {
	case p256, sm2Key:
		err = m.readPoint(ms)
	case rsaKey:
		err = m.readRSA(ms)
	case ed25519Key:
		var x []byte
		if x, err = octets(ms, "x"); err == nil {
			err = m.setEd25519(x)
		}
	}
	if err != nil {
		return Key{}, err
	}
	return Key{m}, nil
}

func familyOf(kty string, ms members) (family, error) {
	if kty == "RSA" {
		return rsaKey, nil
	}
	if kty != "EC" && kty != "OKP" {
		return noFamily, fmt.Errorf("%w: kty %q", ErrUnsupported, kty)
	}
	crv, ok, err := ms.label("crv")
	switch {
	case err != nil:
		return noFamily, err
	case !ok:
		return noFamily, fmt.Errorf("%w: no crv", ErrMalformed)
	case kty == "EC" && crv == "P-256":
		return p256, nil
	case kty == "EC" && (crv == crvSM2 || crv == crvSM2Alt):
		return sm2Key, nil
	case kty == "OKP" && crv == "Ed25519":
		return ed25519Key, nil
	}
	return noFamily, fmt.Errorf("%w: %s curve %q", ErrUnsupported, kty, crv)
}

// checkUse sorts out keys that are not for verifying (RFC 7517 §4.2, §4.3).
func checkUse(ms members) error {
	use, ok, err := ms.label("use")
	if err != nil {
		return err
	}
	if ok && use != "sig" {
		return fmt.Errorf("%w: use %q", ErrUnsupported, use)
	}
	raw, ok := ms.get("key_ops")
	if !ok {
		return nil
	}
	var ops []string
	if raw[0] != '[' || json.Unmarshal(raw, &ops) != nil {
		return fmt.Errorf("%w: key_ops", ErrMalformed)
	}
	verify := 0
	for _, op := range ops {
		if op == "verify" {
			verify++
		}
	}
	switch verify {
	case 1:
		return nil
	case 0:
		return fmt.Errorf("%w: key_ops without verify", ErrUnsupported)
	}
	return fmt.Errorf("%w: key_ops names verify twice", ErrMalformed)
}

// algOf binds the key to the algorithm its alg names, or to the only one its
// kind can be used with.
func algOf(f family, ms members) (Alg, error) {
	name, ok, err := ms.label("alg")
	switch alg := Alg(name); {
	case err != nil:
		return "", err
	case ok && !alg.Known():
		return "", fmt.Errorf("%w: alg %q", ErrUnsupported, name)
	case ok && alg.family() != f:
		return "", fmt.Errorf("%w: alg %q with another kind of key", ErrMalformed, name)
	case ok:
		return alg, nil
	}
	switch f {
	case p256:
		return ES256, nil
	case sm2Key:
		return SM2, nil
	case ed25519Key:
		return EdDSA, nil
	}
	return unbound, nil
}

func (m *material) readPoint(ms members) error {
	x, err := octets(ms, "x")
	if err != nil {
		return err
	}
	y, err := octets(ms, "y")
	if err != nil {
		return err
	}
	if len(x) != 32 || len(y) != 32 {
		return fmt.Errorf("%w: coordinates of %d and %d octets", ErrMalformed, len(x), len(y))
	}
	point := make([]byte, 0, pointSize)
	point = append(point, 4)
	point = append(point, x...)
	return m.setPoint(append(point, y...))
}

// readRSA reads Base64urlUInt values, which have no leading zero octets (RFC 7518 §2).
func (m *material) readRSA(ms members) error {
	n, err := octets(ms, "n")
	if err != nil {
		return err
	}
	e, err := octets(ms, "e")
	if err != nil {
		return err
	}
	if n[0] == 0 || e[0] == 0 || len(n) > maxRSABits/8 || len(e) > 4 {
		return fmt.Errorf("%w: RSA integers", ErrMalformed)
	}
	exp := new(big.Int).SetBytes(e)
	return m.setRSA(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())})
}

func octets(ms members, name string) ([]byte, error) {
	s, ok, err := ms.text(name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: no %s", ErrMalformed, name)
	}
	b, err := decode64(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// Thumbprint is the SHA-256 thumbprint of RFC 7638 in base64url: "jkt" in DPoP
// (RFC 9449 §6.1). The crv of an SM2 key counts as "SM2", however it was spelled.
func (k Key) Thumbprint() string {
	if k.m == nil {
		return ""
	}
	h := sha256.Sum256(append(k.m.coord.append(nil), '}'))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// MarshalJSON writes the public half as a JWK, whatever else the key holds.
func (k Key) MarshalJSON() ([]byte, error) {
	if k.m == nil {
		return nil, ErrNoKey
	}
	b := k.m.coord.append(make([]byte, 0, 256))
	b = append(b, `,"use":"sig"`...)
	if k.m.alg != unbound {
		b = append(b, `,"alg":"`...)
		b = append(b, k.m.alg...)
		b = append(b, '"')
	}
	if k.m.kid != "" {
		kid, err := json.Marshal(k.m.kid)
		if err != nil {
			return nil, fmt.Errorf("encoding a kid: %w", err)
		}
		b = append(b, `,"kid":`...)
		b = append(b, kid...)
	}
	return append(b, '}'), nil
}

// append writes an object without its closing brace.
func (ms members) append(b []byte) []byte {
	for i, m := range ms {
		if i == 0 {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, m.Name...)
		b = append(b, '"', ':')
		b = append(b, m.Value...)
	}
	return b
}
