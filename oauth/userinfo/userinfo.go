package userinfo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/mtls"
	"ecardid/oauth/respond"
)

// Path of the endpoint below the issuer.
const Path = "/userinfo"

// A Handler serves the endpoint.
type Handler struct {
	Registry     framework.Registry
	Tokens       oauth.Tokens
	Issuer       *issue.Issuer
	Handles      issue.Handles
	Catalogue    *catalogue.Catalogue
	Proofs       *dpop.Verifier
	Certificates mtls.Sources
	Replay       oauth.Replay
	Respond      respond.Writer
	Clock        clock.Clock
}

var (
	errWhere  = fosite.ErrInvalidRequest.WithHint("The access token belongs in the Authorization header.")
	errHeader = fosite.ErrInvalidRequest.WithHint("The Authorization header is malformed.")
)

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := h.Clock.Now()
	// Every answer brings the nonce that the next proof may carry (RFC 9449 §9).
	w.Header().Set("DPoP-Nonce", h.Proofs.Nonces.Next(now))
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodGet, http.MethodPost)
		return
	}
	s, err := present(w, r)
	if err != nil {
		h.Respond.TokenError(w, r, s.scheme, err)
		return
	}
	if s.token == "" {
		h.Respond.Challenge(w)
		return
	}
	ctx, ledger := oauth.WithLedger(r.Context())
	client, claims, scheme, err := h.claims(ctx, r, s, now)
	// A proof that was verified is used up, whatever came after it.
	if spent := clientauth.Settle(ctx, h.Replay, ledger, nil, now); spent != nil {
		err = spent
	}
	if err == nil {
		err = h.write(ctx, w, client, claims)
	}
	if err != nil {
		h.Respond.TokenError(w, r, scheme, err)
	}
}

// write answers as the client has registered (OpenID Connect Core §5.3.2).
func (h *Handler) write(ctx context.Context, w http.ResponseWriter, client *oauth.Client, claims map[string]any) error {
	if !issue.SignsUserInfo(client) {
		return respond.JSON(w, http.StatusOK, claims)
	}
	token, err := h.Issuer.UserInfo(ctx, client, claims)
	if err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	respond.JWT(w, "application/jwt", token)
	return nil
}

// claims says what may be said. scheme is the one the token should have come with.
func (h *Handler) claims(ctx context.Context, r *http.Request, s shown, now time.Time) (_ *oauth.Client, _ map[string]any, scheme respond.Scheme, _ error) {
	scheme = s.scheme
	refuse := func(err error) (*oauth.Client, map[string]any, respond.Scheme, error) { return nil, nil, scheme, err }
	f, err := h.find(ctx, r, &s, now)
	if f.info.Binding.JKT != "" {
		scheme = respond.SchemeDPoP
	}
	if err != nil {
		return refuse(fault(err))
	}
	if err := h.fits(r, s, f.info.Binding); errors.Is(err, errScheme) || errors.Is(err, errJKT) || errors.Is(err, errX5T) {
		return refuse(oauth.Refuse(err, audit.ProofRefused, f.info.Grant.ClientID, "a token without the key it is bound to", nil))
	} else if err != nil {
		return refuse(err)
	}
	grant := f.info.Grant
	client, err := h.Registry.Client(ctx, grant.ClientID)
	if err != nil {
		return refuse(fault(err))
	}
	if err := fresh(s, client); err != nil {
		return refuse(err)
	}
	scope := client.Within(f.scope)
	if !slices.Contains(scope, oauth.ScopeOpenID) {
		return refuse(respond.InsufficientScope())
	}
	if err := h.sure(client, scope, grant.ACR); err != nil {
		return refuse(err)
	}
	names := h.Catalogue.Claims(scope)
	// What was asked for one by one is still bounded by what the client may have.
	ceiling := h.Catalogue.Claims(client.Scopes())
	var more []string
	for _, name := range grant.Claims.UserInfo {
		if !slices.Contains(names, name) && slices.Contains(ceiling, name) {
			more = append(more, name)
		}
	}
	person := f.person
	if len(more) > 0 && !f.everything {
		_, besides, err := h.Tokens.UserInfo(ctx, nil, grant.ID, append(more, names...), now)
		if err != nil {
			return refuse(fault(err))
		}
		person = besides
	}
	out := map[string]any{}
	for _, name := range append(names, more...) {
		if value, ok := person.Claims[name]; ok {
			out[name] = value
		}
	}
	out["sub"] = h.Issuer.Subjects.Subject(client, grant.Citizen)
	return client, out, scheme, nil
}

