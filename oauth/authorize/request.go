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

	"ecardid/audit"
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
	client   framework.Client
	values   url.Values
	ar       *fosite.AuthorizeRequest // where and how to answer
	scope    []string
	agree    []string // scope, and the items of claims asked for by name
	resource []string // audiences of the access tokens
	wanted   []string // subs the client means, by hint or claims; nil for anybody
	sent     string   // redirect_uri as sent, empty when it was left out
	created  time.Time
	stored   *oauth.StoredRequest // nil on the direct path
	device   *device              // that it is about; ar is nil then
	handle   string               // of stored
	need     identity.Need
}

// claimed reports whether the request is stored for one browser: this one, since
// load has compared.
func (req *request) claimed() bool { return req.stored != nil && len(req.stored.Browser) > 0 }

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
	errOutsider = errors.New("the client is being tested, and not with this citizen")
	errRedirect = errors.New("redirect_uri is not registered")
)

// asker finds the client that a request names.
func (h *Handler) asker(ctx context.Context, id string) (*oauth.Client, error) {
	c, err := h.Registry.Client(ctx, id)
	switch {
	case errors.Is(err, oauth.ErrLapsed):
		return nil, &fault{oauth.FaultLapsed, http.StatusForbidden, oauth.ErrLapsed}
	case errors.Is(err, identity.ErrNotFound):
		return nil, &fault{oauth.FaultClient, http.StatusBadRequest, errClient}
	case err != nil:
		return nil, &fault{oauth.FaultServer, http.StatusInternalServerError, fosite.ErrServerError.WithWrap(err)}
	}
	return c, nil
}

// open finds out where to answer: at a redirect URI of the client. Until it has
// succeeded nothing may be sent anywhere (RFC 6749 §4.1.2.1).
func open(values url.Values, c *oauth.Client, created time.Time) (*request, error) {
	redirect := values.Get("redirect_uri")
	if redirect == "" && len(c.RedirectURIs) == 1 {
		redirect = c.RedirectURIs[0] // RFC 6749 §3.1.2.3; with openid it must be sent, as fosite checks
	}
	target, err := url.Parse(redirect)
	// What the parser would write differently is not what was registered.
	if !oauth.MatchRedirect(c.RedirectURIs, redirect) || err != nil || target.String() != redirect {
		return nil, oauth.Refuse(&fault{oauth.FaultRedirect, http.StatusBadRequest, errRedirect},
			audit.RequestRefused, c.ID, "redirect URI", nil)
	}
	client := framework.Client{Client: c, Redirect: redirect}
	ar := fosite.NewAuthorizeRequest()
	ar.Client, ar.RedirectURI, ar.State = client, target, values.Get("state")
	ar.ResponseMode = fosite.ResponseModeType(mode(c, values.Get("response_mode")))
	return &request{client: client, values: values, ar: ar, sent: values.Get("redirect_uri"), created: created}, nil
}

// mode is how to answer: as asked where that is registered, and otherwise, for the
// error that says so too, as registered (SECURITY AZ5).
func mode(c *oauth.Client, asked string) string {
	switch {
	case asked != "" && slices.Contains(c.ResponseModes, asked):
		return asked
	case len(c.ResponseModes) == 0 || slices.Contains(c.ResponseModes, oauth.ModeQuery):
		return oauth.ModeQuery
	}
	return c.ResponseModes[0]
}

// An arrival is how a request came to us.
type arrival struct {
	pushed bool // by its client, authenticated (RFC 9126)
	signed bool // as a request object (RFC 9101), or it is stored and was looked at when it came
}

// held is what the client holds itself to: its requests come the way it registered.
func (how arrival) held(c *oauth.Client) error {
	switch {
	case !how.pushed && (c.RequirePAR || c.Profile == oauth.ProfileFAPI2):
		return invalid("The requests of this client have to be pushed (RFC 9126).")
	case !how.signed && c.RequireSignedRequest:
		return invalid("The requests of this client have to be signed request objects (RFC 9101).")
	}
	return nil
}

// unpack reads the request object, if there is one: its parameters are then all
// there are (RFC 9101 §6.3). Until it is verified, it names nobody to be answered.
func (h *Handler) unpack(ctx context.Context, values url.Values, client *oauth.Client) (url.Values, bool, error) {
	object := values.Get("request")
	if object == "" {
		return values, false, nil
	}
	if values.Has("request_uri") {
		return nil, false, invalid("The parameters request and request_uri exclude each other (RFC 9101 section 5).")
	}
	inside, err := h.Objects.Read(ctx, client, object, known())
	if err != nil {
		err = oauth.Refuse(err, audit.RequestRefused, client.ID, "request object", nil)
	}
	return inside, true, err
}

