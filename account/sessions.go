package account

import (
	"ecardid/templates"
)

// sessions lists where the citizen is signed in (SECURITY SS4).
func (s *Service) sessions(v *visit) error {
	rows, err := s.Logins.ListLogins(v.r.Context(), v.login)
	if err != nil {
		return err
	}
	page := templates.AccountSessions{Account: v.said()}
	for _, l := range rows {
		page.Sessions = append(page.Sessions, templates.Session{
			ID: l.ID.String(), Device: templates.Text(l.Agent), Place: templates.Text(l.Place),
			Began: l.Started, LastSeen: l.Seen, Current: l.ID == v.login.ID,
		})
	}
	return s.show(v, page)
}

func (s *Service) sessionActs() acts {
	return acts{show: s.sessions, do: map[string]act{
		"session-end": func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			if id == v.login.ID {
				return noNote, signedOutPath, s.Logins.SignOut(v.w, v.r)
			}
			return sessionEnded, "", s.Logins.EndLogin(v.r, v.login, id)
		},
		"sessions-end-others": func(v *visit) (note, string, error) {
			return sessionsEnded, "", s.Logins.EndOtherLogins(v.r, v.login)
		},
	}}
}
