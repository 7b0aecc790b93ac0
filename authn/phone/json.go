package phone

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
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

// decode reads one JSON object into v. It refuses what is too long, not UTF-8,
// followed by anything, or names a member twice, in whatever case, since
// encoding/json would fill one field from both. Members it does not know are
// ignored (SECURITY G8).
func decode(body []byte, v any) error {
	switch {
	case len(body) > maxBody:
		return malformed("a body of %d bytes", len(body))
	case !utf8.Valid(body):
		return malformed("not UTF-8")
	case !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")):
		return malformed("not a JSON object")
	}
	names := json.NewDecoder(bytes.NewReader(body))
	if err := distinct(names, 0); err != nil {
		return malformed("%v", err)
	}
	if _, err := names.Token(); !errors.Is(err, io.EOF) {
		return malformed("something follows the JSON object")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return malformed("%v", err)
	}
	return nil
}

// distinct walks one value and wants every object's names to differ.
func distinct(dec *json.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	open, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return errors.New("nested too deep")
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			tok, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ := tok.(string)
			folded := strings.ToLower(strings.ToUpper(name))
			if seen[folded] {
				return errors.New("a member is there twice")
			}
			seen[folded] = true
		}
		if err := distinct(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the closing bracket
	return err
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