// validate reads the parameters of a request that was opened. Its errors may be sent
// back through ar.
//
// The order is RFC 6749's and fosite's; what is stored was validated when it
// came and is validated again, because the client may have changed since.
func (h *Handler) validate(ctx context.Context, req *request, how arrival) error {
	client, values := req.client, req.values
	if err := how.held(client.Client); err != nil {
		return oauth.Refuse(err, audit.RequestRefused, client.ID, "another way than the client registered", nil)
	}
	switch {
	case values.Get("request_uri") != "": // one that is none of ours: we follow no URL
		return fosite.ErrRequestURINotSupported
	case values.Get("registration") != "":
		return fosite.ErrRegistrationNotSupported
	case values.Get("redirect_uri") == "" && client.Profile == oauth.ProfileFAPI2: // FAPI 2.0 §5.3.2.2
		return invalid("The parameter redirect_uri is missing.")
	case values.Get("response_mode") == "" && string(req.ar.ResponseMode) != oauth.ModeQuery:
		return fosite.ErrUnsupportedResponseMode.WithHint("The default response_mode, query, is not registered.")
	}
	switch values.Get("response_type") {
	case "code": // in this one spelling; fosite would take "code code" as well (SECURITY AZ5)
	case "":
		return invalid("The parameter response_type is missing.")
	default:
		return fosite.ErrUnsupportedResponseType.WithHint("The only response_type here is code.")
	}
	if !client.MayUse(oauth.GrantCode) {
		return fosite.ErrUnauthorizedClient.WithHint("The client was not admitted with this grant type.")
	}
	if _, err := oauth.ParseScope(values.Get("scope")); err != nil {
		return fosite.ErrInvalidScope.WithHint("The scope parameter is malformed.")
	}
	if err := h.framework(ctx, values, client); err != nil {
		return err
	}
	req.ar.ResponseTypes = fosite.Arguments{"code"}
	var err error
	if req.asked, err = read(values, client.Client); err != nil {
		return err
	}
	if req.scope, err = h.scopes(values, client.Client); err != nil {
		return err
	}
	if req.details, err = h.Details.Parse(values.Get("authorization_details"), client.Client); err != nil {
		return err
	}
	if req.resource, err = h.targets(values["resource"], req.scope, req.details.Resources()); err != nil {
		return err
	}
	req.single(h.Catalogue)
	req.wanted = req.subjects
	if hint := values.Get("id_token_hint"); hint != "" {
		meant, err := h.Issuer.ReadHint(hint, client.ID)
		if err != nil || req.subjects != nil && !slices.Contains(req.subjects, meant.Subject) {
			return invalid("The id_token_hint is not an ID token of this client.")
		}
		req.wanted = []string{meant.Subject}
	}
	req.need = need(req.asked, client.Client, req.scope, h.Catalogue, h.Floor, req.created, h.Clock.Now())
	asker := client.Asker(client.Redirect)
	req.need.Asker = &asker
	if req.stored != nil {
		req.need.Txn = transaction(req.stored.Handle)
	}
	req.raise(h.Catalogue, h.Clock.Now())
	return nil
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
	if errors.Is(err, fosite.ErrInvalidScope) {
		return h.beyond(err, client.Client, values)
	}
	return err
}

// beyond is the refusal of scopes that are not for this client to ask a citizen for.
// The trail has those of them that there are.
func (h *Handler) beyond(err error, client *oauth.Client, values url.Values) error {
	asked, own := strings.Fields(values.Get("scope")), h.Catalogue.Machine(h.Catalogue.Names())
	more := slices.DeleteFunc(h.Catalogue.Names(), func(s string) bool {
		return !slices.Contains(asked, s) || client.Allows(s) && !slices.Contains(own, s)
	})
	return oauth.Refuse(err, audit.ScopeRefused, client.ID, "a scope that is not the client's", map[string]string{"scope": strings.Join(more, " ")})
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
		return nil, h.beyond(fosite.ErrInvalidScope.WithHintf("Only for clients themselves: %s.", strings.Join(machine, " ")), client, values)
	}
	if !client.MayUse(oauth.GrantRefresh) {
		scope = slices.DeleteFunc(scope, func(s string) bool { return s == oauth.ScopeOffline })
	}
	if len(scope) == 0 {
		return nil, fosite.ErrInvalidScope.WithHint("There is no scope.")
	}
	return scope, nil
}

// targets are whom access tokens will be for: those asked for (RFC 8707 §2), each
// of whom some scope or detail is for, or all that scopes and details are for.
func (h *Handler) targets(asked, scope, detailed []string) ([]string, error) {
	all := h.Catalogue.Audience(h.Issuer.Name, scope)
	for _, resource := range detailed {
		if !slices.Contains(all, resource) {
			all = append(all, resource)
		}
	}
	if len(asked) == 0 {
		return all, nil
	}
	var targets []string
	for _, resource := range asked {
		switch {
		case !slices.Contains(all, resource):
			return nil, respond.InvalidTarget()
		case !slices.Contains(targets, resource):
			targets = append(targets, resource)
		}
	}
	return targets, nil
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
		ID: identity.NewID(), ClientID: req.client.ID, Citizen: login.Citizen, Login: login.ID, Session: login.Session,
		Scope: req.scope, Resource: req.resource,
		RedirectURI: req.sent, Nonce: req.nonce,
		ACR: acr(sure.Level, req.essential), AMR: sure.AMR, AuthTime: sure.At,
		// What was agreed to once must not go on for minutes after it was revoked.
		Offline: offline, Opaque: h.Catalogue.Form(req.scope) == catalogue.Opaque || !req.details.IsZero(),
		Details: req.details.JSON(), Claims: req.claims,
		Created: now, Expires: ends,
	}
}

// astray reports whether an answer would send a browser that nobody signed in to to
// where an application, which registered itself, wants it: our name would be good for
// any link to anywhere (SECURITY AZ3, RFC 9700 §4.11.2).
func (h *Handler) astray(r *http.Request, ar *fosite.AuthorizeRequest) bool {
	c, ok := ar.GetClient().(framework.Client)
	if ok && !c.Dynamic {
		return false
	}
	login, err := h.current(r)
	return err != nil || login == nil
}

// fail answers an error: back to the application where that is trusted, on a page
// where it is not.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, ar *fosite.AuthorizeRequest, err error) {
	ctx := respond.WithRequest(r)
	var page *fault
	if errors.As(err, &page) || ar == nil || h.astray(r, ar) {
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
