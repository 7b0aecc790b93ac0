package console

import (
	"encoding/base64"
	"encoding/binary"
	"errors"

	"ecardid/identity"
)

// errPageToken: not one of ours, or of another list or person.
var errPageToken = errors.New("console: not a page token of this list")

// A Pager makes the tokens by which long lists go on (SECURITY AD4): where the next page
// begins, sealed to the list and the person it was made for, so that nobody walks
// through what they were not shown the beginning of.
type Pager struct {
	Tag   func(message []byte) ([]byte, error)
	Check func(tag, message []byte) bool
}

func pageMessage(list string, staff identity.ID, below int64) []byte {
	m := binary.BigEndian.AppendUint32([]byte("page"), uint32(len(list)))
	m = append(m, list...)
	m = append(m, staff[:]...)
	return binary.BigEndian.AppendUint64(m, uint64(below))
}

// Token says that a list goes on below a number.
func (p Pager) Token(list string, staff identity.ID, below int64) (string, error) {
	tag, err := p.Tag(pageMessage(list, staff, below))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(below)), tag...)), nil
}

// Below reads a token; the empty one is the beginning, 0. What fails is
// identity.ErrNotFound: there is no such page.
func (p Pager) Below(list string, staff identity.ID, token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	refused := errors.Join(identity.ErrNotFound, errPageToken)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	// The decoder skips line ends; a token has one spelling (SECURITY G9).
	if err != nil || len(raw) <= 8 || len(raw) > 128 || base64.RawURLEncoding.EncodeToString(raw) != token {
		return 0, refused
	}
	below := int64(binary.BigEndian.Uint64(raw))
	if below <= 0 || !p.Check(raw[8:], pageMessage(list, staff, below)) {
		return 0, refused
	}
	return below, nil
}
