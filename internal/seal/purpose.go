package seal

import (
	"errors"
	"fmt"
	"math"
)

// A Purpose says what a data key is for. A key of one purpose never opens or
// vouches for anything of another.
type Purpose string

// The purposes. Their order is part of every key id, so new ones go to the end
// of the table in purposes and none is ever removed from it.
const (
	PII          Purpose = "pii"           // names, ID numbers, phones, card numbers
	TOTP         Purpose = "totp"          // one-time-password seeds
	Signing      Purpose = "signing"       // private halves of our signing keys
	Index        Purpose = "index"         // blind indexes, one derived key per field
	Pepper       Purpose = "pepper"        // the key over password hashes
	Token        Purpose = "token"         // MACs over handles, cookies and page tokens
	ClientSecret Purpose = "client-secret" // the keyed hash of client secrets
	Pairwise     Purpose = "pairwise"      // pairwise subject identifiers
	LivenessRef  Purpose = "liveness-ref"  // what a liveness provider knows a citizen by
	Audit        Purpose = "audit"         // MACs over audit rows
)

type use uint8

const (
	seals use = iota + 1
	macs
)

type purposeInfo struct {
	name Purpose
	use  use
	// fixed purposes have one version for ever: what they compute is a name that
	// others remember, and a new key would give everybody a new name.
	fixed bool
}

// purposes is a function and not a variable so that nobody can write to it.
func purposes() []purposeInfo {
	return []purposeInfo{
		{name: PII, use: seals},
		{name: TOTP, use: seals},
		{name: Signing, use: seals},
		{name: Index, use: macs},
		{name: Pepper, use: macs},
		{name: Token, use: macs},
		{name: ClientSecret, use: macs},
		{name: Pairwise, use: macs, fixed: true},
		{name: LivenessRef, use: macs},
		{name: Audit, use: macs},
	}
}

// Purposes lists every purpose. Open wants an active key for each of them.
func Purposes() []Purpose {
	var names []Purpose
	for _, p := range purposes() {
		names = append(names, p.name)
	}
	return names
}

// A State says what a data key may still do.
type State string

const (
	// Active keys seal, compute and open. There is one per purpose.
	Active State = "active"
	// DecryptOnly keys open and check what was made under them.
	DecryptOnly State = "decrypt-only"
	// Destroyed keys do nothing; their wrapped bytes are gone.
	Destroyed State = "destroyed"
)

// KeyID names the data key of a purpose and version: the purpose's number in the
// upper half, the version in the lower. Computed and not counted, it makes two
// replicas that rotate at once collide on the primary key instead of making two
// keys, and a row whose id was edited shows.
func KeyID(purpose Purpose, version int) (uint32, error) {
	if version < 1 || version > math.MaxUint16 {
		return 0, fmt.Errorf("seal: key version %d is not within 1 and %d", version, math.MaxUint16)
	}
	for i, p := range purposes() {
		if p.name != purpose {
			continue
		}
		if p.fixed && version != 1 {
			return 0, fmt.Errorf("seal: purpose %s: %w", purpose, ErrFixedPurpose)
		}
		return uint32(i+1)<<16 | uint32(version), nil
	}
	return 0, fmt.Errorf("seal: %w: %q", ErrPurpose, purpose)
}

func useOf(purpose Purpose) use {
	for _, p := range purposes() {
		if p.name == purpose {
			return p.use
		}
	}
	return 0
}

// The errors callers tell apart. None of them ever carries plaintext.
var (
	// ErrPurpose: the purpose is unknown, cannot be used this way, or is not the
	// one the blob was sealed for.
	ErrPurpose = errors.New("wrong purpose")
	// ErrFixedPurpose: a second version of a key that cannot be rotated.
	ErrFixedPurpose = errors.New("this purpose has one key for ever")
	// ErrNoKey: there is no key of this id, or no active one for the purpose. A
	// replica that meets it should load the keys again: another one may have
	// rotated.
	ErrNoKey = errors.New("no such key")
	// ErrDestroyed: the key existed and was destroyed; what it sealed is gone.
	ErrDestroyed = errors.New("key was destroyed")
	// ErrMalformed: the bytes are not a sealed field or wrapped key of ours.
	ErrMalformed = errors.New("malformed")
	// ErrTampered: authentication failed. The bytes, the place or the key is not
	// what it was; nothing is returned.
	ErrTampered = errors.New("authentication failed")
	// ErrPlace: a field must be sealed for some table, column and row.
	ErrPlace = errors.New("incomplete place")
	// ErrExhausted: the key has sealed as often as it may. Rotate.
	ErrExhausted = errors.New("key is exhausted, rotate it")
	// ErrWrongKEK: the row was wrapped under another key-encryption key.
	ErrWrongKEK = errors.New("wrapped under another key-encryption key")
	// ErrKEK: the text is not a key-encryption key.
	ErrKEK = errors.New("not a key-encryption key")
)
