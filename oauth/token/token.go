package token

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
)

// Path of the endpoint below the issuer.
const Path = "/token"

// A Request is a token request of a client that has authenticated, was admitted
// with this grant type, and has proved the key its tokens are to be bound to.
type Request struct {
	Client  *oauth.Client
	Form    url.Values
	Binding oauth.Binding
	Ledger  *oauth.Ledger
	Now     time.Time
}

// An Answer is what a grant has proved: on whose behalf which tokens are due.
type Answer struct {
	Grant    oauth.Grant // zero: the client's own; its Details are those of this token
	Scope    []string    // of the access token
	Audience []string
	Access   secret.Value // opaque and stored already; empty: a JWT is to be made
	Refresh  secret.Value // empty: none
	OpenID   bool         // an ID token is due
	Nonce    string       // for it
	Type     string       // issued_token_type (RFC 8693 §2.2.1); empty: not said
}

// A Grant proves one thing: on whose behalf this client may have tokens.
type Grant interface {
	Type() string
	Prove(ctx context.Context, req Request) (Answer, error)
}

// known are the parameters of all grants. What is not here no grant sees.
func known() form.Known {
	return append(form.Known{
		"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "resource", "authorization_details",
		"device_code", "audience", "requested_token_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
	}, clientauth.Params()...)
}

// A Handler serves the endpoint.
type Handler struct {
	Provider *fosite.Fosite
	Replay   oauth.Replay
	Nonces   dpop.Nonces
	Respond  respond.Writer
	Clock    clock.Clock
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Every answer brings the nonce that the next proof may carry (RFC 9449 §8.2).
	w.Header().Set("DPoP-Nonce", h.Nonces.Next(h.Clock.Now()))
	if r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodPost)
		return
	}
	values, err := form.Post(w, r, known())
	if err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	ctx, ledger := oauth.WithLedger(r.Context())
	// fosite reads the form of the request it is given: this one, and no other.
	strict := r.WithContext(ctx)
	strict.Form, strict.PostForm = values, values
	req, err := h.Provider.NewAccessRequest(ctx, strict, &framework.Session{})
	// What the grant had no statement for, or never came to, is used up all the same.
	if spent := clientauth.Settle(ctx, h.Replay, ledger, values, h.Clock.Now()); spent != nil {
		err = spent
	}
	if err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	resp, err := h.Provider.NewAccessResponse(ctx, req)
	if err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	h.Provider.WriteAccessResponse(ctx, w, req, resp)
}

// Bindings finds the key that the tokens of a request are to be bound to, and
// refuses a request of this client that has to have one and has none.
type Bindings interface {
	Binding(ctx context.Context, r *http.Request, client *oauth.Client, e dpop.Expect) (oauth.Binding, error)
}

// An Endpoint is what all grants have in common.
type Endpoint struct {
	Issuer    *issue.Issuer
	Bindings  Bindings
	People    issue.People
	Catalogue *catalogue.Catalogue
	Uses      *oauth.Meter // nil: nothing is counted
	Clock     clock.Clock
}

// Handlers makes fosite's list out of grants.
func (e *Endpoint) Handlers(grants ...Grant) []fosite.TokenEndpointHandler {
	list := make([]fosite.TokenEndpointHandler, 0, len(grants)+1)
	var types []string
	for _, g := range grants {
		list = append(list, &handler{e, g})
		types = append(types, g.Type())
	}
	return append(list, unsupported(types))
}

// handler is a grant as fosite sees it.
type handler struct {
	*Endpoint
	grant Grant
}

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *handler) CanHandleTokenEndpointRequest(_ context.Context, ar fosite.AccessRequester) bool {
	return is(ar, h.grant.Type())
}

// is compares the parameter as it was sent; fosite splits it at blanks first.
func is(ar fosite.AccessRequester, grantType string) bool {
	return ar.GetRequestForm().Get("grant_type") == grantType
}

