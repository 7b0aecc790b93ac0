package issue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// Keys is what signing and verifying needs of the keyring.
type Keys interface {
	Signer(alg jose.Alg) (jose.Key, error)
	Ring() *jose.Ring
}

// An Encrypter hides an answer from all but the client it is for (oauth/encrypt).
type Encrypter interface {
	// Ready reports whether the client has a key that fits alg and enc.
	Ready(ctx context.Context, c *oauth.Client, alg, enc string) error
	// Encrypt returns plain as a compact JWE. nested says that plain is a JWT.
	Encrypt(ctx context.Context, c *oauth.Client, alg, enc string, nested bool, plain []byte) (string, error)
}

// An Issuer makes the tokens of this server and knows them when they come back.
type Issuer struct {
	Name     string // the issuer identifier
	Keys     Keys
	Subjects oauth.Subjects
	// Encrypter: nil refuses whatever a client wants encrypted.
	Encrypter Encrypter
}

const typAccess = "at+jwt" // RFC 9068 §2.1

// AccessClaims are those of an RFC 9068 access token.
type AccessClaims struct {
	jose.Standard
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope,omitempty"`
	AuthTime jose.NumericDate `json:"auth_time,omitzero"`
	ACR      string           `json:"acr,omitempty"`
	AMR      []string         `json:"amr,omitempty"`
	// Details are the authorization_details the token stands for (RFC 9396 §9.1).
	Details json.RawMessage `json:"authorization_details,omitempty"`
	Act     json.RawMessage `json:"act,omitempty"` // RFC 8693 §4.1
	// Grant is what the token hangs on; absent when a client has it for itself.
	Grant identity.ID `json:"gid,omitzero"`
	// ClientEpoch stands in for the grant in a client's own token: a suspension
	// raises the client's, and this one is dead.
	ClientEpoch  int64          `json:"cep,omitempty"`
	Confirmation *oauth.Binding `json:"cnf,omitempty"` // RFC 7800 §3.1
}

// Bound is the key the token is bound to; empty for a bearer token.
func (c AccessClaims) Bound() oauth.Binding {
	if c.Confirmation == nil {
		return oauth.Binding{}
	}
	return *c.Confirmation
}

// Ready reports whether the client's tokens could be made at this moment: that
// there are keys to sign with and, where it wants its ID tokens encrypted, to
// encrypt to. It is asked before a code or a refresh token is spent on them.
func (i *Issuer) Ready(ctx context.Context, c *oauth.Client) error {
	for _, alg := range []string{c.AccessTokenSignedAlg, c.IDTokenSignedAlg} {
		if _, err := i.Keys.Signer(jose.Alg(alg)); err != nil {
			return err
		}
	}
	if c.IDTokenEncryptedAlg == "" {
		return nil
	}
	if i.Encrypter == nil {
		return errNoEncrypter
	}
	return i.Encrypter.Ready(ctx, c, c.IDTokenEncryptedAlg, c.IDTokenEncryptedEnc)
}

var (
	errAudience = errors.New("issue: an access token without audience")
	errUnbound  = errors.New("issue: an unbound access token where a bound one is due")
)

// Access makes a JWT access token for a grant, bound to the key of the request
// that asks for it. A zero grant is the client's own token: its subject is the
// client (RFC 9068 §2.2). The details are the grant's: whoever narrowed them passes
// a grant that says so.
//
// What a client or a grant has to have bound is compared here once more, after the
// endpoint did: no path leads to a bearer token then (SECURITY SC3).
func (i *Issuer) Access(c *oauth.Client, g oauth.Grant, scope, audience []string, binding oauth.Binding, now time.Time) (string, error) {
	switch {
	case len(audience) == 0:
		return "", errAudience
	case c.DPoPBound && binding.JKT == "", c.CertBound && binding.X5T == "",
		g.Binding != (oauth.Binding{}) && binding == (oauth.Binding{}):
		return "", errUnbound
	}
	claims := AccessClaims{
		Standard: jose.Standard{
			Issuer: i.Name, Subject: c.ID, Audience: jose.To(audience...),
			Expires: jose.Date(now.Add(AccessLife)), IssuedAt: jose.Date(now), ID: identity.NewID().String(),
		},
		ClientID: c.ID, Scope: strings.Join(scope, " "), Details: g.Details, Act: g.Act,
	}
	if !g.ID.IsZero() && !g.Expires.IsZero() && g.Expires.Before(claims.Expires.Time) {
		claims.Expires = jose.Date(g.Expires) // nothing outlives what it hangs on
	}
	if g.ID.IsZero() {
		claims.ClientEpoch = c.Epoch
	} else {
		claims.Subject = i.Subjects.Subject(c, g.Citizen)
		claims.AuthTime, claims.ACR, claims.AMR = jose.Date(g.AuthTime), g.ACR, g.AMR
		claims.Grant = g.ID
	}
	if binding != (oauth.Binding{}) {
		claims.Confirmation = &binding
	}
	return i.sign(c.AccessTokenSignedAlg, typAccess, "an access token", claims)
}

// ErrToken is returned for whatever is not a token of ours, of the right type and
// within its time.
var ErrToken = errors.New("issue: not a token of ours")

// ReadAccess verifies a JWT access token of ours, as a resource server would
// (RFC 9068 §4). The audience is the caller's to compare, and so is the key it is
// bound to.
func (i *Issuer) ReadAccess(token string, now time.Time) (AccessClaims, error) {
	var claims AccessClaims
	if err := i.read(token, typAccess, &claims); err != nil {
		return AccessClaims{}, err
	}
	if claims.Issuer != i.Name || claims.Audience.IsZero() || claims.ClientID == "" || claims.Subject == "" {
		return AccessClaims{}, fmt.Errorf("%w: claims", ErrToken)
	}
	if err := claims.Check(now, jose.Window{}); err != nil {
		return AccessClaims{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return claims, nil
}

// sign makes a JWT with the key of the moment. An answer without a registered
// algorithm has ES256.
func (i *Issuer) sign(alg, typ, what string, claims any) (string, error) {
	if alg == "" {
		alg = string(jose.ES256)
	}
	key, err := i.Keys.Signer(jose.Alg(alg))
	if err != nil {
		return "", err
	}
	token, err := jose.Sign(key, typ, claims)
	if err != nil {
		return "", fmt.Errorf("signing %s: %w", what, err)
	}
	return token, nil
}

var errNoEncrypter = errors.New("issue: nothing here encrypts")

// encrypt wraps what was signed, if the client wants that. What cannot be
// encrypted is not sent at all.
func (i *Issuer) encrypt(ctx context.Context, c *oauth.Client, alg, enc string, nested bool, plain string) (string, error) {
	switch {
	case alg == "":
		return plain, nil
	case i.Encrypter == nil:
		return "", errNoEncrypter
	}
	return i.Encrypter.Encrypt(ctx, c, alg, enc, nested, []byte(plain))
}

func (i *Issuer) read(token, typ string, claims any) error {
	parsed, err := jose.Parse(token)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrToken, err)
	}
	if !parsed.Header.Is(typ) {
		return fmt.Errorf("%w: typ", ErrToken)
	}
	verified, err := parsed.Verify(i.Keys.Ring(), jose.ES256, jose.PS256, jose.RS256, jose.SM2)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrToken, err)
	}
	if err := verified.Claims(claims); err != nil {
		return fmt.Errorf("%w: %w", ErrToken, err)
	}
	return nil
}
