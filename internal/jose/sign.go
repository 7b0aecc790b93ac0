package jose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

var b64 = base64.RawURLEncoding

// Sign returns claims, encoded by encoding/json, as a compact JWS with alg, kid
// and typ in its header. The claims must encode to an object; typ may be empty.
func Sign(key Key, typ string, claims any) (string, error) {
	if !key.CanSign() {
		return "", errNoPrivate
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	if payload[0] != '{' {
		return "", errors.New("jose: claims are not an object")
	}
	input, err := signingInput(key, typ, payload)
	if err != nil {
		return "", err
	}
	sig, err := key.sign(input)
	if err != nil {
		return "", fmt.Errorf("signing with %v: %w", key, err)
	}
	token := b64.AppendEncode(append(input, '.'), sig)
	if len(token) > maxCompact {
		return "", fmt.Errorf("jose: token of %d octets", len(token)) // we would not read it ourselves
	}
	return string(token), nil
}

// signingInput is RFC 7515 §5.1 steps 1 to 5, with room left for the signature.
func signingInput(key Key, typ string, payload []byte) ([]byte, error) {
	var space [256]byte
	header := append(space[:0], key.m.header...)
	if typ != "" {
		if !plain(typ) {
			return nil, fmt.Errorf("jose: typ %q", typ)
		}
		header = append(header, `,"typ":"`...)
		header = append(header, typ...)
		header = append(header, '"')
	}
	header = append(header, '}')

	sig := sigSize
	if key.m.family == rsaKey {
		sig = maxRSABits / 8
	}
	size := b64.EncodedLen(len(header)) + 1 + b64.EncodedLen(len(payload)) + 1 + b64.EncodedLen(sig)
	input := b64.AppendEncode(make([]byte, 0, size), header)
	input = append(input, '.')
	return b64.AppendEncode(input, payload), nil
}

// plain reports whether s is short and stands in JSON as it is.
func plain(s string) bool {
	if len(s) > maxName {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
