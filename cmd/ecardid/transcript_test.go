package main

import (
	"bytes"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
)

// TestTranscript types the lines of testdata/operator.in and compares what comes
// back with testdata/operator.out, exit codes included. -update writes it anew.
func TestTranscript(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ECARDID_CONFIG", filepath.Join(dir, "ecardid.yaml"))
	for name, text := range map[string]string{
		"ecardid.yaml":     "issuer: http://localhost:8080\ndatabase: sqlite:e.db\nkek: {file: kek}\n",
		"broken.yaml":      "issuer: http://login.example\nkek: {file: nowhere}\nfloor: live\n",
		"kek":              strings.Repeat("0123456789abcdef", 4),
		"kek2":             strings.Repeat("fedcba9876543210", 4),
		"good.csv":         "name,id_number,phone,card_number\n王秀英,11010519491231002X,13800001111,A12345678\n李建国,440199197506083335,13800002222,B12345678\n",
		"bad.csv":          "card_number,name,id_number,phone\nA12345678,王秀英,11010519491231002X,13800001111\nA1,=cmd|' /C calc'!A0,110105194912310021,1\nA12345678,李建国,440199197506083335,13800001111\n",
		"gbk.csv":          "name,id_number,phone,card_number\n\xcd\xf5,1,2,3\n",
		"card.txt":         "A12345678\n",
		"client.json":      `{"client_id":"clinic","client_name":"示例门诊","redirect_uris":["https://clinic.example/callback"],"grant_types":["authorization_code","refresh_token"],"scope":"openid profile insurance.read"}`,
		"badclient.json":   `{"client_name":"x","redirect_uris":["http://clinic.example/callback"]}`,
		"certificate.json": `{"client_name":"x","redirect_uris":["https://clinic.example/callback"],"tls_client_certificate_bound_access_tokens":true}`,
		"badscope.json":    `{"client_name":"x","redirect_uris":["https://clinic.example/callback"],"scope":"openid everything"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script, err := os.ReadFile("testdata/operator.in")
	if err != nil {
		t.Fatal(err)
	}
	e := &env{clock: clock.At(time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)), rand: rand.Reader}
	var got strings.Builder
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSuffix(line, "\n")
		got.WriteString(line + "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			got.WriteString(anonymous(typed(t, e, dir, command), dir))
		}
	}
	const golden = "testdata/operator.out"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the transcript differs from %s:\n%s", golden, firstDifference(string(want), got.String()))
	}
	for _, private := range []string{"11010519491231002X", "13800001111", "王秀英", "A12345678 "} {
		for line := range strings.Lines(got.String()) {
			if !strings.HasPrefix(line, "$ ") && strings.Contains(line, private) {
				t.Errorf("personal data in an answer: %s", line)
			}
		}
	}
}

var _ = flag.Bool("update", false, "write golden files anew")

// typed carries out one line and returns what came back.
func typed(t *testing.T, e *env, dir, line string) string {
	t.Helper()
	line = strings.ReplaceAll(line, "$DIR", dir)
	in := []byte{}
	if before, file, ok := strings.Cut(line, " < "); ok {
		var err error
		if in, err = os.ReadFile(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		line = before
	}
	words := regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1)
	for i := range words {
		words[i] = strings.Trim(words[i], `"`)
	}
	switch words[0] {
	case "cat":
		b, err := os.ReadFile(filepath.Join(dir, words[1]))
		if err != nil {
			return "no such file\n"
		}
		return string(b)
	case "cp":
		b, err := os.ReadFile(filepath.Join(dir, words[1]))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, words[2]), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return ""
	}
	var out, wrong strings.Builder
	one := &env{in: bytes.NewReader(in), out: &out, err: &wrong, clock: e.clock, rand: e.rand}
	code := run(t.Context(), one, words[1:])
	return out.String() + wrong.String() + fmt.Sprintf("[exit %d]\n", code)
}

// anonymous replaces what is different each time.
func anonymous(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "$DIR")
	for _, r := range []struct{ pattern, name string }{
		{`\b[0-9A-Z]{4}(-[0-9A-Z]{4}){3}\b`, "<code>"},
		{`\b[0-9a-f]{64}\b`, "<digest>"},
		{`\b[0-9a-f]{16}\b`, "<key>"},
		{`(client_secret"?: "?)[A-Za-z0-9_-]{43}`, "${1}<secret>"},
		{`(initial_access_token"?: "?)[A-Za-z0-9_-]{43}`, "${1}<token>"},
		{`(invitation for [a-z.]+: )[A-Za-z0-9_-]{27}`, "${1}<invitation>"},
		{`(/console/invitation/|(?:registrar, device-officer|auditor) +(?:-|1101) +)[A-Za-z0-9_-]{22}`, "${1}<id>"},
		{`internal id( +)[A-Za-z0-9_-]{22}`, "internal id$1<id>"},
		{`"id": "[A-Za-z0-9_-]{22}"`, `"id": "<id>"`},
		{`("citizen": "|operator  |operator,)[A-Za-z0-9_-]{22}`, "${1}<id>"},
		{`\b[0-9a-f]{96,128}\b`, "<mac>"},
		{`("+user"+: ?"+)[^"]+`, "${1}<user>"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.name)
	}
	return text
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\nwant: %s\ngot:  %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(b), len(a))
}
