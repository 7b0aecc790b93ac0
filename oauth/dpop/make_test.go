package dpop

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

const (
	issuer   = "https://id.example"
	endpoint = issuer + "/token"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// memory is an oauth.Replay.
type memory struct {
	mu   sync.Mutex
	seen map[string]time.Time
	err  error
}

func (m *memory) Remember(context.Context, []byte, time.Time, time.Time) error {
	return errors.New("not this one")
}

func (m *memory) Spend(_ context.Context, _ time.Time, once ...oauth.Once) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, o := range once {
		if _, known := m.seen[string(o.Key)]; known {
			return identity.ErrReplayed
		}
		m.seen[string(o.Key)] = o.Expires
	}
	return nil
}

func newVerifier(t testing.TB) (*Verifier, *clock.Manual, *memory) {
	t.Helper()
	keys, err := oauth.NewKeyed([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	clk, replay := clock.At(noon), &memory{seen: map[string]time.Time{}}
	return &Verifier{Issuer: issuer, Nonces: Nonces{keys}, Replay: replay, Clock: clk}, clk, replay
}

func generate(t testing.TB, alg jose.Alg) jose.Key {
	t.Helper()
	k, err := jose.Generate(alg, "k")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, k jose.Key) map[string]any {
	t.Helper()
	doc, err := k.Unnamed().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var jwk map[string]any
	if err := json.Unmarshal(doc, &jwk); err != nil {
		t.Fatal(err)
	}
	return jwk
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// sign makes a JWS of any header and payload.
func sign(t testing.TB, k jose.Key, header, payload map[string]any) string {
	t.Helper()
	input := encode(t, header) + "." + encode(t, payload)
	sig, err := signature(k, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func signature(k jose.Key, input []byte) ([]byte, error) {
	if k.Alg() == jose.ES256 || k.Alg() == jose.SM2 {
		return k.SignRaw(input)
	}
	der, err := k.MarshalPKCS8()
	if err != nil {
		return nil, err
	}
	priv, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, sum := priv.(crypto.Signer), sha256.Sum256(input)
	switch k.Alg() {
	case jose.RS256:
		return signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	case jose.PS256:
		return signer.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	}
	return signer.Sign(nil, input, crypto.Hash(0))
}

type change func(header, payload map[string]any)

func set(name string, value any) change { return func(_, p map[string]any) { p[name] = value } }
func drop(name string) change           { return func(_, p map[string]any) { delete(p, name) } }
func setHeader(name string, value any) change {
	return func(h, _ map[string]any) { h[name] = value }
}

// make makes a proof that is right but for the changes.
func (v *Verifier) make(t testing.TB, k jose.Key, changes ...change) string {
	t.Helper()
	header := map[string]any{"typ": "dpop+jwt", "alg": string(k.Alg()), "jwk": public(t, k)}
	payload := map[string]any{"jti": identity.NewID().String(), "htm": "POST", "htu": endpoint, "iat": v.Clock.Now().Unix()}
	for _, c := range changes {
		c(header, payload)
	}
	return sign(t, k, header, payload)
}

func request(proofs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	r.Host = "evil.example" // says nothing
	r.Header["Dpop"] = proofs
	return r
}

func code(err error) string {
	if rfc := new(fosite.RFC6749Error); errors.As(err, &rfc) {
		return rfc.ErrorField
	}
	return ""
}
