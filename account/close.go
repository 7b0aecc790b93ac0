package account

import (
	"net/http"
	"strings"

	"ecardid/audit"
	"ecardid/templates"
)

// closing asks for a sentence to be typed: a button can be pressed by mistake.
func (s *Service) closing(v *visit) error {
	return s.show(v, templates.AccountClose{Account: v.said(), Phrase: templates.Text(s.phrase(v)), BackURL: dataPath})
}

func (s *Service) phrase(v *visit) string { return s.Say(v.r, templates.Say(templates.ClosePhrase)) }

// closeAccount ends the account for good, and then this browser's session is none.
func (s *Service) closeAccount(v *visit) (note, string, error) {
	typed := strings.Join(strings.Fields(v.form.Get("confirm")), " ")
	if !strings.EqualFold(typed, s.phrase(v)) {
		v.status, v.problem = http.StatusUnprocessableEntity, templates.Say(templates.ProblemPhrase)
		return noNote, shown, s.closing(v)
	}
	e := s.event(v, audit.CitizenCancelled)
	e.Detail = map[string]string{"account": "closed"}
	if err := s.Records.CloseAccount(v.r.Context(), v.login.Citizen, v.login.ID, e); err != nil {
		return noNote, "", err
	}
	// It is closed all the same: the cookie that stays names no session.
	if err := s.Logins.SignOut(v.w, v.r); err != nil {
		s.Log.ErrorContext(v.r.Context(), "signing out of a closed account", "cause", err)
	}
	return noNote, closedPath, nil
}
