package house

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"ecardid/audit"
	"ecardid/internal/seal"
	"ecardid/oauth"
	"ecardid/server"
)

// AllScopes is what the relying parties of tests may ask for.
const AllScopes = "openid profile phone offline_access card.basic insurance.read insurance.pay pension.read pension.claim"

// A Relying is an application: registered, confidential, with an address of its own
// that shows what came back.
type Relying struct {
	t     testing.TB
	house *House

	ID, Secret string
	Origin     string // where it listens
	Redirect   string

	onward atomic.Pointer[url.URL]
	framed atomic.Value // url.Values
}

// Relying registers an application. Its callback is a page with the ids code, error,
// state and response; /onward sends the browser on to where Onward said, for chains
// that lead to a third site; /front is its front channel. More is put over its
// metadata.
func (h *House) Relying(t testing.TB, id string, more ...map[string]any) *Relying {
	t.Helper()
	return h.RelyingAt(t, id, func(office http.Handler) string {
		srv := httptest.NewServer(office)
		t.Cleanup(srv.Close)
		return strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	}, func(string) map[string]any { return merged(more) })
}

// RelyingAt is Relying at an origin that serve opens; more is put over its metadata.
func (h *House) RelyingAt(t testing.TB, id string, serve func(http.Handler) (origin string), more func(origin string) map[string]any) *Relying {
	t.Helper()
	p := &Relying{t: t, house: h, ID: id}
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		fmt.Fprintf(w, "<!doctype html><html lang=en><title>%s</title><h1>%s</h1>", p.ID, p.ID)
		for _, name := range []string{"code", "error", "state", "iss", "response"} {
			fmt.Fprintf(w, "<p id=%s>%s</p>", name, template(r.Form.Get(name)))
		}
	}
	mux.HandleFunc("/cb", show)
	mux.HandleFunc("/onward", func(w http.ResponseWriter, r *http.Request) {
		if to := p.onward.Load(); to != nil {
			http.Redirect(w, r, to.String(), http.StatusSeeOther)
			return
		}
		show(w, r)
	})
	mux.HandleFunc("/front", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors "+h.Issuer)
		p.framed.Store(r.URL.Query())
	})
	p.Origin = serve(mux)
	p.Redirect = p.Origin + "/cb"
	metadata := map[string]any{
		"client_id": id, "client_name": "Relying party " + id, "client_name#zh-CN": "应用" + id,
		"redirect_uris": []string{p.Redirect, p.Origin + "/onward"},
		"grant_types":   []string{"authorization_code", "refresh_token"}, "response_modes": []string{"query", "form_post"},
		"scope": AllScopes, "profile": "oauth21",
	}
	maps.Copy(metadata, more(p.Origin))
	p.Secret = h.Register(t, metadata)
	return p
}

func merged(all []map[string]any) map[string]any {
	one := map[string]any{}
	for _, m := range all {
		maps.Copy(one, m)
	}
	return one
}

// Framed is the query with which /front was loaded last; nil when it was not.
func (p *Relying) Framed() url.Values {
	v, _ := p.framed.Load().(url.Values)
	return v
}

// template escapes for HTML.
func template(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// Register applies a registration and returns the client's secret, if it has one.
func (h *House) Register(t testing.TB, metadata map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	c, err := oauth.ValidateClient(raw)
	if err != nil {
		t.Fatalf("registering: %v", err)
	}
	plain := ""
	if c.TokenEndpointAuthMethod == oauth.AuthBasic || c.TokenEndpointAuthMethod == oauth.AuthPost {
		key, err := h.Store.Keys().MAC(seal.ClientSecret, []byte("derive"), []byte(server.ClientSecrets))
		if err != nil {
			t.Fatal(err)
		}
		keyed, err := oauth.NewKeyed(key)
		if err != nil {
			t.Fatal(err)
		}
		value, hash := oauth.NewSecret(keyed, c.ID)
		c.Secrets, plain = []oauth.SecretHash{hash}, value.Reveal()
		h.secrets.saw("client secret", plain)
	}
	now := h.Clock.Now()
	c.Created, c.Updated = now, now
	if err := h.Store.ApplyClient(t.Context(), c, audit.Event{Kind: audit.ClientApplied, At: now, Actor: audit.ByOperator, Client: c.ID}); err != nil {
		t.Fatal(err)
	}
	h.known(t, c)
	return plain
}

// known waits until every replica has heard of a client, of whatever kind. Signing out
// on behalf of one that is not known is refused, and otherwise goes on.
func (h *House) known(t testing.TB, c oauth.Client) {
	t.Helper()
	probe := "/end-session?" + url.Values{"client_id": {c.ID}}.Encode()
	for _, at := range h.Replicas {
		r := h.Robot(t)
		r.At = at
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if r.Raw(http.MethodGet, probe, "", nil, nil).Location != "" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s has not heard of client %s", at, c.ID)
			}
		}
	}
}

// A Request is one authorization request.
type Request struct {
	Relying  *Relying
	Verifier string
	Values   url.Values
}

