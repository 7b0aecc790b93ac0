package jose

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// What failed to parse returns nothing; what parsed had one spelling only, is
// JSON to encoding/json as well, and verifies with nobody's key.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		jwsA2, jwsA3, jwsEd, jwsSM2, "", "..", "e30.e30.AA",
		b64.EncodeToString([]byte(`{"alg":"ES256","jwk":`+ecA3+`}`)) + ".e30.AA",
		b64.EncodeToString([]byte(`{"alg":"ES256","\ud83d\ude00":[{}]}`)) + "." + b64.EncodeToString([]byte(`{"aud":["a"],"exp":1.5}`)) + ".AA",
	} {
		f.Add(s)
	}
	stranger := mustGenerate(f, ES256, "fuzz")
	f.Fuzz(func(t *testing.T, compact string) {
		token, err := Parse(compact)
		if err != nil {
			if !reflect.DeepEqual(token, Token{}) {
				t.Fatalf("%v, and yet %+v", err, token)
			}
			return
		}
		header, _, _ := strings.Cut(token.input, ".")
		raw, err := decode64(header)
		if err != nil {
			t.Fatal(err)
		}
		if again := b64.EncodeToString(raw) + "." + b64.EncodeToString(token.payload) + "." + b64.EncodeToString(token.sig); again != compact {
			t.Fatalf("%q reads like %q", compact, again)
		}
		for _, doc := range [][]byte{raw, token.payload} {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(doc, &m); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(token.claims); got != mapLen(t, token.payload) {
			t.Fatalf("%d claims in %s", got, token.payload)
		}
		_, _ = token.Unverified()
		if _, err := token.VerifyKey(stranger, allAlgs...); err == nil {
			t.Fatal("a forgery")
		}
	})
}

func mapLen(t *testing.T, doc []byte) int {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatal(err)
	}
	return len(m)
}

// What failed to parse is no key; what parsed is public, can be used without a
// panic, and written and read again is the same key in the same octets.
func FuzzParseJWK(f *testing.F) {
	for _, s := range []string{rsaA2, rsaThumb, ecA3, edA2, sm2JWK, sm2Long, `{"kty":"oct","k":"AA"}`, `{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseJWK(data)
		if err != nil {
			if !k.IsZero() {
				t.Fatalf("%v, and yet %v", err, k)
			}
			return
		}
		if k.CanSign() || k.verify([]byte("x"), make([]byte, sigSize)) == nil {
			t.Fatal("a public key that signs, or verifies zeros")
		}
		doc, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseJWK(doc)
		if err != nil || !again.Equal(k) {
			t.Fatalf("%s: %v, %v", doc, again, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(doc, second) {
			t.Fatalf("%s became %s", doc, second)
		}
	})
}

// What failed to parse is an empty set; what parsed is written and read again as
// the same keys, each to be found by its own name.
func FuzzParseSet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + rsaThumb + `,` + sm2JWK + `,{"kty":"AKP"},` + edA2 + `]}`))
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSet(data)
		if err != nil {
			if !reflect.DeepEqual(s, Set{}) {
				t.Fatalf("%v, and yet %d keys", err, s.Len())
			}
			return
		}
		for _, k := range s.Keys() {
			if kid := k.KeyID(); kid != "" {
				if found, ok := s.Find(kid); !ok || !found.Equal(k) {
					t.Fatalf("%q finds %v", kid, found)
				}
			}
		}
		doc, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSet(doc)
		if err != nil || again.Len() != s.Len() {
			t.Fatalf("%s: %v", doc, err)
		}
		for i, k := range again.Keys() {
			if !k.Equal(s.keys[i]) {
				t.Fatalf("key %d of %s", i, doc)
			}
		}
	})
}
