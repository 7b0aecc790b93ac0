package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/internal/jose"
	"ecardid/oauth"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate of template, signed by the authority or, if that is nil,
// by itself.
func (a *authority) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = noon.Add(-time.Hour), noon.Add(time.Hour)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func newAuthority(t testing.TB, parent *authority, name string) *authority {
	cert, key := parent.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func leaf() *x509.Certificate {
	u, _ := url.Parse("urn:example:clinic")
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "clinic", Organization: []string{"Clinic, Ltd."}, Country: []string{"CN"}},
		DNSNames:    []string{"clinic.example", "*.clinic.example"},
		URIs:        []*url.URL{u},
		IPAddresses: []net.IP{net.ParseIP("203.0.113.7"), net.ParseIP("2001:db8::7")}, EmailAddresses: []string{"it@clinic.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func escaped(cert *x509.Certificate) string {
	return strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))), "+", "%20")
}

func sequence(cert *x509.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(cert.Raw) + ":"
}

// SECURITY SC4.
func TestCertificate(t *testing.T) {
	own, _ := (*authority)(nil).issue(t, leaf())
	sent, _ := (*authority)(nil).issue(t, leaf())
	proxy := Sources{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, Header: "Client-Cert"}
	const inside, outside = "10.1.2.3:4711", "192.0.2.1:4711"
	both := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sent.Raw}))
	for _, c := range []struct {
		name    string
		sources Sources
		remote  string
		conn    *x509.Certificate
		header  []string
		want    *x509.Certificate
		fails   bool
	}{
		{"nothing", Sources{}, outside, nil, nil, nil, false},
		{"connection", Sources{}, outside, own, nil, own, false},
		{"no-proxy-configured", Sources{}, inside, nil, []string{sequence(sent)}, nil, false},
		{"stranger's-header", proxy, outside, nil, []string{sequence(sent)}, nil, false},
		{"stranger's-junk", proxy, outside, nil, []string{"x", "y"}, nil, false},
		{"stranger's-header-over-connection", proxy, outside, own, []string{sequence(sent)}, own, false},
		{"stranger's-address", proxy, "not an address", nil, []string{sequence(sent)}, nil, false},
		{"proxies-without-header-name", Sources{Proxies: proxy.Proxies}, inside, nil, []string{sequence(sent)}, nil, false},
		{"rfc9440", proxy, inside, nil, []string{sequence(sent)}, sent, false},
		{"rfc9440-blanks", proxy, inside, nil, []string{" " + sequence(sent) + " "}, sent, false},
		{"mapped-address", proxy, "[::ffff:10.1.2.3]:4711", nil, []string{sequence(sent)}, sent, false},
		{"address-with-zone", proxy, "[fd00::1%eth0]:4711", nil, []string{sequence(sent)}, sent, false},
		{"nginx", proxy, inside, nil, []string{escaped(sent)}, sent, false},
		// base64 has plus signs, and a form reader would take them for blanks.
		{"pem-unescaped-plus", proxy, inside, nil, []string{strings.ReplaceAll(escaped(sent), "%2B", "+")}, sent, false},
		{"proxy-without", proxy, inside, nil, nil, nil, false},
		{"proxy-empty", proxy, inside, nil, []string{""}, nil, false},
		// Its certificate on its own connection is not the client's.
		{"proxy's-own", proxy, inside, own, nil, nil, false},
		{"two-headers", proxy, inside, nil, []string{sequence(sent), sequence(sent)}, nil, true},
		{"list", proxy, inside, nil, []string{sequence(sent) + ", " + sequence(sent)}, nil, true},
		{"two-in-pem", proxy, inside, nil, []string{url.PathEscape(both + both)}, nil, true},
		{"key-in-pem", proxy, inside, nil, []string{url.PathEscape(strings.ReplaceAll(both, "CERTIFICATE", "EC PRIVATE KEY"))}, nil, true},
		{"text-before-pem", proxy, inside, nil, []string{url.PathEscape("x\n" + both)}, nil, true},
		{"half-sequence", proxy, inside, nil, []string{sequence(sent)[:50]}, nil, true},
		{"only-colon", proxy, inside, nil, []string{":"}, nil, true},
		{"bare-base64", proxy, inside, nil, []string{strings.Trim(sequence(sent), ":")}, nil, true},
		{"trailing-der", proxy, inside, nil, []string{":" + base64.StdEncoding.EncodeToString(append(sent.Raw[:len(sent.Raw):len(sent.Raw)], 0)) + ":"}, nil, true},
		{"bad-escape", proxy, inside, nil, []string{"%zz"}, nil, true},
		{"too-long", proxy, inside, nil, []string{":" + strings.Repeat("A", maxHeader) + ":"}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/token", nil)
			r.RemoteAddr = c.remote
			r.Header["Client-Cert"] = c.header
			if c.conn != nil {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.conn}}
			}
			got, err := c.sources.Certificate(r)
			if (err != nil) != c.fails || (got == nil) != (c.want == nil) || got != nil && !got.Equal(c.want) {
				t.Errorf("%v, %v", got != nil, err)
			}
		})
	}
}

