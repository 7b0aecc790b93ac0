package account

import (
	"slices"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/templates"
)

// consents lists who may know what.
func (s *Service) consents(v *visit) error {
	list, err := s.Consents.ListConsents(v.r, v.login.Citizen)
	if err != nil {
		return err
	}
	used, err := s.Records.LastUses(v.r.Context(), v.login.Citizen)
	if err != nil {
		return err
	}
	for i := range list {
		// Agreeing is using it, and the only use that is kept for ever.
		list[i].LastUsed = later(used[list[i].ID], list[i].Since)
	}
	return s.show(v, templates.AccountConsents{Account: v.said(), Consents: list})
}

func (s *Service) consentActs() acts {
	return acts{show: s.consents, do: map[string]act{"consent-withdraw": s.withdraw}}
}

// withdraw ends a consent of the list and nothing else: a client's id is no secret,
// so one that is not on the citizen's list is not there.
func (s *Service) withdraw(v *visit) (note, string, error) {
	list, err := s.Consents.ListConsents(v.r, v.login.Citizen)
	if err != nil {
		return noNote, "", err
	}
	client := v.form.Get("id")
	if client == "" || !slices.ContainsFunc(list, func(c templates.Consented) bool { return c.ID == client }) {
		return noNote, "", identity.ErrNotFound
	}
	now := s.Clock.Now()
	return consentWithdrawn, "", s.Consents.WithdrawConsent(v.r.Context(), v.login.Citizen, client, now, audit.Event{
		Kind: audit.ConsentWithdrawn, At: now, Actor: audit.ByCitizen, Citizen: v.login.Citizen, Login: v.login.ID,
		Client: client, Notify: true, Place: s.Place(v.r),
	})
}
