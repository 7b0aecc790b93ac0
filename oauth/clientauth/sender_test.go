package clientauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/clientkeys"
	"ecardid/oauth/dpop"
	"ecardid/oauth/mtls"
)

const issuer = "https://id.example"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A desk is an Authenticator and all it needs, in memory.
type desk struct {
	*Authenticator
	t       *testing.T
	clients map[string]*oauth.Client
	docs    map[string][]byte
	fetches int
	seen    map[string]bool
	guesses int
}

func (d *desk) Client(_ context.Context, id string) (*oauth.Client, error) {
	if c := d.clients[id]; c != nil {
		return c, nil
	}
	return nil, identity.ErrNotFound
}

func (d *desk) Get(_ context.Context, url, _ string) ([]byte, http.Header, error) {
	d.fetches++
	if doc, ok := d.docs[url]; ok {
		return doc, http.Header{}, nil
	}
	return nil, nil, errors.New("no answer")
}

func (d *desk) Remember(context.Context, []byte, time.Time, time.Time) error {
	return errors.New("not this one")
}

func (d *desk) Spend(_ context.Context, _ time.Time, once ...oauth.Once) error {
	for _, o := range once {
		if d.seen[string(o.Key)] {
			return identity.ErrReplayed
		}
		d.seen[string(o.Key)] = true
	}
	return nil
}

func (d *desk) Blocked(string, time.Time) bool             { return false }
func (d *desk) Failed(string, time.Time)                   { d.guesses++ }
func (d *desk) verify(r *http.Request, v url.Values) error { return d.with(d.t.Context(), r, v) }
func (d *desk) add(c oauth.Client)                         { d.clients[c.ID] = &c }
func (d *desk) set(keys ...jose.Key) []byte                { return asJSON(d.t, map[string]any{"keys": keys}) }
func (d *desk) request() *http.Request                     { return httptest.NewRequest(http.MethodPost, "/token", nil) }
func (d *desk) secured(c *x509.Certificate) *http.Request  { return secured(d.request(), c) }
func (d *desk) binding(r *http.Request, id string) (oauth.Binding, error) {
	return d.Binding(d.t.Context(), r, d.clients[id], dpop.Expect{})
}

func (d *desk) with(ctx context.Context, r *http.Request, v url.Values) error {
	_, err := d.Authenticate(ctx, r, v)
	return err
}

