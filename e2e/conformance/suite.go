package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"
)

// A suite is a running conformance suite, spoken to by its REST API.
type suite struct {
	base string // https://host:port
	http *http.Client
}

// A planRun is a plan as the suite made it.
type planRun struct {
	ID      string       `json:"id"`
	Modules []planModule `json:"modules"`
}

type planModule struct {
	Name    string            `json:"testModule"`
	Variant map[string]string `json:"variant"`
}

// The states of a module that is over.
const (
	stateFinished    = "FINISHED"
	stateInterrupted = "INTERRUPTED"
	stateWaiting     = "WAITING"
	stateConfigured  = "CONFIGURED"
)

type moduleInfo struct {
	Status string `json:"status"`
	Result string `json:"result"`
}

// A logEntry is what one condition of a module said.
type logEntry struct {
	Time    int64  `json:"time"`
	Source  string `json:"src"`
	Message string `json:"msg"`
	Result  string `json:"result"`
	Error   string `json:"error"`
	Page    string `json:"page_source"` // what the browser photographed
}

// suiteRoots reads the certificates the suite is trusted by. Without a file it takes
// what the suite shows, which is good enough on this very machine and nowhere else.
func suiteRoots(ctx context.Context, base, file string) ([]byte, error) {
	if file != "" {
		return os.ReadFile(file)
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	if a, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !a.IsLoopback()) {
		return nil, errors.New("a suite on another machine needs -ca FILE")
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "443")
	}
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // loopback: only to see what is there
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("no suite there: %w", err)
	}
	defer conn.Close()
	var all []byte
	for _, c := range conn.(*tls.Conn).ConnectionState().PeerCertificates {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return all, nil
}

func newSuite(base string, roots []byte) (*suite, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, errors.New("no certificate to trust the suite by")
	}
	return &suite{base: base, http: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
	}}, nil
}

// call sends one request and decodes the answer into out, unless that is nil.
func (s *suite) call(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	target := s.base + "/api/" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("suite: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	switch {
	case err != nil:
		return fmt.Errorf("suite: %s %s: %w", method, path, err)
	case resp.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("suite: %s %s: %s: %.300s", method, path, resp.Status, text)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("suite: %s %s: %w", method, path, err)
	}
	return nil
}

func (s *suite) createPlan(ctx context.Context, name string, variant map[string]string, config []byte) (planRun, error) {
	v, err := spell(variant)
	if err != nil {
		return planRun{}, err
	}
	var p planRun
	err = s.call(ctx, http.MethodPost, "plan", url.Values{"planName": {name}, "variant": {v}}, config, &p)
	return p, err
}

// spell is a variant as the suite reads it; the empty one is an object as well.
func spell(variant map[string]string) (string, error) {
	if len(variant) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(variant)
	return string(b), err
}

func (s *suite) deletePlan(ctx context.Context, id string) error {
	return s.call(ctx, http.MethodDelete, "plan/"+id, nil, nil, nil)
}

// start starts a module. It begins by itself.
func (s *suite) start(ctx context.Context, plan string, m planModule) (id string, err error) {
	v, err := spell(m.Variant)
	if err != nil {
		return "", err
	}
	var out struct {
		ID string `json:"id"`
	}
	err = s.call(ctx, http.MethodPost, "runner", url.Values{"plan": {plan}, "test": {m.Name}, "variant": {v}}, nil, &out)
	return out.ID, err
}

func (s *suite) stop(ctx context.Context, id string) error {
	return s.call(ctx, http.MethodDelete, "runner/"+id, nil, nil, nil)
}

func (s *suite) info(ctx context.Context, id string) (moduleInfo, error) {
	var i moduleInfo
	err := s.call(ctx, http.MethodGet, "info/"+id, nil, nil, &i)
	return i, err
}

func (s *suite) log(ctx context.Context, id string) ([]logEntry, []byte, error) {
	var raw json.RawMessage
	if err := s.call(ctx, http.MethodGet, "log/"+id, nil, nil, &raw); err != nil {
		return nil, nil, err
	}
	entries, err := parseLog(raw)
	return entries, raw, err
}

// parseLog reads a module's log. Members that are not what they usually are do not
// matter here: the suite puts anything into its entries.
func parseLog(raw []byte) ([]logEntry, error) {
	var all []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("a module's log: %w", err)
	}
	text := func(m map[string]json.RawMessage, name string) string {
		var s string
		if json.Unmarshal(m[name], &s) != nil {
			return ""
		}
		return s
	}
	entries := make([]logEntry, len(all))
	for i, m := range all {
		entries[i] = logEntry{Source: text(m, "src"), Message: text(m, "msg"), Result: text(m, "result"), Error: text(m, "error"), Page: text(m, "page_source")}
		_ = json.Unmarshal(m["time"], &entries[i].Time)
	}
	return entries, nil
}
