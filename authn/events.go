package authn

import (
	"context"
	"net/http"

	"ecardid/audit"
	"ecardid/identity"
)

// event begins an audit entry about what this request does. Events name people by
// id and places coarsely; nothing typed gets into one.
func (s *Service) event(r *http.Request, kind audit.Kind, citizen identity.ID) audit.Event {
	return audit.Event{
		Kind:    kind,
		At:      s.Clock.Now(),
		Actor:   audit.ByCitizen,
		Citizen: citizen,
		Place:   s.where(r),
	}
}

// where is a place as it may be kept: a cut address and the browser's family.
func (s *Service) where(r *http.Request) string {
	if p := place(s.Source(r)); p != "" {
		return p + " " + agent(r.UserAgent())
	}
	return agent(r.UserAgent())
}

// record writes an entry of its own. A refusal that cannot be written down is
// still a refusal, but the caller hears of it: sign-in does not go on without its
// trail (SECURITY AD3).
func (s *Service) record(ctx context.Context, e audit.Event) error {
	if err := s.Store.Record(ctx, e); err != nil {
		return wrap(err, "recording an event")
	}
	return nil
}
