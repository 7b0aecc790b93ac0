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

// grace is how long the token before a rotation still works, for the answer that
// was lost on the way (SECURITY TK1).
const grace = 10 * time.Second

// RefreshStore is what refreshing needs from storage.
type RefreshStore interface {
	oauth.Refreshes
	oauth.Journal
}

// Refresh is the refresh token grant (RFC 6749 §6). A confidential client's token
// stays the same: it is no use without the client's credential, and FAPI 2.0
// forbids rotating it as a routine. A public client's rotates, and its reuse ends
// the family (RFC 9700 §4.14.2).
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
	hash, ok := f.Handles.Hash(issue.Refresh, req.Form.Get("refresh_token"))
	if !ok {
		if req.Form.Get("refresh_token") == "" {
			return Answer{}, fosite.ErrInvalidRequest.WithHint("The parameter refresh_token is missing.")
		}
		return Answer{}, badRefresh(errors.New("not a refresh token of ours"))
	}
	scope, err := requested(req.Form)
	if err != nil {
		return Answer{}, err
	}
	without := f.Catalogue.NotCarried(req.Client)
	if left := slices.DeleteFunc(slices.Clone(scope), func(s string) bool { return !slices.Contains(without, s) }); len(left) > 0 {
		return Answer{}, beyond(left)
	}
	access := f.Handles.New(issue.Access)
	r := oauth.Refreshing{
		Token: hash, ClientID: req.Client.ID, JKT: req.Binding.JKT,
		RefreshIdle: req.Now.Add(f.RefreshIdle), Grace: grace, Now: req.Now,
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
		next = f.Handles.New(issue.Refresh)
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
		scope = slices.DeleteFunc(slices.Clone(g.Scope), func(s string) bool { return slices.Contains(without, s) })
	}
	if scope = f.known(scope); len(scope) == 0 {
		return Answer{}, badRefresh(errors.New("nothing is left to refresh"))
	}
	answer := Answer{Grant: g, Scope: scope, Audience: f.Catalogue.Audience(f.Issuer, scope), Refresh: next}
	if g.Opaque {
		answer.Access = access
	}
	return answer, nil
}

// known drops scopes that were taken out of the catalogue since.
func (f *Refresh) known(scope []string) []string {
	gone := f.Catalogue.Unknown(scope)
	return slices.DeleteFunc(scope, func(s string) bool { return slices.Contains(gone, s) })
}

func rotates(c *oauth.Client, b oauth.Binding) bool { return c.Public() && b == (oauth.Binding{}) }

func badRefresh(cause error) error {
	return fosite.ErrInvalidGrant.WithHint("The refresh token is unknown, expired, revoked or of another client.").WithWrap(cause)
}
