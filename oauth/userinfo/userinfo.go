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

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
)

// A Handler serves the endpoint.
type Handler struct {
	Registry  framework.Registry
	Tokens    oauth.Tokens
	Issuer    *issue.Issuer
	Handles   issue.Handles
	Catalogue *catalogue.Catalogue
	Respond   respond.Writer
	Clock     clock.Clock
}

var (
	errWhere  = fosite.ErrInvalidRequest.WithHint("The access token belongs in the Authorization header.")
	errHeader = fosite.ErrInvalidRequest.WithHint("The Authorization header is malformed.")
)

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodGet, http.MethodPost)
		return
	}
	token, err := bearer(w, r)
	if err != nil {
		h.Respond.BearerError(w, r, err)
		return
	}
	if token == "" {
		h.Respond.NoBearer(w)
		return
	}
	claims, err := h.claims(r.Context(), token, h.Clock.Now())
	if err == nil {
		err = respond.JSON(w, http.StatusOK, claims)
	}
	if err != nil {
		h.Respond.BearerError(w, r, err)
	}
}

// bearer takes the token from the header (RFC 6750 §2.1). In a form or a URL it
// is refused, also beside one in the header.
func bearer(w http.ResponseWriter, r *http.Request) (string, error) {
	parameter := form.Known{"access_token"}
	if _, err := form.Query(r, nil); err != nil {
		return "", errWhere
	}
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		inBody, err := form.Post(w, r, parameter)
		if err != nil {
			return "", err
		}
		if inBody.Has("access_token") {
			return "", errWhere
		}
	}
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", errHeader
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || !b64token(token) {
		return "", errHeader
	}
	return token, nil
}

// b64token is RFC 6750 §2.1 without the padding we never write.
func b64token(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

func (h *Handler) claims(ctx context.Context, token string, now time.Time) (map[string]any, error) {
	info, person, scope, err := h.find(ctx, token, now)
	switch {
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded), errors.Is(err, issue.ErrToken):
		return nil, respond.InvalidToken(err)
	case err != nil:
		return nil, err
	}
	if info.Binding != (oauth.Binding{}) {
		// A bound token is no bearer token (SECURITY SC3). The proof is checked here,
		// when proofs are.
		return nil, respond.InvalidToken(errors.New("bound token as bearer"))
	}
	client, err := h.Registry.Client(ctx, info.Grant.ClientID)
	if errors.Is(err, identity.ErrNotFound) {
		return nil, respond.InvalidToken(err)
	}
	if err != nil {
		return nil, fosite.ErrServerError.WithWrap(err)
	}
	scope = client.Within(scope)
	if !slices.Contains(scope, oauth.ScopeOpenID) {
		return nil, respond.InsufficientScope()
	}
	out := map[string]any{}
	for _, name := range h.Catalogue.Claims(scope) {
		if value, ok := person.Claims[name]; ok {
			out[name] = value
		}
	}
	out["sub"] = h.Issuer.Subjects.Subject(client, info.Grant.Citizen)
	return out, nil
}

// find reads the token and the person in one statement. A JWT says beforehand
// which claims it is good for; for an opaque one all that there are is asked for,
// and what its scopes do not allow stays here.
func (h *Handler) find(ctx context.Context, token string, now time.Time) (oauth.TokenInfo, oauth.Person, []string, error) {
	none := func(err error) (oauth.TokenInfo, oauth.Person, []string, error) {
		return oauth.TokenInfo{}, oauth.Person{}, nil, err
	}
	if !issue.IsJWT(token) {
		hash, ok := h.Handles.Hash(issue.Access, token)
		if !ok {
			return none(identity.ErrNotFound)
		}
		info, person, err := h.Tokens.UserInfo(ctx, hash, identity.ID{}, h.Catalogue.Claims(h.Catalogue.Names()), now)
		if err != nil {
			return none(fault(err))
		}
		return info, person, info.Scope, nil
	}
	claims, err := h.Issuer.ReadAccess(token, now)
	if err != nil {
		return none(err)
	}
	scope := strings.Fields(claims.Scope)
	if claims.Grant.IsZero() || !slices.Contains(scope, oauth.ScopeOpenID) {
		return none(respond.InsufficientScope())
	}
	if !claims.Audience.Contains(h.Issuer.Name) {
		return none(fmt.Errorf("%w: aud", issue.ErrToken))
	}
	info, person, err := h.Tokens.UserInfo(ctx, nil, claims.Grant, h.Catalogue.Claims(scope), now)
	if err != nil {
		return none(fault(err))
	}
	if info.Grant.ClientID != claims.ClientID {
		return none(identity.ErrNotFound)
	}
	if claims.Confirmation != nil {
		info.Binding = *claims.Confirmation
	}
	return info, person, scope, nil
}

func fault(err error) error {
	if errors.Is(err, identity.ErrNotFound) || errors.Is(err, identity.ErrEnded) {
		return err
	}
	return fosite.ErrServerError.WithWrap(err)
}
