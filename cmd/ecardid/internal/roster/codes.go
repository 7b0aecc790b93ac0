package roster

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"ecardid/internal/idnumber"
	"ecardid/internal/secret"
)

// A Code is one citizen's activation code, to be handed over once.
type Code struct {
	Person  Person
	Code    secret.Value
	Expires time.Time
}

// WriteCodes writes the table of codes: the row of the import, name and card
// masked, code, last day. It is the only place where the codes are ever written.
func WriteCodes(w io.Writer, codes []Code) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"row", "name", "card_number", "code", "valid_until"}); err != nil {
		return err
	}
	for _, c := range codes {
		if err := out.Write([]string{
			strconv.Itoa(c.Person.Row), Cell(idnumber.MaskName(c.Person.Name)), Cell(c.Person.Card.Mask()),
			Cell(c.Code.Reveal()), c.Expires.Format(time.RFC3339),
		}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Cell keeps a spreadsheet from taking text for a formula (SECURITY AD3).
func Cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n|", rune(text[0])) {
		return "'" + text
	}
	return text
}

// A File is a new file that only its owner can read, and that is gone again unless
// it is kept.
type File struct {
	f    *os.File
	kept bool
}

// NewFile creates the file. One that is there already is an error: it may hold
// codes that are still good.
func NewFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{f: f}, nil
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) { return f.f.Write(b) }

// Sync makes sure that what was written will be there.
func (f *File) Sync() error { return f.f.Sync() }

// Keep says that the file stays.
func (f *File) Keep() { f.kept = true }

// Close closes the file and removes it unless it was kept.
func (f *File) Close() error {
	err := f.f.Close()
	if !f.kept {
		if rm := os.Remove(f.f.Name()); rm != nil {
			return fmt.Errorf("removing unfinished codes: %w", rm)
		}
	}
	return err
}
