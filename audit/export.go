package audit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/emmansun/gmsm/sm3"

	"ecardid/identity"
	"ecardid/internal/jose"
)

// An export is a file of lines of JSON: a preamble, then entries in the order of the
// chain. It can be verified far from the server, and needs no secret for that: see
// VerifyExport.

const (
	exportVersion = 1
	maxLine       = 1 << 20 // an entry has some hundred bytes, with a receipt inside a few thousand
)

// A Preamble is the first line of an export. It says what has to follow.
type Preamble struct {
	Issuer string
	After  Head  // the entry before the first; zero for a whole trail
	Head   Head  // the last entry
	Before int64 // entries up to this seq may be without a MAC
	// Checkpoint over Head, signed when the export was made.
	Checkpoint string
}

type preambleJSON struct {
	Export     int    `json:"export"`
	Issuer     string `json:"issuer"`
	After      string `json:"after,omitempty"`
	Head       string `json:"head"`
	Before     int64  `json:"unauthenticated_until,omitempty"`
	Checkpoint string `json:"checkpoint"`
}

// Line is the preamble as it stands in the file.
func (p Preamble) Line() ([]byte, error) {
	j := preambleJSON{Export: exportVersion, Issuer: p.Issuer, Head: p.Head.text(), Before: p.Before, Checkpoint: p.Checkpoint}
	if p.After.Number > 0 {
		j.After = p.After.String()
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encoding the preamble of an export: %w", err)
	}
	return plain(b), nil
}

// ErrExport is returned for a file that ecardid did not write, or not like this.
var ErrExport = errors.New("not a line of an export as ecardid writes it")

// ErrBeyond: see Report.Beyond.
var ErrBeyond = errors.New("checkpoints attest more than is in the export: it is older than they are, or cut")

// ParsePreamble reads what Line wrote, and nothing that reads alike.
func ParsePreamble(line []byte) (Preamble, error) {
	var j preambleJSON
	if err := json.Unmarshal(line, &j); err != nil || j.Export != exportVersion {
		return Preamble{}, ErrExport
	}
	p := Preamble{Issuer: j.Issuer, Before: j.Before, Checkpoint: j.Checkpoint}
	var err error
	if p.Head, err = parseText(j.Head); err != nil {
		return Preamble{}, ErrExport
	}
	if j.After != "" {
		if p.After, err = ParseHead(j.After); err != nil {
			return Preamble{}, ErrExport
		}
	}
	if again, err := p.Line(); err != nil || !bytes.Equal(again, line) {
		return Preamble{}, ErrExport
	}
	return p, nil
}

// text is String with a beginning that can be written down too.
func (h Head) text() string {
	if h == (Head{}) {
		return "0"
	}
	return h.String()
}

func parseText(s string) (Head, error) {
	if s == "0" {
		return Head{}, nil
	}
	return ParseHead(s)
}

