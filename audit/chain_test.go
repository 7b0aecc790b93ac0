package audit_test

import (
	"crypto/hmac"
	"crypto/sha256"
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

func chain(t *testing.T, n int) []audit.Linked {
	t.Helper()
	var head audit.Head
	var rows []audit.Linked
	for i := range n {
		e := audit.Entry{
			Seq: int64(i + 1), At: 1_700_000_000_000 + int64(i), Kind: "login.finish", Actor: "citizen",
			Citizen: identity.ID{byte(i)}, Reason: fmt.Sprint("because ", i), Detail: "{}",
		}
		vouch(t, &e, byte(i))
		rows, head = link(t, rows, head, e)
	}
	return rows
}

func vouch(t *testing.T, e *audit.Entry, nonce byte) {
	t.Helper()
	var err error
	if e.MAC, err = e.Vouch(identity.ID{nonce, 1}, mac); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, rows []audit.Linked, head audit.Head, e audit.Entry) ([]audit.Linked, audit.Head) {
	t.Helper()
	next, hash, err := head.Append(e, mac)
	if err != nil {
		t.Fatal(err)
	}
	return append(rows, audit.Linked{Entry: e, Number: next.Number, Hash: hash}), next
}

func walk(rows []audit.Linked, before int64, expect ...audit.Head) (audit.Head, error) {
	w, err := audit.NewWalk(audit.Head{}, before, check, expect...)
	if err != nil {
		return audit.Head{}, err
	}
	for _, r := range rows {
		if err := w.Next(r); err != nil {
			return w.Head(), err
		}
	}
	return w.Head(), w.End()
}

func TestTheChainShowsEveryChange(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func([]audit.Linked) []audit.Linked
		want   error
	}{
		{"nothing", func(r []audit.Linked) []audit.Linked { return r }, nil},
		{"edited", func(r []audit.Linked) []audit.Linked { r[2].Reason = "because"; return r }, audit.ErrAltered},
		{"another-citizen", func(r []audit.Linked) []audit.Linked { r[2].Citizen[0]++; return r }, audit.ErrAltered},
		{"later", func(r []audit.Linked) []audit.Linked { r[2].At++; return r }, audit.ErrAltered},
		{"another-mac", func(r []audit.Linked) []audit.Linked { r[2].MAC[20] ^= 1; return r }, audit.ErrAltered},
		{"without-mac", func(r []audit.Linked) []audit.Linked { r[2].MAC = nil; return r }, audit.ErrAltered},
		{"odd", func(r []audit.Linked) []audit.Linked { r[2].Odd = true; return r }, audit.ErrAltered},
		{"moved-between-fields", func(r []audit.Linked) []audit.Linked {
			r[2].Client, r[2].Reason = "because 2", ""
			return r
		}, audit.ErrAltered},
		{"deleted", func(r []audit.Linked) []audit.Linked { return slices.Delete(r, 2, 3) }, audit.ErrGap},
		{"deleted-and-renumbered", func(r []audit.Linked) []audit.Linked {
			r = slices.Delete(r, 2, 3)
			for i := range r {
				r[i].Number = int64(i + 1)
			}
			return r
		}, audit.ErrAltered},
		{"swapped", func(r []audit.Linked) []audit.Linked {
			r[2].Entry, r[3].Entry = r[3].Entry, r[2].Entry
			return r
		}, audit.ErrAltered},
		{"without-hash", func(r []audit.Linked) []audit.Linked { r[2].Hash = nil; return r }, audit.ErrAltered},
		// Somebody who knows the code but not the key.
		{"hashed-anew", func(r []audit.Linked) []audit.Linked {
			before, _ := walk(r[:2], 0)
			r[2].Reason = "nothing to see here"
			_, r[2].Hash, _ = before.Append(r[2].Entry, func([]byte) ([]byte, error) { return make([]byte, 32), nil })
			return r
		}, audit.ErrForged},
		// Somebody who got a row linked by the server.
		{"slipped-in", func(r []audit.Linked) []audit.Linked {
			e := r[4].Entry
			e.Seq, e.Reason = 6, "nothing to see here"
			head, _ := walk(r, 0)
			r, _ = link(t, r, head, e)
			return r
		}, audit.ErrInserted},
		{"slipped-in-without-mac", func(r []audit.Linked) []audit.Linked {
			e := r[4].Entry
			e.Seq, e.MAC = 6, nil
			head, _ := walk(r, 0)
			r, _ = link(t, r, head, e)
			return r
		}, audit.ErrInserted},
		{"slipped-in-as-it-was", func(r []audit.Linked) []audit.Linked {
			e := r[1].Entry
			e.Seq = 6
			head, _ := walk(r, 0)
			r, _ = link(t, r, head, e)
			return r
		}, audit.ErrRepeated},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := walk(test.change(chain(t, 5)), 0)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			var where *audit.TrailError
			if err != nil && (!errors.As(err, &where) || where.Number < 3) {
				t.Errorf("%v does not say where", err)
			}
		})
	}
}

