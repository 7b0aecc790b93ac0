package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"ecardid/server"
)

// TestTraces: a span names the route and nothing of what was sent, nor from where.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var spans bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body = must[*gzip.Reader](t)(gzip.NewReader(r.Body))
		}
		_, _ = io.Copy(&spans, body)
	}))
	defer collector.Close()
	traces := must[*server.Traces](t)(server.NewTraces(t.Context(), collector.URL, 1))
	h := newHouse(t, func(in *server.Ingredients) { in.Traces = traces })
	c := h.caller(t)
	w := c.send(http.MethodPost, "/preferences?a-query=1", "csrf="+c.csrf+"&back=/lost", "Content-Type", formType, "User-Agent", "an-agent",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Baggage", "a-bag=1", "X-Forwarded-For", "198.51.100.7")
	if w.Code != http.StatusSeeOther {
		t.Errorf("traced: %d", w.Code)
	}
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := spans.String()
	if !strings.Contains(sent, "/preferences") {
		t.Errorf("no span: %q", sent)
	}
	for _, s := range []string{"a-query", "an-agent", "a-bag", "192.0.2.1", "198.51.100.7", "localhost:", c.csrf, "\x0a\xf7\x65\x19"} {
		if strings.Contains(sent, s) {
			t.Errorf("a span has %q: %q", s, sent)
		}
	}
}
