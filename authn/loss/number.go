package loss

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// A Number names a receipt: twelve characters people can read out, the last of which
// finds one that was misheard and most that changed places.
type Number string

// ErrNumber: what was typed cannot be the number of a receipt.
var ErrNumber = errors.New("not the number of a receipt")

const (
	// Crockford's base32: no I, L, O or U.
	alphabet     = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	numberLength = 12 // 55 bits drawn, and the check
	group        = 4
	maxTyped     = 64
)

// NewNumber draws one.
func NewNumber(r io.Reader) (Number, error) {
	b := make([]byte, numberLength-1)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", fmt.Errorf("drawing the number of a receipt: %w", err)
	}
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))] // 256 is a multiple of 32
	}
	return Number(append(b, checkOf(string(b)))), nil
}

// checkOf is the character that makes a number whole: Luhn's, modulo 32.
func checkOf(s string) byte {
	const n = len(alphabet)
	sum, factor := 0, 2
	for i := len(s) - 1; i >= 0; i-- {
		a := strings.IndexByte(alphabet, s[i]) * factor
		sum += a/n + a%n
		factor = 3 - factor
	}
	return alphabet[(n-sum%n)%n]
}

// ParseNumber reads what somebody typed or heard: small letters, dashes, blanks, O for
// 0 and I or L for 1 are all right.
func ParseNumber(typed string) (Number, error) {
	if len(typed) > maxTyped {
		return "", ErrNumber
	}
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch r {
		case '-', ' ':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if !strings.ContainsRune(alphabet, r) {
			return "", ErrNumber
		}
		b.WriteRune(r)
	}
	s := b.String()
	if len(s) != numberLength || checkOf(s[:numberLength-1]) != s[numberLength-1] {
		return "", ErrNumber
	}
	return Number(s), nil
}

// String is the number in groups of four, as people read it.
func (n Number) String() string {
	var b strings.Builder
	for i := 0; i < len(n); i += group {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(string(n[i:min(i+group, len(n))]))
	}
	return b.String()
}
