package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fields is one JSON object whose members were all expected, and the reading of
// them: each as the one type it has to be, so that null passes for nothing.
//
// The getters, those of inner objects included, remember the first thing that was
// wrong. From then on they return zero values, and Err is not nil. What is wrong is
// said by the names the protocol has and never in a stranger's words.
type Fields struct {
	limits Limits
	object Object
	names  []string
	within string // the path of an inner object, ending in a dot
	err    *error
}

// Fields reads one JSON object that has exactly the named members. A name given
// with "?" at its end may be missing.
func (l Limits) Fields(data []byte, names ...string) *Fields {
	return l.fields(data, "", new(error), names)
}

func (l Limits) fields(data []byte, within string, err *error, names []string) *Fields {
	f := &Fields{limits: l, names: names, within: within, err: err}
	o, bad := l.Object(data)
	if bad == nil {
		bad = f.expected(o)
	}
	switch {
	case bad == nil:
		f.object = o
	case within == "":
		*err = bad
	default:
		*err = fmt.Errorf("%s: %w", strings.TrimSuffix(within, "."), bad)
	}
	return f
}

// expected returns an error unless o has all members that it must have and none
// that it must not.
func (f *Fields) expected(o Object) error {
	for _, m := range o {
		if strings.HasSuffix(m.Name, "?") || !slices.Contains(f.names, m.Name) && !f.optional(m.Name) {
			return errors.New("a member that does not belong here")
		}
	}
	for _, name := range f.names {
		if _, there := o.Get(name); !there && !strings.HasSuffix(name, "?") {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// optional reports whether the member may be missing.
func (f *Fields) optional(name string) bool { return slices.Contains(f.names, name+"?") }

// Err is the first thing that was wrong.
func (f *Fields) Err() error { return *f.err }

// Fail remembers that a member is wrong in a way the caller has seen.
func (f *Fields) Fail(name, why string) {
	if *f.err == nil {
		*f.err = fmt.Errorf("%s%s %s", f.within, name, why)
	}
}

// value returns the value to read, if there is one and nothing was wrong before.
func (f *Fields) value(name string) ([]byte, bool) {
	if *f.err != nil {
		return nil, false
	}
	raw, there := f.object.Get(name)
	if !there && !f.optional(name) {
		f.Fail(name, "was not asked for")
	}
	return raw, there
}

// IsNull reports whether the member is there as null.
func (f *Fields) IsNull(name string) bool {
	raw, there := f.value(name)
	return there && string(raw) == "null"
}

// Text returns a string of 1 to limit bytes; an optional one that is missing is "".
// One with NUL is refused: some databases take it for an end and some for an error.
func (f *Fields) Text(name string, limit int) string {
	raw, there := f.value(name)
	if !there {
		return ""
	}
	s, ok := short(raw, limit)
	if !ok {
		f.Fail(name, "is not a text of the right length")
	}
	return s
}

func short(raw []byte, limit int) (string, bool) {
	s, ok := Text(raw)
	if !ok || s == "" || len(s) > limit || strings.ContainsRune(s, 0) {
		return "", false
	}
	return s, true
}

// Texts returns an array of at most most strings, each of 1 to limit bytes; an
// optional one that is missing is nil.
func (f *Fields) Texts(name string, most, limit int) []string {
	raw, there := f.value(name)
	if !there {
		return nil
	}
	var raws []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &raws) != nil || len(raws) > most {
		f.Fail(name, "is not a short list")
		return nil
	}
	list := make([]string, 0, len(raws))
	for _, raw := range raws {
		s, ok := short(raw, limit)
		if !ok {
			f.Fail(name, "is not a list of texts")
			return nil
		}
		list = append(list, s)
	}
	return list
}

// Integer returns a whole number within [low, high], written as one: 1e3 and 1.0
// are two more spellings that nobody needs. An optional one that is missing is 0.
func (f *Fields) Integer(name string, low, high int64) int64 {
	raw, there := f.value(name)
	if !there {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < low || n > high {
		f.Fail(name, "is not a whole number in its range")
		return 0
	}
	return n
}

// Flag returns a boolean; an optional one that is missing is false.
func (f *Fields) Flag(name string) bool {
	raw, there := f.value(name)
	if there && string(raw) != "true" && string(raw) != "false" {
		f.Fail(name, "is not true or false")
		return false
	}
	return there && string(raw) == "true"
}

// Object returns an inner object that has exactly the named members. Its errors are
// those of f. Of an optional one that is missing, every member is missing.
func (f *Fields) Object(name string, names ...string) *Fields {
	within := f.within + name + "."
	raw, there := f.value(name)
	if !there {
		inner := &Fields{limits: f.limits, within: within, err: f.err}
		for _, n := range names {
			inner.names = append(inner.names, strings.TrimSuffix(n, "?")+"?")
		}
		return inner
	}
	return f.limits.fields(raw, within, f.err, names)
}
