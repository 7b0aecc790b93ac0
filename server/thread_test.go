package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/net/html"
	"golang.org/x/oauth2"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/authn/password"
	"ecardid/authn/phone/attest"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/keyring"
	"ecardid/server"
	"ecardid/storage"
	"ecardid/templates"
)

// A house is a whole server over a database of its own, with one citizen.
type house struct {
	issuer string
	store  *storage.Store
	server *server.Server
	clock  *clock.Manual
	log    *journal
	dsn    string

	ingredients server.Ingredients

	seed     totp.Seed
	secret   string // of the client "pension"
	records  string // and of the resource server "records"
	terminal string // and of "terminal", which has the device grant
	citizen  identity.ID
}

const (
	card      = "A12345678"
	password1 = "correct horse battery staple"
	callback  = "https://pension.example/callback"
)

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// newHouse builds one; what is special about it, change sees to.
func newHouse(t testing.TB, change ...func(*server.Ingredients)) *house {
	t.Helper()
	ctx := context.Background()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "ecardid.db")
	if err := storage.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	h := &house{clock: clock.At(time.Now()), log: &journal{}, dsn: dsn}
	h.store = must[*storage.Store](t)(storage.Open(ctx, dsn, storage.Options{}))
	t.Cleanup(h.store.Close)
	kek := must[*seal.KEK](t)(seal.ParseKEK([]byte(strings.Repeat("0123456789abcdef", 4)), "test"))
	if err := h.store.Unlock(ctx, kek, h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	h.people(t)
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	h.issuer = "https://localhost:" + port
	cat := must[*catalogue.Catalogue](t)(catalogue.Default())
	in := server.Ingredients{
		Issuer: h.issuer, Store: h.store, Catalogue: cat,
		Pages: templates.Config{Authority: "示例省人力资源和社会保障厅", Domain: "login.ecard.example"},
		Login: authn.Config{}, Passkeys: passkey.Config{}, Attest: must[attest.Set](t)(attest.NewSet(attest.Unattested{})),
		KeyPolicy: keyring.DefaultPolicy(), DeviceGrant: true, Clock: h.clock, Rand: rand.Reader,
		Log: slog.New(slog.NewJSONHandler(h.log, nil)), Metrics: server.NewMetrics(),
	}
	for _, c := range change {
		c(&in)
	}
	h.issuer, h.ingredients = in.Issuer, in
	h.server = must[*server.Server](t)(server.New(ctx, in))
	ts := httptest.NewUnstartedServer(h.server)
	ts.Listener.Close()
	ts.Listener = listener
	ts.StartTLS()
	t.Cleanup(ts.Close)
	return h
}

// people puts a citizen and a client where an operator would.
func (h *house) people(t testing.TB) {
	t.Helper()
	ctx, now := context.Background(), h.clock.Now()
	by := func(k audit.Kind) audit.Event { return audit.Event{Kind: k, At: now, Actor: audit.ByOperator} }
	h.citizen = identity.NewID()
	code := []byte("0123456789abcdef")
	if err := h.store.ImportCitizens(ctx, []storage.NewCitizen{{
		ID: h.citizen, Name: "王小英",
		IDNumber: must[idnumber.ID](t)(idnumber.ParseID("11010519491231002X", now)),
		Phone:    must[idnumber.Phone](t)(idnumber.ParsePhone("13800001234")),
		Card:     must[idnumber.Card](t)(idnumber.ParseCard(card)), Code: code, Expires: now.Add(time.Hour),
	}}, by(audit.CitizenImported)); err != nil {
		t.Fatal(err)
	}
	hasher := must[*password.Hasher](t)(password.New(password.Config{Pepper: pepper{h.store}, Rand: rand.Reader}))
	if err := h.store.Activate(ctx, h.citizen, code, must[string](t)(hasher.Hash(ctx, password1)), "院子里的桂花", by(audit.CitizenActivated)); err != nil {
		t.Fatal(err)
	}
	h.seed = must[totp.Seed](t)(totp.NewSeed(rand.Reader))
	f := authn.TOTPFactor{ID: identity.NewID(), Citizen: h.citizen, Seed: h.seed.Reveal(), Algorithm: totp.RFC6238, Created: now}
	if err := h.store.ProposeTOTP(ctx, f); err != nil {
		t.Fatal(err)
	}
	if err := h.store.ConfirmTOTP(ctx, h.citizen, f.ID, 1, identity.ID{}, nil, by(audit.TOTPBound)); err != nil {
		t.Fatal(err)
	}
	h.secret = h.client(t, `{"client_id":"pension","client_name":"Pension office",
	 "redirect_uris":["`+callback+`"],"grant_types":["authorization_code","refresh_token"],
	 "scope":"openid profile offline_access card.basic pension.read pension.claim","token_endpoint_auth_method":"client_secret_basic"}`)
	h.terminal = h.client(t, `{"client_id":"terminal","client_name":"Terminal","grant_types":["urn:ietf:params:oauth:grant-type:device_code"],
	 "scope":"openid card.basic","token_endpoint_auth_method":"client_secret_basic"}`)
	h.records = h.client(t, `{"client_id":"records","client_name":"Pension records","grant_types":["client_credentials"],
	 "resources":["urn:ecardid:resource:pension"],"token_endpoint_auth_method":"client_secret_basic"}`)
}

