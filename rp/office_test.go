package rp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/proof"
	"ecardid/rp"
)

const (
	audience = "urn:ecardid:resource:insurance"
	api      = "https://api.hospital.example"
)

// An office is an issuer that says whatever a test wants it to.
type office struct {
	t   testing.TB
	url string

	mu     sync.Mutex
	now    time.Time
	main   []jose.Key // in jwks_uri
	sm2    []jose.Key // in sm2_jwks_uri
	down   bool
	hits   map[string]int
	tokens map[string]any    // what introspection says, by token
	meta   map[string]string // in place of what is true; an empty value takes it away
	media  string
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{
		t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), main: []jose.Key{newKey(t, jose.ES256, "es-1")}, sm2: []jose.Key{newKey(t, jose.SM2, "sm-1")},
		hits: map[string]int{}, tokens: map[string]any{}, media: "application/json",
	}
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	o.url = srv.URL
	return o
}

func newKey(t testing.TB, alg jose.Alg, kid string) jose.Key {
	t.Helper()
	k, err := jose.Generate(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hits[r.URL.Path]++
	if o.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		meta := map[string]string{"issuer": o.url, "jwks_uri": o.url + "/jwks", "sm2_jwks_uri": o.url + "/sm2-jwks", "introspection_endpoint": o.url + "/introspect"}
		maps.Copy(meta, o.meta)
		answer = meta
	case "/jwks", "/sm2-jwks":
		keys := o.main
		if r.URL.Path != "/jwks" {
			keys = o.sm2
		}
		set, err := jose.NewSet(keys...)
		if err != nil {
			o.t.Error(err)
		}
		answer = set
	case "/introspect":
		id, secret, ok := r.BasicAuth()
		if !ok || id != "hospital%2Fapi" || secret != "s%26cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if answer = o.tokens[r.PostFormValue("token")]; answer == nil {
			answer = map[string]any{"active": false}
		}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", o.media)
	_ = json.NewEncoder(w).Encode(answer)
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *office) asked(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hits[path]
}

// verifier is the hospital's, with changes.
func (o *office) verifier(changes ...func(*rp.Config)) *rp.Verifier {
	o.t.Helper()
	c := rp.Config{Issuer: o.url, Audience: audience, Origin: api, ClientID: "hospital/api", ClientSecret: "s&cret", Now: o.clock}
	for _, f := range changes {
		f(&c)
	}
	v, err := rp.New(c)
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

// claims are those of a good token, with changes: name, value; a nil value takes a
// claim away.
func (o *office) claims(changes ...any) map[string]any {
	now := o.clock()
	c := map[string]any{
		"iss": o.url, "aud": audience, "sub": "s-1", "client_id": "hospital", "scope": "insurance.read openid", "jti": "t-1",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Add(-time.Minute).Unix(),
		"acr": rp.MFA, "amr": []string{"pwd", "otp", "mfa"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		name, _ := changes[i].(string)
		if changes[i+1] == nil {
			delete(c, name)
			continue
		}
		c[name] = changes[i+1]
	}
	return c
}

func (o *office) token(changes ...any) string {
	return o.signed(o.main[0], "at+jwt", o.claims(changes...))
}

func (o *office) signed(k jose.Key, typ string, claims any) string {
	o.t.Helper()
	token, err := jose.Sign(k, typ, claims)
	if err != nil {
		o.t.Fatal(err)
	}
	return token
}

// prove makes a DPoP proof for a request to /bills, with changes to its claims.
func (o *office) prove(k jose.Key, access string, changes ...any) string {
	o.t.Helper()
	c := map[string]any{"jti": identity.NewID().String(), "htm": "GET", "htu": api + "/bills", "iat": o.clock().Unix(), "ath": proof.Hash(access)}
	for i := 0; i+1 < len(changes); i += 2 {
		name, _ := changes[i].(string)
		c[name] = changes[i+1]
	}
	return dpop(o.t, k, c)
}

func cnf(name, value string) map[string]string { return map[string]string{name: value} }

func request(authorization string, dpop ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://inside.example/bills?month=11", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for _, p := range dpop {
		r.Header.Add("DPoP", p)
	}
	return r
}

// refusal is what Check says no with: code and status; "" and 503 when it could not
// find out.
func refusal(err error) (string, int) {
	var e *rp.Error
	switch {
	case err == nil:
		return "", http.StatusOK
	case errors.As(err, &e):
		return e.Code, e.Status
	}
	return "", http.StatusServiceUnavailable
}

func expect(t *testing.T, v *rp.Verifier, r *http.Request, d rp.Demand, code string, status int) {
	t.Helper()
	token, err := v.Check(r, d)
	if gotCode, gotStatus := refusal(err); gotCode != code || gotStatus != status {
		t.Errorf("%q, %d, want %q, %d (%v, because of %v)", gotCode, gotStatus, code, status, err, errors.Unwrap(err))
	}
	if err != nil && token.Subject+token.ClientID != "" {
		t.Errorf("what was refused is returned: %+v", token)
	}
}

// certificate is one that signed itself.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clinic"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
