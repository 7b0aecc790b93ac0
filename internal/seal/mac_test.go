package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"ecardid/internal/seal"
)

func TestIndex(t *testing.T) {
	kek := newKEK(t)
	rows := newRows(t, kek)
	keys, twin := open(t, kek, rows), open(t, kek, rows)
	a := keys.Index("phone", "13800138000")
	if len(a) != 16 {
		t.Errorf("an index of %d bytes", len(a))
	}
	if !bytes.Equal(a, twin.Index("phone", "13800138000")) {
		t.Error("two replicas disagree")
	}
	other := open(t, kek, newRows(t, kek))
	for name, b := range map[string][]byte{
		"another value": keys.Index("phone", "13800138001"),
		"another field": keys.Index("id_number", "13800138000"),
		"another key":   other.Index("phone", "13800138000"),
		"moved border":  keys.Index("phone1", "3800138000"),
	} {
		if bytes.Equal(a, b) {
			t.Errorf("%s has the same index", name)
		}
	}
}

func TestMAC(t *testing.T) {
	kek := newKEK(t)
	first := newRows(t, kek)
	keys := open(t, kek, first)
	tag, err := keys.MAC(seal.Token, []byte("ab"), []byte("c"))
	if err != nil || len(tag) != 32 {
		t.Fatalf("got %x, %v", tag, err)
	}
	if ok, stale := keys.VerifyMAC(seal.Token, tag, []byte("ab"), []byte("c")); !ok || stale {
		t.Errorf("its own tag: %v, %v", ok, stale)
	}
	for name, data := range map[string][][]byte{
		"moved border": {[]byte("a"), []byte("bc")},
		"joined":       {[]byte("abc")},
		"one more":     {[]byte("ab"), []byte("c"), nil},
		"nothing":      nil,
	} {
		if ok, _ := keys.VerifyMAC(seal.Token, tag, data...); ok {
			t.Errorf("%s verifies", name)
		}
	}
	if ok, _ := keys.VerifyMAC(seal.Audit, tag, []byte("ab"), []byte("c")); ok {
		t.Error("a tag of one purpose verifies for another")
	}
	if ok, _ := keys.VerifyMAC(seal.Token, tag[:16], []byte("ab"), []byte("c")); ok {
		t.Error("half a tag verifies")
	}
	for _, purpose := range []seal.Purpose{"", "nobody", seal.PII, seal.TOTP, seal.Index} {
		if tag, err := keys.MAC(purpose, []byte("x")); !errors.Is(err, seal.ErrPurpose) || tag != nil {
			t.Errorf("%q: got %x, %v", purpose, tag, err)
		}
		if ok, _ := keys.VerifyMAC(purpose, nil, []byte("x")); ok {
			t.Errorf("%q verifies nothing at all", purpose)
		}
	}

	rotated := open(t, kek, rotate(t, kek, first, seal.Token, seal.DecryptOnly))
	if ok, stale := rotated.VerifyMAC(seal.Token, tag, []byte("ab"), []byte("c")); !ok || !stale {
		t.Errorf("after rotation: %v, %v", ok, stale)
	}
	gone := open(t, kek, rotate(t, kek, first, seal.Token, seal.Destroyed))
	if ok, _ := gone.VerifyMAC(seal.Token, tag, []byte("ab"), []byte("c")); ok {
		t.Error("a tag outlives its key")
	}
}

func TestPepper(t *testing.T) {
	kek := newKEK(t)
	first := newRows(t, kek)
	old := open(t, kek, first).Pepper()
	tag, err := old.Tag(old.ID(), []byte("hash"))
	if err != nil {
		t.Fatal(err)
	}
	now := open(t, kek, rotate(t, kek, first, seal.Pepper, seal.DecryptOnly)).Pepper()
	if now.ID() == old.ID() {
		t.Error("a rotated pepper kept its id")
	}
	if again, err := now.Tag(old.ID(), []byte("hash")); err != nil || !bytes.Equal(again, tag) {
		t.Errorf("the old pepper after rotation: %x, %v", again, err)
	}
	gone := open(t, kek, rotate(t, kek, first, seal.Pepper, seal.Destroyed)).Pepper()
	if got, err := gone.Tag(old.ID(), []byte("hash")); !errors.Is(err, seal.ErrDestroyed) || got != nil {
		t.Errorf("a destroyed pepper: %x, %v", got, err)
	}
	token, _ := seal.KeyID(seal.Token, 1)
	if got, err := now.Tag(token, []byte("hash")); !errors.Is(err, seal.ErrPurpose) || got != nil {
		t.Errorf("a key that is no pepper: %x, %v", got, err)
	}
}
