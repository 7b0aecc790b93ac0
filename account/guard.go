package account

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/templates"
)

// A visit is one request of somebody who is signed in.
type visit struct {
	w     http.ResponseWriter
	r     *http.Request
	login identity.Login
	path  string // of the page: forms post to it, and the browser comes back to it
	form  url.Values
	// What the page says besides itself, when an act did not go well.
	status  int
	problem templates.Message
}

// said is what all account pages have in common.
func (v *visit) said() templates.Account {
	a := templates.Account{Problem: v.problem}
	if v.form == nil {
		a.Notice = notice(v.r)
	}
	return a
}

// An act is what a form asks for. It says what the next page tells, and where that
// is: "" is the page the form was on.
type act func(v *visit) (n note, to string, err error)

// acts are the acts of a page. The field "do" says which is meant, or, on a page
// with one button, the button's own name. show is the page itself, for when an act
// did not go well.
type acts struct {
	do     map[string]act
	button string
	show   func(v *visit) error
}

// button is a page whose only act does its own showing.
func button(name string, a act) acts { return acts{button: name, do: map[string]act{name: a}} }

// asked returns the act that the form names.
func (as acts) asked(form url.Values) (act, error) {
	name := form.Get("do")
	if as.button != "" && name == "" && form.Has(as.button) {
		name = as.button
	}
	a, ok := as.do[name]
	if !ok {
		return nil, fmt.Errorf("%w: an act that is not of this page", errBadRequest)
	}
	return a, nil
}

// reading is the guard of pages that only tell.
func (s *Service) reading(h func(v *visit) error) http.Handler { return s.get(h, false) }

// fresh is the guard of pages that show or make factors (SECURITY MF3): two fresh
// factors before them, so that the act that follows finds them fresh.
func (s *Service) fresh(h func(v *visit) error) http.Handler { return s.get(h, true) }

func (s *Service) get(h func(v *visit) error, fresh bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, path: pathOf(r), status: http.StatusOK}
		if !s.enter(v) || fresh && !s.refresh(v) {
			return
		}
		if err := h(v); err != nil {
			s.fail(v, err)
		}
	})
}

// changing is the guard of every form: the login is read anew, the act is one of the
// page's, the factors are fresh, and only then is anything done. An empty path is
// that of the request.
func (s *Service) changing(path string, as acts) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, path: path, status: http.StatusOK}
		if path == "" {
			v.path = pathOf(r)
		}
		if !s.enter(v) {
			return
		}
		var err error
		if v.form, err = exchange.Form(w, r); err != nil {
			s.fail(v, err)
			return
		}
		run, err := as.asked(v.form)
		if err != nil {
			s.fail(v, err)
			return
		}
		if !s.refresh(v) {
			s.stale(v)
			return
		}
		n, to, err := run(v)
		switch {
		case err == nil && to == shown:
		case err == nil:
			if to == "" {
				to = v.path
			}
			see(v, n.on(to))
		case as.show != nil && v.complain(err):
			if err := as.show(v); err != nil {
				s.fail(v, err)
			}
		default:
			s.fail(v, err)
		}
	})
}

// pathOf is the page's own path without the query, so that what was said once is not
// said again after signing in. A path that could be read as another place, which only
// an id that is none can make of ours, leads home.
func pathOf(r *http.Request) string {
	if p := r.URL.Path; authn.OwnPath(p) {
		return p
	}
	return homePath
}

// shown: the act has written its page itself.
const shown = "-"

// keeping is the guard of a button that changes nothing and leads on.
func (s *Service) keeping(name, to string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, path: to}
		form, err := exchange.Form(w, r)
		if err == nil && !form.Has(name) {
			err = fmt.Errorf("%w: another button", errBadRequest)
		}
		if err != nil {
			s.fail(v, err)
			return
		}
		see(v, to)
	})
}

// enter reads the login; nobody is sent to sign in and comes back to the page.
func (s *Service) enter(v *visit) bool {
	var err error
	v.login, err = s.Logins.Current(v.r)
	switch {
	case errors.Is(err, identity.ErrNotFound), err == nil && v.login.Citizen.IsZero():
		// The floor of all logins is added by authn.
		s.Logins.Raise(v.w, v.r, identity.Need{Level: identity.LevelBasic}, v.path)
		return false
	case err != nil:
		s.fail(v, fmt.Errorf("reading the login: %w", err))
		return false
	}
	return true
}

