package idnumber

import (
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// A Card is the number printed on a social-security card (LD/T 32): nine
// characters, a letter or digit and eight more.
type Card struct{ number string }

const cardLength = 9

// ParseCard reads a card number in either case, with spaces and hyphens between
// its characters.
func ParseCard(text string) (Card, error) {
	number := separators(strings.TrimSpace(text))
	if len(number) != cardLength {
		return Card{}, fmt.Errorf("card number: %w", ErrFormat)
	}
	upper := []byte(number)
	for i, c := range upper {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z':
		case c >= 'a' && c <= 'z':
			upper[i] = c - 'a' + 'A'
		default:
			return Card{}, fmt.Errorf("card number: %w", ErrFormat)
		}
	}
	return Card{string(upper)}, nil
}

// Reveal returns the nine characters.
func (c Card) Reveal() string { return c.number }

// IsZero reports whether there is no number inside.
func (c Card) IsZero() bool { return c.number == "" }

// Mask shows the first character and the last two: A******78.
func (c Card) Mask() string {
	if c.IsZero() {
		return ""
	}
	return c.number[:1] + strings.Repeat("*", cardLength-3) + c.number[cardLength-2:]
}

// String masks.
func (c Card) String() string { return c.Mask() }

// GoString masks, so that %#v does not undo it.
func (c Card) GoString() string { return c.Mask() }

// MarshalText masks: encoders write what a page may show.
func (c Card) MarshalText() ([]byte, error) { return []byte(c.Mask()), nil }

// LogValue implements slog.LogValuer and masks.
func (c Card) LogValue() slog.Value { return slog.StringValue(c.Mask()) }

// MaskName shows the first character of a name, which for most is the surname,
// and not how many follow: 张**.
func MaskName(name string) string {
	name = strings.TrimSpace(name)
	if name == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(name)
	if first == utf8.RuneError {
		return "**"
	}
	return name[:size] + "**"
}
