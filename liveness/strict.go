package liveness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields is a JSON object whose members were all expected. encoding/json alone
// is too kind for a verdict: it takes "Verdict" for "verdict", the last of two
// duplicates, and null for anything (RFC 8259 §4 leaves duplicates open).
//
// The getters remember the first thing that was wrong in err.
type fields struct {
	members map[string]json.RawMessage
	err     error
}

// parseFields reads one JSON object that has exactly the named members. A name
// that ends in "?" may be missing.
func parseFields(raw []byte, names ...string) *fields {
	f := &fields{members: make(map[string]json.RawMessage, len(names))}
	f.err = f.parse(raw, names)
	if f.err != nil {
		f.members = nil
	}
	return f
}

func (f *fields) parse(raw []byte, names []string) error {
	if !utf8.Valid(raw) {
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("broken JSON: %w", err)
		}
		name, ok := t.(string)
		if !ok || !slices.Contains(names, name) && !slices.Contains(names, name+"?") {
			return errors.New("a member that does not belong here")
		}
		if _, twice := f.members[name]; twice {
			return fmt.Errorf("%s appears twice", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return fmt.Errorf("broken JSON: %w", err)
		}
		f.members[name] = v
	}
	if _, err := d.Token(); err != nil {
		return errors.New("the JSON object does not end")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	for _, name := range names {
		if strings.HasSuffix(name, "?") {
			continue
		}
		if _, ok := f.members[name]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

func (f *fields) fail(name, why string) {
	if f.err == nil {
		f.err = fmt.Errorf("%s %s", name, why)
	}
}

func (f *fields) isNull(name string) bool { return string(f.members[name]) == "null" }

// text returns a non-empty string of at most limit bytes.
func (f *fields) text(name string, limit int) string {
	if f.err != nil {
		return ""
	}
	s, ok := asText(f.members[name])
	if !ok || s == "" || len(s) > limit {
		f.fail(name, "is not a text of the right length")
		return ""
	}
	return s
}

func asText(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// integer returns a whole number within [low, high], written as one: 1e3 and 1.0
// are two more spellings that nobody needs.
func (f *fields) integer(name string, low, high int64) int64 {
	if f.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(f.members[name]), 10, 64)
	if err != nil || n < low || n > high {
		f.fail(name, "is not a whole number in its range")
		return 0
	}
	return n
}

// flag returns a boolean; an optional one that is missing is false.
func (f *fields) flag(name string) bool {
	switch raw, ok := f.members[name]; {
	case !ok, string(raw) == "false":
		return false
	case string(raw) == "true":
		return true
	default:
		f.fail(name, "is not true or false")
		return false
	}
}

// texts returns an array of at most most non-empty strings.
func (f *fields) texts(name string, most int) []string {
	if f.err != nil {
		return nil
	}
	var raws []json.RawMessage
	if f.isNull(name) || json.Unmarshal(f.members[name], &raws) != nil || len(raws) > most {
		f.fail(name, "is not a short list")
		return nil
	}
	list := make([]string, 0, len(raws))
	for _, raw := range raws {
		s, ok := asText(raw)
		if !ok || s == "" || len(s) > maxText {
			f.fail(name, "is not a list of texts")
			return nil
		}
		list = append(list, s)
	}
	return list
}
