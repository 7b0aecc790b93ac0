package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits is what a room takes. The zero Limits take nothing.
type Limits struct {
	Bytes int // of the whole document
	Depth int // of objects and arrays within each other; the document is the first
	Twins Twins
}

// Twins says in which objects two names that differ in letter case only may stand
// side by side.
type Twins int

const (
	TwinsNowhere Twins = iota // for documents that encoding/json reads into structs
	TwinsInside               // in all objects but the document itself
	TwinsAnywhere
)

// Twice is the error for a name that one object has twice, be it in two letter
// cases. Its text does not repeat what a stranger wrote.
type Twice struct{ Name string }

func (*Twice) Error() string { return "a member is there twice" }

// An Object is the members of one JSON object in the order of its text.
type Object []Member

// A Member is a name and a JSON value as received, without the space around it.
type Member struct {
	Name  string
	Value []byte
}

// Get returns the value of the member of exactly this name.
func (o Object) Get(name string) ([]byte, bool) {
	for _, m := range o {
		if m.Name == name {
			return m.Value, true
		}
	}
	return nil, false
}

// Object takes data apart, if it is exactly one JSON object within the limits. The
// values are parts of data. With an error it returns nothing.
func (l Limits) Object(data []byte) (Object, error) {
	switch {
	case len(data) > l.Bytes:
		return nil, fmt.Errorf("a document of %d bytes", len(data))
	case !utf8.Valid(data):
		return nil, errors.New("not UTF-8")
	case !json.Valid(data):
		return nil, errors.New("not JSON")
	}
	s := scanner{data: data, limits: l}
	s.space()
	if s.data[s.pos] != '{' {
		return nil, errors.New("not a JSON object")
	}
	return s.object(1)
}

// Text reads a JSON string. A value that [Limits.Object] has passed holds no half
// of a surrogate pair; in others encoding/json puts U+FFFD for one.
func Text(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	// Names and values are rarely escaped; the decoder is for those that are.
	if last := len(value) - 1; value[last] == '"' && plain(value[1:last]) {
		return string(value[1:last]), true
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return "", false
	}
	return s, true
}

// plain reports whether the inside of a JSON string stands for itself.
func plain(inner []byte) bool {
	for _, c := range inner {
		if c == '"' || c == '\\' || c < ' ' {
			return false
		}
	}
	return utf8.Valid(inner)
}

// few members are compared pair by pair, which allocates nothing; more than that
// go through a map, so that the work stays linear in what a stranger sends.
const few = 8

// distinct returns an error if two members have one name; in two letter cases, if
// folded.
func distinct(o Object, folded bool) error {
	if len(o) <= few {
		for i, a := range o {
			for _, b := range o[:i] {
				if a.Name == b.Name || folded && twins(a.Name, b.Name) {
					return &Twice{a.Name}
				}
			}
		}
		return nil
	}
	seen := make(map[string]struct{}, len(o))
	for _, m := range o {
		name := m.Name
		if folded {
			name = fold(name)
		}
		if _, twice := seen[name]; twice {
			return &Twice{m.Name}
		}
		seen[name] = struct{}{}
	}
	return nil
}

// twins is fold(a) == fold(b), at no cost for names in ASCII.
func twins(a, b string) bool {
	return strings.EqualFold(a, b) || !(ascii(a) && ascii(b)) && fold(a) == fold(b)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold maps a name to the one spelling all its case variants share: those of
// encoding/json (simple folding, the long s and the Kelvin sign included), and those
// that come of writing it in capitals, as the dotless i does.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		r = unicode.ToLower(unicode.ToUpper(r))
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}