// sure asks for another login where the client's floor, or a scope's, was raised
// since this one (RFC 9470 §3).
func (h *Handler) sure(client *oauth.Client, scope []string, acr string) error {
	floor, _ := identity.ParseACR(client.MinACR)
	floor = max(floor, h.Catalogue.Level(scope))
	if had, _ := identity.ParseACR(acr); had < floor {
		return respond.StepUp([]string{floor.ACR()}, respond.AnyAge)
	}
	return nil
}

// found is a live token with its person.
type found struct {
	info       oauth.TokenInfo
	person     oauth.Person
	scope      []string
	everything bool // all claims there are were read
}

// find reads the token and the person in one statement. A JWT says beforehand
// which claims its scopes are good for; for an opaque one all that there are is asked
// for, and what its scopes do not allow stays here. With an error, the binding of a
// JWT is known all the same.
func (h *Handler) find(ctx context.Context, r *http.Request, s *shown, now time.Time) (found, error) {
	if !issue.IsJWT(s.token) {
		hash, ok := h.Handles.Hash(issue.Access, s.token)
		if !ok {
			return found{}, identity.ErrNotFound
		}
		if err := h.prove(ctx, r, s, ""); err != nil {
			return found{}, err
		}
		all := h.Catalogue.Claims(h.Catalogue.Names())
		info, person, err := h.Tokens.UserInfo(ctx, hash, identity.ID{}, all, now, oauth.LedgerOf(ctx).Take()...)
		return found{info, person, info.Scope, true}, err
	}
	claims, err := h.Issuer.ReadAccess(s.token, now)
	if err != nil {
		return found{}, err
	}
	f := found{scope: strings.Fields(claims.Scope)}
	f.info.Binding = claims.Bound()
	switch {
	case claims.Grant.IsZero(), !slices.Contains(f.scope, oauth.ScopeOpenID):
		return f, respond.InsufficientScope()
	case !claims.Audience.Contains(h.Issuer.Name):
		return f, fmt.Errorf("%w: aud", issue.ErrToken)
	case (s.scheme == respond.SchemeDPoP) != (f.info.Binding.JKT != ""):
		return f, respond.InvalidToken(errScheme)
	}
	if err := h.prove(ctx, r, s, f.info.Binding.JKT); err != nil {
		return f, err
	}
	info, person, err := h.Tokens.UserInfo(ctx, nil, claims.Grant, h.Catalogue.Claims(f.scope), now, oauth.LedgerOf(ctx).Take()...)
	switch {
	case err != nil:
		return f, err
	case info.Grant.ClientID != claims.ClientID:
		return f, identity.ErrNotFound
	}
	if claims.Confirmation != nil {
		info.Binding = *claims.Confirmation // and not the grant's
	}
	f.info, f.person = info, person
	return f, nil
}

// fault sorts errors: a token that stands for nothing, a proof shown before, an
// answer that is one already, a fault of ours.
func fault(err error) error {
	switch {
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded), errors.Is(err, issue.ErrToken):
		return respond.InvalidToken(err)
	case errors.Is(err, identity.ErrReplayed):
		return oauth.Refuse(dpop.Replayed().WithWrap(err), audit.ProofRefused, "", "the DPoP proof was used before", nil)
	case errors.As(err, new(*fosite.RFC6749Error)):
		return err
	}
	return fosite.ErrServerError.WithWrap(err)
}
