package authorize

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/respond"
)

// A request is a validated authorization request.
type request struct {
	asked
	client  framework.Client
	values  url.Values
	ar      *fosite.AuthorizeRequest // where and how to answer
	scope   []string
	wanted  []string // subs the client means, by hint or claims; nil for anybody
	sent    string   // redirect_uri as sent, empty when it was left out
	created time.Time
	stored  *oauth.StoredRequest // nil on the direct path
	handle  string               // of stored
	need    identity.Need
}

// A fault is an error for a person: there is nowhere trusted to send it.
type fault struct {
	kind   oauth.Fault
	status int
	cause  error
}

func (f *fault) Error() string { return string(f.kind) + ": " + f.cause.Error() }
func (f *fault) Unwrap() error { return f.cause }

var (
	errClient   = errors.New("unknown or suspended client")
	errRedirect = errors.New("redirect_uri is not registered")
)

// open finds out whom to answer: the client and the redirect URI. Until it has
// succeeded nothing may be sent anywhere (RFC 6749 §4.1.2.1).
func (h *Handler) open(ctx context.Context, values url.Values) (framework.Client, *fosite.AuthorizeRequest, error) {
	c, err := h.Registry.Client(ctx, values.Get("client_id"))
	if errors.Is(err, identity.ErrNotFound) {
		return framework.Client{}, nil, &fault{oauth.FaultClient, http.StatusBadRequest, errClient}
	}
	if err != nil {
		return framework.Client{}, nil, &fault{oauth.FaultServer, http.StatusInternalServerError, fosite.ErrServerError.WithWrap(err)}
	}
	redirect := values.Get("redirect_uri")
	if redirect == "" && len(c.RedirectURIs) == 1 {
		redirect = c.RedirectURIs[0] // RFC 6749 §3.1.2.3; with openid it must be sent, as fosite checks
	}
	target, err := url.Parse(redirect)
	// What the parser would write differently is not what was registered.
	if !oauth.MatchRedirect(c.RedirectURIs, redirect) || err != nil || target.String() != redirect {
		return framework.Client{}, nil, &fault{oauth.FaultRedirect, http.StatusBadRequest, errRedirect}
	}
	client := framework.Client{Client: c, Redirect: redirect}
	ar := fosite.NewAuthorizeRequest()
	ar.Client, ar.RedirectURI, ar.State = client, target, values.Get("state")
	ar.ResponseMode = fosite.ResponseModeQuery
	if values.Get("response_mode") == oauth.ModeFormPost && slices.Contains(c.ResponseModes, oauth.ModeFormPost) {
		ar.ResponseMode = fosite.ResponseModeFormPost
	}
	return client, ar, nil
}

// validate reads the parameters of a request whose client and redirect URI are
// known. Its errors may be sent back through ar.
//
// The order is RFC 6749's and fosite's; what is stored was validated when it
// came and is validated again, because the client may have changed since.
func (h *Handler) validate(ctx context.Context, values url.Values, client framework.Client, ar *fosite.AuthorizeRequest, stored *oauth.StoredRequest, created time.Time) (*request, error) {
	pushed := stored != nil && stored.Kind == kindPushed
	switch {
	case client.Profile == oauth.ProfileFAPI2 && !pushed:
		return nil, invalid("The requests of this client have to be pushed (RFC 9126).")
	case values.Get("request") != "":
		return nil, fosite.ErrRequestNotSupported
	case values.Get("request_uri") != "":
		return nil, fosite.ErrRequestURINotSupported
	case values.Get("registration") != "":
		return nil, fosite.ErrRegistrationNotSupported
	}
	if values.Get("response_type") == "" {
		return nil, invalid("The parameter response_type is missing.")
	}
	if !client.MayUse(oauth.GrantCode) {
		return nil, fosite.ErrUnauthorizedClient.WithHint("The client was not admitted with this grant type.")
	}
	if _, err := oauth.ParseScope(values.Get("scope")); err != nil {
		return nil, fosite.ErrInvalidScope.WithHint("The scope parameter is malformed.")
	}
	if err := h.framework(ctx, values, client); err != nil {
		return nil, err
	}
	req := &request{client: client, values: values, ar: ar, stored: stored, sent: values.Get("redirect_uri"), created: created}
	ar.ResponseTypes = fosite.Arguments{"code"}
	var err error
	if req.asked, err = read(values, client.Client); err != nil {
		return nil, err
	}
	if req.scope, err = h.scopes(values, client.Client); err != nil {
		return nil, err
	}
	req.wanted = req.subjects
	if hint := values.Get("id_token_hint"); hint != "" {
		subject, err := h.Issuer.ReadHint(hint, client.ID)
		if err != nil || req.subjects != nil && !slices.Contains(req.subjects, subject) {
			return nil, invalid("The id_token_hint is not an ID token of this client.")
		}
		req.wanted = []string{subject}
	}
	req.need = need(req.asked, client.Client, req.scope, h.Catalogue, h.Floor, created, h.Clock.Now())
	asker := client.Asker(client.Redirect)
	req.need.Asker = &asker
	if stored != nil {
		req.need.Txn = transaction(stored.Handle)
	}
	return req, nil
}

