package phone

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/authn/phone/attest"
	"ecardid/identity"
	"ecardid/internal/jose"
)

const aud = "https://login.ecard.test"

var now = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func newSigner(t testing.TB, alg jose.Alg) Signer {
	t.Helper()
	s, err := NewSigner(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newChallenge(t testing.TB) EnrolmentChallenge {
	t.Helper()
	c, err := NewEnrolmentChallenge(rand.Reader, identity.NewID(), aud, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A notary is a verifier that remembers what it was asked.
type notary struct{ seen attest.Statement }

func (*notary) Format() string { return "test" }
func (n *notary) Verify(_ time.Time, s attest.Statement) (attest.Result, error) {
	n.seen = s
	if len(s.Chain) != 1 || string(s.Chain[0]) != "certificate" {
		return attest.Result{}, attest.ErrRefused
	}
	return attest.Result{Format: "test", Level: identity.KeyTEE}, nil
}

func verifiers(t testing.TB, more ...attest.Verifier) attest.Set {
	t.Helper()
	s, err := attest.NewSet(append(more, attest.Unattested{})...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEnrolment(t *testing.T) {
	for _, alg := range Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			s, c, n := newSigner(t, alg), newChallenge(t), &notary{}
			body, err := s.Enrol(c, About{Name: "张的手机\u202e\n", Model: "P60", OS: "HarmonyOS 5"}, "test", [][]byte{[]byte("certificate")}, now)
			if err != nil {
				t.Fatal(err)
			}
			e, err := ParseEnrolment(body)
			if err != nil {
				t.Fatal(err)
			}
			b, err := e.Verify(c, verifiers(t, n), now)
			if err != nil {
				t.Fatal(err)
			}
			if b.Key.Thumbprint() != s.Thumbprint() || b.Attestation.Level != identity.KeyTEE || b.About.Name != "张的手机" || !bytes.Contains(b.Evidence, []byte("test")) {
				t.Errorf("%+v", b)
			}
			if encode64(n.seen.Challenge) != c.Challenge {
				t.Error("the attestation was judged for another challenge")
			}
			if pub, ok := n.seen.Key.(*ecdsa.PublicKey); ok != (alg == jose.ES256) || ok && !pub.Equal(s.attestable()) {
				t.Error("the attestation was judged for another key")
			}
			// As storage keeps it.
			k, err := LoadKey(b.Key.JWK(), string(b.Key.Alg()))
			if err != nil || !bytes.Equal(k.Digest(), b.Key.Digest()) || len(k.Digest()) != 32 {
				t.Errorf("%v, %v", k, err)
			}
			other := jose.ES256
			if alg == jose.ES256 {
				other = jose.SM2
			}
			if _, err := LoadKey(b.Key.JWK(), string(other)); err == nil {
				t.Error("loaded under another algorithm")
			}
		})
	}
}

func TestEnrolmentRefused(t *testing.T) {
	other := newSigner(t, jose.ES256)
	edit := func(change func(m map[string]any)) func(*testing.T, []byte) []byte {
		return func(t *testing.T, body []byte) []byte {
			var m map[string]any
			if err := json.Unmarshal(body, &m); err != nil {
				t.Fatal(err)
			}
			change(m)
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	proof := func(t *testing.T, s Signer, typ string, claims map[string]any) string {
		p, err := jose.Sign(s.jwt, typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		name   string
		claims func(map[string]any) // of the proof
		typ    string
		signer *Signer // of the proof
		body   func(*testing.T, []byte) []byte
		change func(*EnrolmentChallenge)
		format string
		wait   time.Duration
		want   error
	}{
		{name: "good"},
		{name: "good-with-unknown-members", body: edit(func(m map[string]any) { m["key_protection"] = "tee" })},
		{name: "late", wait: enrolLife, want: ErrExpired},
		{name: "no-expiry", change: func(c *EnrolmentChallenge) { c.Expires = time.Time{} }, want: ErrExpired},
		{name: "another-challenge", claims: func(m map[string]any) { m["challenge"] = encode64(make([]byte, 32)) }, want: ErrRefused},
		{name: "no-challenge", claims: func(m map[string]any) { delete(m, "challenge") }, want: ErrRefused},
		{name: "another-enrolment", claims: func(m map[string]any) { m["enrolment_id"] = identity.NewID().String() }, want: ErrRefused},
		{name: "another-audience", claims: func(m map[string]any) { m["aud"] = "https://evil.example" }, want: ErrRefused},
		{name: "two-audiences", claims: func(m map[string]any) { m["aud"] = []string{aud, "https://evil.example"} }, want: ErrRefused},
		{name: "another-key-named", claims: func(m map[string]any) { m["jkt"] = other.Thumbprint() }, want: ErrRefused},
		{name: "old", claims: func(m map[string]any) { m["iat"] = now.Add(-2 * time.Minute).Unix() }, want: ErrExpired},
		{name: "from-the-future", claims: func(m map[string]any) { m["iat"] = now.Add(2 * time.Minute).Unix() }, want: ErrExpired},
		{name: "no-time", claims: func(m map[string]any) { delete(m, "iat") }, want: ErrExpired},
		{name: "time-as-text", claims: func(m map[string]any) { m["iat"] = "now" }, want: ErrMalformed},
		{name: "another-type", typ: "JWT", want: ErrRefused},
		{name: "no-type", typ: "-", want: ErrRefused},
		// The key's owner did not sign.
		{name: "signed-by-another-key", signer: &other, want: ErrRefused},
		{name: "another-key-put-in", body: edit(func(m map[string]any) { m["public_jwk"] = json.RawMessage(other.JWK()) }), want: ErrRefused},
		{name: "unknown-format", format: "huks", want: attest.ErrFormat},
		{name: "bad-attestation", format: "test", want: attest.ErrRefused},
		{name: "no-attestation", body: edit(func(m map[string]any) { delete(m, "attestation") }), want: ErrMalformed},
		{name: "attestation-null", body: edit(func(m map[string]any) { m["attestation"] = nil }), want: ErrMalformed},
		{name: "alg-of-another-key", body: edit(func(m map[string]any) { m["alg"] = jose.SM2 }), want: ErrMalformed},
		{name: "no-alg", body: edit(func(m map[string]any) { delete(m, "alg") }), want: ErrMalformed},
		{name: "alg-none", body: edit(func(m map[string]any) { m["alg"] = "none" }), want: ErrMalformed},
		{name: "ed25519", body: edit(func(m map[string]any) {
			m["alg"], m["public_jwk"] = "EdDSA", map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode64(bytes.Repeat([]byte{1}, 32))}
		}), want: ErrMalformed},
		{name: "symmetric", body: edit(func(m map[string]any) {
			m["public_jwk"] = map[string]string{"kty": "oct", "k": encode64(make([]byte, 32))}
		}), want: ErrMalformed},
		{name: "private-key", body: edit(func(m map[string]any) {
			m["public_jwk"].(map[string]any)["d"] = encode64(make([]byte, 32))
		}), want: ErrMalformed},
		{name: "off-the-curve", body: edit(func(m map[string]any) {
			m["public_jwk"].(map[string]any)["x"] = encode64(make([]byte, 32))
		}), want: ErrMalformed},
		{name: "no-key", body: edit(func(m map[string]any) { delete(m, "public_jwk") }), want: ErrMalformed},
		{name: "no-proof", body: edit(func(m map[string]any) { delete(m, "proof") }), want: ErrMalformed},
		{name: "eleven-certificates", body: edit(func(m map[string]any) {
			m["attestation"] = map[string]any{"format": "test", "chain": slices.Repeat([]string{"AAAA"}, 11)}
		}), want: ErrMalformed},
		{name: "certificate-not-base64", body: edit(func(m map[string]any) {
			m["attestation"] = map[string]any{"format": "test", "chain": []string{"__-_"}}
		}), want: ErrMalformed},
		{name: "giant-certificate", body: edit(func(m map[string]any) {
			m["attestation"] = map[string]any{"format": "test", "chain": []string{base64.StdEncoding.EncodeToString(make([]byte, maxCert+3))}}
		}), want: ErrMalformed},
		{name: "member-twice", body: func(_ *testing.T, b []byte) []byte { return append([]byte(`{"alg":"ES256",`), b[1:]...) }, want: ErrMalformed},
		{name: "member-twice-in-another-case", body: func(_ *testing.T, b []byte) []byte { return append([]byte(`{"ALG":"ES256",`), b[1:]...) }, want: ErrMalformed},
		{name: "trailing", body: func(_ *testing.T, b []byte) []byte { return append(b, "{}"...) }, want: ErrMalformed},
		{name: "array", body: func(_ *testing.T, b []byte) []byte { return []byte("[" + string(b) + "]") }, want: ErrMalformed},
		{name: "empty", body: func(*testing.T, []byte) []byte { return nil }, want: ErrMalformed},
		{name: "too-long", body: func(_ *testing.T, b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), maxBody)...) }, want: ErrMalformed},
		{name: "deep", body: func(_ *testing.T, b []byte) []byte {
			return []byte(`{"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "," + string(b[1:]))
		}, want: ErrMalformed},
		{name: "invalid-utf8", body: func(_ *testing.T, b []byte) []byte {
			return bytes.Replace(b, []byte("P60"), []byte("\xff"), 1)
		}, want: ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, ch := newSigner(t, jose.ES256), newChallenge(t)
			format := c.format
			if format == "" {
				format = attest.None
			}
			body, err := s.Enrol(ch, About{Model: "P60"}, format, nil, now)
			if err != nil {
				t.Fatal(err)
			}
			if c.claims != nil || c.typ != "" || c.signer != nil {
				claims := map[string]any{"challenge": ch.Challenge, "enrolment_id": ch.EnrolmentID, "aud": aud, "jkt": s.Thumbprint(), "iat": now.Unix()}
				if c.claims != nil {
					c.claims(claims)
				}
				by, typ := s, ProofType
				if c.signer != nil {
					by = *c.signer
				}
				if c.typ != "" {
					typ = strings.Trim(c.typ, "-")
				}
				body = edit(func(m map[string]any) { m["proof"] = proof(t, by, typ, claims) })(t, body)
			}
			if c.body != nil {
				body = c.body(t, body)
			}
			if c.change != nil {
				c.change(&ch)
			}
			e, err := ParseEnrolment(body)
			if err != nil && !reflect.DeepEqual(e, Enrolment{}) {
				t.Error("what failed to parse returned something")
			}
			var b Bound
			if err == nil {
				b, err = e.Verify(ch, verifiers(t, &notary{}), now.Add(c.wait))
			}
			if !errors.Is(err, c.want) || err != nil && !reflect.DeepEqual(b, Bound{}) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want == nil && b.Attestation.Level != identity.KeyUnattested {
				t.Errorf("%+v", b)
			}
		})
	}
}

func TestChallenges(t *testing.T) {
	a, b := newChallenge(t), newChallenge(t)
	raw, err := base64.RawURLEncoding.DecodeString(a.Challenge)
	if err != nil || len(raw) != 32 || a.Challenge == b.Challenge || !a.Expires.Equal(now.Add(2*time.Minute)) {
		t.Errorf("%+v", a)
	}
	if _, err := NewEnrolmentChallenge(strings.NewReader("short"), identity.NewID(), aud, now); err == nil {
		t.Error("a dry source gave a challenge")
	}
	if b, err := (Enrolment{}).Verify(a, verifiers(t), now); !errors.Is(err, ErrRefused) || !b.Key.IsZero() {
		t.Errorf("the zero enrolment: %v", err)
	}
}

func TestSigner(t *testing.T) {
	if _, err := NewSigner(jose.EdDSA); err == nil {
		t.Error("EdDSA is not offered")
	}
	for _, alg := range Algorithms() {
		s := newSigner(t, alg)
		der, err := s.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		back, err := LoadSigner(alg, der)
		if err != nil || back.Thumbprint() != s.Thumbprint() {
			t.Errorf("%v, %v", back, err)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Count(text, s.Thumbprint()) != 4 || strings.Contains(text, "priv") {
			t.Errorf("prints %s", text)
		}
		if _, err := (Signer{}).sign(nil); err == nil {
			t.Error("the zero signer signs")
		}
	}
}

func FuzzEnrolment(f *testing.F) {
	s := newSigner(f, jose.ES256)
	c := newChallenge(f)
	for _, alg := range Algorithms() {
		body, err := newSigner(f, alg).Enrol(c, About{Name: "n"}, attest.None, nil, now)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	body, err := s.Enrol(c, About{}, "test", [][]byte{[]byte("x")}, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	set := verifiers(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := ParseEnrolment(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(e, Enrolment{}) {
				t.Errorf("%v, %+v", err, e)
			}
			return
		}
		b, err := e.Verify(c, set, now)
		if err != nil && !b.Key.IsZero() || err == nil && b.Key.IsZero() {
			t.Errorf("%v, %+v", err, b)
		}
	})
}
