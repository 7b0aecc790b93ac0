package authn

import (
	"context"
	"errors"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/internal/idnumber"
)

// A citizen may name others who report a loss for them. It takes fresh factors on both
// sides to become one, and a fresh login to report; a relative can do nothing else and
// sees a masked name.

// A Relative is a tie between two citizens: one has named the other, who may then report
// losses for them and nothing else.
type Relative struct {
	ID      identity.ID
	Citizen identity.ID // who named
	Other   identity.ID // who was named; zero: nobody there is
	// Named: whoever asked for the list was named; otherwise they did the naming.
	Named bool
	// Name is the other side's, masked; empty for whoever named until it is agreed to.
	Name   string
	Card   string // as it was typed, masked; for whoever named
	Asked  time.Time
	Agreed time.Time // zero: not yet
	Ends   time.Time // of the question; zero when it is agreed to
}

// Relatives keeps ties. Whoever names learns nothing of a number before its holder has
// agreed: not whether there is one, nor that they said no.
type Relatives interface {
	// NameRelative stores the question, until n.Ends. number is the card's; e is the one
	// who names, whose login e.Login must be alive (identity.ErrEnded). ErrConflict when
	// they have MaxRelatives, or have named this number.
	NameRelative(ctx context.Context, n Relative, number Alias, e audit.Event) error
	// AgreeRelative makes it a tie, for whoever was named: e.Citizen.
	AgreeRelative(ctx context.Context, id identity.ID, e audit.Event) error
	// EndRelative ends it, from either side; a question that is refused stays unanswered
	// for whoever asked.
	EndRelative(ctx context.Context, id identity.ID, e audit.Event) error
	// ListRelatives returns questions and ties of both directions, the oldest first.
	ListRelatives(ctx context.Context, citizen identity.ID, now time.Time) ([]Relative, error)
}

// MaxRelatives is how many one citizen may name.
const MaxRelatives = 5

// ListRelatives returns whom l's citizen has named and who has named them.
func (s *Service) ListRelatives(ctx context.Context, l identity.Login) ([]Relative, error) {
	all, err := s.Store.ListRelatives(ctx, l.Citizen, s.Clock.Now())
	return all, wrapIf(err, "listing relatives")
}

// NameRelative asks the holder of a card to be one. The answer is the same whether there is
// such a card or not (SECURITY PW1): ErrInvalid for what is no number or the citizen's own,
// ErrThrottled, identity.ErrConflict when there are enough or this one is named already.
func (s *Service) NameRelative(r *http.Request, l identity.Login, typed string) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	card, err := idnumber.ParseCard(typed)
	if err != nil {
		return ErrInvalid
	}
	ctx, now := r.Context(), s.Clock.Now()
	if ok, err := s.allowed(ctx, Try{Rule: s.Config.Rules.Naming}, "relative", l.Citizen.String()); err != nil {
		return err
	} else if !ok {
		return ErrThrottled
	}
	number := Alias{AliasCard, card.Reveal()}
	acc, err := s.Store.AccountByAlias(ctx, number)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return wrap(err, "finding an account")
	}
	if acc.ID == l.Citizen {
		return ErrInvalid
	}
	n := Relative{ID: identity.IDFrom(s.Rand), Citizen: l.Citizen, Card: card.Mask(), Asked: now, Ends: now.Add(relativeAsk)}
	if acc.State.MaySignIn() {
		n.Other = acc.ID
	}
	return wrapIf(s.Store.NameRelative(ctx, n, number, s.change(r, audit.RelativeNamed, l)), "naming a relative")
}

// AgreeRelative is the answer yes of whoever was named.
func (s *Service) AgreeRelative(r *http.Request, l identity.Login, id identity.ID) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	return wrapIf(s.Store.AgreeRelative(r.Context(), id, s.change(r, audit.RelativeAgreed, l)), "agreeing to be a relative")
}

// EndRelative ends a tie or a question, from either side.
func (s *Service) EndRelative(r *http.Request, l identity.Login, id identity.ID) error {
	return wrapIf(s.Store.EndRelative(r.Context(), id, s.change(r, audit.RelativeEnded, l)), "ending a tie")
}

// ReportForRelative reports the loss of the phone or the card of whoever has named l's
// citizen. Each tie has as many reports as the citizen has by one factor, and takes none of
// theirs (SECURITY PW3); identity.ErrNotFound without a tie, identity.ErrConflict, which
// does not count, when the card was reported before.
func (s *Service) ReportForRelative(r *http.Request, l identity.Login, id identity.ID, what loss.What) (loss.Receipt, error) {
	if err := s.fresh(l); err != nil {
		return loss.Receipt{}, err
	}
	if what != loss.Phone && what != loss.Card {
		return loss.Receipt{}, ErrInvalid
	}
	ctx := r.Context()
	all, err := s.Store.ListRelatives(ctx, l.Citizen, s.Clock.Now())
	if err != nil {
		return loss.Receipt{}, wrap(err, "listing relatives")
	}
	for _, tie := range all {
		if tie.ID != id || !tie.Named || tie.Agreed.IsZero() {
			continue
		}
		acc, err := s.Store.Account(ctx, tie.Citizen)
		if err != nil {
			return loss.Receipt{}, wrap(err, "reading an account")
		}
		if !acc.State.MaySignIn() {
			return loss.Receipt{}, identity.ErrConflict
		}
		counter := []string{"lost-done", "tie", id.String(), string(what)}
		if ok, err := s.allowed(ctx, Try{Rule: s.Config.Rules.Loss}, counter...); err != nil {
			return loss.Receipt{}, err
		} else if !ok {
			return loss.Receipt{}, ErrThrottled
		}
		e := s.event(r, audit.LossReported, tie.Citizen)
		e.Detail = map[string]string{"by": "relative", "relative": l.Citizen.String()}
		receipt, err := s.desk.Report(ctx, loss.Report{Citizen: tie.Citizen, What: what, Tie: id, By: l.Citizen, ByLogin: l.ID}, e)
		if errors.Is(err, identity.ErrEnded) {
			err = errors.Join(identity.ErrConflict, s.refund(ctx, counter...))
		}
		if err == nil {
			s.Observer.Observe("loss", string(what))
		}
		return receipt, wrapIf(err, "reporting for a relative")
	}
	return loss.Receipt{}, identity.ErrNotFound
}
