package account

import (
	"errors"
	"net/http"

	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/templates"
)

// relatives lists who may report a loss for the citizen, and for whom they may.
func (s *Service) relatives(v *visit) error {
	all, err := s.Relatives.ListRelatives(v.r.Context(), v.login)
	if err != nil {
		return err
	}
	page := templates.AccountRelatives{Account: v.said(), Most: authn.MaxRelatives}
	for _, t := range all {
		one := templates.Relative{ID: t.ID.String(), Name: templates.Text(t.Name), Card: templates.Text(t.Card), Agreed: t.Agreed, Ends: t.Ends}
		switch {
		case !t.Named:
			page.Mine = append(page.Mine, one)
		case t.Agreed.IsZero():
			page.Asking = append(page.Asking, one)
		default:
			page.Theirs = append(page.Theirs, one)
		}
	}
	return s.show(v, page)
}

func (s *Service) relativeActs() acts {
	// on is an act about one of the list.
	on := func(n note, do func(v *visit, id identity.ID) error) act {
		return func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			return n, "", do(v, id)
		}
	}
	return acts{show: s.relatives, do: map[string]act{
		"relative-name": s.nameRelative,
		"relative-agree": on(saved, func(v *visit, id identity.ID) error {
			return s.Relatives.AgreeRelative(v.r, v.login, id)
		}),
		"relative-end": on(removed, func(v *visit, id identity.ID) error {
			return s.Relatives.EndRelative(v.r, v.login, id)
		}),
		"relative-report": s.reportForRelative,
	}}
}

func (s *Service) nameRelative(v *visit) (note, string, error) {
	err := s.Relatives.NameRelative(v.r, v.login, v.form.Get("card"))
	switch {
	case err == nil:
		return relativeAsked, "", nil
	case errors.Is(err, authn.ErrInvalid):
		v.status, v.problem = http.StatusUnprocessableEntity, templates.Say(templates.ProblemCard)
	case errors.Is(err, identity.ErrConflict):
		v.status, v.problem = http.StatusConflict, templates.Say(templates.ProblemRelatives, "most", authn.MaxRelatives)
	case errors.Is(err, authn.ErrThrottled):
		v.status, v.problem = http.StatusTooManyRequests, templates.Say(templates.ProblemTomorrow)
	default:
		return noNote, "", err
	}
	return noNote, shown, s.relatives(v)
}

// reportForRelative reports a loss for somebody who has named the citizen. The receipt is a
// page of its own, and its number is for both.
func (s *Service) reportForRelative(v *visit) (note, string, error) {
	id, err := v.id()
	if err != nil {
		return noNote, "", err
	}
	receipt, err := s.Relatives.ReportForRelative(v.r, v.login, id, loss.What(v.form.Get("what")))
	switch {
	case err == nil:
		return noNote, receiptPath + receipt.Number.String(), nil
	case errors.Is(err, authn.ErrInvalid):
		return noNote, "", errBadRequest
	case errors.Is(err, identity.ErrConflict):
		v.status, v.problem = http.StatusConflict, templates.Say(templates.ProblemReported)
	case errors.Is(err, authn.ErrThrottled):
		v.status, v.problem = http.StatusTooManyRequests, templates.Say(templates.ProblemTomorrow)
	default:
		return noNote, "", err
	}
	return noNote, shown, s.relatives(v)
}
