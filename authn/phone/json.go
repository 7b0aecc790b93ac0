package phone

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"

	"ecardid/internal/strictjson"
)

const (
	// maxBody is the most a request body may weigh: an attestation chain of five
	// certificates is a quarter of it (SECURITY DS1).
	maxBody = 64 << 10
	// maxDepth of JSON; our deepest document has four levels.
	maxDepth = 16
	// maxText is how many characters of a phone's name are kept.
	maxText = 64
)

// decode reads one JSON object into v. Members it does not know are ignored; one
// that is there twice, in whatever case, is not, since encoding/json would fill one
// field from both (SECURITY G8).
func decode(body []byte, v any) error {
	if _, err := (strictjson.Limits{Bytes: maxBody, Depth: maxDepth}).Object(body); err != nil {
		return malformed("%v", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return malformed("%v", err)
	}
	return nil
}

// decode64 reads unpadded base64url of at least least and at most most bytes, in
// the one spelling there is for them (SECURITY G9).
func decode64(s string, least, most int) ([]byte, error) {
	if len(s) > base64.RawURLEncoding.EncodedLen(most) || strings.ContainsAny(s, "\r\n") {
		return nil, malformed("base64url of %d characters", len(s))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < least {
		return nil, malformed("base64url of %d bytes", len(b))
	}
	return b, nil
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// clean makes a text that a phone says of itself fit to be shown: no control or
// direction marks, no line breaks, not long (SECURITY CN2).
func clean(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if !unicode.IsPrint(r) {
			continue
		}
		if n++; n > maxText {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
