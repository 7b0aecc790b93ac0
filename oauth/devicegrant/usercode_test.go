package devicegrant

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
)

func TestReadUserCode(t *testing.T) {
	for typed, want := range map[string]string{
		"WDJB-MJHT":                          "WDJBMJHT",
		"WDJBMJHT":                           "WDJBMJHT",
		"wdjb-mjht":                          "WDJBMJHT",
		" w d j b\tmjht\n":                   "WDJBMJHT",
		"WDJB–MJHT":                          "WDJBMJHT", // an en dash, as phones write it
		"WDJB－MJHT":                          "WDJBMJHT",
		"ＷＤＪＢ　ｍｊｈｔ":                          "WDJBMJHT", // as Chinese keyboards write it
		"":                                   "",
		"-":                                  "",
		"WDJB-MJH":                           "",
		"WDJB-MJHTB":                         "",
		"WDJB-MJHA":                          "", // no vowels
		"WDJB-MJH1":                          "",
		"WDJB_MJHT":                          "",
		"WDJB-MJH\xff":                       "",
		"WDJB-MJH\x00":                       "",
		"WDJBMJHT" + "'; DROP ":              "",
		strings.Repeat("-", 60) + "WDJBMJHT": "",
	} {
		got, ok := ReadUserCode(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", typed, got, ok)
		}
	}
}

func FuzzReadUserCode(f *testing.F) {
	for _, typed := range []string{"WDJB-MJHT", "ｗｄｊｂ", "\xff", ""} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := ReadUserCode(typed)
		if !ok {
			return
		}
		if len(code) != letters || strings.Trim(code, alphabet) != "" {
			t.Fatalf("%q was read as %q", typed, code)
		}
		if again, ok := ReadUserCode(show(code)); !ok || again != code {
			t.Fatalf("%q is read as %q", show(code), again)
		}
	})
}

// Every letter comes up as often as every other, and nothing else does.
func TestUserCodesAreEven(t *testing.T) {
	const codes = 20_000
	count := map[rune]int{}
	for range codes {
		code, err := newUserCode(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ReadUserCode(show(code)); !ok {
			t.Fatalf("%q", code)
		}
		for _, r := range code {
			count[r]++
		}
	}
	want := codes * letters / len(alphabet) // 8000, give or take 90
	for _, r := range alphabet {
		if n := count[r]; n < want-600 || n > want+600 {
			t.Errorf("%c: %d times, want about %d", r, n, want)
		}
	}
	// The bytes that would make some letters more likely are passed over.
	code, err := newUserCode(bytes.NewReader([]byte{255, 254, 253, 252, 251, 250, 249, 248, 240, 241, 242, 0, 1, 2, 3, 4, 5, 6, 7, 19, 20, 0, 0, 0}))
	if err != nil || code != "BCDFGHJK" {
		t.Errorf("%q, %v", code, err)
	}
	if code, err := newUserCode(bytes.NewReader(make([]byte, 7))); err == nil {
		t.Errorf("%q without randomness", code)
	}
}

func TestSource(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":        "192.0.2.7",
		"::ffff:192.0.2.7": "::ffff:192.0.2.7",
		"2001:db8::1":      "2001:db8::/64",
		"2001:db8::ffff":   "2001:db8::/64",
		"fe80::1%eth0":     "fe80::/64",
		"invalid IP":       "invalid IP",
		"":                 "",
	} {
		if got := source(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
