package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

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

// Reference returns the short reference of a request, as pages and log show it.
func Reference(r *http.Request) string { return noted(r).ref }

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

// enter is the outermost guard of one route: reference and nonce, panic, log,
// metrics, the in-flight limit and the headers every answer carries.
func (s *Server) enter(route Route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		n := &request{ref: random(6), class: route.Class}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, n))
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.log.Error("panic", "ref", n.ref, "route", route.Pattern, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				if rec.status == 0 {
					s.fail(rec, r, http.StatusInternalServerError, fmt.Errorf("panic: %v", p))
				}
			}
			took := time.Since(start)
			s.metrics.request(route, rec.status, took)
			// The pattern, never the URL: a path or query may hold a code or a hint.
			s.log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("ref", n.ref), slog.String("method", r.Method),
				slog.String("route", route.Pattern), slog.Int("status", rec.status), slog.Int("bytes", rec.bytes),
				slog.Int64("us", took.Microseconds()))
		}()
		s.headers(rec.Header(), route.Class)
		select {
		case s.flight <- struct{}{}:
			defer func() { <-s.flight }()
		default:
			rec.Header().Set("Retry-After", "2")
			s.fail(rec, r, http.StatusServiceUnavailable, errors.New("too many requests at once"))
			return
		}
		if err := check(rec, r, route.Takes); err != nil {
			status := http.StatusBadRequest
			switch {
			case errors.Is(err, errTooLarge):
				status = http.StatusRequestEntityTooLarge
			case errors.Is(err, errContentType):
				status = http.StatusUnsupportedMediaType
			case errors.Is(err, errURLTooLong):
				status = http.StatusRequestURITooLong
			}
			s.fail(rec, r, status, err)
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// headers sets what every answer of a class carries (SECURITY SS3, DP2).
func (s *Server) headers(h http.Header, c Class) {
	h.Set("X-Content-Type-Options", "nosniff")
	if s.https {
		// Two years, sub-domains (SECURITY §0).
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
	if c == Public {
		return
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
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	}
}

// page is what a browser's request passes on its way to a page: the browser has a
// name, and what changes something comes from our own page (SECURITY SS2).
func (s *Server) page(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted(r).nonce = random(18)
		r = s.browsers.name(w, r)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if err := s.origin.Check(r); err != nil {
				s.fail(w, r, http.StatusForbidden, err)
				return
			}
			if !s.browsers.genuine(r) {
				s.fail(w, r, http.StatusForbidden, errForged)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// entry is page for the authorization endpoint, where other sites send people by
// design, also with POST (OpenID Connect Core §3.1.2.1).
func (s *Server) entry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted(r).nonce = random(18)
		next.ServeHTTP(w, s.browsers.name(w, r))
	})
}

var errForged = errors.New("the form is not one we gave to this browser")

// fail answers what went wrong before or behind a handler: a page for people, JSON
// for programs, and the cause for the log only.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, status int, cause error) {
	n := noted(r)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	s.log.LogAttrs(r.Context(), level, "refused", slog.String("ref", n.ref), slog.Int("status", status), slog.Any("cause", cause))
	switch n.class {
	case Page, Entry:
		if status == http.StatusServiceUnavailable {
			seconds, _ := strconv.Atoi(w.Header().Get("Retry-After"))
			s.write(w, r, status, templates.Busy{Seconds: max(seconds, 1), Reference: n.ref})
			return
		}
		s.write(w, r, status, templates.Error{Reference: n.ref})
	default:
		code := "invalid_request"
		if status >= 500 {
			code = "server_error"
			if status == http.StatusServiceUnavailable {
				code = "temporarily_unavailable"
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, "{\"error\":%q,\"reference\":%q}\n", code, n.ref)
	}
}

// random returns n random bytes as base64url.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
