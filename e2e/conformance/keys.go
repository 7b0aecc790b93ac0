package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	rsaBits  = 2048                // what the suite's own examples use
	certLife = 30 * 24 * time.Hour // far longer than any run
	clockOff = -time.Hour
)

// A keychain makes keys by name when they are first asked for, so that the
// applications here and the configuration of the suite hold two halves of the same.
type keychain struct {
	jwks  map[string]jwk
	certs map[string]*certificate
}

// A jwk is a key pair as RFC 7517 writes it.
type jwk struct {
	private, public map[string]string
}

// A certificate is one with its key.
type certificate struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKeychain() *keychain {
	return &keychain{jwks: map[string]jwk{}, certs: map[string]*certificate{}}
}

// jwk returns the key of that name for the algorithm.
func (k *keychain) jwk(name, alg string) (jwk, error) {
	if key, ok := k.jwks[name]; ok {
		return key, nil
	}
	var key jwk
	var err error
	switch alg {
	case "PS256":
		key, err = newRSA()
	case "ES256":
		var p *ecdsa.PrivateKey
		if p, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
			key, err = ecJWK(p)
		}
	default:
		err = fmt.Errorf("no keys for %s here", alg)
	}
	if err != nil {
		return jwk{}, err
	}
	for _, half := range []map[string]string{key.private, key.public} {
		half["kid"], half["alg"], half["use"] = name, alg, "sig"
	}
	k.jwks[name] = key
	return key, nil
}

func newRSA() (jwk, error) {
	p, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return jwk{}, err
	}
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	n, e := number(p.N), number(big.NewInt(int64(p.E)))
	return jwk{
		public: map[string]string{"kty": "RSA", "n": n, "e": e},
		private: map[string]string{
			"kty": "RSA", "n": n, "e": e, "d": number(p.D), "p": number(p.Primes[0]), "q": number(p.Primes[1]),
			"dp": number(p.Precomputed.Dp), "dq": number(p.Precomputed.Dq), "qi": number(p.Precomputed.Qinv),
		},
	}, nil
}

const p256Size = 32

func ecJWK(p *ecdsa.PrivateKey) (jwk, error) {
	point, err := p.PublicKey.Bytes() // 0x04 ‖ x ‖ y
	if err != nil {
		return jwk{}, err
	}
	d, err := p.Bytes()
	if err != nil {
		return jwk{}, err
	}
	x := base64.RawURLEncoding.EncodeToString(point[1 : 1+p256Size])
	y := base64.RawURLEncoding.EncodeToString(point[1+p256Size:])
	return jwk{
		public:  map[string]string{"kty": "EC", "crv": "P-256", "x": x, "y": y},
		private: map[string]string{"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": base64.RawURLEncoding.EncodeToString(d)},
	}, nil
}

// The certificates by name. authority signs clients and is what the server trusts
// them by; a certificate whose name begins with "self" signs itself.
const (
	authority = "client-ca"
	server    = "localhost"
)

// cert returns the certificate of that name, for the server or for a client.
func (k *keychain) cert(name string) (*certificate, error) {
	if c, ok := k.certs[name]; ok {
		return c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Conformance"}, CommonName: name},
		NotBefore: now.Add(clockOff), NotAfter: now.Add(certLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := t, crypto.Signer(key)
	switch {
	case name == authority:
		t.IsCA, t.BasicConstraintsValid, t.KeyUsage, t.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	case name == server:
		t.DNSNames, t.IPAddresses = []string{server}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		t.IsCA, t.BasicConstraintsValid = true, true // its own root, for whoever verifies it
		t.KeyUsage |= x509.KeyUsageCertSign
	case len(name) > 4 && name[:4] == "self":
	default:
		ca, err := k.cert(authority)
		if err != nil {
			return nil, err
		}
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	c := &certificate{key: key}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	k.certs[name] = c
	return c, nil
}

func (c *certificate) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

func (c *certificate) keyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func (c *certificate) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.cert.Raw}, PrivateKey: c.key, Leaf: c.cert}
}

// public is the certificate's key as a JWK, for self_signed_tls_client_auth
// (RFC 8705 §2.2.2).
func (c *certificate) public(kid string) (map[string]any, error) {
	key, err := ecJWK(c.key)
	if err != nil {
		return nil, err
	}
	if len(key.public) == 0 {
		return nil, errors.New("no key")
	}
	out := map[string]any{"kid": kid, "x5c": []string{base64.StdEncoding.EncodeToString(c.cert.Raw)}}
	for name, v := range key.public {
		out[name] = v
	}
	return out, nil
}
