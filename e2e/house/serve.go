package house

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
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

// A Production is `ecardid serve` as an operator sets it up: a configuration file,
// a migrated database, and replicas that share nothing else.
type Production struct {
	Issuer   string
	Replicas []string
	Mutual   string // where certificates are asked for; empty: nowhere

	program, config, dir string
	roots                *x509.CertPool // nil: everything is http
}

// OpenProduction writes a configuration for the database at dsn and migrates it.
func OpenProduction(t testing.TB, dsn string, replicas int) *Production {
	t.Helper()
	return (&Production{program: program(t), dir: t.TempDir()}).open(t, dsn, replicas, "http", "")
}

// Production is the program as one more replica of a house on PostgreSQL, not started.
func (h *House) Production(t testing.TB) *Production {
	t.Helper()
	return (&Production{Issuer: h.Issuer, program: program(t), dir: t.TempDir()}).open(t, h.DSN, 1, "http", "")
}

// OpenMutual is OpenProduction of one replica that ends TLS itself, with the listener
// of RFC 8705. The authority's certificates are those it believes.
func OpenMutual(t testing.TB, dsn string, authority *Authority) *Production {
	t.Helper()
	p := &Production{program: program(t), dir: t.TempDir(), roots: x509.NewCertPool()}
	own := NewAuthority(t, "the server's own")
	server := own.Issue(t, "localhost")
	p.roots.AddCert(own.cert)
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	p.File(t, "tls.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]})))
	p.File(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	p.File(t, "clients.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.cert.Raw})))
	at := freePort(t)
	p.Mutual = "https://localhost:" + at
	return p.open(t, dsn, 1, "https", "tls: {certificate: tls.pem, key: tls.key}\n"+
		"mtls: {listen: \"127.0.0.1:"+at+"\", base: \""+p.Mutual+"\", client_ca: clients.pem}\n")
}

// freePort is one that nobody listens at. The program listens itself; nobody else
// takes the port meanwhile but by bad luck.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return port(l)
}

func (p *Production) open(t testing.TB, dsn string, replicas int, scheme, more string) *Production {
	t.Helper()
	var ports []string
	for range replicas {
		ports = append(ports, freePort(t))
		p.Replicas = append(p.Replicas, scheme+"://localhost:"+ports[len(ports)-1])
	}
	if p.Issuer == "" {
		p.Issuer = p.Replicas[0]
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := newKey(t, "ours"), newKey(t, "theirs")
	der, err := ours.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.NewSet(theirs.Public())
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	write("liveness.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write("provider.jwks.json", public)
	write("kek", []byte(strings.Repeat("0123456789abcdef", 4)+"\n"))
	write("database", []byte(dsn+"\n"))
	for i, number := range ports {
		write(fmt.Sprintf("ecardid-%d.yaml", i), fmt.Appendf(nil, `issuer: %s
database: {file: database}
kek: {file: kek}
listen: 127.0.0.1:%s
operations: {listen: "off"}
liveness:
  name: provider
  url: http://127.0.0.1:9
  keys: provider.jwks.json
  signing_key: {file: liveness.pem}
  development: true
%s`, p.Issuer, number, more))
	}
	p.config = filepath.Join(p.dir, "ecardid-0.yaml")
	p.Run(t, "migrate")
	return p
}

func newKey(t testing.TB, kid string) jose.Key {
	t.Helper()
	k, err := jose.Generate(jose.ES256, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Run runs an operator's command and returns what it said.
func (p *Production) Run(t testing.TB, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), p.program, append([]string{"--config", p.config}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("ecardid %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// Command is an operator's command that has not been started.
func (p *Production) Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), p.program, append([]string{"--config", p.config}, args...)...)
}

// File writes a file beside the configuration and returns its path.
func (p *Production) File(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Start starts every replica and waits until they are ready. They are stopped, and
// have to stop well, when the test ends.
func (p *Production) Start(t testing.TB) {
	t.Helper()
	for i, at := range p.Replicas {
		var log lockedBuffer
		cmd := exec.Command(p.program, "serve", "--config", filepath.Join(p.dir, fmt.Sprintf("ecardid-%d.yaml", i)))
		cmd.Stderr = &log
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
					t.Errorf("replica %d ended with %v\n%s", i, err, log.String())
				}
			case <-time.After(25 * time.Second):
				_ = cmd.Process.Kill()
				t.Errorf("replica %d did not end on SIGTERM", i)
			}
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "DATA RACE") {
					t.Errorf("replica %d logged: %s", i, strings.TrimSpace(line))
				}
			}
		})
		p.ready(t, at, ended, &log)
	}
}

// Launch starts the first replica, waits until it is ready and returns what kills it
// (SIGKILL). It is killed at the end of the test if nobody has before.
func (p *Production) Launch(t testing.TB) (kill func()) {
	t.Helper()
	var log lockedBuffer
	cmd := exec.Command(p.program, "serve", "--config", p.config)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // or it has ended, which ready told
		<-ended
		if strings.Contains(log.String(), "DATA RACE") {
			t.Errorf("the program logged: %s", log.String())
		}
	})
	t.Cleanup(kill)
	p.ready(t, p.Replicas[0], ended, &log)
	return kill
}

func (p *Production) ready(t testing.TB, at string, ended chan error, log *lockedBuffer) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended at once: %v\n%s", at, err, log.String())
		default:
		}
		if resp, err := p.Client(nil).Get(at + "/readyz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("%s is not ready after 30 s\n%s", at, log.String())
}

// Robot returns a browser that talks to a replica.
func (p *Production) Robot(t testing.TB, replica int) *Robot {
	t.Helper()
	r := site{p.Issuer, time.Now, func(string, string) {}, func(string) {}}.robot(t)
	r.At = p.Replicas[replica]
	if p.roots != nil {
		r.http.Transport = p.Client(nil).Transport
	}
	return r
}

// Client speaks to the program, showing a certificate unless that is nil. It follows
// nothing.
func (p *Production) Client(certificate *tls.Certificate) *http.Client {
	security := &tls.Config{RootCAs: p.roots}
	if certificate != nil {
		security.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: security, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Soon asks until the answer is yes or five seconds are over: the longest anything
// kept in memory may be out of date (DESIGN D3).
func Soon(ok func() bool) bool {
	for deadline := time.Now().Add(6 * time.Second); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}
