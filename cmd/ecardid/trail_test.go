package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/internal/clock"
	"ecardid/storage"
)

// An auditor far away has an export, a public key and the checkpoints that were sent
// there, and no configuration, no database and no secret.
func TestVerifyFarAway(t *testing.T) {
	file, _ := configured(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	here := func(args ...string) string {
		t.Helper()
		code, said := runHere(t.Context(), append(args, "--config", file)...)
		if code != exitOK {
			t.Fatalf("%v: %d %s", args, code, said)
		}
		return said
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here("migrate")
	write("key", here("audit", "key"))
	for _, name := range []string{"li.na", "wang.wei", "zhao.min"} {
		here("staff", "add", name, "--role", "auditor")
	}
	here("audit", "checkpoint", at("kept"))
	here("audit", "export", at("trail"))
	here("staff", "add", "chen.jie", "--role", "auditor")
	here("audit", "checkpoint", at("kept"))
	here("audit", "export", at("later"))

	b, err := os.ReadFile(at("trail"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
	lines[3] += "\n"
	l, err := os.ReadFile(at("later"))
	if err != nil {
		t.Fatal(err)
	}
	write("edited", strings.Replace(string(b), `"roles":"auditor"`, `"roles":"support"`, 1))
	write("deleted", lines[0]+lines[1]+lines[3])
	write("swapped", lines[0]+lines[2]+lines[1]+lines[3])
	write("cut", lines[0]+lines[1]+lines[2])
	write("spelled", strings.Replace(string(b), `"seq":`, `"seq": `, 1))
	later := strings.SplitAfter(string(l), "\n")
	write("mixed", later[0]+lines[1]+lines[2]+lines[3])
	kept, err := os.ReadFile(at("kept"))
	if err != nil {
		t.Fatal(err)
	}
	write("before", strings.SplitAfter(string(kept), "\n")[0])
	write("altered", strings.Replace(string(kept), ".", "x.", 1))
	code, said := runHere(t.Context(), "audit", "key", "--config", other(t))
	if code != exitOK {
		t.Fatal(said)
	}
	write("stranger", said)

	for _, test := range []struct {
		args string
		code int
		said string
	}{
		{"--file trail", exitOK, "nobody has vouched"},
		{"--file trail --key key", exitOK, "ok: attested"},
		{"--file trail --key key --checkpoints before", exitOK, "1 checkpoints agree"},
		{"--file trail --key key --checkpoints kept", exitTampering, "checkpoints attest more"},
		{"--file later --key key --checkpoints kept", exitOK, "4 entries"},
		{"--file trail --checkpoints kept", exitUsage, "--checkpoints needs --key"},
		{"--file trail --key stranger", exitTampering, "not signed by this key"},
		{"--file trail --key key --checkpoints altered", exitTampering, "line 1"},
		{"--file edited", exitTampering, "audit entry 1: "},
		{"--file deleted", exitTampering, "audit entry 2: an entry is missing"},
		{"--file swapped", exitTampering, "audit entry 1: an entry is missing"},
		{"--file cut", exitTampering, "audit entry 3: the end"},
		{"--file mixed --key key", exitTampering, "audit entry 4: the end"},
		{"--file spelled", exitTampering, "line 2: not a line"},
		{"--file nowhere", exitFailed, "no such file"},
		{"--file trail --key trail", exitUsage, "audit key"},
	} {
		args := []string{"audit", "verify", "--config", at("no-configuration-here")}
		for i, word := range strings.Fields(test.args) {
			if i%2 == 1 {
				word = at(word)
			}
			args = append(args, word)
		}
		if code, said := runHere(t.Context(), args...); code != test.code || !strings.Contains(said, test.said) {
			t.Errorf("%s: %d %s; want %d and %q", test.args, code, said, test.code, test.said)
		}
	}
	here("audit", "verify", "--checkpoints", at("kept"))
	here("audit", "verify", "--file", at("later"), "--macs", "--checkpoints", at("kept"))
}

// other is a configuration with keys of its own, migrated.
func other(t *testing.T) string {
	t.Helper()
	file, _ := configured(t)
	if code, said := runHere(t.Context(), "migrate", "--config", file); code != exitOK {
		t.Fatal(said)
	}
	return file
}

func TestNotary(t *testing.T) {
	file := other(t)
	c, err := config.Load(file, config.NeedKeys)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{out: &strings.Builder{}, err: &strings.Builder{}, clock: clock.System{}, rand: rand.Reader}
	s, err := e.unlocked(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(t.TempDir(), "kept")
	var sent []string
	status, broken := http.StatusNoContent, error(nil)
	var log strings.Builder
	n := &notary{
		store: s, issuer: c.Issuer, clock: e.clock, log: slog.New(slog.NewTextHandler(&log, nil)),
		to: config.Checkpoint{Every: time.Hour, File: path, URL: "https://notary.example/"},
		post: func(_ context.Context, url, contentType string, body []byte) (int, error) {
			sent = append(sent, fmt.Sprint(url, " ", contentType, " ", string(body)))
			return status, broken
		},
	}
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	if !n.attest(t.Context()) {
		t.Fatal(log.String())
	}
	// A crash in the middle of a line spoils that line only.
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.WriteString("eyJhbG"); err != nil {
		t.Fatal(err)
	}
	torn.Close()
	status = http.StatusInternalServerError
	if n.attest(t.Context()) || !strings.Contains(log.String(), "answered 500") || !strings.Contains(log.String(), "alarm=true") {
		t.Errorf("a notary that is down: %s", log.String())
	}
	status, broken = 0, errors.New("no way there")
	if n.attest(t.Context()) {
		t.Error("a notary that is not there")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 4 || lines[1] != "eyJhbG" || len(sent) != 3 || sent[0] != "https://notary.example/ application/jose "+lines[0] {
		t.Errorf("%q, sent %q", lines, sent)
	}
	n.to.File = filepath.Join(t.TempDir(), "nowhere", "kept")
	if err := n.ready(); err == nil {
		t.Error("a file that cannot be written is found when it is needed")
	}
	if err := (&notary{}).ready(); err != nil {
		t.Errorf("nowhere to bring it: %v", err)
	}
	// run begins at once.
	n.to.File, n.to.URL = path, ""
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); n.run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if again, _ := os.ReadFile(path); len(again) > len(text) {
			break
		}
		if time.Now().After(deadline) {
			t.Error("it did not")
			break
		}
	}
	stop()
	<-ran
}

// Somebody who can write to the database puts back an older trail, seal and all. That is
// consistent with itself, and the notary remembers: it signs nothing over it, not after a
// restart and not when the trail has grown beyond where it was, and it says so.
func TestNotarySeesATrailGoBack(t *testing.T) {
	file := other(t)
	c, err := config.Load(file, config.NeedKeys)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	e := &env{out: &strings.Builder{}, err: &strings.Builder{}, clock: clock.System{}, rand: rand.Reader}
	s, err := e.unlocked(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	behind, err := sql.Open("sqlite", strings.TrimPrefix(c.Made.DSN, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	grow := func() {
		t.Helper()
		for range 3 {
			if err := s.Record(ctx, e.event(audit.LoginRefused, "test")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.ChainAudit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(t.TempDir(), "kept")
	var log strings.Builder
	counted := 0
	open := func(path string) *notary {
		t.Helper()
		out := slog.New(slog.NewTextHandler(&log, nil))
		n := &notary{
			store: s, issuer: c.Issuer, clock: e.clock, log: out, to: config.Checkpoint{Every: time.Hour, File: path},
			alarm: &trailAlarm{journal: s, count: func(string) { counted++ }, clock: e.clock, log: out},
		}
		if err := n.ready(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	n, watch := open(kept), open("")
	grow()
	var name string
	var number int
	if err := behind.QueryRowContext(ctx, `SELECT name, version FROM versions WHERE name LIKE 'audit-head:%'`).Scan(&name, &number); err != nil {
		t.Fatal(err)
	}
	grow()
	if !n.attest(ctx) || !watch.attest(ctx) {
		t.Fatal(log.String())
	}
	for _, edit := range []string{
		fmt.Sprint(`DELETE FROM audit WHERE link > `, number),
		fmt.Sprintf(`UPDATE versions SET name = '%s', version = %d WHERE name LIKE 'audit-head:%%'`, name, number),
	} {
		if _, err := behind.ExecContext(ctx, edit); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.VerifyAudit(ctx); err != nil {
		t.Errorf("consistent with itself: %v", err)
	}
	before, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	for round, want := range []error{audit.ErrTruncated, audit.ErrRewritten} {
		for what, n := range map[string]*notary{"it": n, "it, begun again": open(kept), "one that only watches": watch} {
			log.Reset()
			if err := n.try(ctx); !errors.Is(err, want) {
				t.Errorf("%d: %s says %v, want %v", round, what, err, want)
			}
			for range 2 {
				if n.attest(ctx) || !strings.Contains(log.String(), "alarm=true") {
					t.Errorf("%d: %s went on: %s", round, what, log.String())
				}
			}
		}
		grow()
		grow()
	}
	if after, err := os.ReadFile(kept); err != nil || len(after) != len(before) {
		t.Errorf("something was signed over it: %v", err)
	}
	alarms, err := s.SearchAudit(ctx, storage.TrailQuery{Kind: audit.TrailBroken, Limit: 99})
	if err != nil || len(alarms) < 4 || len(alarms) > 6 || counted != 12 {
		t.Errorf("%d entries and %d counted, %v", len(alarms), counted, err)
	}
}