func TestThumbprint(t *testing.T) {
	cert, _ := (*authority)(nil).issue(t, leaf())
	sum := sha256.Sum256(cert.Raw)
	if got := Thumbprint(cert); got != base64.RawURLEncoding.EncodeToString(sum[:]) || len(got) != 43 {
		t.Errorf("thumbprint %q", got)
	}
}

// tls_client_auth, RFC 8705 §2.1.
func TestSubject(t *testing.T) {
	root := newAuthority(t, nil, "root")
	middle := newAuthority(t, root, "middle")
	stranger := newAuthority(t, nil, "root")
	good, _ := root.issue(t, leaf())
	below, _ := middle.issue(t, leaf())
	forged, _ := stranger.issue(t, leaf())
	self, _ := (*authority)(nil).issue(t, leaf())
	server := leaf()
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	forServers, _ := root.issue(t, server)
	past := leaf()
	past.NotBefore, past.NotAfter = noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	expired, _ := root.issue(t, past)
	config := Config{Roots: root.pool()}

	named := oauth.Client{ID: "clinic", TLSDNS: "clinic.example"}
	for _, c := range []struct {
		name   string
		config Config
		chain  []*x509.Certificate
		client oauth.Client
		want   bool
	}{
		{"good", config, []*x509.Certificate{good}, named, true},
		{"intermediate", config, []*x509.Certificate{below, middle.cert}, named, true},
		{"intermediate-missing", config, []*x509.Certificate{below}, named, false},
		{"another-ca-of-that-name", config, []*x509.Certificate{forged, stranger.cert}, named, false},
		{"self-signed", config, []*x509.Certificate{self}, named, false},
		{"for-servers", config, []*x509.Certificate{forServers}, named, false},
		{"expired", config, []*x509.Certificate{expired}, named, false},
		{"no-roots", Config{}, []*x509.Certificate{good}, named, false},
		{"none", config, nil, named, false},

		{"dns-case", config, []*x509.Certificate{good}, oauth.Client{TLSDNS: "Clinic.Example"}, true},
		{"dns-other", config, []*x509.Certificate{good}, oauth.Client{TLSDNS: "evil.example"}, false},
		{"dns-under-wildcard", config, []*x509.Certificate{good}, oauth.Client{TLSDNS: "a.clinic.example"}, false},
		{"dns-wildcard", config, []*x509.Certificate{good}, oauth.Client{TLSDNS: "*.clinic.example"}, true},
		{"uri", config, []*x509.Certificate{good}, oauth.Client{TLSURI: "urn:example:clinic"}, true},
		{"uri-other", config, []*x509.Certificate{good}, oauth.Client{TLSURI: "urn:example:clini"}, false},
		{"ip", config, []*x509.Certificate{good}, oauth.Client{TLSIP: "203.0.113.7"}, true},
		{"ip6", config, []*x509.Certificate{good}, oauth.Client{TLSIP: "2001:DB8:0::7"}, true},
		{"ip-other", config, []*x509.Certificate{good}, oauth.Client{TLSIP: "203.0.113.8"}, false},
		{"ip-junk", config, []*x509.Certificate{good}, oauth.Client{TLSIP: "203.0.113"}, false},
		{"email", config, []*x509.Certificate{good}, oauth.Client{TLSEmail: "it@clinic.example"}, true},
		{"email-other", config, []*x509.Certificate{good}, oauth.Client{TLSEmail: "me@clinic.example"}, false},
		{"dn", config, []*x509.Certificate{good}, oauth.Client{TLSSubjectDN: `CN=clinic,O=Clinic\, Ltd.,C=CN`}, true},
		{"dn-part", config, []*x509.Certificate{good}, oauth.Client{TLSSubjectDN: `CN=clinic`}, false},
		{"dn-junk", config, []*x509.Certificate{good}, oauth.Client{TLSSubjectDN: `clinic`}, false},
		// The name is looked for among names of its kind.
		{"dns-as-email", config, []*x509.Certificate{good}, oauth.Client{TLSEmail: "clinic.example"}, false},
		{"cn-as-dns", config, []*x509.Certificate{good}, oauth.Client{TLSDNS: "clinic"}, false},
		{"no-name", config, []*x509.Certificate{good}, oauth.Client{}, false},
		{"two-names", config, []*x509.Certificate{good}, oauth.Client{TLSDNS: "clinic.example", TLSIP: "203.0.113.7"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.config.Subject(c.chain, &c.client, noon)
			if (err == nil) != c.want || err != nil && !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v, want accepted: %v", err, c.want)
			}
		})
	}
}

