package authn

import (
	"context"
	"errors"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/authn/password"
	"ecardid/identity"
	"ecardid/templates"
)

// FreshNeed is what a login must meet to change a factor, a password or a device:
// MFA not older than five minutes (SECURITY PW5, MF3). When a method here answers
// ErrNotFresh, raise the login to it and come back.
func (s *Service) FreshNeed() identity.Need {
	return identity.Need{Level: max(identity.LevelMFA, s.Config.Floor), Since: s.Clock.Now().Add(-freshFor)}
}

// fresh is asked first by everything that changes how somebody signs in.
func (s *Service) fresh(l identity.Login) error {
	if l.Citizen.IsZero() || !l.Meets(s.FreshNeed(), s.Clock.Now()) {
		return ErrNotFresh
	}
	return nil
}

// change begins the audit entry of such a change; its owner hears of it.
func (s *Service) change(r *http.Request, kind audit.Kind, l identity.Login) audit.Event {
	e := s.event(r, kind, l.Citizen)
	e.Login, e.Notify = l.ID, true
	return e
}

// A WeakPassword says what is wrong with a new password.
type WeakPassword struct {
	Problem templates.Key // a sentence
	Min     int           // for its gap
}

// Error implements error.
func (w *WeakPassword) Error() string { return string(w.Problem) }

// Message is the sentence.
func (w *WeakPassword) Message() templates.Message {
	if w.Problem == templates.ProblemPasswordShort {
		return templates.Say(w.Problem, "min", w.Min)
	}
	return templates.Say(w.Problem)
}

// ChangePassword replaces the password of l's citizen. Every other session, trusted
// browser and half-finished login ends with the old one (SECURITY PW5, G6). It
// answers ErrNotFresh, ErrWrong for the current password, ErrThrottled, ErrBusy, or
// a *WeakPassword.
func (s *Service) ChangePassword(r *http.Request, l identity.Login, current, next string) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	ctx := r.Context()
	acc, err := s.Store.Account(ctx, l.Citizen)
	if err != nil {
		return wrap(err, "reading an account")
	}
	// One counter for all sessions: a new one gives no new budget (SECURITY PW2).
	g, err := s.guess(r, s.Config.Rules.Browser, "password", "citizen", acc.ID.String(), "change")
	if err != nil {
		return err
	}
	ok, _, err := s.judge(ctx, g, acc, current, true)
	switch {
	case errors.Is(err, password.ErrBusy):
		return errors.Join(err, g.unjudged(ctx))
	case err != nil:
		return err
	case !g.Allowed:
		return errors.Join(ErrThrottled, s.refused(r, g, acc.ID, identity.FactorPassword, "throttled"))
	case !ok:
		return errors.Join(ErrWrong, s.refused(r, g, acc.ID, identity.FactorPassword, "credentials"))
	}
	if err := g.right(ctx); err != nil {
		return err
	}
	if key, n, bad := complaint(s.Policy.Check(next, password.Context{MFA: acc.Factors.Any()})); bad {
		return &WeakPassword{key, n}
	}
	encoded, err := s.Hasher.Hash(ctx, next)
	if err != nil {
		return wrap(err, "hashing a password")
	}
	if err := s.Store.SetPassword(ctx, acc.ID, encoded, l.ID, s.change(r, audit.PasswordChanged, l)); err != nil {
		return wrap(err, "setting a password")
	}
	// Whoever used the tries up knew the old one, and this one has just shown two factors.
	if err := s.forgiveCodes(ctx, acc.ID); err != nil {
		s.Log.ErrorContext(ctx, "wrong codes not forgiven", "cause", err)
	}
	return nil
}

// forgiveCodes begins the count of wrong codes of the citizen's generator anew.
func (s *Service) forgiveCodes(ctx context.Context, citizen identity.ID) error {
	f, err := s.Store.TOTP(ctx, citizen)
	if errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	if err != nil {
		return wrap(err, "reading a one-time-password factor")
	}
	k, err := s.key(append(generatorCounter(f.ID), citizen.String())...)
	if err != nil {
		return err
	}
	return wrapIf(s.Store.Forgive(ctx, k), "forgiving attempts")
}

// SetGreeting replaces the words by which the citizen knows our pages; ErrInvalid
// for what cannot be one.
func (s *Service) SetGreeting(r *http.Request, l identity.Login, text string) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	greeting, ok := cleanGreeting(text)
	if !ok {
		return ErrInvalid
	}
	return wrapIf(s.Store.SetGreeting(r.Context(), l.Citizen, greeting, s.change(r, audit.GreetingChanged, l)), "setting a greeting")
}

// Account returns what the citizen's pages show of the account itself.
func (s *Service) Account(ctx context.Context, l identity.Login) (Account, error) {
	acc, err := s.Store.Account(ctx, l.Citizen)
	acc.Password = ""
	return acc, wrapIf(err, "reading an account")
}

// PasswordRetry is how long somebody who hears ErrBusy waits.
func PasswordRetry() time.Duration { return busyFor }
