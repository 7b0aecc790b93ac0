package server_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"ecardid/server"
)

// TestErrorPage: a person finds the way on, in their language, and a reference
// that the log knows.
func TestErrorPage(t *testing.T) {
	h := newHouse(t)
	c := h.caller(t)
	reference := regexp.MustCompile(`<code>([A-Z2-7]{10})</code>`)
	for _, path := range []string{"/nowhere", "/lost?a=%ff", "/authorize?client_id=nobody&state=%3Cscript%3E", "/login?flow=1", "/login?flow=1&flow=2"} {
		w := c.send(http.MethodGet, path, "", "Accept-Language", "en")
		page := w.Body.String()
		ref := ""
		if found := reference.FindStringSubmatch(page); found != nil {
			ref = found[1]
		}
		if w.Code < 400 || w.Code > 499 || ref == "" || !strings.Contains(h.log.String(), `"ref":"`+ref) || !strings.Contains(page, `lang="en"`) {
			t.Errorf("%s: %d, reference %q", path, w.Code, ref)
		}
		if !strings.Contains(page, `value="`+c.csrf+`"`) {
			t.Errorf("%s: the switches of the page do not work", path)
		}
		if strings.Contains(page, "<script>") || strings.Contains(page, "goroutine") {
			t.Errorf("%s:\n%s", path, page)
		}
	}
}

// TestPanic: a handler that fails before it said anything becomes an error page
// without what it was about to send; one in the middle of it is cut off.
func TestPanic(t *testing.T) {
	h := newHouse(t)
	early := h.server.Enter(server.Route{Method: http.MethodGet, Pattern: "/early", Class: server.Page}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		w.Header().Set("Set-Cookie", "__Host-login=secret")
		panic("of the handler")
	}))
	w := httptest.NewRecorder()
	early.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/early", nil))
	if w.Code != 500 || w.Header().Get("Content-Length") != "" || w.Header().Get("Set-Cookie") != "" ||
		w.Header().Get("Content-Security-Policy") == "" || strings.Contains(w.Body.String(), "of the handler") {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	for _, why := range []any{"late", http.ErrAbortHandler} {
		late := h.server.Enter(server.Route{Method: http.MethodGet, Pattern: "/late", Class: server.Page}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half an")
			panic(why)
		}))
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%v: half an answer looks whole: %v", why, p)
				}
			}()
			late.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/late", nil))
		}()
	}
}

// TestInFlight: when everything hangs, the next one hears so at once; whoever sends
// slowly takes nobody's place, and documents in memory are given out all the same.
func TestInFlight(t *testing.T) {
	h := newHouse(t)
	var sending, working sync.WaitGroup
	slow, _ := io.Pipe()
	for range server.InFlight + 8 {
		sending.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/token", slow)
			r.Header.Set("Content-Type", formType)
			h.server.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	c := &caller{h: h}
	if w := c.send(http.MethodGet, "/lost", ""); w.Code != http.StatusOK {
		t.Errorf("while others send: %d", w.Code)
	}
	release := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(server.InFlight)
	hang := h.server.Enter(server.Route{Method: http.MethodGet, Pattern: "/hang"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun.Done()
		<-release
	}))
	for range server.InFlight {
		working.Go(func() { hang.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/hang", nil)) })
	}
	begun.Wait()
	for path, status := range map[string]int{"/lost": 503, "/readyz": 503, "/userinfo": 503, "/healthz": 200, "/jwks": 200} {
		w := c.send(http.MethodGet, path, "")
		if w.Code != status || status == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q", path, w.Code, w.Header().Get("Retry-After"))
		}
	}
	close(release)
	working.Wait()
	if w := c.send(http.MethodGet, "/lost", ""); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d", w.Code)
	}
	_ = slow.CloseWithError(errors.New("gone"))
	sending.Wait()
}

// TestDatabaseGone: nobody is let in, and everybody is told the truth.
func TestDatabaseGone(t *testing.T) {
	h := newHouse(t)
	c := h.caller(t)
	c.cookies["__Host-login"] = strings.Repeat("a", 43)
	h.store.Close()
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 503, "/account": 500, "/login": 500, "/lost": 200, "/jwks": 200} {
		if w := c.send(http.MethodGet, path, ""); w.Code != status || status == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
}
