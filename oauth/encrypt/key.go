package encrypt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v3"

	"ecardid/internal/strictjson"
)

const (
	maxSet   = 64 << 10 // as much as internal/jose reads of a set
	maxKeys  = 64
	maxDepth = 32
	maxKID   = 256

	minRSABits = 2048 // SECURITY §0
	maxRSABits = 8192 // one encryption with more costs milliseconds
	minRSAExp  = 65537
	maxRSAExp  = 1<<31 - 1 // what crypto/rsa accepts
)

// A key is one a client can be sent something under.
type key struct {
	public any // *rsa.PublicKey or *ecdsa.PublicKey, as alg needs it
	kid    string
	meant  bool // for encryption and nothing else: use enc
}

var (
	errSet    = errors.New("the client's JWK Set cannot be read")
	errSecret = errors.New("the client's JWK Set holds a private key")
	errNone   = errors.New("the client has no key that fits")
	errKey    = errors.New("not a key to encrypt to")
)

// choose finds the client's key for alg: the first that says it is for encryption,
// else the first that does not say what it is for. Keys of other kinds and uses are
// passed over (RFC 7517 §5); a set that holds a private key was published by mistake
// and is not used at all.
func choose(set []byte, alg string) (key, error) {
	doc, err := strictjson.Limits{Bytes: maxSet, Depth: maxDepth, Twins: strictjson.TwinsAnywhere}.Object(set)
	if err != nil {
		return key{}, fmt.Errorf("%w: %w", errSet, err)
	}
	raw, _ := doc.Get("keys")
	var docs []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &docs) != nil || len(docs) > maxKeys {
		return key{}, errSet
	}
	var fits []key
	for _, d := range docs {
		ms, err := strictjson.Limits{Bytes: maxSet, Depth: maxDepth, Twins: strictjson.TwinsAnywhere}.Object(d)
		if err != nil {
			return key{}, fmt.Errorf("%w: %w", errSet, err)
		}
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
			if _, there := ms.Get(name); there {
				return key{}, errSecret
			}
		}
		if k, err := read(ms, alg); err == nil {
			fits = append(fits, k)
		}
	}
	if i := slices.IndexFunc(fits, func(k key) bool { return k.meant }); i >= 0 {
		return fits[i], nil
	}
	if len(fits) == 0 {
		return key{}, errNone
	}
	return fits[0], nil
}

// read reads one public key that can be used with alg.
func read(ms strictjson.Object, alg string) (key, error) {
	text := func(name string) string {
		raw, _ := ms.Get(name)
		s, _ := strictjson.Text(raw)
		return s
	}
	absentOr := func(name string, want string) bool {
		_, there := ms.Get(name)
		return !there || text(name) == want
	}
	if !absentOr("alg", alg) || !absentOr("use", "enc") || !allows(ms, alg) || len(text("kid")) > maxKID {
		return key{}, errKey
	}
	k := key{kid: text("kid"), meant: text("use") == "enc"}
	var err error
	switch kty := text("kty"); {
	case alg == string(jose.RSA_OAEP_256) && kty == "RSA":
		k.public, err = readRSA(text("n"), text("e"))
	case alg != string(jose.RSA_OAEP_256) && kty == "EC":
		k.public, err = readEC(text("crv"), text("x"), text("y"))
	default:
		err = errKey
	}
	return k, err
}

// allows reads key_ops (RFC 7517 §4.3).
func allows(ms strictjson.Object, alg string) bool {
	raw, there := ms.Get("key_ops")
	if !there {
		return true
	}
	var ops []string
	if json.Unmarshal(raw, &ops) != nil {
		return false
	}
	if alg == string(jose.RSA_OAEP_256) {
		return slices.Contains(ops, "wrapKey") || slices.Contains(ops, "encrypt")
	}
	// A public key of key agreement needs no operation (RFC 7517 §4.3 lists them for
	// the private half); one that names some has to name these.
	return len(ops) == 0 || slices.Contains(ops, "deriveKey") || slices.Contains(ops, "deriveBits")
}

func readRSA(modulus, exponent string) (*rsa.PublicKey, error) {
	n, err1 := octets(modulus)
	e, err2 := octets(exponent)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	// Base64urlUInt has no leading zero octets (RFC 7518 §2).
	if n[0] == 0 || e[0] == 0 || len(n) > maxRSABits/8 || len(e) > 4 {
		return nil, errKey
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if public.N.BitLen() < minRSABits || public.N.Bit(0) == 0 || public.E < minRSAExp || public.E > maxRSAExp || public.E%2 == 0 {
		return nil, errKey
	}
	return public, nil
}

func readEC(crv, x, y string) (*ecdsa.PublicKey, error) {
	var curve elliptic.Curve
	switch crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, errKey
	}
	size := (curve.Params().BitSize + 7) / 8
	xs, err1 := octets(x)
	ys, err2 := octets(y)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if len(xs) != size || len(ys) != size { // RFC 7518 §6.2.1.2
		return nil, errKey
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, xs, ys))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errKey, err)
	}
	return public, nil
}

func octets(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) == 0 {
		return nil, errKey
	}
	return b, nil
}
