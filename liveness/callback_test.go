package liveness_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"ecardid/internal/jose"
	"ecardid/liveness"
	"ecardid/liveness/standin"
)

func TestCallback(t *testing.T) {
	stranger := key(t, jose.ES256, "face")
	for _, c := range []struct {
		name    string
		trouble standin.Trouble
		want    liveness.Reason
	}{
		{"agrees", standin.Trouble{}, ""},
		{"not-theirs", standin.Trouble{Key: &stranger, Change: func(c standin.Claims) { c["verdict"] = "fail" }}, ""},
		{"a-result-is-no-notice", standin.Trouble{Type: "liveness-result+jwt", Change: func(c standin.Claims) { c["verdict"] = "fail" }}, ""},
		{"for-somebody-else", standin.Trouble{Change: func(c standin.Claims) { c["aud"], c["verdict"] = "x", "fail" }}, ""},
		{"says-fail", standin.Trouble{Change: func(c standin.Claims) { c["verdict"] = "fail" }}, liveness.ReasonDisagree},
		{"says-another-subject", standin.Trouble{Change: func(c standin.Claims) { c["subject_ref"] = "x" }}, liveness.ReasonDisagree},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, jose.ES256)
			w.makeTrouble(standin.StepNotice, c.trouble)
			if v := w.finish(w.start(txn("t1"), "pass"), txn("t1")); v.Reason != c.want {
				t.Errorf("verdict %+v, want reason %q", v, c.want)
			}
		})
	}
}

// A notice alone never suffices, and the endpoint answers everybody alike.
func TestCallbackIsNoVerdict(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	w.makeTrouble(standin.StepResult, standin.Trouble{Drop: true})
	if v := w.finish(id, txn("t1")); v.Outcome != liveness.Unavailable {
		t.Errorf("verdict %+v", v)
	}
	for _, body := range []string{"", "x", w.notices[0], w.notices[0], strings.Repeat("x", 100<<10), `{"verdict":"pass"}`} {
		rec := httptest.NewRecorder()
		w.engine.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/liveness/callback", strings.NewReader(body)))
		if rec.Code != http.StatusNoContent || rec.Body.Len() != 0 {
			t.Errorf("answer %d %q", rec.Code, rec.Body)
		}
	}
	// The same notice again contradicts nothing.
	w.makeTrouble(standin.StepResult, standin.Trouble{})
	if v := w.finish(id, txn("t1")); !v.Passed() {
		t.Errorf("verdict %+v", v)
	}
}

// Two notices that disagree, at once: whichever comes first, nobody passes.
func TestContradictingNotices(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	yes := w.notices[0]
	w.makeTrouble(standin.StepNotice, standin.Trouble{Drop: true})
	s, err := w.sessions.Get(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { w.engine.Callback(context.Background(), []byte(yes)) })
		wg.Go(func() {
			_ = w.sessions.Note(context.Background(), "standin", s.ProviderSession, liveness.Notice{JTI: make([]byte, 32), Digest: make([]byte, 32)})
		})
	}
	wg.Wait()
	if v := w.finish(id, txn("t1")); v.Passed() || v.Reason != liveness.ReasonDisagree {
		t.Errorf("verdict %+v", v)
	}
}

// A notice that arrives between reading and settling still counts.
func TestNoticeBeforeSettling(t *testing.T) {
	w := newWorld(t, jose.ES256)
	w.makeTrouble(standin.StepNotice, standin.Trouble{Drop: true})
	id := w.start(txn("t1"), "pass")
	s, err := w.sessions.Get(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	w.sessions.beforeSettle = func() {
		_ = w.sessions.Note(context.Background(), "standin", s.ProviderSession, liveness.Notice{JTI: make([]byte, 32), Digest: make([]byte, 32)})
	}
	if v := w.finish(id, txn("t1")); v.Passed() || v.Reason != liveness.ReasonDisagree {
		t.Errorf("verdict %+v", v)
	}
}
