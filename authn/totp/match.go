package totp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

const (
	period = 30 // seconds; RFC 6238 §5.2, GM/T 0021 allows up to 60
	digits = 6
	modulo = 1_000_000
	skew   = 1 // one step either way: a slow typist and a clock half a minute off
)

// Step returns the number of the time step that t lies in (RFC 6238 §4.2).
func Step(t time.Time) int64 { return t.Unix() / period }

// Match looks for the time step, at most one away from now and later than
// lastStep, that code belongs to. It reports the step, which the caller spends by
// a write that succeeds only while the stored step is smaller; whoever loses that
// race refuses (SECURITY G1). A citizen who never used a code has lastStep 0.
//
// A seed that is empty or too short matches nothing, and neither does anything
// but six ASCII digits. All candidate steps are computed and compared whatever
// the outcome, so that the time taken says nothing.
func Match(seed Seed, alg Algorithm, code string, now time.Time, lastStep int64) (step int64, ok bool) {
	if !seed.usable() || !alg.Valid() || !sixDigits(code) || now.Unix() < period*skew {
		return 0, false
	}
	var found, which int64
	for s := Step(now) - skew; s <= Step(now)+skew; s++ {
		want := format(value(seed.key, alg, s))
		hit := subtle.ConstantTimeCompare([]byte(want), []byte(code))
		if s <= lastStep {
			hit = 0
		}
		// Of two steps with the same code the later one is spent, and both with it.
		mask := -int64(hit)
		which = which&^mask | s&mask
		found |= int64(hit)
	}
	return which, found == 1
}

// Code returns the code that seed shows at t: what the citizen's app computes.
func Code(seed Seed, alg Algorithm, t time.Time) (string, error) {
	if !seed.usable() {
		return "", errors.New("computing a code: no usable seed")
	}
	if !alg.Valid() {
		return "", fmt.Errorf("computing a code: unknown algorithm %q", alg)
	}
	return format(value(seed.key, alg, Step(t))), nil
}

func sixDigits(s string) bool {
	if len(s) != digits {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func format(n uint32) string { return fmt.Sprintf("%0*d", digits, n%modulo) }

// value computes the number whose last digits are the code.
func value(key []byte, alg Algorithm, step int64) uint32 {
	if alg == SM3 {
		return sm3Value(key, uint64(step), 0, nil)
	}
	return hotp(key, uint64(step))
}

// hotp is HOTP with the time step as counter (RFC 4226 §5.3, RFC 6238 §4.2).
func hotp(key []byte, counter uint64) uint32 {
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, counter))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	return binary.BigEndian.Uint32(sum[offset:]) & 0x7fff_ffff
}

// sm3Value is the dynamic password of GM/T 0021: the eight words of SM3(K ‖ ID)
// added up, where ID is T (8 bytes) ‖ C (4 bytes) ‖ Q, filled with zeros to at
// least 16 bytes. Without event and challenge, C is zero and Q empty, which is
// the same ID as one of T alone.
func sm3Value(key []byte, t uint64, c uint32, q []byte) uint32 {
	id := binary.BigEndian.AppendUint64(nil, t)
	id = binary.BigEndian.AppendUint32(id, c)
	id = append(id, q...)
	for len(id) < 16 {
		id = append(id, 0)
	}
	h := sm3.New()
	h.Write(key)
	h.Write(id)
	sum := h.Sum(nil)
	var od uint32
	for i := 0; i < len(sum); i += 4 {
		od += binary.BigEndian.Uint32(sum[i:])
	}
	return od
}
