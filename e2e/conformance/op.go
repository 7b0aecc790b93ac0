package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ecardid/internal/jose"
)

// Where op.yaml listens.
const (
	issuer   = "https://localhost:9443"
	mtlsBase = "https://localhost:9444"
)

const (
	readyTime = 30 * time.Second
	endTime   = 25 * time.Second // the server drains for twenty
)

// An op is ecardid under test.
type op struct {
	dir      string // of op.yaml
	program  string
	database string // as op.yaml names it in the environment
	keys     *keychain
	resource string            // secret of the test resource
	secrets  map[string]string // of the plans' applications, by their ids
	http     *http.Client

	cmd   *exec.Cmd
	ended chan error
}

// prepare writes everything op.yaml names into run/.
func (o *op) prepare(suiteRoots []byte) error {
	host, err := o.keys.cert(server)
	if err != nil {
		return err
	}
	hostKey, err := host.keyPEM()
	if err != nil {
		return err
	}
	ca, err := o.keys.cert(authority)
	if err != nil {
		return err
	}
	kek := make([]byte, 32)
	_, _ = rand.Read(kek) // never fails
	ours, err1 := jose.Generate(jose.ES256, "ours")
	theirs, err2 := jose.Generate(jose.ES256, "theirs")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	der, err := ours.MarshalPKCS8()
	if err != nil {
		return err
	}
	set, err := jose.NewSet(theirs.Public())
	if err != nil {
		return err
	}
	liveness, err := json.Marshal(set)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"tls.pem": host.certPEM(), "tls.key": hostKey, "client-ca.pem": ca.certPEM(), "suite-ca.pem": suiteRoots,
		"kek": []byte(hex.EncodeToString(kek) + "\n"), "liveness.jwks.json": liveness,
		"liveness.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(o.run(name), text, 0o600); err != nil {
			return err
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(host.cert)
	o.http = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	return nil
}

// run names a file in run/.
func (o *op) run(name string) string { return filepath.Join(o.dir, "run", name) }

// build compiles ecardid, unless a program was named.
func (o *op) build(ctx context.Context) error {
	if o.program != "" {
		return nil
	}
	program, err := filepath.Abs(o.run("ecardid"))
	if err != nil {
		return err
	}
	o.program = program
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "ecardid/cmd/ecardid")
	cmd.Dir, cmd.Stderr = o.dir, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building ecardid: %w", err)
	}
	return nil
}

func (o *op) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, o.program, args...)
	cmd.Env = append(os.Environ(), "ECARDID_CONFORMANCE_DATABASE="+o.database)
	return cmd
}

// do runs an operator's command and returns what it said.
func (o *op) do(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := o.command(ctx, append([]string{"--config", filepath.Join(o.dir, "op.yaml")}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ecardid %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.Bytes(), nil
}

// start serves, and returns when the server is ready. Its log is run/op.log.
func (o *op) start(ctx context.Context) error {
	log, err := os.OpenFile(o.run("op.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	o.cmd = o.command(context.WithoutCancel(ctx), "serve", "--config", filepath.Join(o.dir, "op.yaml"))
	o.cmd.Stderr = log
	if err := o.cmd.Start(); err != nil {
		return err
	}
	o.ended = make(chan error, 1)
	go func() { o.ended <- o.cmd.Wait() }()
	for end := time.Now().Add(readyTime); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		select {
		case err := <-o.ended:
			o.cmd = nil
			text, _ := os.ReadFile(o.run("op.log"))
			return fmt.Errorf("ecardid ended at once: %w\n%s", err, text)
		default:
		}
		if o.ready() {
			return nil
		}
	}
	return errors.Join(errors.New("ecardid is not ready in time: see run/op.log"), o.stop())
}

// ready reports whether the server serves and has made its RSA keys, which takes it a
// moment on its very first start. The suite reads the key set once and would not find
// a key that came later.
func (o *op) ready() bool {
	resp, err := o.http.Get(issuer + "/jwks")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var set struct {
		Keys []struct {
			Alg string `json:"alg"`
		} `json:"keys"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&set) != nil {
		return false
	}
	missing := map[string]bool{"ES256": true, "RS256": true, "PS256": true}
	for _, k := range set.Keys {
		delete(missing, k.Alg)
	}
	return len(missing) == 0
}

// stop ends the server.
func (o *op) stop() error {
	if o.cmd == nil {
		return nil
	}
	_ = o.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-o.ended:
		return err
	case <-time.After(endTime):
		_ = o.cmd.Process.Kill()
		return errors.New("ecardid did not end when told to")
	}
}

// apply registers an application and returns the secret it was given, if any.
func (o *op) apply(ctx context.Context, registration []byte) (secret string, err error) {
	out, err := o.do(ctx, registration, "client", "apply", "-", "--json")
	if err != nil {
		return "", err
	}
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		return "", fmt.Errorf("client apply: %w", err)
	}
	return made.Secret, nil
}

// complaints are the errors in the server's log. No visitor has a right to cause one,
// the suite included.
func (o *op) complaints() ([]string, error) {
	text, err := os.ReadFile(o.run("op.log"))
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"level":"ERROR"`) || !strings.HasPrefix(line, "{") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all, nil
}

// applyResource registers the test resource, which introspects tokens.
func (o *op) applyResource(ctx context.Context) error {
	shapes, err := parts("clients")
	if err != nil {
		return err
	}
	doc, err := fill(shapes, "resource.json", map[string]string{"ID": resourceClient, "Resource": resourceBase})
	if err != nil {
		return err
	}
	o.resource, err = o.apply(ctx, doc)
	return err
}
