package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/jose"
)

const issuer = "https://login.ecard.example"

var moment = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)

func checkpointKey(t testing.TB) jose.Key {
	t.Helper()
	key, err := audit.CheckpointKey(mac)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keyset(t testing.TB, key jose.Key) jose.Set {
	t.Helper()
	set, err := jose.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// exported is a file of the entries after a number.
func exported(t *testing.T, rows []audit.Linked, after int) []string {
	t.Helper()
	head := func(n int) audit.Head {
		h, err := walk(rows[:n], 0)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	p := audit.Preamble{Issuer: issuer, Head: head(len(rows))}
	if after > 0 {
		p.After = head(after)
	}
	var err error
	if p.Checkpoint, err = (audit.Checkpoint{Issuer: issuer, Head: p.Head, At: moment}).Sign(checkpointKey(t)); err != nil {
		t.Fatal(err)
	}
	line, err := p.Line()
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{string(line)}
	for _, r := range rows[after:] {
		line, err := r.Line()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	return lines
}

func TestVerifyExport(t *testing.T) {
	rows := chain(t, 5)
	keys := keyset(t, checkpointKey(t))
	third, _ := walk(rows[:3], 0)
	last, _ := walk(rows, 0)
	at := func(h audit.Head, after time.Duration) audit.Checkpoint {
		return audit.Checkpoint{Issuer: issuer, Head: h, At: moment.Add(after)}
	}
	edit := func(n int, old, new string) func([]string) []string {
		return func(l []string) []string {
			if !strings.Contains(l[n], old) {
				t.Fatalf("there is no %s in %s", old, l[n])
			}
			l[n] = strings.Replace(l[n], old, new, 1)
			return l
		}
	}
	errFormat := errors.New("not an export")
	for _, test := range []struct {
		name   string
		after  int
		change func([]string) []string
		with   audit.Offline
		want   error
	}{
		{"whole", 0, nil, audit.Offline{}, nil},
		{"a-part", 3, nil, audit.Offline{Keys: keys}, nil},
		{"with-the-keys", 0, nil, audit.Offline{Keys: keys, Check: check}, nil},
		{"with-checkpoints", 0, nil, audit.Offline{Keys: keys, Checkpoints: []audit.Checkpoint{at(third, -time.Hour), at(last, 0)}}, nil},
		// Nobody can ask an export for what came after it.
		{"with-a-later-checkpoint", 0, nil, audit.Offline{Keys: keys, Checkpoints: []audit.Checkpoint{at(audit.Head{Number: 9}, time.Hour)}}, nil},
		{"shorter-than-an-earlier-checkpoint", 0, nil, audit.Offline{Keys: keys, Checkpoints: []audit.Checkpoint{at(audit.Head{Number: 9}, -time.Hour)}}, audit.ErrTruncated},
		{"other-than-a-checkpoint", 0, nil, audit.Offline{Keys: keys, Checkpoints: []audit.Checkpoint{at(audit.Head{Number: 3}, -time.Hour)}}, audit.ErrRewritten},
		{"other-than-expected", 0, nil, audit.Offline{Expect: audit.Head{Number: 3}}, audit.ErrRewritten},
		{"edited", 0, edit(3, "because 2", "because 3"), audit.Offline{}, audit.ErrAltered},
		{"deleted", 0, func(l []string) []string { return slices.Delete(l, 2, 3) }, audit.Offline{}, audit.ErrGap},
		{"swapped", 0, func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }, audit.Offline{}, audit.ErrGap},
		{"repeated", 0, func(l []string) []string { return slices.Insert(l, 2, l[1]) }, audit.Offline{}, audit.ErrGap},
		{"cut", 0, func(l []string) []string { return l[:4] }, audit.Offline{}, audit.ErrTruncated},
		{"cut-to-nothing", 0, func(l []string) []string { return l[:1] }, audit.Offline{}, audit.ErrTruncated},
		{"cut-and-said-so", 0, func(l []string) []string {
			return edit(0, `"head":"`+last.String(), `"head":"`+third.String())(l)[:4]
		}, audit.Offline{Keys: keys}, audit.ErrRewritten},
		{"longer-than-said", 0, edit(0, `"head":"`+last.String(), `"head":"`+third.String()), audit.Offline{}, audit.ErrAltered},
		{"without-preamble", 0, func(l []string) []string { return l[1:] }, audit.Offline{}, errFormat},
		{"empty", 0, func([]string) []string { return nil }, audit.Offline{}, errFormat},
		{"two-spellings", 0, edit(2, `"seq":2`, `"seq":1,"seq":2`), audit.Offline{}, errFormat},
		{"an-extra-name", 0, edit(2, `"seq":2`, `"seq":2,"note":"look"`), audit.Offline{}, errFormat},
		{"torn-last-line", 0, func(l []string) []string { l[5] = l[5][:40]; return l }, audit.Offline{}, errFormat},
		{"without-last-newline", 0, func(l []string) []string { l[5] = strings.TrimSuffix(l[5], "\n"); return l }, audit.Offline{}, errFormat},
		{"a-line-without-end", 0, func(l []string) []string { return append(l, strings.Repeat("x", 2<<20)) }, audit.Offline{}, errFormat},
		{"another-server's-key", 0, nil, audit.Offline{Keys: keyset(t, another(t))}, audit.ErrCheckpoint},
		{"another-audit-key", 0, nil, audit.Offline{Check: func(_, _ []byte) bool { return false }}, audit.ErrForged},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := exported(t, rows, test.after)
			if test.change != nil {
				lines = test.change(lines)
			}
			r, err := audit.VerifyExport(strings.NewReader(strings.Join(lines, "")), test.with)
			switch {
			case test.want == nil:
				if err != nil || r.Entries != int64(5-test.after) || r.Attested.IsZero() == (test.with.Keys != nil) {
					t.Errorf("%+v, %v", r, err)
				}
			case test.want == errFormat:
				if err == nil || errors.As(err, new(*audit.TrailError)) {
					t.Errorf("got %v, want a complaint about the file", err)
				}
			case !errors.Is(err, test.want):
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func another(t *testing.T) jose.Key {
	t.Helper()
	key, err := audit.CheckpointKey(func(m []byte) ([]byte, error) { return mac(append([]byte("another"), m...)) })
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// One flipped bit anywhere in the file shows, the preamble and its signature included.
func TestEveryByteOfAnExport(t *testing.T) {
	key := checkpointKey(t)
	o := audit.Offline{Keys: keyset(t, key), Check: check}
	file := strings.Join(exported(t, chain(t, 3), 0), "")
	if _, err := audit.VerifyExport(strings.NewReader(file), o); err != nil {
		t.Fatal(err)
	}
	for i := range len(file) {
		b := []byte(file)
		b[i] ^= 1 << (i % 8)
		if _, err := audit.VerifyExport(bytes.NewReader(b), o); err == nil {
			t.Fatalf("bit %d of byte %d, %q, was flipped and nobody noticed", i%8, i, file[max(i-20, 0):min(i+20, len(file))])
		}
	}
}

func TestCheckpoints(t *testing.T) {
	key := checkpointKey(t)
	if again := checkpointKey(t); !again.Equal(key) || key.Alg() != jose.SM2 || another(t).KeyID() == key.KeyID() {
		t.Error("the key is not the same each time, or the same for everybody")
	}
	keys := keyset(t, key)
	c := audit.Checkpoint{Issuer: issuer, Head: audit.Head{Number: 7, Digest: [32]byte{1}}, At: moment}
	line, err := c.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := (audit.Checkpoint{Issuer: issuer, At: moment}).Sign(key) // of a trail that has not begun
	if err != nil {
		t.Fatal(err)
	}
	all, err := audit.ParseCheckpoints(strings.NewReader(empty+"\n\n"+line+"\n"), keys)
	if err != nil || len(all) != 2 || all[0].Head != (audit.Head{}) || all[1] != c {
		t.Fatalf("%+v, %v", all, err)
	}
	other, err := (audit.Checkpoint{Issuer: "https://other.example", Head: c.Head, At: moment}).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := c.Sign(another(t))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Sign(key, "at+jwt", map[string]any{"iss": issuer, "at": "2026-05-04T08:00:00Z", "head": c.Head.String()})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := jose.Sign(key, "audit-checkpoint+jwt", map[string]any{"iss": issuer})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"another-server":  line + "\n" + other,
		"another-key":     stranger,
		"another-type":    token,
		"incomplete":      bare,
		"altered":         line[:len(line)-3] + "AAA",
		"nonsense":        "checkpoint",
		"endless":         strings.Repeat("a", 1<<20),
		"torn":            line[:60],
		"two-on-one-line": line + " " + line,
	} {
		if got, err := audit.ParseCheckpoints(strings.NewReader(text), keys); err == nil || got != nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func TestExportIsInert(t *testing.T) {
	e := audit.Entry{
		Seq: 7, At: 1_700_000_000_000, Kind: "citizen.freeze", Actor: "operator",
		Reason: "=cmd()\x1b[2J\u202e \u009b31m 丢失 \U000e0041\r\n", Detail: `{"why":"a\nb"}`, Place: " ＝1+1",
	}
	line, err := audit.Linked{Entry: e, Number: 3, Hash: []byte{1, 2}}.Line()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(line[:len(line)-1], "\x1b\r\n\u202e\u009b\U000e0041") {
		t.Errorf("control characters got through: %q", line)
	}
	var back struct{ Reason string }
	if err := json.Unmarshal(line, &back); err != nil || back.Reason != e.Reason {
		t.Errorf("got %q, %v; want the reason unchanged", back.Reason, err)
	}
	cells := audit.Linked{Entry: e}.Cells()
	if len(cells) != len(audit.Columns()) {
		t.Fatalf("%d cells under %d names", len(cells), len(audit.Columns()))
	}
	for i, c := range cells {
		if strings.ContainsAny(c, "\x1b\r\n\u202e\u009b\U000e0041") || c != "" && strings.ContainsAny(strings.TrimSpace(c)[:1], "=+-@") {
			t.Errorf("%s is not inert: %q", audit.Columns()[i], c)
		}
	}
	if cells[9][0] != '\'' || cells[11][0] != '\'' {
		t.Errorf("a formula got through: %q, %q", cells[9], cells[11])
	}
}

// What was stored comes back, even what we would never have stored.
func TestLinesKeepEverything(t *testing.T) {
	for _, e := range []audit.Entry{
		{Detail: "{}"},
		{Detail: `{"a":"<b>","c":"\u2028"}`},
		{Detail: ""}, {Detail: "null"}, {Detail: `{ "a":"b"}`}, {Detail: `{"a":1}`}, {Detail: `{"b":"1","a":"2"}`}, {Detail: "nonsense"},
		{Detail: "{}", At: 1<<62 + 5}, {Detail: "{}", At: -1 << 62}, {Detail: "{}", At: -62_167_219_200_001}, {Detail: "{}", At: 1},
		{Detail: "{}", Seq: -4, Kind: "<\"\\\x00\u2028>", MAC: []byte{1}, Device: identity.ID{1}},
	} {
		l := audit.Linked{Entry: e, Number: 1, Hash: []byte{9}}
		line, err := l.Line()
		if err != nil {
			t.Fatal(err)
		}
		back, err := audit.ParseLine(line)
		if err != nil || fmt.Sprint(back) != fmt.Sprint(l) {
			t.Errorf("%s: got %+v, %v; want %+v", line, back, err, l)
		}
	}
}

// A line that is read is the line that is written.
func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"number":1,"seq":1,"at":"2026-05-04T08:00:00Z","kind":"login.end","actor":"citizen","detail":{"a":"b"},"mac":"00","hash":"ff"}` + "\n"))
	f.Add([]byte(`{"seq":1,"at_ms":9223372036854775807,"kind":"","actor":"","detail_text":"x"}` + "\n"))
	f.Add([]byte(`{"SEQ":1,"seq":2}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := audit.ParseLine(line)
		if err != nil {
			if fmt.Sprint(l) != fmt.Sprint(audit.Linked{}) {
				t.Error("what failed to parse returned something")
			}
			return
		}
		if again, err := l.Line(); err != nil || !bytes.Equal(again, line) {
			t.Errorf("%q is written as %q, %v", line, again, err)
		}
	})
}

// No file makes VerifyExport panic, and one that it accepts ends where it says.
func FuzzVerifyExport(f *testing.F) {
	f.Add([]byte(`{"export":1,"issuer":"i","head":"0","checkpoint":""}` + "\n"))
	f.Add([]byte(`{"export":1,"issuer":"i","after":"1:` + strings.Repeat("0", 64) + `","head":"0","checkpoint":""}` + "\n{}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := audit.VerifyExport(bytes.NewReader(file), audit.Offline{})
		if err != nil && r != (audit.Report{}) {
			t.Error("what failed to verify was reported on")
		}
		if err == nil && int64(bytes.Count(file, []byte("\n"))) != r.Entries+1 {
			t.Errorf("%d entries in %q", r.Entries, file)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	keys := keyset(f, checkpointKey(f))
	line, err := (audit.Checkpoint{Issuer: issuer, Head: audit.Head{Number: 1}, At: moment}).Sign(checkpointKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := audit.ParseCheckpoint(s, keys)
		if err != nil && c != (audit.Checkpoint{}) {
			t.Error("what failed to parse returned something")
		}
		if err == nil && (c.Issuer != issuer || c.Head.Number != 1) {
			t.Errorf("forged: %+v", c)
		}
	})
}
