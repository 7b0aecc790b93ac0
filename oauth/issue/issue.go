package issue

import (
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

// An Issuer makes the tokens of this server and knows them when they come back.
type Issuer struct {
	Name     string // the issuer identifier
	Keys     Keys
	Subjects oauth.Subjects
}

const (
	typAccess = "at+jwt" // RFC 9068 §2.1
	typID     = "JWT"
)

// AccessClaims are those of an RFC 9068 access token.
type AccessClaims struct {
	jose.Standard
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope,omitempty"`
	AuthTime jose.NumericDate `json:"auth_time,omitzero"`
	ACR      string           `json:"acr,omitempty"`
	AMR      []string         `json:"amr,omitempty"`
	// Grant is what the token hangs on; absent when a client has it for itself.
	Grant identity.ID `json:"gid,omitzero"`
	// ClientEpoch stands in for the grant in a client's own token: a suspension
	// raises the client's, and this one is dead.
	ClientEpoch  int64          `json:"cep,omitempty"`
	Confirmation *oauth.Binding `json:"cnf,omitempty"` // RFC 7800 §3.1
}

// IDClaims are those of an ID token (OpenID Connect Core §2).
type IDClaims struct {
	jose.Standard
	AuthTime jose.NumericDate `json:"auth_time,omitzero"`
	Nonce    string           `json:"nonce,omitempty"`
	ACR      string           `json:"acr,omitempty"`
	AMR      []string         `json:"amr,omitempty"`
	AtHash   string           `json:"at_hash,omitempty"`
}

// Ready reports whether the client's tokens could be signed at this moment. It is
// asked before a code or a refresh token is spent on them.
func (i *Issuer) Ready(c *oauth.Client) error {
	for _, alg := range []string{c.AccessTokenSignedAlg, c.IDTokenSignedAlg} {
		if _, err := i.Keys.Signer(jose.Alg(alg)); err != nil {
			return err
		}
	}
	return nil
}

var errAudience = errors.New("issue: an access token without audience")

// Access makes a JWT access token for a grant. A zero grant is the client's own
// token: its subject is the client (RFC 9068 §2.2).
func (i *Issuer) Access(c *oauth.Client, g oauth.Grant, scope, audience []string, now time.Time) (string, error) {
	if len(audience) == 0 {
		return "", errAudience
	}
	key, err := i.Keys.Signer(jose.Alg(c.AccessTokenSignedAlg))
	if err != nil {
		return "", err
	}
	claims := AccessClaims{
		Standard: jose.Standard{
			Issuer: i.Name, Subject: c.ID, Audience: jose.To(audience...),
			Expires: jose.Date(now.Add(AccessLife)), IssuedAt: jose.Date(now), ID: identity.NewID().String(),
		},
		ClientID: c.ID,
		Scope:    strings.Join(scope, " "),
	}
	if g.ID.IsZero() {
		claims.ClientEpoch = c.Epoch
	} else {
		claims.Subject = i.Subjects.Subject(c, g.Citizen)
		claims.AuthTime, claims.ACR, claims.AMR = jose.Date(g.AuthTime), g.ACR, g.AMR
		claims.Grant = g.ID
	}
	if g.Binding != (oauth.Binding{}) {
		claims.Confirmation = &g.Binding
	}
	token, err := jose.Sign(key, typAccess, claims)
	if err != nil {
		return "", fmt.Errorf("signing an access token: %w", err)
	}
	return token, nil
}

// ID makes an ID token. access is the access token beside it; nonce is empty
// after a refresh (OpenID Connect Core §12.2).
func (i *Issuer) ID(c *oauth.Client, g oauth.Grant, nonce, access string, now time.Time) (string, error) {
	alg := jose.Alg(c.IDTokenSignedAlg)
	key, err := i.Keys.Signer(alg)
	if err != nil {
		return "", err
	}
	token, err := jose.Sign(key, typID, IDClaims{
		Standard: jose.Standard{
			Issuer: i.Name, Subject: i.Subjects.Subject(c, g.Citizen), Audience: jose.To(c.ID),
			Expires: jose.Date(now.Add(IDTokenLife)), IssuedAt: jose.Date(now),
		},
		AuthTime: jose.Date(g.AuthTime),
		Nonce:    nonce, ACR: g.ACR, AMR: g.AMR,
		AtHash: jose.HalfHash(alg, access),
	})
	if err != nil {
		return "", fmt.Errorf("signing an ID token: %w", err)
	}
	return token, nil
}

// ErrToken is returned for whatever is not a token of ours, of the right type and
// within its time.
var ErrToken = errors.New("issue: not a token of ours")

// ReadAccess verifies a JWT access token of ours, as a resource server would
// (RFC 9068 §4). The audience is the caller's to compare.
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

// ReadHint verifies an id_token_hint for a client and returns its subject. It may
// have expired long ago and be signed by a retired key; it says who is meant and
// proves nothing (OpenID Connect Core §3.1.2.2, SECURITY OI2).
func (i *Issuer) ReadHint(token, clientID string) (subject string, err error) {
	var claims IDClaims
	if err := i.read(token, typID, &claims); err != nil {
		return "", err
	}
	if claims.Issuer != i.Name || claims.Subject == "" || !claims.Audience.Contains(clientID) {
		return "", fmt.Errorf("%w: claims", ErrToken)
	}
	return claims.Subject, nil
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
