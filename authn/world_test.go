package authn_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/authn/password"
	"ecardid/authn/recovery"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/idnumber"
	"ecardid/internal/seal"
	"ecardid/storage"
	"ecardid/templates"
)

const (
	origin    = "http://localhost:8080"
	goodWord  = "correct horse battery"
	greeting  = "春风十里"
	aliceCard = "A12345678"
	aliceID   = "11010519491231002X"
	alicePhon = "13800131234"
	bobCard   = "B12345678"
	nobody    = "Z98765432"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// A fastHasher stands in for argon2id: what is tested here is who is asked to
// work, not how hard.
type fastHasher struct {
	nothing, real atomic.Int64
	busy          atomic.Bool
}

func (h *fastHasher) Hash(_ context.Context, word string) (string, error) {
	salt := make([]byte, 8)
	rand.Read(salt)
	return hex.EncodeToString(salt) + ":" + word, nil
}

func (h *fastHasher) Verify(_ context.Context, encoded, word string) (bool, bool, error) {
	if h.busy.Load() {
		return false, false, password.ErrBusy
	}
	h.real.Add(1)
	_, want, _ := strings.Cut(encoded, ":")
	return want == word, false, nil
}

func (h *fastHasher) VerifyNothing(context.Context, string) error {
	if h.busy.Load() {
		return password.ErrBusy
	}
	h.nothing.Add(1)
	return nil
}

// A world is a Service on a database of its own, and a clock.
type world struct {
	t      *testing.T
	svc    *authn.Service
	store  *storage.Store
	clock  *clock.Manual
	hasher *fastHasher
	mux    *http.ServeMux

	mu    sync.Mutex
	shown map[string]authn.Answer // by reference in the answer's X-Page header
	asked int
}

func keyed(name string) recovery.Keyed {
	return func(m []byte) ([]byte, error) {
		h := hmac.New(sha256.New, []byte("a key for tests "+name))
		h.Write(m)
		return h.Sum(nil), nil
	}
}

func newWorld(t *testing.T, change ...func(*authn.Parts)) *world {
	t.Helper()
	ctx := t.Context()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "authn.db")
	if err := storage.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(ctx, dsn, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	kek, err := seal.ParseKEK(fmt.Appendf(nil, "%064x", []byte{1, 2, 3, 4}), "test")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, clock: clock.At(start), hasher: &fastHasher{}, shown: map[string]authn.Answer{}}
	if err := store.Unlock(ctx, kek, start); err != nil {
		t.Fatal(err)
	}
	keys, err := passkey.New(passkey.Config{RPID: "localhost", Origins: []string{origin}, Name: "电子社保卡", Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	parts := authn.Parts{
		Store: store, Hasher: w.hasher, Policy: password.NewPolicy(nil, log), Passkeys: keys,
		Codes: keyed("codes"), Throttle: keyed("throttle"),
		Browser: func(r *http.Request) []byte {
			c, err := r.Cookie("browser")
			if err != nil {
				return nil
			}
			h := sha256.Sum256([]byte(c.Value))
			return h[:]
		},
		Source: func(r *http.Request) netip.Addr {
			ap, _ := netip.ParseAddrPort(r.RemoteAddr)
			return ap.Addr()
		},
		Locale: func(*http.Request) string { return "zh-CN" },
		Say:    func(_ *http.Request, m templates.Message) string { return string(m.Key) },
		Render: w.render, Clock: w.clock, Rand: rand.Reader, Log: log,
		Config: authn.Config{Origin: origin, Name: "社保卡"},
	}
	for _, c := range change {
		c(&parts)
	}
	if w.svc, err = authn.New(parts); err != nil {
		t.Fatal(err)
	}
	w.mux = http.NewServeMux()
	for _, route := range w.svc.Routes() {
		w.mux.Handle(route.Method+" "+route.Pattern, route.Handler)
	}
	// Somebody who asks for more, as oauth does.
	w.mux.HandleFunc("GET /raise", func(rw http.ResponseWriter, r *http.Request) {
		var need identity.Need
		if err := json.Unmarshal([]byte(r.URL.Query().Get("need")), &need); err != nil {
			t.Error(err)
		}
		w.svc.Raise(rw, r, need, "/authorize?request_uri=x")
	})
	return w
}

// render shows no HTML: a test looks at the page's struct.
func (w *world) render(rw http.ResponseWriter, _ *http.Request, a authn.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	ref := fmt.Sprint(w.asked)
	w.shown[ref] = a
	rw.Header().Set("X-Page", ref)
	rw.WriteHeader(a.Status)
}

func (w *world) event(kind audit.Kind, citizen identity.ID) audit.Event {
	return audit.Event{Kind: kind, At: w.clock.Now(), Actor: audit.ByOperator, Citizen: citizen}
}

// A person is a citizen and what they have at hand.
type person struct {
	id   identity.ID
	card string
	code string // activation
	seed totp.Seed
}

// imports brings a citizen in who has not activated.
func (w *world) imports(name, card, id, phone string) *person {
	w.t.Helper()
	p := &person{id: identity.NewID(), card: card}
	code, err := recovery.NewActivation(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	p.code = code.Reveal()
	hash, err := recovery.Stored(keyed("codes"), recovery.Activation, p.id[:], p.code)
	if err != nil {
		w.t.Fatal(err)
	}
	c := storage.NewCitizen{ID: p.id, Name: name, Code: hash, Expires: w.clock.Now().Add(30 * 24 * time.Hour)}
	c.IDNumber, err = idnumber.ParseID(id, w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	if c.Phone, err = idnumber.ParsePhone(phone); err != nil {
		w.t.Fatal(err)
	}
	if c.Card, err = idnumber.ParseCard(card); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.ImportCitizens(w.t.Context(), []storage.NewCitizen{c}, w.event(audit.CitizenImported, p.id)); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// settles gives them password, greeting and generator.
func (w *world) settles(p *person) *person {
	w.t.Helper()
	ctx := w.t.Context()
	hash, err := recovery.Stored(keyed("codes"), recovery.Activation, p.id[:], p.code)
	if err != nil {
		w.t.Fatal(err)
	}
	encoded, _ := w.hasher.Hash(ctx, goodWord)
	if err := w.store.Activate(ctx, p.id, hash, encoded, greeting, w.event(audit.CitizenActivated, p.id)); err != nil {
		w.t.Fatal(err)
	}
	if p.seed, err = totp.NewSeed(rand.Reader); err != nil {
		w.t.Fatal(err)
	}
	f := authn.TOTPFactor{ID: identity.NewID(), Citizen: p.id, Seed: p.seed.Reveal(), Algorithm: totp.RFC6238, Created: start}
	if err := w.store.ProposeTOTP(ctx, f); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.ConfirmTOTP(ctx, p.id, f.ID, 1, identity.ID{}, nil, w.event(audit.TOTPBound, p.id)); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) alice() *person {
	return w.settles(w.imports("张爱丽", aliceCard, aliceID, alicePhon))
}

func (w *world) bob() *person {
	return w.settles(w.imports("李波", bobCard, "440524188001010014", "13900139000"))
}

// totp is what p's app shows now.
func (w *world) totp(p *person) string {
	code, err := totp.Code(p.seed, totp.RFC6238, w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// A browser keeps cookies and stands somewhere.
type browser struct {
	w       *world
	from    string
	cookies map[string]string
}

func (w *world) browser(name string) *browser {
	return &browser{w: w, from: "192.0.2.1:1234", cookies: map[string]string{"browser": name}}
}

// A reply is an answer, followed to nowhere.
type reply struct {
	w      *world
	status int
	to     string
	body   string
	header http.Header
	authn.Answer
}

func (b *browser) send(method, target, contentType, body string) reply {
	b.w.t.Helper()
	r := httptest.NewRequest(method, origin+target, strings.NewReader(body))
	r.RemoteAddr = b.from
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for n, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	rec := httptest.NewRecorder()
	b.w.mux.ServeHTTP(rec, r)
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	for _, c := range rec.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteLaxMode {
			b.w.t.Errorf("cookie %s: %+v", c.Name, c)
		}
		b.cookies[c.Name] = c.Value
	}
	if rec.Code >= 500 && rec.Code != http.StatusServiceUnavailable {
		b.w.t.Errorf("%s %s: %d", method, target, rec.Code)
	}
	return reply{b.w, rec.Code, rec.Header().Get("Location"), rec.Body.String(), rec.Header(), b.w.shown[rec.Header().Get("X-Page")]}
}

func (b *browser) get(target string) reply { b.w.t.Helper(); return b.send("GET", target, "", "") }

// visit follows redirects among our own pages to where they rest.
func (b *browser) visit(target string) reply {
	b.w.t.Helper()
	return b.follow(b.get(target))
}

func (b *browser) follow(r reply) reply {
	b.w.t.Helper()
	for range 8 {
		if r.status != http.StatusSeeOther || !strings.HasPrefix(r.to, "/login") && r.to != "/signed-out" {
			return r
		}
		r = b.get(r.to)
	}
	b.w.t.Fatalf("redirected in circles: %s", r.to)
	return r
}

func (b *browser) post(target, flow string, fields ...string) reply {
	b.w.t.Helper()
	v := url.Values{"flow": {flow}}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return b.send("POST", target, "application/x-www-form-urlencoded", v.Encode())
}

func (b *browser) script(target string, body string) reply {
	b.w.t.Helper()
	return b.send("POST", target, "application/json", body)
}

// fill posts the form of a page that was shown, and follows.
func (b *browser) fill(r reply, fields ...string) reply {
	b.w.t.Helper()
	return b.follow(b.post(r.Path, r.Flow, fields...))
}

// begin opens a sign-in and returns its first page.
func (b *browser) begin() reply {
	b.w.t.Helper()
	r := b.visit("/login")
	page[templates.Login](b.w.t, r)
	return r
}

// raise asks for a need as oauth would.
func (b *browser) raise(need identity.Need) reply {
	b.w.t.Helper()
	raw, err := json.Marshal(need)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.visit("/raise?need=" + url.QueryEscape(string(raw)))
}

// signIn walks password, code and "not this browser".
func (b *browser) signIn(p *person, button string) reply {
	b.w.t.Helper()
	r := b.begin()
	r = b.fill(r, "username", p.card, "password", goodWord)
	page[templates.TOTPCode](b.w.t, r)
	r = b.fill(r, "code", b.w.totp(p))
	if _, asked := r.Page.(templates.BindDevice); asked {
		r = b.fill(r, button, "1")
	}
	if r.status != http.StatusSeeOther || r.to != "/account" {
		b.w.t.Fatalf("signing in ended at %d %s %T", r.status, r.to, r.Page)
	}
	b.w.clock.Advance(31 * time.Second) // the next code
	return r
}

// login is the browser's session, if it has one.
func (b *browser) login() (identity.Login, error) {
	r := httptest.NewRequest("GET", origin+"/", nil)
	for n, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	return b.w.svc.Current(r)
}

// page is the shown page, which has to be a P.
func page[P templates.Page](t *testing.T, r reply) P {
	t.Helper()
	p, ok := r.Page.(P)
	if !ok {
		t.Fatalf("%d %q: a %T is shown, not a %T", r.status, r.to, r.Page, p)
	}
	return p
}

func problem(t *testing.T, r reply) templates.Key {
	t.Helper()
	switch p := r.Page.(type) {
	case templates.Login:
		return p.Problem.Key
	case templates.TOTPCode:
		return p.Problem.Key
	case templates.RecoveryCode:
		return p.Problem.Key
	case templates.Activate:
		return p.Problem.Key
	case templates.ActivatePassword:
		return p.Problem.Key
	case templates.ActivateGreeting:
		return p.Problem.Key
	case templates.EnrolTOTP:
		return p.Problem.Key
	case templates.PhoneApprove:
		return p.Problem.Key
	case templates.LivenessStart:
		return p.Problem.Key
	case templates.LivenessResult:
		return p.Problem.Key
	case templates.StepUp:
		return p.Problem.Key
	}
	t.Fatalf("%d: a %T has no problem", r.status, r.Page)
	return ""
}
