package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

func uint64url(n *big.Int) string { return b64.EncodeToString(n.Bytes()) }

func TestParseJWKRefuses(t *testing.T) {
	with := func(jwk, more string) string { return strings.TrimSuffix(jwk, "}") + "," + more + "}" }
	rsaOf := func(n, e string) string { return `{"kty":"RSA","n":"` + n + `","e":"` + e + `"}` }
	bits := func(n uint) string {
		v := new(big.Int).Lsh(big.NewInt(1), n-1)
		return uint64url(v.SetBit(v, 0, 1))
	}
	x32 := strings.Repeat("A", 42) + "E"
	ed := func(raw string) string {
		return `{"kty":"OKP","crv":"Ed25519","x":"` + b64.EncodeToString(unhex(t, raw)) + `"}`
	}
	p256X := mustMember(t, ecA3, "x")
	for _, tt := range []struct {
		name, jwk string
		want      error
	}{
		{"nothing", ``, ErrMalformed},
		{"null", `null`, ErrMalformed},
		{"array", `[` + ecA3 + `]`, ErrMalformed},
		{"two documents", ecA3 + ecA3, ErrMalformed},
		{"not UTF-8", with(ecA3, "\"kid\":\"\xff\""), ErrMalformed},
		{"half a surrogate", with(ecA3, `"kid":"\ud800"`), ErrMalformed},
		{"kty twice", with(ecA3, `"kty":"EC"`), ErrMalformed},
		{"kty twice, once escaped", with(ecA3, `"k\u0074y":"EC"`), ErrMalformed},
		{"twice in an unknown member", with(ecA3, `"ext":{"a":1,"a":2}`), ErrMalformed},
		{"kty in two cases", with(ecA3, `"KTY":"RSA"`), ErrMalformed},
		{"no kty", `{"crv":"P-256"}`, ErrMalformed},
		{"kty no string", `{"kty":1}`, ErrMalformed},
		{"empty kid", with(ecA3, `"kid":""`), ErrMalformed},
		{"kid a number", with(ecA3, `"kid":7`), ErrMalformed},
		{"kid too long", with(ecA3, `"kid":"`+strings.Repeat("k", maxName+1)+`"`), ErrMalformed},
		{"too large", with(ecA3, `"x5c":["`+strings.Repeat("A", maxJWK)+`"]`), ErrMalformed},
		{"too deep", with(ecA3, `"ext":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)), ErrMalformed},

		{"private EC", with(ecA3, `"d":"AQ"`), ErrPrivate},
		{"private, of another curve", `{"kty":"EC","crv":"P-384","x":"AQ","y":"AQ","d":"AQ"}`, ErrPrivate},
		{"private RSA, by a prime", with(rsaA2, `"p":"AQ"`), ErrPrivate},
		{"private Ed25519", with(edA2, `"d":"AQ"`), ErrPrivate},
		{"private SM2", with(sm2JWK, `"d":"AQ"`), ErrPrivate},
		{"private but null", with(ecA3, `"d":null`), ErrPrivate},
		{"symmetric", `{"kty":"oct","k":"AQ"}`, ErrPrivate},
		{"symmetric without k", `{"kty":"oct"}`, ErrPrivate},
		{"symmetric inside EC", with(ecA3, `"k":"AQ"`), ErrPrivate},

		{"unknown kty", `{"kty":"AKP","alg":"ML-DSA-44","pub":"AQ"}`, ErrUnsupported},
		{"kty in lower case", strings.Replace(ecA3, `"EC"`, `"ec"`, 1), ErrUnsupported},
		{"another curve", `{"kty":"EC","crv":"P-384","x":"AQ","y":"AQ"}`, ErrUnsupported},
		{"Ed448", `{"kty":"OKP","crv":"Ed448","x":"AQ"}`, ErrUnsupported},
		{"Ed25519 as EC", strings.Replace(edA2, `"OKP"`, `"EC"`, 1), ErrUnsupported},
		{"another alg", with(rsaA2, `"alg":"RS384"`), ErrUnsupported},
		{"alg none", with(rsaA2, `"alg":"none"`), ErrUnsupported},
		{"alg HS256", with(ecA3, `"alg":"HS256"`), ErrUnsupported},
		{"for encryption", with(rsaA2, `"use":"enc"`), ErrUnsupported},
		{"not for verifying", with(rsaA2, `"key_ops":["encrypt"]`), ErrUnsupported},
		{"verify twice", with(rsaA2, `"key_ops":["verify","verify"]`), ErrMalformed},
		{"key_ops a string", with(rsaA2, `"key_ops":"verify"`), ErrMalformed},
		{"alg of another kind", with(ecA3, `"alg":"RS256"`), ErrMalformed},
		{"SM2 alg on P-256", with(ecA3, `"alg":"SGD_SM3_SM2"`), ErrMalformed},
		{"ES256 alg on SM2", with(sm2Long, `"alg":"ES256"`), ErrMalformed},

		{"no y", `{"kty":"EC","crv":"P-256","x":"` + p256X + `"}`, ErrMalformed},
		{"x of 31 octets", `{"kty":"EC","crv":"P-256","x":"` + b64.EncodeToString(make([]byte, 31)) + `","y":"` + x32 + `"}`, ErrMalformed},
		{"x of 33 octets", `{"kty":"EC","crv":"P-256","x":"` + b64.EncodeToString(make([]byte, 33)) + `","y":"` + x32 + `"}`, ErrMalformed},
		{"x of 300 bits on SM2", `{"kty":"EC","crv":"SM2","x":"` + b64.EncodeToString(bytes.Repeat([]byte{0xff}, 38)) + `","y":"` + x32 + `"}`, ErrMalformed},
		{"x padded", strings.Replace(ecA3, p256X, p256X+"=", 1), ErrMalformed},
		{"x with a line break", strings.Replace(ecA3, p256X, p256X+`\n`, 1), ErrMalformed},
		{"x with loose bits", strings.Replace(ecA3, p256X, p256X[:42]+"V", 1), ErrMalformed},
		{"off curve", strings.Replace(ecA3, p256X, x32, 1), ErrMalformed},
		{"P-256 point on SM2", strings.Replace(ecA3, "P-256", "SM2", 1), ErrMalformed},
		{"SM2 point on P-256", strings.Replace(strings.Replace(sm2Long, "SM2-P-256", "P-256", 1), "SM2", "P-256", 1), ErrMalformed},
		{"SM2 (0,0)", `{"kty":"EC","crv":"SM2","x":"` + b64.EncodeToString(make([]byte, 32)) + `","y":"` + b64.EncodeToString(make([]byte, 32)) + `"}`, ErrMalformed},

		{"RSA of 2047 bits", rsaOf(bits(2047), "AQAB"), ErrMalformed},
		{"RSA of 8193 bits", rsaOf(bits(8193), "AQAB"), ErrMalformed},
		{"RSA with leading zero", rsaOf("AA"+bits(2048), "AQAB"), ErrMalformed},
		{"RSA even", rsaOf(uint64url(new(big.Int).Lsh(big.NewInt(1), 2047)), "AQAB"), ErrMalformed},
		{"RSA e=1", rsaOf(bits(2048), "AQ"), ErrMalformed},
		{"RSA e=3", rsaOf(bits(2048), "Aw"), ErrMalformed},
		{"RSA e even", rsaOf(bits(2048), "AQAC"), ErrMalformed},
		{"RSA e of 2^32-1", rsaOf(bits(2048), "_____w"), ErrMalformed},
		{"RSA e giant", rsaOf(bits(2048), bits(2048)), ErrMalformed},
		{"RSA e empty", rsaOf(bits(2048), ""), ErrMalformed},

		{"Ed25519 of 31 octets", ed(strings.Repeat("01", 31)), ErrMalformed},
		{"Ed25519 y ≥ p", ed("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), ErrMalformed},
		{"Ed25519 off curve", ed("02" + strings.Repeat("00", 31)), ErrMalformed},
		{"Ed25519 order 1", ed("01" + strings.Repeat("00", 31)), ErrMalformed},
		{"Ed25519 order 2", ed("ec" + strings.Repeat("ff", 30) + "7f"), ErrMalformed},
		{"Ed25519 order 4", ed(strings.Repeat("00", 32)), ErrMalformed},
		{"Ed25519 order 8", ed("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), ErrMalformed},
		{"Ed25519 order 8, the other", ed("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ParseJWK([]byte(tt.jwk))
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if !k.IsZero() {
				t.Error("a key came back all the same")
			}
		})
	}
}

func mustMember(t *testing.T, jwk, name string) string {
	t.Helper()
	var doc map[string]string
	if err := json.Unmarshal([]byte(jwk), &doc); err != nil {
		t.Fatal(err)
	}
	return doc[name]
}

func TestParseJWKAccepts(t *testing.T) {
	for _, tt := range []struct {
		name, jwk string
		alg       Alg
	}{
		{"P-256", ecA3, ES256},
		{"RSA of no alg", rsaA2, unbound},
		{"RSA", rsaThumb, RS256},
		{"RSA, PS256", strings.Replace(rsaThumb, "RS256", "PS256", 1), PS256},
		{"Ed25519", edA2, EdDSA},
		{"SM2", sm2JWK, SM2},
		{"SM2-P-256", sm2Long, SM2},
		{"unknown members", strings.TrimSuffix(ecA3, "}") + `,"x5t":"zz","nbf":12,"ext":true,"use":"sig","key_ops":["verify"]}`, ES256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := mustKey(t, tt.jwk)
			if k.Alg() != tt.alg || k.CanSign() {
				t.Errorf("alg %q, can sign: %t", k.Alg(), k.CanSign())
			}
			doc, err := json.Marshal(k)
			if err != nil {
				t.Fatal(err)
			}
			if again := mustKey(t, string(doc)); !again.Equal(k) {
				t.Errorf("%s is another key", doc)
			}
		})
	}
	doc, err := json.Marshal(mustKey(t, sm2Long))
	if err != nil || !strings.Contains(string(doc), `"crv":"SM2",`) {
		t.Errorf("SM2-P-256 was written as %s, %v", doc, err)
	}
}

func TestParseSet(t *testing.T) {
	named := func(jwk, kid string) string { return strings.TrimSuffix(jwk, "}") + `,"kid":"` + kid + `"}` }
	s, err := ParseSet([]byte(`{"keys":[` + strings.Join([]string{
		named(ecA3, "e"), `{"kty":"AKP","alg":"ML-DSA-44","pub":"AQ"}`, named(edA2, "d"),
		`{"kty":"RSA","use":"enc","n":"AQ","e":"AQAB"}`, named(sm2Long, "s"),
	}, ",") + `],"more":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != 3 || len(s.Skipped()) != 2 || len(s.Keys()) != 3 {
		t.Errorf("%d keys, skipped %q", s.Len(), s.Skipped())
	}
	if k, ok := s.Find("d"); !ok || k.Alg() != EdDSA {
		t.Errorf("Find(d) = %v, %t", k, ok)
	}
	if _, ok := s.Find("x"); ok {
		t.Error("found a key that is not there")
	}
	if _, ok := s.Find(""); ok {
		t.Error("no kid, three keys, and one was chosen")
	}

	for name, doc := range map[string]string{
		"no object":          `[]`,
		"no keys":            `{}`,
		"keys null":          `{"keys":null}`,
		"keys an object":     `{"keys":{}}`,
		"keys twice":         `{"keys":[],"keys":[]}`,
		"a key null":         `{"keys":[null]}`,
		"kid twice":          `{"keys":[` + named(ecA3, "a") + `,` + named(edA2, "a") + `]}`,
		"kid of a skipped":   `{"keys":[` + named(ecA3, "a") + `,{"kty":"AKP","kid":"a"}]}`,
		"malformed known":    `{"keys":[` + named(ecA3, "a") + `,{"kty":"OKP","crv":"Ed25519","x":"AQ"}]}`,
		"symmetric":          `{"keys":[` + named(ecA3, "a") + `,{"kty":"oct","k":"AQ"}]}`,
		"private":            `{"keys":[` + strings.TrimSuffix(ecA3, "}") + `,"d":"AQ"}]}`,
		"too many":           `{"keys":[` + strings.Repeat(`{"kty":"AKP"},`, maxKeys) + `{"kty":"AKP"}]}`,
		"too large":          `{"keys":[],"x":"` + strings.Repeat("x", maxSet) + `"}`,
		"duplicate in a key": `{"keys":[` + named(named(ecA3, "a"), "b") + `]}`,
	} {
		if s, err := ParseSet([]byte(doc)); err == nil || s.Len() != 0 {
			t.Errorf("%s: %d keys, %v", name, s.Len(), err)
		}
	}
	if s, err := ParseSet([]byte(`{"keys":[]}`)); err != nil || s.Len() != 0 {
		t.Errorf("an empty set: %v", err)
	}
}

func TestConstructorsRefuse(t *testing.T) {
	sm2Key := sm2Private(t)
	p256Key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384Key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() (Key, error){
		"SM2 key as ES256":         func() (Key, error) { return NewPublic(ES256, "k", &sm2Key.PublicKey) },
		"P-256 key as SM2":         func() (Key, error) { return NewPublic(SM2, "k", &p256Key.PublicKey) },
		"P-256 private as SM2":     func() (Key, error) { return NewPrivate(SM2, "k", p256Key) },
		"P-256 in an SM2 key":      func() (Key, error) { return NewPrivate(SM2, "k", &sm2.PrivateKey{PrivateKey: *p256Key}) },
		"SM2 key as ECDSA":         func() (Key, error) { return NewPrivate(ES256, "k", &sm2Key.PrivateKey) },
		"P-384":                    func() (Key, error) { return NewPrivate(ES256, "k", p384Key) },
		"SM2 without coordinates":  func() (Key, error) { return NewPublic(SM2, "k", &ecdsa.PublicKey{Curve: sm2.P256()}) },
		"P-256, no coordinates":    func() (Key, error) { return NewPublic(ES256, "k", &ecdsa.PublicKey{Curve: elliptic.P256()}) },
		"no curve":                 func() (Key, error) { return NewPublic(ES256, "k", &ecdsa.PublicKey{}) },
		"nil ECDSA":                func() (Key, error) { return NewPublic(ES256, "k", (*ecdsa.PublicKey)(nil)) },
		"nil SM2":                  func() (Key, error) { return NewPrivate(SM2, "k", (*sm2.PrivateKey)(nil)) },
		"empty SM2":                func() (Key, error) { return NewPrivate(SM2, "k", new(sm2.PrivateKey)) },
		"empty ECDSA":              func() (Key, error) { return NewPrivate(ES256, "k", new(ecdsa.PrivateKey)) },
		"empty RSA":                func() (Key, error) { return NewPrivate(RS256, "k", new(rsa.PrivateKey)) },
		"empty RSA public":         func() (Key, error) { return NewPublic(RS256, "k", new(rsa.PublicKey)) },
		"short Ed25519":            func() (Key, error) { return NewPrivate(EdDSA, "k", ed25519.PrivateKey("short")) },
		"short Ed25519 public":     func() (Key, error) { return NewPublic(EdDSA, "k", ed25519.PublicKey("short")) },
		"RSA of 1024 bits":         func() (Key, error) { return NewPrivate(PS256, "k", small) },
		"RSA as EdDSA":             func() (Key, error) { return NewPrivate(EdDSA, "k", small) },
		"a secret":                 func() (Key, error) { return NewPrivate("HS256", "k", []byte("secret")) },
		"none":                     func() (Key, error) { return NewPublic("none", "k", &p256Key.PublicKey) },
		"nil":                      func() (Key, error) { return NewPublic(ES256, "k", nil) },
		"signing key of no name":   func() (Key, error) { return NewPrivate(ES256, "", p256Key) },
		"kid not UTF-8":            func() (Key, error) { return NewPublic(ES256, "\xff", &p256Key.PublicKey) },
		"PKCS#8 of nothing":        func() (Key, error) { return ParsePKCS8(ES256, "k", nil) },
		"generating an unknown":    func() (Key, error) { return Generate("ES384", "k") },
		"generating without a kid": func() (Key, error) { return Generate(ES256, "") },
	} {
		if k, err := call(); err == nil || !k.IsZero() {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

func TestPKCS8(t *testing.T) {
	for _, alg := range []Alg{ES256, PS256, RS256, EdDSA, SM2} {
		k := mustGenerate(t, alg, "k1")
		der, err := k.MarshalPKCS8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePKCS8(alg, "k1", der)
		if err != nil || !again.CanSign() || !again.Equal(k) {
			t.Errorf("%s: %v, %v", alg, again, err)
		}
		if _, err := k.Public().MarshalPKCS8(); err == nil {
			t.Errorf("%s: a public key gave a private one", alg)
		}
		for _, other := range []Alg{ES256, EdDSA, SM2} {
			if other != alg {
				if k, err := ParsePKCS8(other, "k1", der); err == nil {
					t.Errorf("%s key was read as %v", alg, k)
				}
			}
		}
	}
}

// GB/T 32918.1 §6.1 wants d in [1, n−2]; the parser of PKCS#8 lets others pass.
func TestSM2PrivateRange(t *testing.T) {
	der, err := smx509.MarshalPKCS8PrivateKey(sm2Private(t))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(der, unhex(t, sm2D))
	for name, d := range map[string]string{
		"0":   strings.Repeat("00", 32),
		"n-1": "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54122",
		"n":   "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123",
		"max": strings.Repeat("FF", 32),
	} {
		copy(der[at:], unhex(t, d))
		if k, err := ParsePKCS8(SM2, "k", der); err == nil {
			t.Errorf("d = %s gave %v", name, k)
		}
	}
	copy(der[at:], unhex(t, "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54121"))
	if _, err := ParsePKCS8(SM2, "k", der); err != nil {
		t.Errorf("d = n-2: %v", err)
	}
}

// Whatever is done to a key by way of printing, its private half stays inside.
func TestKeyShowsNothing(t *testing.T) {
	k, err := NewPrivate(SM2, "k1", sm2Private(t))
	if err != nil {
		t.Fatal(err)
	}
	holder := struct{ Key Key }{k}
	doc, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"Key":` + strings.Replace(sm2JWK, "test-sm2-1", "k1", 1) + `}`; len(doc) != len(want) || strings.Contains(string(doc), `"d"`) {
		t.Errorf("JSON is %s", doc)
	}
	text := fmt.Sprintf("%v %+v %#v %s %x %d", holder, holder, holder, k, k, k) + k.LogValue().String()
	for _, part := range []string{sm2D[:12], strings.ToLower(sm2D[:12]), "priv", new(big.Int).SetBytes(unhex(t, sm2D)).String()[:12]} {
		if strings.Contains(text, part) {
			t.Errorf("%q is in %s", part, text)
		}
	}
	if _, err := json.Marshal(Key{}); err == nil {
		t.Error("the zero key was encoded")
	}
}
