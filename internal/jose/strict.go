package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// strictBase64 refuses padding and set trailing bits, so that each octet string
// has one spelling (RFC 7515 §2). It would pass over CR and LF: decode64 does not.
var strictBase64 = base64.RawURLEncoding.Strict()

func decode64(s string) ([]byte, error) {
	if s == "" {
		return nil, fmt.Errorf("%w: empty base64url", ErrMalformed)
	}
	if strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: line break in base64url", ErrMalformed)
	}
	b, err := strictBase64.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

// members is one JSON object in the order of its text.
type members []member

type member struct {
	name  string
	value []byte // JSON, as received
}

func (ms members) get(name string) ([]byte, bool) {
	for _, m := range ms {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// text returns a member that is absent (ok is false) or a JSON string.
func (ms members) text(name string) (s string, ok bool, err error) {
	raw, ok := ms.get(name)
	if !ok {
		return "", false, nil
	}
	s, err = text(raw)
	if err != nil {
		return "", false, fmt.Errorf("%w: %s is not a string", ErrMalformed, name)
	}
	return s, true, nil
}

// label is text for the short names (kid, typ, alg, use): never empty, never long.
func (ms members) label(name string) (s string, ok bool, err error) {
	s, ok, err = ms.text(name)
	if err == nil && ok && (s == "" || len(s) > maxName) {
		return "", false, fmt.Errorf("%w: length of %s", ErrMalformed, name)
	}
	return s, ok, err
}

func text(raw []byte) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", ErrMalformed
	}
	// Names and values are rarely escaped; the decoder is for those that are.
	if last := len(raw) - 1; last > 0 && raw[last] == '"' && !bytes.ContainsAny(raw[1:last], `"\`) && utf8.Valid(raw) {
		return string(raw[1:last]), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", ErrMalformed
	}
	return s, nil
}

// object takes data apart if it is exactly one JSON object, in UTF-8, in which
// no object at any depth names a member twice (RFC 7515 §4, RFC 7519 §4). Two
// parsers may otherwise read two different documents from the same octets.
//
// At the top, names that differ only in case count as the same: encoding/json
// would fill one struct field from both.
func object(data []byte) (members, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	if !json.Valid(data) {
		return nil, fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	s := scanner{data: data}
	s.space()
	if s.data[s.pos] != '{' {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	ms, err := s.object(1)
	if err != nil {
		return nil, err
	}
	if !distinctFold(ms) {
		return nil, fmt.Errorf("%w: two names differ only in case", ErrMalformed)
	}
	return ms, nil
}

// A scanner walks a text json.Valid has approved, so it can rely on the grammar.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) space() {
	for s.pos < len(s.data) && (s.data[s.pos] == ' ' || s.data[s.pos] == '\t' || s.data[s.pos] == '\n' || s.data[s.pos] == '\r') {
		s.pos++
	}
}

// next steps over white space and one octet, and returns that octet.
func (s *scanner) next() byte {
	s.space()
	s.pos++
	return s.data[s.pos-1]
}

func (s *scanner) object(depth int) (members, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested too deeply", ErrMalformed)
	}
	s.next() // {
	s.space()
	if s.data[s.pos] == '}' {
		s.pos++
		return nil, nil
	}
	ms := make(members, 0, few)
	for {
		s.space()
		name, err := s.name()
		if err != nil {
			return nil, err
		}
		s.next() // :
		s.space()
		start := s.pos
		if err := s.value(depth); err != nil {
			return nil, err
		}
		ms = append(ms, member{name, s.data[start:s.pos]})
		if s.next() == '}' {
			break
		}
	}
	if !distinct(ms) {
		return nil, fmt.Errorf("%w: a member is named twice", ErrMalformed)
	}
	return ms, nil
}

func (s *scanner) array(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested too deeply", ErrMalformed)
	}
	s.next() // [
	s.space()
	if s.data[s.pos] == ']' {
		s.pos++
		return nil
	}
	for {
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		if s.next() == ']' {
			return nil
		}
	}
}

func (s *scanner) value(depth int) error {
	switch s.data[s.pos] {
	case '{':
		_, err := s.object(depth + 1)
		return err
	case '[':
		return s.array(depth + 1)
	case '"':
		_, err := s.string()
		return err
	}
	for s.pos < len(s.data) && !strings.ContainsRune(",]} \t\r\n", rune(s.data[s.pos])) {
		s.pos++
	}
	return nil
}

func (s *scanner) name() (string, error) {
	raw, err := s.string()
	if err != nil {
		return "", err
	}
	return text(raw)
}

// string steps over a string and returns it with its quotes. Half a surrogate
// pair is refused: it decodes to U+FFFD, whatever it was.
func (s *scanner) string() ([]byte, error) {
	start := s.pos
	s.pos++
	for s.data[s.pos] != '"' {
		if s.data[s.pos] != '\\' {
			s.pos++
			continue
		}
		if s.data[s.pos+1] != 'u' {
			s.pos += 2
			continue
		}
		unit := s.unit()
		s.pos += 6
		switch {
		case unit>>10 == 0xdc00>>10:
			return nil, fmt.Errorf("%w: half a surrogate pair", ErrMalformed)
		case unit>>10 == 0xd800>>10:
			if s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' || s.unit()>>10 != 0xdc00>>10 {
				return nil, fmt.Errorf("%w: half a surrogate pair", ErrMalformed)
			}
			s.pos += 6
		}
	}
	s.pos++
	return s.data[start:s.pos], nil
}

// unit reads the four hex digits of the escape \uXXXX at pos.
func (s *scanner) unit() uint16 {
	var u uint16
	for _, c := range s.data[s.pos+2 : s.pos+6] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c&^0x20 - 'A' + 10
		}
		u = u<<4 | uint16(c)
	}
	return u
}

// few members are compared pair by pair, which allocates nothing; more than that
// go through a map, so that the work stays linear in what a stranger sends.
const few = 8

func distinct(ms members) bool {
	if len(ms) <= few {
		for i, a := range ms {
			for _, b := range ms[:i] {
				if a.name == b.name {
					return false
				}
			}
		}
		return true
	}
	seen := make(map[string]struct{}, len(ms))
	for _, m := range ms {
		seen[m.name] = struct{}{}
	}
	return len(seen) == len(ms)
}

// distinctFold is distinct for names that are read without regard to case.
func distinctFold(ms members) bool {
	if len(ms) <= few {
		for i, a := range ms {
			for _, b := range ms[:i] {
				if strings.EqualFold(a.name, b.name) {
					return false
				}
			}
		}
		return true
	}
	seen := make(map[string]struct{}, len(ms))
	for _, m := range ms {
		seen[fold(m.name)] = struct{}{}
	}
	return len(seen) == len(ms)
}

// fold maps a name to the one spelling all its case variants share.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}
