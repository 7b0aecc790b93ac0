package jose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Header is what the parties may know of a JOSE header (RFC 7515 §4).
type Header struct {
	Alg   Alg
	KeyID string
	Type  string // typ as sent; compare with Is

	// JWK is the header's jwk, unread, for the DPoP room (RFC 9449 §4.2). Verify
	// refuses tokens that have one.
	JWK json.RawMessage
}

// Is reports whether typ names the media type want: letter case and a leading
// "application/" do not matter (RFC 7515 §4.1.9).
func (h Header) Is(want string) bool {
	const prefix = "application/"
	typ := h.Type
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) {
		typ = typ[len(prefix):]
	}
	return typ != "" && strings.EqualFold(typ, want)
}

// A Token is a well-formed JWS of claims that nobody has vouched for yet.
type Token struct {
	Header Header

	input   string // the octets that were signed, as received
	payload []byte
	claims  members
	sig     []byte
}

// Parse takes a compact JWS apart (RFC 7515 §7.1). It accepts one spelling only:
// three parts of unpadded base64url without loose bits, JSON in UTF-8 without
// doubled names, an algorithm of ours. Extensions marked crit are refused, since
// we understand none (§4.1.11), and so are keys brought or pointed to by the
// header, jwk excepted; nothing is ever fetched.
func Parse(compact string) (Token, error) {
	if len(compact) > maxCompact {
		return Token{}, fmt.Errorf("%w: JWS of %d octets", ErrMalformed, len(compact))
	}
	if strings.Count(compact, ".") != 2 {
		return Token{}, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	first, last := strings.IndexByte(compact, '.'), strings.LastIndexByte(compact, '.')
	if first > maxHeader {
		return Token{}, fmt.Errorf("%w: JWS header of %d octets", ErrMalformed, first)
	}
	t := Token{input: compact[:last]}
	header, err := decode64(compact[:first])
	if err != nil {
		return Token{}, fmt.Errorf("JWS header: %w", err)
	}
	if t.Header, err = parseHeader(header); err != nil {
		return Token{}, fmt.Errorf("JWS header: %w", err)
	}
	if t.payload, err = decode64(compact[first+1 : last]); err != nil {
		return Token{}, fmt.Errorf("JWS payload: %w", err)
	}
	if t.claims, err = object(t.payload); err != nil {
		return Token{}, fmt.Errorf("JWS payload: %w", err)
	}
	if err := checkSpelling(t.claims); err != nil {
		return Token{}, fmt.Errorf("JWS payload: %w", err)
	}
	if t.sig, err = decode64(compact[last+1:]); err != nil {
		return Token{}, fmt.Errorf("JWS signature: %w", err)
	}
	return t, nil
}

func parseHeader(data []byte) (Header, error) {
	ms, err := object(data)
	if err != nil {
		return Header{}, err
	}
	for _, name := range []string{"crit", "jku", "x5u", "x5c"} {
		if _, found := ms.get(name); found {
			return Header{}, fmt.Errorf("%w: %s", ErrMalformed, name)
		}
	}
	var h Header
	alg, ok, err := ms.label("alg")
	if err != nil {
		return Header{}, err
	}
	if h.Alg = Alg(alg); !ok || !h.Alg.Known() {
		return Header{}, fmt.Errorf("%w: %q", ErrAlgorithm, alg)
	}
	if h.KeyID, _, err = ms.label("kid"); err != nil {
		return Header{}, err
	}
	if h.Type, _, err = ms.label("typ"); err != nil {
		return Header{}, err
	}
	if raw, ok := ms.get("jwk"); ok {
		if raw[0] != '{' {
			return Header{}, fmt.Errorf("%w: jwk is not an object", ErrMalformed)
		}
		h.JWK = raw
	}
	return h, nil
}

// Verify finds the key by kid and checks the signature with it. The header's alg
// must be among those allowed here and be the key's own; an RSA key that names
// none counts as bound only if the caller allows a single RSA algorithm. With
// nothing allowed, nothing verifies.
func (t Token) Verify(keys Keyset, allowed ...Alg) (Verified, error) {
	if t.Header.JWK != nil {
		return Verified{}, fmt.Errorf("%w: jwk", ErrMalformed)
	}
	if t.input == "" || keys == nil {
		return Verified{}, ErrNoKey
	}
	k, ok := keys.Find(t.Header.KeyID)
	if !ok {
		return Verified{}, ErrNoKey
	}
	return t.VerifyKey(k, allowed...)
}

// VerifyKey is Verify with a key the caller has chosen, by other means than kid.
// It is for DPoP, whose proofs bring the key that is then compared with cnf.
func (t Token) VerifyKey(k Key, allowed ...Alg) (Verified, error) {
	if t.input == "" || k.IsZero() {
		return Verified{}, ErrNoKey
	}
	if !slices.Contains(allowed, t.Header.Alg) {
		return Verified{}, fmt.Errorf("%w: %q", ErrAlgorithm, string(t.Header.Alg))
	}
	if k.Alg() == unbound {
		only, err := onlyRSA(allowed)
		if err != nil {
			return Verified{}, err
		}
		if k, err = k.For(only); err != nil {
			return Verified{}, err
		}
	}
	if t.Header.Alg != k.Alg() {
		return Verified{}, fmt.Errorf("%w: %q with a key for %q", ErrAlgorithm, string(t.Header.Alg), string(k.Alg()))
	}
	if err := k.verify([]byte(t.input), t.sig); err != nil {
		return Verified{}, err
	}
	return Verified{Header: t.Header, Key: k.Public(), payload: t.payload, claims: t.claims}, nil
}

func onlyRSA(allowed []Alg) (Alg, error) {
	only := unbound
	for _, alg := range allowed {
		if alg.family() != rsaKey || alg == only {
			continue
		}
		if only != unbound {
			return "", fmt.Errorf("%w: the key names none and two are allowed", ErrAlgorithm)
		}
		only = alg
	}
	return only, nil
}

// Unverified returns what the token says about itself, so that the right keys
// can be looked up, as for a client assertion (RFC 7523 §3). It proves nothing.
func (t Token) Unverified() (Standard, error) { return standard(t.claims) }

// Verified is the content of a token whose signature was checked.
type Verified struct {
	Header Header
	Key    Key // that it was checked with

	payload []byte
	claims  members
}

// Claims decodes the claims into v, as encoding/json does. Dates are best read
// as NumericDate and aud as Audience: embed Standard for all seven.
func (v Verified) Claims(into any) error {
	if v.payload == nil {
		return ErrNoKey
	}
	if err := json.Unmarshal(v.payload, into); err != nil {
		return fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	return nil
}

// Standard returns the registered claims (RFC 7519 §4.1).
func (v Verified) Standard() (Standard, error) { return standard(v.claims) }
