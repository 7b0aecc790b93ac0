package liveness_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/liveness/standin"
)

// No image, score, reference or nonce in what we log, whatever happens.
func TestLogs(t *testing.T) {
	w := newWorld(t, jose.ES256)
	for _, answer := range []string{"pass", "fail", "inconclusive"} {
		w.finish(w.start(txn(answer), answer), txn(answer))
	}
	w.makeTrouble(standin.StepResult, standin.Trouble{Change: func(c standin.Claims) { c["image"] = "/9j/4AAQSkZJRg" }})
	w.finish(w.start(txn("image"), "pass"), txn("image"))
	log := w.log.String()
	if !strings.Contains(log, "liveness session settled") {
		t.Fatal("nothing was logged")
	}
	claims := string(decode(t, strings.Split(w.results[0], ".")[1]))
	for _, name := range []string{"nonce", "subject_ref", "device_ref", "txn_hash", "evidence_ref", "session_id"} {
		_, rest, _ := strings.Cut(claims, `"`+name+`":"`)
		value, _, _ := strings.Cut(rest, `"`)
		if value == "" || strings.Contains(log, value) {
			t.Errorf("%s is in the log", name)
		}
	}
	for _, word := range []string{"/9j/", li.String()} {
		if strings.Contains(log, word) {
			t.Errorf("%q is in the log", word)
		}
	}
	// Nothing but these is written, and no figure is in a cause.
	known := []string{"time", "level", "msg", "provider", "session", "purpose", "state", "reason", "alarm", "cause"}
	for line := range strings.Lines(log) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		for name := range entry {
			if !slices.Contains(known, name) {
				t.Errorf("%s is logged", name)
			}
		}
		if cause, _ := entry["cause"].(string); strings.ContainsAny(cause, "0123456789") {
			t.Errorf("a figure in %q", cause)
		}
	}
}

func decode(t *testing.T, part string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What leaves the house names nobody.
func TestStartSaysNothingPersonal(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("secret-txn"), "")
	claims := string(decode(t, strings.Split(w.starts[0], ".")[1]))
	for _, word := range []string{"secret-txn", li.String(), "pension", identity.ID{11}.String()} {
		if strings.Contains(claims, word) {
			t.Errorf("%q is in the request", word)
		}
	}
	if !strings.Contains(claims, id.String()) {
		t.Error("the request does not name itself")
	}
}
