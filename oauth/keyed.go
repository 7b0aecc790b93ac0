package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
)

// tagSize is the length of a tag that keeps junk from costing a statement. It
// protects no secret: behind it lies the look-up of 256 random bits.
const tagSize = 8

// A Keyed computes HMAC-SHA-256 under the keys of one purpose: the first makes,
// all of them check, so that a key can be replaced while what it made lives.
type Keyed struct{ keys [][]byte }

var errKeys = errors.New("oauth: a keyed hash needs at least one key of 32 bytes or more")

// NewKeyed takes the keys, the one in use first.
func NewKeyed(keys ...[]byte) (Keyed, error) {
	if len(keys) == 0 {
		return Keyed{}, errKeys
	}
	var k Keyed
	for _, key := range keys {
		if len(key) < sha256.Size {
			return Keyed{}, errKeys
		}
		k.keys = append(k.keys, slices.Clone(key))
	}
	return k, nil
}

// IsZero reports whether there are no keys. Such a Keyed makes nothing useful and
// accepts nothing.
func (k Keyed) IsZero() bool { return len(k.keys) == 0 }

// Sum returns the hash of parts under label, which says what it is for. Parts
// are kept apart by their lengths: ("ab","c") is not ("a","bc").
func (k Keyed) Sum(label string, parts ...string) []byte {
	if k.IsZero() {
		return nil
	}
	return sum(k.keys[0], label, parts)
}

// Check compares in constant time. The empty hash never matches.
func (k Keyed) Check(hash []byte, label string, parts ...string) bool {
	return len(hash) == sha256.Size && k.check(hash, label, parts)
}

// Tag is the first eight bytes of Sum.
func (k Keyed) Tag(label string, parts ...string) []byte {
	if k.IsZero() {
		return nil
	}
	return k.Sum(label, parts...)[:tagSize]
}

// CheckTag is Check for a Tag.
func (k Keyed) CheckTag(tag []byte, label string, parts ...string) bool {
	return len(tag) == tagSize && k.check(tag, label, parts)
}

func (k Keyed) check(got []byte, label string, parts []string) bool {
	ok := false
	for _, key := range k.keys {
		if hmac.Equal(got, sum(key, label, parts)[:len(got)]) {
			ok = true
		}
	}
	return ok
}

func sum(key []byte, label string, parts []string) []byte {
	h := hmac.New(sha256.New, key)
	write := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	write(label)
	for _, p := range parts {
		write(p)
	}
	return h.Sum(nil)
}