// framework has fosite look at the request: one made up of nothing but these
// parameters. A state is put in when there is none, because fosite wants one and
// we do not; our own copy in ar stays as it was sent.
func (h *Handler) framework(ctx context.Context, values url.Values, client framework.Client) error {
	copied := make(url.Values, len(values)+1)
	for name, v := range values {
		copied[name] = v
	}
	if copied.Get("state") == "" {
		copied.Set("state", "none")
	}
	synthetic := &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}, Form: copied}
	_, err := h.Provider.NewAuthorizeRequest(framework.WithClient(ctx, client), synthetic)
	return err
}

// scopes are what the request is about. offline_access means nothing for a client
// that may not refresh, and is then ignored (OpenID Connect Core §11).
func (h *Handler) scopes(values url.Values, client *oauth.Client) ([]string, error) {
	scope, err := oauth.ParseScope(values.Get("scope"))
	if err != nil || len(scope) == 0 {
		return nil, fosite.ErrInvalidScope.WithHint("There is no scope.")
	}
	if unknown := h.Catalogue.Unknown(scope); len(unknown) > 0 {
		return nil, fosite.ErrInvalidScope.WithHintf("Unknown: %s.", strings.Join(unknown, " "))
	}
	if machine := h.Catalogue.Machine(scope); len(machine) > 0 {
		return nil, fosite.ErrInvalidScope.WithHintf("Only for clients themselves: %s.", strings.Join(machine, " "))
	}
	if !client.MayUse(oauth.GrantRefresh) {
		scope = slices.DeleteFunc(scope, func(s string) bool { return s == oauth.ScopeOffline })
	}
	if len(scope) == 0 {
		return nil, fosite.ErrInvalidScope.WithHint("There is no scope.")
	}
	return scope, nil
}

// grant is what the login would give.
func (h *Handler) grant(req *request, login identity.Login, now time.Time) oauth.Grant {
	sure := login.Assurance(req.need, now)
	offline := slices.Contains(req.scope, oauth.ScopeOffline)
	ends := now.Add(h.Lives.Absolute)
	if !offline && login.Ends.Before(ends) {
		ends = login.Ends
	}
	return oauth.Grant{
		ID: identity.NewID(), ClientID: req.client.ID, Citizen: login.Citizen, Login: login.ID,
		Scope: req.scope, Resource: h.Catalogue.Audience(h.Issuer.Name, req.scope),
		RedirectURI: req.sent, Nonce: req.nonce,
		ACR: acr(sure.Level, req.essential), AMR: sure.AMR, AuthTime: sure.At,
		Offline: offline, Opaque: h.Catalogue.Form(req.scope) == catalogue.Opaque,
		Created: now, Expires: ends,
	}
}

// fail answers an error: back to the application where that is trusted, on a page
// where it is not.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, ar *fosite.AuthorizeRequest, err error) {
	ctx := respond.WithRequest(r)
	var page *fault
	if errors.As(err, &page) || ar == nil {
		kind, status := oauth.FaultRequest, http.StatusBadRequest
		switch {
		case page != nil:
			kind, status = page.kind, page.status
		case !errors.As(err, new(*form.Error)) && !errors.As(err, new(*fosite.RFC6749Error)):
			err = fosite.ErrServerError.WithWrap(err) // whatever it is, it is ours
		}
		h.Modes.Page(ctx, w, kind, status, err)
		return
	}
	h.Provider.WriteAuthorizeError(ctx, w, ar, err)
}
