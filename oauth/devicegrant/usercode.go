package devicegrant

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// alphabet has no vowels, so that no word comes up, and no letters of which two look
// alike (RFC 8628 §6.1).
const alphabet = "BCDFGHJKLMNPQRSTVWXZ"

const (
	letters  = 8
	maxTyped = 64 // bytes looked at: eight letters, and what a person puts between them
)

// newUserCode draws a code; each is as likely as every other.
func newUserCode(random io.Reader) (string, error) {
	code := make([]byte, 0, letters)
	var b [letters]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("drawing a user code: %w", err)
		}
		for _, x := range b {
			if int(x) >= 256-256%len(alphabet) {
				continue // the last few would make some letters more likely
			}
			if code = append(code, alphabet[int(x)%len(alphabet)]); len(code) == letters {
				return string(code), nil
			}
		}
	}
}

// ReadUserCode reads what a person typed: small letters and full-width ones are taken,
// and blanks and hyphens wherever they stand. What is no user code is not ok.
func ReadUserCode(typed string) (code string, ok bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	var b strings.Builder
	for _, r := range typed {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Pd, r):
			continue
		case r >= 'Ａ' && r <= 'Ｚ':
			r -= 'Ａ' - 'A'
		case r >= 'ａ' && r <= 'ｚ':
			r -= 'ａ' - 'A'
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		}
		if !strings.ContainsRune(alphabet, r) || b.Len() == letters {
			return "", false
		}
		b.WriteRune(r)
	}
	return b.String(), b.Len() == letters
}

// show writes a code as people read it.
func show(code string) string { return code[:letters/2] + "-" + code[letters/2:] }
