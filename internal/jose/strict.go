package jose

import (
	"encoding/base64"
	"fmt"
	"strings"

	"ecardid/internal/strictjson"
)

// strictBase64 refuses padding and set trailing bits, so that each octet string
// has one spelling (RFC 7515 §2). It would pass over CR and LF: decode64 does not.
var strictBase64 = base64.RawURLEncoding.Strict()

func decode64(s string) ([]byte, error) {
	if s == "" {
		return nil, fmt.Errorf("%w: empty base64url", ErrMalformed)
	}
	if strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: line break in base64url", ErrMalformed)
	}
	b, err := strictBase64.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

// members is one JSON object in the order of its text.
type members strictjson.Object

type member = strictjson.Member

func (ms members) get(name string) ([]byte, bool) { return strictjson.Object(ms).Get(name) }

// text returns a member that is absent (ok is false) or a JSON string.
func (ms members) text(name string) (s string, ok bool, err error) {
	raw, ok := ms.get(name)
	if !ok {
		return "", false, nil
	}
	if s, ok = strictjson.Text(raw); !ok {
		return "", false, fmt.Errorf("%w: %s is not a string", ErrMalformed, name)
	}
	return s, true, nil
}

// label is text for the short names (kid, typ, alg, use): never empty, never long.
func (ms members) label(name string) (s string, ok bool, err error) {
	s, ok, err = ms.text(name)
	if err == nil && ok && (s == "" || len(s) > maxName) {
		return "", false, fmt.Errorf("%w: length of %s", ErrMalformed, name)
	}
	return s, ok, err
}

// object takes data apart if it is exactly one JSON object in which no object at
// any depth names a member twice (RFC 7515 §4, RFC 7519 §4). At the top, names that
// differ only in case count as the same; a claim's inside is its owner's business.
func object(data []byte) (members, error) {
	o, err := strictjson.Limits{Bytes: maxSet, Depth: maxDepth, Twins: strictjson.TwinsInside}.Object(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return members(o), nil
}
