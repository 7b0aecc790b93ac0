package authorize

import (
	"fmt"
	"slices"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/rar"
)

// This file is what a request asks for beyond its scopes: authorization_details
// (RFC 9396), which are agreed to once, and claims by their names (OpenID Connect
// Core §5.5), which are agreed to like scopes.

// freshFor is how long proof given for details counts (SECURITY §0, step-up). Whoever
// takes longer over the page proves again what has grown old.
const freshFor = 5 * time.Minute

// single sorts out the claims that were asked for by name: what the client may not
// ask for is left away, as over-asking is with claims (§5.5.1: their absence is no
// error), and what a scope of the request brings is not asked about twice.
func (req *request) single(cat *catalogue.Catalogue) {
	if !slices.Contains(req.scope, oauth.ScopeOpenID) {
		req.claims = oauth.ClaimNames{} // there is nowhere to tell them
	}
	given := cat.Claims(req.scope)
	more := func(claims []string) []string {
		return slices.DeleteFunc(slices.Clone(claims), func(c string) bool { return slices.Contains(given, c) })
	}
	idToken := cat.Askable(req.client.Client, req.claims.IDToken)
	userInfo := more(cat.Askable(req.client.Client, req.claims.UserInfo))
	req.claims = oauth.ClaimNames{IDToken: idToken, UserInfo: userInfo}
	req.agree = slices.Clone(req.scope)
	for _, claim := range append(more(idToken), userInfo...) {
		if item := catalogue.ClaimItem(claim); !slices.Contains(req.agree, item) {
			req.agree = append(req.agree, item)
		}
	}
}

// raise adds to the need what details and claims ask for.
//
// Proof for details is given after this browser brought the request, whatever it and
// others had proved before: a single sign-on agrees to nothing. prompt=none is told
// about consent in any case, so nobody needs to prove anything for it.
func (req *request) raise(cat *catalogue.Catalogue, now time.Time) {
	n := &req.need
	n.Level = max(n.Level, req.details.Level(),
		cat.ClaimLevel(req.client.Client, req.claims.IDToken), cat.ClaimLevel(req.client.Client, req.claims.UserInfo))
	if req.details.IsZero() {
		return
	}
	if req.details.Fresh() && !req.prompt.none {
		for _, since := range []time.Time{req.brought(), now.Add(-freshFor)} {
			if since.After(n.Since) {
				n.Since = since
			}
		}
	}
	n.Approve = map[string]string{}
	for _, locale := range []string{"zh-CN", "en"} {
		n.Approve[locale] = req.details.Words(locale)
	}
}

// brought is when this browser brought the request.
func (req *request) brought() time.Time {
	if req.claimed() {
		return req.stored.Expires.Add(-requestLife) // hold sets it so
	}
	return req.created
}

// A receipt is the house's word on what a citizen agreed to: a JWS of this type, with
// the digest over the details in the spelling of RFC 8785.
type receipt struct {
	jose.Standard
	ClientID string           `json:"client_id"`
	Login    identity.ID      `json:"login"`
	AuthTime jose.NumericDate `json:"auth_time,omitzero"`
	ACR      string           `json:"acr,omitempty"`
	AMR      []string         `json:"amr,omitempty"`
	Digest   string           `json:"authorization_details_s256"`
	Details  any              `json:"authorization_details"`
}

const typReceipt = "consent-receipt+jwt"

// sign makes the receipt for a grant with details, with the national algorithm. No
// token is ever of this type, and it is nobody's audience. The audit trail keeps it in
// the entry of the consent: what was shown can be proved when the grant is long gone.
func (h *Handler) sign(g oauth.Grant, client *oauth.Client, details rar.Details) (string, error) {
	key, err := h.Issuer.Keys.Signer(jose.SM2)
	if err != nil {
		return "", fmt.Errorf("signing a consent receipt: %w", err)
	}
	token, err := jose.Sign(key, typReceipt, receipt{
		Standard: jose.Standard{
			Issuer: h.Issuer.Name, Subject: h.Issuer.Subjects.Subject(client, g.Citizen),
			IssuedAt: jose.Date(g.Created), ID: g.ID.String(),
		},
		ClientID: client.ID, Login: g.Login, AuthTime: jose.Date(g.AuthTime), ACR: g.ACR, AMR: g.AMR,
		Digest: details.Digest(), Details: details.JSON(),
	})
	if err != nil {
		return "", fmt.Errorf("signing a consent receipt: %w", err)
	}
	return token, nil
}
