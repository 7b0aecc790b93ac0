package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/templates"
)

type requestKey struct{}

// request is what the front door notes about a request on its way.
type request struct {
	ref   string // the short reference a person can read out and the log can be searched for
	nonce string // of the page's Content-Security-Policy
	class Class
}

func noted(r *http.Request) *request {
	if n, ok := r.Context().Value(requestKey{}).(*request); ok {
		return n
	}
	return &request{}
}

// recorder remembers the status for log and metrics.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// enter is the outermost guard of one route: reference, panic, log and metrics, the
// headers every answer carries, the browser's name, the limits.
func (s *Server) enter(route Route, next http.Handler) http.Handler {
	always := s.headers(route.Class)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		n := &request{ref: reference(), class: route.Class}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, n))
		rec := &recorder{ResponseWriter: w}
		defer func() { s.leave(rec, r, route, start, recover()) }()
		maps.Copy(rec.Header(), always)
		if route.Class == Page || route.Class == Entry {
			n.nonce = random(18)
			r = s.browsers.name(rec, r)
		}
		if route.Method == "" { // leads nowhere, whatever is sent there
			next.ServeHTTP(rec, r)
			return
		}
		if err := check(rec, r, route.Takes); err != nil {
			status := http.StatusBadRequest // SECURITY G8
			switch {
			case errors.Is(err, errTooLarge):
				status = http.StatusRequestEntityTooLarge
			case errors.Is(err, errURLTooLong):
				status = http.StatusRequestURITooLong
			}
			s.fail(rec, r, status, err)
			return
		}
		if route.Class != Public { // what lies ready in memory is given to everybody
			select {
			case s.flight <- struct{}{}:
				defer func() { <-s.flight }()
			default:
				s.fail(rec, r, http.StatusServiceUnavailable, errors.New("too many requests at once"))
				return
			}
		}
		next.ServeHTTP(rec, r)
	})
}

// leave answers for a handler that panicked and writes down how the request went.
func (s *Server) leave(w *recorder, r *http.Request, route Route, start time.Time, panicked any) {
	cut := panicked != nil
	if panicked != nil && panicked != http.ErrAbortHandler {
		s.log.Error("panic", "ref", noted(r).ref, "route", route.Pattern, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		if w.status == 0 {
			clear(w.Header()) // of what the handler was about to say
			maps.Copy(w.Header(), s.headers(route.Class))
			s.fail(w, r, http.StatusInternalServerError, errors.New("panic"))
			cut = false
		}
	}
	took, status := time.Since(start), cmp.Or(w.status, http.StatusOK)
	s.metrics.request(route, status, took)
	// The pattern, never the URL: a path or query may hold a code or a hint. Of the
	// method only what the route takes: it too is a stranger's word.
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("ref", noted(r).ref), slog.String("method", cmp.Or(route.Method, "other")),
		slog.String("route", route.Pattern), slog.Int("status", status), slog.Int("bytes", w.bytes), slog.Int64("us", took.Microseconds()))
	if cut {
		// Half an answer must not look like a whole one: net/http cuts the connection.
		panic(http.ErrAbortHandler)
	}
}

