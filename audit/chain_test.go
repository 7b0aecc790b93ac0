package audit_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ecardid/audit"
	"ecardid/identity"
)

func mac(message []byte) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("the audit key"))
	h.Write(message)
	return h.Sum(nil), nil
}

func check(tag, message []byte) bool {
	want, _ := mac(message)
	return hmac.Equal(tag, want)
}

type row struct {
	number int64
	entry  audit.Entry
	hash   []byte
}

func chain(t *testing.T, n int) []row {
	t.Helper()
	var head audit.Head
	var rows []row
	for i := range n {
		e := audit.Entry{
			Seq: int64(i + 1), At: 1_700_000_000_000 + int64(i), Kind: "login.finish", Actor: "citizen",
			Citizen: identity.ID{byte(i)}, Reason: fmt.Sprint("because ", i), Detail: "{}",
		}
		next, hash, err := head.Append(e, mac)
		if err != nil {
			t.Fatal(err)
		}
		rows, head = append(rows, row{next.Number, e, hash}), next
	}
	return rows
}

func walk(rows []row) (audit.Head, error) {
	var head audit.Head
	for _, r := range rows {
		next, err := head.Follow(r.number, r.entry, r.hash, check)
		if err != nil {
			return head, err
		}
		head = next
	}
	return head, nil
}

func TestTheChainShowsEveryChange(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func([]row) []row
		want   error
	}{
		{"nothing", func(r []row) []row { return r }, nil},
		{"edited", func(r []row) []row { r[2].entry.Reason = "because"; return r }, audit.ErrAltered},
		{"another-citizen", func(r []row) []row { r[2].entry.Citizen[0]++; return r }, audit.ErrAltered},
		{"later", func(r []row) []row { r[2].entry.At++; return r }, audit.ErrAltered},
		{"moved-between-fields", func(r []row) []row {
			r[2].entry.Client, r[2].entry.Reason = "because 2", ""
			return r
		}, audit.ErrAltered},
		{"deleted", func(r []row) []row { return slices.Delete(r, 2, 3) }, audit.ErrGap},
		{"deleted-and-renumbered", func(r []row) []row {
			r = slices.Delete(r, 2, 3)
			for i := range r {
				r[i].number = int64(i + 1)
			}
			return r
		}, audit.ErrAltered},
		{"swapped", func(r []row) []row {
			r[2].entry, r[3].entry = r[3].entry, r[2].entry
			return r
		}, audit.ErrAltered},
		{"without-hash", func(r []row) []row { r[2].hash = nil; return r }, audit.ErrAltered},
		// Somebody who knows the code but not the key.
		{"hashed-anew", func(r []row) []row {
			before, _ := walk(r[:2])
			r[2].entry.Reason = "nothing to see here"
			_, r[2].hash, _ = before.Append(r[2].entry, func([]byte) ([]byte, error) { return make([]byte, 32), nil })
			return r
		}, audit.ErrForged},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := walk(test.change(chain(t, 5))); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestTheHeadShowsAMissingTail(t *testing.T) {
	rows := chain(t, 5)
	whole, _ := walk(rows)
	short, _ := walk(rows[:4])
	tag, err := whole.Seal(mac)
	if err != nil {
		t.Fatal(err)
	}
	if !whole.Sealed(tag, check) || short.Sealed(tag, check) {
		t.Error("a seal fits one head and no other")
	}
	// The MAC of an entry is no seal: otherwise every row would hold the head of
	// the chain that ends with it.
	if short.Sealed(rows[3].hash[32:], check) {
		t.Error("an entry's MAC passed for the seal of a head")
	}
	back, err := audit.ParseHead(whole.String())
	if err != nil || back != whole {
		t.Errorf("ParseHead(%q) = %v, %v", whole, back, err)
	}
	for _, bad := range []string{"", "5", "x:00", "5:zz", "0" + whole.String(), strings.ToUpper(short.String()), "-1:" + strings.Repeat("0", 64)} {
		if _, err := audit.ParseHead(bad); err == nil {
			t.Errorf("ParseHead(%q) succeeded", bad)
		}
	}
}

func TestExportIsInert(t *testing.T) {
	e := audit.Entry{
		Seq: 7, At: 1_700_000_000_000, Kind: "citizen.freeze", Actor: "operator",
		Reason: "=cmd()\x1b[2J\u202e \u009b31m 丢失 \U000e0041", Detail: `{"why":"a\nb"}`,
	}
	line, err := e.Line(3, []byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(line[:len(line)-1], "\x1b\n\u202e\u009b\U000e0041") {
		t.Errorf("control characters got through: %q", line)
	}
	var back struct{ Reason string }
	if err := json.Unmarshal(line, &back); err != nil || back.Reason != e.Reason {
		t.Errorf("got %q, %v; want the reason unchanged", back.Reason, err)
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add("1:" + strings.Repeat("ab", 32))
	f.Add("9223372036854775807:")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := audit.ParseHead(s)
		if err != nil && h != (audit.Head{}) {
			t.Error("what failed to parse returned something")
		}
		if err == nil && h.String() != s {
			t.Errorf("%q reads as %q", s, h)
		}
	})
}
