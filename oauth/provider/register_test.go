package provider_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/outbound"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/provider"
)

// ticket makes an initial access token.
func (h *house) ticket(profile oauth.Profile, scope string, uses int) string {
	h.t.Helper()
	token, now := secret.New(32), h.clock.Now()
	err := h.store.AddInitialToken(h.t.Context(), oauth.InitialToken{
		Hash: token.Hash(), Note: "test", Profile: profile, Scope: scope, Uses: uses, Created: now, Expires: now.Add(24 * time.Hour),
	}, audit.Event{Kind: audit.InitialTokenMade, At: now, Actor: audit.ByOperator})
	if err != nil {
		h.t.Fatal(err)
	}
	return token.Reveal()
}

// send is a JSON request under a bearer token; "" for none.
func (h *house) send(method, target, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	if w.Code >= 500 {
		h.t.Errorf("%s %s: status %d: %s", method, target, w.Code, w.Body)
	}
	return w
}

// A registered client as its owner holds it.
type registered struct {
	id, secret, token, path string
	all                     map[string]any
}

func (h *house) register(token, body string) registered {
	h.t.Helper()
	w := h.send(http.MethodPost, "/register", token, body)
	if w.Code != http.StatusCreated || w.Header().Get("Cache-Control") != "no-store" {
		h.t.Fatalf("status %d, %s: %s", w.Code, w.Header().Get("Cache-Control"), w.Body)
	}
	all := jsonOf(h.t, w)
	r := registered{all: all}
	r.id, _ = all["client_id"].(string)
	r.secret, _ = all["client_secret"].(string)
	r.token, _ = all["registration_access_token"].(string)
	uri, _ := all["registration_client_uri"].(string)
	r.path = strings.TrimPrefix(uri, issuer)
	if r.id == "" || r.token == "" || r.path != "/register/"+r.id {
		h.t.Fatalf("registered as %v", all)
	}
	h.secretOf[r.id] = r.secret
	return r
}

const newcomer = `{"client_name":"Clinic","client_name#zh-CN":"诊所","redirect_uris":["` + callback + `"],
	"grant_types":["authorization_code","refresh_token"],"scope":"openid profile offline_access"}`

