package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/keyring"
	"ecardid/oauth/logout"
	"ecardid/oauth/provider"
	"ecardid/oauth/registry"
	"ecardid/storage"
)

const issuer = "https://id.example"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A house is the protocol on a real database, with people who can sign in by
// saying so. Where it has more than one replica, requests go to them in turn.
type house struct {
	t        *testing.T
	clock    *clock.Manual
	store    *storage.Store   // of the first replica
	stores   []*storage.Store // of all
	registry registries
	keys     keyrings
	secrets  oauth.Keyed
	subjects oauth.Subjects
	pages    *pages
	logins   *logins
	mux      *turns
	citizens []identity.ID
	secretOf map[string]string
}

func key(b byte) []byte { return []byte(strings.Repeat(string(rune('a'+b)), 32)) }

func keyed(t testing.TB, b byte) oauth.Keyed {
	t.Helper()
	k, err := oauth.NewKeyed(key(b))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newHouse(t *testing.T, change ...func(*provider.Config)) *house {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("on %s", current.name)
		}
	})
	ctx, dsn, clk := t.Context(), current.fresh(t), clock.At(noon)
	h := &house{
		t: t, clock: clk, secrets: keyed(t, 0), pages: &pages{}, logins: &logins{clock: clk}, mux: &turns{},
		citizens: citizens(), secretOf: map[string]string{},
	}
	var err error
	if h.subjects, err = oauth.NewSubjects(key(1)); err != nil {
		t.Fatal(err)
	}
	for range current.replicas {
		store, err := open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		h.stores = append(h.stores, store)
	}
	h.store = h.stores[0]
	h.logins.store = h.store
	for _, store := range h.stores {
		h.replica(store, change)
	}
	return h
}

