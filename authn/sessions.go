package authn

import (
	"context"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// ListLogins returns where the citizen is signed in, newest first.
func (s *Service) ListLogins(ctx context.Context, l identity.Login) ([]LoginRow, error) {
	ls, err := s.Store.ListLogins(ctx, l.Citizen, s.Clock.Now())
	return ls, wrapIf(err, "listing logins")
}

// LastLogin returns the sign-in before this one.
func (s *Service) LastLogin(ctx context.Context, l identity.Login) (LoginRow, error) {
	row, err := s.Store.LastLogin(ctx, l.Citizen, l.ID)
	return row, wrapIf(err, "reading the last login")
}

// A Notice tells a citizen of something that happened to their account.
type Notice struct {
	Kind   audit.Kind
	At     time.Time
	Place  string
	Detail map[string]string
}

// Notices returns the newest things that happened to the account.
func (s *Service) Notices(ctx context.Context, l identity.Login, n int) ([]Notice, error) {
	ns, err := s.Store.Notices(ctx, l.Citizen, n)
	return ns, wrapIf(err, "reading notices")
}

// EndLogin ends one of the citizen's sessions. It needs no fresh factor: ending is
// what somebody in a hurry does, and harms nobody.
func (s *Service) EndLogin(r *http.Request, l identity.Login, id identity.ID) error {
	e := s.change(r, audit.LoginEnded, l)
	e.Login = id
	return wrapIf(s.Store.EndLogin(r.Context(), l.Citizen, id, e), "ending a login")
}

// EndOtherLogins ends all sessions but this one.
func (s *Service) EndOtherLogins(r *http.Request, l identity.Login) error {
	return wrapIf(s.Store.EndOtherLogins(r.Context(), l.Citizen, l.ID, s.change(r, audit.LoginsEnded, l)), "ending other logins")
}
