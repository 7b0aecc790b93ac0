package caller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/issue"
	"ecardid/oauth/mtls"
	"ecardid/oauth/respond"
)

const (
	issuer   = "https://id.example"
	resource = "urn:example:resource"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type keys struct{ ring *jose.Ring }

func (k keys) Ring() *jose.Ring { return k.ring }

func (k keys) Signer(alg jose.Alg) (jose.Key, error) {
	key, ok := k.ring.Active(alg)
	if !ok {
		return jose.Key{}, errors.New("no key")
	}
	return key, nil
}

// clients is a Registry of one, or of none that anybody knows of.
type clients struct {
	one *oauth.Client
	err error
}

func (c clients) Client(_ context.Context, id string) (*oauth.Client, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case c.one.ID != id:
		return nil, identity.ErrNotFound
	}
	return c.one, nil
}

func certificate(t *testing.T) *x509.Certificate {
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

func TestEnter(t *testing.T) {
	key, err := jose.Generate(jose.ES256, "house")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jose.NewRing([]jose.RingKey{{Key: key, State: jose.Active}})
	if err != nil {
		t.Fatal(err)
	}
	nonces, err := oauth.NewKeyed([]byte(strings.Repeat("n", 32)))
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := oauth.NewSubjects([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	maker := &issue.Issuer{Name: issuer, Keys: keys{ring}, Subjects: subjects}
	robot := &oauth.Client{ID: "robot", State: oauth.ClientLive, Epoch: 3, Scope: "a b"}
	mine, other := certificate(t), certificate(t)
	held := oauth.Binding{X5T: mtls.Thumbprint(mine)}
	person := oauth.Grant{ID: identity.NewID(), Citizen: identity.NewID()}

	type changes struct {
		grant    oauth.Grant
		scope    []string
		audience string
		bound    oauth.Binding
		client   func(*oauth.Client) // after the token was made
		cert     *x509.Certificate
		header   []string
		late     time.Duration
		away     error
	}
	for name, c := range map[string]struct {
		changes
		want int
	}{
		"right":                     {changes{}, 200},
		"another of its scopes":     {changes{scope: []string{"b", "a"}}, 200},
		"bound, with it":            {changes{bound: held, cert: mine}, 200},
		"bound, without":            {changes{bound: held}, 401},
		"bound, with another":       {changes{bound: held, cert: other}, 401},
		"a certificate besides":     {changes{cert: mine}, 200},
		"too little":                {changes{scope: []string{"b"}}, 403},
		"another resource":          {changes{audience: "urn:example:other"}, 401},
		"a citizen's":               {changes{grant: person}, 401},
		"late":                      {changes{late: time.Hour}, 401},
		"suspended since":           {changes{client: func(c *oauth.Client) { c.Epoch++ }}, 401},
		"gone":                      {changes{client: func(c *oauth.Client) { c.ID = "x" }}, 401},
		"not its scope any more":    {changes{client: func(c *oauth.Client) { c.Scope = "b" }}, 403},
		"has to prove a key by now": {changes{client: func(c *oauth.Client) { c.DPoPBound = true }}, 401},
		"needs a certificate now":   {changes{client: func(c *oauth.Client) { c.CertBound = true }}, 401},
		"nobody knows":              {changes{away: errors.New("away")}, 503},
		"no header":                 {changes{header: []string{}}, 401},
		"two headers":               {changes{header: []string{"Bearer a", "Bearer b"}}, 400},
		"another scheme":            {changes{header: []string{"Basic YTpi"}}, 400},
		"nothing":                   {changes{header: []string{"Bearer "}}, 400},
		"nonsense":                  {changes{header: []string{"Bearer a.b.c"}}, 401},
		"as DPoP":                   {changes{header: []string{"DPoP $TOKEN"}}, 401},
	} {
		client := *robot
		scope, audience := c.scope, c.audience
		if scope == nil {
			scope = []string{"a"}
		}
		if audience == "" {
			audience = resource
		}
		token, err := maker.Access(&client, c.grant, scope, []string{audience}, c.bound, noon)
		if err != nil {
			t.Fatal(err)
		}
		if c.client != nil {
			c.client(&client)
		}
		clk := clock.At(noon.Add(c.late))
		g := &Guard{
			Audience: resource, Registry: clients{&client, c.away}, Issuer: maker, Clock: clk,
			Proofs:  &dpop.Verifier{Issuer: issuer, Nonces: dpop.Nonces{Keys: nonces}, Clock: clk},
			Respond: respond.Writer{Issuer: issuer, Log: slog.New(slog.DiscardHandler)},
		}
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		header := c.header
		if header == nil {
			header = []string{"bearer " + token}
		}
		for _, h := range header {
			r.Header.Add("Authorization", strings.ReplaceAll(h, "$TOKEN", token))
		}
		if c.cert != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}}
		}
		w := httptest.NewRecorder()
		who, ok := g.Enter(w, r, "a")
		if ok != (c.want == 200) || w.Code != c.want || ok && (who.ID != "robot" || !who.May("x", "a") || who.May("c")) || !ok && who.Client != nil {
			t.Errorf("%s: %v, %d %s", name, ok, w.Code, w.Body)
		}
		if w.Header().Get("DPoP-Nonce") == "" || w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
}