// Ask begins an authorization request for scopes; more are further parameters.
func (p *Relying) Ask(scope string, more ...string) *Request {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	verifier := base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(verifier))
	v := url.Values{
		"client_id": {p.ID}, "response_type": {"code"}, "redirect_uri": {p.Redirect}, "scope": {scope},
		"state": {"state-" + verifier[:8]}, "nonce": {"nonce-" + verifier[8:16]},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return &Request{p, verifier, v}
}

// Path is the request as a path of the house.
func (q *Request) Path() string { return "/authorize?" + q.Values.Encode() }

// URL is where the browser is sent.
func (q *Request) URL() string { return q.Relying.house.Issuer + q.Path() }

// Tokens is an answer of the token endpoint.
type Tokens struct {
	Status  int
	Access  string         `json:"access_token"`
	Refresh string         `json:"refresh_token"`
	ID      string         `json:"id_token"`
	Scope   string         `json:"scope"`
	Error   string         `json:"error"`
	Claims  map[string]any `json:"-"` // of the ID token, verified
}

// Came reads the answer off a redirect to the application.
func (q *Request) Came(location string) url.Values {
	q.Relying.t.Helper()
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, q.Values.Get("redirect_uri")) {
		q.Relying.t.Fatalf("the browser was sent to %q and not back to the application", location)
	}
	v := u.Query()
	if got := v.Get("state"); got != q.Values.Get("state") {
		q.Relying.t.Errorf("state came back as %q", got)
	}
	if got := v.Get("iss"); got != q.Relying.house.Issuer {
		q.Relying.t.Errorf("iss is %q", got)
	}
	q.Relying.house.secrets.saw("code", v.Get("code"))
	return v
}

// Redeem redeems a code and verifies the ID token with somebody else's library.
func (q *Request) Redeem(code string) Tokens {
	p := q.Relying
	p.t.Helper()
	tok := p.Token(p.house.Issuer, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.Values.Get("redirect_uri")}, "code_verifier": {q.Verifier},
	})
	if tok.Status != http.StatusOK {
		p.t.Fatalf("redeeming a code: %d %s", tok.Status, tok.Error)
	}
	if !strings.Contains(" "+q.Values.Get("scope")+" ", " openid ") {
		return tok
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, p.house.Issuer)
	if err != nil {
		p.t.Fatal(err)
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: p.ID, Now: p.house.Clock.Now}).Verify(ctx, tok.ID)
	if err != nil {
		p.t.Fatalf("verifying the ID token: %v", err)
	}
	if id.Nonce != q.Values.Get("nonce") {
		p.t.Errorf("nonce is %q", id.Nonce)
	}
	if err := id.Claims(&tok.Claims); err != nil {
		p.t.Fatal(err)
	}
	return tok
}

// Token asks the token endpoint of a replica.
func (p *Relying) Token(at string, form url.Values) Tokens {
	p.t.Helper()
	a := p.call(at, "/token", form)
	var tok Tokens
	if err := json.Unmarshal([]byte(a.Body), &tok); err != nil {
		p.t.Fatalf("the token endpoint answered %d %q", a.Status, a.Body)
	}
	tok.Status = a.Status
	p.house.secrets.saw("access token", tok.Access)
	p.house.secrets.saw("refresh token", tok.Refresh)
	p.house.secrets.saw("ID token", tok.ID)
	return tok
}

// call posts a form with the client's credentials.
func (p *Relying) call(at, path string, form url.Values) *Answer {
	p.t.Helper()
	r := p.house.Robot(p.t)
	r.At = at
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(p.ID) + ":" + url.QueryEscape(p.Secret)))
	return r.Raw(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), http.Header{"Authorization": {"Basic " + basic}})
}

// Push pushes the request and returns its handle.
func (p *Relying) Push(at string, q *Request) string {
	p.t.Helper()
	a := p.call(at, "/par", q.Values)
	var out struct {
		Handle string `json:"request_uri"`
	}
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Status != http.StatusCreated {
		p.t.Fatalf("pushing was answered %d %q", a.Status, a.Body)
	}
	return out.Handle
}

// Active asks introspection whether a token lives.
func (p *Relying) Active(token string) bool {
	p.t.Helper()
	var out struct {
		Active bool `json:"active"`
	}
	a := p.call(p.house.Issuer, "/introspect", url.Values{"token": {token}})
	if a.Status != http.StatusOK || json.Unmarshal([]byte(a.Body), &out) != nil {
		p.t.Fatalf("introspection answered %d %s", a.Status, a.Body)
	}
	return out.Active
}

// Userinfo asks userinfo and returns status and claims.
func (p *Relying) Userinfo(token string) (int, map[string]any) {
	p.t.Helper()
	a := p.house.Robot(p.t).Raw(http.MethodGet, "/userinfo", "", nil, http.Header{"Authorization": {"Bearer " + token}})
	var claims map[string]any
	_ = json.Unmarshal([]byte(a.Body), &claims)
	return a.Status, claims
}

// Onward makes /onward send the browser on to another site.
func (p *Relying) Onward(to string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	p.onward.Store(u)
	return nil
}
