package strictjson

import (
	"errors"
	"strings"
)

var (
	errDeep      = errors.New("nested too deeply")
	errSurrogate = errors.New("half a surrogate pair")
)

// A scanner walks a text json.Valid has approved, so it can rely on the grammar.
type scanner struct {
	data   []byte
	pos    int
	limits Limits
}

func (s *scanner) space() {
	for s.pos < len(s.data) && (s.data[s.pos] == ' ' || s.data[s.pos] == '\t' || s.data[s.pos] == '\n' || s.data[s.pos] == '\r') {
		s.pos++
	}
}

// next steps over white space and one byte, and returns that byte.
func (s *scanner) next() byte {
	s.space()
	s.pos++
	return s.data[s.pos-1]
}

func (s *scanner) object(depth int) (Object, error) {
	if depth > s.limits.Depth {
		return nil, errDeep
	}
	s.next() // {
	s.space()
	if s.data[s.pos] == '}' {
		s.pos++
		return nil, nil
	}
	o := make(Object, 0, few)
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
		o = append(o, Member{name, s.data[start:s.pos]})
		if s.next() == '}' {
			break
		}
	}
	folded := s.limits.Twins == TwinsNowhere || s.limits.Twins == TwinsInside && depth == 1
	if err := distinct(o, folded); err != nil {
		return nil, err
	}
	return o, nil
}

func (s *scanner) array(depth int) error {
	if depth > s.limits.Depth {
		return errDeep
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
	name, ok := Text(raw)
	if !ok {
		return "", errors.New("not JSON")
	}
	return name, nil
}

// string steps over a string and returns it with its quotes.
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
			return nil, errSurrogate
		case unit>>10 == 0xd800>>10:
			if s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' || s.unit()>>10 != 0xdc00>>10 {
				return nil, errSurrogate
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
