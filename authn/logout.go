package authn

import (
	"cmp"
	"errors"
	"net/http"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/templates"
)

// logout asks first: a picture or link on another site must not sign anybody out
// (SECURITY SS2).
func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Current(r)
	if errors.Is(err, identity.ErrNotFound) {
		see(w, r, "/signed-out")
		return nil
	}
	if err != nil {
		return err
	}
	s.Render(w, r, Answer{Status: http.StatusOK, Kind: templates.SignIn, Path: "/logout", Page: templates.LogoutConfirm{}})
	return nil
}

func (s *Service) endLogout(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(w, r); err != nil {
		return err
	}
	l, err := s.Current(r)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return err
	}
	if err := s.SignOut(w, r); err != nil {
		return err
	}
	to := ""
	if s.Leave != nil && !l.Session.IsZero() {
		if to, err = s.Leave(r.Context(), l.Session); err != nil {
			return err
		}
	}
	see(w, r, cmp.Or(to, "/signed-out"))
	return nil
}

// SignOut ends this browser's login on the server, and what hangs on it, and
// takes the cookie away. Without a login there is nothing to do. The cookie goes
// only when the login has gone: somebody who was told they are signed out is
// (SECURITY G5, OI3).
func (s *Service) SignOut(w http.ResponseWriter, r *http.Request) error {
	l, err := s.Current(r)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return err
	}
	if err == nil {
		e := s.event(r, audit.LoginEnded, l.Citizen)
		e.Login = l.ID
		if err := s.Store.EndLogin(r.Context(), l.Citizen, l.ID, e); err != nil && !errors.Is(err, identity.ErrNotFound) {
			return wrap(err, "ending a login")
		}
		s.Observer.Observe("login", "ended")
	}
	dropCookie(w, loginCookie)
	return nil
}

func (s *Service) signedOut(w http.ResponseWriter, r *http.Request) error {
	s.Render(w, r, Answer{Status: http.StatusOK, Kind: templates.Plain, Path: "/signed-out", Page: templates.SignedOut{}})
	return nil
}
