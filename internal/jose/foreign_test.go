package jose

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	foreign "github.com/go-jose/go-jose/v3"
)

// Another implementation reads our keys and tokens, and we read its.
func TestGoJOSE(t *testing.T) {
	for _, alg := range []Alg{ES256, PS256, RS256, EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			ours := mustGenerate(t, alg, "k1")
			doc, err := json.Marshal(ours)
			if err != nil {
				t.Fatal(err)
			}
			var theirs foreign.JSONWebKey
			if err := json.Unmarshal(doc, &theirs); err != nil {
				t.Fatalf("they refuse %s: %v", doc, err)
			}
			compact, err := Sign(ours, "JWT", map[string]string{"sub": "u1"})
			if err != nil {
				t.Fatal(err)
			}
			jws, err := foreign.ParseSigned(compact)
			if err != nil {
				t.Fatal(err)
			}
			if payload, err := jws.Verify(theirs); err != nil || string(payload) != `{"sub":"u1"}` {
				t.Errorf("they read %s, %v", payload, err)
			}

			back, err := ParseJWK(mustJSON(t, theirs.Public()))
			if err != nil || !back.Equal(ours) {
				t.Errorf("their JWK of our key: %v, %v", back, err)
			}
			signer, err := foreign.NewSigner(foreign.SigningKey{
				Algorithm: foreign.SignatureAlgorithm(alg),
				Key:       foreign.JSONWebKey{Key: ours.m.priv, KeyID: "k1"},
			}, (&foreign.SignerOptions{}).WithType("JWT"))
			if err != nil {
				t.Fatal(err)
			}
			object, err := signer.Sign([]byte(`{"sub":"u2"}`))
			if err != nil {
				t.Fatal(err)
			}
			if compact, err = object.CompactSerialize(); err != nil {
				t.Fatal(err)
			}
			token, err := Parse(compact)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := token.Verify(mustSet(t, back), alg); err != nil {
				t.Error(err)
			}
		})
	}
}

// The reason for two key sets (DESIGN D4): the ring's first document must stay
// readable for those who cannot read the second.
func TestGoJOSEReadsPublicSet(t *testing.T) {
	r, err := NewRing([]RingKey{
		{mustGenerate(t, ES256, "e"), Active}, {mustGenerate(t, EdDSA, "d"), Active}, {mustGenerate(t, SM2, "s"), Active},
	})
	if err != nil {
		t.Fatal(err)
	}
	var set foreign.JSONWebKeySet
	if err := json.Unmarshal([]byte(r.Public()), &set); err != nil || len(set.Keys) != 2 {
		t.Errorf("%d keys, %v", len(set.Keys), err)
	}
	if json.Unmarshal([]byte(r.SM2Public()), &set) == nil {
		t.Log("the library reads SM2 keys now: the second key set may no longer be needed for it")
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// OpenSSL takes the empty identity for SM2 unless it is told ours.
const distID = "distid:1234567812345678"

func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("no openssl command here: install the package openssl (scripts/setup test does)")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data []byte) {
		if err := os.WriteFile(path(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "openssl", args...).CombinedOutput()
		return string(out), err
	}

	k := mustGenerate(t, SM2, "k1")
	der, err := k.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if der, err = smx509.MarshalPKIXPublicKey(k.m.pub); err != nil {
		t.Fatal(err)
	}
	write("pub.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))

	t.Run("it verifies ours", func(t *testing.T) {
		compact, err := Sign(k, "JWT", map[string]string{"sub": "u1"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := Parse(compact)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := rawToDER(nil, token.sig)
		if err != nil {
			t.Fatal(err)
		}
		write("input", []byte(token.input))
		write("sig", sig)
		out, err := openssl("dgst", "-sm3", "-verify", path("pub.pem"), "-sigopt", distID, "-signature", path("sig"), path("input"))
		if err != nil || !strings.Contains(out, "Verified OK") {
			t.Errorf("%s %v", out, err)
		}
	})

	t.Run("we verify its", func(t *testing.T) {
		input := b64.EncodeToString([]byte(`{"alg":"SGD_SM3_SM2","kid":"k1"}`)) + "." + b64.EncodeToString([]byte(`{"sub":"u2"}`))
		write("input", []byte(input))
		verify := func(args ...string) error {
			args = append([]string{"dgst", "-sm3", "-sign", path("key.pem"), "-out", path("sig")}, args...)
			if out, err := openssl(append(args, path("input"))...); err != nil {
				t.Fatalf("%s %v", out, err)
			}
			der, err := os.ReadFile(path("sig"))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := derToRaw(der)
			if err != nil {
				t.Fatal(err)
			}
			token, err := Parse(input + "." + b64.EncodeToString(raw))
			if err != nil {
				t.Fatal(err)
			}
			_, err = token.Verify(mustSet(t, k), SM2)
			return err
		}
		if err := verify("-sigopt", distID); err != nil {
			t.Error(err)
		}
		if verify("-sigopt", "distid:someone else") == nil {
			t.Error("another identity verified")
		}
	})
}
