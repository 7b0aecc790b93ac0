package password

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// A Pepper is the keyed hash over the slow one, with keys that have names so that
// they can be rotated. Implementations are safe for concurrent use.
type Pepper interface {
	// ID names the pepper for new hashes.
	ID() uint32
	// Tag returns HMAC-SM3 of data under pepper id. It fails for a pepper that is
	// unknown or gone, and never takes another instead.
	Tag(id uint32, data []byte) ([]byte, error)
}

// The errors callers tell apart.
var (
	// ErrBusy: every slot is taken and the queue is full. Answer 503 with
	// Retry-After: RetryAfter, the same for every account.
	ErrBusy = errors.New("password: too many hashes at once")
	// ErrTooLong: the password is over MaxBytes and was not hashed (PW7).
	ErrTooLong = errors.New("password: too long")
	// ErrEmpty: an empty password is never stored.
	ErrEmpty = errors.New("password: empty")
	// ErrMalformed: the stored text is not one of ours or asks for more work than
	// any of ours does. It verifies nothing.
	ErrMalformed = errors.New("password: malformed hash")
)

const (
	// MaxBytes bounds a password before anything is done with it (PW7). 64
	// characters of any script fit four times over.
	MaxBytes = 1024
	// RetryAfter is about how long a full queue takes to empty.
	RetryAfter = time.Second

	// queuePerSlot is about a second of waiting at 30 ms a hash.
	queuePerSlot = 32
	saltSize     = 16 // RFC 9106 §3.1
	keySize      = 32
)

// Config is what a Hasher is made of. Only Pepper and Rand have no default.
type Config struct {
	Pepper Pepper
	Rand   io.Reader // salts
	Params Params    // DefaultParams when zero
	Slots  int       // hashes at once; one per core when zero, never more
	Queue  int       // callers that may wait for a slot; 32 per slot when zero
}

// A Hasher makes and checks stored passwords. It is safe for concurrent use; a
// process has one, since its slots are the process's.
type Hasher struct {
	pepper  Pepper
	rand    io.Reader
	params  Params
	slots   chan struct{}
	queue   int64
	waiting atomic.Int64
	nobody  []byte // the salt VerifyNothing works with

	// slow is argon2id. Tests of the queue put something else here.
	slow func(password, salt []byte, p Params) []byte
}

// New checks the configuration and returns a Hasher.
func New(c Config) (*Hasher, error) {
	if c.Pepper == nil || c.Rand == nil {
		return nil, errors.New("password: a hasher needs a pepper and randomness")
	}
	if c.Params == (Params{}) {
		c.Params = DefaultParams()
	}
	if err := c.Params.check(); err != nil {
		return nil, err
	}
	// GOMAXPROCS follows a container's CPU limit; NumCPU need not.
	cores := min(runtime.NumCPU(), runtime.GOMAXPROCS(0))
	if c.Slots == 0 {
		c.Slots = cores
	}
	if c.Slots < 1 || c.Slots > runtime.NumCPU() {
		return nil, fmt.Errorf("password: %d slots on %d cores", c.Slots, runtime.NumCPU())
	}
	if c.Queue == 0 {
		c.Queue = queuePerSlot * c.Slots
	}
	if c.Queue < 0 {
		return nil, fmt.Errorf("password: a queue of %d", c.Queue)
	}
	nobody := make([]byte, saltSize)
	if _, err := io.ReadFull(c.Rand, nobody); err != nil {
		return nil, fmt.Errorf("password: drawing a salt: %w", err)
	}
	return &Hasher{
		pepper: c.Pepper,
		rand:   c.Rand,
		params: c.Params,
		slots:  make(chan struct{}, c.Slots),
		queue:  int64(c.Queue),
		nobody: nobody,
		slow:   argon2id,
	}, nil
}

func argon2id(password, salt []byte, p Params) []byte {
	return argon2.IDKey(password, salt, p.Time, p.Memory, p.Threads, keySize)
}

// Hash returns what to store for password. Whether the password is a good one
// is Policy's question.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if password == "" {
		return "", ErrEmpty
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return "", fmt.Errorf("password: drawing a salt: %w", err)
	}
	stored := record{params: h.params, pepper: h.pepper.ID(), salt: salt}
	tag, err := h.tag(ctx, stored, password)
	if err != nil {
		return "", err
	}
	stored.tag = tag
	return stored.String(), nil
}

// Verify reports whether password is the one encoded was made from, and if so
// whether the hash should be made anew because the parameters or the pepper have
// changed since. With an error ok is false. A row that cannot be used takes as
// long to refuse as a good one.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (ok, needsRehash bool, err error) {
	stored, err := parse(encoded)
	if err != nil {
		return false, false, errors.Join(err, h.VerifyNothing(ctx, password))
	}
	tag, err := h.tag(ctx, stored, password)
	if err != nil {
		return false, false, err
	}
	if !hmac.Equal(tag, stored.tag) {
		return false, false, nil
	}
	return true, stored.params != h.params || stored.pepper != h.pepper.ID(), nil
}

// VerifyNothing does the work of Verify for an account that does not exist or
// has no password, and fails where Verify would fail: who is not here must not
// answer faster or otherwise (PW1).
func (h *Hasher) VerifyNothing(ctx context.Context, password string) error {
	tag, err := h.tag(ctx, record{params: h.params, pepper: h.pepper.ID(), salt: h.nobody}, password)
	if err != nil {
		return err
	}
	_ = hmac.Equal(tag, h.nobody)
	return nil
}

// tag does the slow part in a slot. Argon2 cannot be interrupted, so a caller
// that goes away while it runs frees its slot when it is through, some 30 ms on.
func (h *Hasher) tag(ctx context.Context, r record, password string) ([]byte, error) {
	if len(password) > MaxBytes {
		return nil, ErrTooLong
	}
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-h.slots }()
	tag, err := h.pepper.Tag(r.pepper, h.slow([]byte(password), r.salt, r.params))
	if err != nil {
		return nil, fmt.Errorf("password: pepper %d: %w", r.pepper, err)
	}
	return tag, nil
}

func (h *Hasher) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("password: waiting for a slot: %w", err)
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.queue {
		return ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("password: waiting for a slot: %w", ctx.Err())
	}
}
