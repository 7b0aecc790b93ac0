package jose

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"
)

const (
	// RFC 7515 A.2.1 and A.3.1; both sign the claims of A.1.
	rsaA2 = `{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}`
	jwsA2 = `eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw`
	ecA3  = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	jwsA3 = `eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`

	// RFC 7638 §3.1.
	rsaThumb = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`

	// RFC 8037 A.2 and A.4. The payload is no JSON, so it tests the signature alone.
	edA2  = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	jwsEd = `eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg`

	// The key and signature of GB/T 32918.5, and a JWS by that key which gmsm,
	// sm-crypto and OpenSSL agreed on.
	sm2D    = `3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8`
	sm2R    = `F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3`
	sm2S    = `B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA`
	sm2JWK  = `{"kty":"EC","crv":"SM2","x":"CfnfMR5UIaFQ3X0WHkvFxnIXn60YM_wHa7CP81bzUCA","y":"zOpJDOJndaUtxupxjMGqYArtBfvzXghKZjL2By2prRM","use":"sig","alg":"SGD_SM3_SM2","kid":"test-sm2-1"}`
	jwsSM2  = `eyJhbGciOiJTR0RfU00zX1NNMiIsImtpZCI6InRlc3Qtc20yLTEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuZ292LmNuIiwic3ViIjoidTEiLCJhdWQiOiJycDEiLCJleHAiOjE5MDAwMDAwMDAsImlhdCI6MTgwMDAwMDAwMH0.IT60Ol3pwtum6p5o-S7mXlUhb3-a0i-4kxWjQwoIJJLps4S3MTRevkBxzzJPp3rHxA_JN7Z-Gym5lm-9PPGY9A`
	sm2Long = `{"kty":"EC","crv":"SM2-P-256","x":"CfnfMR5UIaFQ3X0WHkvFxnIXn60YM_wHa7CP81bzUCA","y":"zOpJDOJndaUtxupxjMGqYArtBfvzXghKZjL2By2prRM"}`
)

func mustKey(t testing.TB, jwk string) Key {
	t.Helper()
	k, err := ParseJWK([]byte(jwk))
	if err != nil {
		t.Fatalf("ParseJWK: %v", err)
	}
	return k
}

func mustSet(t testing.TB, keys ...Key) Set {
	t.Helper()
	s, err := NewSet(keys...)
	if err != nil {
		t.Fatalf("NewSet: %v", err)
	}
	return s
}

func mustGenerate(t testing.TB, alg Alg, kid string) Key {
	t.Helper()
	k, err := Generate(alg, kid)
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sm2Private(t testing.TB) *sm2.PrivateKey {
	t.Helper()
	priv, err := sm2.NewPrivateKey(unhex(t, sm2D))
	if err != nil {
		t.Fatal(err)
	}
	return priv
}

func TestVectorsVerify(t *testing.T) {
	for _, tt := range []struct {
		name, jwk, jws string
		alg            Alg
		issuer         string
	}{
		{"RFC 7515 A.2", rsaA2, jwsA2, RS256, "joe"},
		{"RFC 7515 A.3", ecA3, jwsA3, ES256, "joe"},
		{"SM2", sm2JWK, jwsSM2, SM2, "https://id.example.gov.cn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := Parse(tt.jws)
			if err != nil {
				t.Fatal(err)
			}
			v, err := token.Verify(mustSet(t, mustKey(t, tt.jwk)), tt.alg)
			if err != nil {
				t.Fatal(err)
			}
			std, err := v.Standard()
			if err != nil || std.Issuer != tt.issuer {
				t.Errorf("Standard() = %+v, %v", std, err)
			}
			last := tt.jws[len(tt.jws)-20]
			other := byte('A')
			if last == other {
				other = 'B'
			}
			bad := tt.jws[:len(tt.jws)-20] + string(other) + tt.jws[len(tt.jws)-19:]
			if token, err = Parse(bad); err != nil {
				t.Fatal(err)
			}
			if _, err := token.Verify(mustSet(t, mustKey(t, tt.jwk)), tt.alg); err == nil {
				t.Error("a changed signature verified")
			}
		})
	}
}

func TestVectorEd25519(t *testing.T) {
	cut := strings.LastIndexByte(jwsEd, '.')
	sig, err := decode64(jwsEd[cut+1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := mustKey(t, edA2).verify([]byte(jwsEd[:cut]), sig); err != nil {
		t.Error(err)
	}
	if err := mustKey(t, edA2).verify([]byte(jwsEd[:cut]+"x"), sig); err == nil {
		t.Error("another text verified")
	}
}

func TestVectorGBT32918(t *testing.T) {
	k := mustKey(t, sm2JWK)
	if err := k.verify([]byte("message digest"), unhex(t, sm2R+sm2S)); err != nil {
		t.Error(err)
	}
	priv, err := NewPrivate(SM2, "test-sm2-1", sm2Private(t))
	if err != nil {
		t.Fatal(err)
	}
	if !priv.Equal(k) {
		t.Error("the JWK is not that of d")
	}
}

// The whole SM2 profile to the octet: header, claims, ZA, r‖s. Only the nonce is
// fixed, which the package itself never does.
func TestVectorSM2Octets(t *testing.T) {
	key, err := NewPrivate(SM2, "test-sm2-1", sm2Private(t))
	if err != nil {
		t.Fatal(err)
	}
	claims := []byte(`{"iss":"https://id.example.gov.cn","sub":"u1","aud":"rp1","exp":1900000000,"iat":1800000000}`)
	input, err := signingInput(key, "JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	der, err := sm2.SignDeterministic(sm2Private(t), input, sm2.DefaultSM2SignerOpts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := derToRaw(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(input) + "." + b64.EncodeToString(raw); got != jwsSM2 {
		t.Errorf("got  %s\nwant %s", got, jwsSM2)
	}
}

func TestThumbprint(t *testing.T) {
	for _, tt := range []struct{ name, jwk, want string }{
		{"RFC 7638 3.1", rsaThumb, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037 A.3", edA2, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		{"SM2-P-256 counts as SM2", sm2Long, mustKey(t, sm2JWK).Thumbprint()},
	} {
		if got := mustKey(t, tt.jwk).Thumbprint(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if (Key{}).Thumbprint() != "" {
		t.Error("the zero key has a thumbprint")
	}
}

func TestHalfHash(t *testing.T) {
	for _, tt := range []struct {
		alg         Alg
		token, want string
	}{
		// OpenID Connect Core A.3: the token and at_hash of its example.
		{RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"},
		// SM3("abc") of GB/T 32905 A.1, SHA-512("abc") of FIPS 180-4, their left halves.
		{SM2, "abc", b64.EncodeToString(unhex(t, "66c7f0f462eeedd9d1f2d46bdc10e4e2"))},
		{EdDSA, "abc", b64.EncodeToString(unhex(t, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"))},
		{"HS256", "abc", ""},
		{"", "abc", ""},
	} {
		if got := HalfHash(tt.alg, tt.token); got != tt.want {
			t.Errorf("HalfHash(%q) = %q, want %q", string(tt.alg), got, tt.want)
		}
	}
	for _, alg := range []Alg{ES256, PS256} {
		if HalfHash(alg, "abc") != HalfHash(RS256, "abc") {
			t.Errorf("%s does not use SHA-256", alg)
		}
	}
}
