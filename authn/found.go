package authn

import (
	"context"
	"errors"
	"net/http"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/authn/password"
	"ecardid/identity"
	"ecardid/templates"
)

// This file brings back what was reported lost and has been found: a card at /lost/undo,
// a device from the account pages. It is dearer than the report.

// Cards brings cards back.
type Cards interface {
	// RestoreCard makes a card that was reported lost for the time being normal again,
	// spends the time step of the generator that proved it, and raises the epoch:
	// devices stay suspended. ErrSpent when the step was used, ErrConflict when the
	// card is in another state, or its epoch is not the one that was read when the proofs
	// were judged.
	RestoreCard(ctx context.Context, citizen identity.ID, epoch int64, generator identity.ID, step int64, e audit.Event) error
}

func (s *Service) showUndo(w http.ResponseWriter, r *http.Request) error {
	s.undoPage(w, r, http.StatusOK, templates.LossUndo{})
	return nil
}

func (s *Service) undoPage(w http.ResponseWriter, r *http.Request, status int, p templates.LossUndo) {
	p.DevicesURL = s.Config.Home + "/devices"
	s.Render(w, r, Answer{Status: status, Kind: templates.Plain, Path: undoPath, Page: p})
}

// undoLoss brings a card back that was reported lost: with the password and the app,
// both now. Passkeys and phones prove nothing here, since all of them were reported.
// What lives on a device stays suspended until it is restored from the account page;
// synced passkeys have ended.
func (s *Service) undoLoss(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	typed := f.get("username")
	if len(typed) > maxTyped {
		typed = ""
	}
	ok, err := s.undo(r, typed, f.get("password"), f.get("code"))
	if err != nil {
		return err
	}
	p := templates.LossUndo{Account: templates.Text(typed), Problem: templates.Say(templates.ProblemUndo)}
	if ok {
		p = templates.LossUndo{Done: true}
		s.undoPage(w, r, http.StatusOK, p)
		return nil
	}
	s.undoPage(w, r, http.StatusForbidden, p)
	return nil
}

// undo hears both proofs before it says anything, and does the same work whatever they
// are worth: the clock must not tell whoever guesses that the password of a card that was
// reported is right (SECURITY PW1). Only whoever shows the password counts on the
// counter of the code, so strangers do not use it up.
func (s *Service) undo(r *http.Request, typed, word, code string) (bool, error) {
	ctx, now := r.Context(), s.Clock.Now()
	acc, who, err := s.somebody(ctx, typed, now)
	if err != nil {
		return false, err
	}
	// The password's counter is that of signing in: there is one budget for it.
	g, err := s.guess(r, s.Config.Rules.Account, append([]string{"password"}, who...)...)
	if err != nil {
		return false, err
	}
	known := false
	switch {
	case !g.Source:
	case g.Allowed && acc.State == identity.CardTempLost && acc.Password != "":
		known, _, err = s.Hasher.Verify(ctx, acc.Password, word)
		if errors.Is(err, password.ErrTooLong) || errors.Is(err, password.ErrMalformed) {
			known, err = false, nil
		}
	default:
		err = s.hashNothing(ctx, word)
	}
	if errors.Is(err, password.ErrBusy) {
		return false, errors.Join(err, g.unjudged(ctx))
	}
	if err != nil {
		return false, wrap(err, "checking a password")
	}
	counter, factor := append([]string{"undo-nothing"}, who...), identity.FactorPassword
	if known {
		counter[0], factor = "undo-code", identity.FactorTOTP
	}
	tried, err := s.allowed(ctx, Try{Rule: s.Config.Rules.Desk}, counter...)
	if err != nil {
		return false, err
	}
	id, step, ok, err := s.matchTOTP(ctx, acc.ID, code, now)
	if err != nil {
		return false, err
	}
	if known && tried && ok && sixDigits(code) {
		e := s.event(r, audit.LossUndone, acc.ID)
		e.Notify = true
		err = s.Store.RestoreCard(ctx, acc.ID, acc.Epoch, id, step, e)
		switch {
		case err == nil:
			s.Observer.Observe("loss", "undone")
			if err := s.undone(context.WithoutCancel(ctx), g, counter); err != nil {
				s.Log.ErrorContext(ctx, "right attempts not given back", "cause", err)
			}
			return true, nil
		case !errors.Is(err, identity.ErrSpent) && !errors.Is(err, identity.ErrConflict):
			return false, wrap(err, "restoring a card")
		}
	}
	g.Allowed = g.Allowed && tried
	return false, s.refused(r, g, acc.ID, factor, "loss not undone")
}

// undone begins the code's count anew, and takes the guess at the password back: wrong
// ones before it are for the next sign-in to weigh.
func (s *Service) undone(ctx context.Context, g *guess, counter []string) error {
	k, err := s.key(counter...)
	if err != nil {
		return err
	}
	if err := s.Store.Forgive(ctx, k); err != nil {
		return wrap(err, "forgiving attempts")
	}
	return g.believed(ctx)
}

// ReportDevice reports one device of the citizen's as lost, from another: it is suspended
// with everything that hung on it, every other session ends, and this one lives on if it
// does not stand on the device. It takes no fresh factor: better shut out than broken in.
func (s *Service) ReportDevice(r *http.Request, l identity.Login, id identity.ID) (loss.Receipt, error) {
	e := s.change(r, audit.LossReported, l)
	receipt, err := s.desk.Report(r.Context(), loss.Report{Citizen: l.Citizen, What: loss.Device, Device: id, Keep: l.ID}, e)
	return receipt, wrapIf(err, "reporting a device")
}

// RestoreDevice brings a suspended device back, by a login of two fresh factors
// (ErrNotFresh): those of the device itself cannot be among them, since a suspended
// device proves nothing and its logins have ended. It is waited for like a new one: who
// brings it back need not be who had it. ErrConflict when another phone has taken its place.
func (s *Service) RestoreDevice(r *http.Request, l identity.Login, id identity.ID) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	e := s.change(r, audit.DeviceRestored, l)
	e.Device = id
	return wrapIf(s.Store.RestoreDevice(r.Context(), l.Citizen, id, !s.Config.ManyPhones, max(s.Config.CoolOff, 0), e), "restoring a device")
}

// OnePhone reports whether a new phone takes the place of the one before.
func (s *Service) OnePhone() bool { return !s.Config.ManyPhones }
