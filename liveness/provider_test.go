package liveness_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/liveness"
	"ecardid/liveness/standin"
)

// The citizen hears from us within ten seconds (SECURITY LV2): all the waiting we
// allow ourselves, and a second for the rest.
func TestBudget(t *testing.T) {
	w := newWorld(t, jose.ES256)
	e, err := liveness.New(w.cfg, w.sessions, w.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	call, budget, backoff := e.Waits()
	if call > 5*time.Second || budget > 9*time.Second {
		t.Errorf("a call may take %v, all of them %v", call, budget)
	}
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}
	for i, d := range backoff {
		if d != want[i] {
			t.Errorf("back-off is %v", backoff)
		}
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

func TestBackOff(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	for _, c := range []struct {
		name    string
		trouble standin.Trouble
		pulls   int
	}{
		{"not-ready", standin.Trouble{Drop: true}, 3},
		{"busy", standin.Trouble{Status: 503}, 3},
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
