package userinfo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/dpop"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
)

const issuer = "https://id.example"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// house is the endpoint on a store that is a few maps and counts what is asked.
type house struct {
	*Handler
	t      testing.TB
	client *oauth.Client
	grant  oauth.Grant
	opaque map[string]oauth.TokenInfo // by hash
	seen   map[string]bool
	reads  [][]string // the claims of each
	spends int
	fail   error
}

func (h *house) Client(_ context.Context, id string) (*oauth.Client, error) {
	if id != h.client.ID {
		return nil, identity.ErrNotFound
	}
	return h.client, nil
}

type keys struct{ ring *jose.Ring }

func (k keys) Ring() *jose.Ring { return k.ring }

func (k keys) Signer(alg jose.Alg) (jose.Key, error) {
	key, ok := k.ring.Active(alg)
	if !ok {
		return jose.Key{}, errors.New("no key")
	}
	return key, nil
}

// Token and LiveGrant implement oauth.Tokens; they are introspection's.
func (h *house) Token(context.Context, []byte, time.Time, ...oauth.Once) (oauth.TokenInfo, error) {
	return oauth.TokenInfo{}, errors.New("not this one")
}

func (h *house) LiveGrant(context.Context, identity.ID, time.Time, ...oauth.Once) (oauth.Grant, error) {
	return oauth.Grant{}, errors.New("not this one")
}

func (h *house) UserInfo(_ context.Context, token []byte, grant identity.ID, claims []string, _ time.Time, once ...oauth.Once) (oauth.TokenInfo, oauth.Person, error) {
	h.reads = append(h.reads, slices.Clone(claims))
	if h.fail != nil {
		return oauth.TokenInfo{}, oauth.Person{}, h.fail
	}
	if err := h.remember(once); err != nil {
		return oauth.TokenInfo{}, oauth.Person{}, err
	}
	info := oauth.TokenInfo{Grant: h.grant}
	if token != nil {
		var ok bool
		if info, ok = h.opaque[string(token)]; !ok {
			return oauth.TokenInfo{}, oauth.Person{}, identity.ErrNotFound
		}
	} else if grant != h.grant.ID {
		return oauth.TokenInfo{}, oauth.Person{}, identity.ErrNotFound
	}
	p := oauth.Person{Citizen: h.grant.Citizen, Claims: map[string]any{}}
	for _, name := range claims {
		p.Claims[name] = "the " + name
	}
	return info, p, nil
}

// Remember implements oauth.Replay, and so does Spend.
func (h *house) Remember(context.Context, []byte, time.Time, time.Time) error {
	return errors.New("not this one")
}

func (h *house) Spend(_ context.Context, _ time.Time, once ...oauth.Once) error {
	h.spends++
	return h.remember(once)
}

func (h *house) remember(once []oauth.Once) error {
	for _, o := range once {
		if h.seen[string(o.Key)] {
			return identity.ErrReplayed
		}
		h.seen[string(o.Key)] = true
	}
	return nil
}

func keyed(t testing.TB, b string) oauth.Keyed {
	t.Helper()
	k, err := oauth.NewKeyed([]byte(strings.Repeat(b, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newHouse(t testing.TB) *house {
	t.Helper()
	key, err := jose.Generate(jose.ES256, "house")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.RingKey{{Key: key, State: jose.Active}})
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := oauth.NewSubjects([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.At(noon)
	h := &house{
		t: t, seen: map[string]bool{}, opaque: map[string]oauth.TokenInfo{},
		client: &oauth.Client{
			ID: "pension", RedirectURIs: []string{"https://rp.example/cb"}, State: oauth.ClientLive,
			AccessTokenSignedAlg: string(jose.ES256), IDTokenSignedAlg: string(jose.ES256), Scope: "openid profile phone card.basic",
		},
		grant: oauth.Grant{
			ID: identity.NewID(), ClientID: "pension", Citizen: identity.NewID(), ACR: "urn:ecardid:acr:mfa", AuthTime: noon,
			Scope: []string{"openid", "profile", "card.basic"},
		},
	}
	h.Handler = &Handler{
		Registry: h, Tokens: h, Replay: h, Catalogue: cat, Clock: clk,
		Issuer:  &issue.Issuer{Name: issuer, Keys: keys{ring}, Subjects: subjects},
		Handles: issue.Handles{Keys: keyed(t, "h")},
		Proofs:  &dpop.Verifier{Issuer: issuer, Nonces: dpop.Nonces{Keys: keyed(t, "n")}, Replay: h, Clock: clk},
		Respond: respond.Writer{Issuer: issuer, Log: slog.New(slog.DiscardHandler)},
	}
	return h
}

// jwt and handle are the two forms of an access token for the grant.
func (h *house) jwt(b oauth.Binding) string {
	h.t.Helper()
	token, err := h.Issuer.Access(h.client, h.grant, h.grant.Scope, []string{issuer}, b, noon)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

func (h *house) handle(b oauth.Binding) string {
	token := h.Handles.New(issue.Access)
	h.opaque[string(token.Hash())] = oauth.TokenInfo{Grant: h.grant, Scope: h.grant.Scope, Binding: b}
	return token.Reveal()
}

// A holder holds a DPoP key.
type holder struct{ key jose.Key }

func newHolder(t testing.TB) holder {
	t.Helper()
	k, err := jose.Generate(jose.ES256, "holder")
	if err != nil {
		t.Fatal(err)
	}
	return holder{k}
}

func (o holder) binding() oauth.Binding { return oauth.Binding{JKT: o.key.Thumbprint()} }

// proof proves the key for GET /userinfo with token; changes are claims, name and
// value.
func (o holder) proof(t testing.TB, token string, changes ...any) string {
	t.Helper()
	claims := map[string]any{
		"jti": identity.NewID().String(), "htm": "GET", "htu": issuer + "/userinfo", "iat": noon.Unix(), "ath": dpop.Hash(token),
	}
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	jwk, err := json.Marshal(o.key.Unnamed())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	input := b64([]byte(fmt.Sprintf(`{"typ":"dpop+jwt","alg":"ES256","jwk":%s}`, jwk))) + "." + b64(payload)
	sig, err := o.key.SignRaw([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(sig)
}

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rp"}, NotAfter: noon.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// ask sends a request with an Authorization header, proofs and a certificate.
func (h *house) ask(authorization string, cert *x509.Certificate, proofs ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/userinfo", nil)
	r.Host = "evil.example"
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	if cert != nil {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Header().Get("DPoP-Nonce") == "" || w.Code >= 500 && h.fail == nil {
		h.t.Errorf("%d with headers %v", w.Code, w.Header())
	}
	return w
}
