package recovery

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ecardid/internal/secret"
)

func keyed(m []byte) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("a key for tests"))
	h.Write(m)
	return h.Sum(nil), nil
}

var shape = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$`)

func TestNewSet(t *testing.T) {
	set, err := NewSet(rand.Reader)
	if err != nil || len(set) != 10 {
		t.Fatalf("%d codes, %v", len(set), err)
	}
	seen := map[string]bool{}
	for _, c := range set {
		if !shape.MatchString(c.Reveal()) || seen[c.Reveal()] {
			t.Errorf("%s", c.Reveal())
		}
		seen[c.Reveal()] = true
	}
	if s := fmt.Sprintf("%v %+v %#v", set, set, set); strings.Contains(s, set[0].Reveal()) {
		t.Error("a set prints its codes")
	}
	if bits := codeLen * math.Log2(float64(len(alphabet))); bits < 64 {
		t.Errorf("%v bits", bits)
	}
}

func TestEveryBitCounts(t *testing.T) {
	code := func(raw []byte) string {
		c, err := newCode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		return c.Reveal()
	}
	if got := code(make([]byte, codeBytes)); got != "0000-0000-0000-0000" {
		t.Error(got)
	}
	if got := code(bytes.Repeat([]byte{0xff}, codeBytes)); got != "ZZZZ-ZZZZ-ZZZZ-ZZZZ" {
		t.Error(got)
	}
	seen := map[string]bool{}
	for bit := range codeBytes * 8 {
		raw := make([]byte, codeBytes)
		raw[bit/8] = 0x80 >> (bit % 8)
		seen[code(raw)] = true
	}
	if len(seen) != 80 {
		t.Errorf("80 bits give %d codes", len(seen))
	}
}

func TestDryRandomness(t *testing.T) {
	if set, err := NewSet(bytes.NewReader(make([]byte, 95))); err == nil || set != nil {
		t.Error("a dry source gave a set")
	}
	if c, err := NewActivation(bytes.NewReader(nil)); err == nil || c != (secret.Value{}) {
		t.Error("a dry source gave a code")
	}
}

func TestNormalise(t *testing.T) {
	const want = "0123456789ABCDEF"
	for _, c := range []struct{ name, typed, want string }{
		{"as-shown", "0123-4567-89AB-CDEF", want},
		{"without-dashes", "0123456789ABCDEF", want},
		{"lower-case", "0123-4567-89ab-cdef", want},
		{"letters-for-digits", "oi23-4567-89ab-cdef", want},
		{"ell-and-capital-o", "Ol23-4567-89AB-CDEF", want},
		{"blanks", "  0123 4567\t89AB CDEF \r\n", want},
		{"ideographic-blank", "0123　4567　89AB　CDEF", want},
		{"fullwidth", "０１２３－４５６７－８９ＡＢ－ｃｄｅｆ", want},
		{"dashes-of-a-word-processor", "0123–4567—89AB‐CDEF", want},
		{"input-method-dashes", "0123一4567ー89AB−CDEF", want},
		{"empty", "", ""},
		{"only-dashes", "----", ""},
		{"too-short", "0123-4567-89AB-CDE", ""},
		{"too-long", "0123-4567-89AB-CDEF-0", ""},
		{"u-is-no-letter-of-ours", "U123-4567-89AB-CDEF", ""},
		{"punctuation", "0123.4567.89AB.CDEF", ""},
		{"nul", "0123-4567-89AB-CDE\x00", ""},
		{"invalid-utf8", "0123-4567-89AB-CDE\xff", ""},
		{"other-alphabet", "0123-4567-89АВ-CDEF", ""}, // Cyrillic
		{"endless", strings.Repeat("-", 1<<16) + want, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Normalise(c.typed)
			if got != c.want || (c.want == "") != errors.Is(err, ErrCode) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestStored(t *testing.T) {
	code, err := NewActivation(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stored := func(p Purpose, owner, typed string) []byte {
		h, err := Stored(keyed, p, []byte(owner), typed)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := stored(Recovery, "citizen-1", code.Reveal())
	if !bytes.Equal(base, stored(Recovery, "citizen-1", strings.ToLower(strings.ReplaceAll(code.Reveal(), "-", " ")))) {
		t.Error("two spellings of one code are stored differently")
	}
	if bytes.Contains(base, []byte(code.Reveal())) {
		t.Error("the code is in what is stored")
	}
	for name, other := range map[string][]byte{
		"other-purpose": stored(Activation, "citizen-1", code.Reveal()),
		"other-owner":   stored(Recovery, "citizen-2", code.Reveal()),
		"longer-owner":  stored(Recovery, "citizen-10", code.Reveal()),
		"other-code":    stored(Recovery, "citizen-1", "0000-0000-0000-0000"),
	} {
		if bytes.Equal(base, other) {
			t.Errorf("%s is stored alike", name)
		}
	}
	for name, call := range map[string]func() ([]byte, error){
		"no-key": func() ([]byte, error) { return Stored(nil, Recovery, []byte("c"), code.Reveal()) },
		"broken-key": func() ([]byte, error) {
			return Stored(func([]byte) ([]byte, error) { return []byte("half"), errors.New("no key") }, Recovery, []byte("c"), code.Reveal())
		},
		"no-owner":   func() ([]byte, error) { return Stored(keyed, Recovery, nil, code.Reveal()) },
		"no-purpose": func() ([]byte, error) { return Stored(keyed, "", []byte("c"), code.Reveal()) },
		"no-code":    func() ([]byte, error) { return Stored(keyed, Recovery, []byte("c"), "") },
	} {
		if h, err := call(); err == nil || h != nil {
			t.Errorf("%s: %x, %v", name, h, err)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"0123-4567-89AB-CDEF", "ｏｉ２３", "----", "\xff\xfe", "0123一4567ー89AB−CDEF"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, err := Normalise(typed)
		if err != nil {
			if code != "" || !errors.Is(err, ErrCode) {
				t.Errorf("refused with %q, %v", code, err)
			}
			return
		}
		again, err := Normalise(code)
		if err != nil || again != code || len(code) != codeLen {
			t.Errorf("%q reads as %q, %v", code, again, err)
		}
		if slices.ContainsFunc([]byte(code), func(b byte) bool { return !strings.ContainsRune(alphabet, rune(b)) }) {
			t.Errorf("%q is not in the alphabet", code)
		}
	})
}
