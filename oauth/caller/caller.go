package caller

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/issue"
	"ecardid/oauth/mtls"
	"ecardid/oauth/respond"
)

// A Registry knows the live clients.
type Registry interface {
	Client(ctx context.Context, id string) (*oauth.Client, error)
}

// A Guard stands before one resource.
type Guard struct {
	Audience     string // the resource, as tokens name it
	Registry     Registry
	Issuer       *issue.Issuer
	Proofs       *dpop.Verifier
	Certificates mtls.Sources
	Respond      respond.Writer
	Clock        clock.Clock
	// Bound lets in only tokens that are bound to a key or a certificate, whoever has them.
	Bound bool
}

// A Caller is a client that was let in, and what its token is good for.
type Caller struct {
	*oauth.Client
	scope []string
}

// May reports whether the token has one of the scopes.
func (c Caller) May(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(c.scope, s) })
}

// Enter returns who calls, if the token has one of the scopes. Otherwise it has answered
// when it returns.
func (g *Guard) Enter(w http.ResponseWriter, r *http.Request, scopes ...string) (Caller, bool) {
	w.Header().Set("DPoP-Nonce", g.Proofs.Nonces.Next(g.Clock.Now())) // RFC 9449 §9
	scheme, token, err := present(r)
	if err != nil {
		g.Respond.TokenError(w, r, scheme, err)
		return Caller{}, false
	}
	if token == "" {
		g.Respond.Challenge(w)
		return Caller{}, false
	}
	c, right, err := g.admit(r, scheme, token)
	if err == nil && !c.May(scopes...) {
		err = oauth.Refuse(respond.InsufficientScope(), audit.AccessRefused, c.ID, "beyond the scope of its token", nil)
	}
	if err != nil {
		g.Respond.TokenError(w, r, right, err)
		return Caller{}, false
	}
	return c, true
}

// present takes the token from the header (RFC 6750 §2.1, RFC 9449 §7.1); it is empty when
// there is none.
func present(r *http.Request) (respond.Scheme, string, error) {
	malformed := fosite.ErrInvalidRequest.WithHint("The Authorization header is malformed.")
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return respond.SchemeBearer, "", nil
	case 1:
	default:
		return respond.SchemeBearer, "", malformed
	}
	name, token, ok := strings.Cut(headers[0], " ")
	if !ok || token == "" {
		return respond.SchemeBearer, "", malformed
	}
	switch {
	case strings.EqualFold(name, string(respond.SchemeBearer)):
		return respond.SchemeBearer, token, nil
	case strings.EqualFold(name, string(respond.SchemeDPoP)):
		return respond.SchemeDPoP, token, nil
	}
	return respond.SchemeBearer, "", malformed
}

var (
	errAudience = errors.New("the token is for another resource")
	errCitizen  = errors.New("the token speaks of a citizen")
	errEpoch    = errors.New("the client was suspended since")
	errScheme   = errors.New("the scheme is not the one the token is for")
	errX5T      = errors.New("the certificate is another one, or missing")
	errUnbound  = errors.New("the token is bound to nothing")
)

// admit looks at the token. right is the scheme it should have come with, as far as that
// is known.
func (g *Guard) admit(r *http.Request, scheme respond.Scheme, token string) (_ Caller, right respond.Scheme, _ error) {
	ctx, right := r.Context(), scheme
	refuse := func(err error) (Caller, respond.Scheme, error) { return Caller{}, right, respond.InvalidToken(err) }
	claims, err := g.Issuer.ReadAccess(token, g.Clock.Now())
	if err != nil {
		return refuse(err)
	}
	bound := claims.Bound()
	right = respond.SchemeBearer
	if bound.JKT != "" {
		right = respond.SchemeDPoP
	}
	switch {
	case !claims.Audience.Contains(g.Audience):
		return refuse(errAudience)
	case !claims.Grant.IsZero() || claims.Subject != claims.ClientID:
		return refuse(errCitizen)
	case scheme != right:
		return Caller{}, right, unbound(claims.ClientID, errScheme)
	case g.Bound && bound == (oauth.Binding{}):
		return refuse(errUnbound)
	}
	client, err := g.Registry.Client(ctx, claims.ClientID)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return refuse(err)
	case err != nil:
		return Caller{}, right, fosite.ErrTemporarilyUnavailable.WithWrap(err)
	case claims.ClientEpoch != client.Epoch:
		return refuse(errEpoch)
	}
	if err := g.holds(r, client, token, bound); err != nil {
		return Caller{}, right, err
	}
	// What the client may not have any more its token is not good for either.
	return Caller{client, client.Within(strings.Fields(claims.Scope))}, right, nil
}

// holds compares what the token is bound to with how it came.
func (g *Guard) holds(r *http.Request, client *oauth.Client, token string, bound oauth.Binding) error {
	if client.DPoPBound && bound.JKT == "" || client.CertBound && bound.X5T == "" {
		return unbound(client.ID, errScheme) // from before the client had to have its tokens bound
	}
	if bound.JKT != "" {
		if _, err := g.Proofs.Verify(r.Context(), r, dpop.Expect{AccessToken: token, JKT: bound.JKT, RequireNonce: client.RequireNonce}); err != nil {
			return err
		}
	}
	if bound.X5T == "" {
		return nil
	}
	cert, err := g.Certificates.Certificate(r)
	switch {
	case err != nil:
		return err
	case cert == nil || mtls.Thumbprint(cert) != bound.X5T:
		return unbound(client.ID, errX5T)
	}
	return nil
}

// unbound is a token of ours that came without the key it is bound to: perhaps with
// somebody else.
func unbound(client string, cause error) error {
	return oauth.Refuse(respond.InvalidToken(cause), audit.ProofRefused, client, "a token without the key it is bound to", nil)
}
