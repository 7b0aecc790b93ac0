package house

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/authn"
	"ecardid/authn/phone/attest"
	"ecardid/authn/risk"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/internal/pgtest"
	"ecardid/internal/seal"
	"ecardid/internal/secret"
	"ecardid/liveness"
	"ecardid/liveness/standin"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/keyring"
	"ecardid/server"
	"ecardid/storage"
	"ecardid/templates"
)

// Options say what kind of house. The zero value is one replica on SQLite.
type Options struct {
	Postgres bool
	Replicas int // 0: one
	// DeviceGrant switches the device grant on (RFC 8628).
	DeviceGrant bool
	// CoolOff is authn's: 0 is a day, less is none.
	CoolOff time.Duration
	// Risk is how sign-ins are weighed; nil: by the rules inside.
	Risk *risk.Policy
	// Rules are the throttles; zero fields take their default.
	Rules authn.Rules
	// Outbound calls relying parties; nil: nobody is called.
	Outbound *outbound.Client
}

// A House is a running server.
type House struct {
	t testing.TB

	Issuer      string   // http://localhost:PORT, the first replica
	Replicas    []string // where each replica is reached
	DSN         string
	Clock       *Clock
	Store       *storage.Store
	Liveness    *standin.Provider
	livenessURL string
	Routes      []server.Route

	log     *journal
	secrets secretBox
	people  atomic.Int64
	sources atomic.Int64
}

// Open starts a house that is torn down when the test ends.
func Open(t testing.TB, o Options) *House {
	t.Helper()
	h := &House{t: t, Clock: &Clock{}, log: &journal{}}
	ctx, stop := context.WithCancel(context.Background())
	if o.Postgres {
		h.DSN = pgtest.Migrated(t, "e2e", storage.Migrate)
	} else {
		h.DSN = "sqlite:" + filepath.Join(t.TempDir(), "house.db")
		h.must(storage.Migrate(ctx, h.DSN))
	}
	kek, err := seal.ParseKEK([]byte(strings.Repeat("0123456789abcdef", 4)), "test")
	h.must(err)
	var listeners []net.Listener
	for range max(o.Replicas, 1) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		h.must(err)
		listeners = append(listeners, l)
		h.Replicas = append(h.Replicas, "http://localhost:"+port(l))
	}
	h.Issuer = h.Replicas[0]
	ours, theirs := h.key("ours"), h.key("theirs")
	h.standin(ours, theirs)

	var running sync.WaitGroup
	var closers []func()
	var stores []*storage.Store
	for i, l := range listeners {
		store, err := storage.Open(ctx, h.DSN, storage.Options{})
		h.must(err)
		h.must(store.Unlock(ctx, kek, h.Clock.Now()))
		if i == 0 {
			h.Store = store
		}
		srv := h.server(ctx, o, store, ours, theirs)
		h.Routes = srv.Routes()
		running.Go(func() { srv.Run(ctx, storage.Changed) })
		web := &http.Server{Handler: srv, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		running.Go(func() {
			if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				h.log.add("ERROR serving: " + err.Error())
			}
		})
		closers = append(closers, func() { _ = web.Close() })
		stores = append(stores, store)
	}
	t.Cleanup(func() {
		stop()
		for _, c := range closers {
			c()
		}
		running.Wait()
		for _, s := range stores { // last, as in production: what runs writes down its last counts
			s.Close()
		}
		for _, line := range h.log.errors() {
			t.Errorf("the server logged: %s", line)
		}
	})
	return h
}

func (h *House) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("opening a house: %v", err)
	}
}

func port(l net.Listener) string {
	_, p, _ := net.SplitHostPort(l.Addr().String())
	return p
}

func (h *House) key(kid string) jose.Key {
	h.t.Helper()
	k, err := jose.Generate(jose.ES256, kid)
	h.must(err)
	return k
}

