package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm2"

	"ecardid/internal/jose"
)

// checkpointType is the typ of a checkpoint, so that nothing else we sign passes
// for one.
const checkpointType = "audit-checkpoint+jwt"

const (
	maxCheckpoint  = 4 << 10 // ours have 400 bytes
	maxCheckpoints = 1 << 20 // one every minute for two years
)

// A Checkpoint attests that a trail ended with Head at some time. Whoever keeps one
// finds out when what was before it is cut off or written anew, be it by somebody
// who has every key of this server.
type Checkpoint struct {
	Issuer string // whose trail
	Head   Head   // how many entries there were, and the digest of the last
	At     time.Time
}

type checkpointClaims struct {
	Issuer string `json:"iss"`
	At     string `json:"at"` // to the millisecond: an export of the same second is earlier or later
	Head   string `json:"head"`
}

// ErrCheckpoint is returned for what is not a checkpoint, or not signed by the key.
var ErrCheckpoint = errors.New("not a checkpoint, or not signed by this key")

// Sign returns the checkpoint as a compact JWS of one line.
func (c Checkpoint) Sign(key jose.Key) (string, error) {
	line, err := jose.Sign(key, checkpointType, checkpointClaims{c.Issuer, c.At.UTC().Format(timeLayout), c.Head.text()})
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint: %w", err)
	}
	return line, nil
}

// ParseCheckpoint reads what Sign wrote and checks its signature.
func ParseCheckpoint(line string, keys jose.Keyset) (Checkpoint, error) {
	if len(line) > maxCheckpoint {
		return Checkpoint{}, ErrCheckpoint
	}
	token, err := jose.Parse(line)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	signed, err := token.Verify(keys, jose.SM2)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if !signed.Header.Is(checkpointType) {
		return Checkpoint{}, fmt.Errorf("%w: it is of type %q", ErrCheckpoint, signed.Header.Type)
	}
	var c checkpointClaims
	if err := signed.Claims(&c); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	head, headErr := parseText(c.Head)
	at, timeErr := time.Parse(timeLayout, c.At)
	if err := errors.Join(headErr, timeErr); err != nil || c.Issuer == "" {
		return Checkpoint{}, fmt.Errorf("%w: incomplete", ErrCheckpoint)
	}
	return Checkpoint{c.Issuer, head, at}, nil
}

// ParseCheckpoints reads a file of checkpoints, one a line. They have to be of one
// trail.
func ParseCheckpoints(r io.Reader, keys jose.Keyset) ([]Checkpoint, error) {
	var all []Checkpoint
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxCheckpoint+2)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		c, err := ParseCheckpoint(line, keys)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case len(all) > 0 && c.Issuer != all[0].Issuer:
			return nil, fmt.Errorf("line %d: the checkpoint is of another server than the ones before", n)
		case len(all) == maxCheckpoints:
			return nil, fmt.Errorf("line %d: more than %d checkpoints", n, maxCheckpoints)
		}
		all = append(all, c)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return all, nil
}

// Heads is what a trail has to contain if the checkpoints are of it.
func Heads(all []Checkpoint) []Head {
	heads := make([]Head, len(all))
	for i, c := range all {
		heads[i] = c.Head
	}
	return heads
}

const keyLabel = "ecardid audit checkpoint key v1\x00"

// CheckpointKey derives the SM2 key that signs checkpoints from the audit key. It is
// then in no table and no file, and the same on every replica; signing keys of
// tokens are destroyed after a rotation, and checkpoints are kept for years.
//
// 512 bits are taken modulo the order, which leaves no bias (FIPS 186-5 A.2.1).
func CheckpointKey(mac MAC) (jose.Key, error) {
	var parts [3][]byte
	for i := range parts {
		var err error
		if parts[i], err = mac(append([]byte(keyLabel), byte(i))); err != nil {
			return jose.Key{}, fmt.Errorf("deriving the key of checkpoints: %w", err)
		}
	}
	// 1 ≤ d ≤ n-2 (GB/T 32918.1 §6.1)
	d := new(big.Int).SetBytes(append(parts[0], parts[1]...))
	d.Mod(d, new(big.Int).Sub(sm2.P256().Params().N, big.NewInt(2)))
	d.Add(d, big.NewInt(1))
	key, err := sm2.NewPrivateKeyFromInt(d)
	if err != nil {
		return jose.Key{}, fmt.Errorf("deriving the key of checkpoints: %w", err)
	}
	return jose.NewPrivate(jose.SM2, fmt.Sprintf("%x", parts[2][:8]), key)
}
