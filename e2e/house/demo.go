package house

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ecardid/e2e/scratch"
)

// A Demo is `ecardid demo` as a person starts it: the program, built and running.
type Demo struct {
	Dir          string
	Issuer       string        `json:"issuer"`
	RelyingParty string        `json:"relying_party"`
	Liveness     string        `json:"liveness"`
	Config       string        `json:"config"`
	Citizens     []DemoCitizen `json:"citizens"`
	Clients      []struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	} `json:"clients"`
	Staff []DemoStaff `json:"staff"`

	Program string
}

// A DemoCitizen is one of demo.json.
type DemoCitizen struct {
	Username   string `json:"username"`
	Password   string `json:"password"`
	TOTP       string `json:"totp_secret"`
	Activation string `json:"activation_code"`
	Name       string `json:"name"`
}

// A DemoStaff is somebody of demo.json who is invited to the console.
type DemoStaff struct {
	Name       string `json:"name"`
	Link       string `json:"link"`
	Invitation string `json:"invitation"`
}

// built is the program, built once per test process, with the race detector when
// the tests have it. It is package state because building takes longer than most
// tests; the folder is removed by the test that built it last.
var built struct {
	once sync.Once
	path string
	err  error
	out  []byte
}

func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		dir, err := scratch.Dir("program")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "ecardid")
		args := []string{"build", "-o", built.path}
		if raceEnabled {
			args = append(args, "-race")
		}
		built.out, built.err = exec.Command("go", append(args, "ecardid/cmd/ecardid")...).CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("building ecardid: %v\n%s", built.err, built.out)
	}
	return built.path
}

// Sweep removes the program that was built.
func Sweep() {
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
}

// OpenDemo starts the demo on free ports in a folder of its own.
func OpenDemo(t testing.TB) *Demo {
	t.Helper()
	d := &Demo{Dir: filepath.Join(t.TempDir(), "demo"), Program: program(t)}
	var out, log lockedBuffer
	cmd := exec.Command(d.Program, "demo", "--dir", d.Dir, "--listen", "127.0.0.1:0", "--verbose")
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the demo ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("the demo did not end on SIGTERM")
		}
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "DATA RACE") || strings.Contains(line, `"panic"`) {
				t.Errorf("the demo logged: %s", strings.TrimSpace(line))
			}
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the demo ended at once: %v\n%s%s", err, out.String(), log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the demo is not ready after 30 s\n%s%s", out.String(), log.String())
		}
		text, err := os.ReadFile(filepath.Join(d.Dir, "demo.json"))
		if err != nil || json.Unmarshal(text, d) != nil {
			continue
		}
		resp, err := http.Get(d.Issuer + "/readyz")
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return d
		}
	}
}

// Run runs one of the operator's commands on the demo.
func (d *Demo) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), d.Program, append([]string{"--config", d.Config}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ecardid %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
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