// A whole life: registered, used, looked up, changed, withdrawn; and then nothing of
// it is good for anything.
func TestRegistrationOfAClient(t *testing.T) {
	h := newHouse(t)
	c := h.register(h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1), newcomer)
	if c.secret == "" || c.all["client_secret_expires_at"] != float64(0) || c.all["client_name#zh-CN"] != "诊所" ||
		c.all["client_id_issued_at"] != float64(noon.Unix()) || c.all["id_token_signed_response_alg"] != "ES256" {
		t.Errorf("registered as %v", c.all)
	}
	for _, ours := range []string{"profile", "state", "first_party", "min_acr", "resources"} {
		if _, shown := c.all[ours]; shown {
			t.Errorf("%s is shown to the client", ours)
		}
	}
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask("client_id", c.id, "scope", "openid offline_access"))
	status, tokens := h.call("/token", c.id, redeem(code))
	if status != http.StatusOK {
		t.Fatalf("redeeming: %d %v", status, tokens)
	}

	w := h.send(http.MethodGet, c.path, c.token, "")
	got := jsonOf(t, w)
	if w.Code != http.StatusOK || got["client_secret"] != nil || got["registration_access_token"] != c.token || got["client_id"] != c.id {
		t.Errorf("read: %d %v", w.Code, got)
	}

	// The owner sends back what it was given, with a change.
	update := func(change map[string]any) (int, map[string]any) {
		t.Helper()
		doc := map[string]any{}
		for name, value := range c.all {
			doc[name] = value
		}
		for _, ours := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
			delete(doc, ours)
		}
		for name, value := range change {
			if value == nil {
				delete(doc, name)
				continue
			}
			doc[name] = value
		}
		body, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		w := h.send(http.MethodPut, c.path, c.token, string(body))
		return w.Code, jsonOf(t, w)
	}
	status, got = update(map[string]any{"client_name": "Clinic of the East", "scope": "openid offline_access", "client_name#zh-CN": nil})
	if status != http.StatusOK || got["client_name"] != "Clinic of the East" || got["scope"] != "openid offline_access" ||
		got["client_name#zh-CN"] != nil || got["client_secret"] != nil {
		t.Errorf("updated: %d %v", status, got)
	}
	// Under another name nothing is left of what was agreed to; the secret is.
	if status, got := h.call("/token", c.id, refreshing(tokens["refresh_token"].(string))); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
		t.Errorf("refreshed under another name: %d %v", status, got)
	}
	status, tokens = h.call("/token", c.id, redeem(b.code(ask("client_id", c.id, "scope", "openid offline_access"))))
	if status != http.StatusOK {
		t.Fatalf("the secret went with the update: %d %v", status, tokens)
	}
	// What was given up does not come back.
	if status, got = update(map[string]any{"scope": "openid profile offline_access"}); status != http.StatusBadRequest || got["error"] != "invalid_client_metadata" {
		t.Errorf("widened: %d %v", status, got)
	}
	if status, got = update(map[string]any{"scope": nil}); status != http.StatusOK || got["scope"] != "openid offline_access" {
		t.Errorf("without scope: %d %v", status, got)
	}
	for name, change := range map[string]map[string]any{
		"another's id":            {"client_id": "pension"},
		"no id":                   {"client_id": nil},
		"an id that is no text":   {"client_id": 1},
		"another secret":          {"client_secret": "guess"},
		"an empty secret":         {"client_secret": ""},
		"a secret that is null":   {"client_secret": []string{}},
		"a token":                 {"registration_access_token": c.token},
		"an address":              {"registration_client_uri": "https://evil.example"},
		"an end of the secret":    {"client_secret_expires_at": 1},
		"a redirect in the clear": {"redirect_uris": []string{"http://rp.example/cb"}},
		"no redirect":             {"redirect_uris": nil},
	} {
		if status, got := update(change); status != http.StatusBadRequest || got["error"] == nil {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}

	// To another method and back: the secret is made anew, and shown.
	if status, got = update(map[string]any{"token_endpoint_auth_method": "none", "scope": nil, "client_secret": nil}); status != http.StatusOK || got["client_secret"] != nil {
		t.Errorf("without authentication: %d %v", status, got)
	}
	if status, got = update(map[string]any{"scope": nil, "client_secret": nil}); status != http.StatusOK || got["client_secret"] == nil || got["client_secret"] == c.secret {
		t.Errorf("with a secret again: %d %v", status, got)
	}

	if w := h.send(http.MethodDelete, c.path, c.token, ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Errorf("withdrawn: %d %s", w.Code, w.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		if w := h.send(method, c.path, c.token, `{}`); w.Code != http.StatusUnauthorized {
			t.Errorf("%s after the end: %d", method, w.Code)
		}
	}
	h.secretOf[c.id], _ = got["client_secret"].(string)
	if status, _ := h.call("/token", c.id, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}}); status != http.StatusUnauthorized {
		t.Errorf("a refresh token after the end: %d", status)
	}
	if w := h.userinfo(tokens["access_token"].(string)); w.Code != http.StatusUnauthorized {
		t.Errorf("an access token after the end: %d", w.Code)
	}
}