// lineJSON is an entry in an export. Every column is in it as it was stored.
type lineJSON struct {
	Number    int64           `json:"number,omitempty"`
	Seq       int64           `json:"seq"`
	At        string          `json:"at,omitempty"`
	AtNumber  *int64          `json:"at_ms,omitempty"` // a time that no calendar has
	Kind      string          `json:"kind"`
	Actor     string          `json:"actor"`
	Citizen   identity.ID     `json:"citizen,omitzero"`
	Login     identity.ID     `json:"login,omitzero"`
	Device    identity.ID     `json:"device,omitzero"`
	Client    string          `json:"client,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Detail    json.RawMessage `json:"detail,omitempty"`
	RawDetail *string         `json:"detail_text,omitempty"` // one that we would not have written
	Place     string          `json:"place,omitempty"`
	MAC       string          `json:"mac,omitempty"`
	Hash      string          `json:"hash,omitempty"`
}

const timeLayout = "2006-01-02T15:04:05.999Z"

// Line is the entry as one line of JSON. Everything that is not printable is
// escaped, so that no terminal, log or spreadsheet acts on it (SECURITY AD3).
func (l Linked) Line() ([]byte, error) {
	j := lineJSON{
		Number: l.Number, Seq: l.Seq, Kind: l.Kind, Actor: l.Actor, Citizen: l.Citizen, Login: l.Login, Device: l.Device,
		Client: l.Client, Reason: l.Reason, Place: l.Place, MAC: hex.EncodeToString(l.MAC), Hash: hex.EncodeToString(l.Hash),
	}
	if t := time.UnixMilli(l.At).UTC(); t.Year() >= 0 && t.Year() <= 9999 {
		j.At = t.Format(timeLayout)
	} else {
		j.AtNumber = &l.At
	}
	switch {
	case l.Detail == "{}":
	case canonical(l.Detail):
		j.Detail = json.RawMessage(l.Detail)
	default:
		j.RawDetail = &l.Detail
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encoding audit entry %d: %w", l.Seq, err)
	}
	return plain(b), nil
}

// canonical reports whether detail is as storage writes it, so that reading and
// writing it again gives the same bytes.
func canonical(detail string) bool {
	var m map[string]string
	if json.Unmarshal([]byte(detail), &m) != nil || len(m) == 0 {
		return false
	}
	b, err := json.Marshal(m)
	return err == nil && string(b) == detail
}

// ParseLine reads what Line wrote. There is one spelling of an entry: a line with a
// name twice, or one more, or in other letters, would show one thing to one reader
// and another to the next.
func ParseLine(line []byte) (Linked, error) {
	var j lineJSON
	if err := json.Unmarshal(line, &j); err != nil {
		return Linked{}, ErrExport
	}
	l := Linked{Number: j.Number, Entry: Entry{
		Seq: j.Seq, Kind: j.Kind, Actor: j.Actor, Citizen: j.Citizen, Login: j.Login, Device: j.Device,
		Client: j.Client, Reason: j.Reason, Detail: "{}", Place: j.Place,
	}}
	if j.AtNumber != nil {
		l.At = *j.AtNumber
	} else {
		t, err := time.Parse(timeLayout, j.At)
		if err != nil {
			return Linked{}, ErrExport
		}
		l.At = t.UnixMilli()
	}
	if j.RawDetail != nil {
		l.Detail = *j.RawDetail
	} else if j.Detail != nil {
		var m map[string]string
		if err := json.Unmarshal(j.Detail, &m); err != nil {
			return Linked{}, ErrExport
		}
		b, err := json.Marshal(m)
		if err != nil {
			return Linked{}, ErrExport
		}
		l.Detail = string(b)
	}
	var err error
	if l.MAC, err = unhex(j.MAC); err != nil {
		return Linked{}, ErrExport
	}
	if l.Hash, err = unhex(j.Hash); err != nil {
		return Linked{}, ErrExport
	}
	if again, err := l.Line(); err != nil || !bytes.Equal(again, line) {
		return Linked{}, ErrExport
	}
	return l, nil
}

func unhex(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	return hex.DecodeString(s)
}

// Columns are the names over Cells.
func Columns() []string {
	return []string{"number", "seq", "at", "kind", "actor", "citizen", "login", "device", "client", "reason", "detail", "place", "digest"}
}

// Cells is the entry for a spreadsheet. It is for looking at: only lines of JSON can
// be verified. No cell is taken for a formula.
func (l Linked) Cells() []string {
	number, digest := "", ""
	if l.Number > 0 {
		number = fmt.Sprint(l.Number)
	}
	if len(l.Hash) > sm3.Size {
		digest = hex.EncodeToString(l.Hash[:sm3.Size])
	}
	when := time.UnixMilli(l.At).UTC().Format(timeLayout)
	cells := []string{
		number, fmt.Sprint(l.Seq), when, l.Kind, l.Actor, named(l.Citizen), named(l.Login), named(l.Device),
		l.Client, l.Reason, l.Detail, l.Place, digest,
	}
	for i, c := range cells {
		cells[i] = inert(c)
	}
	return cells
}

func named(id identity.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// inert puts an apostrophe before what a spreadsheet would calculate, also in the
// wide letters that some of them take for the narrow ones.
func inert(s string) string {
	s = strings.TrimSuffix(string(plain([]byte(s))), "\n")
	if first := strings.TrimLeft(s, " \u3000"); first != "" && strings.ContainsRune("=+-@|＝＋－＠", []rune(first)[0]) {
		return "'" + s
	}
	return s
}

// plain writes what is not printable in JSON's escapes and ends the line. Outside
// of JSON's strings there is nothing of the kind, so the value stays the same.
func plain(b []byte) []byte {
	out := make([]byte, 0, len(b)+1)
	for _, r := range string(b) {
		switch {
		case unicode.IsPrint(r) && !unicode.Is(unicode.Cf, r):
			out = append(out, string(r)...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return append(out, '\n')
}

// Offline is what somebody who verifies an export may have besides.
type Offline struct {
	Keys        jose.Keyset  // of checkpoints; nil: signatures are left alone
	Check       Check        // with the audit key; nil: MACs are left alone
	Checkpoints []Checkpoint // kept elsewhere, their signatures checked
	Expect      Head
}

// A Report says what was found when all was well.
type Report struct {
	Preamble Preamble
	Entries  int64
	Attested time.Time // when the export's own checkpoint was signed; zero: not checked
	// Agreed is how many of the checkpoints the export was held against. Beyond is how
	// many attest more than is in it, at a later time: the export is older than they are,
	// or it was cut and given an old checkpoint. From the file alone nobody can tell.
	Agreed, Beyond int
}

// VerifyExport reads an export and checks that every entry is there and as it was
// written. Without keys that is the structure, which somebody who edits a file can
// compute anew; checkpoints, whose signatures need a public key only, say whether
// it is the one of the server. What is wrong with the trail is a *TrailError.
func VerifyExport(r io.Reader, o Offline) (Report, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4<<10), maxLine)
	in.Split(whole)
	if !in.Scan() {
		return Report{}, notExport(in.Err(), 1)
	}
	p, err := ParsePreamble(in.Bytes())
	if err != nil {
		return Report{}, notExport(err, 1)
	}
	report := Report{Preamble: p}
	if o.Keys != nil {
		c, err := ParseCheckpoint(p.Checkpoint, o.Keys)
		if err != nil {
			return Report{}, fmt.Errorf("the export's checkpoint: %w", err)
		}
		if c.Issuer != p.Issuer || c.Head != p.Head {
			return Report{}, &TrailError{Number: p.Head.Number, Cause: ErrRewritten}
		}
		report.Attested = c.At
	}
	expect := []Head{p.After, p.Head, o.Expect}
	for _, c := range o.Checkpoints {
		if c.Issuer != p.Issuer {
			return Report{}, fmt.Errorf("the checkpoints are of %s, the export is of %s", c.Issuer, p.Issuer)
		}
		if c.Head.Number > p.Head.Number && !report.Attested.IsZero() && c.At.After(report.Attested) {
			report.Beyond++
			continue
		}
		expect = append(expect, c.Head)
		report.Agreed++
	}
	walk, err := NewWalk(p.After, p.Before, o.Check, expect...)
	if err != nil {
		return Report{}, err
	}
	for n := 2; in.Scan(); n++ {
		l, err := ParseLine(in.Bytes())
		if err != nil {
			return Report{}, notExport(err, n)
		}
		if err := walk.Next(l); err != nil {
			return Report{}, err
		}
	}
	if err := in.Err(); err != nil {
		return Report{}, fmt.Errorf("reading the export: %w", err)
	}
	if err := walk.End(); err != nil {
		return Report{}, err
	}
	if walk.Head() != p.Head {
		return Report{}, &TrailError{Number: p.Head.Number + 1, Cause: ErrAltered}
	}
	report.Entries = p.Head.Number - p.After.Number
	return report, nil
}

func notExport(err error, line int) error {
	if err == nil {
		err = ErrExport
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// whole is bufio.ScanLines with the line's end, which belongs to the one spelling.
func whole(data []byte, end bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if end && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
