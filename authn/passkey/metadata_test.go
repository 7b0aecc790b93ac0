package passkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"
)

// service signs metadata, as FIDO does.
type service struct {
	root    []byte // PEM
	certDER []byte
	key     crypto.Signer
}

func newService(t testing.TB, host string, key crypto.Signer) service {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := testClock().Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, ca, ca, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: ca.NotBefore, NotAfter: now.AddDate(0, 6, 0)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return service{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), der, key}
}

func (s service) blob(t testing.TB, header map[string]any, payload string) []byte {
	t.Helper()
	h := map[string]any{"alg": "ES256", "typ": "JWT", "x5c": []string{base64.StdEncoding.EncodeToString(s.certDER)}}
	if _, ok := s.key.(*rsa.PrivateKey); ok {
		h["alg"] = "RS256"
	}
	for k, v := range header {
		h[k] = v
	}
	raw, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(raw) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	sig, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.key.(*ecdsa.PrivateKey); ok {
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &rs); err != nil {
			t.Fatal(err)
		}
		sig = append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
	}
	return []byte(input + "." + b64(sig))
}

func TestMetadataFile(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := testClock().Now()
	const entry = `{"aaguid":"a1b20000-0000-0000-0000-000000000000","timeOfLastStatusChange":"2026-01-01",
		"statusReports":[{"status":"FIDO_CERTIFIED_L2","effectiveDate":"2026-01-01"}],
		"metadataStatement":{"aaguid":"a1b20000-0000-0000-0000-000000000000","description":"a key","authenticatorVersion":1,
		"protocolFamily":"fido2","schema":3,"attestationTypes":["basic_full"],"attestationRootCertificates":[]}}`
	payload := func(no int, next string) string {
		return fmt.Sprintf(`{"legalHeader":"x","no":%d,"nextUpdate":%q,"entries":[%s,{"aaguid":"not one"}]}`, no, next, entry)
	}
	good := payload(7, "2026-12-01")
	fido, other := newService(t, mdsHost, ecKey), newService(t, "evil.example", ecKey)
	fidoRSA := newService(t, mdsHost, rsaKey)
	file := func(s service, header map[string]any, p string) MetadataFile {
		return MetadataFile{Blob: s.blob(t, header, p), Roots: s.root, AtLeast: 7}
	}
	broken := file(fido, nil, good)
	broken.Blob[len(broken.Blob)-10] ^= 1
	strangersRoot := file(fido, nil, good)
	strangersRoot.Roots = other.root
	noRoots := file(fido, nil, good)
	noRoots.Roots = nil
	grace := file(fido, nil, payload(7, "2026-11-01"))
	grace.Grace = 30 * 24 * time.Hour
	ownHost := file(other, nil, good)
	ownHost.Host = "evil.example"
	for _, c := range []struct {
		name string
		file MetadataFile
		at   time.Time
		ok   bool
	}{
		{"good", file(fido, nil, good), now, true},
		{"good-rsa", file(fidoRSA, nil, good), now, true},
		{"on-its-last-day", file(fido, nil, payload(7, "2026-11-22")), now, true},
		{"in-its-grace", grace, now, true},
		{"of-a-host-we-named", ownHost, now, true},
		{"past-its-day", file(fido, nil, payload(7, "2026-11-21")), now, false},
		{"a-step-back", file(fido, nil, payload(6, "2026-12-01")), now, false},
		// The root is public: anybody may have a certificate under it.
		{"of-another-host", file(other, nil, good), now, false},
		{"under-another-root", strangersRoot, now, false},
		{"under-no-root", noRoots, now, false},
		{"signer-expired", file(fido, nil, payload(7, "2030-12-01")), now.AddDate(1, 0, 0), false},
		{"signature-broken", broken, now, false},
		{"alg-none", file(fido, map[string]any{"alg": "none"}, good), now, false},
		{"alg-of-another-key", file(fido, map[string]any{"alg": "RS256"}, good), now, false},
		{"no-chain", file(fido, map[string]any{"x5c": []string{}}, good), now, false},
		{"chain-by-url", file(fido, map[string]any{"x5u": "https://evil.example"}, good), now, false},
		{"critical", file(fido, map[string]any{"crit": []string{"x"}}, good), now, false},
		{"no-date", file(fido, nil, `{"no":7,"entries":[]}`), now, false},
		{"no-json", file(fido, nil, `x`), now, false},
		{"empty", MetadataFile{Roots: fido.root}, now, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := c.file.Load(c.at)
			if (err == nil) != c.ok || (m.Provider != nil) != c.ok {
				t.Fatalf("%+v, %v", m, err)
			}
			if !c.ok {
				return
			}
			cfg := testConfig(testClock())
			cfg.Metadata = m.Provider
			if _, err := New(cfg); err != nil || m.Number != 7 || m.Models != 1 || m.Skipped != 1 {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}
