package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/templates"
)

// passkeyPage is where the script makes a passkey.
func (s *Service) passkeyPage(v *visit) error {
	return s.show(v, templates.EnrolPasskey{
		Passkey: templates.Ceremony{OptionsURL: passkeyPath + "/options", FinishURL: passkeyPath + "/finish"},
		BackURL: securityPath,
	})
}

// script is the guard of what the script posts. It cannot follow a redirect to
// sign in, so it is told in words what its page would have done.
func (s *Service) script(do func(v *visit, body []byte) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, path: passkeyPath}
		answer, err := s.scripted(v, do)
		if err == nil {
			s.json(w, http.StatusOK, answer)
			return
		}
		status, m := http.StatusInternalServerError, templates.Say(templates.ErrorNext)
		switch {
		case errors.Is(err, authn.ErrNotFresh):
			status, m = http.StatusForbidden, templates.Say(templates.ProblemFreshLogin)
		case errors.Is(err, exchange.ErrMediaType):
			status = http.StatusUnsupportedMediaType
		case errors.Is(err, exchange.ErrTooLarge):
			status = http.StatusRequestEntityTooLarge
		case errors.Is(err, errBadRequest):
			status, m = http.StatusBadRequest, templates.Say(templates.ProblemPasskeyMake)
		case errors.Is(err, authn.ErrPasskey), errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrSpent):
			status, m = http.StatusForbidden, templates.Say(templates.ProblemPasskeyMake)
		case errors.Is(err, authn.ErrBusy):
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", strconv.Itoa(max(int(authn.PasswordRetry().Seconds()), 1)))
		}
		s.log(r, status, err)
		s.json(w, status, scripted{Problem: s.Say(r, m)})
	})
}

func (s *Service) scripted(v *visit, do func(v *visit, body []byte) (any, error)) (any, error) {
	l, err := s.Logins.Current(v.r)
	if errors.Is(err, identity.ErrNotFound) {
		return nil, authn.ErrNotFresh
	}
	if err != nil {
		return nil, fmt.Errorf("reading the login: %w", err)
	}
	v.login = l
	body, err := exchange.JSON(v.w, v.r)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return nil, fmt.Errorf("%w: not a JSON object", errBadRequest)
	}
	if l.Citizen.IsZero() || !l.Meets(s.Logins.FreshNeed(), s.Clock.Now()) {
		return nil, authn.ErrNotFresh
	}
	return do(v, body)
}

func (s *Service) passkeyOptions(v *visit, _ []byte) (any, error) {
	return s.Factors.BeginPasskey(v.r, v.login)
}

func (s *Service) passkeyFinish(v *visit, body []byte) (any, error) {
	// An answer that names a challenge belongs to a ceremony, and is judged by authn;
	// one that does not is no answer.
	if _, err := passkey.Challenge(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	if _, err := s.Factors.FinishPasskey(v.r, v.login, body); err != nil {
		return nil, err
	}
	return scripted{Next: saved.on(securityPath)}, nil
}
