package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/internal/secret"
	"ecardid/templates"
)

// stepFor reads what a step-up is for, and whether it is theirs to ask for.
func (v *visit) stepFor() (act Act, purpose, back string, err error) {
	q := v.r.URL.Query()
	act = Act(q.Get("act"))
	subject := q.Get("subject")
	rule, ok := RuleOf(act)
	may := ok && rule.StepUp && Permit(v.staff.Roles, act)
	if act == RequestApprove {
		may = Permit(v.staff.Roles, RequestRead)
	}
	if !may || len(subject) > 256 {
		return "", "", "", errMissing
	}
	if back = q.Get("back"); !ownPath(back) {
		back = "/console"
	}
	return act, string(act) + " " + subject, back, nil
}

func (v *visit) showStepUp() error {
	act, _, back, err := v.stepFor()
	if err != nil {
		return err
	}
	q := "?" + v.r.URL.RawQuery
	return v.show(templates.ConsoleStepUp{Desk: v.desk(), Act: string(act), BackURL: stepBack(back), Passkey: templates.Ceremony{OptionsURL: "/console/step-up/options" + q, FinishURL: "/console/step-up/finish" + q}})
}

// stepBack is where somebody goes who does not step up: not to the act, which would ask
// again, but to where that came from.
func stepBack(back string) string {
	u, err := url.Parse(back)
	if err == nil {
		if from := u.Query().Get("back"); ownPath(from) {
			return from
		}
	}
	return "/console"
}

// scripted is the guard of what the script posts for somebody signed in.
func (s *Service) scripted(r *http.Request, w http.ResponseWriter) (v *visit, purpose, back string, err error) {
	if v, err = s.enter(w, r, ""); err != nil {
		return nil, "", "", err
	}
	_, purpose, back, err = v.stepFor()
	return v, purpose, back, err
}

func (s *Service) stepUpOptions(r *http.Request, w http.ResponseWriter, _ []byte) (any, error) {
	v, purpose, _, err := s.scripted(r, w)
	if err != nil {
		return nil, err
	}
	user, err := v.user()
	if err != nil {
		return nil, err
	}
	options, c, err := s.Passkeys.BeginSecondFactor(user)
	if err != nil {
		return nil, fmt.Errorf("beginning a step-up: %w", err)
	}
	return options, s.keep(r, "step-up", owner("step-up", v.session.ID.String(), purpose), c)
}

func (v *visit) user() (passkey.User, error) {
	keys, err := v.Staffs.StaffKeys(v.r.Context(), v.staff.ID)
	if err != nil {
		return passkey.User{}, fmt.Errorf("listing keys: %w", err)
	}
	return userOf(v.staff, keys), nil
}

// userOf is somebody of staff as an authenticator knows them. The handle is their id.
func userOf(s Staff, keys []Key) passkey.User {
	u := passkey.User{Handle: slices.Clone(s.ID[:]), Name: s.Name, DisplayName: s.Name}
	for _, k := range keys {
		u.Credentials = append(u.Credentials, k.Credential)
	}
	return u
}

// stepUpFinish gives the session another token, good for one purpose for a while.
func (s *Service) stepUpFinish(r *http.Request, w http.ResponseWriter, body []byte) (any, error) {
	v, purpose, back, err := s.scripted(r, w)
	if err != nil {
		return nil, err
	}
	key, staff, err := s.assert(r, body, "step-up", owner("step-up", v.session.ID.String(), purpose))
	if err != nil {
		return nil, err
	}
	if staff.ID != v.staff.ID {
		return nil, errPasskey
	}
	token := secret.From(s.Rand, tokenBytes)
	e := v.event()
	act, _ := subjectOf(purpose)
	e.Kind, e.Actor = audit.StaffRaised, v.staff.By()
	e.Detail = map[string]string{"session": v.session.ID.String(), "key": key.ID.String(), "act": string(act)}
	e.Standing = audit.Standing{Staff: staff.ID, Version: v.staff.Version}
	if err := s.Staffs.StepUp(r.Context(), v.session.ID, v.token, token.Hash(), purpose, e); err != nil {
		return nil, errors.Join(errPasskey, err)
	}
	setCookie(w, staffCookie, token, v.session.Started.Add(SessionLife).Sub(v.now))
	return scriptAnswer{Next: back}, nil
}
