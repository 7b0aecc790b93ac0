package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/proof"
	"ecardid/oauth"
)

// SECURITY SC1, RFC 9449 §4.3.
func TestVerify(t *testing.T) {
	v, _, replay := newVerifier(t)
	v.Alias = "https://mtls.id.example:8443"
	k, other := generate(t, jose.ES256), generate(t, jose.ES256)
	now := noon
	const token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	at := func(d time.Duration) change { return set("iat", now.Add(d).Unix()) }
	nonce := func(at time.Time) change { return set("nonce", v.Nonces.Next(at)) }
	private := func(h, _ map[string]any) { h["jwk"].(map[string]any)["d"] = "AAAA" }
	jwk := func(name string, value any) change {
		return func(h, _ map[string]any) {
			jwk := maps.Clone(h["jwk"].(map[string]any))
			jwk[name] = value
			h["jwk"] = jwk
		}
	}
	for _, c := range []struct {
		name    string
		changes []change
		expect  Expect
		want    string // "" is accepted
	}{
		{"good", nil, Expect{}, ""},
		{"extra-claims", []change{set("x", 1), set("sub", "s")}, Expect{}, ""},
		{"nbf-and-exp", []change{set("nbf", now.Unix()), set("exp", now.Add(time.Minute).Unix())}, Expect{}, ""},
		{"typ-with-prefix", []change{setHeader("typ", "application/dpop+jwt")}, Expect{}, ""},

		{"no-jti", []change{drop("jti")}, Expect{}, CodeInvalidProof},
		{"no-htm", []change{drop("htm")}, Expect{}, CodeInvalidProof},
		{"no-htu", []change{drop("htu")}, Expect{}, CodeInvalidProof},
		{"no-iat", []change{drop("iat")}, Expect{}, CodeInvalidProof},
		{"empty-jti", []change{set("jti", "")}, Expect{}, CodeInvalidProof},
		{"long-jti", []change{set("jti", strings.Repeat("x", 257))}, Expect{}, CodeInvalidProof},
		{"longest-jti", []change{set("jti", strings.Repeat("x", 256))}, Expect{}, ""},
		{"jti-number", []change{set("jti", 1)}, Expect{}, CodeInvalidProof},
		{"htm-list", []change{set("htm", []string{"POST"})}, Expect{}, CodeInvalidProof},
		{"htu-object", []change{set("htu", map[string]any{})}, Expect{}, CodeInvalidProof},
		{"htu-null", []change{set("htu", nil)}, Expect{}, CodeInvalidProof},
		{"iat-text", []change{set("iat", "1")}, Expect{}, CodeInvalidProof},
		{"iat-null", []change{set("iat", nil)}, Expect{}, CodeInvalidProof},
		{"iat-milliseconds", []change{set("iat", now.UnixMilli())}, Expect{}, CodeInvalidProof},
		{"nonce-number", []change{set("nonce", 1)}, Expect{}, CodeInvalidProof},
		{"ath-number", []change{set("ath", 1)}, Expect{AccessToken: token}, CodeInvalidProof},
		// encoding/json would read this into a field for htm.
		{"other-spelling", []change{drop("htm"), set("HTM", "POST")}, Expect{}, CodeInvalidProof},

		{"no-typ", []change{func(h, _ map[string]any) { delete(h, "typ") }}, Expect{}, CodeInvalidProof},
		{"typ-JWT", []change{setHeader("typ", "JWT")}, Expect{}, CodeInvalidProof},
		{"typ-number", []change{setHeader("typ", 1)}, Expect{}, CodeInvalidProof},
		{"no-alg", []change{func(h, _ map[string]any) { delete(h, "alg") }}, Expect{}, CodeInvalidProof},
		{"alg-none", []change{setHeader("alg", "none")}, Expect{}, CodeInvalidProof},
		{"alg-HS256", []change{setHeader("alg", "HS256")}, Expect{}, CodeInvalidProof},
		{"alg-of-other-key", []change{setHeader("alg", "EdDSA")}, Expect{}, CodeInvalidProof},
		{"alg-SM2", []change{setHeader("alg", "SGD_SM3_SM2")}, Expect{}, CodeInvalidProof},
		{"crit", []change{setHeader("crit", []string{"x"})}, Expect{}, CodeInvalidProof},
		{"jku", []change{setHeader("jku", "https://evil.example/")}, Expect{}, CodeInvalidProof},
		{"x5c", []change{setHeader("x5c", []string{"x"})}, Expect{}, CodeInvalidProof},

		{"no-jwk", []change{func(h, _ map[string]any) { delete(h, "jwk") }}, Expect{}, CodeInvalidProof},
		{"jwk-text", []change{setHeader("jwk", "x")}, Expect{}, CodeInvalidProof},
		{"jwk-private", []change{private}, Expect{}, CodeInvalidProof},
		{"jwk-symmetric", []change{setHeader("jwk", map[string]any{"kty": "oct", "k": "AAAA"})}, Expect{}, CodeInvalidProof},
		{"jwk-of-another", []change{setHeader("jwk", public(t, other))}, Expect{}, CodeInvalidProof},
		{"jwk-curve-mismatch", []change{jwk("crv", "SM2"), jwk("alg", "SGD_SM3_SM2")}, Expect{}, CodeInvalidProof},
		{"jwk-unknown-curve", []change{jwk("crv", "P-384")}, Expect{}, CodeInvalidProof},
		{"jwk-off-curve", []change{jwk("x", base64.RawURLEncoding.EncodeToString(make([]byte, 32)))}, Expect{}, CodeInvalidProof},
		{"jwk-short", []change{jwk("x", "AAAA")}, Expect{}, CodeInvalidProof},
		{"jwk-for-encryption", []change{jwk("use", "enc")}, Expect{}, CodeInvalidProof},

		{"htm-other", []change{set("htm", "GET")}, Expect{}, CodeInvalidProof},
		{"htm-case", []change{set("htm", "post")}, Expect{}, CodeInvalidProof},
		{"htu-other-path", []change{set("htu", issuer+"/par")}, Expect{}, CodeInvalidProof},
		{"htu-prefix", []change{set("htu", endpoint+"/")}, Expect{}, CodeInvalidProof},
		{"htu-other-host", []change{set("htu", "https://evil.example/token")}, Expect{}, CodeInvalidProof},
		{"htu-http", []change{set("htu", "http://id.example/token")}, Expect{}, CodeInvalidProof},
		{"htu-port", []change{set("htu", "https://id.example:8443/token")}, Expect{}, CodeInvalidProof},
		{"htu-user", []change{set("htu", "https://a@id.example/token")}, Expect{}, CodeInvalidProof},
		{"htu-path-only", []change{set("htu", "/token")}, Expect{}, CodeInvalidProof},
		{"htu-path-case", []change{set("htu", issuer+"/Token")}, Expect{}, CodeInvalidProof},
		{"htu-junk", []change{set("htu", "https://id.example:x/token")}, Expect{}, CodeInvalidProof},
		{"htu-query-and-fragment", []change{set("htu", endpoint+"?a=b#c")}, Expect{}, ""},
		{"htu-host-case", []change{set("htu", "HTTPS://ID.Example/token")}, Expect{}, ""},
		{"htu-default-port", []change{set("htu", "https://id.example:443/token")}, Expect{}, ""},
		{"htu-alias", []change{set("htu", "https://mtls.id.example:8443/token")}, Expect{}, ""},
		{"htu-alias-by-url", []change{set("htu", "https://mtls.id.example:8443/token")}, Expect{URL: endpoint}, ""},
		{"htu-alias-other-path", []change{set("htu", "https://mtls.id.example:8443/par")}, Expect{}, CodeInvalidProof},
		{"htu-expected-elsewhere", nil, Expect{URL: issuer + "/userinfo"}, CodeInvalidProof},

		{"iat-10s-before", []change{at(-10 * time.Second)}, Expect{}, ""},
		{"iat-60s-before", []change{at(-60 * time.Second)}, Expect{}, ""},
		{"iat-61s-before", []change{at(-61 * time.Second)}, Expect{}, CodeInvalidProof},
		{"iat-8s-after", []change{at(8 * time.Second)}, Expect{}, ""},
		{"iat-11s-after", []change{at(11 * time.Second)}, Expect{}, CodeInvalidProof},
		{"iat-hour-before", []change{at(-time.Hour)}, Expect{}, CodeInvalidProof},
		{"iat-hour-after", []change{at(time.Hour)}, Expect{}, CodeInvalidProof},
		{"exp-past", []change{set("exp", now.Add(-time.Minute).Unix())}, Expect{}, CodeInvalidProof},
		{"nbf-ahead", []change{set("nbf", now.Add(time.Minute).Unix())}, Expect{}, CodeInvalidProof},

		{"nonce", []change{nonce(now)}, Expect{RequireNonce: true}, ""},
		{"nonce-before", []change{nonce(now.Add(-nonceLife))}, Expect{RequireNonce: true}, ""},
		{"nonce-old", []change{nonce(now.Add(-2 * nonceLife))}, Expect{}, CodeUseNonce},
		{"nonce-ahead", []change{nonce(now.Add(nonceLife))}, Expect{}, CodeUseNonce},
		{"nonce-wrong", []change{set("nonce", "x")}, Expect{}, CodeUseNonce},
		{"nonce-empty", []change{set("nonce", "")}, Expect{}, CodeUseNonce},
		{"nonce-missing", nil, Expect{RequireNonce: true}, CodeUseNonce},
		{"nonce-and-old-iat", []change{nonce(now), at(-4 * time.Minute)}, Expect{}, ""},
		{"nonce-and-hour-before", []change{nonce(now), at(-time.Hour)}, Expect{}, CodeInvalidProof},
		{"nonce-and-hour-after", []change{nonce(now), at(time.Hour)}, Expect{}, CodeInvalidProof},

		{"ath", []change{set("ath", Hash(token))}, Expect{AccessToken: token}, ""},
		{"ath-missing", nil, Expect{AccessToken: token}, CodeInvalidProof},
		{"ath-other", []change{set("ath", Hash("x"))}, Expect{AccessToken: token}, CodeInvalidProof},
		{"ath-unasked", []change{set("ath", Hash("x"))}, Expect{}, ""},
		{"expected-key", nil, Expect{JKT: k.Thumbprint()}, ""},
		{"other-key", nil, Expect{JKT: other.Thumbprint()}, CodeInvalidProof},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(replay.seen)
			proof, err := v.Verify(t.Context(), request(v.make(t, k, c.changes...)), c.expect)
			spent := len(replay.seen) - before
			switch {
			case c.want == "" && (err != nil || proof.JKT != k.Thumbprint() || spent != 1):
				t.Errorf("%+v, %v, %d spent", proof, err, spent)
			case c.want != "" && (code(err) != c.want || proof != (Proof{}) || spent != 0):
				t.Errorf("%+v, %v, %d spent, want %s", proof, err, spent, c.want)
			}
			if rfc := new(fosite.RFC6749Error); err != nil && (!errors.As(err, &rfc) || rfc.CodeField != http.StatusBadRequest) {
				t.Errorf("%v is no 400", err)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	v, _, _ := newVerifier(t)
	k := generate(t, jose.ES256)
	good := v.make(t, k)
	parts := strings.Split(good, ".")
	for name, headers := range map[string][]string{
		"none":         nil,
		"empty":        {""},
		"two":          {good, v.make(t, k)},
		"twice":        {good, good},
		"list":         {good + ", " + good},
		"not-a-jwt":    {"x"},
		"unsigned":     {parts[0] + "." + parts[1] + "."},
		"padded":       {good + "="},
		"flipped":      {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))},
		"other-claims": {parts[0] + "." + encode(t, map[string]any{"htm": "POST"}) + "." + parts[2]},
		"too-long":     {v.make(t, k, set("x", strings.Repeat("x", 8<<10)))},
	} {
		r := request(headers...)
		if proof, err := v.Verify(t.Context(), r, Expect{}); code(err) != CodeInvalidProof || proof != (Proof{}) {
			t.Errorf("%s: %+v, %v", name, proof, err)
		}
		if Present(r) != (headers != nil) {
			t.Errorf("%s: Present is %v", name, Present(r))
		}
	}
	if _, err := v.Verify(t.Context(), request(good), Expect{}); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestAlgorithms(t *testing.T) {
	v, _, _ := newVerifier(t)
	for _, alg := range Algs() {
		if _, err := v.Verify(t.Context(), request(v.make(t, generate(t, alg))), Expect{}); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	if _, err := v.Verify(t.Context(), request(v.make(t, generate(t, jose.RS256))), Expect{}); code(err) != CodeInvalidProof {
		t.Errorf("RS256: %v", err)
	}
	// An RSA key that names no alg takes the header's, and not every one of them.
	rsaKey := generate(t, jose.PS256)
	unbound := func(h, _ map[string]any) { delete(h["jwk"].(map[string]any), "alg") }
	if _, err := v.Verify(t.Context(), request(v.make(t, rsaKey, unbound)), Expect{}); err != nil {
		t.Errorf("PS256 without alg in jwk: %v", err)
	}
	for name, jwk := range map[string]map[string]any{
		"tiny":  {"kty": "RSA", "e": "AQAB", "n": modulus(t, 1024)},
		"giant": {"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(new(big.Int).SetBit(big.NewInt(1), 16383, 1).Bytes())},
		"e=1":   {"kty": "RSA", "e": "AQ", "n": modulus(t, 2048)},
	} {
		if _, err := v.Verify(t.Context(), request(v.make(t, rsaKey, setHeader("jwk", jwk))), Expect{}); code(err) != CodeInvalidProof {
			t.Errorf("%s: %v", name, err)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := p384.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(point[1:49]), "y": base64.RawURLEncoding.EncodeToString(point[49:])}
	if _, err := v.Verify(t.Context(), request(v.make(t, generate(t, jose.ES256), setHeader("jwk", jwk))), Expect{}); code(err) != CodeInvalidProof {
		t.Errorf("a point of P-384 as P-256: %v", err)
	}
}

func modulus(t *testing.T, bits int) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(k.N.Bytes())
}

// A proof is good once, at all endpoints together and for as long as it would be
// accepted (SECURITY SC2).
func TestReplay(t *testing.T) {
	v, clk, replay := newVerifier(t)
	k := generate(t, jose.ES256)
	proof := v.make(t, k, set("jti", "one"))
	if _, err := v.Verify(t.Context(), request(proof), Expect{}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), request(proof), Expect{}); code(err) != CodeInvalidProof || !errors.Is(err, identity.ErrReplayed) {
		t.Errorf("a replay: %v", err)
	}
	// The same jti in another proof of the key, and of another key.
	if _, err := v.Verify(t.Context(), request(v.make(t, k, set("jti", "one"), set("x", 1))), Expect{}); code(err) != CodeInvalidProof {
		t.Errorf("the jti again: %v", err)
	}
	if _, err := v.Verify(t.Context(), request(v.make(t, generate(t, jose.ES256), set("jti", "one"))), Expect{}); err != nil {
		t.Errorf("the jti of another key: %v", err)
	}
	for _, with := range []change{set("x", 1), set("nonce", v.Nonces.Next(noon))} {
		clear(replay.seen)
		clk.Advance(noon.Sub(clk.Now()))
		late := v.make(t, k, with)
		for {
			if _, err := v.Verify(t.Context(), request(late), Expect{}); err != nil && !errors.Is(err, identity.ErrReplayed) {
				break
			}
			for _, until := range replay.seen {
				if !clk.Now().Before(until) {
					t.Fatalf("forgotten at %v and still accepted", until)
				}
			}
			clk.Advance(time.Second)
		}
	}
	replay.err = errors.New("read-only")
	if _, err := v.Verify(t.Context(), request(v.make(t, k)), Expect{}); code(err) != "server_error" {
		t.Errorf("a store that fails: %v", err)
	}
}

func TestLedger(t *testing.T) {
	v, _, replay := newVerifier(t)
	k := generate(t, jose.ES256)
	ctx, ledger := oauth.WithLedger(t.Context())
	if _, err := v.Verify(ctx, request(v.make(t, k, set("htm", "GET"))), Expect{}); err == nil || len(ledger.Take()) != 0 {
		t.Error("a wrong proof is in the ledger")
	}
	if _, err := v.Verify(ctx, request(v.make(t, k)), Expect{}); err != nil {
		t.Fatal(err)
	}
	once := ledger.Take()
	if len(once) != 1 || len(once[0].Key) != 32 || once[0].Expires.Before(noon.Add(proof.Age)) || len(replay.seen) != 0 {
		t.Errorf("the ledger has %+v, and %d were spent", once, len(replay.seen))
	}
}

func TestNonces(t *testing.T) {
	v, _, _ := newVerifier(t)
	other, err := oauth.NewKeyed([]byte(strings.Repeat("x", 32)))
	if err != nil {
		t.Fatal(err)
	}
	n := v.Nonces.Next(noon)
	if n != v.Nonces.Next(noon.Add(time.Millisecond)) || n == (Nonces{other}).Next(noon) || (Nonces{other}).Valid(n, noon) {
		t.Error("nonces are not of their keys and time")
	}
	// Each lives for its own bucket and the next.
	for d, want := range map[time.Duration]bool{0: true, nonceLife: true, 2 * nonceLife: false, -nonceLife: false} {
		if got := v.Nonces.Valid(n, noon.Add(d)); got != want {
			t.Errorf("after %v: %v", d, got)
		}
	}
	for _, bad := range []string{"", "AAAA", n + "A", n + "=", n[:len(n)-1]} {
		if v.Nonces.Valid(bad, noon) {
			t.Errorf("%q is a nonce", bad)
		}
	}
	if (Nonces{}).Valid(n, noon) || (Nonces{}).Valid("", noon) {
		t.Error("without keys there are nonces")
	}
}

// The proofs of RFC 9449 §5 and §7.1, and the thumbprint of §6.1.
const (
	atToken = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	atApi   = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	jkt     = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

func TestVectors(t *testing.T) {
	v, clk, _ := newVerifier(t)
	clk.Advance(time.Unix(1562262620, 0).Sub(noon))
	got, err := v.Verify(t.Context(), request(atToken), Expect{URL: "https://server.example.com/token"})
	if err != nil || got.JKT != jkt {
		t.Errorf("§5: %+v, %v", got, err)
	}
	got, err = v.Verify(t.Context(), request(atApi), Expect{
		Method: http.MethodGet, URL: "https://resource.example.org/protectedresource",
		AccessToken: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", JKT: jkt,
	})
	if err != nil || got.JKT != jkt {
		t.Errorf("§7.1: %+v, %v", got, err)
	}
}

// What is not accepted says nothing about a key and uses nothing up.
func FuzzVerify(f *testing.F) {
	v, clk, replay := newVerifier(f)
	clk.Advance(time.Unix(1562262620, 0).Sub(noon))
	f.Add(atToken)
	f.Add(atApi)
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Im9jdCJ9fQ.e30.AA")
	f.Add("a.b.c")
	vector := Expect{URL: "https://server.example.com/token"}
	f.Fuzz(func(t *testing.T, header string) {
		clear(replay.seen)
		proof, err := v.Verify(t.Context(), request(header), vector)
		if err != nil {
			if proof != (Proof{}) || len(replay.seen) != 0 || code(err) != CodeInvalidProof && code(err) != CodeUseNonce {
				t.Fatalf("%+v, %v, %d spent", proof, err, len(replay.seen))
			}
			return
		}
		if len(proof.JKT) != 43 || len(replay.seen) != 1 {
			t.Fatalf("%+v, %d spent", proof, len(replay.seen))
		}
		if _, err := v.Verify(t.Context(), request(header), vector); err == nil {
			t.Fatal("twice")
		}
	})
}
