//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ecardid/internal/jose"
)

// needs fails, and says what to do, unless every language is here.
func needs(t *testing.T) {
	t.Helper()
	for tool, what := range map[string]string{
		"node": "Node.js 20", "npm": "npm", "python3": "Python 3.10", "java": "a JDK of 17", "javac": "a JDK of 17", "mvn": "Maven 3.8", "go": "Go",
	} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Errorf("%s is missing: install %s or newer (./scripts/setup interop does, on Debian)", tool, what)
		}
	}
	if err := exec.Command("python3", "-c", "import venv, ensurepip").Run(); err != nil {
		t.Error("python3 cannot make environments: install python3-venv (./scripts/setup interop does, on Debian)")
	}
	if t.Failed() {
		t.FailNow()
	}
}

// copied copies an example to where it has nothing of ours around it.
func copied(t *testing.T, name string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(to, os.DirFS(name)); err != nil {
		t.Fatal(err)
	}
	return to
}

// run runs a program to its end and returns what it printed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := command(t, dir, env, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

func install(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	began := time.Now()
	out := run(t, dir, nil, name, args...)
	t.Logf("%s %s: %v", name, args[0], time.Since(began).Round(time.Second))
	return out
}

// start starts an example and waits until it listens. What it printed is shown when
// the test fails.
func start(t *testing.T, port, dir string, env []string, name string, args ...string) {
	t.Helper()
	out := &buffer{}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with whatever it starts
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if t.Failed() {
			const end = 6000
			said := out.String()
			t.Logf("%s said:\n%s", name, said[max(0, len(said)-end):])
		}
	})
	probe := &http.Client{
		Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%s ended at once", name)
		default:
		}
		if resp, err := probe.Get("http://localhost:" + port + "/none"); err == nil {
			_ = resp.Body.Close()
			return
		}
	}
	t.Fatalf("%s does not listen after two minutes", name)
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all at the end, so that no two are the same
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

const clientKeyID = "client-1"

// newClientKey makes a client's key: its file, as `openssl genpkey` writes it, and
// the set to register.
func newClientKey(t *testing.T) (path string, set json.RawMessage) {
	t.Helper()
	k, err := jose.Generate(jose.ES256, clientKeyID)
	if err != nil {
		t.Fatal(err)
	}
	der, err := k.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "client.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewSet(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	set, err = json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	return path, set
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