// replica adds one: the protocol with caches of its own.
func (h *house) replica(store *storage.Store, change []func(*provider.Config)) {
	h.t.Helper()
	log := slog.New(slog.NewTextHandler(h.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	clients := registry.New(store, h.clock, log)
	keys := &keyring.Keyring{Store: store, Policy: keyring.DefaultPolicy(), Clock: h.clock, Log: log}
	if err := keys.Load(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.registry, h.keys = append(h.registry, clients), append(h.keys, keys)
	cat, err := catalogue.Default()
	if err != nil {
		h.t.Fatal(err)
	}
	config := provider.Config{
		Issuer: issuer, Store: store, Logins: h.logins, Pages: h.pages, Registry: announced{clients, &h.registry}, Keys: announcedKeys{keys, &h.keys},
		Algs: keys.Policy.Algs, Catalogue: cat,
		ClientSecrets: h.secrets, Handles: keyed(h.t, 2), Forms: keyed(h.t, 3), Subjects: h.subjects,
		Clock: h.clock, Log: log,
	}
	for _, c := range change {
		c(&config)
	}
	p, err := provider.New(config)
	if err != nil {
		h.t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range p.Routes() {
		mux.Handle(r.Path, r.Handler)
	}
	h.mux.muxes = append(h.mux.muxes, mux)
}

// close takes the database away.
func (h *house) close() {
	for _, s := range h.stores {
		s.Close()
	}
}

// client applies a registration and makes it a secret.
func (h *house) client(metadata string) oauth.Client {
	h.t.Helper()
	c, err := oauth.ValidateClient([]byte(metadata))
	if err != nil {
		h.t.Fatalf("%s: %v", metadata, err)
	}
	if c.TokenEndpointAuthMethod == oauth.AuthBasic || c.TokenEndpointAuthMethod == oauth.AuthPost {
		value, hash := oauth.NewSecret(h.secrets, c.ID)
		c.Secrets = []oauth.SecretHash{hash}
		h.secretOf[c.ID] = value.Reveal()
	}
	c.Created, c.Updated = h.clock.Now(), h.clock.Now()
	event := audit.Event{Kind: audit.ClientApplied, At: h.clock.Now(), Actor: audit.ByOperator, Client: c.ID}
	if err := h.store.ApplyClient(h.t.Context(), c, event); err != nil {
		h.t.Fatal(err)
	}
	if err := h.registry.Reload(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return c
}

const (
	rp       = "pension"
	callback = "https://rp.example/cb?tenant=a%20b"
)

// rp is the relying party most tests use: confidential, oauth21.
func (h *house) rp() oauth.Client {
	return h.client(`{"client_id":"pension","client_name":"Pension office","client_name#zh-CN":"养老","redirect_uris":["` + callback + `"],
		"grant_types":["authorization_code","refresh_token"],"response_modes":["query","form_post"],
		"scope":"openid profile phone offline_access card.basic insurance.read insurance.pay pension.read pension.claim"}`)
}

// logins is authn's part: a browser is whose cookie names a token.
type logins struct {
	store  *storage.Store
	clock  clock.Clock
	raised []raised
}

type raised struct {
	need identity.Need
	back string
	tags []string
}

const loginCookie = "login"

func (l *logins) Current(r *http.Request) (identity.Login, error) {
	token := l.Token(r)
	if token == nil {
		return identity.Login{}, identity.ErrNotFound
	}
	return l.store.Login(r.Context(), token, l.clock.Now())
}

func (l *logins) Token(r *http.Request) []byte {
	c, err := r.Cookie(loginCookie)
	if err != nil {
		return nil
	}
	return secret.Of(c.Value).Hash()
}

func (l *logins) Seen(_ *http.Request, in identity.Login) identity.Login { return in }

func (l *logins) Raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string) {
	l.raised = append(l.raised, raised{need, back, oauth.UILocales(r.Context())})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// End ends the browser's login as authn would.
func (l *logins) End(w http.ResponseWriter, r *http.Request) error {
	login, err := l.Current(r)
	if err != nil {
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: loginCookie, MaxAge: -1})
	return l.store.EndLogin(r.Context(), login.Citizen, login.ID, audit.Event{
		Kind: audit.LoginEnded, At: l.clock.Now(), Actor: audit.ByCitizen, Citizen: login.Citizen, Login: login.ID,
	})
}

func (l *logins) last(t *testing.T) raised {
	t.Helper()
	if len(l.raised) == 0 {
		t.Fatal("no login was asked for")
	}
	return l.raised[len(l.raised)-1]
}

// pages notes what was shown.
type pages struct {
	mu      sync.Mutex
	consent *oauth.ConsentView
	fault   *oauth.ErrorView
	form    *oauth.FormPostView
	confirm *logout.ConfirmView
	done    *logout.DoneView
}

func (p *pages) LogoutConfirm(_ http.ResponseWriter, _ *http.Request, v logout.ConfirmView) {
	p.confirm = &v
}

func (p *pages) LoggedOut(_ http.ResponseWriter, _ *http.Request, v logout.DoneView) { p.done = &v }

func (p *pages) Consent(w http.ResponseWriter, _ *http.Request, v oauth.ConsentView) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consent = &v
	w.WriteHeader(http.StatusOK)
}

func (p *pages) Error(w http.ResponseWriter, _ *http.Request, status int, v oauth.ErrorView) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = &v
	w.WriteHeader(status)
}

func (p *pages) FormPost(w http.ResponseWriter, _ *http.Request, v oauth.FormPostView) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.form = &v
	w.WriteHeader(http.StatusOK)
}

// A browser keeps cookies.
type browser struct {
	h       *house
	cookies map[string]string
}

func (h *house) browser() *browser { return &browser{h, map[string]string{}} }

func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.h.pages.consent, b.h.pages.fault, b.h.pages.form, b.h.pages.confirm, b.h.pages.done = nil, nil, nil, nil, nil
	b.h.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	if w.Code >= 500 {
		b.h.t.Errorf("%s %s: status %d", r.Method, r.URL.Path, w.Code)
	}
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	return b.do(httptest.NewRequest(http.MethodGet, target, nil))
}

