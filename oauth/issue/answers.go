package issue

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"ecardid/internal/jose"
	"ecardid/oauth"
)

// typIntrospection is RFC 9701 §5.
const typIntrospection = "token-introspection+jwt"

// SignsUserInfo reports whether the client gets userinfo as a JWT (OpenID Connect
// Core §5.3.2): signed, encrypted or both.
func SignsUserInfo(c *oauth.Client) bool {
	return c.UserInfoSignedAlg != "" || c.UserInfoEncryptedAlg != ""
}

// UserInfo makes the userinfo answer of a client that SignsUserInfo. It has no typ:
// nothing of ours that is read back has none, least of all an ID token.
func (i *Issuer) UserInfo(ctx context.Context, c *oauth.Client, claims map[string]any) (string, error) {
	var plain string
	nested := c.UserInfoSignedAlg != ""
	if nested {
		signed := maps.Clone(claims)
		signed["iss"], signed["aud"] = i.Name, c.ID
		var err error
		if plain, err = i.sign(c.UserInfoSignedAlg, "", "userinfo", signed); err != nil {
			return "", err
		}
	} else {
		body, err := json.Marshal(claims)
		if err != nil {
			return "", fmt.Errorf("encoding userinfo: %w", err)
		}
		plain = string(body)
	}
	return i.encrypt(ctx, c, c.UserInfoEncryptedAlg, c.UserInfoEncryptedEnc, nested, plain)
}

// Introspection makes the signed form of an introspection answer for the resource
// server that asked (RFC 9701 §5). It has neither sub nor exp of its own, so that
// nobody takes it for an access token (§8.1).
func (i *Issuer) Introspection(ctx context.Context, asker *oauth.Client, answer any, now time.Time) (string, error) {
	token, err := i.sign(asker.IntrospectionSignedAlg, typIntrospection, "an introspection answer", struct {
		jose.Standard
		Answer any `json:"token_introspection"`
	}{
		jose.Standard{Issuer: i.Name, Audience: jose.To(asker.ID), IssuedAt: jose.Date(now)}, answer,
	})
	if err != nil {
		return "", err
	}
	return i.encrypt(ctx, asker, asker.IntrospectionEncryptedAlg, asker.IntrospectionEncryptedEnc, true, token)
}

const (
	typLogout   = "logout+jwt" // Back-Channel Logout §2.4
	eventLogout = "http://schemas.openid.net/event/backchannel-logout"
)

// LogoutToken tells a client that a session of its has ended (OpenID Connect
// Back-Channel Logout §2.4). It is signed and encrypted as the client's ID tokens
// are. The jti is the farewell's, so that one delivered twice is seen to be one.
func (i *Issuer) LogoutToken(ctx context.Context, c *oauth.Client, f oauth.Farewell, now time.Time) (string, error) {
	token, err := i.sign(c.IDTokenSignedAlg, typLogout, "a logout token", struct {
		jose.Standard
		SID    string              `json:"sid,omitempty"`
		Events map[string]struct{} `json:"events"`
	}{
		jose.Standard{
			Issuer: i.Name, Subject: i.Subjects.Subject(c, f.Citizen), Audience: jose.To(c.ID),
			Expires: jose.Date(now.Add(LogoutTokenLife)), IssuedAt: jose.Date(now), ID: f.ID.String(),
		},
		i.SID(c, f.Session), map[string]struct{}{eventLogout: {}},
	})
	if err != nil {
		return "", err
	}
	return i.encrypt(ctx, c, c.IDTokenEncryptedAlg, c.IDTokenEncryptedEnc, true, token)
}
