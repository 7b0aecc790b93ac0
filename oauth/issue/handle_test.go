package issue

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"ecardid/oauth"
)

func handles(t testing.TB, keys ...byte) Handles {
	t.Helper()
	var list [][]byte
	for _, b := range keys {
		list = append(list, bytes.Repeat([]byte{b}, 32))
	}
	k, err := oauth.NewKeyed(list...)
	if err != nil {
		t.Fatal(err)
	}
	return Handles{Keys: k}
}

func TestHandles(t *testing.T) {
	h := handles(t, 1)
	text := h.New(Code).Reveal()
	hash, ok := h.Hash(Code, text)
	if sum := sha256.Sum256([]byte(text)); !ok || !bytes.Equal(hash, sum[:]) {
		t.Error("its own handle is unknown")
	}
	if h.New(Code).Reveal() == text {
		t.Error("the same handle twice")
	}
	// Types do not mix (G2), and a handle has one spelling.
	for _, kind := range []Kind{Access, Refresh, Request} {
		if _, ok := h.Hash(kind, text); ok {
			t.Errorf("a code passes for %s", kind)
		}
		if _, ok := h.Hash(kind, string(kind)+text[4:]); ok {
			t.Errorf("a renamed code passes for %s", kind)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "kind-only": string(Code), "cut": text[:len(text)-1], "longer": text + "A",
		"blank": text + " ", "case": strings.ToUpper(text), "padded": text[:len(text)-1] + "=",
		"other-random": text[:10] + flip(text[10]) + text[11:], "other-tag": text[:len(text)-4] + flip(text[len(text)-4]) + text[len(text)-3:],
	} {
		if hash, ok := h.Hash(Code, bad); ok || hash != nil {
			t.Errorf("%s was taken", name)
		}
	}
	// A new key makes, the old one still checks; without it, nothing is known.
	if _, ok := handles(t, 2, 1).Hash(Code, text); !ok {
		t.Error("unknown after a rotation")
	}
	if _, ok := handles(t, 2).Hash(Code, text); ok {
		t.Error("known without its key")
	}
}

// A family is known by any of its tokens, and by nothing else.
func TestFamilies(t *testing.T) {
	h := handles(t, 1)
	first := h.New(Refresh).Reveal()
	family := h.Family(first)
	token := first
	for range 3 {
		next := h.Next(token).Reveal()
		if _, ok := h.Hash(Refresh, next); !ok || next == token || !bytes.Equal(h.Family(next), family) {
			t.Fatalf("%q is not the next of %q", next, token)
		}
		if half := len(Refresh) + partText; len(next) != len(token) || next[half:] == token[half:] {
			t.Fatalf("%q has nothing of its own", next)
		}
		token = next
	}
	if len(family) != sha256.Size || bytes.Equal(h.Family(h.New(Refresh).Reveal()), family) {
		t.Error("two families are one")
	}
	for _, not := range []string{"", "ecr_", h.New(Code).Reveal(), token[:len(token)-1], handles(t, 2).Next(token).Reveal()} {
		if h.Family(not) != nil {
			t.Errorf("%q has a family", not)
		}
	}
}

func flip(b byte) string {
	if b == 'A' {
		return "B"
	}
	return "A"
}

func FuzzHash(f *testing.F) {
	h := handles(f, 1)
	h.Rand = bytes.NewReader(make([]byte, 32)) // the same in every worker
	good := h.New(Access).Reveal()
	f.Add(good)
	f.Add(good[:len(good)-1] + "_")
	f.Fuzz(func(t *testing.T, text string) {
		if hash, ok := h.Hash(Access, text); ok && text != good || !ok && hash != nil {
			t.Fatalf("%q was taken", text)
		}
	})
}
