package revoke

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
)

// Store is what revoking needs from storage.
type Store interface {
	oauth.Revocations
	oauth.Replay
}

// A Handler serves the endpoint.
type Handler struct {
	Provider *fosite.Fosite
	Store    Store
	Issuer   *issue.Issuer
	Handles  issue.Handles
	Respond  respond.Writer
	Clock    clock.Clock
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
	if err == nil {
		ctx, ledger := oauth.WithLedger(r.Context())
		// The assertion is used up first: one that comes a second time ends nothing.
		client, refused := h.client(ctx, r, values)
		if err = clientauth.Settle(ctx, h.Store, ledger, values, h.Clock.Now()); err == nil {
			err = refused
		}
		if err == nil {
			err = h.revoke(ctx, r, client, values.Get("token"))
		}
	}
	if err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	respond.NoStore(w.Header())
	w.WriteHeader(http.StatusOK)
}

func (h *Handler) client(ctx context.Context, r *http.Request, values url.Values) (*oauth.Client, error) {
	authenticated, err := h.Provider.AuthenticateClient(ctx, r, values)
	if err != nil {
		return nil, err
	}
	client, ok := authenticated.(framework.Client)
	if !ok {
		return nil, fosite.ErrServerError
	}
	return client.Client, nil
}

func (h *Handler) revoke(ctx context.Context, r *http.Request, client *oauth.Client, token string) error {
	now := h.Clock.Now()
	if token == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter token is missing.")
	}
	event := audit.Event{
		Kind: audit.GrantRevoked, At: now, Actor: audit.Actor("client:" + client.ID), Client: client.ID, Reason: "revocation endpoint",
	}
	if issue.IsJWT(token) {
		claims, err := h.Issuer.ReadAccess(token, now)
		switch {
		case err != nil:
			return nil // expired or forged: nothing to end
		case claims.ClientID != client.ID:
			return h.another(r, client)
		case claims.Grant.IsZero():
			return respond.UnsupportedTokenType()
		}
		return h.durable(r, client, h.Store.RevokeGrant(ctx, claims.Grant, client.ID, now, event))
	}
	if family := h.Handles.Family(token); family != nil {
		return h.durable(r, client, h.Store.RevokeFamily(ctx, family, client.ID, now, event))
	}
	if hash, ok := h.Handles.Hash(issue.Access, token); ok {
		return h.durable(r, client, h.Store.RevokeToken(ctx, hash, client.ID, now, event))
	}
	return nil
}

// another is the answer for the token of another client: that of one that does not
// exist (RFC 7009 §2.2). Only the trail knows.
func (h *Handler) another(r *http.Request, client *oauth.Client) error {
	h.Respond.Note(r, audit.Event{Kind: audit.AccessRefused, Client: client.ID, Reason: "revocation of another client's token"})
	return nil
}

func (h *Handler) durable(r *http.Request, client *oauth.Client, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, identity.ErrNotFound):
		return h.another(r, client)
	}
	return fosite.ErrServerError.WithWrap(err)
}
