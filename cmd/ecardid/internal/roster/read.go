package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ecardid/internal/idnumber"
)

const (
	// MaxBytes and MaxRows bound one import, which is one transaction.
	MaxBytes = 4 << 20
	MaxRows  = 10_000

	maxName = 60 // characters; transliterated names are long
)

// The columns, in any order. The last may be missing.
const (
	columnName   = "name"
	columnID     = "id_number"
	columnPhone  = "phone"
	columnCard   = "card_number"
	columnClaims = "claims"
)

// A Person is a row that passed every check a row can pass by itself.
type Person struct {
	Row   int // as a spreadsheet counts: the header is row 1
	Name  string
	ID    idnumber.ID
	Phone idnumber.Phone
	Card  idnumber.Card

	Claims map[string]any // further claims, by name; nil for none
}

// A Problem is what is wrong with one row.
type Problem struct {
	Row    int
	Reason string
}

func (p Problem) String() string { return fmt.Sprintf("row %d: %s", p.Row, p.Reason) }

// Read reads the whole table. With any problem nothing should be imported. An
// error means that it is not such a table at all.
func Read(r io.Reader, now time.Time) ([]Person, []Problem, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("reading the table: %w", err)
	case len(b) > MaxBytes:
		return nil, nil, fmt.Errorf("the table is longer than %d MiB; import it in parts", MaxBytes>>20)
	case !utf8.Valid(b):
		return nil, nil, errors.New("the table is not UTF-8; save it as CSV UTF-8")
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	rows := csv.NewReader(bytes.NewReader(b))
	header, err := rows.Read()
	if err != nil {
		return nil, nil, errors.New("the table has no header line: name,id_number,phone,card_number")
	}
	at, err := columns(header)
	if err != nil {
		return nil, nil, err
	}
	var t table
	t.seen = map[string]int{}
	for {
		row, err := rows.Read()
		line := 0
		if len(row) > 0 {
			line, _ = rows.FieldPos(0)
		}
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if len(t.people)+len(t.problems) == 0 {
				return nil, nil, errors.New("the table has a header and no rows")
			}
			return t.people, t.problems, nil
		case errors.Is(err, csv.ErrFieldCount):
			t.problem(line, "%d cells under a header of %d", len(row), len(header))
			continue
		case errors.As(err, &wrong):
			// After a lost quotation mark nobody knows where a row begins.
			t.problem(wrong.StartLine, "broken quotation marks; the rest was not looked at")
			return nil, t.problems, nil
		case err != nil:
			return nil, nil, fmt.Errorf("reading the table: %w", err)
		}
		if t.rows++; t.rows > MaxRows {
			return nil, nil, fmt.Errorf("the table has more than %d rows; import it in parts", MaxRows)
		}
		t.add(line, row, at, now)
	}
}

// columns finds the columns in the header.
func columns(header []string) (map[string]int, error) {
	at := map[string]int{}
	for i, h := range header {
		h = strings.ToLower(strings.TrimSpace(h))
		if !slices.Contains([]string{columnName, columnID, columnPhone, columnCard, columnClaims}, h) {
			return nil, fmt.Errorf("column %d of the header is none of name, id_number, phone, card_number, claims", i+1)
		}
		if _, twice := at[h]; twice {
			return nil, fmt.Errorf("the header has the column %s twice", h)
		}
		at[h] = i
	}
	_, more := at[columnClaims]
	if len(at) < 4 || more && len(at) < 5 {
		return nil, errors.New("the header needs the columns name, id_number, phone, card_number")
	}
	return at, nil
}

// table is what was read so far.
type table struct {
	people   []Person
	problems []Problem
	rows     int
	seen     map[string]int // column and number → row
}

func (t *table) problem(row int, format string, args ...any) {
	t.problems = append(t.problems, Problem{row, fmt.Sprintf(format, args...)})
}

func (t *table) add(line int, row []string, at map[string]int, now time.Time) {
	before := len(t.problems)
	p := Person{Row: line, Name: strings.TrimSpace(row[at[columnName]])}
	if why := nameProblem(p.Name); why != "" {
		t.problem(line, "name: %s", why)
	}
	var err error
	if p.ID, err = idnumber.ParseID(row[at[columnID]], now); err != nil {
		t.problem(line, "id_number: %s", cause(err))
	} else {
		t.unique(line, columnID, p.ID.Reveal())
	}
	if p.Phone, err = idnumber.ParsePhone(row[at[columnPhone]]); err != nil {
		t.problem(line, "phone: %s", cause(err))
	} else {
		t.unique(line, columnPhone, p.Phone.Reveal())
	}
	if p.Card, err = idnumber.ParseCard(row[at[columnCard]]); err != nil {
		t.problem(line, "card_number: %s", cause(err))
	} else {
		t.unique(line, columnCard, p.Card.Reveal())
	}
	if i, ok := at[columnClaims]; ok {
		if p.Claims, err = readClaims(row[i]); err != nil {
			t.problem(line, "claims: %v", err)
		}
	}
	if len(t.problems) == before {
		t.people = append(t.people, p)
	}
}

func (t *table) unique(line int, column, number string) {
	key := column + " " + number
	if other, twice := t.seen[key]; twice {
		t.problem(line, "%s: the same as in row %d", column, other)
		return
	}
	t.seen[key] = line
}

// cause is the parser's reason without its context; it never holds the value.
func cause(err error) string {
	for _, e := range []error{idnumber.ErrFormat, idnumber.ErrRegion, idnumber.ErrBirth, idnumber.ErrCheck} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return "not acceptable"
}

// nameProblem says what is wrong with a name, or nothing. Names are letters of
// some script with the marks between them that people write; anything that begins
// otherwise is a formula or a slip.
func nameProblem(name string) string {
	first, _ := utf8.DecodeRuneInString(name)
	switch {
	case name == "":
		return "missing"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("longer than %d characters", maxName)
	case !unicode.IsLetter(first):
		return "does not begin with a letter"
	case strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !strings.ContainsRune(" ·•.'’-", r)
	}):
		return "has a character that no name has"
	}
	return ""
}
