package liveness_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"ecardid/internal/jose"
	"ecardid/liveness"
	"ecardid/liveness/standin"
)

// The provider misbehaves while the result is pulled. What is not an answer in
// the protocol leaves the session pending; what is signed wrongly ends it.
func TestPullTrouble(t *testing.T) {
	stranger := key(t, jose.ES256, "face")
	change := func(name string, v any) standin.Trouble {
		return standin.Trouble{Change: func(c standin.Claims) { c[name] = v }}
	}
	for _, c := range []struct {
		name    string
		trouble standin.Trouble
		reason  liveness.Reason
		state   liveness.State
	}{
		{"hangs", standin.Trouble{Hang: true}, liveness.ReasonUnavailable, liveness.StatePending},
		{"500", standin.Trouble{Status: 500}, liveness.ReasonUnavailable, liveness.StatePending},
		{"404", standin.Trouble{Status: 404}, liveness.ReasonUnavailable, liveness.StatePending},
		{"204", standin.Trouble{Status: 204}, liveness.ReasonUnavailable, liveness.StatePending},
		{"redirect", standin.Trouble{Redirect: "/elsewhere"}, liveness.ReasonUnavailable, liveness.StatePending},
		{"huge", standin.Trouble{Body: bytes.Repeat([]byte("x"), 65<<10)}, liveness.ReasonUnavailable, liveness.StatePending},
		{"html", standin.Trouble{Header: func(h http.Header) { h.Set("Content-Type", "text/html") }}, liveness.ReasonUnavailable, liveness.StatePending},
		{"says-it-is-gzip", standin.Trouble{Header: func(h http.Header) { h.Set("Content-Encoding", "gzip") }}, "", liveness.StatePassed},
		{"garbage", standin.Trouble{Body: []byte("{}")}, liveness.ReasonSignature, liveness.StateFailed},
		{"empty", standin.Trouble{Body: []byte{}}, liveness.ReasonSignature, liveness.StateFailed},
		{"wrong-key", standin.Trouble{Key: &stranger}, liveness.ReasonSignature, liveness.StateFailed},
		{"notice-for-result", standin.Trouble{Type: "liveness-notice+jwt"}, liveness.ReasonSignature, liveness.StateFailed},
		{"stale", standin.Trouble{Change: func(c standin.Claims) {
			c["iat"], c["exp"] = noon.Add(-2*time.Minute).Unix(), noon.Add(-time.Minute).Unix()
		}}, liveness.ReasonClock, liveness.StateFailed},
		{"other-nonce", change("nonce", "x"), liveness.ReasonNonce, liveness.StateFailed},
		{"other-transaction", change("txn_hash", "x"), liveness.ReasonTransaction, liveness.StateFailed},
		{"other-subject", change("subject_ref", "x"), liveness.ReasonSubject, liveness.StateFailed},
		{"other-device", change("device_ref", "x"), liveness.ReasonDevice, liveness.StateFailed},
		{"virtual-camera", change("risk", []string{"VIRTUAL_CAMERA"}), liveness.ReasonRisk, liveness.StateFailed},
		{"score-below", change("liveness", map[string]any{"score": 79, "threshold": 10, "pad": 2}), liveness.ReasonDisagree, liveness.StateFailed},
		{"said-fail-before", change("verdict", "fail"), liveness.ReasonDisagree, liveness.StateFailed},
		{"stranger-member", change("image", "AAAA"), liveness.ReasonMalformed, liveness.StateFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, jose.ES256)
			id := w.start(txn("t1"), "pass")
			w.makeTrouble(standin.StepResult, c.trouble)
			if c.trouble.Hang {
				w.engine.Hurry(100*time.Millisecond, time.Second, 5*time.Millisecond)
			}
			v := w.finish(id, txn("t1"))
			state, _ := w.sessions.state(id)
			if v.Reason != c.reason || state != c.state || v.Passed() != (c.reason == "") {
				t.Errorf("verdict %+v, session %s", v, state)
			}
			if c.state != liveness.StatePending {
				return
			}
			// A lost answer can be asked for again.
			w.makeTrouble(standin.StepResult, standin.Trouble{})
			w.engine.Hurry(5*time.Second, 8*time.Second)
			if v := w.finish(id, txn("t1")); !v.Passed() {
				t.Errorf("afterwards: %+v", v)
			}
		})
	}
}

func TestStartTrouble(t *testing.T) {
	change := func(name string, v any) standin.Trouble {
		return standin.Trouble{Change: func(c standin.Claims) { c[name] = v }}
	}
	for _, c := range []struct {
		name    string
		trouble standin.Trouble
	}{
		{"hangs", standin.Trouble{Hang: true}},
		{"500", standin.Trouble{Status: 500}},
		{"202", standin.Trouble{Status: 202}},
		{"redirect", standin.Trouble{Redirect: "/elsewhere"}},
		{"huge", standin.Trouble{Body: bytes.Repeat([]byte(" "), 65<<10)}},
		{"garbage", standin.Trouble{Body: []byte("[]")}},
		{"two-answers", standin.Trouble{Body: []byte(`{"session_id":"a","session_id":"b","capture_url":"http://127.0.0.1/","expires_at":1}`)}},
		{"capture-elsewhere", change("capture_url", "https://evil.example/")},
		{"capture-by-script", change("capture_url", "javascript:alert(1)")},
		{"no-session", change("session_id", "")},
		{"session-a-path", change("session_id", "../x")},
		{"session-a-number", change("session_id", 7)},
		{"over-already", change("expires_at", noon.Unix())},
		{"too-long", change("expires_at", noon.Add(time.Hour).Unix())},
		{"standin-a-text", change("standin", "no")},
		{"stranger-member", change("verdict", "pass")},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, jose.ES256)
			w.makeTrouble(standin.StepStart, c.trouble)
			if c.trouble.Hang {
				w.engine.Hurry(100*time.Millisecond, time.Second)
			}
			if _, err := w.begin(txn("t1")); !errors.Is(err, liveness.ErrUnavailable) {
				t.Errorf("Start = %v", err)
			}
			for id := range w.sessions.rows {
				if state, _ := w.sessions.state(id); state != liveness.StateUnavailable {
					t.Errorf("session is %s", state)
				}
			}
		})
	}
}