// standin starts the liveness provider.
func (h *House) standin(ours, theirs jose.Key) {
	h.t.Helper()
	set, err := jose.NewSet(ours.Public())
	h.must(err)
	var p *standin.Provider
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.ServeHTTP(w, r) }))
	h.t.Cleanup(srv.Close)
	p, err = standin.New(standin.Options{
		BaseURL: srv.URL, Issuer: srv.URL, Client: h.Issuer, ClientKeys: set, SigningKey: theirs, Clock: h.Clock,
	})
	h.must(err)
	h.Liveness = p
	h.livenessURL = srv.URL
}

func (h *House) server(ctx context.Context, o Options, store *storage.Store, ours, theirs jose.Key) *server.Server {
	h.t.Helper()
	pinned, err := jose.NewSet(theirs.Public())
	h.must(err)
	host := strings.TrimPrefix(h.livenessURL, "http://")
	log := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	engine, err := liveness.New(liveness.Config{
		Name: "standin", BaseURL: h.livenessURL, Issuer: h.livenessURL, Audience: h.Issuer,
		CallbackURL: h.Issuer + "/liveness/callback", CaptureHosts: []string{host},
		SigningKey: ours, ProviderKeys: pinned, RefKey: secret.Of(strings.Repeat("reference", 8)),
		Policy:   liveness.Policy{Mode: liveness.ModeLiveness, Reference: liveness.ReferenceNone, MinScore: 70, MinPAD: 2},
		Lifetime: 2 * time.Minute, Limits: liveness.DefaultLimits(), Development: true,
	}, store.Liveness(), h.Clock, log)
	h.must(err)
	cat, err := catalogue.Default()
	h.must(err)
	attested, err := attest.NewSet(attest.Unattested{})
	h.must(err)
	srv, err := server.New(ctx, server.Ingredients{
		Issuer: h.Issuer, Store: store, Liveness: engine, Catalogue: cat,
		Pages:     templates.Config{Authority: "示例省人力资源和社会保障厅", AuthorityEnglish: "Example Province", Domain: "localhost", Demo: true},
		Login:     authn.Config{LivenessName: "模拟检测", LivenessHost: host, LivenessStandin: true, CoolOff: o.CoolOff, Risk: o.Risk, Rules: o.Rules},
		KeyPolicy: keyring.DefaultPolicy(), Attest: attested, LivenessCapture: []string{h.livenessURL},
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, DeviceGrant: o.DeviceGrant, Outbound: o.Outbound,
		Clock: h.Clock, Rand: rand.Reader, Log: log, Metrics: server.NewMetrics(),
	})
	h.must(err)
	return srv
}

var _ clock.Clock = (*Clock)(nil)

// Forgive keeps errors in the server's log from failing the test.
func (h *House) Forgive() { h.log.forgive() }

// Log is everything the server wrote down.
func (h *House) Log() string { return h.log.all() }

// journal keeps what the server logs.
type journal struct {
	mu       sync.Mutex
	buf      bytes.Buffer
	forgiven bool
}

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) add(line string) { _, _ = j.Write([]byte(line + "\n")) }

func (j *journal) forgive() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forgiven = true
}

func (j *journal) all() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) errors() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.forgiven {
		return nil
	}
	var list []string
	for line := range strings.Lines(j.buf.String()) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.HasPrefix(line, "ERROR") || strings.Contains(line, `"panic"`) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	const most = 10
	return list[:min(len(list), most)]
}

// Files returns what the database keeps on disk: the SQLite files whole, or what
// pg_dump says.
func (h *House) Files() []byte {
	h.t.Helper()
	path, ok := strings.CutPrefix(h.DSN, "sqlite:")
	if !ok {
		return h.pgDump()
	}
	names, err := filepath.Glob(path + "*")
	h.must(err)
	var all []byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		h.must(err)
		all = append(all, b...)
	}
	if len(all) == 0 {
		h.t.Fatal("the database has no file")
	}
	return all
}
