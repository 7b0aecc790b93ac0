package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
)

// configured returns a complete configuration on free ports, and its issuer.
func configured(t *testing.T) (file, issuer string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "serve")
	at, err := listenNearby("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer at.close()
	if _, err := prepareDir(dir, at); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, demoConfig), at.issuer()
}

func runHere(ctx context.Context, args ...string) (code int, said string) {
	var out strings.Builder
	code = run(ctx, &env{in: strings.NewReader(""), out: &out, err: &out, clock: clock.System{}, rand: rand.Reader}, args)
	return code, out.String()
}

func TestServe(t *testing.T) {
	file, issuer := configured(t)
	if code, said := runHere(t.Context(), "serve", "--config", file); code != exitFailed || !strings.Contains(said, "run `ecardid migrate`") {
		t.Fatalf("without a schema: %d %s", code, said)
	}
	if code, said := runHere(t.Context(), "migrate", "--config", file); code != exitOK {
		t.Fatalf("migrate: %d %s", code, said)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type ending struct {
		code int
		said string
	}
	ended := make(chan ending, 1)
	go func() {
		code, said := runHere(ctx, "serve", "--config", file)
		ended <- ending{code, said}
	}()
	ready := false
	for deadline := time.Now().Add(20 * time.Second); !ready && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(issuer + "/readyz"); err == nil {
			resp.Body.Close()
			ready = resp.StatusCode == http.StatusOK
		}
	}
	if !ready {
		stop()
		t.Fatalf("not ready: %+v", <-ended)
	}
	if resp, err := http.Get(issuer + "/metrics"); err != nil || resp.StatusCode == http.StatusOK {
		t.Errorf("metrics on the public listener: %v", err)
	} else {
		resp.Body.Close()
	}
	// The limit is 32 kB (SECURITY DS1), and what stays below is served.
	for kB, want := range map[int]int{31: http.StatusOK, 33: http.StatusRequestHeaderFieldsTooLarge, 64: http.StatusRequestHeaderFieldsTooLarge} {
		req, err := http.NewRequest(http.MethodGet, issuer+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Long", strings.Repeat("x", kB<<10))
		if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != want {
			t.Errorf("a header of %d kB: %v, %v, want %d", kB, resp, err, want)
		} else {
			resp.Body.Close()
		}
	}
	stop()
	select {
	case e := <-ended:
		if e.code != exitOK || !strings.Contains(e.said, "not a certified module") || !strings.Contains(e.said, "stand-in provider may answer") {
			t.Errorf("ended with %d: %s", e.code, e.said)
		}
	case <-time.After(drainTime + 5*time.Second):
		t.Fatal("it did not stop")
	}
	// What happened is in the trail, linked to its end.
	if code, said := runHere(t.Context(), "audit", "verify", "--config", file); code != exitOK || !strings.Contains(said, " 0 not linked yet") {
		t.Errorf("verify: %d %s", code, said)
	}
	if code, said := runHere(t.Context(), "audit", "export", "--config", file); code != exitOK || !strings.Contains(said, `"kind":"key.rotate"`) {
		t.Errorf("export: %d %s", code, said)
	}
}