func (b *browser) post(target string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// signIn makes the browser's login, with proofs of now.
func (b *browser) signIn(citizen int, factors ...identity.Proof) identity.Login {
	b.h.t.Helper()
	ctx, now := b.h.t.Context(), b.h.clock.Now()
	who := b.h.citizens[citizen]
	account, err := b.h.store.Account(ctx, who)
	if err != nil {
		b.h.t.Fatal(err)
	}
	for i := range factors {
		factors[i].At = now
	}
	flow := authn.Flow{ID: identity.NewID(), Browser: []byte("browser"), Citizen: who, Epoch: account.Epoch, Version: 1, Created: now, Expires: now.Add(time.Minute)}
	if err := b.h.store.BeginFlow(ctx, flow); err != nil {
		b.h.t.Fatal(err)
	}
	token := secret.New(32)
	login := identity.Login{ID: identity.NewID(), Citizen: who, Proofs: factors, Started: now, Seen: now, Ends: now.Add(12 * time.Hour), Locale: "zh-CN"}
	err = b.h.store.FinishFlow(ctx, flow, authn.NewLogin{Login: login, Token: token.Hash(), Idle: 12 * time.Hour}, identity.ID{},
		audit.Event{Kind: audit.LoginFinished, At: now, Actor: audit.ByCitizen, Citizen: who})
	if err != nil {
		b.h.t.Fatal(err)
	}
	b.cookies[loginCookie] = token.Reveal()
	return login
}

func password() identity.Proof { return identity.Proof{Factor: identity.FactorPassword} }
func totp() identity.Proof     { return identity.Proof{Factor: identity.FactorTOTP} }

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ask is an authorization request that is right, with changes: name, value. The
// value "-" takes a parameter away.
func ask(changes ...string) url.Values {
	v := url.Values{
		"client_id": {rp}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid card.basic"},
		"state": {"s t&a=te"}, "nonce": {"n-0S6"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			v.Del(changes[i])
			continue
		}
		v.Set(changes[i], changes[i+1])
	}
	return v
}

// answer reads the redirect to the relying party.
func answer(t *testing.T, w *httptest.ResponseRecorder) url.Values {
	t.Helper()
	location := w.Header().Get("Location")
	rest, ok := strings.CutPrefix(location, callback+"&")
	if w.Code != http.StatusSeeOther || !ok {
		t.Fatalf("status %d to %q, want 303 to the relying party", w.Code, location)
	}
	v, err := url.ParseQuery(rest)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("iss"); got != issuer {
		t.Errorf("iss is %q", got)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	return v
}

// code walks a citizen who is signed in through consent to a code.
func (b *browser) code(v url.Values) string {
	b.h.t.Helper()
	w := b.get("/authorize?" + v.Encode())
	if location := w.Header().Get("Location"); strings.HasPrefix(location, "/consent?") {
		w = b.consent(location, "consent-allow")
	}
	code := answer(b.h.t, w).Get("code")
	if code == "" {
		b.h.t.Fatalf("no code in %q", w.Header().Get("Location"))
	}
	return code
}

func (b *browser) consent(location, button string) *httptest.ResponseRecorder {
	b.h.t.Helper()
	if w := b.get(location); w.Code != http.StatusOK || b.h.pages.consent == nil {
		b.h.t.Fatalf("no consent page but status %d to %q", w.Code, w.Header().Get("Location"))
	}
	return b.post(b.h.pages.consent.Path, url.Values{"token": {b.h.pages.consent.Token}, button: {"1"}})
}

// call posts a form as a client with Basic credentials; id "" sends none.
func (h *house) call(path, id string, form url.Values) (int, map[string]any) {
	h.t.Helper()
	w := h.raw(path, id, form)
	var out map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			h.t.Fatalf("%s: %v in %s", path, err, w.Body)
		}
	}
	return w.Code, out
}

func (h *house) raw(path, id string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(h.secretOf[id]))
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w
}

func redeem(code string, changes ...string) url.Values {
	v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			v.Del(changes[i])
			continue
		}
		v.Set(changes[i], changes[i+1])
	}
	return v
}

// tokens walks the whole way: sign-in with mfa, consent, code, tokens.
func (h *house) tokens(scope string) map[string]any {
	h.t.Helper()
	b := h.browser()
	b.signIn(0, password(), totp())
	status, out := h.call("/token", rp, redeem(b.code(ask("scope", scope))))
	if status != http.StatusOK {
		h.t.Fatalf("status %d: %v", status, out)
	}
	return out
}

func (h *house) userinfo(token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/userinfo", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w
}

// claims verifies a token as a relying party would, from the published keys.
func (h *house) claims(token string, into any) jose.Header {
	h.t.Helper()
	w := h.browser().get("/jwks")
	set, err := jose.ParseSet(w.Body.Bytes())
	if err != nil {
		h.t.Fatal(err)
	}
	parsed, err := jose.Parse(token)
	if err != nil {
		h.t.Fatal(err)
	}
	verified, err := parsed.Verify(set, jose.ES256)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := verified.Claims(into); err != nil {
		h.t.Fatal(err)
	}
	return verified.Header
}

// phone binds a phone to the first citizen.
func (h *house) phone() identity.ID {
	h.t.Helper()
	now := h.clock.Now()
	d := authn.Device{
		ID: identity.NewID(), Citizen: h.citizens[0], Kind: identity.DeviceBrowser, Name: "phone", State: identity.DeviceActive,
		Cookie: []byte("cookie"), Expires: now.Add(24 * time.Hour), Created: now, LastUsed: now,
	}
	if err := h.store.TrustBrowser(h.t.Context(), d, nil, audit.Event{Kind: audit.DeviceBound, At: now, Actor: audit.ByCitizen, Citizen: d.Citizen, Device: d.ID}); err != nil {
		h.t.Fatal(err)
	}
	return d.ID
}

func jsonOf(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return v
}
