package jose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// The claims of an access token (RFC 9068 §2.2), as the issuer fills them.
type accessClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Client   string `json:"client_id"`
	Scope    string `json:"scope"`
	ACR      string `json:"acr"`
}

var benchClaims = accessClaims{
	"https://id.example.gov.cn", "u-3bOuWmk0Tg6m1p", "https://pension.example.gov.cn", 1900000000, 1800000000,
	"Zk3c0Q5vS0yG1h2J", "pension-office", "openid card.basic pension.read", "urn:ecardid:acr:mfa",
}

// One bare signature, to divide the others by.
func BenchmarkBareES256(b *testing.B) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("input"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, k, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range []Alg{ES256, SM2} {
		b.Run(string(alg), func(b *testing.B) {
			k := mustGenerate(b, alg, "Zk3c0Q5vS0yG1h2J")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Sign(k, "at+jwt", &benchClaims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []Alg{ES256, SM2} {
		b.Run(string(alg), func(b *testing.B) {
			k := mustGenerate(b, alg, "Zk3c0Q5vS0yG1h2J")
			set := mustSet(b, k)
			compact, err := Sign(k, "at+jwt", &benchClaims)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				token, err := Parse(compact)
				if err != nil {
					b.Fatal(err)
				}
				v, err := token.Verify(set, alg)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := v.Standard(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	k := mustGenerate(b, ES256, "Zk3c0Q5vS0yG1h2J")
	compact, err := Sign(k, "at+jwt", &benchClaims)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(compact); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseJWK(b *testing.B) {
	for name, jwk := range map[string]string{"ES256": ecA3, "EdDSA": edA2, "SM2": sm2JWK} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseJWK([]byte(jwk)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
