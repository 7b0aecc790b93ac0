package console

import (
	"errors"
	"net/http"

	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/templates"
)

// What [Service.Do] refuses for.
var (
	// ErrForbidden: not an act of this caller's, or not on this subject. Pages say that
	// there is nothing.
	ErrForbidden = errors.New("console: not for this caller")
	// ErrStepUp: the passkey has to be shown for this order first.
	ErrStepUp = errors.New("console: a fresh passkey is needed")
	// ErrReason: none, or one that cannot be.
	ErrReason = errors.New("console: a reason is needed")
	// ErrOwn: their own role, their own request, or the last administrator.
	ErrOwn = errors.New("console: nobody does this to themselves")
	// ErrInvalid: the order's value cannot be.
	ErrInvalid = errors.New("console: not acceptable")
)

var (
	errSignedOut  = errors.New("console: nobody is signed in")
	errMissing    = errors.New("console: no such page for them")
	errBadRequest = exchange.ErrMalformed
)

func verdict(err error) (int, templates.Error) {
	missing := templates.Error{Title: templates.Say(templates.ErrorMissingTitle), Next: templates.Say(templates.ErrorMissingNext)}
	denied := templates.Error{Title: templates.Say(templates.ErrorDeniedTitle), Next: templates.Say(templates.ErrorDeniedNext)}
	odd := templates.Error{Title: templates.Say(templates.ErrorMethodTitle), Next: templates.Say(templates.ErrorMethodNext)}
	switch {
	case errors.Is(err, exchange.ErrMediaType):
		return http.StatusUnsupportedMediaType, odd
	case errors.Is(err, errBadRequest), errors.Is(err, exchange.ErrTooLarge), errors.Is(err, ErrInvalid), errors.Is(err, ErrReason):
		return http.StatusBadRequest, odd
	case errors.Is(err, errMissing), errors.Is(err, ErrForbidden), errors.Is(err, identity.ErrNotFound):
		return http.StatusNotFound, missing
	case errors.Is(err, ErrOwn), errors.Is(err, ErrStepUp), errors.Is(err, errSignedOut), errors.Is(err, identity.ErrEnded):
		return http.StatusForbidden, denied
	case errors.Is(err, identity.ErrConflict), errors.Is(err, identity.ErrSpent):
		return http.StatusConflict, templates.Error{Title: templates.Say(templates.ErrorExpiredTitle), Next: templates.Say(templates.ErrorExpiredNext)}
	}
	return http.StatusInternalServerError, templates.Error{}
}

// fail turns an error into a page. The cause goes to the log.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, page := verdict(err)
	s.logFailure(r, status, err)
	s.answerError(w, r, status, page)
}

func (s *Service) logFailure(r *http.Request, status int, err error) {
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "at the console", "cause", err)
		return
	}
	s.Log.InfoContext(r.Context(), "refused at the console", "status", status, "cause", err)
}

// problemOf puts what an order was refused for into words, for the page it came from; the
// zero message is for errors that are pages of their own.
func problemOf(err error) templates.Message {
	switch {
	case errors.Is(err, ErrReason):
		return templates.Say(templates.ConsoleProblemReason)
	case errors.Is(err, ErrOwn):
		return templates.Say(templates.ConsoleProblemOwn)
	case errors.Is(err, ErrInvalid):
		return templates.Say(templates.ConsoleProblemInvalid)
	case errors.Is(err, identity.ErrSpent):
		return templates.Say(templates.ConsoleProblemApproved)
	case errors.Is(err, identity.ErrConflict):
		return templates.Say(templates.ConsoleProblemConflict)
	}
	return templates.Message{}
}
