package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/oauth/mtls"
	"ecardid/oauth/provider"
)

// machine asks for a token on its own behalf, with what a request needs for that.
func machine(id string, more url.Values) *http.Request {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"card.status"}}
	if id != "" {
		form.Set("client_id", id)
	}
	for name, v := range more {
		form[name] = v
	}
	return mustRequest(http.MethodPost, "/token", form.Encode())
}

func certified(r *http.Request, chain ...*x509.Certificate) *http.Request {
	r.TLS = &tls.ConnectionState{PeerCertificates: chain}
	return r
}

// certificate is signed by ca, or by itself when that is nil.
func certificate(t *testing.T, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Clinic"}},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour), BasicConstraintsValid: true,
		IsCA: caKey == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if caKey == nil {
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// expect serves r and compares the error; "" is a token.
func (h *house) expect(name string, r *http.Request, want string) map[string]any {
	h.t.Helper()
	w := h.serve(r)
	out := jsonOf(h.t, w)
	if got, _ := out["error"].(string); got != want || (w.Code == http.StatusOK) != (want == "") || w.Code >= 500 {
		h.t.Errorf("%s: %d %s, want %q", name, w.Code, w.Body, want)
	}
	return out
}

func signedAssertion(h *house, k jose.Key, id string, aud any) url.Values {
	h.t.Helper()
	token, err := jose.Sign(k, "JWT", map[string]any{"iss": id, "sub": id, "aud": aud, "jti": identity.NewID().String(),
		"exp": h.clock.Now().Add(time.Minute).Unix()})
	if err != nil {
		h.t.Fatal(err)
	}
	return url.Values{"client_assertion": {token}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
}

func keySet(t *testing.T, keys ...jose.Key) string {
	t.Helper()
	set, err := jose.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := set.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

const machineRest = `"client_name":"X","grant_types":["client_credentials"],"scope":"card.status"`

// Clients known by their certificates (RFC 8705 §2; SECURITY CA1, SC4).
func TestCertificateAuthentication(t *testing.T) {
	ca, caKey := certificate(t, "ca", nil, nil)
	issued, _ := certificate(t, "clinic", ca, caKey)
	elsewhere, _ := certificate(t, "pharmacy", ca, caKey)
	self, selfKey := certificate(t, "clinic", nil, nil)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	h := newHouse(t, func(c *provider.Config) {
		c.MTLS = mtls.Config{
			Roots: roots, Sources: mtls.Sources{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Header: "Client-Cert"},
		}
	})
	k, err := jose.NewPublic(jose.ES256, "k", &selfKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	h.client(`{"client_id":"by-ca","token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=clinic, O=Clinic",
		"tls_client_certificate_bound_access_tokens":true,` + machineRest + `}`)
	h.client(`{"client_id":"by-key","token_endpoint_auth_method":"self_signed_tls_client_auth","jwks":` + keySet(t, k) + `,` + machineRest + `}`)
	h.client(`{"client_id":"by-secret",` + machineRest + `}`)

	out := h.expect("by-ca", certified(machine("by-ca", nil), issued), "")
	if token, _ := out["access_token"].(string); token == "" || cnf(h, token, "x5t#S256") != mtls.Thumbprint(issued) {
		t.Errorf("the token is not bound to the certificate: %v", out)
	}
	out = h.expect("by-key", certified(machine("by-key", nil), self), "")
	if token, _ := out["access_token"].(string); token == "" || cnf(h, token, "x5t#S256") != nil {
		t.Errorf("nobody asked for a binding: %v", out)
	}
	h.expect("other-subject", certified(machine("by-ca", nil), elsewhere), "invalid_client")
	h.expect("no-ca", certified(machine("by-ca", nil), self), "invalid_client")
	h.expect("no-certificate", machine("by-ca", nil), "invalid_client")
	h.expect("no-id", certified(machine("", nil), issued), "invalid_client")
	h.expect("other-key", certified(machine("by-key", nil), issued), "invalid_client")
	h.expect("and-a-secret", certified(machine("by-ca", url.Values{"client_secret": {"x"}}), issued), "invalid_client")
	h.expect("in-place-of-a-secret", certified(machine("by-secret", nil), issued), "invalid_client")

	header := func(remote string, values ...string) *http.Request {
		r := machine("by-ca", nil)
		r.RemoteAddr, r.Header["Client-Cert"] = remote, values
		return r
	}
	value := ":" + base64.StdEncoding.EncodeToString(issued.Raw) + ":"
	h.expect("proxy", header("10.1.2.3:1", value), "")
	h.expect("stranger", header("192.0.2.1:1", value), "invalid_client")
	h.expect("proxy-twice", header("10.1.2.3:1", value, value), "invalid_request")
	h.expect("proxy-junk", header("10.1.2.3:1", "junk"), "invalid_request")
	h.expect("proxy-none", header("10.1.2.3:1"), "invalid_client")
}

// Keys at a jwks_uri, fetched over a real line (SECURITY CA2, KY5, SR1).
func TestKeysByURI(t *testing.T) {
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	next, err := jose.Generate(jose.ES256, "k2")
	if err != nil {
		t.Fatal(err)
	}
	var doc atomic.Value
	var calls atomic.Int32
	doc.Store(keySet(t, k))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, doc.Load().(string))
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	h := newHouse(t, func(c *provider.Config) {
		c.Outbound = outbound.New(outbound.Config{Allow: []string{"127.0.0.1:" + port}, Roots: roots})
	})
	keyed := func(id, uri string) {
		h.client(`{"client_id":"` + id + `","token_endpoint_auth_method":"private_key_jwt","jwks_uri":"` + uri + `",` + machineRest + `}`)
	}
	keyed("known", server.URL+"/jwks")
	// The same server under a name that was not allowed to be here.
	keyed("inside", "https://localhost:"+port+"/jwks")
	ask := func(id string, k jose.Key) *http.Request { return machine("", signedAssertion(h, k, id, issuer)) }
	h.expect("known", ask("known", k), "")
	h.expect("inside", ask("inside", k), "invalid_client")
	for range 8 { // less than the throttle's patience
		h.expect("unknown-kid", ask("known", next), "invalid_client")
	}
	replicas := int32(len(h.stores))
	if got := calls.Load(); got != replicas {
		t.Errorf("%d fetches", got)
	}
	doc.Store(keySet(t, k, next))
	h.clock.Advance(time.Minute)
	for range replicas {
		h.expect("new-key", ask("known", next), "")
	}
	if got := calls.Load(); got != 2*replicas {
		t.Errorf("%d fetches after the change", got)
	}
}

// What a profile lets an assertion name (SECURITY CA2).
func TestAssertionAudience(t *testing.T) {
	h := newHouse(t)
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range []string{"oidc", "oauth21", "fapi2"} {
		h.client(`{"client_id":"` + profile + `","profile":"` + profile + `","token_endpoint_auth_method":"private_key_jwt",
			"id_token_signed_response_alg":"ES256","jwks":` + keySet(t, k) + `,` + machineRest + `}`)
	}
	holder := h.holder()
	for _, c := range []struct {
		name string
		aud  any
		oidc string // for the others it is invalid_client
	}{
		{"endpoint", issuer + "/token", ""},
		{"endpoint-in-array", []string{issuer + "/token"}, "invalid_client"},
		{"array", []string{issuer, issuer + "/token"}, "invalid_client"},
		{"par", issuer + "/par", "invalid_client"},
		{"slash", issuer + "/", "invalid_client"},
	} {
		for _, profile := range []string{"oidc", "oauth21", "fapi2"} {
			r := machine("", signedAssertion(h, k, profile, c.aud))
			r.Header.Set("DPoP", holder.forToken())
			want := "invalid_client"
			if profile == "oidc" {
				want = c.oidc
			}
			h.expect(fmt.Sprintf("%s/%s", profile, c.name), r, want)
		}
	}
	for _, profile := range []string{"oidc", "oauth21", "fapi2"} {
		r := machine("", signedAssertion(h, k, profile, issuer))
		r.Header.Set("DPoP", holder.forToken())
		h.expect(profile, r, "")
	}
}

// An assertion is good once at all endpoints together, whatever became of the
// request it was first shown with (SECURITY G1, CA2).
func TestAssertionOnceEverywhere(t *testing.T) {
	h := newHouse(t)
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	h.client(`{"client_id":"keyed","client_name":"X","token_endpoint_auth_method":"private_key_jwt","jwks":` + keySet(t, k) + `,
		"redirect_uris":["` + callback + `"],"grant_types":["authorization_code","refresh_token","client_credentials"],
		"resources":["https://api.example"],"scope":"openid card.status"}`)
	requests := map[string]url.Values{
		"/token":      {"grant_type": {"client_credentials"}, "scope": {"card.status"}},
		"/introspect": {"token": {"x"}},
		"/revoke":     {"token": {"x"}},
		"/par":        ask("client_id", "keyed", "scope", "openid"),
	}
	send := func(path string, assertion url.Values, more ...string) (int, string) {
		form := url.Values{}
		for _, from := range []url.Values{requests[path], assertion} {
			for name, v := range from {
				form[name] = v
			}
		}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		w := h.serve(mustRequest(http.MethodPost, path, form.Encode()))
		code := ""
		if w.Body.Len() > 0 {
			code, _ = jsonOf(t, w)["error"].(string)
		}
		return w.Code, code
	}
	for first := range requests {
		for second := range requests {
			a := signedAssertion(h, k, "keyed", issuer)
			if status, code := send(first, a); status >= 300 {
				t.Fatalf("%s: %d %s", first, status, code)
			}
			if status, code := send(second, a); status != http.StatusUnauthorized || code != "invalid_client" {
				t.Errorf("%s and then %s: %d %s", first, second, status, code)
			}
		}
	}
	// A request that fails for another reason uses it up as well.
	for path, more := range map[string][]string{
		"/token": {"scope", "no.such"}, "/par": {"redirect_uri", "https://evil.example/"},
	} {
		a := signedAssertion(h, k, "keyed", issuer)
		if status, code := send(path, a, more...); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, status, code)
		}
		if status, code := send("/token", a); status != http.StatusUnauthorized || code != "invalid_client" {
			t.Errorf("after a failed %s: %d %s", path, status, code)
		}
	}
}

// The same endpoints under the name that is for certificates (RFC 8705 §5): a proof
// may name it there; the Host header says nothing (SECURITY SC2).
func TestProofAtTheAlias(t *testing.T) {
	const alias = "https://mtls.id.example:8443"
	h := newHouse(t, func(c *provider.Config) { c.MTLS.Base = alias })
	h.client(`{"client_id":"clinic",` + machineRest + `}`)
	k := h.holder()
	for _, c := range []struct{ host, htu, want string }{
		{"id.example", issuer + "/token", ""},
		{"mtls.id.example:8443", alias + "/token", ""},
		{"mtls.id.example:8443", issuer + "/token", ""},
		{"evil.example", "https://evil.example/token", "invalid_dpop_proof"},
		{"evil.example", issuer + "/token", ""},
		{"id.example", alias + "/par", "invalid_dpop_proof"},
	} {
		r := machine("", nil)
		r.Host = c.host
		r.SetBasicAuth("clinic", h.secretOf["clinic"])
		r.Header.Set("DPoP", k.proof(http.MethodPost, c.htu))
		h.expect(c.host+" "+c.htu, r, c.want)
	}
}
