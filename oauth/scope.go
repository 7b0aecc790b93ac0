package oauth

import (
	"errors"
	"slices"
	"strings"
)

const (
	maxScope  = 2048 // the longest scope parameter; ours all together have some two hundred
	maxScopes = 50
)

// ErrScope is returned by ParseScope for what is not a scope parameter.
var ErrScope = errors.New("oauth: malformed scope")

// Scopes with a meaning of their own.
const (
	ScopeOpenID  = "openid"         // OpenID Connect Core §3.1.2.1
	ScopeOffline = "offline_access" // §11
)

// ParseScope reads a scope parameter (RFC 6749 §3.3): names separated by single
// spaces. Doubled names are kept once. The empty string has no names.
func ParseScope(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxScope {
		return nil, ErrScope
	}
	var names []string
	for name := range strings.SplitSeq(s, " ") {
		if !scopeName(name) || len(names) == maxScopes {
			return nil, ErrScope
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// scopeName is scope-token: 1*( %x21 / %x23-5B / %x5D-7E ).
func scopeName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// Scopes lists the client's ceiling: what it may ask for. Of what it registered that is
// what it was admitted with.
func (c *Client) Scopes() []string {
	registered := strings.Fields(c.Scope)
	if c.Admission == nil || len(c.Admission.Scopes) == 0 {
		return registered
	}
	return slices.DeleteFunc(registered, func(s string) bool {
		return !slices.ContainsFunc(c.Admission.Scopes, func(b Basis) bool { return b.Scope == s })
	})
}

// Allows reports whether every one of scopes is under the client's ceiling.
func (c *Client) Allows(scopes ...string) bool {
	ceiling := c.Scopes()
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(ceiling, s) })
}

// Within returns the scopes that are still under the client's ceiling.
func (c *Client) Within(scopes []string) []string {
	ceiling := c.Scopes()
	var left []string
	for _, s := range scopes {
		if slices.Contains(ceiling, s) {
			left = append(left, s)
		}
	}
	return left
}

// MayUse reports whether the client was admitted with this grant type.
func (c *Client) MayUse(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// Public reports whether the client has no credential (RFC 6749 §2.1).
func (c *Client) Public() bool { return c.TokenEndpointAuthMethod == AuthNone }