// Whose word counts at the door.
func TestInitialTokens(t *testing.T) {
	h := newHouse(t)
	if w := h.send(http.MethodPost, "/register", "", newcomer); w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("without a token: %d %s", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	two := h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 2)
	a, b := h.register(two, newcomer), h.register(two, newcomer)
	if a.id == b.id {
		t.Error("one id for two clients")
	}
	old := h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 5)
	for name, token := range map[string]string{
		"used up": two, "unknown": strings.Repeat("A", 43), "of a client": a.token, "malformed": "a b", "long": strings.Repeat("A", 600),
	} {
		if w := h.send(http.MethodPost, "/register", token, newcomer); w.Code != http.StatusUnauthorized {
			t.Errorf("a token that is %s: %d %s", name, w.Code, w.Body)
		}
	}
	h.clock.Advance(24 * time.Hour)
	if w := h.send(http.MethodPost, "/register", old, newcomer); w.Code != http.StatusUnauthorized {
		t.Errorf("an old token: %d", w.Code)
	}
	// A refused registration uses nothing up.
	one := h.ticket(oauth.ProfileOAuth21, "openid", 1)
	if w := h.send(http.MethodPost, "/register", one, `{}`); w.Code != http.StatusBadRequest {
		t.Errorf("nothing registered: %d", w.Code)
	}
	h.register(one, `{"redirect_uris":["https://rp.example/"]}`)

	// Another's registration cannot be looked after, and nobody learns whether it is there.
	for name, path := range map[string]string{"another's": b.path, "nobody's": "/register/c-0", "a client of the operator's": "/register/pension"} {
		h.rp()
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			w := h.send(method, path, a.token, `{}`)
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "invalid_token") {
				t.Errorf("%s %s: %d %s", method, name, w.Code, w.Body)
			}
		}
	}
	if w := h.send(http.MethodGet, a.path+"?access_token="+a.token, "", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a token in the URL: %d", w.Code)
	}
}

