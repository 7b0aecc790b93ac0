package token

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/rar"
	"ecardid/oauth/respond"
)

// Token types (RFC 8693 §3).
const (
	typeAccess = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT    = "urn:ietf:params:oauth:token-type:jwt"
)

// ExchangeStore is what token exchange needs from storage.
type ExchangeStore interface {
	oauth.Exchanges
	Token(ctx context.Context, token []byte, now time.Time, once ...oauth.Once) (oauth.TokenInfo, error)
}

// Exchange is token exchange (RFC 8693) for the one delegation we know: a resource
// server that was called with an access token calls the next one on behalf of the
// same citizen. It takes a registration with the grant type and with the resources
// the client may go on to; there is no other way to have it (SECURITY CO5, TK5).
//
// The result is never more than its subject: scopes the citizen gave, for a resource
// the subject token is for as well, as the client's own ceiling allows, until the
// subject token ends, and dead when what that hangs on is. It says in act who acts,
// and through whom. Details are not passed on: they were agreed to once, for the
// application they were shown with.
type Exchange struct {
	Terms
	Store    ExchangeStore
	Registry framework.Registry
	Tokens   *issue.Issuer
	Handles  issue.Handles
}

var _ Grant = (*Exchange)(nil)

// Type implements Grant.
func (*Exchange) Type() string { return oauth.GrantExchange }

// Prove implements Grant.
func (x *Exchange) Prove(ctx context.Context, req Request) (Answer, error) {
	if req.Client.Public() || len(req.Client.ExchangeResources) == 0 || req.Client.State == oauth.ClientTesting {
		return Answer{}, oauth.Refuse(fosite.ErrUnauthorizedClient.WithHint("The client was not admitted to exchange tokens."),
			audit.AccessRefused, req.Client.ID, "token exchange by a client that may not", nil)
	}
	if err := exchangeable(req); err != nil {
		return Answer{}, err
	}
	asked, err := requested(req.Form)
	if err != nil {
		return Answer{}, err
	}
	targets, err := x.targets(req)
	if err != nil {
		return Answer{}, err
	}
	s, err := x.subject(ctx, req)
	switch {
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded), errors.Is(err, issue.ErrToken):
		return Answer{}, badSubject(err)
	case err != nil:
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	case !s.bound.within(req.Binding):
		// What was bound does not become a bearer token (SECURITY SC3).
		return Answer{}, fosite.ErrInvalidRequest.WithHint("The subject_token is bound to a key; prove one of your own for what it is exchanged for.")
	}
	scope, audience, err := x.result(req.Client, s, targets, asked)
	if err != nil {
		return Answer{}, err
	}
	act, err := actor(req.Client.ID, s.act)
	if err != nil {
		return Answer{}, badSubject(err)
	}
	access := x.Handles.New(issue.Access)
	ends := req.Now.Add(issue.AccessLife)
	if s.expires.Before(ends) {
		ends = s.expires
	}
	g, err := x.Store.Exchange(ctx, oauth.Exchange{
		Parent: s.grant, ID: identity.NewID(), ClientID: req.Client.ID, Scope: scope, Resource: audience,
		Opaque: x.Catalogue.Form(scope) == catalogue.Opaque, Act: act, Expires: ends,
		Access: oauth.NewAccess{Token: access.Hash(), Expires: ends, Binding: req.Binding},
		Once:   req.Ledger.Take(), Now: req.Now,
	})
	switch {
	case errors.Is(err, identity.ErrReplayed):
		return Answer{}, err
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded):
		return Answer{}, badSubject(err)
	case errors.Is(err, identity.ErrConflict):
		return Answer{}, fosite.ErrInvalidRequest.WithHint("The subject_token was passed on too often already.").WithWrap(err)
	case errors.Is(err, identity.ErrScope):
		return Answer{}, x.beyond(req.Client, scope)
	case err != nil:
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	answer := Answer{Grant: g, Scope: scope, Audience: audience, Type: typeAccess}
	if g.Opaque {
		answer.Access = access
	}
	return answer, nil
}

// exchangeable checks what RFC 8693 §2.1 has parameters for and we have one value
// for. An actor token is none of them: who acts is the client that authenticates.
func exchangeable(req Request) error {
	form := req.Form
	switch kind := form.Get("subject_token_type"); {
	case form.Get("subject_token") == "" || kind == "":
		return fosite.ErrInvalidRequest.WithHint("The parameters subject_token and subject_token_type are required.")
	case kind != typeAccess && (kind != typeJWT || !issue.IsJWT(form.Get("subject_token"))):
		return fosite.ErrInvalidRequest.WithHint("Only access tokens of this server are exchanged.")
	case form.Has("requested_token_type") && form.Get("requested_token_type") != typeAccess:
		return fosite.ErrInvalidRequest.WithHint("Only access tokens are issued in exchange.")
	case form.Has("actor_token") || form.Has("actor_token_type"):
		return fosite.ErrInvalidRequest.WithHint("The actor is the client itself; there is no actor_token.")
	case form.Has("authorization_details"):
		return rar.Invalid("Details are not passed on.")
	}
	return nil
}

