package token

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/issue"
)

// RefreshStore is what refreshing needs from storage.
type RefreshStore interface {
	oauth.Refreshes
	oauth.Journal
}

// Refresh is the refresh token grant (RFC 6749 §6). A confidential client's token
// stays the same: it is no use without the client's credential, and FAPI 2.0
// forbids rotating it as a routine. A public client's rotates, and the reuse of any
// of its tokens ends the family (RFC 9700 §4.14.2). There is no grace for an answer
// that was lost: the citizen signs in again (SECURITY TK1).
type Refresh struct {
	Store       RefreshStore
	Handles     issue.Handles
	Catalogue   *catalogue.Catalogue
	Issuer      string
	RefreshIdle time.Duration
	Log         *slog.Logger
}

var _ Grant = (*Refresh)(nil)

// Type implements Grant.
func (*Refresh) Type() string { return oauth.GrantRefresh }

// Prove implements Grant.
func (f *Refresh) Prove(ctx context.Context, req Request) (Answer, error) {
	token := req.Form.Get("refresh_token")
	hash, ok := f.Handles.Hash(issue.Refresh, token)
	if !ok {
		if token == "" {
			return Answer{}, fosite.ErrInvalidRequest.WithHint("The parameter refresh_token is missing.")
		}
		return Answer{}, badRefresh(errors.New("not a refresh token of ours"))
	}
	scope, err := requested(req.Form)
	if err != nil {
		return Answer{}, err
	}
	without := f.Catalogue.NotCarried(req.Client)
	if more := slices.DeleteFunc(slices.Clone(scope), func(s string) bool { return !slices.Contains(without, s) }); len(more) > 0 {
		return Answer{}, beyond(more)
	}
	access := f.Handles.New(issue.Access)
	r := oauth.Refreshing{
		Token: hash, Family: f.Handles.Family(token), ClientID: req.Client.ID, JKT: req.Binding.JKT,
		RefreshIdle: req.Now.Add(f.RefreshIdle), Now: req.Now,
		Access: oauth.NewAccess{
			Token: access.Hash(), Scope: scope, Without: without,
			Expires: req.Now.Add(issue.AccessLife), Binding: req.Binding,
		},
	}
	if scope != nil {
		r.Access.Resource = f.Catalogue.Audience(f.Issuer, scope)
	}
	var next secret.Value
	if rotates(req.Client, req.Binding) {
		next = f.Handles.Next(token)
		r.Next = next.Hash()
	}
	g, err := f.Store.Refresh(ctx, r)
	switch {
	case errors.Is(err, identity.ErrSpent):
		replayed(ctx, f.Store, f.Log, req, "refresh token")
		return Answer{}, badRefresh(err)
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded):
		return Answer{}, badRefresh(err)
	case errors.Is(err, identity.ErrScope):
		return Answer{}, fosite.ErrInvalidScope.WithHint("More is asked than was granted.")
	case err != nil:
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	if scope == nil {
		scope = g.Scope
	}
	if scope = left(f.Catalogue, scope, without); len(scope) == 0 {
		return Answer{}, badRefresh(errors.New("nothing is left to refresh"))
	}
	answer := Answer{Grant: g, Scope: scope, Audience: f.Catalogue.Audience(f.Issuer, scope), Refresh: next}
	if g.Opaque {
		answer.Access = access
	}
	return answer, nil
}

func rotates(c *oauth.Client, b oauth.Binding) bool { return c.Public() && b == (oauth.Binding{}) }

func badRefresh(cause error) error {
	return fosite.ErrInvalidGrant.WithHint("The refresh token is unknown, expired, revoked or of another client.").WithWrap(cause)
}
