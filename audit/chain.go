package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emmansun/gmsm/sm3"

	"ecardid/identity"
)

// An entry is vouched for from the moment it is written: beside its fields lies
//
//	mac = nonce ‖ MAC(label ‖ nonce ‖ the entry's fields, each with its length)
//
// made by the process that wrote it, in the transaction of the act. A moment later
// it is linked. It gets a number, and with it
//
//	digest(n) = SM3(label ‖ digest(n-1) ‖ n ‖ seq ‖ the entry's fields and mac, each with its length)
//	hash(n)   = digest(n) ‖ MAC(label ‖ n ‖ digest(n))
//
// The digests can be checked by anybody who holds an export. The MACs can be made
// only with the audit key, so that somebody who can write to the database and
// nothing more can neither slip an entry in before it is linked, nor edit one and
// compute the rest anew. A sealed head, kept beside the entries, says where the
// chain ends and shows a missing tail; against somebody who puts back an old head
// and an old tail together, or who has the key, help checkpoints kept elsewhere.
//
// Entries from before there were MACs are at the beginning of the chain and nowhere
// else, and their digests have another label.

const (
	rowLabel    = "ecardid audit row v1\x00"
	chainLabel1 = "ecardid audit chain v1\x00" // over entries without a MAC of their own
	chainLabel2 = "ecardid audit chain v2\x00"
	entryLabel  = "ecardid audit entry v1\x00"
	headLabel   = "ecardid audit head v1\x00"
)

// nonceSize keeps two events that are alike in every field apart, and so shows a
// copy of an entry for what it is.
const nonceSize = len(identity.ID{})

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
	MAC     []byte // empty: written before entries had one
}

// A Linked is an entry with its place in the chain. Number 0 is an entry that was
// not linked yet.
type Linked struct {
	Entry
	Number int64
	Hash   []byte
	Odd    bool // a column held what can be no value of its field
}

// Vouch returns the MAC to be stored with e. The nonce is random, and another for
// each entry.
func (e Entry) Vouch(nonce identity.ID, mac MAC) ([]byte, error) {
	tag, err := mac(e.row(nonce[:]))
	if err != nil {
		return nil, fmt.Errorf("authenticating an audit entry: %w", err)
	}
	return append(bytes.Clone(nonce[:]), tag...), nil
}

// Vouched reports whether e is as somebody with the key wrote it.
func (e Entry) Vouched(check Check) bool {
	return len(e.MAC) > nonceSize && check(e.MAC[nonceSize:], e.row(e.MAC[:nonceSize]))
}

func (e Entry) row(nonce []byte) []byte {
	m := append([]byte(rowLabel), nonce...)
	m = binary.BigEndian.AppendUint64(m, uint64(e.At))
	return e.fields(m)
}

func (e Entry) fields(m []byte) []byte {
	for _, field := range [][]byte{
		[]byte(e.Kind), []byte(e.Actor), e.Citizen[:], e.Login[:], e.Device[:],
		[]byte(e.Client), []byte(e.Reason), []byte(e.Detail), []byte(e.Place),
	} {
		m = withLength(m, field)
	}
	return m
}

func withLength(m, field []byte) []byte {
	m = binary.BigEndian.AppendUint64(m, uint64(len(field)))
	return append(m, field...)
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
	label := chainLabel2
	if len(e.MAC) == 0 {
		label = chainLabel1
	}
	m := append([]byte(label), h.Digest[:]...)
	m = binary.BigEndian.AppendUint64(m, uint64(h.Number+1))
	m = binary.BigEndian.AppendUint64(m, uint64(e.Seq))
	m = binary.BigEndian.AppendUint64(m, uint64(e.At))
	m = e.fields(m)
	if len(e.MAC) > 0 {
		m = withLength(m, e.MAC)
	}
	return Head{Number: h.Number + 1, Digest: sm3.Sum(m)}
}