// targets are where the client wants to go: resource and audience are two names for
// it, since our resource servers are known by their URIs. Nil: wherever it may.
func (*Exchange) targets(req Request) ([]string, error) {
	targets, err := Targets(req.Form)
	if err != nil {
		return nil, err
	}
	for _, a := range req.Form["audience"] {
		if !slices.Contains(targets, a) {
			targets = append(targets, a)
		}
	}
	if len(within(targets, req.Client.ExchangeResources)) < len(targets) {
		return nil, oauth.Refuse(respond.InvalidTarget(), audit.AccessRefused, req.Client.ID, "token exchange for a resource that is not the client's to call", nil)
	}
	return targets, nil
}

// A subject is a subject token that was read: a token of ours, within its time, whose
// grant may have ended since.
type subject struct {
	client   string // it was issued to
	grant    identity.ID
	scope    []string
	audience []string
	bound    bound
	act      json.RawMessage
	expires  time.Time
}

// subject reads the token. Of a JWT nothing has to be looked up: the statement that
// exchanges it finds out whether it is alive.
func (x *Exchange) subject(ctx context.Context, req Request) (subject, error) {
	token := req.Form.Get("subject_token")
	var s subject
	if issue.IsJWT(token) {
		claims, err := x.Tokens.ReadAccess(token, req.Now)
		if err != nil {
			return subject{}, err
		}
		s = subject{
			claims.ClientID, claims.Grant, strings.Fields(claims.Scope), claims.Audience.Values(), bound(claims.Bound()),
			claims.Act, claims.Expires.Time,
		}
	} else {
		hash, ok := x.Handles.Hash(issue.Access, token)
		if !ok {
			return subject{}, identity.ErrNotFound
		}
		info, err := x.Store.Token(ctx, hash, req.Now)
		if err != nil {
			return subject{}, err
		}
		s = subject{
			info.Grant.ClientID, info.Grant.ID, info.Scope, info.Resource, bound(info.Binding), info.Grant.Act, info.Expires,
		}
	}
	if s.grant.IsZero() { // a client's own: nobody stands behind it
		return subject{}, identity.ErrNotFound
	}
	// Its client may have less by now, and is asked as everywhere (SECURITY G6).
	client, err := x.Registry.Client(ctx, s.client)
	if err != nil {
		return subject{}, err
	}
	s.scope = client.Within(s.scope)
	return s, nil
}

// result is what the client may have for the subject. First it has to have been
// called with it: be the server of a resource that the token gives something for,
// as introspection would tell it.
func (x *Exchange) result(client *oauth.Client, s subject, targets, asked []string) (scope, audience []string, err error) {
	if len(x.Catalogue.For(s.scope, within(s.audience, client.Resources))) == 0 {
		return nil, nil, oauth.Refuse(badSubject(errors.New("the client is not its audience")),
			audit.AccessRefused, client.ID, "token exchange with a token for somebody else", nil)
	}
	reach := within(client.ExchangeResources, s.audience)
	if targets != nil {
		reach = within(reach, targets)
	}
	// What is good once was used when the client was called.
	scope = x.Catalogue.Carried(client.Within(x.Catalogue.For(s.scope, reach)))
	if len(scope) == 0 || len(within(targets, x.Catalogue.Audience(x.Issuer, scope))) < len(targets) {
		return nil, nil, respond.InvalidTarget()
	}
	if more := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return slices.Contains(scope, s) }); len(more) > 0 {
		return nil, nil, x.beyond(client, more)
	}
	if asked != nil {
		scope = asked
	}
	return scope, x.Catalogue.Audience(x.Issuer, scope), nil
}

// A bound is the key a subject token is bound to.
type bound oauth.Binding

// within reports whether a result with this binding is bound if b is.
func (b bound) within(result oauth.Binding) bool {
	return b == bound{} || result != oauth.Binding{}
}

// actor is the act claim: the client, and inside it whoever acted before (RFC 8693
// §4.1).
func actor(clientID string, before json.RawMessage) (json.RawMessage, error) {
	return json.Marshal(struct {
		Subject string          `json:"sub"`
		Act     json.RawMessage `json:"act,omitempty"`
	}{clientID, before})
}

func badSubject(cause error) error {
	return fosite.ErrInvalidRequest.WithHint("The subject_token is unknown, expired, revoked or not meant for this client.").WithWrap(cause)
}
