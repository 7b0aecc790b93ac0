package provider

import (
	"net/http"

	"ecardid/oauth/caller"
)

// Programs is the door of a resource in another room of this house: an API that clients
// call for themselves, with tokens of the client credentials grant for its audience that
// are bound to a key or a certificate (SECURITY SC3).
type Programs struct{ guard caller.Guard }

// Programs makes the door of a resource.
func (p *Provider) Programs(audience string) Programs {
	g := p.guard
	g.Audience, g.Bound = audience, true
	return Programs{g}
}

// Enter returns the client that calls and those of the scopes its token has. When there is
// none, or the token is no good, it has answered.
func (d Programs) Enter(w http.ResponseWriter, r *http.Request, scopes ...string) (client string, held []string, ok bool) {
	c, ok := d.guard.Enter(w, r, scopes...)
	if !ok {
		return "", nil, false
	}
	for _, s := range scopes {
		if c.May(s) {
			held = append(held, s)
		}
	}
	return c.ID, held, true
}