// self_signed_tls_client_auth, RFC 8705 §2.2.
func TestSelfSigned(t *testing.T) {
	cert, key := (*authority)(nil).issue(t, leaf())
	k, err := jose.NewPublic(jose.ES256, "a", &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	other, err := jose.Generate(jose.PS256, "b")
	if err != nil {
		t.Fatal(err)
	}
	national, err := jose.Generate(jose.SM2, "c")
	if err != nil {
		t.Fatal(err)
	}
	with, err := jose.NewSet(national, other, k)
	if err != nil {
		t.Fatal(err)
	}
	without, err := jose.NewSet(national, other)
	if err != nil {
		t.Fatal(err)
	}
	if err := SelfSigned(cert, with, noon); err != nil {
		t.Error(err)
	}
	if err := SelfSigned(cert, without, noon); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without the key: %v", err)
	}
	if err := SelfSigned(cert, jose.Set{}, noon); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without any: %v", err)
	}
	for _, at := range []time.Time{noon.Add(-2 * time.Hour), noon.Add(2 * time.Hour)} {
		if err := SelfSigned(cert, with, at); err == nil || errors.Is(err, ErrUnknownKey) {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

// What failed to parse gives nothing, and what parsed comes back the same by either
// form.
func FuzzHeader(f *testing.F) {
	cert, _ := (*authority)(nil).issue(f, leaf())
	f.Add(sequence(cert))
	f.Add(escaped(cert))
	f.Add(":AAAA:")
	f.Add("-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----")
	f.Fuzz(func(t *testing.T, value string) {
		cert, err := parseHeader(value)
		if err != nil {
			if cert != nil {
				t.Fatalf("%q failed and gave a certificate", value)
			}
			return
		}
		for _, form := range []string{sequence(cert), escaped(cert)} {
			if back, err := parseHeader(form); len(form) <= maxHeader && (err != nil || !back.Equal(cert)) {
				t.Fatalf("%q does not come back: %v", value, err)
			}
		}
	})
}