// CanSkipClientAuth implements fosite.TokenEndpointHandler. Nobody can.
func (*handler) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler. The proof of a
// key is read when the client is known, for the client says whether there must be
// one, and before the grant, which may be good for one key only.
func (h *handler) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	client, session, err := parties(ar)
	if err != nil {
		return err
	}
	if !client.MayUse(h.grant.Type()) {
		return oauth.Refuse(fosite.ErrUnauthorizedClient.WithHint("The client was not admitted with this grant type."),
			audit.GrantRefused, client.ID, "not admitted with "+h.grant.Type(), nil)
	}
	r, ok := ctx.Value(fosite.RequestContextKey).(*http.Request)
	if !ok {
		return fosite.ErrServerError
	}
	if session.Binding, err = h.Bindings.Binding(ctx, r, client.Client, dpop.Expect{
		Method: http.MethodPost, URL: h.Issuer.Name + Path, RequireNonce: client.RequireNonce,
	}); err != nil {
		return err
	}
	if client.Profile == oauth.ProfileFAPI2 && session.Binding == (oauth.Binding{}) {
		return fosite.ErrInvalidRequest.WithHint("Tokens of this client have to be bound to a key.")
	}
	if err := h.Issuer.Ready(ctx, client.Client); err != nil {
		return fosite.ErrTemporarilyUnavailable.WithWrap(err) // nothing is spent on what cannot be signed
	}
	answer, err := h.grant.Prove(ctx, Request{
		Client: client.Client, Form: ar.GetRequestForm(), Binding: session.Binding, Ledger: oauth.LedgerOf(ctx), Now: h.Clock.Now(),
	})
	if err != nil {
		return clientauth.Replayed(err, ar.GetRequestForm())
	}
	if h.grant.Type() == oauth.GrantRefresh {
		h.Uses.Count(client.ID, oauth.Refreshed)
	}
	session.Answer = answer
	return nil
}

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler: whatever
// the grant, the tokens are made here.
func (h *handler) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, resp fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, ar) {
		return fosite.ErrUnknownRequest
	}
	client, session, err := parties(ar)
	if err != nil {
		return err
	}
	answer, ok := session.Answer.(Answer)
	if !ok {
		return fosite.ErrServerError
	}
	now := h.Clock.Now()
	access := answer.Access.Reveal()
	if answer.Access.Empty() {
		if access, err = h.Issuer.Access(client.Client, answer.Grant, answer.Scope, answer.Audience, session.Binding, now); err != nil {
			return fosite.ErrServerError.WithWrap(err)
		}
	}
	resp.SetAccessToken(access)
	resp.SetTokenType(tokenType(session.Binding))
	resp.SetExpiresIn(life(answer.Grant, now))
	resp.SetScopes(answer.Scope)
	if len(answer.Grant.Details) > 0 {
		resp.SetExtra("authorization_details", json.RawMessage(answer.Grant.Details)) // RFC 9396 §7
	}
	if answer.Type != "" {
		resp.SetExtra("issued_token_type", answer.Type)
	}
	if !answer.Refresh.Empty() {
		resp.SetExtra("refresh_token", answer.Refresh.Reveal())
	}
	if answer.OpenID {
		// What the client may not have any more it is not told, however it was agreed to.
		answer.Grant.Claims.IDToken = h.Catalogue.Askable(client.Client, answer.Grant.Claims.IDToken)
		asked, err := issue.Asked(ctx, h.People, answer.Grant, now)
		if errors.Is(err, identity.ErrNotFound) {
			return fosite.ErrInvalidGrant.WithHint("What was granted has ended.").WithWrap(err) // in this moment
		}
		if err != nil {
			return fosite.ErrServerError.WithWrap(err)
		}
		id, err := h.Issuer.ID(ctx, client.Client, answer.Grant, answer.Nonce, access, asked, now)
		if err != nil {
			return fosite.ErrServerError.WithWrap(err)
		}
		resp.SetExtra("id_token", id)
	}
	return nil
}

// life is how long the access token has: no token outlives what it hangs on.
func life(g oauth.Grant, now time.Time) time.Duration {
	if g.ID.IsZero() || g.Expires.IsZero() {
		return issue.AccessLife
	}
	return min(issue.AccessLife, g.Expires.Sub(now))
}

func tokenType(b oauth.Binding) string {
	if b.JKT != "" {
		return "DPoP" // RFC 9449 §5
	}
	return "Bearer"
}

func parties(ar fosite.AccessRequester) (framework.Client, *framework.Session, error) {
	client, ok := ar.GetClient().(framework.Client)
	session, ok2 := ar.GetSession().(*framework.Session)
	if !ok || !ok2 || client.Client == nil {
		return framework.Client{}, nil, fosite.ErrServerError
	}
	return client, session, nil
}

// unsupported answers for every grant type that is none of these. Left to itself
// fosite says invalid_request where RFC 6749 §5.2 has a name for it.
type unsupported []string

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (u unsupported) CanHandleTokenEndpointRequest(_ context.Context, ar fosite.AccessRequester) bool {
	return !slices.ContainsFunc(u, func(t string) bool { return is(ar, t) })
}

// CanSkipClientAuth implements fosite.TokenEndpointHandler.
func (unsupported) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (unsupported) HandleTokenEndpointRequest(context.Context, fosite.AccessRequester) error {
	return fosite.ErrUnsupportedGrantType
}

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler.
func (unsupported) PopulateTokenEndpointResponse(context.Context, fosite.AccessRequester, fosite.AccessResponder) error {
	return fosite.ErrUnknownRequest
}

// requested reads the scope parameter; nil when there is none.
func requested(values url.Values) ([]string, error) {
	scope, err := oauth.ParseScope(values.Get("scope"))
	if err != nil {
		return nil, fosite.ErrInvalidScope.WithHint("The scope parameter is malformed.")
	}
	return scope, nil
}

// beyond refuses scopes that are not for this client to have. The trail has those of
// them that there are.
func (t Terms) beyond(client *oauth.Client, scopes []string) error {
	return oauth.Refuse(fosite.ErrInvalidScope.WithHintf("Not available here: %s.", strings.Join(scopes, " ")),
		audit.ScopeRefused, client.ID, "a scope that is not the client's", map[string]string{"scope": strings.Join(within(scopes, t.Catalogue.Names()), " ")})
}
