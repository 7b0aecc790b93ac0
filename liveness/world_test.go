package liveness_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/liveness"
	"ecardid/liveness/standin"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	li   = identity.ID{1}
	wang = identity.ID{2}
)

// A world is an identity provider, a stand-in and the wire between them.
type world struct {
	*testing.T
	clock    *clock.Manual
	sessions *memory
	engine   *liveness.Engine
	standin  *standin.Provider
	cfg      liveness.Config
	log      *lockedBuffer

	mu       sync.Mutex
	trouble  map[standin.Step]standin.Trouble
	pulls    int
	notices  []string
	results  []string
	starts   []string
	listener *httptest.Server
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func key(t *testing.T, alg jose.Alg, kid string) jose.Key {
	t.Helper()
	k, err := jose.Generate(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyset(t *testing.T, keys ...jose.Key) jose.Set {
	t.Helper()
	s, err := jose.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld(t *testing.T, alg jose.Alg, change ...func(*liveness.Config)) *world {
	t.Helper()
	w := &world{T: t, clock: clock.At(noon), log: &lockedBuffer{}, trouble: map[standin.Step]standin.Trouble{}}
	w.sessions = newMemory(w.clock)
	ours, theirs := key(t, alg, "idp"), key(t, alg, "face")

	callback := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.notices = append(w.notices, string(body))
		w.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.engine.ServeHTTP(rw, r)
	}))
	t.Cleanup(callback.Close)
	w.listener = httptest.NewServer(http.HandlerFunc(w.wire))
	t.Cleanup(w.listener.Close)

	p, err := standin.New(standin.Options{
		BaseURL: w.listener.URL, Issuer: "https://face.example", Client: "https://id.example",
		ClientKeys: keyset(t, ours), SigningKey: theirs, Clock: w.clock,
		Trouble: func(s standin.Step) standin.Trouble {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.trouble[s]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.standin = p
	w.cfg = liveness.Config{
		Name: "standin", BaseURL: w.listener.URL, Issuer: "https://face.example", Audience: "https://id.example",
		CallbackURL:  callback.URL + "/liveness/callback",
		CaptureHosts: []string{strings.TrimPrefix(w.listener.URL, "http://")},
		SigningKey:   ours, ProviderKeys: keyset(t, theirs), RefKey: secret.New(32),
		Policy:        liveness.Policy{Mode: liveness.ModeLiveness, Reference: liveness.ReferenceNone, MinScore: 80, MinPAD: 1},
		WithoutDevice: []liveness.Purpose{liveness.PurposeRecover},
		Lifetime:      2 * time.Minute, Limits: liveness.DefaultLimits(), Development: true,
	}
	for _, c := range change {
		c(&w.cfg)
	}
	w.engine, err = liveness.New(w.cfg, w.sessions, w.clock, slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.engine.Close)
	w.engine.Hurry(5*time.Second, 8*time.Second, 5*time.Millisecond)
	return w
}

// wire hands requests to the stand-in and remembers what went over.
func (w *world) wire(rw http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: rw}
	isPull := strings.HasSuffix(r.URL.Path, "/result")
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/sessions") {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		w.starts = append(w.starts, string(body))
		w.mu.Unlock()
	}
	if isPull { // counted first: whoever is cut off counts as well, and at once
		w.mu.Lock()
		w.pulls++
		w.mu.Unlock()
	}
	w.standin.ServeHTTP(rec, r)
	if isPull {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.results = append(w.results, rec.b.String())
	}
}

type recorder struct {
	http.ResponseWriter
	b bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.b.Write(p)
	return r.ResponseWriter.Write(p)
}

func (w *world) makeTrouble(step standin.Step, t standin.Trouble) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble[step] = t
}

func (w *world) pulled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pulls
}

func txn(id string) liveness.Transaction {
	return liveness.Transaction{ID: id, ClientID: "pension", Citizen: li, Device: identity.ID{11}, Purpose: liveness.PurposeStepUp}
}

func (w *world) begin(t liveness.Transaction) (liveness.Started, error) {
	return w.engine.Start(context.Background(), liveness.Request{Transaction: t, ReturnURI: "http://localhost:8080/login/liveness"})
}

// start begins a check and presses a button, unless answer is empty.
func (w *world) start(t liveness.Transaction, answer string) identity.ID {
	w.Helper()
	s, err := w.begin(t)
	if err != nil {
		w.Fatal(err)
	}
	if answer != "" {
		w.press(s.CaptureURL, answer)
	}
	return s.Session
}

func (w *world) press(captureURL, answer string) {
	w.Helper()
	id, ok := w.standin.SessionOf(captureURL)
	if !ok {
		w.Fatal("the stand-in does not know its own page")
	}
	if err := w.standin.Answer(context.Background(), id, answer); err != nil {
		w.Fatal(err)
	}
}

func (w *world) finish(id identity.ID, t liveness.Transaction) liveness.Verdict {
	w.Helper()
	v, err := w.engine.Finish(context.Background(), id, t)
	if err != nil {
		w.Fatal(err)
	}
	return v
}
