package deviceapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxBody  = 64 << 10 // SECURITY DS1
	jsonType = "application/json"
)

var (
	errMediaType = errors.New("the content type is not application/json")
	errTooLarge  = errors.New("the body is larger than 64 kB")
)

// readBody reads a request's body whole, so that its hash can be compared before
// anything in it is believed. A request without one has none, and no type.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	return raw, nil
}

// isJSON holds a request with a body to the one content type of this API
// (SECURITY SS2, G8).
func isJSON(r *http.Request) error {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return errMediaType
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil || media != jsonType {
		return errMediaType
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return errMediaType
	}
	return nil
}

// members is one JSON object whose members were all expected. encoding/json alone
// is too kind: it takes "Number" for "number", the last of two members of one name,
// and null for anything (SECURITY G8).
//
// The getters remember the first thing that was wrong in err.
type members struct {
	raw map[string]json.RawMessage
	err error
}

// parseMembers reads one JSON object that has exactly the named members. A name
// that ends in "?" may be missing.
func parseMembers(raw []byte, names ...string) *members {
	m := &members{raw: make(map[string]json.RawMessage, len(names))}
	if m.err = m.parse(raw, names); m.err != nil {
		m.raw = nil
	}
	return m
}

func (m *members) parse(raw []byte, names []string) error {
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
			return errors.New("not JSON")
		}
		name, ok := t.(string)
		if !ok || strings.HasSuffix(name, "?") || !slices.Contains(names, name) && !slices.Contains(names, name+"?") {
			return errors.New("a member that does not belong here")
		}
		if _, twice := m.raw[name]; twice {
			return fmt.Errorf("%s is there twice", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return errors.New("not JSON")
		}
		m.raw[name] = v
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
		if _, ok := m.raw[name]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

func (m *members) fail(name, why string) {
	if m.err == nil {
		m.err = fmt.Errorf("%s %s", name, why)
	}
}

// text returns a string of 1 to limit bytes; an optional one that is missing is "".
func (m *members) text(name string, limit int) string {
	raw, there := m.raw[name]
	if m.err != nil || !there {
		return ""
	}
	s, ok := asText(raw)
	if !ok || s == "" || len(s) > limit {
		m.fail(name, "is not a text of the right length")
		return ""
	}
	return s
}

// asText reads a JSON string. One with NUL is refused: some databases take it for
// an end and some for an error.
func asText(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil || strings.ContainsRune(s, 0) {
		return "", false
	}
	return s, true
}

// texts returns an array of at most most strings; an optional one that is missing
// is nil.
func (m *members) texts(name string, most, limit int) []string {
	raw, there := m.raw[name]
	if m.err != nil || !there {
		return nil
	}
	var raws []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &raws) != nil || len(raws) > most {
		m.fail(name, "is not a short list")
		return nil
	}
	list := make([]string, 0, len(raws))
	for _, raw := range raws {
		s, ok := asText(raw)
		if !ok || s == "" || len(s) > limit {
			m.fail(name, "is not a list of texts")
			return nil
		}
		list = append(list, s)
	}
	return list
}

// object returns a nested object with exactly the named members.
func (m *members) object(name string, names ...string) *members {
	raw, there := m.raw[name]
	if m.err != nil || !there {
		return &members{err: m.err}
	}
	inner := parseMembers(raw, names...)
	if inner.err != nil {
		m.fail(name, "does not fit: "+inner.err.Error())
	}
	return inner
}
