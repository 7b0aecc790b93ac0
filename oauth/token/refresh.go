package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/issue"
)

// Refresh is the refresh token grant (RFC 6749 §6). A confidential client's token
// stays the same: it is no use without the client's credential, and FAPI 2.0
// forbids rotating it as a routine. A public client's rotates, and the reuse of any
// of its tokens ends the family (RFC 9700 §4.14.2). There is no grace for an answer
// that was lost: the citizen signs in again (SECURITY TK1).
type Refresh struct {
	Terms
	Store       oauth.Refreshes
	Handles     issue.Handles
	RefreshIdle time.Duration
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
	behind := f.Catalogue.NotCarried(req.Client)
	if more := slices.DeleteFunc(slices.Clone(scope), func(s string) bool { return !slices.Contains(behind, s) }); len(more) > 0 {
		return Answer{}, f.beyond(req.Client, more)
	}
	n, err := f.narrowing(req)
	if err != nil {
		return Answer{}, err
	}
	access, next := f.Handles.New(issue.Access), f.Handles.Next(token)
	r := oauth.Refreshing{
		Token: hash, Family: f.Handles.Family(token), ClientID: req.Client.ID, JKT: req.Binding.JKT,
		RefreshIdle: req.Now.Add(f.RefreshIdle), Once: req.Ledger.Take(), Now: req.Now,
		Access: oauth.NewAccess{
			Token: access.Hash(), Scope: scope, Without: slices.Concat(behind, n.beside()), Resource: n.targets,
			Expires: req.Now.Add(issue.AccessLife), Binding: req.Binding,
		},
	}
	if rotates(req.Client, req.Binding) && n.plain() {
		r.Next = next.Hash()
	}
	g, err := f.Store.Refresh(ctx, r)
	if err != nil {
		return Answer{}, refused(req, err)
	}
	answer, err := f.answer(g, req, n, scope)
	if err != nil {
		return Answer{}, err
	}
	if r.Next == nil && rotates(req.Client, g.Binding) {
		// A second time, to rotate. The first was to find out whether what is asked can
		// be had: who is refused keeps the token. Or there was a proof, and the token is
		// bound to no key: any key proves as much as any other, and the token rotates
		// as it does without. What the first time prepared goes to nobody.
		access = f.Handles.New(issue.Access)
		r.Next, r.Once, r.Access.Token = next.Hash(), nil, access.Hash()
		if g, err = f.Store.Refresh(ctx, r); err != nil {
			return Answer{}, refused(req, err)
		}
	}
	if r.Next != nil {
		answer.Refresh = next
	}
	if g.Opaque {
		answer.Access = access
	}
	return answer, nil
}

// answer is what a refresh of g comes to.
func (f *Refresh) answer(g oauth.Grant, req Request, n narrowing, scope []string) (Answer, error) {
	if g.Binding.X5T != "" && g.Binding.X5T != req.Binding.X5T {
		return Answer{}, badRefresh(errors.New("bound to another certificate"))
	}
	if scope == nil {
		scope = g.Scope
	}
	if scope = without(f.Catalogue, scope, f.Catalogue.NotCarried(req.Client)); len(scope) == 0 {
		return Answer{}, badRefresh(errors.New("nothing is left to refresh"))
	}
	details, err := f.Details.Carried(g.Details, req.Client)
	if err != nil {
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	if !refreshable(g, details) {
		return Answer{}, badRefresh(errors.New("its details were good once"))
	}
	a := Answer{Grant: g, OpenID: slices.Contains(scope, oauth.ScopeOpenID)}
	err = n.of(&a, scope, details)
	return a, err
}

// refreshable reports whether a further access token of g can say what is carried
// on: an opaque one shows the details of its grant, all of them.
func refreshable(g oauth.Grant, carried json.RawMessage) bool {
	return !g.Opaque || bytes.Equal(g.Details, carried)
}

func refused(req Request, err error) error {
	switch {
	case errors.Is(err, identity.ErrReplayed):
		return err
	case errors.Is(err, identity.ErrSpent):
		return badRefresh(err) // came back; storage has ended its family and written it down
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded):
		return badRefresh(err)
	case errors.Is(err, identity.ErrScope):
		return oauth.Refuse(fosite.ErrInvalidScope.WithHint("More is asked than was granted."), audit.ScopeRefused, req.Client.ID, "more than was granted", nil)
	}
	return fosite.ErrServerError.WithWrap(err)
}

// rotates reports whether a refresh token of the client, bound like this, is
// replaced when it is used: where there is neither a credential nor a key to say
// that the right one came.
func rotates(c *oauth.Client, b oauth.Binding) bool { return c.Public() && b == (oauth.Binding{}) }

func badRefresh(cause error) error {
	return fosite.ErrInvalidGrant.WithHint("The refresh token is unknown, expired, revoked or of another client.").WithWrap(cause)
}
