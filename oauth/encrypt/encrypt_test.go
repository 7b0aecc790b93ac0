package encrypt

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v3"

	"ecardid/oauth"
)

var b64 = base64.RawURLEncoding

// rsaKey is one key for all tests: finding one takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// jwk writes the public half with more members.
func jwk(t testing.TB, key any, more string) string {
	t.Helper()
	doc, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if more != "" {
		more = "," + more
	}
	return strings.TrimSuffix(string(doc), "}") + more + "}"
}

func set(jwks ...string) string { return `{"keys":[` + strings.Join(jwks, ",") + `]}` }

func with(jwks string) *oauth.Client { return &oauth.Client{ID: "rp", JWKS: json.RawMessage(jwks)} }

// inline is the Documents of clients whose keys are in their registration.
type inline struct{}

func (inline) Document(_ context.Context, c *oauth.Client) ([]byte, error) { return c.JWKS, nil }

var house = Encrypter{inline{}}

// Every combination there is comes open again with the client's key.
func TestRoundTrip(t *testing.T) {
	keys := map[string]any{"RSA-OAEP-256": rsaKey()}
	for _, alg := range []string{"ECDH-ES", "ECDH-ES+A256KW"} {
		keys[alg] = ecKey(t, elliptic.P256())
	}
	public := func(k any) any {
		if k, ok := k.(*rsa.PrivateKey); ok {
			return &k.PublicKey
		}
		return &k.(*ecdsa.PrivateKey).PublicKey
	}
	for _, alg := range oauth.EncryptionAlgs() {
		for _, enc := range oauth.EncryptionEncs() {
			c := with(set(jwk(t, public(keys[alg]), `"use":"enc","kid":"k1"`)))
			if err := house.Ready(t.Context(), c, alg, enc); err != nil {
				t.Errorf("%s %s: %v", alg, enc, err)
			}
			token, err := house.Encrypt(t.Context(), c, alg, enc, true, []byte("a.b.c"))
			if err != nil {
				t.Errorf("%s %s: %v", alg, enc, err)
				continue
			}
			sealed, err := jose.ParseEncrypted(token)
			if err != nil {
				t.Fatal(err)
			}
			h := header(t, token)
			if h["alg"] != alg || h["enc"] != enc || h["kid"] != "k1" || h["cty"] != "JWT" || h["zip"] != nil {
				t.Errorf("header %v", h)
			}
			if plain, err := sealed.Decrypt(keys[alg]); err != nil || string(plain) != "a.b.c" {
				t.Errorf("%s %s: %q %v", alg, enc, plain, err)
			}
			again, err := house.Encrypt(t.Context(), c, alg, enc, true, []byte("a.b.c"))
			if err != nil || again == token {
				t.Errorf("%s %s: the same twice", alg, enc)
			}
		}
	}
	// JSON that is not a JWT says so by having no cty.
	c := with(set(jwk(t, public(keys["ECDH-ES"]), "")))
	token, err := house.Encrypt(t.Context(), c, "ECDH-ES", "A256GCM", false, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if h := header(t, token); h["cty"] != nil || h["kid"] != nil {
		t.Errorf("header %v", h)
	}
}

func header(t testing.TB, token string) map[string]any {
	t.Helper()
	raw, err := b64.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]any
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// concatKDF is RFC 7518 §4.6.2 for one block of SHA-256, without PartyU and PartyV
// unless given.
func concatKDF(z []byte, enc string, u, v []byte, bits uint32) []byte {
	part := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	in := bytes.Join([][]byte{{0, 0, 0, 1}, z, part([]byte(enc)), part(u), part(v), binary.BigEndian.AppendUint32(nil, bits)}, nil)
	sum := sha256.Sum256(in)
	return sum[:bits/8]
}

func octetsOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := b64.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a reader made of the standard library and RFC 7518 alone would read: the key
// agreement is first held to the vector of appendix C.
func TestIndependentReader(t *testing.T) {
	bob, err := ecdh.P256().NewPrivateKey(octetsOf(t, "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"))
	if err != nil {
		t.Fatal(err)
	}
	alice, err := ecdh.P256().NewPublicKey(bytes.Join([][]byte{
		{4}, octetsOf(t, "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0"), octetsOf(t, "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"),
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	z, err := bob.ECDH(alice)
	if err != nil {
		t.Fatal(err)
	}
	if got := b64.EncodeToString(concatKDF(z, "A128GCM", []byte("Alice"), []byte("Bob"), 128)); got != "VqqN6vgjbSBcIijNcacQGg" {
		t.Fatalf("appendix C: %s", got)
	}

	openGCM := func(token string, cek []byte) string {
		t.Helper()
		parts := strings.Split(token, ".")
		block, err := aes.NewCipher(cek)
		if err != nil {
			t.Fatal(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		sealed := append(octetsOf(t, parts[3]), octetsOf(t, parts[4])...)
		plain, err := gcm.Open(nil, octetsOf(t, parts[2]), sealed, []byte(parts[0]))
		if err != nil {
			t.Fatal(err)
		}
		return string(plain)
	}

	own := ecKey(t, elliptic.P256())
	token, err := house.Encrypt(t.Context(), with(set(jwk(t, &own.PublicKey, ""))), "ECDH-ES", "A256GCM", true, []byte("a.b.c"))
	if err != nil {
		t.Fatal(err)
	}
	epk, _ := header(t, token)["epk"].(map[string]any)
	theirs, err := ecdh.P256().NewPublicKey(bytes.Join([][]byte{{4}, octetsOf(t, epk["x"].(string)), octetsOf(t, epk["y"].(string))}, nil))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := own.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	if z, err = mine.ECDH(theirs); err != nil {
		t.Fatal(err)
	}
	if plain := openGCM(token, concatKDF(z, "A256GCM", nil, nil, 256)); plain != "a.b.c" {
		t.Errorf("ECDH-ES: %q", plain)
	}

	token, err = house.Encrypt(t.Context(), with(set(jwk(t, &rsaKey().PublicKey, ""))), "RSA-OAEP-256", "A128GCM", true, []byte("a.b.c"))
	if err != nil {
		t.Fatal(err)
	}
	cek, err := rsa.DecryptOAEP(sha256.New(), nil, rsaKey(), octetsOf(t, strings.Split(token, ".")[1]), nil)
	if err != nil {
		t.Fatal(err)
	}
	if plain := openGCM(token, cek); plain != "a.b.c" {
		t.Errorf("RSA-OAEP-256: %q", plain)
	}
}

// Which of a client's keys is used.
func TestChoose(t *testing.T) {
	a, b := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384())
	ec := func(more string) string { return jwk(t, &a.PublicKey, more) }
	other := jwk(t, &b.PublicKey, `"kid":"other"`)
	big := jwk(t, &rsaKey().PublicKey, `"kid":"rsa"`)
	sm2 := strings.Replace(ec(`"kid":"sm2"`), "P-256", "SM2", 1)
	for name, row := range map[string]struct{ alg, set, kid string }{
		"first-of-two":            {"ECDH-ES", set(ec(`"kid":"one"`), other), "one"},
		"the-one-for-encryption":  {"ECDH-ES", set(ec(`"kid":"one"`), ec(`"kid":"two","use":"enc"`)), "two"},
		"not-for-signatures":      {"ECDH-ES", set(ec(`"kid":"one","use":"sig"`), other), "other"},
		"not-of-another-alg":      {"ECDH-ES", set(ec(`"kid":"one","alg":"ES256"`), ec(`"kid":"two","alg":"ECDH-ES"`)), "two"},
		"by-key-ops":              {"ECDH-ES", set(ec(`"kid":"one","key_ops":["verify"]`), ec(`"kid":"two","key_ops":["deriveKey"]`)), "two"},
		"no-key-ops-at-all":       {"ECDH-ES", set(ec(`"kid":"one","key_ops":[]`)), "one"},
		"rsa-wraps":               {"RSA-OAEP-256", set(ec(""), jwk(t, &rsaKey().PublicKey, `"kid":"one","key_ops":["wrapKey"]`)), "one"},
		"past-what-is-not-known":  {"RSA-OAEP-256", set(`{"kty":"OKP","crv":"X25519","x":"AA"}`, sm2, big), "rsa"},
		"past-what-is-malformed":  {"ECDH-ES", set(strings.Replace(ec(""), `"x":"`, `"x":"A`, 1), other), "other"},
		"unknown-members-ignored": {"ECDH-ES", set(ec(`"kid":"one","x5u":"https://evil.example","ext":true`)), "one"},
	} {
		if k, err := choose([]byte(row.set), row.alg); err != nil || k.kid != row.kid {
			t.Errorf("%s: %q %v", name, k.kid, err)
		}
	}
}

// Nothing is encrypted to what is no good key, and nothing comes out in clear.
func TestRefuses(t *testing.T) {
	a := ecKey(t, elliptic.P256())
	ec := func(more string) string { return jwk(t, &a.PublicKey, more) }
	point := struct{ X, Y string }{}
	if err := json.Unmarshal([]byte(ec("")), &point); err != nil {
		t.Fatal(err)
	}
	big := func(more string) string { return jwk(t, &rsaKey().PublicKey, more) }
	for name, row := range map[string]struct{ alg, enc, set string }{
		"no-keys":          {"ECDH-ES", "A256GCM", ""},
		"empty-set":        {"ECDH-ES", "A256GCM", set()},
		"not-a-set":        {"ECDH-ES", "A256GCM", `[]`},
		"not-json":         {"ECDH-ES", "A256GCM", `{"keys":[`},
		"keys-twice":       {"ECDH-ES", "A256GCM", `{"keys":[],"keys":[` + ec("") + `]}`},
		"key-is-text":      {"ECDH-ES", "A256GCM", `{"keys":["` + point.X + `"]}`},
		"member-twice":     {"ECDH-ES", "A256GCM", set(ec(`"kid":"a","kid":"b"`))},
		"too-many":         {"ECDH-ES", "A256GCM", set(strings.Split(strings.Repeat(`{"kty":"EC"} `, 65), " ")[:65]...)},
		"too-long":         {"ECDH-ES", "A256GCM", set(ec(`"x5c":["` + strings.Repeat("A", maxSet) + `"]`))},
		"private":          {"ECDH-ES", "A256GCM", set(ec(`"d":"AA"`))},
		"private-other":    {"ECDH-ES", "A256GCM", set(ec(""), big(`"d":"AA"`))},
		"symmetric":        {"ECDH-ES", "A256GCM", set(`{"kty":"oct","k":"AA"}`)},
		"for-signatures":   {"ECDH-ES", "A256GCM", set(ec(`"use":"sig"`))},
		"use-is-a-number":  {"ECDH-ES", "A256GCM", set(ec(`"use":1`))},
		"for-another-alg":  {"ECDH-ES", "A256GCM", set(ec(`"alg":"ES256"`))},
		"ops-to-verify":    {"ECDH-ES", "A256GCM", set(ec(`"key_ops":["verify"]`))},
		"rsa-for-ecdh":     {"ECDH-ES", "A256GCM", set(big(""))},
		"ec-for-rsa":       {"RSA-OAEP-256", "A256GCM", set(ec(""))},
		"small-rsa":        {"RSA-OAEP-256", "A256GCM", set(`{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 340) + `"}`)},
		"giant-rsa":        {"RSA-OAEP-256", "A256GCM", set(`{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 1400) + `"}`)},
		"even-rsa":         {"RSA-OAEP-256", "A256GCM", set(`{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 341) + `g"}`)},
		"exponent-1":       {"RSA-OAEP-256", "A256GCM", set(strings.Replace(big(""), `"e":"AQAB"`, `"e":"AQ"`, 1))},
		"exponent-giant":   {"RSA-OAEP-256", "A256GCM", set(strings.Replace(big(""), `"e":"AQAB"`, `"e":"_______"`, 1))},
		"leading-zero":     {"RSA-OAEP-256", "A256GCM", set(strings.Replace(big(""), `"e":"AQAB"`, `"e":"AAEAAQ"`, 1))},
		"off-the-curve":    {"ECDH-ES", "A256GCM", set(`{"kty":"EC","crv":"P-256","x":"` + point.Y + `","y":"` + point.X + `"}`)},
		"another-curve":    {"ECDH-ES", "A256GCM", set(strings.Replace(ec(""), "P-256", "P-384", 1))},
		"secp256k1":        {"ECDH-ES", "A256GCM", set(strings.Replace(ec(""), "P-256", "secp256k1", 1))},
		"short-coordinate": {"ECDH-ES", "A256GCM", set(`{"kty":"EC","crv":"P-256","x":"AA","y":"` + point.Y + `"}`)},
		"padded":           {"ECDH-ES", "A256GCM", set(strings.Replace(ec(""), point.X, point.X+"=", 1))},
		"no-y":             {"ECDH-ES", "A256GCM", set(`{"kty":"EC","crv":"P-256","x":"` + point.X + `"}`)},
		"rsa1_5":           {"RSA1_5", "A256GCM", set(big(""))},
		"oaep-sha1":        {"RSA-OAEP", "A256GCM", set(big(""))},
		"dir":              {"dir", "A256GCM", set(big(""))},
		"no-enc":           {"RSA-OAEP-256", "", set(big(""))},
		"no-alg":           {"", "A256GCM", set(big(""))},
		"unknown-enc":      {"RSA-OAEP-256", "A256CBC", set(big(""))},
	} {
		t.Run(name, func(t *testing.T) {
			c := with(row.set)
			if err := house.Ready(t.Context(), c, row.alg, row.enc); err == nil {
				t.Error("ready")
			}
			if out, err := house.Encrypt(t.Context(), c, row.alg, row.enc, true, []byte("plain")); err == nil || out != "" {
				t.Errorf("%q", out)
			}
		})
	}
}

type nobody struct{}

func (nobody) Document(context.Context, *oauth.Client) ([]byte, error) {
	return nil, errors.New("does not answer")
}

func TestKeysThatCannotBeHad(t *testing.T) {
	if out, err := (Encrypter{nobody{}}).Encrypt(t.Context(), with(""), "ECDH-ES", "A256GCM", true, []byte("plain")); err == nil || out != "" {
		t.Errorf("%q", out)
	}
}

// Whatever a client publishes, a key that is chosen encrypts.
func FuzzChoose(f *testing.F) {
	key := jwk(f, &ecKey(f, elliptic.P256()).PublicKey, `"use":"enc","kid":"a"`)
	f.Add(set(key), true)
	f.Add(set(strings.Replace(key, "P-256", "P-521", 1)), true)
	f.Add(set(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`), false)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}`, true)
	f.Fuzz(func(t *testing.T, doc string, ec bool) {
		alg := "RSA-OAEP-256"
		if ec {
			alg = "ECDH-ES"
		}
		k, err := choose([]byte(doc), alg)
		out, failed := house.Encrypt(t.Context(), with(doc), alg, "A256GCM", true, []byte("plain"))
		if (err == nil) != (failed == nil) || err != nil && (k.public != nil || out != "") {
			t.Fatalf("%q: %v, %v", doc, err, failed)
		}
	})
}
