package revoke

import (
	"errors"
	"net/http"

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

// A Handler serves the endpoint.
type Handler struct {
	Provider *fosite.Fosite
	Store    oauth.Revocations
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
	if err := h.revoke(w, r); err != nil {
		h.Respond.ClientError(w, r, err)
		return
	}
	respond.NoStore(w.Header())
	w.WriteHeader(http.StatusOK)
}

func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	values, err := form.Post(w, r, known())
	if err != nil {
		return err
	}
	authenticated, err := h.Provider.AuthenticateClient(r.Context(), r, values)
	if err != nil {
		return err
	}
	client, ok := authenticated.(framework.Client)
	if !ok {
		return fosite.ErrServerError
	}
	token, now := values.Get("token"), h.Clock.Now()
	if token == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter token is missing.")
	}
	event := audit.Event{
		Kind: audit.GrantRevoked, At: now, Actor: audit.Actor("client:" + client.ID), Client: client.ID, Reason: "revocation endpoint",
	}
	if issue.IsJWT(token) {
		claims, err := h.Issuer.ReadAccess(token, now)
		switch {
		case err != nil || claims.ClientID != client.ID:
			return nil // expired, forged or another's: nothing of this client's to end
		case claims.Grant.IsZero():
			return respond.UnsupportedTokenType()
		}
		return durable(h.Store.RevokeGrant(r.Context(), claims.Grant, client.ID, now, event))
	}
	if family := h.Handles.Family(token); family != nil {
		return durable(h.Store.RevokeFamily(r.Context(), family, client.ID, now, event))
	}
	if hash, ok := h.Handles.Hash(issue.Access, token); ok {
		return durable(h.Store.RevokeToken(r.Context(), hash, client.ID, now, event))
	}
	return nil
}

func durable(err error) error {
	if err == nil || errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	return fosite.ErrServerError.WithWrap(err)
}
