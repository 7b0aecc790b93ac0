package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
)

// Code is the authorization code grant (RFC 6749 §4.1) with PKCE (RFC 7636) and
// OpenID Connect: it issues codes at the authorization endpoint and redeems them
// at the token endpoint.
type Code struct {
	Terms
	Store       oauth.Codes
	Handles     issue.Handles
	RefreshIdle time.Duration
}

var (
	_ Grant                           = (*Code)(nil)
	_ fosite.AuthorizeEndpointHandler = (*Code)(nil)
)

// HandleAuthorizeEndpointRequest implements fosite.AuthorizeEndpointHandler: one
// statement issues the code, or the errors of oauth.Codes come back as they are.
func (c *Code) HandleAuthorizeEndpointRequest(ctx context.Context, ar fosite.AuthorizeRequester, resp fosite.AuthorizeResponder) error {
	if !ar.GetResponseTypes().ExactOne("code") {
		return nil
	}
	session, ok := ar.GetSession().(*framework.Session)
	if !ok || session.New == nil {
		return fosite.ErrServerError
	}
	code := c.Handles.New(issue.Code)
	n := *session.New
	n.Code = code.Hash()
	n.CodeExpires = n.Grant.Created.Add(issue.CodeLife)
	if err := c.Store.IssueCode(ctx, n); err != nil {
		return err
	}
	resp.AddParameter("code", code.Reveal())
	ar.SetResponseTypeHandled("code")
	return nil
}

// Type implements Grant.
func (*Code) Type() string { return oauth.GrantCode }

// Prove implements Grant. Everything that binds the code is compared inside the
// statement that spends it: what does not fit is given nothing (SECURITY CO2), and a
// verifier that does not fit, of the right client, ends the code (CO1).
//
// What is asked of the access token beside that, a resource or less of the details,
// is compared with the grant afterwards. A client that asks for what it was not given
// has used its code up.
//
// What was narrowed since the code was issued reaches it: scopes the client may not
// have any more are cut off, and a redirect URI that is no longer registered buys
// nothing.
func (c *Code) Prove(ctx context.Context, req Request) (Answer, error) {
	hash, ok := c.Handles.Hash(issue.Code, req.Form.Get("code"))
	if !ok {
		if req.Form.Get("code") == "" {
			return Answer{}, fosite.ErrInvalidRequest.WithHint("The parameter code is missing.")
		}
		return Answer{}, badCode(errors.New("not a code of ours"))
	}
	redirect := req.Form.Get("redirect_uri")
	if redirect != "" && !oauth.MatchRedirect(req.Client.RedirectURIs, redirect) || redirect == "" && len(req.Client.RedirectURIs) != 1 {
		return Answer{}, badCode(errors.New("redirect_uri is not registered"))
	}
	challenge := ""
	if verifier := req.Form.Get("code_verifier"); verifier != "" || PKCE(req.Client) {
		// One that is missing or malformed is compared as well, and equals none.
		if challenge, ok = Challenge(verifier); !ok {
			challenge = noChallenge
		}
	}
	return c.redeem(ctx, req, hash, redirect, challenge)
}

// redeem spends a code for what was granted with it, or for the part that is asked for.
func (c *Code) redeem(ctx context.Context, req Request, hash []byte, redirect, challenge string) (Answer, error) {
	n, err := c.narrowing(req)
	if err != nil {
		return Answer{}, err
	}
	lost := c.Catalogue.Beyond(req.Client)
	access := c.Handles.New(issue.Access)
	redemption := oauth.Redemption{
		Code: hash, ClientID: req.Client.ID, RedirectURI: redirect, Challenge: challenge,
		JKT: req.Binding.JKT, Binding: family(req), Once: req.Ledger.Take(), Now: req.Now,
		Access: oauth.NewAccess{
			Token: access.Hash(), Without: slices.Concat(lost, n.beside()), Resource: n.targets,
			Expires: req.Now.Add(issue.AccessLife), Binding: req.Binding,
		},
	}
	var refresh secret.Value
	if req.Client.MayUse(oauth.GrantRefresh) {
		refresh = c.Handles.New(issue.Refresh)
		redemption.Refresh, redemption.Family = refresh.Hash(), c.Handles.Family(refresh.Reveal())
		redemption.RefreshIdle = req.Now.Add(c.RefreshIdle)
	}
	g, err := c.Store.Redeem(ctx, redemption)
	switch {
	case errors.Is(err, identity.ErrReplayed):
		return Answer{}, err
	case errors.Is(err, identity.ErrSpent):
		return Answer{}, badCode(err) // came back; storage has ended its grant and written it down
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded):
		return Answer{}, badCode(err)
	case err != nil:
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	scope := without(c.Catalogue, g.Scope, lost)
	if len(scope) == 0 {
		return Answer{}, badCode(errors.New("nothing of its scope is left"))
	}
	still, err := c.Details.Within(g.Details, req.Client)
	if err != nil {
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	if len(still) < len(g.Details) {
		return Answer{}, badCode(errors.New("its authorization_details are of a type the client may not have any more"))
	}
	answer := Answer{Grant: g, OpenID: slices.Contains(scope, oauth.ScopeOpenID), Nonce: g.Nonce}
	if err := n.of(&answer, scope, g.Details); err != nil {
		return Answer{}, err
	}
	if g.Opaque {
		answer.Access = access
	}
	carried, err := c.Details.Carried(g.Details, req.Client)
	if err != nil {
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	if len(c.Catalogue.Carried(scope)) > 0 && refreshable(g, carried) {
		// Otherwise the stored hash is of a secret nobody was told.
		answer.Refresh = refresh
	}
	return answer, nil
}

// family is what the refresh tokens of a grant are bound to: the key of a public
// client, which has nothing else to show at a refresh (RFC 9449 §5, RFC 8705 §4). A
// confidential client's are bound to the client, which may change its key.
func family(req Request) oauth.Binding {
	if !req.Client.Public() {
		return oauth.Binding{}
	}
	return req.Binding
}

func badCode(cause error) error {
	return fosite.ErrInvalidGrant.WithHint("The code is unknown, expired, used, or does not fit this request.").WithWrap(cause)
}

// PKCE reports whether the client's codes need PKCE (SECURITY CO1). The one
// exception is a confidential client of profile oidc that was admitted as such
// (pkce_optional): a certified library of old that knows only nonce (RFC 9700
// §2.1.1).
func PKCE(c *oauth.Client) bool {
	return !c.PKCEOptional || c.Profile != oauth.ProfileOIDC || c.Public()
}

// noChallenge is no challenge anybody was given: S256 has 43 characters.
const noChallenge = "none"

// Challenge is S256 of a verifier (RFC 7636 §4.6), if it is one (§4.1).
func Challenge(verifier string) (string, bool) {
	if len(verifier) < 43 || len(verifier) > 128 {
		return "", false
	}
	for _, b := range []byte(verifier) {
		switch {
		case b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '-', b == '.', b == '_', b == '~':
		default:
			return "", false
		}
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]), true
}

// IsChallenge reports whether s can be an S256 challenge: 32 bytes in base64url,
// spelled the one way.
func IsChallenge(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size
}
