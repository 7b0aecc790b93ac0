package idnumber

import (
	"fmt"
	"log/slog"
	"strings"
)

// A Phone is a mainland mobile number in its eleven digits.
type Phone struct{ number string }

// ParsePhone reads a mainland mobile number: eleven digits from 13 to 19, with
// or without +86 before them, spaces and hyphens anywhere between.
func ParsePhone(text string) (Phone, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "+86")
	number := separators(text)
	if len(number) != 11 || !digits(number) || number[0] != '1' || number[1] < '3' {
		return Phone{}, fmt.Errorf("phone number: %w", ErrFormat)
	}
	return Phone{number}, nil
}

// Reveal returns the eleven digits.
func (p Phone) Reveal() string { return p.number }

// IsZero reports whether there is no number inside.
func (p Phone) IsZero() bool { return p.number == "" }

// Mask shows the first three digits and the last four: 138****1234.
func (p Phone) Mask() string {
	if p.IsZero() {
		return ""
	}
	return p.number[:3] + "****" + p.number[7:]
}

// String masks.
func (p Phone) String() string { return p.Mask() }

// GoString masks, so that %#v does not undo it.
func (p Phone) GoString() string { return p.Mask() }

// MarshalText masks: encoders write what a page may show.
func (p Phone) MarshalText() ([]byte, error) { return []byte(p.Mask()), nil }

// LogValue implements slog.LogValuer and masks.
func (p Phone) LogValue() slog.Value { return slog.StringValue(p.Mask()) }

// separators drops the spaces and hyphens people group numbers with.
func separators(text string) string {
	return strings.NewReplacer(" ", "", "-", "").Replace(text)
}
