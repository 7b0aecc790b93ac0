package authn

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ecardid/authn/password"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/templates"
)

// What the methods for the account room answer besides identity's errors.
var (
	// ErrNotFresh: the login is not MFA of the last five minutes. The caller raises
	// it to [Service.FreshNeed] and comes back.
	ErrNotFresh = errors.New("a fresh login is needed")
	// ErrLastFactor: without it the account would fall below the floor.
	ErrLastFactor = errors.New("the last factor stays")
	// ErrWrong: the code, password or answer does not verify.
	ErrWrong = errors.New("wrong answer")
	// ErrThrottled: too many wrong answers. Wait, or use another way.
	ErrThrottled = errors.New("too many attempts")
	// ErrInvalid: a name, greeting or the like that cannot be.
	ErrInvalid = errors.New("not acceptable")
	// ErrBusy: too much to do at this moment; come back in a second.
	ErrBusy = password.ErrBusy
)

// What ends a request of a flow. Each is a page with a way on.
var (
	errBadRequest = exchange.ErrMalformed
	errExpired    = errors.New("the flow is over, or another browser's")
	errMoved      = errors.New("the flow was moved by another answer")
	errFull       = errors.New("too many flows")
	errNoReceipt  = errors.New("no receipt of that number")
	errTallies    = errors.New("the counters gave another number of answers than they were asked for")
)

func wrap(err error, doing string) error { return fmt.Errorf("%s: %w", doing, err) }

// verdict is what an error looks like from outside.
func verdict(err error) (status int, page templates.Page) {
	expired := templates.Error{Title: templates.Say(templates.ErrorExpiredTitle), Next: templates.Say(templates.ErrorExpiredNext)}
	switch {
	case errors.Is(err, errBadRequest), errors.Is(err, exchange.ErrTooLarge):
		return http.StatusBadRequest, templates.Error{Title: templates.Say(templates.ErrorMethodTitle), Next: templates.Say(templates.ErrorMethodNext)}
	case errors.Is(err, exchange.ErrMediaType):
		return http.StatusUnsupportedMediaType, templates.Error{Title: templates.Say(templates.ErrorMethodTitle), Next: templates.Say(templates.ErrorMethodNext)}
	case errors.Is(err, errNoReceipt):
		return http.StatusNotFound, templates.Error{Title: templates.Say(templates.ErrorMissingTitle), Next: templates.Say(templates.ErrorMissingNext)}
	case errors.Is(err, errExpired):
		return http.StatusNotFound, expired
	case errors.Is(err, errMoved):
		return http.StatusConflict, expired
	case errors.Is(err, errFull), errors.Is(err, ErrBusy):
		return http.StatusServiceUnavailable, templates.Busy{Seconds: int(busyFor / time.Second)}
	case errors.Is(err, identity.ErrEnded):
		return http.StatusForbidden, expired
	}
	return http.StatusInternalServerError, templates.Error{}
}

// fail is where every error of a page becomes an answer. The cause goes to the
// log; the page says what to do next.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, page := verdict(err)
	s.logFailure(r, status, err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(busyFor/time.Second)))
	}
	// A path that can be fetched: the language switch comes back to it.
	path := s.Config.Home
	if id, e := flowParam(r); e == nil && !id.IsZero() {
		path = flowPath("", id)
	}
	s.Render(w, r, Answer{Status: status, Kind: templates.Plain, Path: path, Page: page})
}

// failJSON is fail for the script.
func (s *Service) failJSON(w http.ResponseWriter, r *http.Request, err error) {
	status, page := verdict(err)
	s.logFailure(r, status, err)
	m := templates.Say(templates.ErrorNext)
	if p, ok := page.(templates.Error); ok && p.Next.Given() {
		m = p.Next
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(busyFor/time.Second)))
	}
	s.json(w, status, jsonAnswer{Problem: s.Say(r, m)})
}

func (s *Service) logFailure(r *http.Request, status int, err error) {
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "signing in", "cause", err)
		return
	}
	s.Log.InfoContext(r.Context(), "signing in refused", "status", status, "cause", err)
}

// A jsonAnswer is what the script is told (templates/doc.go).
type jsonAnswer struct {
	Next    string `json:"next,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func (s *Service) json(w http.ResponseWriter, status int, v any) {
	exchange.Answer(w, s.Log, status, v)
}
