package token

import (
	"context"
	"slices"

	"github.com/ory/fosite"

	"ecardid/oauth"
	"ecardid/oauth/rar"
)

// ClientCredentials is the client credentials grant (RFC 6749 §4.4). Its tokens
// are JWTs of five minutes, speak of no citizen, and cost no statement but the one
// that uses up an assertion or a proof; the scopes are those the catalogue marks for
// clients themselves, because what needs a citizen's login cannot be had without one.
type ClientCredentials struct{ Terms }

var _ Grant = (*ClientCredentials)(nil)

// Type implements Grant.
func (*ClientCredentials) Type() string { return oauth.GrantClientCredentials }

// Prove implements Grant.
func (m *ClientCredentials) Prove(_ context.Context, req Request) (Answer, error) {
	if req.Client.Public() { // admission refuses it as well
		return Answer{}, fosite.ErrUnauthorizedClient.WithHint("A client without credentials has none to use.")
	}
	if req.Client.State == oauth.ClientTesting {
		return Answer{}, fosite.ErrUnauthorizedClient.WithHint("A client that is being tested has nothing for itself.")
	}
	scope, err := requested(req.Form)
	if err != nil {
		return Answer{}, err
	}
	own := m.Catalogue.Machine(req.Client.Scopes())
	if scope == nil {
		scope = own // RFC 6749 §3.3: a default
	}
	if more := slices.DeleteFunc(slices.Clone(scope), func(s string) bool { return slices.Contains(own, s) }); len(more) > 0 {
		return Answer{}, m.beyond(req.Client, more)
	}
	if len(scope) == 0 {
		return Answer{}, fosite.ErrInvalidScope.WithHint("There is no scope this client may have for itself.")
	}
	n, err := m.narrowing(req)
	if err != nil {
		return Answer{}, err
	}
	if n.asked != nil {
		return Answer{}, rar.Invalid("Details are agreed to by a citizen, and there is none.")
	}
	answer := Answer{Grant: oauth.Grant{Resource: m.Catalogue.Audience(m.Issuer, scope)}}
	err = n.of(&answer, scope, nil)
	return answer, err
}