// refresh has stale factors proved again, by the same citizen.
func (s *Service) refresh(v *visit) bool {
	need := s.Logins.FreshNeed()
	if v.login.Meets(need, s.Clock.Now()) {
		return true
	}
	s.raise(v)
	return false
}

// stale writes down a change that was not made, because whoever asked for it has not
// proved lately who they are. A page asked for like this is no such attempt.
func (s *Service) stale(v *visit) {
	s.Refusals.Note(v.r.Context(), audit.Event{
		Kind: audit.StepUpRefused, Citizen: v.login.Citizen, Login: v.login.ID, Place: s.Place(v.r), Reason: "factors not fresh",
		Detail: map[string]string{"page": v.r.Pattern},
	})
}

func (s *Service) raise(v *visit) {
	need := s.Logins.FreshNeed()
	need.Citizen = v.login.Citizen
	s.Logins.Raise(v.w, v.r, need, v.path)
}

// complain puts a no into words on the page it belongs to; false when it belongs to
// none.
func (v *visit) complain(err error) bool {
	switch {
	case errors.Is(err, authn.ErrInvalid):
		v.status, v.problem = http.StatusUnprocessableEntity, templates.Say(templates.ProblemName)
	case errors.Is(err, authn.ErrLastFactor):
		v.status, v.problem = http.StatusConflict, templates.Say(templates.ProblemLastFactor)
	default:
		return false
	}
	return true
}

// fail is where every other error becomes a page. The cause goes to the log; the
// page says what to do next.
func (s *Service) fail(v *visit, err error) {
	status, page := http.StatusInternalServerError, templates.Page(templates.Error{})
	odd := templates.Error{Title: templates.Say(templates.ErrorMethodTitle), Next: templates.Say(templates.ErrorMethodNext)}
	switch {
	case errors.Is(err, authn.ErrNotFresh):
		if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
			s.stale(v)
		}
		s.raise(v)
		return
	case errors.Is(err, identity.ErrNotFound):
		status = http.StatusNotFound
		page = templates.Error{Title: templates.Say(templates.ErrorMissingTitle), Next: templates.Say(templates.ErrorMissingNext)}
	case errors.Is(err, identity.ErrSpent), errors.Is(err, identity.ErrConflict), errors.Is(err, identity.ErrEnded):
		status = http.StatusConflict
		page = templates.Error{Title: templates.Say(templates.ErrorExpiredTitle), Next: templates.Say(templates.ErrorExpiredNext)}
	case errors.Is(err, exchange.ErrMediaType):
		status, page = http.StatusUnsupportedMediaType, odd
	case errors.Is(err, exchange.ErrTooLarge):
		status, page = http.StatusRequestEntityTooLarge, odd
	case errors.Is(err, errBadRequest):
		status, page = http.StatusBadRequest, odd
	case errors.Is(err, authn.ErrBusy):
		seconds := max(int(authn.PasswordRetry().Seconds()), 1)
		v.w.Header().Set("Retry-After", strconv.Itoa(seconds))
		status, page = http.StatusServiceUnavailable, templates.Busy{Seconds: seconds}
	case errors.Is(err, authn.ErrThrottled):
		v.w.Header().Set("Retry-After", strconv.Itoa(throttledMinutes*60))
		status, page = http.StatusTooManyRequests, odd
	case authn.IsRefusal(err):
		status, page = http.StatusUnprocessableEntity, odd
	}
	s.log(v.r, status, err)
	s.Render(v.w, v.r, authn.Answer{Status: status, Kind: templates.Plain, Path: homePath, Page: page})
}

func (s *Service) log(r *http.Request, status int, err error) {
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "account", "cause", err)
		return
	}
	s.Log.InfoContext(r.Context(), "account refused", "status", status, "cause", err)
}

// show writes the visit's page.
func (s *Service) show(v *visit, page templates.Page) error {
	s.Render(v.w, v.r, authn.Answer{Status: v.status, Kind: templates.Plain, Path: v.path, Page: page})
	return nil
}

// see is 303 (SECURITY AZ7).
func see(v *visit, to string) {
	v.w.Header().Set("Cache-Control", "no-store")
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
}

// scripted is what the script is told (templates/doc.go).
type scripted struct {
	Next    string `json:"next,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func (s *Service) json(w http.ResponseWriter, status int, v any) {
	exchange.Answer(w, s.Log, status, v)
}
