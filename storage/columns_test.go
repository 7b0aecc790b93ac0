package storage

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"
)

// What encoding/json reads, textList reads the same.
func FuzzTextList(f *testing.F) {
	for _, text := range []string{`[]`, `null`, `["a"]`, `["a","b"]`, `["a", "b"]`, `["a\u0026b"]`, `["\\","x"]`, `["a","]`, `["a"b"]`, `[""]`, `["","",""]`, `["",",""]`, `x`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want []string
		if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &want) != nil {
			return // what we never write, or no database keeps
		}
		got, err := textList(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q and %v, want %q", text, got, err, want)
		}
		kept := resourceText(got)
		if again, err := textList(kept); err != nil || !slices.Equal(again, got) {
			t.Errorf("%q came back as %q: %v", kept, again, err)
		}
	})
}

// nullable reads what both drivers hand out.
func TestNullable(t *testing.T) {
	for _, c := range []struct {
		in   any
		want nullable
	}{{nil, ""}, {"a", "a"}, {[]byte("b"), "b"}} {
		n := nullable("before")
		if err := n.Scan(c.in); err != nil || n != c.want {
			t.Errorf("%v: %q, %v", c.in, n, err)
		}
	}
	if err := new(nullable).Scan(1); err == nil {
		t.Error("a number is a text")
	}
}
