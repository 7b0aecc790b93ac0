package liveness_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
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
	"ecardid/liveness"
	"ecardid/liveness/standin"
)

// A page that polls hears from us after one call to the provider at the latest, the
// second try included (SECURITY LV2: ten seconds; SR1: five for a call).
func TestBudget(t *testing.T) {
	w := newWorld(t, jose.ES256)
	e, err := liveness.New(w.cfg, w.sessions, w.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	call, budget, backoff := e.Waits()
	if call > 5*time.Second || budget > call {
		t.Errorf("a call may take %v, all of them %v", call, budget)
	}
	if len(backoff) != 1 || backoff[0] > call/2 {
		t.Errorf("back-off is %v", backoff)
	}
}

func TestBudgetHolds(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	w.engine.Hurry(time.Minute, 200*time.Millisecond, time.Minute)
	for _, trouble := range []standin.Trouble{{Hang: true}, {Drop: true}, {Status: 503}} {
		w.makeTrouble(standin.StepResult, trouble)
		began := time.Now()
		v := w.finish(id, txn("t1"))
		if took := time.Since(began); took > 2*time.Second || v.Outcome != liveness.Unavailable {
			t.Errorf("%+v after %v", v, took)
		}
	}
}

func TestSecondTry(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	for _, c := range []struct {
		name    string
		trouble standin.Trouble
		pulls   int
	}{
		{"not-ready", standin.Trouble{Drop: true}, 1},
		{"busy", standin.Trouble{Status: 503}, 2},
		// What will not change is not asked again.
		{"gone", standin.Trouble{Status: 404}, 1},
		{"redirect", standin.Trouble{Redirect: "/"}, 1},
	} {
		before := w.pulled()
		w.makeTrouble(standin.StepResult, c.trouble)
		w.finish(id, txn("t1"))
		if got := w.pulled() - before; got != c.pulls {
			t.Errorf("%s: asked %d times, want %d", c.name, got, c.pulls)
		}
	}
}

// The page polls: "not yet" is an answer and no reason to sit in a request.
func TestNotYetIsAnAnswer(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "")
	w.engine.Hurry(time.Minute, time.Minute, time.Minute)
	for try := range 3 {
		began := time.Now()
		v := w.finish(id, txn("t1"))
		if took := time.Since(began); took > 2*time.Second || v.Reason != liveness.ReasonNotReady {
			t.Errorf("poll %d: %+v after %v", try, v, took)
		}
		if got := w.pulled(); got != try+1 {
			t.Errorf("after poll %d the provider was asked %d times", try, got)
		}
	}
}

// asking waits until n requests wait for the provider.
func (w *world) asking(n int) {
	w.Helper()
	for deadline := time.Now().Add(5 * time.Second); w.engine.Asking() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("%d requests wait for the provider, want %d", w.engine.Asking(), n)
		}
	}
}

// waiting is what a page is told whose request did not reach the provider.
func (w *world) waiting(id identity.ID, about liveness.Transaction) {
	w.Helper()
	began := time.Now()
	v := w.finish(id, about)
	if took := time.Since(began); took > 2*time.Second || v.Outcome != liveness.Unavailable || v.Reason != liveness.ReasonNotReady {
		w.Errorf("%+v after %v, want to hear at once that there is nothing yet", v, took)
	}
	if state, _ := w.sessions.state(id); state != liveness.StatePending {
		w.Errorf("the session is %s", state)
	}
}