// Entries from before there were MACs stand at the beginning, up to a seq, and
// nowhere else, whatever somebody writes down as that seq.
func TestEntriesWithoutMAC(t *testing.T) {
	old := func(seq int64) audit.Entry {
		return audit.Entry{Seq: seq, At: 1, Kind: "login.finish", Actor: "citizen", Detail: "{}"}
	}
	fresh := old(3)
	vouch(t, &fresh, 1)
	for _, test := range []struct {
		name    string
		before  int64
		entries []audit.Entry
		want    error
	}{
		{"old-then-new", 2, []audit.Entry{old(1), old(2), fresh}, nil},
		{"only-old", 2, []audit.Entry{old(1), old(2)}, nil},
		{"beyond-the-migration", 2, []audit.Entry{old(1), old(2), old(4)}, audit.ErrInserted},
		{"after-a-new-one", 9, []audit.Entry{old(1), fresh, old(4)}, audit.ErrInserted},
		{"no-migration", 0, []audit.Entry{old(1)}, audit.ErrInserted},
	} {
		t.Run(test.name, func(t *testing.T) {
			var rows []audit.Linked
			var head audit.Head
			for _, e := range test.entries {
				rows, head = link(t, rows, head, e)
			}
			if _, err := walk(rows, test.before); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestExpectedHeads(t *testing.T) {
	rows := chain(t, 5)
	third, _ := walk(rows[:3], 0)
	last, _ := walk(rows, 0)
	other := third
	other.Digest[0] ^= 1
	ahead := audit.Head{Number: 6, Digest: last.Digest}
	for _, test := range []struct {
		name   string
		expect []audit.Head
		where  int64
		want   error
	}{
		{"part-of-it", []audit.Head{third, {}, last, third}, 0, nil},
		{"another-trail", []audit.Head{last, other}, 3, audit.ErrRewritten},
		{"cut", []audit.Head{third, ahead}, 6, audit.ErrTruncated},
		{"two-trails-attested", []audit.Head{third, other}, 3, audit.ErrRewritten},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := walk(rows, 0, test.expect...)
			var where *audit.TrailError
			if !errors.Is(err, test.want) || err != nil && (!errors.As(err, &where) || where.Number != test.where) {
				t.Errorf("got %v, want %v at %d", err, test.want, test.where)
			}
		})
	}
}

func TestTheHeadShowsAMissingTail(t *testing.T) {
	rows := chain(t, 5)
	whole, _ := walk(rows, 0)
	short, _ := walk(rows[:4], 0)
	tag, err := whole.Seal(mac)
	if err != nil {
		t.Fatal(err)
	}
	if !whole.Sealed(tag, check) || short.Sealed(tag, check) {
		t.Error("a seal fits one head and no other")
	}
	// The MAC of an entry is no seal: otherwise every row would hold the head of
	// the chain that ends with it.
	if short.Sealed(rows[3].Hash[32:], check) {
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
