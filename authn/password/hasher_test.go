package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ecardid/internal/seal"
)

// What internal/seal lends is what this room asks for.
var _ Pepper = seal.Peppers{}

var errGone = errors.New("gone")

// pepper is a Pepper with as many keys as a test wants.
type pepper struct {
	id   uint32
	gone uint32
}

func (p pepper) ID() uint32 { return p.id }

func (p pepper) Tag(id uint32, data []byte) ([]byte, error) {
	if id == p.gone {
		return nil, errGone
	}
	tag := make([]byte, keySize)
	for i := range tag {
		tag[i] = data[i%len(data)] ^ byte(id)
	}
	return tag, nil
}

func newHasher(t testing.TB, c Config) *Hasher {
	t.Helper()
	if c.Pepper == nil {
		c.Pepper = pepper{id: 7}
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHashAndVerify(t *testing.T) {
	h, ctx := newHasher(t, Config{}), t.Context()
	const password = " 密码 kX9#mPqv "
	encoded, err := h.Hash(ctx, password)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(encoded, "$sm3-argon2id$v=19$k=7,m=19456,t=2,p=1$") {
		t.Errorf("stored as %s", encoded)
	}
	again, err := h.Hash(ctx, password)
	if err != nil || again == encoded {
		t.Errorf("two hashes of one password: %s, %v", again, err)
	}
	if ok, rehash, err := h.Verify(ctx, encoded, password); !ok || rehash || err != nil {
		t.Errorf("right: %v, %v, %v", ok, rehash, err)
	}
	// Exact bytes: no trimming, no case, no normal form, no cutting at a NUL.
	for _, wrong := range []string{"", strings.TrimSpace(password), strings.ToLower(password), password + "\x00"} {
		if ok, rehash, err := h.Verify(ctx, encoded, wrong); ok || rehash || err != nil {
			t.Errorf("%q: %v, %v, %v", wrong, ok, rehash, err)
		}
	}
	if err := h.VerifyNothing(ctx, password); err != nil {
		t.Error(err)
	}
}

func TestSealPepper(t *testing.T) {
	kek, err := seal.ParseKEK([]byte(strings.Repeat("0f1e", 16)), "test")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := seal.Generate(kek, seal.Purposes(), time.Unix(0, 0), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Open(kek, rows)
	if err != nil {
		t.Fatal(err)
	}
	h := newHasher(t, Config{Pepper: keys.Pepper()})
	encoded, err := h.Hash(t.Context(), "kX9#mPqv")
	if err != nil {
		t.Fatal(err)
	}
	if ok, rehash, err := h.Verify(t.Context(), encoded, "kX9#mPqv"); !ok || rehash || err != nil {
		t.Errorf("%v, %v, %v", ok, rehash, err)
	}
}

func TestNeedsRehash(t *testing.T) {
	ctx := t.Context()
	old := newHasher(t, Config{Pepper: pepper{id: 1}})
	encoded, err := old.Hash(ctx, "kX9#mPqv")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		c    Config
		ok   bool
		err  error
		pass string
	}{
		"new-pepper":     {Config{Pepper: pepper{id: 2}}, true, nil, "kX9#mPqv"},
		"new-parameters": {Config{Pepper: pepper{id: 1}, Params: Params{Memory: 20 * 1024, Time: 2, Threads: 1}}, true, nil, "kX9#mPqv"},
		"but-wrong":      {Config{Pepper: pepper{id: 2}}, false, nil, "kX9#mPqw"},
		"pepper-gone":    {Config{Pepper: pepper{id: 2, gone: 1}}, false, errGone, "kX9#mPqv"},
	} {
		ok, rehash, err := newHasher(t, tt.c).Verify(ctx, encoded, tt.pass)
		if ok != tt.ok || rehash != tt.ok || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, %v, %v", name, ok, rehash, err)
		}
	}
}

func TestLimitsBeforeWork(t *testing.T) {
	h, ctx := newHasher(t, Config{}), t.Context()
	h.slow = func(_, _ []byte, _ Params) []byte { t.Error("hashed"); return nil }
	long := strings.Repeat("x", MaxBytes+1)
	if _, err := h.Hash(ctx, long); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if _, err := h.Hash(ctx, ""); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if ok, _, err := h.Verify(ctx, sample().String(), long); ok || !errors.Is(err, ErrTooLong) {
		t.Errorf("%v, %v", ok, err)
	}
	if err := h.VerifyNothing(ctx, long); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

func sample() record {
	return record{params: DefaultParams(), pepper: 7, salt: make([]byte, saltSize), tag: make([]byte, keySize)}
}

func TestParseRefuses(t *testing.T) {
	good := sample().String()
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	edit := func(from, to string) string {
		out := strings.Replace(good, from, to, 1)
		if out == good {
			t.Fatalf("%s is not in %s", from, good)
		}
		return out
	}
	h := newHasher(t, Config{})
	work := 0
	h.slow = func(_, _ []byte, p Params) []byte {
		work++
		if p != DefaultParams() {
			t.Errorf("worked with %+v", p)
		}
		return make([]byte, keySize)
	}
	rows := map[string]string{
		"empty":           "",
		"plaintext":       "kX9#mPqv",
		"other-scheme":    edit("sm3-argon2id", "argon2id"),
		"other-version":   edit("v=19", "v=16"),
		"four-gigabytes":  edit("m=19456", "m=4194304"),
		"too-many-passes": edit("t=2", "t=4000000000"),
		"much-of-both":    edit("m=19456,t=2", "m=131072,t=8"),
		"many-lanes":      edit("p=1", "p=255"),
		"no-lane":         edit("p=1", "p=0"),
		"lane-overflow":   edit("p=1", "p=257"),
		"no-pass":         edit("t=2", "t=0"),
		"cheap":           edit("m=19456,t=2", "m=8,t=1"),
		"one-pass":        edit("t=2", "t=1"),
		"leading-zero":    edit("t=2", "t=02"),
		"plus":            edit("t=2", "t=+2"),
		"space":           edit("t=2", "t= 2"),
		"hex":             edit("k=7", "k=0x7"),
		"negative":        edit("k=7", "k=-7"),
		"pepper-overflow": edit("k=7", "k=4294967303"),
		"no-pepper":       edit("k=7,", ""),
		"padded":          good + "=",
		"trailing":        good + "$",
		"newline":         good + "\n",
		"short-tag":       good[:len(good)-4],
		"loose-bits":      good[:len(good)-1] + "B",
		"long":            good + strings.Repeat("A", 1<<20),
	}
	for name, row := range rows {
		ok, rehash, err := h.Verify(t.Context(), row, "kX9#mPqv")
		if ok || rehash || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v, %v", name, ok, rehash, err)
		}
		if err != nil && row != "" && strings.Contains(err.Error(), row) {
			t.Errorf("%s: the error repeats the row", name)
		}
	}
	// A broken row answers no faster than a missing account.
	if work != len(rows) {
		t.Errorf("hashed %d times for %d rows", work, len(rows))
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{Pepper: pepper{}, Rand: rand.Reader}
	for name, edit := range map[string]func(*Config){
		"no-pepper":      func(c *Config) { c.Pepper = nil },
		"no-randomness":  func(c *Config) { c.Rand = nil },
		"dry-randomness": func(c *Config) { c.Rand = strings.NewReader("dry") },
		"weak":           func(c *Config) { c.Params = Params{Memory: 19455, Time: 2, Threads: 1} },
		"one-pass":       func(c *Config) { c.Params = Params{Memory: 19456, Time: 1, Threads: 1} },
		"huge":           func(c *Config) { c.Params = Params{Memory: 1 << 20, Time: 2, Threads: 1} },
		"over-the-cores": func(c *Config) { c.Slots = runtime.NumCPU() + 1 },
		"negative-slots": func(c *Config) { c.Slots = -1 },
		"negative-queue": func(c *Config) { c.Queue = -1 },
	} {
		c := good
		edit(&c)
		if h, err := New(c); err == nil || h != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	if h, err := New(Config{Pepper: pepper{}, Rand: rand.Reader, Params: Params{Memory: 46 * 1024, Time: 1, Threads: 1}}); err != nil || h == nil {
		t.Errorf("46 MiB in one pass: %v", err)
	}
}

// slowly makes every hash take d of a bubble's time and counts those at once.
func slowly(h *Hasher, d time.Duration) (most *atomic.Int64) {
	var now atomic.Int64
	most = new(atomic.Int64)
	h.slow = func(_, _ []byte, _ Params) []byte {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(d)
		now.Add(-1)
		return make([]byte, keySize)
	}
	return most
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, Config{Slots: 1, Queue: 3})
		most := slowly(h, time.Second)
		begin := time.Now()
		var done, busy atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				switch err := h.VerifyNothing(t.Context(), "x"); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, ErrBusy) && time.Since(begin) == 0:
					busy.Add(1) // at once, not after waiting
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if done.Load() != 4 || busy.Load() != 6 || most.Load() != 1 {
			t.Errorf("%d done, %d busy, %d at once", done.Load(), busy.Load(), most.Load())
		}
		if err := h.VerifyNothing(t.Context(), "x"); err != nil {
			t.Errorf("after the flood: %v", err)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, Config{Slots: 1, Queue: 1})
		slowly(h, time.Minute)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := h.VerifyNothing(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()

		// Whoever goes away while waiting leaves the queue.
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _, err := h.Verify(ctx, sample().String(), "x")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting: %v", err)
			}
			cancel()
		}
		if n := h.waiting.Load(); n != 0 {
			t.Errorf("%d are still waiting", n)
		}
		wg.Wait()

		// Whoever has gone before gets no slot, free as it may be.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Hash(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("gone before: %v", err)
		}
		if len(h.slots) != 0 {
			t.Error("a slot is still taken")
		}
	})
}

func TestSlotIsFreedWhenThePepperFails(t *testing.T) {
	h := newHasher(t, Config{Pepper: pepper{id: 1, gone: 1}, Slots: 1})
	slowly(h, 0)
	for range 3 {
		if err := h.VerifyNothing(t.Context(), "x"); !errors.Is(err, errGone) {
			t.Fatal(err)
		}
	}
	if len(h.slots) != 0 || h.waiting.Load() != 0 {
		t.Error("a slot is still taken")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample().String())
	f.Add("$sm3-argon2id$v=19$k=7,m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, encoded string) {
		r, err := parse(encoded)
		switch {
		case err != nil && (r.salt != nil || r.params != Params{}):
			t.Errorf("failed and returned %+v", r)
		case err == nil && r.String() != encoded:
			t.Errorf("two spellings of %s", r)
		case err == nil && r.params.check() != nil:
			t.Errorf("%+v", r.params)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := newHasher(b, Config{})
	n, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	password := fmt.Sprint(n)
	encoded, err := h.Hash(b.Context(), password)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, _, err := h.Verify(b.Context(), encoded, password); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