// The provider hangs and a page asks again, from another tab or without script.
func TestSecondPollHearsAtOnce(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	w.makeTrouble(standin.StepResult, standin.Trouble{Hang: true})
	w.engine.Hurry(time.Minute, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first sync.WaitGroup
	first.Go(func() { _, _ = w.engine.Finish(ctx, id, txn("t1")) })
	w.asking(1)
	w.waiting(id, txn("t1"))
	// After the session's end as well: only an answer can end it before the grace.
	w.clock.Advance(2*time.Minute + time.Second)
	w.waiting(id, txn("t1"))
	cancel()
	first.Wait()
	w.makeTrouble(standin.StepResult, standin.Trouble{})
	if v := w.finish(id, txn("t1")); !v.Passed() {
		t.Errorf("afterwards: %+v", v)
	}
}

// A provider that hangs holds maxCalls requests; the rest of the town hears at once.
func TestHangingProviderHoldsFew(t *testing.T) {
	w := newWorld(t, jose.ES256)
	type check struct {
		id    identity.ID
		about liveness.Transaction
	}
	var all []check
	for n := range liveness.MaxCalls + 8 {
		about := txn(fmt.Sprint("t", n))
		about.Citizen = identity.ID{7, byte(n)}
		all = append(all, check{w.start(about, "pass"), about})
	}
	w.makeTrouble(standin.StepResult, standin.Trouble{Hang: true})
	w.engine.Hurry(time.Minute, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var held sync.WaitGroup
	for _, c := range all[:liveness.MaxCalls] {
		held.Go(func() { _, _ = w.engine.Finish(ctx, c.id, c.about) })
	}
	w.asking(liveness.MaxCalls)
	for _, c := range all[liveness.MaxCalls:] {
		w.waiting(c.id, c.about)
	}
	if n := w.engine.Asking(); n != liveness.MaxCalls {
		t.Errorf("%d requests wait for the provider", n)
	}
	// Nobody can begin a check either, and nobody waits to hear it.
	if _, err := w.begin(txn("late")); !errors.Is(err, liveness.ErrUnavailable) {
		t.Errorf("Start = %v", err)
	}
	cancel()
	held.Wait()
	w.asking(0)
}

func TestCallerGoesAway(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	w.makeTrouble(standin.StepResult, standin.Trouble{Hang: true})
	w.engine.Hurry(time.Minute, time.Minute)
	for range 10 {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		if v, err := w.engine.Finish(ctx, id, txn("t1")); v.Passed() {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if !w.engine.Available() {
		t.Error("impatient citizens opened the breaker")
	}
}

func TestBreakerOpens(t *testing.T) {
	w := newWorld(t, jose.ES256)
	w.makeTrouble(standin.StepStart, standin.Trouble{Status: 500})
	for i := range 5 {
		if _, err := w.begin(txn(string(rune('a' + i)))); !errors.Is(err, liveness.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	w.makeTrouble(standin.StepStart, standin.Trouble{})
	rows := len(w.sessions.rows)
	if _, err := w.begin(txn("x")); !errors.Is(err, liveness.ErrUnavailable) || w.engine.Available() {
		t.Errorf("the breaker is closed: %v", err)
	}
	if len(w.sessions.rows) != rows {
		t.Error("an open breaker costs a row")
	}
	w.clock.Advance(30 * time.Second)
	// The outage cost no tries: five sessions were begun and none counts.
	if v := w.finish(w.start(txn("x"), "pass"), txn("x")); !v.Passed() {
		t.Errorf("after the outage: %+v", v)
	}
}

func TestTLS(t *testing.T) {
	w := newWorld(t, jose.ES256)
	server := httptest.NewTLSServer(http.HandlerFunc(w.wire))
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

	cfg := w.cfg
	cfg.BaseURL = server.URL
	unknown, err := liveness.New(cfg, w.sessions, w.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	req := liveness.Request{Transaction: txn("t1"), ReturnURI: "http://localhost:8080/"}
	if _, err := unknown.Start(context.Background(), req); !errors.Is(err, liveness.ErrUnavailable) {
		t.Errorf("a certificate nobody vouches for: %v", err)
	}

	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(server.Certificate())
	known, err := liveness.New(cfg, w.sessions, w.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := known.Start(context.Background(), req); err != nil {
		t.Errorf("a certificate of the configured root: %v", err)
	}

	// The right root, the wrong name.
	cfg.BaseURL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	misnamed, err := liveness.New(cfg, w.sessions, w.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := misnamed.Start(context.Background(), req); !errors.Is(err, liveness.ErrUnavailable) {
		t.Errorf("a certificate for another name: %v", err)
	}
}

// A name that is allowed and resolves to this machine is refused when it is
// dialled, in production.
func TestDialGuard(t *testing.T) {
	w := newWorld(t, jose.ES256)
	cfg := w.cfg
	cfg.Development = false
	cfg.BaseURL = "https://localhost:" + w.listener.URL[strings.LastIndexByte(w.listener.URL, ':')+1:]
	cfg.CallbackURL = "https://id.example/cb"
	e, err := liveness.New(cfg, w.sessions, clock.At(noon), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Start(context.Background(), liveness.Request{Transaction: txn("t1"), ReturnURI: "https://id.example/back"})
	if !errors.Is(err, liveness.ErrUnavailable) || !strings.Contains(err.Error(), "not an address of the public internet") {
		t.Errorf("Start = %v", err)
	}
}

func TestStartRefusesWhatIsNotWhole(t *testing.T) {
	w := newWorld(t, jose.ES256)
	for name, change := range map[string]func(*liveness.Request){
		"transaction":    func(r *liveness.Request) { r.ID = "" },
		"nul":            func(r *liveness.Request) { r.ID = "a\x00b" },
		"citizen":        func(r *liveness.Request) { r.Citizen = [16]byte{} },
		"purpose":        func(r *liveness.Request) { r.Purpose = "fun" },
		"return":         func(r *liveness.Request) { r.ReturnURI = "" },
		"return-script":  func(r *liveness.Request) { r.ReturnURI = "javascript:alert(1)" },
		"return-http":    func(r *liveness.Request) { r.ReturnURI = "http://id.example/" },
		"return-partial": func(r *liveness.Request) { r.ReturnURI = "/login" },
	} {
		req := liveness.Request{Transaction: txn("t1"), ReturnURI: "http://localhost:8080/login"}
		change(&req)
		if _, err := w.engine.Start(context.Background(), req); err == nil {
			t.Errorf("%s: began", name)
		}
	}
	if len(w.sessions.rows) != 0 || len(w.starts) != 0 {
		t.Error("something was begun")
	}
}
