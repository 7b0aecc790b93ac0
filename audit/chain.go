package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/emmansun/gmsm/sm3"

	"ecardid/identity"
)

// The trail is a chain. Each entry has a number and carries
//
//	digest(n) = SM3(label ‖ digest(n-1) ‖ n ‖ the entry's fields, each with its length)
//	hash(n)   = digest(n) ‖ MAC(label ‖ n ‖ digest(n))
//
// The digests can be checked by anybody who holds an export. The MAC can be made
// only with the audit key, so that somebody who can write to the database and
// nothing more cannot edit an entry and compute the rest anew. A sealed head,
// kept beside the entries, says where the chain ends and shows a missing tail;
// against somebody who puts back an old head and an old tail together helps a
// Head that was written down elsewhere.

const (
	chainLabel = "ecardid audit chain v1\x00"
	entryLabel = "ecardid audit entry v1\x00"
	headLabel  = "ecardid audit head v1\x00"
)

// A MAC computes a keyed hash over a message.
type MAC func(message []byte) ([]byte, error)

// A Check reports whether tag is the keyed hash over message, under the key of
// today or an earlier one.
type Check func(tag, message []byte) bool

// An Entry is an event as it lies in the trail, column by column. What was stored
// is what is hashed: nothing is decoded and encoded again on the way.
type Entry struct {
	Seq     int64 // in which it was written
	At      int64 // Unix milliseconds
	Kind    string
	Actor   string
	Citizen identity.ID
	Login   identity.ID
	Device  identity.ID
	Client  string
	Reason  string
	Detail  string // JSON object
	Place   string
}

// A Head is where a chain ends: the number of its last entry and its digest. The
// zero Head is the beginning.
type Head struct {
	Number int64
	Digest [sm3.Size]byte
}

// String is how a head is written down: number and digest.
func (h Head) String() string {
	return strconv.FormatInt(h.Number, 10) + ":" + hex.EncodeToString(h.Digest[:])
}

// ParseHead reads what String wrote.
func ParseHead(s string) (Head, error) {
	number, digest, ok := strings.Cut(s, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	b, hexErr := hex.DecodeString(digest)
	if !ok || err != nil || hexErr != nil || n < 1 || len(b) != sm3.Size {
		return Head{}, errors.New("a head is a number, a colon and 64 hexadecimal digits")
	}
	h := Head{Number: n}
	copy(h.Digest[:], b)
	if h.String() != s {
		return Head{}, errors.New("a head has one spelling: no leading zeros, small letters")
	}
	return h, nil
}

// Append returns the head after e and what is stored with it.
func (h Head) Append(e Entry, mac MAC) (Head, []byte, error) {
	next := h.after(e)
	tag, err := mac(next.message(entryLabel))
	if err != nil {
		return Head{}, nil, fmt.Errorf("authenticating audit entry %d: %w", next.Number, err)
	}
	return next, append(bytes.Clone(next.Digest[:]), tag...), nil
}

// What is wrong with a trail. Each is found together with the number of the entry.
var (
	ErrAltered   = errors.New("the entry is not what was written, or not where it was written")
	ErrForged    = errors.New("the entry was hashed by somebody without the key")
	ErrGap       = errors.New("an entry is missing")
	ErrTruncated = errors.New("the end of the trail is missing")
	ErrHead      = errors.New("the head of the trail is missing or forged")
)

// Follow checks that the entry stored under number with hash comes after h, and
// returns the head after it.
func (h Head) Follow(number int64, e Entry, hash []byte, check Check) (Head, error) {
	if number != h.Number+1 {
		return Head{}, ErrGap
	}
	next := h.after(e)
	if len(hash) <= sm3.Size || !bytes.Equal(hash[:sm3.Size], next.Digest[:]) {
		return Head{}, ErrAltered
	}
	if !check(hash[sm3.Size:], next.message(entryLabel)) {
		return Head{}, ErrForged
	}
	return next, nil
}

// Stored is the head that a stored hash claims; Follow decides whether it is true.
func Stored(number int64, hash []byte) (Head, error) {
	if number < 1 || len(hash) <= sm3.Size {
		return Head{}, ErrAltered
	}
	h := Head{Number: number}
	copy(h.Digest[:], hash)
	return h, nil
}

// Seal returns the tag that shows where the chain ends.
func (h Head) Seal(mac MAC) ([]byte, error) { return mac(h.message(headLabel)) }

// Sealed reports whether tag is the seal of h.
func (h Head) Sealed(tag []byte, check Check) bool { return check(tag, h.message(headLabel)) }

func (h Head) message(label string) []byte {
	m := binary.BigEndian.AppendUint64([]byte(label), uint64(h.Number))
	return append(m, h.Digest[:]...)
}

func (h Head) after(e Entry) Head {
	m := append([]byte(chainLabel), h.Digest[:]...)
	m = binary.BigEndian.AppendUint64(m, uint64(h.Number+1))
	m = binary.BigEndian.AppendUint64(m, uint64(e.Seq))
	m = binary.BigEndian.AppendUint64(m, uint64(e.At))
	for _, field := range [][]byte{
		[]byte(e.Kind), []byte(e.Actor), e.Citizen[:], e.Login[:], e.Device[:],
		[]byte(e.Client), []byte(e.Reason), []byte(e.Detail), []byte(e.Place),
	} {
		m = binary.BigEndian.AppendUint64(m, uint64(len(field)))
		m = append(m, field...)
	}
	return Head{Number: h.Number + 1, Digest: sm3.Sum(m)}
}

// Line is the entry as one line of JSON for an export, with its place in the
// chain; number 0 is an entry that is not chained yet. Everything that is not
// printable is escaped, so that no terminal, log or spreadsheet acts on it
// (SECURITY AD3).
func (e Entry) Line(number int64, digest []byte) ([]byte, error) {
	line := struct {
		Number  int64           `json:"number,omitempty"`
		Seq     int64           `json:"seq"`
		At      time.Time       `json:"at"`
		Kind    string          `json:"kind"`
		Actor   string          `json:"actor"`
		Citizen identity.ID     `json:"citizen,omitzero"`
		Login   identity.ID     `json:"login,omitzero"`
		Device  identity.ID     `json:"device,omitzero"`
		Client  string          `json:"client,omitempty"`
		Reason  string          `json:"reason,omitempty"`
		Detail  json.RawMessage `json:"detail,omitempty"`
		Place   string          `json:"place,omitempty"`
		Digest  string          `json:"digest,omitempty"`
	}{
		number, e.Seq, time.UnixMilli(e.At).UTC(), e.Kind, e.Actor, e.Citizen, e.Login, e.Device,
		e.Client, e.Reason, json.RawMessage(e.Detail), e.Place, hex.EncodeToString(digest),
	}
	if e.Detail == "{}" || !json.Valid(line.Detail) {
		// What is no JSON was not written by us; verify says so.
		line.Detail = nil
	}
	b, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("encoding audit entry %d: %w", e.Seq, err)
	}
	return plain(b), nil
}

// plain writes what is not printable in JSON's escapes. Outside strings there is
// nothing of the kind, so the value stays the same.
func plain(b []byte) []byte {
	out := make([]byte, 0, len(b)+1)
	for _, r := range string(b) {
		switch {
		case unicode.IsPrint(r) && !unicode.Is(unicode.Cf, r):
			out = append(out, string(r)...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return append(out, '\n')
}
