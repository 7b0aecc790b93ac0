package introspect

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
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/rar"
	"ecardid/oauth/respond"
)

// A Handler serves the endpoint.
type Handler struct {
	Provider  *fosite.Fosite
	Registry  framework.Registry
	Tokens    oauth.Tokens
	Issuer    *issue.Issuer
	Handles   issue.Handles
	Catalogue *catalogue.Catalogue
	Details   rar.Types
	Respond   respond.Writer
	Replay    oauth.Replay
	Clock     clock.Clock
}

// An Answer is RFC 7662 §2.2. Everything but Active is absent when it is false.
type Answer struct {
	Active       bool             `json:"active"`
	Scope        string           `json:"scope,omitempty"`
	ClientID     string           `json:"client_id,omitempty"`
	TokenType    string           `json:"token_type,omitempty"`
	Issuer       string           `json:"iss,omitempty"`
	Subject      string           `json:"sub,omitempty"`
	Audience     jose.Audience    `json:"aud,omitzero"`
	Expires      jose.NumericDate `json:"exp,omitzero"`
	IssuedAt     jose.NumericDate `json:"iat,omitzero"`
	ID           string           `json:"jti,omitempty"`
	AuthTime     jose.NumericDate `json:"auth_time,omitzero"` // RFC 9470 §6.2
	ACR          string           `json:"acr,omitempty"`
	AMR          []string         `json:"amr,omitempty"`
	Details      json.RawMessage  `json:"authorization_details,omitempty"` // RFC 9396 §9.2
	Act          json.RawMessage  `json:"act,omitempty"`                   // RFC 8693 §4.1
	Confirmation *oauth.Binding   `json:"cnf,omitempty"`

	citizen identity.ID
}

func known() form.Known {
	return append(form.Known{"token", "token_type_hint"}, clientauth.Params()...)
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
	ctx, ledger := oauth.WithLedger(r.Context())
	asker, answer, err := h.answer(ctx, r, values)
	// What no read took along is used up before anything is said.
	if spent := clientauth.Settle(ctx, h.Replay, ledger, values, h.Clock.Now()); spent != nil {
		err = spent
	}
	if err == nil {
		err = h.write(ctx, w, r, asker, answer)
	}
	if err != nil {
		h.Respond.ClientError(w, r, err)
	}
}

// write answers in the form the resource server asked for. One that has registered
// to have its answers encrypted gets no other.
func (h *Handler) write(ctx context.Context, w http.ResponseWriter, r *http.Request, asker *oauth.Client, answer Answer) error {
	if asker.IntrospectionEncryptedAlg == "" && !wantsJWT(r.Header) {
		return respond.JSON(w, http.StatusOK, answer)
	}
	token, err := h.Issuer.Introspection(ctx, asker, answer, h.Clock.Now())
	if err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	respond.JWT(w, mediaJWT, token)
	return nil
}

