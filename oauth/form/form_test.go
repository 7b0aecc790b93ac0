package form

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var known = Known{"scope", "state", "code", "resource"}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, encoded string
		ok            bool
		state         string
	}{
		{"plain", "state=a", true, "a"},
		{"encoded", "st%61te=a+b%26%3D", true, "a b&="},
		{"unknown-ignored", "x=1&x=2&state=a", true, "a"},
		{"empty-is-absent", "state=", true, ""},
		{"no-equals", "state", true, ""},
		{"empty-pairs", "&&state=a&", true, "a"},
		{"nothing", "", true, ""},
		{"twice", "state=a&state=b", false, ""},
		{"twice-the-same", "state=a&state=a", false, ""},
		{"twice-one-empty", "state=&state=a", false, ""},
		{"twice-by-encoding", "state=a&st%61te=b", false, ""},
		{"bad-escape", "state=%zz", false, ""},
		{"bad-escape-unknown", "x=%", false, ""},
		{"not-utf8", "state=%ff", false, ""},
		{"null", "state=a%00", false, ""},
		{"semicolon", "state=a;code=b", false, ""},
		{"hundred", strings.Repeat("x=1&", 99) + "state=a", true, "a"},
		{"hundred-and-one", strings.Repeat("x=1&", 100) + "state=a", false, ""},
		{"long", "state=" + strings.Repeat("a", maxValue+1), false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := Parse(c.encoded, known)
			if (err == nil) != c.ok || v.Get("state") != c.state {
				t.Errorf("%v, %v", v, err)
			}
			if err != nil && !errors.As(err, new(*Error)) {
				t.Errorf("%T may not be sent back", err)
			}
		})
	}
}

// The targets of a request are as many as there are (RFC 8707 §2).
func TestRepeated(t *testing.T) {
	v, err := Parse("resource=urn:a&resource=&state=x&resource=urn:b", known)
	if err != nil || !slices.Equal(v["resource"], []string{"urn:a", "urn:b"}) {
		t.Errorf("%v, %v", v, err)
	}
}

func unfit(value string) bool {
	return value == "" || !utf8.ValidString(value) || strings.ContainsRune(value, 0)
}

// What failed to parse returns nothing, and what was parsed has each known name
// once, in UTF-8.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"state=a&code=b", "state=%ff", "a;b", "state&state", "%73tate=1&state=2", "resource=a&resource=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s, known)
		if err != nil {
			if v != nil {
				t.Fatalf("%q failed and gave %v", s, v)
			}
			return
		}
		for name, values := range v {
			if len(values) != 1 && name != "resource" || slices.ContainsFunc(values, unfit) {
				t.Fatalf("%q gave %q = %q", s, name, values)
			}
		}
		again, err := Parse(v.Encode(), known)
		if err != nil || again.Encode() != v.Encode() {
			t.Fatalf("%q is not canonical: %v", s, err)
		}
	})
}
