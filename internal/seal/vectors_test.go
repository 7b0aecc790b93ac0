package seal

import (
	"crypto/hkdf"
	"crypto/pbkdf2"
	"encoding/hex"
	"testing"

	"github.com/emmansun/gmsm/sm3"
)

// What the known answers below have in common is that they come from elsewhere:
// GB/T 32905 appendix A.1 for SM3, RFC 8998 appendix A.1 for SM4-GCM.
func TestKnownAnswers(t *testing.T) {
	abc := sm3.Sum([]byte("abc"))
	if got := hex.EncodeToString(abc[:]); got != "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0" {
		t.Errorf("SM3: %s", got)
	}
	if err := testHMAC(); err != nil {
		t.Error(err)
	}
	if err := testGCM(); err != nil {
		t.Error(err)
	}
	key, err := pbkdf2.Key(sm3.New, "password", []byte("salt"), 4096, 32)
	if got := hex.EncodeToString(key); err != nil || got != "b6e8f2074c87432b78f62e5ced980fdff89e86af2f693dab1638e2b3683045dd" {
		t.Errorf("PBKDF2-HMAC-SM3: %s, %v", got, err)
	}
}

// The field keys are HKDF-Expand written out; they are the library's.
func TestIndexKeyIsHKDFExpand(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	want, err := hkdf.Expand(sm3.New, secret, "ecardid blind index phone", dataKeySize)
	if err != nil {
		t.Fatal(err)
	}
	if got := newIndexKeys(secret).of("phone"); hex.EncodeToString(got) != hex.EncodeToString(want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