func (h *Handler) answer(ctx context.Context, r *http.Request, values url.Values) (*oauth.Client, Answer, error) {
	authenticated, err := h.Provider.AuthenticateClient(ctx, r, values)
	if err != nil {
		return nil, Answer{}, err
	}
	asker, ok := authenticated.(framework.Client)
	if !ok || asker.Public() {
		return nil, Answer{}, oauth.Refuse(fosite.ErrInvalidClient.WithHint("Introspection is for clients with credentials."),
			audit.AccessRefused, authenticated.GetID(), "introspection without credentials", nil)
	}
	token := values.Get("token")
	switch {
	case token == "":
		return nil, Answer{}, fosite.ErrInvalidRequest.WithHint("The parameter token is missing.")
	case len(asker.Resources) == 0:
		h.note(r, asker, "introspection by a client that is no resource server")
		return asker.Client, Answer{}, nil
	}
	found, err := h.find(ctx, token, h.Clock.Now())
	switch {
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded), errors.Is(err, issue.ErrToken):
		return asker.Client, Answer{}, nil
	case errors.Is(err, identity.ErrReplayed):
		return nil, Answer{}, clientauth.Replayed(err, values)
	case err != nil:
		return nil, Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	if !found.citizen.IsZero() && !asker.Serves(found.citizen) {
		return asker.Client, Answer{}, nil // a resource server that is being tested, and somebody else
	}
	part, err := h.part(found, asker.Resources)
	if err != nil {
		return nil, Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	if found.Active && !part.Active {
		h.note(r, asker, "introspection of a token for somebody else")
	}
	return asker.Client, part, nil
}

// note writes down what nobody is told: the answer is the same as for a token that
// does not exist.
func (h *Handler) note(r *http.Request, asker framework.Client, reason string) {
	h.Respond.Note(r, audit.Event{Kind: audit.AccessRefused, Client: asker.ID, Reason: reason})
}

// find reads either form of an access token that is alive. The one read takes along
// what the request's ledger holds.
func (h *Handler) find(ctx context.Context, token string, now time.Time) (Answer, error) {
	if !issue.IsJWT(token) {
		hash, ok := h.Handles.Hash(issue.Access, token)
		if !ok {
			return Answer{}, identity.ErrNotFound
		}
		info, err := h.Tokens.Token(ctx, hash, now, oauth.LedgerOf(ctx).Take()...)
		if err != nil {
			return Answer{}, err
		}
		client, err := h.Registry.Client(ctx, info.Grant.ClientID)
		if err != nil {
			return Answer{}, err
		}
		a := h.of(client, info.Grant, info.Scope, info.Resource)
		a.Expires, a.IssuedAt = jose.Date(info.Expires), jose.Date(info.Issued)
		a.bind(info.Binding)
		return a, h.still(&a, client)
	}
	claims, err := h.Issuer.ReadAccess(token, now)
	if err != nil {
		return Answer{}, err
	}
	client, err := h.Registry.Client(ctx, claims.ClientID)
	if err != nil {
		return Answer{}, err
	}
	var g oauth.Grant
	if claims.Grant.IsZero() {
		if claims.ClientEpoch != client.Epoch {
			return Answer{}, identity.ErrNotFound // suspended since, and let in again
		}
	} else {
		if g, err = h.Tokens.LiveGrant(ctx, claims.Grant, now, oauth.LedgerOf(ctx).Take()...); err != nil {
			return Answer{}, err
		}
		if g.ClientID != claims.ClientID {
			return Answer{}, identity.ErrNotFound
		}
	}
	a := h.of(client, g, strings.Fields(claims.Scope), claims.Audience.Values())
	a.Subject = claims.Subject
	a.Expires, a.IssuedAt, a.ID = claims.Expires, claims.IssuedAt, claims.ID
	a.Details, a.Act = claims.Details, claims.Act // as narrowed for this token
	a.bind(claims.Bound())
	return a, h.still(&a, client)
}

// still takes away the details of types the client may not have any more.
func (h *Handler) still(a *Answer, client *oauth.Client) (err error) {
	a.Details, err = h.Details.Within(a.Details, client)
	return err
}

func (h *Handler) of(client *oauth.Client, g oauth.Grant, scope, audience []string) Answer {
	a := Answer{
		Active: true, ClientID: client.ID, TokenType: "Bearer", Issuer: h.Issuer.Name,
		Scope: strings.Join(client.Within(scope), " "), Audience: jose.To(audience...), Details: g.Details, Act: g.Act,
	}
	if !g.ID.IsZero() {
		a.Subject = h.Issuer.Subjects.Subject(client, g.Citizen)
		a.AuthTime, a.ACR, a.AMR = jose.Date(g.AuthTime), g.ACR, g.AMR
		a.citizen = g.Citizen
	}
	return a
}

func (a *Answer) bind(b oauth.Binding) {
	if b == (oauth.Binding{}) {
		return
	}
	a.Confirmation = &b
	if b.JKT != "" {
		a.TokenType = "DPoP"
	}
}

// part cuts the answer down to what is meant for one of resources, or to nothing.
func (h *Handler) part(a Answer, resources []string) (Answer, error) {
	var audience []string
	for _, aud := range a.Audience.Values() {
		details, err := h.Details.For(a.Details, []string{aud})
		if err != nil {
			return Answer{}, err
		}
		// A resource for which neither scope nor details are left is no audience any more.
		if slices.Contains(resources, aud) && len(h.Catalogue.For(strings.Fields(a.Scope), []string{aud}))+len(details) > 0 {
			audience = append(audience, aud)
		}
	}
	scope := h.Catalogue.For(strings.Fields(a.Scope), audience)
	var err error
	if a.Details, err = h.Details.For(a.Details, audience); err != nil {
		return Answer{}, err
	}
	if len(audience) == 0 || len(scope)+len(a.Details) == 0 {
		return Answer{}, nil
	}
	a.Audience, a.Scope = jose.To(audience...), strings.Join(scope, " ")
	return a, nil
}