// headers is what every answer of a class carries (SECURITY SS3, DP2). All answers of a
// route share the values: to change one is to set another.
func (s *Server) headers(c Class) http.Header {
	h := http.Header{}
	h.Set("X-Content-Type-Options", "nosniff")
	if s.https {
		// Two years, sub-domains (SECURITY §0).
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
	if c == Public {
		h.Set("Content-Security-Policy", programs)
		return h
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// same-origin, not no-referrer: under no-referrer browsers send "Origin: null"
	// with our own forms (Fetch §3.2), which the origin check has to refuse.
	h.Set("Referrer-Policy", "same-origin")
	if c == Page || c == Entry {
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()")
		h.Set("Vary", "Cookie, Accept-Language")
		h.Set("Content-Security-Policy", templates.Policy(templates.Plain, ""))
	} else {
		h.Set("Content-Security-Policy", programs)
	}
	return h
}

// programs is the policy of what is no page: nothing in it is shown or run.
const programs = "default-src 'none'; frame-ancestors 'none'"

// page is what a browser's request passes on its way to a page: what changes
// something comes from our own page (SECURITY SS2). The authorization endpoint does
// without, since other sites send people there by design, also with POST (OpenID
// Connect Core §3.1.2.1).
func (s *Server) page(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if !s.sameOrigin(r) {
				s.forged(r, "another site")
				s.fail(w, r, http.StatusForbidden, errOrigin)
				return
			}
			if !s.browsers.genuine(r) {
				s.forged(r, "token")
				s.fail(w, r, http.StatusForbidden, errForged)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// forged writes down that a form was refused, by the address it was sent to.
func (s *Server) forged(r *http.Request, reason string) {
	s.refusals.Note(r.Context(), audit.Event{
		Kind: audit.FormRefused, Place: s.place(r), Reason: reason, Detail: map[string]string{"page": r.Pattern},
	})
}

// sameOrigin decides as http.CrossOriginProtection does, with the configured issuer
// in the place of the Host header (SECURITY OI5), and where a browser tells both
// where the form came from and how, both have to be right.
func (s *Server) sameOrigin(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		if origin != s.issuer { // also "null": a sandbox, a file, a redirect from elsewhere
			return false
		}
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	return true // no browser of the last years sends neither; then the token has to do
}

// nowhere answers what no route takes: other methods of an address there is, or,
// without methods, any other address.
func (s *Server) nowhere(methods []string) http.Handler {
	status, cause := http.StatusNotFound, errNowhere
	if len(methods) > 0 {
		status, cause = http.StatusMethodNotAllowed, errMethod
	}
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allow != "" {
			w.Header().Set("Allow", allow)
		}
		s.fail(w, r, status, cause)
	})
}

var (
	errOrigin  = errors.New("the form was sent from another site")
	errForged  = errors.New("the form is not one we gave to this browser")
	errNowhere = errors.New("there is no such address")
	errMethod  = errors.New("the address does not take this method")
)

// fail answers what went wrong before or behind a handler: a page for people, JSON
// for programs, and the cause for the log only.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, status int, cause error) {
	n := noted(r)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	s.log.LogAttrs(r.Context(), level, "refused", slog.String("ref", n.ref), slog.Int("status", status), slog.Any("cause", cause))
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "2")
	}
	if n.class == Page || n.class == Entry {
		if status == http.StatusServiceUnavailable {
			seconds, _ := strconv.Atoi(h.Get("Retry-After"))
			s.write(w, r, status, templates.Busy{Seconds: max(seconds, 1), Reference: n.ref})
			return
		}
		page := fault(status)
		page.Reference = n.ref
		s.write(w, r, status, page)
		return
	}
	code := "invalid_request"
	switch {
	case status == http.StatusServiceUnavailable:
		code = "temporarily_unavailable"
	case status >= 500:
		code = "server_error"
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\":%q,\"reference\":%q}\n", code, n.ref)
}

// fault says what to do next.
func fault(status int) templates.Error {
	switch {
	case status == http.StatusNotFound:
		return templates.Error{Title: templates.Say(templates.ErrorMissingTitle), Next: templates.Say(templates.ErrorMissingNext)}
	case status == http.StatusForbidden:
		return templates.Error{Title: templates.Say(templates.ErrorDeniedTitle), Next: templates.Say(templates.ErrorDeniedNext)}
	case status < http.StatusInternalServerError:
		return templates.Error{Title: templates.Say(templates.ErrorMethodTitle), Next: templates.Say(templates.ErrorMethodNext)}
	}
	return templates.Error{}
}

// reference is short enough to be read out on the telephone, in letters and digits
// that are not taken for each other, and rarely there twice in a day of logs.
func reference() string {
	b := make([]byte, 6)
	rand.Read(b) // never fails (crypto/rand)
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}

// random returns n random bytes as base64url.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
