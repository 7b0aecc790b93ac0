package recovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"ecardid/internal/secret"
)

const (
	// SetSize is how many recovery codes a citizen gets at a time. They are shown
	// once; a new set replaces the old one whole.
	SetSize = 10

	// codeLen characters of five bits each are 80 bits: more than the 64 that
	// SECURITY §0 asks for, and four groups of four to read aloud.
	codeLen   = 16
	codeBytes = codeLen * 5 / 8
	groupLen  = 4

	// maxTyped bounds what is looked at: a code with three-byte separators around
	// every character is shorter.
	maxTyped = 128
)

// alphabet is Crockford's base32: no I, L, O or U, so that nothing reads like
// something else and no code spells a word one regrets.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// ErrCode: what was typed cannot be a code of ours. To the citizen it is the same
// as a wrong code, and it counts as a try.
var ErrCode = errors.New("not a code")

// A Purpose keeps codes for one thing from working for another.
type Purpose string

// The purposes.
const (
	Recovery   Purpose = "recovery"
	Activation Purpose = "activation"
)

// A Keyed is a keyed hash (HMAC) whose key never meets the database. It must give
// the same answer for as long as codes are kept: with another key old codes are
// unknown codes.
type Keyed func(message []byte) ([]byte, error)

// NewSet returns SetSize fresh recovery codes in the form people read, made from
// r, which is crypto/rand.Reader outside tests.
func NewSet(r io.Reader) ([]secret.Value, error) {
	set := make([]secret.Value, SetSize)
	for i := range set {
		code, err := newCode(r)
		if err != nil {
			return nil, fmt.Errorf("making recovery codes: %w", err)
		}
		set[i] = code
	}
	return set, nil
}

// NewActivation returns one fresh activation code in the form people read.
func NewActivation(r io.Reader) (secret.Value, error) {
	code, err := newCode(r)
	if err != nil {
		return secret.Value{}, fmt.Errorf("making an activation code: %w", err)
	}
	return code, nil
}

func newCode(r io.Reader) (secret.Value, error) {
	var raw [codeBytes]byte
	if _, err := io.ReadFull(r, raw[:]); err != nil {
		return secret.Value{}, err
	}
	var b strings.Builder
	for i := range codeLen {
		if i > 0 && i%groupLen == 0 {
			b.WriteByte('-')
		}
		// Five bits from position 5i on; 80 bits are 16 characters exactly, so
		// every character is as likely as every other.
		at := i * 5
		var word [2]byte
		copy(word[:], raw[at/8:])
		b.WriteByte(alphabet[binary.BigEndian.Uint16(word[:])>>(11-at%8)&31])
	}
	return secret.Of(b.String()), nil
}

// Normalise returns the one spelling of the code somebody typed: capitals,
// without the dashes and blanks people put in and input methods change, with O
// read as 0 and I and L as 1 (Crockford), fullwidth letters as plain ones. It
// returns ErrCode, and nothing else, for what cannot be a code.
func Normalise(typed string) (string, error) {
	if len(typed) > maxTyped || !utf8.ValidString(typed) {
		return "", ErrCode
	}
	var code [codeLen]byte
	n := 0
	for _, r := range typed {
		if r >= '！' && r <= '～' { // U+FF01 to U+FF5E mirror ASCII
			r -= '！' - '!'
		}
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		switch r {
		case ' ', '\t', '\r', '\n', '\u00a0', '\u2009', '\u202f', '\u3000',
			'-', '_', '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2015', '\u2212', '\u30fc', '\u4e00':
			// The last two are what a Chinese or Japanese input method makes of
			// a dash: ー and 一.
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if n == codeLen || r > 'Z' || !strings.ContainsRune(alphabet, r) {
			return "", ErrCode
		}
		code[n] = byte(r)
		n++
	}
	if n != codeLen {
		return "", ErrCode
	}
	return string(code[:]), nil
}

// Stored returns what is kept of a code, and looked for when one is typed: the
// keyed hash over purpose, owner (the citizen's internal id) and the code's one
// spelling. What cannot be a code is ErrCode.
func Stored(keyed Keyed, p Purpose, owner []byte, typed string) ([]byte, error) {
	if keyed == nil || len(owner) == 0 || (p != Recovery && p != Activation) {
		return nil, errors.New("hashing a code: key, purpose and owner are needed")
	}
	code, err := Normalise(typed)
	if err != nil {
		return nil, err
	}
	// Lengths before contents, so that no two triples give the same message.
	msg := append([]byte("ecardid code v1\x00"), byte(len(p)))
	msg = append(msg, p...)
	msg = binary.BigEndian.AppendUint32(msg, uint32(len(owner)))
	msg = append(msg, owner...)
	msg = append(msg, code...)
	sum, err := keyed(msg)
	if err != nil {
		return nil, fmt.Errorf("hashing a code: %w", err)
	}
	return sum, nil
}