func secured(r *http.Request, certs ...*x509.Certificate) *http.Request {
	r.TLS = &tls.ConnectionState{PeerCertificates: certs}
	return r
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	keys, err := oauth.NewKeyed([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	clk, log := clock.At(noon), slog.New(slog.DiscardHandler)
	d := &desk{t: t, clients: map[string]*oauth.Client{}, docs: map[string][]byte{}, seen: map[string]bool{}}
	d.Authenticator = &Authenticator{
		Issuer: issuer, Registry: d, Secrets: keys, Replay: d, Throttle: d,
		Keys:   &clientkeys.Source{Fetch: d, Clock: clk, Log: log},
		DPoP:   &dpop.Verifier{Issuer: issuer, Nonces: dpop.Nonces{Keys: keys}, Replay: d, Clock: clk},
		Source: func(r *http.Request) string { return r.RemoteAddr }, Clock: clk,
	}
	return d
}

func generate(t *testing.T, alg jose.Alg, kid string) jose.Key {
	t.Helper()
	k, err := jose.Generate(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func assertion(t *testing.T, k jose.Key, client string, changes ...any) url.Values {
	t.Helper()
	claims := map[string]any{"iss": client, "sub": client, "aud": issuer, "jti": identity.NewID().String(),
		"iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix()}
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	token, err := jose.Sign(k, "JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"client_assertion": {token}, "client_assertion_type": {assertionType}}
}

func code(err error) string {
	if rfc := new(fosite.RFC6749Error); errors.As(err, &rfc) {
		return rfc.ErrorField
	}
	return ""
}

// Whom an assertion is for depends on the client's profile (SECURITY CA2).
func TestAssertionAudience(t *testing.T) {
	d := newDesk(t)
	k := generate(t, jose.PS256, "a")
	for _, p := range []oauth.Profile{oauth.ProfileOIDC, oauth.ProfileOAuth21, oauth.ProfileFAPI2} {
		d.add(oauth.Client{ID: string(p), Profile: p, JWKS: d.set(k), TokenEndpointAuthMethod: oauth.AuthPrivateKey, TokenEndpointAuthAlg: "PS256"})
	}
	for _, c := range []struct {
		name  string
		aud   any
		takes []oauth.Profile
	}{
		{"issuer", issuer, []oauth.Profile{oauth.ProfileOIDC, oauth.ProfileOAuth21, oauth.ProfileFAPI2}},
		{"token-endpoint", issuer + "/token", []oauth.Profile{oauth.ProfileOIDC}},
		{"issuer-in-array", []string{issuer}, nil},
		{"token-endpoint-in-array", []string{issuer + "/token"}, nil},
		{"both", []string{issuer, issuer + "/token"}, nil},
		{"issuer-with-slash", issuer + "/", nil},
		{"par-endpoint", issuer + "/par", nil},
		{"another-server", "https://evil.example", nil},
		{"none", nil, nil},
	} {
		for id := range d.clients {
			want := false
			for _, p := range c.takes {
				want = want || string(p) == id
			}
			if err := d.verify(d.request(), assertion(t, k, id, "aud", c.aud)); (err == nil) != want {
				t.Errorf("%s for %s: %v", c.name, id, err)
			}
		}
	}
}

// SECURITY CA2, CA3, KY1: the registered algorithm and key, whatever the message says.
func TestAssertionKeys(t *testing.T) {
	d := newDesk(t)
	es, ps, sm2, ed := generate(t, jose.ES256, "es"), generate(t, jose.PS256, "ps"), generate(t, jose.SM2, "sm2"), generate(t, jose.EdDSA, "ed")
	rs := generate(t, jose.RS256, "rs")
	all := d.set(es, ps, sm2, ed, rs)
	keys := map[string]jose.Key{"ES256": es, "PS256": ps, "SGD_SM3_SM2": sm2, "EdDSA": ed}
	for alg := range keys {
		d.add(oauth.Client{ID: alg, JWKS: all, TokenEndpointAuthMethod: oauth.AuthPrivateKey, TokenEndpointAuthAlg: alg})
	}
	for alg := range keys {
		for with, k := range keys {
			if err := d.verify(d.request(), assertion(t, k, alg)); (err == nil) != (alg == with) {
				t.Errorf("a client of %s with %s: %v", alg, with, err)
			}
		}
		if err := d.verify(d.request(), assertion(t, rs, alg)); code(err) != "invalid_client" {
			t.Errorf("a client of %s with RS256: %v", alg, err)
		}
	}
	// Nothing that the header offers is used, and nothing fetched.
	for name, header := range map[string]string{
		"none": `{"alg":"none"}`, "hmac": `{"alg":"HS256","kid":"es"}`, "jku": `{"alg":"ES256","kid":"es","jku":"https://evil.example/"}`,
		"x5u": `{"alg":"ES256","x5u":"https://evil.example/"}`, "x5c": `{"alg":"ES256","x5c":["AA"]}`, "jwk": `{"alg":"ES256","kid":"es","jwk":{}}`,
		"kid-path": `{"alg":"ES256","kid":"../../etc/passwd"}`, "kid-url": `{"alg":"ES256","kid":"https://evil.example/"}`, "kid-number": `{"alg":"ES256","kid":1}`,
	} {
		claims := asJSON(t, map[string]any{"iss": "ES256", "sub": "ES256", "aud": issuer, "jti": name, "exp": noon.Add(time.Minute).Unix()})
		input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(claims)
		sig, err := es.SignRaw([]byte(input))
		if err != nil {
			t.Fatal(err)
		}
		v := url.Values{"client_assertion": {input + "." + base64.RawURLEncoding.EncodeToString(sig)}, "client_assertion_type": {assertionType}}
		if err := d.verify(d.request(), v); code(err) != "invalid_client" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d.fetches != 0 {
		t.Error("something was fetched")
	}
}

func TestAssertionByURI(t *testing.T) {
	d := newDesk(t)
	k := generate(t, jose.ES256, "a")
	d.docs["https://clinic.example/keys"] = d.set(k)
	d.add(oauth.Client{ID: "clinic", JWKSURI: "https://clinic.example/keys", TokenEndpointAuthMethod: oauth.AuthPrivateKey, TokenEndpointAuthAlg: "ES256"})
	d.add(oauth.Client{ID: "lost", JWKSURI: "https://lost.example/keys", TokenEndpointAuthMethod: oauth.AuthPrivateKey, TokenEndpointAuthAlg: "ES256"})
	if err := d.verify(d.request(), assertion(t, k, "clinic")); err != nil {
		t.Error(err)
	}
	for range 20 {
		if err := d.verify(d.request(), assertion(t, generate(t, jose.ES256, "b"), "clinic")); code(err) != "invalid_client" {
			t.Fatal(err)
		}
		if err := d.verify(d.request(), assertion(t, k, "lost")); code(err) != "invalid_client" {
			t.Fatal(err)
		}
	}
	if d.fetches != 2 {
		t.Errorf("%d fetches", d.fetches)
	}
}

// An assertion goes to the ledger after all else was right, and without one is spent.
func TestAssertionOnce(t *testing.T) {
	d := newDesk(t)
	k := generate(t, jose.ES256, "a")
	d.add(oauth.Client{ID: "clinic", JWKS: d.set(k), TokenEndpointAuthMethod: oauth.AuthPrivateKey, TokenEndpointAuthAlg: "ES256"})
	good := assertion(t, k, "clinic", "jti", "one")
	for _, wrong := range []url.Values{
		assertion(t, k, "clinic", "jti", "one", "aud", "https://evil.example"),
		assertion(t, k, "clinic", "jti", "one", "exp", noon.Add(-time.Minute).Unix()),
		assertion(t, k, "clinic", "jti", "one", "nbf", noon.Add(time.Minute+time.Second).Unix()),
		assertion(t, generate(t, jose.ES256, "a"), "clinic", "jti", "one"),
	} {
		if err := d.verify(d.request(), wrong); code(err) != "invalid_client" || len(d.seen) != 0 {
			t.Errorf("%v, %d spent", err, len(d.seen))
		}
	}
	ctx, ledger := oauth.WithLedger(t.Context())
	if err := d.with(ctx, d.request(), good); err != nil || len(d.seen) != 0 {
		t.Fatalf("%v, %d spent", err, len(d.seen))
	}
	once := ledger.Take()
	if len(once) != 1 || once[0].Expires.Before(noon.Add(time.Minute)) {
		t.Fatalf("the ledger has %v", once)
	}
	if err := d.Spend(ctx, noon, once...); err != nil {
		t.Fatal(err)
	}
	if err := d.verify(d.request(), good); code(err) != "invalid_client" || !errors.Is(err, identity.ErrReplayed) {
		t.Errorf("shown to an endpoint without ledger: %v", err)
	}
	if d.guesses != 1 {
		t.Errorf("%d guesses", d.guesses)
	}
	if err := Replayed(identity.ErrReplayed, good); code(err) != "invalid_client" {
		t.Error(err)
	}
	if err := Replayed(identity.ErrReplayed, url.Values{}); code(err) != dpop.CodeInvalidProof {
		t.Error(err)
	}
	if err := Replayed(identity.ErrNotFound, good); !errors.Is(err, identity.ErrNotFound) || code(err) != "" {
		t.Error(err)
	}
}

// certificate makes one, of a CA if there is one.
func certificate(t *testing.T, ca *x509.Certificate, by *ecdsa.PrivateKey, dns string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: dns}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		DNSNames: []string{dns}, BasicConstraintsValid: true, IsCA: by == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if by == nil {
		ca, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// RFC 8705 §2.
func TestCertificates(t *testing.T) {
	d := newDesk(t)
	ca, caKey := certificate(t, nil, nil, "ca")
	issued, _ := certificate(t, ca, caKey, "clinic.example")
	elsewhere, _ := certificate(t, ca, caKey, "evil.example")
	self, selfKey := certificate(t, nil, nil, "clinic.example")
	stranger, _ := certificate(t, nil, nil, "clinic.example")
	k, err := jose.NewPublic(jose.ES256, "a", &selfKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	d.MTLS = mtls.Config{Roots: x509.NewCertPool()}
	d.MTLS.Roots.AddCert(ca)
	private := generate(t, jose.ES256, "p")
	d.docs["https://clinic.example/keys"] = d.set(k)
	d.add(oauth.Client{ID: "tls", TokenEndpointAuthMethod: oauth.AuthTLS, TLSDNS: "clinic.example"})
	d.add(oauth.Client{ID: "self", TokenEndpointAuthMethod: oauth.AuthSelfSigned, JWKS: d.set(k)})
	d.add(oauth.Client{ID: "self-uri", TokenEndpointAuthMethod: oauth.AuthSelfSigned, JWKSURI: "https://clinic.example/keys"})
	d.add(oauth.Client{ID: "keyed", TokenEndpointAuthMethod: oauth.AuthPrivateKey, JWKS: d.set(private), TokenEndpointAuthAlg: "ES256"})
	d.add(oauth.Client{ID: "public", TokenEndpointAuthMethod: oauth.AuthNone})
	for _, c := range []struct {
		name string
		id   string
		cert *x509.Certificate
		form url.Values
		want string
	}{
		{"tls", "tls", issued, nil, ""},
		{"tls-none", "tls", nil, nil, "invalid_client"},
		{"tls-other-name", "tls", elsewhere, nil, "invalid_client"},
		{"tls-self-signed", "tls", self, nil, "invalid_client"},
		{"tls-without-id", "", issued, nil, "invalid_client"},
		{"tls-and-secret", "tls", issued, url.Values{"client_secret": {"x"}}, "invalid_client"},
		{"tls-and-assertion", "tls", issued, assertion(t, private, "tls"), "invalid_client"},
		{"self", "self", self, nil, ""},
		{"self-none", "self", nil, nil, "invalid_client"},
		{"self-stranger", "self", stranger, nil, "invalid_client"},
		{"self-of-ca", "self", issued, nil, "invalid_client"},
		{"self-uri", "self-uri", self, nil, ""},
		{"self-uri-stranger", "self-uri", stranger, nil, "invalid_client"},
		// A certificate is no method where another is registered.
		{"keyed-with-certificate", "keyed", issued, assertion(t, private, "keyed"), ""},
		{"keyed-by-certificate", "keyed", issued, nil, "invalid_client"},
		{"public-with-certificate", "public", issued, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, form := d.request(), url.Values{}
			if c.cert != nil {
				r = d.secured(c.cert)
			}
			for k, v := range c.form {
				form[k] = v
			}
			if c.id != "" {
				form.Set("client_id", c.id)
			}
			if err := d.verify(r, form); code(err) != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if d.fetches != 1 {
		t.Errorf("%d fetches", d.fetches)
	}
	d.MTLS.Roots = nil
	if err := d.verify(d.secured(issued), url.Values{"client_id": {"tls"}}); code(err) != "invalid_client" {
		t.Errorf("without a client CA: %v", err)
	}
}