// Of many who come with the last use of a token, one is registered (SECURITY G1).
func TestLastUseOfAnInitialToken(t *testing.T) {
	h := newHouse(t)
	one := h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1)
	var all sync.WaitGroup
	var in, out atomic.Int32
	for range 20 {
		all.Go(func() {
			switch w := h.send(http.MethodPost, "/register", one, newcomer); w.Code {
			case http.StatusCreated:
				in.Add(1)
			case http.StatusUnauthorized:
				out.Add(1)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 || out.Load() != 19 {
		t.Errorf("%d registered, %d refused", in.Load(), out.Load())
	}
}

// What a stranger writes about their own admission is not read, and the ceiling holds
// (SECURITY CA5).
func TestStrangersAdmitNobody(t *testing.T) {
	h := newHouse(t)
	token := h.ticket(oauth.ProfileOAuth21, "openid profile", 10)
	c := h.register(token, `{"client_id":"pension-office","client_name":"Clinic","redirect_uris":["https://rp.example/cb"],
		"profile":"oidc","first_party":true,"min_acr":"gold","resources":["urn:ecardid:resource:card"],"state":"suspended","pkce_optional":true,
		"exchange_resources":["urn:x"],"epoch":7,"dynamic":false}`)
	kept, err := h.registry.Client(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	if kept.ID == "pension-office" || kept.Profile != oauth.ProfileOAuth21 || kept.FirstParty || kept.MinACR != "" || kept.Resources != nil ||
		kept.State != oauth.ClientLive || kept.PKCEOptional || kept.ExchangeResources != nil || !kept.Dynamic || kept.Scope != "openid profile" {
		t.Errorf("admitted as %+v", kept)
	}
	for name, body := range map[string]string{
		"more scope":            `{"redirect_uris":["https://rp.example/cb"],"scope":"openid phone"}`,
		"scope of a machine":    `{"redirect_uris":["https://rp.example/cb"],"scope":"card.status"}`,
		"token exchange":        `{"redirect_uris":["https://rp.example/cb"],"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:token-exchange"],"exchange_resources":["urn:x"]}`,
		"implicit":              `{"redirect_uris":["https://rp.example/cb"],"response_types":["code","token"]}`,
		"certificates":          `{"redirect_uris":["https://rp.example/cb"],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"rp.example"}`,
		"the device grant":      `{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"],"client_name":"TV"}`,
		"details of no type":    `{"redirect_uris":["https://rp.example/cb"],"authorization_details_types":["nothing"]}`,
		"a secret of its own":   `{"redirect_uris":["https://rp.example/cb"],"client_secret":"x"}`,
		"a pattern":             `{"redirect_uris":["https://*.example/cb"]}`,
		"a script":              `{"redirect_uris":["https://rp.example/cb"],"logo_uri":"javascript:alert(1)"}`,
		"a list":                `[]`,
		"nothing":               ``,
		"two documents":         newcomer + newcomer,
		"a name twice":          `{"redirect_uris":["https://rp.example/cb"],"redirect_uris":["https://evil.example/cb"]}`,
		"login in the clear":    `{"redirect_uris":["https://rp.example/cb"],"initiate_login_uri":"http://rp.example/"}`,
		"an unreachable sector": `{"redirect_uris":["https://rp.example/cb"],"sector_identifier_uri":"https://rp.example/sector"}`,
		"too much":              `{"redirect_uris":["https://rp.example/cb"],"client_name":"` + strings.Repeat("x", 65<<10) + `"}`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/register", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "bearer "+token)
		w := httptest.NewRecorder()
		h.mux.ServeHTTP(w, r)
		got := jsonOf(t, w)
		if code, _ := got["error"].(string); w.Code != http.StatusBadRequest || code != "invalid_client_metadata" && code != "invalid_redirect_uri" {
			t.Errorf("%s: %d %v", name, w.Code, got)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"a form":        func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") },
		"no type":       func(r *http.Request) { r.Header.Del("Content-Type") },
		"two types":     func(r *http.Request) { r.Header.Add("Content-Type", "application/json") },
		"another set":   func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=gbk") },
		"token in URL":  func(r *http.Request) { r.URL.RawQuery = "access_token=x" },
		"secret in URL": func(r *http.Request) { r.URL.RawQuery = "client_secret=" },
	} {
		r := httptest.NewRequest(http.MethodPost, "/register", strings.NewReader(newcomer))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		change(r)
		w := httptest.NewRecorder()
		h.mux.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// Nothing a client holds lets it in again (SECURITY CA4).
func TestSuspendedClientsStayOut(t *testing.T) {
	h := newHouse(t)
	c := h.register(h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1), newcomer)
	before, err := h.registry.Client(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	now := h.clock.Now()
	event := audit.Event{Kind: audit.ClientSuspended, At: now, Actor: audit.ByOperator, Client: c.id}
	if err := h.store.SuspendClient(t.Context(), c.id, now, event); err != nil {
		t.Fatal(err)
	}
	// A replica that has not heard of it yet.
	body := strings.Replace(newcomer, "{", `{"client_id":"`+c.id+`",`, 1)
	if w := h.send(http.MethodPut, c.path, c.token, body); w.Code != http.StatusUnauthorized {
		t.Errorf("an update by a suspended client: %d %s", w.Code, w.Body)
	}
	event.Kind = audit.ClientUpdated
	if err := h.store.UpdateClient(t.Context(), *before, event); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("updated: %v", err)
	}
	if err := h.registry.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := h.send(http.MethodGet, c.path, c.token, ""); w.Code != http.StatusUnauthorized {
		t.Errorf("read: %d", w.Code)
	}
	all, _, err := h.store.AllClients(t.Context())
	if err != nil || len(all) != 1 || all[0].State != oauth.ClientSuspended {
		t.Errorf("%+v, %v", all, err)
	}
	// Let in again by an operator it is of another epoch, which the old copy is not.
	back := all[0]
	back.State = oauth.ClientLive
	event.Kind = audit.ClientApplied
	if err := h.store.ApplyClient(t.Context(), back, event); err != nil {
		t.Fatal(err)
	}
	if err := h.store.UpdateClient(t.Context(), *before, event); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("an old copy was written: %v", err)
	}
}

// A test profile: everybody registers, as OpenID Connect would have it.
func TestOpenRegistration(t *testing.T) {
	h := newHouse(t, func(c *provider.Config) { c.OpenRegistration = true })
	c := h.register("", `{"redirect_uris":["`+callback+`"],"contacts":["it@rp.example"],"initiate_login_uri":"https://rp.example/begin"}`)
	if c.all["client_name"] != "rp.example" || c.all["id_token_signed_response_alg"] != "RS256" || c.all["initiate_login_uri"] != "https://rp.example/begin" {
		t.Errorf("registered as %v", c.all)
	}
	if scope, _ := c.all["scope"].(string); strings.Contains(scope, "card.status") || !strings.Contains(scope, "openid") {
		t.Errorf("scope is %q", scope)
	}
	b := h.browser()
	b.signIn(0, password(), totp())
	v := ask("client_id", c.id, "scope", "openid", "code_challenge", "-", "code_challenge_method", "-")
	status, tokens := h.call("/token", c.id, redeem(b.code(v), "code_verifier", "-"))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, tokens)
	}
	if head := strings.Split(tokens["id_token"].(string), ".")[0]; !strings.Contains(decoded(t, head), `"RS256"`) {
		t.Errorf("signed as %s", decoded(t, head))
	}
	// Who has a token of somebody's is not let in for having a wrong one.
	if w := h.send(http.MethodPost, "/register", strings.Repeat("A", 43), newcomer); w.Code != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d", w.Code)
	}
	slow, replicas := 0, len(h.stores) // each counts for itself
	for range 60 * replicas {
		if w := h.send(http.MethodPost, "/register", "", `{}`); w.Code == http.StatusTooManyRequests {
			slow++
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
	if slow < 15*replicas || slow > 30*replicas {
		t.Errorf("%d of %d were slowed down", slow, 60*replicas)
	}
	h.clock.Advance(time.Minute)
	if w := h.send(http.MethodPost, "/register", "", `{}`); w.Code != http.StatusBadRequest {
		t.Errorf("after a rest: %d", w.Code)
	}
}

// The sector's document speaks for every redirect URI, or nobody is registered.
func TestSectorIdentifier(t *testing.T) {
	documents := map[string]string{
		"/good":  `["https://a.example/cb","https://b.example/cb","https://c.example/cb"]`,
		"/short": `["https://a.example/cb"]`,
		"/text":  `"https://a.example/cb"`,
		"/null":  `null`,
		"/more":  `["https://a.example/cb","https://b.example/cb"] x`,
		"/mixed": `["https://a.example/cb","https://b.example/cb",1]`,
	}
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, there := documents[r.URL.Path]
		if !there {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	defer site.Close()
	at, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	fetch := outbound.New(outbound.Config{Allow: []string{at.Host}, Roots: roots})
	defer fetch.Close()
	h := newHouse(t, func(c *provider.Config) { c.Outbound = fetch })
	token := h.ticket(oauth.ProfileOAuth21, "openid", 20)
	body := func(path string) string {
		return `{"redirect_uris":["https://a.example/cb","https://b.example/cb"],"sector_identifier_uri":"` + site.URL + path + `"}`
	}
	c := h.register(token, body("/good"))
	for path := range documents {
		if path == "/good" {
			continue
		}
		if w := h.send(http.MethodPost, "/register", token, body(path)); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "invalid_client_metadata") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := h.send(http.MethodPost, "/register", token, body("/nowhere")); w.Code != http.StatusBadRequest {
		t.Errorf("a document that is not there: %d", w.Code)
	}
	// An update is held to it as well.
	wider := strings.Replace(body("/good"), `"https://b.example/cb"`, `"https://d.example/cb"`, 1)
	if w := h.send(http.MethodPut, c.path, c.token, strings.Replace(wider, "{", `{"client_id":"`+c.id+`",`, 1)); w.Code != http.StatusBadRequest {
		t.Errorf("an update beyond the sector: %d %s", w.Code, w.Body)
	}
}

func decoded(t *testing.T, part string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
