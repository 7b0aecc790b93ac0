package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/internal/secret"
	"ecardid/internal/strictjson"
	"ecardid/templates"
)

// doorRoutes are how staff come in and go, and the front page. The first ones are for
// anybody: whoever comes has shown nothing yet.
func (s *Service) doorRoutes() []Route {
	open := func(method, pattern, takes string, h func(w http.ResponseWriter, r *http.Request) error) Route {
		return Route{Method: method, Pattern: pattern, Takes: takes, Who: "anybody", Handler: s.anybody(h)}
	}
	script := func(pattern, who string, h func(r *http.Request, w http.ResponseWriter, body []byte) (any, error)) Route {
		return Route{Method: http.MethodPost, Pattern: pattern, Takes: jsonType, Who: who, Handler: s.script(h)}
	}
	return []Route{
		open(http.MethodGet, "/console/sign-in", "", s.signIn),
		script("/console/sign-in/options", "anybody", s.signInOptions),
		script("/console/sign-in/finish", "anybody", s.signInFinish),
		open(http.MethodGet, "/console/invitation/{id}", "", s.invitation),
		open(http.MethodPost, "/console/invitation/{id}", formType, s.invitationCode),
		script("/console/invitation/{id}/options", "anybody", s.invitationOptions),
		script("/console/invitation/{id}/finish", "anybody", s.invitationFinish),
		s.get("/console", "", (*visit).home),
		s.get("/console/step-up", "", (*visit).showStepUp),
		script("/console/step-up/options", "staff", s.stepUpOptions),
		script("/console/step-up/finish", "staff", s.stepUpFinish),
		s.post("/console/sign-out", "", (*visit).signOut, "sign-out"),
	}
}

func (s *Service) anybody(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		err := once(r)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// A scriptAnswer is what the script is told (templates/doc.go).
type scriptAnswer struct {
	Next    string `json:"next,omitempty"`
	Problem string `json:"problem,omitempty"`
}

var (
	errPasskey     = errors.New("console: the passkey was not accepted")
	errPasskeyMake = errors.New("console: the passkey was not made")
	errThrottled   = errors.New("console: too many attempts")
)

func (s *Service) script(h func(r *http.Request, w http.ResponseWriter, body []byte) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := exchange.JSON(w, r)
		if err == nil {
			err = once(r)
		}
		if err == nil {
			// What is no JSON object is neither counted nor written down.
			if _, e := (strictjson.Limits{Bytes: exchange.MaxBody, Depth: maxDepth}).Object(body); e != nil {
				err = fmt.Errorf("%w: %w", errBadRequest, e)
			}
		}
		var answer any
		if err == nil {
			answer, err = h(r, w, body)
		}
		if err == nil {
			exchange.Answer(w, s.Log, http.StatusOK, answer)
			return
		}
		status, page := verdict(err)
		say := page.Next
		switch {
		case errors.Is(err, errPasskey):
			status, say = http.StatusForbidden, templates.Say(templates.ProblemPasskey)
		case errors.Is(err, errPasskeyMake):
			status, say = http.StatusForbidden, templates.Say(templates.ProblemPasskeyMake)
		case errors.Is(err, errThrottled):
			status, say = http.StatusTooManyRequests, templates.Say(templates.ProblemThrottled, "minutes", int(doorRule().Cap/time.Minute))
		}
		if !say.Given() {
			say = templates.Say(templates.ErrorNext)
		}
		s.logFailure(r, status, err)
		exchange.Answer(w, s.Log, status, scriptAnswer{Problem: s.Say(r, say)})
	})
}

func (s *Service) signIn(w http.ResponseWriter, r *http.Request) error {
	back := r.URL.Query().Get("back")
	if !ownPath(back) {
		back = "/console"
	}
	v := &visit{Service: s, w: w, r: r, notice: noticeOf(r.URL.Query().Get("notice"))}
	q := "?" + url.Values{"back": {back}}.Encode()
	return v.show(templates.ConsoleSignIn{Desk: v.desk(), Passkey: templates.Ceremony{OptionsURL: "/console/sign-in/options", FinishURL: "/console/sign-in/finish" + q}})
}

func (s *Service) signInOptions(r *http.Request, _ http.ResponseWriter, _ []byte) (any, error) {
	options, c, err := s.Passkeys.BeginSignIn()
	if err != nil {
		return nil, fmt.Errorf("beginning a sign-in: %w", err)
	}
	return options, s.keep(r, "sign-in", s.ownerAt(r, "sign-in"), c)
}

// signInFinish opens a session for a key of active staff. Whatever else comes gets one
// answer, whoever's key it is (SECURITY PW1).
func (s *Service) signInFinish(r *http.Request, w http.ResponseWriter, body []byte) (any, error) {
	now := s.Clock.Now()
	key, staff, err := s.assert(r, body, "sign-in", s.ownerAt(r, "sign-in"))
	if err != nil {
		return nil, err
	}
	in := Session{ID: identity.IDFrom(s.Rand), Staff: staff, Started: now, Seen: now}
	token := secret.From(s.Rand, tokenBytes)
	e := audit.Event{Kind: audit.StaffSignedIn, At: now, Actor: staff.By(), Place: s.Place(r), Detail: map[string]string{"session": in.ID.String(), "key": key.ID.String()},
		Standing: audit.Standing{Staff: staff.ID, Version: staff.Version}}
	var before identity.ID
	if old, ok := readCookie(r, staffCookie); ok {
		if had, err := s.Staffs.StaffSession(r.Context(), old.Hash(), now); err == nil {
			before = had.ID
		}
	}
	if err := s.Staffs.OpenStaffSession(r.Context(), in, token.Hash(), key.ID, before, e); err != nil {
		if errors.Is(err, identity.ErrNotFound) || errors.Is(err, identity.ErrConflict) || errors.Is(err, identity.ErrEnded) {
			return nil, errors.Join(errPasskey, err)
		}
		return nil, fmt.Errorf("opening a staff session: %w", err)
	}
	setCookie(w, staffCookie, token, SessionLife)
	back := r.URL.Query().Get("back")
	if !ownPath(back) {
		back = "/console"
	}
	return scriptAnswer{Next: back}, nil
}

func (v *visit) signOut() error {
	e := v.event()
	e.Kind, e.Actor, e.Detail = audit.StaffSignedOut, v.staff.By(), map[string]string{"session": v.session.ID.String()}
	if err := v.Staffs.EndStaffSession(v.r.Context(), v.session.ID, e); err != nil && !errors.Is(err, identity.ErrNotFound) {
		return fmt.Errorf("ending a staff session: %w", err)
	}
	dropCookie(v.w, staffCookie)
	return v.redirect("/console/sign-in")
}

func (v *visit) home() error {
	all, err := v.Requests.ListRequests(v.r.Context(), v.staff, v.now, requestsShown)
	if err != nil {
		return fmt.Errorf("listing requests: %w", err)
	}
	page := templates.ConsoleHome{Desk: v.desk(), Started: v.session.Started, Expires: v.session.Started.Add(SessionLife), Alarms: -1}
	for _, r := range all {
		switch {
		case r.By.ID == v.staff.ID:
			page.Mine = append(page.Mine, rowOf(r))
		case v.mayApprove(r):
			served, err := v.serves(r)
			if err != nil {
				return err
			}
			if served {
				page.Waiting = append(page.Waiting, rowOf(r))
			}
		}
	}
	if Permit(v.staff.Roles, AlarmRead) {
		if page.Alarms, err = v.alarmCount(); err != nil {
			return err
		}
	}
	return v.show(page)
}
