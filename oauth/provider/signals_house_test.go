package provider_test

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/oauth/provider"
	"ecardid/storage"
)

// An inbox is a relying party's push endpoint.
type inbox struct {
	url    string
	out    *outbound.Client
	mu     sync.Mutex
	status int
	auth   []string
	got    []string                // tokens that were taken
	before func(n int) (stop bool) // what happens when the nth comes
	n      int
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	box := &inbox{status: http.StatusAccepted}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		box.mu.Lock()
		defer box.mu.Unlock()
		box.n++
		box.auth = append(box.auth, r.Header.Get("Authorization"))
		stop := box.before != nil && box.before(box.n)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/secevent+jwt" {
			t.Errorf("%s %s", r.Method, r.Header.Get("Content-Type"))
		}
		if box.status < 300 || stop {
			box.got = append(box.got, string(body))
		}
		w.WriteHeader(box.status)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	host := strings.TrimPrefix(s.URL, "https://")
	box.url, box.out = s.URL+"/events", outbound.New(outbound.Config{Only: []string{host}, Allow: []string{host}, Roots: pool})
	return box
}

func (b *inbox) taken() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// A counter is a signals.Observer.
type counter struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *counter) Signals(outcome string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[outcome] += n
}

func (c *counter) SignalLag(int, time.Duration) {}

// signalling is a house that tells its relying party, and its key to do so.
func signalling(t *testing.T, box *inbox, change ...func(*provider.Config)) *house {
	t.Helper()
	h := newHouse(t, append(change, func(c *provider.Config) {
		c.Streams = c.Store.(*storage.Store)
		if box != nil {
			c.Outbound = box.out
		}
	})...)
	h.client(`{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + callback + `"],
		"grant_types":["authorization_code","client_credentials"],"scope":"openid card.basic card.status ssf.read ssf.manage"}`)
	return h
}

// signing makes the key that events are signed with, which takes a moment.
func (h *house) signing() {
	h.t.Helper()
	if err := h.keys.Renew(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// machine is an access token of the client's own.
func (h *house) machine(client, scope string) string {
	h.t.Helper()
	status, out := h.call("/token", client, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
	if status != http.StatusOK {
		h.t.Fatalf("%d %v", status, out)
	}
	return out["access_token"].(string)
}

// api calls the API with a bearer token, unless that is empty.
func (h *house) api(method, path, token, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "evil.example"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := h.serve(r)
	if w.Code >= 500 {
		h.t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w
}

// stream opens a stream and returns its id and configuration.
func (h *house) stream(token, delivery string) (string, map[string]any) {
	h.t.Helper()
	w := h.api("POST", "/ssf/stream", token, `{"delivery":`+delivery+`,"description":"ours"}`)
	if w.Code != http.StatusCreated {
		h.t.Fatalf("%d %s", w.Code, w.Body)
	}
	v := jsonOf(h.t, w)
	return v["stream_id"].(string), v
}

const byPoll = `{"method":"urn:ietf:rfc:8936"}`

// sets polls a stream: the tokens in order.
func (h *house) sets(token, stream, body string) (ids, tokens []string, more bool) {
	h.t.Helper()
	w := h.api("POST", "/ssf/poll/"+stream, token, body)
	if w.Code != http.StatusOK {
		h.t.Fatalf("%d %s", w.Code, w.Body)
	}
	var out struct {
		Sets json.RawMessage `json:"sets"`
		More bool            `json:"moreAvailable"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		h.t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(out.Sets)))
	for {
		word, err := d.Token()
		if err != nil {
			return ids, tokens, out.More
		}
		s, ok := word.(string)
		switch {
		case !ok:
		case len(ids) > len(tokens):
			tokens = append(tokens, s)
		default:
			ids = append(ids, s)
		}
	}
}

// An event is what is in a security event token.
type event struct {
	Issuer  string                    `json:"iss"`
	Aud     string                    `json:"aud"`
	ID      string                    `json:"jti"`
	At      int64                     `json:"iat"`
	Subject map[string]any            `json:"sub_id"`
	Events  map[string]map[string]any `json:"events"`
	Sub     *string                   `json:"sub"`
	Exp     *int64                    `json:"exp"`
}

// open verifies a security event token by the published keys.
func (h *house) open(token string) (event, string) {
	h.t.Helper()
	set, err := jose.ParseSet(h.browser().get("/jwks").Body.Bytes())
	if err != nil {
		h.t.Fatal(err)
	}
	parsed, err := jose.Parse(token)
	if err != nil {
		h.t.Fatal(err)
	}
	verified, err := parsed.Verify(set, jose.RS256)
	if err != nil {
		h.t.Fatal(err)
	}
	var e event
	if err := verified.Claims(&e); err != nil {
		h.t.Fatal(err)
	}
	if !parsed.Header.Is("secevent+jwt") || e.Issuer != issuer || e.Aud != rp || e.ID == "" || e.Sub != nil || e.Exp != nil || len(e.Events) != 1 || e.At > h.clock.Now().Unix() {
		h.t.Errorf("%+v", e)
	}
	for kind := range e.Events {
		return e, kind[strings.LastIndex(kind, "/")+1:]
	}
	return e, ""
}

// freeze does what an operator does at the command line.
func (h *house) freeze(to identity.CardState) {
	h.t.Helper()
	kind := audit.CitizenFrozen
	if to == identity.CardNormal {
		kind = audit.CitizenRestored
	}
	if err := h.store.SetCardState(h.t.Context(), h.citizens[0], to, audit.Event{Kind: kind, At: h.clock.Now(), Actor: audit.ByOperator, Citizen: h.citizens[0]}); err != nil {
		h.t.Fatal(err)
	}
}
