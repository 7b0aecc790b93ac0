package idnumber

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// The errors of the parsers. They say what is wrong with a number and never
// repeat it. A caller shows one sentence for all of them.
var (
	ErrFormat = errors.New("not of the right form")
	ErrRegion = errors.New("no such region")
	ErrBirth  = errors.New("no such date of birth")
	ErrCheck  = errors.New("check character does not fit")
)

// An ID is a citizen identity number that passed every check a number can pass
// by itself. That somebody bears it is for others to establish.
type ID struct{ number string }

const (
	idLength = 18
	// firstBirthYear leaves room for the standard's own example, a woman of 1880,
	// and refuses what can only be a slip.
	firstBirthYear = 1850
)

// Beijing is where a date of birth begins: GB 11643 knows dates and no hours, and
// a child born this morning there is not from tomorrow.
func beijing() *time.Location { return time.FixedZone("CST", 8*60*60) }

// ParseID reads a citizen identity number: six digits of region, a date of
// birth that has come by now, three of sequence and the check character of
// GB 11643 §4 (ISO 7064 MOD 11-2). Surrounding white space is dropped and a
// final x is written X; nothing else is mended.
func ParseID(text string, now time.Time) (ID, error) {
	text = strings.TrimSpace(text)
	if len(text) != idLength || !digits(text[:idLength-1]) {
		return ID{}, fmt.Errorf("identity number: %w", ErrFormat)
	}
	last := text[idLength-1]
	if last == 'x' {
		last = 'X'
	}
	if last != 'X' && (last < '0' || last > '9') {
		return ID{}, fmt.Errorf("identity number: %w", ErrFormat)
	}
	id := ID{text[:idLength-1] + string(last)}
	if !regionKnown(id.number) {
		return ID{}, fmt.Errorf("identity number: %w", ErrRegion)
	}
	// time.Parse refuses the 30th of February and friends.
	birth, err := time.ParseInLocation("20060102", id.number[6:14], beijing())
	if err != nil || birth.Year() < firstBirthYear || birth.After(now) {
		return ID{}, fmt.Errorf("identity number: %w", ErrBirth)
	}
	if checkCharacter(id.number) != last {
		return ID{}, fmt.Errorf("identity number: %w", ErrCheck)
	}
	return id, nil
}

// regionKnown looks at the first two digits, the province of GB/T 2260; the
// counties below it come and go and are not worth being wrong about. 81, 82 and
// 83 are the residence permits of people from Hong Kong, Macao and Taiwan.
func regionKnown(number string) bool {
	switch number[:2] {
	case "11", "12", "13", "14", "15",
		"21", "22", "23",
		"31", "32", "33", "34", "35", "36", "37",
		"41", "42", "43", "44", "45", "46",
		"50", "51", "52", "53", "54",
		"61", "62", "63", "64", "65",
		"71", "81", "82", "83":
		return number[2:6] != "0000"
	}
	return false
}

func checkCharacter(number string) byte {
	weights := [idLength - 1]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(number[i]-'0')
	}
	return "10X98765432"[sum%11]
}

// Reveal returns the eighteen characters.
func (id ID) Reveal() string { return id.number }

// IsZero reports whether there is no number inside.
func (id ID) IsZero() bool { return id.number == "" }

// Birth returns the day of birth as midnight UTC, a date and not a moment. It
// is the zero time for the zero ID.
func (id ID) Birth() time.Time {
	if id.IsZero() {
		return time.Time{}
	}
	birth, _ := time.Parse("20060102", id.number[6:14])
	return birth
}

// Mask shows the first and the last character: 1****************X.
func (id ID) Mask() string {
	if id.IsZero() {
		return ""
	}
	return id.number[:1] + strings.Repeat("*", idLength-2) + id.number[idLength-1:]
}

// String masks.
func (id ID) String() string { return id.Mask() }

// GoString masks, so that %#v does not undo it.
func (id ID) GoString() string { return id.Mask() }

// MarshalText masks: encoders write what a page may show.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.Mask()), nil }

// LogValue implements slog.LogValuer and masks.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.Mask()) }

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}
