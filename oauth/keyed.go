package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"slices"
	"sync"
)

// tagSize is the length of a tag that keeps junk from costing a statement. It
// protects no secret: behind it lies the look-up of 256 random bits.
const tagSize = 8

// A Keyed computes HMAC-SHA-256 under the keys of one purpose: the first makes,
// all of them check, so that a key can be replaced while what it made lives.
type Keyed struct{ keys []*mac }

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
		k.keys = append(k.keys, newMAC(slices.Clone(key)))
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
	return k.keys[0].sum(label, parts)
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
		if key.equal(got, label, parts) {
			ok = true
		}
	}
	return ok
}

// A mac is HMAC under one key. Every request needs several: what one is computed
// with is kept for the next, which spares the key's own two blocks and the garbage.
type mac struct{ ready sync.Pool } // of *macState

type macState struct {
	hash    hash.Hash
	message []byte
	sum     [sha256.Size]byte
}

func newMAC(key []byte) *mac {
	return &mac{sync.Pool{New: func() any { return &macState{hash: hmac.New(sha256.New, key)} }}}
}

// begin computes; whoever calls it gives the state back with end.
func (m *mac) begin(label string, parts []string) *macState {
	s := m.ready.Get().(*macState)
	s.add(label)
	for _, p := range parts {
		s.add(p)
	}
	s.hash.Reset()
	s.hash.Write(s.message)
	s.hash.Sum(s.sum[:0])
	return s
}

func (s *macState) add(part string) {
	s.message = binary.BigEndian.AppendUint32(s.message, uint32(len(part)))
	s.message = append(s.message, part...)
}

// end keeps neither message nor sum: a part may be a secret.
func (m *mac) end(s *macState) {
	clear(s.message)
	clear(s.sum[:])
	if cap(s.message) > maxKept {
		s.message = nil
	}
	s.message = s.message[:0]
	m.ready.Put(s)
}

// maxKept is more than any message of ours has; a stranger's may be longer.
const maxKept = 1 << 10

func (m *mac) sum(label string, parts []string) []byte {
	s := m.begin(label, parts)
	defer m.end(s)
	return slices.Clone(s.sum[:])
}

func (m *mac) equal(got []byte, label string, parts []string) bool {
	s := m.begin(label, parts)
	defer m.end(s)
	return hmac.Equal(got, s.sum[:len(got)])
}
