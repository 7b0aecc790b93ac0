package token

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/internal/clock"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
)

// A Request is a token request of a client that has authenticated and was
// admitted with this grant type.
type Request struct {
	Client  *oauth.Client
	Form    url.Values
	Binding oauth.Binding
	Now     time.Time
}

// An Answer is what a grant has proved: on whose behalf which tokens are due.
type Answer struct {
	Grant    oauth.Grant // zero: the client's own
	Scope    []string
	Audience []string
	Access   secret.Value // opaque and stored already; empty: a JWT is to be made
	Refresh  secret.Value // empty: none
	Nonce    string       // for the ID token
}

// A Grant proves one thing: on whose behalf this client may have tokens.
type Grant interface {
	Type() string
	Prove(ctx context.Context, req Request) (Answer, error)
}

// known are the parameters of all grants. What is not here no grant sees.
func known() form.Known {
	return append(form.Known{"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope"}, clientauth.Params()...)
}

// A Handler serves the endpoint.
type Handler struct {
	Provider *fosite.Fosite
	Respond  respond.Writer
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodPost)
		return
	}
	values, err := form.Post(w, r, known())
	if err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	// fosite reads the form of the request it is given: this one, and no other.
	strict := r.WithContext(r.Context())
	strict.Form, strict.PostForm = values, values
	req, err := h.Provider.NewAccessRequest(r.Context(), strict, &framework.Session{})
	if err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	resp, err := h.Provider.NewAccessResponse(r.Context(), req)
	if err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	h.Provider.WriteAccessResponse(r.Context(), w, req, resp)
}

// Handlers makes fosite's list out of grants.
func Handlers(issuer *issue.Issuer, clk clock.Clock, grants ...Grant) []fosite.TokenEndpointHandler {
	list := make([]fosite.TokenEndpointHandler, 0, len(grants)+1)
	var types []string
	for _, g := range grants {
		list = append(list, &handler{grant: g, issuer: issuer, clock: clk})
		types = append(types, g.Type())
	}
	return append(list, unsupported(types))
}

// handler is a grant as fosite sees it.
type handler struct {
	grant  Grant
	issuer *issue.Issuer
	clock  clock.Clock
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

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *handler) HandleTokenEndpointRequest(ctx context.Context, ar fosite.AccessRequester) error {
	client, session, err := parties(ar)
	if err != nil {
		return err
	}
	if !client.MayUse(h.grant.Type()) {
		return fosite.ErrUnauthorizedClient.WithHint("The client was not admitted with this grant type.")
	}
	if client.Profile == oauth.ProfileFAPI2 && session.Binding == (oauth.Binding{}) {
		return fosite.ErrInvalidRequest.WithHint("Tokens of this client have to be bound to a key.")
	}
	if err := h.issuer.Ready(client.Client); err != nil {
		return fosite.ErrTemporarilyUnavailable.WithWrap(err) // nothing is spent on what cannot be signed
	}
	answer, err := h.grant.Prove(ctx, Request{
		Client: client.Client, Form: ar.GetRequestForm(), Binding: session.Binding, Now: h.clock.Now(),
	})
	if err != nil {
		return err
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
	now := h.clock.Now()
	access := answer.Access.Reveal()
	if answer.Access.Empty() {
		if access, err = h.issuer.Access(client.Client, answer.Grant, answer.Scope, answer.Audience, now); err != nil {
			return fosite.ErrServerError.WithWrap(err)
		}
	}
	resp.SetAccessToken(access)
	resp.SetTokenType(tokenType(session.Binding))
	resp.SetExpiresIn(issue.AccessLife)
	resp.SetScopes(answer.Scope)
	if !answer.Refresh.Empty() {
		resp.SetExtra("refresh_token", answer.Refresh.Reveal())
	}
	if !answer.Grant.ID.IsZero() && slices.Contains(answer.Scope, oauth.ScopeOpenID) {
		id, err := h.issuer.ID(client.Client, answer.Grant, answer.Nonce, access, now)
		if err != nil {
			return fosite.ErrServerError.WithWrap(err)
		}
		resp.SetExtra("id_token", id)
	}
	return nil
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

func beyond(scopes []string) error {
	return fosite.ErrInvalidScope.WithHintf("Not available here: %s.", strings.Join(scopes, " "))
}
