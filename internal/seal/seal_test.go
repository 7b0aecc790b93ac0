package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/internal/seal"
)

var (
	born = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	here = seal.Place{Table: "citizens", Column: "name", Row: []byte("0123456789abcdef")}
)

func newKEK(t testing.TB) *seal.KEK {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	kek, err := seal.ParseKEK([]byte(hex.EncodeToString(key)), "test")
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func newRows(t testing.TB, kek seal.KeyProvider) []seal.WrappedKey {
	t.Helper()
	rows, err := seal.Generate(kek, seal.Missing(nil), born, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func open(t testing.TB, kek seal.KeyProvider, rows []seal.WrappedKey) *seal.Keys {
	t.Helper()
	keys, err := seal.Open(kek, rows)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// rotate gives purpose a second version, active, and leaves the first in state.
func rotate(t testing.TB, kek seal.KeyProvider, rows []seal.WrappedKey, purpose seal.Purpose, state seal.State) []seal.WrappedKey {
	t.Helper()
	second, err := seal.NewKey(kek, purpose, 2, born, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if second.State != seal.DecryptOnly {
		t.Fatalf("a new version enters service as %q", second.State)
	}
	second.State = seal.Active
	rows = append(slices.Clone(rows), second)
	for i := range rows {
		if rows[i].Purpose == purpose && rows[i].Version == 1 {
			rows[i].State = state
			if state == seal.Destroyed {
				rows[i].Wrapped = nil
			}
		}
	}
	return rows
}

func TestSelfTest(t *testing.T) {
	if err := seal.SelfTest(); err != nil {
		t.Fatal(err)
	}
}

func TestParseKEK(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xff, 0x3e, 0x01}, 8)
	want := func(text string) string {
		k, err := seal.ParseKEK([]byte(text), "x")
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return k.Describe()
	}
	ref := want(hex.EncodeToString(raw))
	if !strings.Contains(ref, "not a certified module") {
		t.Errorf("Describe hides that this is software: %s", ref)
	}
	if strings.Contains(ref, hex.EncodeToString(raw)[:16]) {
		t.Errorf("Describe shows the key: %s", ref)
	}
	for _, text := range []string{
		strings.ToUpper(hex.EncodeToString(raw)),
		"\n " + hex.EncodeToString(raw) + " \r\n",
		base64.StdEncoding.EncodeToString(raw),
		base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw),
		base64.RawURLEncoding.EncodeToString(raw),
	} {
		if got := want(text); got != ref {
			t.Errorf("%q is another key", text)
		}
	}
	for _, text := range []string{
		"", " ", "hunter2", hex.EncodeToString(raw[:31]), hex.EncodeToString(raw) + "00",
		strings.Repeat("g", 64), strings.Repeat("!", 43), string(raw),
		strings.Repeat("0", 64), // nobody draws that from a random source
	} {
		if k, err := seal.ParseKEK([]byte(text), "x"); !errors.Is(err, seal.ErrKEK) || k != nil {
			t.Errorf("%q: got %v, %v", text, k, err)
		} else if text != "" && text != " " && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func TestOpenRefusesAnIncompleteHouse(t *testing.T) {
	kek := newKEK(t)
	rows := newRows(t, kek)
	tests := []struct {
		name string
		edit func([]seal.WrappedKey) []seal.WrappedKey
		want error
	}{
		{"nothing", func([]seal.WrappedKey) []seal.WrappedKey { return nil }, seal.ErrNoKey},
		{"one-purpose-missing", func(r []seal.WrappedKey) []seal.WrappedKey { return r[1:] }, seal.ErrNoKey},
		{"no-active-version", func(r []seal.WrappedKey) []seal.WrappedKey { r[0].State = seal.DecryptOnly; return r }, seal.ErrNoKey},
		{"destroyed", func(r []seal.WrappedKey) []seal.WrappedKey { r[0].State = seal.Destroyed; return r }, seal.ErrNoKey},
		{"unknown-state", func(r []seal.WrappedKey) []seal.WrappedKey { r[0].State = "ACTIVE"; return r }, seal.ErrMalformed},
		{"unknown-purpose", func(r []seal.WrappedKey) []seal.WrappedKey { r[0].Purpose = "pii2"; return r }, seal.ErrPurpose},
		{"twice", func(r []seal.WrappedKey) []seal.WrappedKey { return append(r, r[0]) }, seal.ErrMalformed},
		{"id-edited", func(r []seal.WrappedKey) []seal.WrappedKey { r[0].ID++; return r }, seal.ErrMalformed},
		{"empty-wrapped", func(r []seal.WrappedKey) []seal.WrappedKey { r[0].Wrapped = nil; return r }, seal.ErrMalformed},
		// An insider swaps the wrapped bytes of two purposes, to have seeds sealed
		// under a key they know.
		{"swapped", func(r []seal.WrappedKey) []seal.WrappedKey {
			r[0].Wrapped, r[1].Wrapped = r[1].Wrapped, r[0].Wrapped
			return r
		}, seal.ErrTampered},
		{"bit-flip", func(r []seal.WrappedKey) []seal.WrappedKey {
			r[0].Wrapped = bytes.Clone(r[0].Wrapped)
			r[0].Wrapped[len(r[0].Wrapped)-1] ^= 1
			return r
		}, seal.ErrTampered},
		{"two-active", func(r []seal.WrappedKey) []seal.WrappedKey {
			second, _ := seal.NewKey(kek, seal.PII, 2, born, rand.Reader)
			second.State = seal.Active
			return append(r, second)
		}, seal.ErrMalformed},
		{"second-version-of-pairwise", func(r []seal.WrappedKey) []seal.WrappedKey {
			i := slices.IndexFunc(r, func(k seal.WrappedKey) bool { return k.Purpose == seal.Pairwise })
			r[i].Version = 2
			return r
		}, seal.ErrFixedPurpose},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := seal.Open(kek, tt.edit(slices.Clone(rows)))
			if !errors.Is(err, tt.want) || keys != nil {
				t.Errorf("got %v, %v; want %v", keys, err, tt.want)
			}
		})
	}
	if _, err := seal.Open(newKEK(t), rows); !errors.Is(err, seal.ErrWrongKEK) {
		t.Errorf("another KEK: %v", err)
	}
}

func TestFieldIsBoundToItsPlace(t *testing.T) {
	kek := newKEK(t)
	keys := open(t, kek, newRows(t, kek))
	plain := []byte("张三 11010519491231002X")
	blob, err := keys.Seal(seal.PII, here, plain)
	if err != nil {
		t.Fatal(err)
	}
	again, err := keys.Seal(seal.PII, here, plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(blob, again) || bytes.Equal(blob[5:17], again[5:17]) {
		t.Error("the same plaintext sealed twice looks the same")
	}
	if bytes.Contains(blob, plain[:6]) || bytes.Contains(blob, plain[7:]) {
		t.Error("the blob shows its plaintext")
	}
	if len(blob) != 1+4+12+len(plain)+16 {
		t.Errorf("a blob of %d bytes", len(blob))
	}
	if got, err := keys.Unseal(seal.PII, here, blob); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("got %q, %v", got, err)
	}

	places := map[string]seal.Place{
		"another table":  {Table: "staff", Column: here.Column, Row: here.Row},
		"another column": {Table: here.Table, Column: "phone", Row: here.Row},
		"another row":    {Table: here.Table, Column: here.Column, Row: []byte("0123456789abcdeX")},
		// The same bytes in a row, split elsewhere.
		"moved border":  {Table: here.Table + here.Column[:1], Column: here.Column[1:], Row: here.Row},
		"row in column": {Table: here.Table, Column: here.Column + string(here.Row[:1]), Row: here.Row[1:]},
	}
	for name, place := range places {
		if got, err := keys.Unseal(seal.PII, place, blob); !errors.Is(err, seal.ErrTampered) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for i := range blob {
		altered := bytes.Clone(blob)
		altered[i] ^= 0x10
		if got, err := keys.Unseal(seal.PII, here, altered); err == nil || got != nil {
			t.Errorf("byte %d altered: got %q, %v", i, got, err)
		}
	}
	for n := range blob {
		if got, err := keys.Unseal(seal.PII, here, blob[:n]); err == nil || got != nil {
			t.Errorf("cut to %d: got %q, %v", n, got, err)
		}
	}
	if got, err := keys.Unseal(seal.PII, here, append(bytes.Clone(blob), 0)); err == nil || got != nil {
		t.Errorf("a byte more: got %q, %v", got, err)
	}
	if got, err := keys.Unseal(seal.TOTP, here, blob); !errors.Is(err, seal.ErrPurpose) || got != nil {
		t.Errorf("wrong purpose: got %q, %v", got, err)
	}
}

func TestSealRefuses(t *testing.T) {
	kek := newKEK(t)
	keys := open(t, kek, newRows(t, kek))
	for _, purpose := range []seal.Purpose{"", "nobody", seal.Index, seal.Pepper, seal.Token} {
		if blob, err := keys.Seal(purpose, here, []byte("x")); !errors.Is(err, seal.ErrPurpose) || blob != nil {
			t.Errorf("%q: got %x, %v", purpose, blob, err)
		}
	}
	for _, place := range []seal.Place{
		{}, {Table: "t", Column: "c"}, {Table: "t", Row: []byte{1}}, {Column: "c", Row: []byte{1}},
	} {
		if blob, err := keys.Seal(seal.PII, place, []byte("x")); !errors.Is(err, seal.ErrPlace) || blob != nil {
			t.Errorf("%+v: got %x, %v", place, blob, err)
		}
	}
	if blob, err := keys.Seal(seal.PII, here, nil); err != nil {
		t.Errorf("nothing may be sealed too: %v", err)
	} else if got, err := keys.Unseal(seal.PII, here, blob); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRotation(t *testing.T) {
	kek := newKEK(t)
	first := newRows(t, kek)
	keys := open(t, kek, first)
	blob, err := keys.Seal(seal.PII, here, []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	if keys.NeedsReseal(blob) {
		t.Error("a fresh blob wants to be sealed again")
	}

	both := rotate(t, kek, first, seal.PII, seal.DecryptOnly)
	keys = open(t, kek, both)
	if got, err := keys.Unseal(seal.PII, here, blob); err != nil || string(got) != "old" {
		t.Errorf("after rotation: got %q, %v", got, err)
	}
	if !keys.NeedsReseal(blob) {
		t.Error("a blob of the old version should be sealed anew")
	}
	fresh, err := keys.Seal(seal.PII, here, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if keys.NeedsReseal(fresh) {
		t.Error("sealing went on under the old version")
	}
	// A replica that has not loaded the new version says so, and does not guess.
	if _, err := open(t, kek, first).Unseal(seal.PII, here, fresh); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("unknown version: %v", err)
	}

	gone := open(t, kek, rotate(t, kek, first, seal.PII, seal.Destroyed))
	if got, err := gone.Unseal(seal.PII, here, blob); !errors.Is(err, seal.ErrDestroyed) || got != nil {
		t.Errorf("destroyed: got %q, %v", got, err)
	}
	for _, junk := range [][]byte{nil, []byte("x"), blob[:20]} {
		if !gone.NeedsReseal(junk) {
			t.Errorf("%x passes for a current blob", junk)
		}
	}
}

func TestRewrap(t *testing.T) {
	from, to := newKEK(t), newKEK(t)
	rows := rotate(t, from, newRows(t, from), seal.PII, seal.Destroyed)
	before := open(t, from, rows)
	blob, err := before.Seal(seal.PII, here, []byte("stays"))
	if err != nil {
		t.Fatal(err)
	}
	moved, err := seal.Rewrap(from, to, rows)
	if err != nil {
		t.Fatal(err)
	}
	after := open(t, to, moved)
	if got, err := after.Unseal(seal.PII, here, blob); err != nil || string(got) != "stays" {
		t.Errorf("got %q, %v", got, err)
	}
	if !bytes.Equal(before.Index("phone", "13800138000"), after.Index("phone", "13800138000")) {
		t.Error("a new KEK changed a blind index")
	}
	if _, err := seal.Open(from, moved); !errors.Is(err, seal.ErrWrongKEK) {
		t.Errorf("the old KEK still opens: %v", err)
	}
	if out, err := seal.Rewrap(to, from, rows); !errors.Is(err, seal.ErrWrongKEK) || out != nil {
		t.Errorf("rewrapping from the wrong KEK: %v, %v", out, err)
	}
}

func TestExhaustion(t *testing.T) {
	kek := newKEK(t)
	rows := newRows(t, kek)
	rows[0].Seals = 1<<28 - 1 // rows[0] is PII
	keys := open(t, kek, rows)
	if due := keys.NeedsRotation(); len(due) != 0 {
		t.Errorf("due too early: %v", due)
	}
	if _, err := keys.Seal(seal.PII, here, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if due := keys.NeedsRotation(); !slices.Equal(due, []seal.Purpose{seal.PII}) {
		t.Errorf("due: %v", due)
	}
	for _, u := range keys.Usage() {
		if u.Purpose == seal.PII && (u.Since != 1 || u.Total != 1<<28 || u.Version != 1) {
			t.Errorf("usage %+v", u)
		}
	}

	rows[0].Seals = 1<<30 - 1
	keys = open(t, kek, rows)
	blob, err := keys.Seal(seal.PII, here, []byte("the last"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keys.Seal(seal.PII, here, []byte("x")); !errors.Is(err, seal.ErrExhausted) || got != nil {
		t.Errorf("beyond the limit: %x, %v", got, err)
	}
	if _, err := keys.Unseal(seal.PII, here, blob); err != nil {
		t.Errorf("an exhausted key still opens: %v", err)
	}
}

func TestKeyMaking(t *testing.T) {
	kek := newKEK(t)
	for _, version := range []int{-1, 0, 1 << 16} {
		if _, err := seal.NewKey(kek, seal.PII, version, born, rand.Reader); err == nil {
			t.Errorf("version %d was made", version)
		}
	}
	if _, err := seal.NewKey(kek, seal.Pairwise, 2, born, rand.Reader); !errors.Is(err, seal.ErrFixedPurpose) {
		t.Errorf("a second pairwise key: %v", err)
	}
	if row, err := seal.NewKey(kek, seal.PII, 1, born, strings.NewReader("too short")); err == nil || row.Wrapped != nil {
		t.Errorf("made a key from dry randomness: %+v", row)
	}
	rows := newRows(t, kek)
	ids := map[uint32]bool{}
	for _, row := range rows {
		ids[row.ID] = true
		if row.ID == 0 || !row.Created.Equal(born) {
			t.Errorf("row %+v", row)
		}
	}
	if len(ids) != len(seal.Purposes()) {
		t.Error("two purposes share an id")
	}
	if missing := seal.Missing(rows[1:]); !slices.Equal(missing, []seal.Purpose{rows[0].Purpose}) {
		t.Errorf("missing: %v", missing)
	}
}

func TestManyAtOnce(t *testing.T) {
	kek := newKEK(t)
	keys := open(t, kek, newRows(t, kek))
	var wg sync.WaitGroup
	const workers, rounds = 8, 100
	for range workers {
		wg.Go(func() {
			for range rounds {
				blob, err := keys.Seal(seal.PII, here, []byte("together"))
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := keys.Unseal(seal.PII, here, blob); err != nil || string(got) != "together" {
					t.Errorf("got %q, %v", got, err)
				}
				_ = keys.Index("phone", "13800138000")
				_, _ = keys.MAC(seal.Token, blob)
				_ = keys.NeedsRotation()
			}
		})
	}
	wg.Wait()
	for _, u := range keys.Usage() {
		if u.Purpose == seal.PII && u.Since != workers*rounds {
			t.Errorf("counted %d seals", u.Since)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	kek := newKEK(f)
	keys := open(f, kek, newRows(f, kek))
	blob, err := keys.Seal(seal.PII, here, []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob, "citizens", "name", here.Row)
	f.Add(blob[:17], "citizens", "name", here.Row)
	f.Add([]byte{1, 0, 1, 0, 1}, "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, data []byte, table, column string, row []byte) {
		// The only bytes that open are the ones that were sealed, in their place.
		place := seal.Place{Table: table, Column: column, Row: row}
		same := bytes.Equal(data, blob) && table == here.Table && column == here.Column && bytes.Equal(row, here.Row)
		got, err := keys.Unseal(seal.PII, place, data)
		if same != (err == nil) || (err != nil && got != nil) {
			t.Errorf("got %q, %v", got, err)
		}
		_ = keys.NeedsReseal(data)
	})
}

func FuzzUnwrap(f *testing.F) {
	kek := newKEK(f)
	row, err := seal.NewKey(kek, seal.PII, 1, born, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row.Wrapped)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := kek.Unwrap(seal.PII, 1, data)
		if bytes.Equal(data, row.Wrapped) != (err == nil) || (err != nil && got != nil) {
			t.Errorf("got %x, %v", got, err)
		}
	})
}

func BenchmarkSealUnseal(b *testing.B) {
	kek := newKEK(b)
	keys := open(b, kek, newRows(b, kek))
	for b.Loop() {
		blob, _ := keys.Seal(seal.PII, here, []byte("11010519491231002X"))
		_, _ = keys.Unseal(seal.PII, here, blob)
	}
}
