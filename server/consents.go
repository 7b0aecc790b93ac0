package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/templates"
)

// agreements shows the citizen's consents, which oauth keeps, to the account room.
type agreements struct {
	store     oauth.Consents
	server    *Server
	catalogue *catalogue.Catalogue
	clock     clock.Clock
}

// ListConsents implements account.Consents.
func (a agreements) ListConsents(r *http.Request, citizen identity.ID) ([]templates.Consented, error) {
	given, err := a.store.AllConsents(r.Context(), citizen, a.clock.Now())
	if err != nil {
		return nil, err
	}
	locale := a.server.locale(r)
	var all []templates.Consented
	var of *oauth.Client // whom the rows are about; nil when it is not served
	for _, c := range given {
		if len(all) == 0 || all[len(all)-1].ID != c.ClientID { // they come ordered by client
			one := templates.Consented{ID: c.ClientID, Client: templates.Text(c.ClientID), Since: c.Given}
			client, err := a.server.registry.Client(r.Context(), c.ClientID)
			of = client
			switch {
			case err == nil:
				asker := client.Asker("")
				one.Client = in(asker.Name, locale)
				if len(client.RedirectURIs) > 0 {
					if u, err := url.Parse(client.RedirectURIs[0]); err == nil {
						one.Host = templates.Text(u.Host)
					}
				}
			case !errors.Is(err, identity.ErrNotFound): // a suspended client keeps its id as name
				return nil, err
			}
			all = append(all, one)
		}
		last := &all[len(all)-1]
		said := a.catalogue.View(c.Scope)
		agreed := templates.Agreed{Title: in(said.Title, locale), Purpose: in(said.Purpose, locale)}
		if of != nil {
			agreed.Basis = in(of.Basis(c.Scope), locale)
		}
		last.Scopes = append(last.Scopes, agreed)
		if c.Given.Before(last.Since) {
			last.Since = c.Given
		}
	}
	return all, nil
}

// WithdrawConsent implements account.Consents.
func (a agreements) WithdrawConsent(ctx context.Context, citizen identity.ID, clientID string, now time.Time, e audit.Event) error {
	return a.store.WithdrawConsent(ctx, citizen, clientID, now, e)
}