// client applies a client and returns its secret.
func (h *house) client(t testing.TB, metadata string) string {
	t.Helper()
	c := must[oauth.Client](t)(oauth.ValidateClient([]byte(metadata)))
	key := must[[]byte](t)(h.store.Keys().MAC(seal.ClientSecret, []byte("derive"), []byte(server.ClientSecrets)))
	secret, hash := oauth.NewSecret(must[oauth.Keyed](t)(oauth.NewKeyed(key)), c.ID)
	c.Secrets = []oauth.SecretHash{hash}
	e := audit.Event{Kind: audit.ClientApplied, At: h.clock.Now(), Actor: audit.ByOperator}
	if err := h.store.ApplyClient(context.Background(), c, e); err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

type pepper struct{ s *storage.Store }

func (p pepper) ID() uint32                                 { return p.s.Keys().Pepper().ID() }
func (p pepper) Tag(id uint32, data []byte) ([]byte, error) { return p.s.Keys().Pepper().Tag(id, data) }

func (h *house) code() string {
	return must[string](&testing.T{})(totp.Code(h.seed, totp.RFC6238, h.clock.Now()))
}

// A visitor is a browser without script: cookies, forms, redirects. It stops at
// addresses that are not the house's.
type visitor struct {
	t    testing.TB
	http *http.Client
	base string
	page *html.Node
	url  *url.URL
	code int
}

func (h *house) visitor(t testing.TB) *visitor {
	jar := must[*cookiejar.Jar](t)(cookiejar.New(nil))
	return &visitor{t: t, base: h.issuer, http: &http.Client{
		Jar:       jar,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // the test's own certificate
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if !strings.HasPrefix(r.URL.String(), h.issuer) || len(via) > 9 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

func (v *visitor) do(r *http.Request) *visitor {
	v.t.Helper()
	resp, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		v.t.Fatal(err)
	}
	v.code, v.url = resp.StatusCode, resp.Request.URL
	if to, err := resp.Location(); err == nil {
		v.url = to
	}
	v.page, _ = html.Parse(bytes.NewReader(body))
	return v
}

func (v *visitor) get(path string) *visitor {
	v.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = v.base + path
	}
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(r)
}

// submit fills in the form that has the button and presses it.
func (v *visitor) submit(button string, fields ...string) *visitor {
	v.t.Helper()
	form := v.form(button)
	if form == nil {
		v.t.Fatalf("%s (%d): no form with the button %q:\n%s", v.url, v.code, button, v.text())
	}
	values := url.Values{}
	action := v.url.String()
	for _, a := range form.Attr {
		if a.Key == "action" {
			action = a.Val
		}
	}
	for n := range form.Descendants() {
		if n.Data == "input" && attr(n, "name") != "" && attr(n, "type") != "checkbox" {
			values.Set(attr(n, "name"), attr(n, "value"))
		}
		if n.Data == "button" && attr(n, "id") == button && attr(n, "name") != "" {
			values.Set(attr(n, "name"), attr(n, "value"))
		}
	}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	to, err := v.url.Parse(action)
	if err != nil {
		v.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(values.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", v.base)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.do(r)
}

func (v *visitor) form(button string) *html.Node {
	for f := range v.page.Descendants() {
		if f.Data != "form" {
			continue
		}
		for n := range f.Descendants() {
			if n.Data == "button" && attr(n, "id") == button {
				return f
			}
		}
	}
	return nil
}

func (v *visitor) text() string {
	var b strings.Builder
	for n := range v.page.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && strings.TrimSpace(n.Data) != "" {
			b.WriteString(strings.TrimSpace(n.Data) + "\n")
		}
	}
	return b.String()
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// TestThread is the one thin thread everything hangs on: from a relying party's
// button to an ID token that an ordinary client library verifies.
func TestThread(t *testing.T) {
	h := newHouse(t)
	v := h.visitor(t)
	ctx := oidc.InsecureIssuerURLContext(context.WithValue(context.Background(), oauth2.HTTPClient, v.http), h.issuer)
	provider := must[*oidc.Provider](t)(oidc.NewProvider(ctx, h.issuer))
	rp := oauth2.Config{ClientID: "pension", ClientSecret: h.secret, Endpoint: provider.Endpoint(), RedirectURL: callback,
		Scopes: []string{"openid", "profile", "offline_access", "pension.read"}}
	verifier := oauth2.GenerateVerifier()

	v.get(rp.AuthCodeURL("a-state", oidc.Nonce("a-nonce"), oauth2.S256ChallengeOption(verifier)))
	v.submit("login-submit", "username", card, "password", password1)
	v.submit("code-submit", "code", h.code())
	v.submit("device-skip")
	v.submit("consent-allow")
	if !strings.HasPrefix(v.url.String(), callback) || v.url.Query().Get("state") != "a-state" || v.url.Query().Get("iss") != h.issuer {
		t.Fatalf("came back to %s:\n%s\n%s", v.url, v.text(), h.log)
	}
	token, err := rp.Exchange(ctx, v.url.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("%v\n%s", err, h.log)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: "pension", Now: h.clock.Now}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		ACR string   `json:"acr"`
		AMR []string `json:"amr"`
	}
	if err := id.Claims(&claims); err != nil || id.Nonce != "a-nonce" || claims.ACR != identity.LevelMFA.ACR() {
		t.Errorf("claims %+v, nonce %q, %v", claims, id.Nonce, err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	if _, err := rp.Exchange(ctx, v.url.Query().Get("code"), oauth2.VerifierOption(verifier)); err == nil {
		t.Error("the code was taken twice")
	}
}
