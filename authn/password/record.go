package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Params are argon2id's (RFC 9106 §3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams are 19 MiB, two passes, one lane (SECURITY §0).
func DefaultParams() Params { return Params{Memory: minMemory, Time: 2, Threads: 1} }

const (
	minMemory = 19 * 1024 // KiB; SECURITY §0, with at least two passes
	onePass   = 46 * 1024 // KiB; as strong with one

	// The most a row may ask of us, so that somebody who can write one cannot have
	// every login take gigabytes or minutes.
	maxMemory  = 128 * 1024 // KiB
	maxThreads = 4
	maxWork    = 16 * minMemory // memory × passes: eight times the default
)

var errParams = errors.New("password: argon2id parameters out of bounds")

func (p Params) check() error {
	strong := p.Memory >= onePass && p.Time >= 1 || p.Memory >= minMemory && p.Time >= 2
	affordable := p.Memory <= maxMemory && p.Threads >= 1 && p.Threads <= maxThreads &&
		uint64(p.Memory)*uint64(p.Time) <= maxWork
	if !strong || !affordable {
		return fmt.Errorf("%w: m=%d,t=%d,p=%d", errParams, p.Memory, p.Time, p.Threads)
	}
	return nil
}

// A record is a stored password, written in the manner of a PHC string but under
// a name of its own, since nobody else's argon2id verifies it:
//
//	$sm3-argon2id$v=19$k=327681,m=19456,t=2,p=1$salt$tag
//
// k is the id of the pepper.
type record struct {
	params Params
	pepper uint32
	salt   []byte
	tag    []byte
}

const scheme = "sm3-argon2id"

func (r record) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$%s$v=%d$k=%d,m=%d,t=%d,p=%d$%s$%s", scheme, argon2.Version,
		r.pepper, r.params.Memory, r.params.Time, r.params.Threads,
		b64.EncodeToString(r.salt), b64.EncodeToString(r.tag))
}

// maxEncoded is longer than any record of ours.
const maxEncoded = 160

// parse reads exactly what String writes: whatever it accepts is written back
// byte for byte the same.
func parse(encoded string) (record, error) {
	if len(encoded) > maxEncoded {
		return record{}, ErrMalformed
	}
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 {
		return record{}, ErrMalformed
	}
	var r record
	var version int
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d k=%d,m=%d,t=%d,p=%d",
		&version, &r.pepper, &r.params.Memory, &r.params.Time, &r.params.Threads); err != nil {
		return record{}, ErrMalformed
	}
	var err error
	if r.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(r.salt) != saltSize {
		return record{}, ErrMalformed
	}
	if r.tag, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(r.tag) != keySize {
		return record{}, ErrMalformed
	}
	// Scanning is lenient about zeros, signs and tails; writing is not.
	if r.String() != encoded {
		return record{}, ErrMalformed
	}
	if err := r.params.check(); err != nil {
		return record{}, errors.Join(ErrMalformed, err)
	}
	return r, nil
}
