package phone

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"ecardid/identity"
)

const (
	nonceLife = time.Minute // from asking for it to using it is one round trip
	nonceRand = 16
	nonceHead = 8 + nonceRand // expiry in milliseconds, randomness; then the tag
	minTag    = 16
	maxTag    = 64
)

// Nonces makes the server's nonces without remembering them: a nonce says until
// when it counts and carries a tag over that and the phone it is for. Strangers
// can ask for as many as they like and no row is written (SECURITY DS3); what is
// remembered is that one was used.
type Nonces struct {
	// Tag is a keyed hash, and Check compares with it in constant time, under any
	// key that may have made the tag.
	Tag   func(message []byte) ([]byte, error)
	Check func(tag, message []byte) bool
}

// A Replay is a nonce as storage remembers it: Key is spent by the one request
// that presents it, until Until, after which the nonce is refused anyway.
type Replay struct {
	Key   []byte
	Until time.Time
}

// Issue makes a nonce for one phone. Whether there is such a phone does not
// matter here and must not show.
func (n Nonces) Issue(r io.Reader, device identity.ID, now time.Time) (string, error) {
	head := binary.BigEndian.AppendUint64(nil, uint64(now.Add(nonceLife).UnixMilli()))
	head = append(head, make([]byte, nonceRand)...)
	if _, err := io.ReadFull(r, head[8:]); err != nil {
		return "", fmt.Errorf("making a nonce: %w", err)
	}
	tag, err := n.Tag(nonceMessage(device, head))
	if err != nil {
		return "", fmt.Errorf("making a nonce: %w", err)
	}
	if len(tag) < minTag || len(tag) > maxTag {
		return "", errors.New("making a nonce: the keyed hash has a strange length")
	}
	return encode64(append(head, tag...)), nil
}

// Inspect reports the replay key of a nonce we made for this phone and that has
// not expired. It spends nothing.
func (n Nonces) Inspect(nonce string, device identity.ID, now time.Time) (Replay, error) {
	b, err := decode64(nonce, nonceHead+minTag, nonceHead+maxTag)
	if err != nil {
		return Replay{}, err
	}
	head, tag := b[:nonceHead], b[nonceHead:]
	msg := nonceMessage(device, head)
	if !n.Check(tag, msg) {
		return Replay{}, refuse("a nonce of somebody else's making")
	}
	until := time.UnixMilli(int64(binary.BigEndian.Uint64(head))).UTC()
	if !now.Before(until) || until.After(now.Add(nonceLife+clockSkew)) {
		return Replay{}, fmt.Errorf("%w: nonce", ErrExpired)
	}
	// From the content and not from the text (SECURITY G9). The tag is left out: a
	// nonce tagged under two keys would still be one.
	key := sha256.Sum256(msg)
	return Replay{Key: key[:], Until: until}, nil
}

func nonceMessage(device identity.ID, head []byte) []byte {
	msg := append([]byte("ecardid device nonce v1\x00"), device[:]...)
	return append(msg, head...)
}
