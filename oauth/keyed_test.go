package oauth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
)

// What is kept from one hash to the next shows in none of them: not its message, not
// its length, not who else is computing.
func TestKeyedKeepsNothing(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	k, err := NewKeyed(key)
	if err != nil {
		t.Fatal(err)
	}
	want := func(message string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(message))
		return h.Sum(nil)
	}
	long := strings.Repeat("x", 4<<10)
	cases := []struct {
		parts   []string
		message string
	}{
		{nil, "\x00\x00\x00\x05label"},
		{[]string{""}, "\x00\x00\x00\x05label\x00\x00\x00\x00"},
		{[]string{"ab", "c"}, "\x00\x00\x00\x05label\x00\x00\x00\x02ab\x00\x00\x00\x01c"},
		{[]string{long}, "\x00\x00\x00\x05label\x00\x00\x10\x00" + long},
		{[]string{"a"}, "\x00\x00\x00\x05label\x00\x00\x00\x01a"},
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				for _, c := range cases {
					got := k.Sum("label", c.parts...)
					if !bytes.Equal(got, want(c.message)) || !k.Check(got, "label", c.parts...) || k.Check(got, "other", c.parts...) {
						t.Errorf("%.20q: %x", c.parts, got)
					}
				}
			}
		})
	}
	all.Wait()
}
