package authn

import (
	"errors"
	"net/http"

	"ecardid/audit"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// BeginTOTP makes a seed and the page that shows it, once (SECURITY MF2). It is a
// proposal until ConfirmTOTP; alg is totp.SM3 for the card app and totp.RFC6238
// for everybody else's.
func (s *Service) BeginTOTP(r *http.Request, l identity.Login, alg totp.Algorithm) (identity.ID, templates.EnrolTOTP, error) {
	none := templates.EnrolTOTP{}
	if err := s.fresh(l); err != nil {
		return identity.ID{}, none, err
	}
	if !alg.Valid() {
		return identity.ID{}, none, ErrInvalid
	}
	acc, err := s.Store.Account(r.Context(), l.Citizen)
	if err != nil {
		return identity.ID{}, none, wrap(err, "reading an account")
	}
	seed, err := totp.NewSeed(s.Rand)
	if err != nil {
		return identity.ID{}, none, err
	}
	f := TOTPFactor{ID: identity.IDFrom(s.Rand), Citizen: l.Citizen, Seed: seed.Reveal(), Algorithm: alg, Created: s.Clock.Now()}
	if err := s.Store.ProposeTOTP(r.Context(), f); err != nil {
		return identity.ID{}, none, wrap(err, "proposing a one-time-password factor")
	}
	page, err := s.totpPage(seed, alg, acc.MaskedName)
	return f.ID, page, err
}

// ShowTOTP is the page of a proposal once more, after a code that did not fit.
func (s *Service) ShowTOTP(r *http.Request, l identity.Login, proposal identity.ID) (templates.EnrolTOTP, error) {
	f, seed, err := s.proposal(r, l, proposal)
	if err != nil {
		return templates.EnrolTOTP{}, err
	}
	acc, err := s.Store.Account(r.Context(), l.Citizen)
	if err != nil {
		return templates.EnrolTOTP{}, wrap(err, "reading an account")
	}
	return s.totpPage(seed, f.Algorithm, acc.MaskedName)
}

func (s *Service) proposal(r *http.Request, l identity.Login, id identity.ID) (TOTPFactor, totp.Seed, error) {
	if err := s.fresh(l); err != nil {
		return TOTPFactor{}, totp.Seed{}, err
	}
	f, err := s.Store.PendingTOTP(r.Context(), l.Citizen, id, s.Clock.Now().Add(-flowLife))
	if err != nil {
		return TOTPFactor{}, totp.Seed{}, wrap(err, "reading a proposed factor")
	}
	seed, err := totp.SeedOf(f.Seed)
	return f, seed, wrapIf(err, "opening a seed")
}

// ConfirmTOTP makes the proposal the citizen's generator, in place of any other,
// when code is right. It answers ErrWrong otherwise. With the one it takes the place
// of the other sessions end (SECURITY PW5).
func (s *Service) ConfirmTOTP(r *http.Request, l identity.Login, proposal identity.ID, code string) error {
	f, seed, err := s.proposal(r, l, proposal)
	if err != nil {
		return err
	}
	step, ok := totp.Match(seed, f.Algorithm, code, s.Clock.Now(), 0)
	if !ok {
		return ErrWrong
	}
	err = s.Store.ConfirmTOTP(r.Context(), l.Citizen, f.ID, step, l.ID, nil, s.change(r, audit.TOTPBound, l))
	return wrapIf(err, "confirming a one-time-password factor")
}

// RemoveTOTP removes the generator, unless the account would fall below the floor
// (ErrLastFactor). Other sessions end with it.
func (s *Service) RemoveTOTP(r *http.Request, l identity.Login) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	err := s.Store.RemoveTOTP(r.Context(), l.Citizen, l.ID, EnoughFor(s.Config.Floor), s.change(r, audit.TOTPRemoved, l))
	return wrapIf(err, "removing a one-time-password factor")
}

// RenewRecovery makes a new set of recovery codes, in place of the old ones, and
// returns them to be shown once.
func (s *Service) RenewRecovery(r *http.Request, l identity.Login) ([]string, error) {
	if err := s.fresh(l); err != nil {
		return nil, err
	}
	return s.newCodes(r.Context(), l.Citizen, s.change(r, audit.RecoveryRenewed, l))
}

// IsRefusal reports whether err is a no to the person, and not a fault of ours.
func IsRefusal(err error) bool {
	var weak *WeakPassword
	for _, no := range []error{ErrNotFresh, ErrLastFactor, ErrWrong, ErrThrottled, ErrInvalid, ErrBusy, errPasskeyMake, identity.ErrNotFound, identity.ErrSpent, identity.ErrConflict} {
		if errors.Is(err, no) {
			return true
		}
	}
	return errors.As(err, &weak)
}
