package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/internal/footprint"
	"ecardid/storage"
)

// The test program is also the server: started again with these set, it serves on the
// listener it inherits until its standard input ends, as it does when the parent dies.
const (
	serveVariable  = "ECARDID_BENCH_SERVE"  // DSN
	issuerVariable = "ECARDID_BENCH_ISSUER" // where the listener is
)

// barePath is answered by a handler that does nothing: what net/http alone costs.
const barePath = "/bare"

func bare(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ok\"}\n"))
}

func serve(dsn, issuer string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "serving:", err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fail(err)
	}
	store, err := openStore(ctx, dsn, clock.System{}, storage.Options{})
	if err != nil {
		return fail(err)
	}
	defer store.Close()
	srv, err := newServer(ctx, store, issuer, clock.System{}, nil)
	if err != nil {
		return fail(err)
	}
	footprint.Settle()
	go srv.Run(ctx, storage.Changed)
	web := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == barePath {
			bare(w, r)
			return
		}
		srv.ServeHTTP(w, r)
	})}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = web.Close()
	}()
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fail(err)
	}
	return 0
}

// A process is a server of its own.
type process struct {
	pid    int
	addr   string
	issuer string
	ready  time.Duration // from start to the first good answer of /readyz
}

// start runs a server over a house's database.
func start(tb testing.TB, dsn string) process {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	p := process{addr: listener.Addr().String()}
	p.issuer = "http://localhost:" + p.addr[strings.LastIndexByte(p.addr, ':')+1:]
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"="+dsn, issuerVariable+"="+p.issuer)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	alive, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = alive.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("the server: %v", err)
		}
	})
	w, err := dial(p.addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer w.conn.Close()
	_ = w.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if err := get(w, "/readyz"); err != nil {
		tb.Fatal(err)
	}
	p.ready, p.pid = time.Since(began), cmd.Process.Pid
	return p
}
