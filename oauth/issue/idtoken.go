package issue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// typID is the typ of ID tokens and of nothing else of ours that has a subject: what
// userinfo signs has none, so that neither passes for the other (SECURITY G2).
const typID = "JWT"

// IDClaims are those of an ID token (OpenID Connect Core §2).
type IDClaims struct {
	jose.Standard
	AuthTime jose.NumericDate `json:"auth_time,omitzero"`
	Nonce    string           `json:"nonce,omitempty"`
	ACR      string           `json:"acr,omitempty"`
	AMR      []string         `json:"amr,omitempty"`
	AtHash   string           `json:"at_hash,omitempty"`
	SID      string           `json:"sid,omitempty"` // Front- and Back-Channel Logout
	// Asked are claims about the citizen, by the claims parameter (§5.5).
	Asked map[string]any `json:"-"`
}

// MarshalJSON implements json.Marshaler: what was asked for stands beside the rest
// and never in its place.
func (c IDClaims) MarshalJSON() ([]byte, error) {
	type plain IDClaims
	fixed, err := json.Marshal(plain(c))
	if err != nil || len(c.Asked) == 0 {
		return fixed, err
	}
	members := map[string]any{}
	for name, value := range c.Asked {
		if !slices.Contains(protocol(), name) {
			members[name] = value
		}
	}
	if len(members) == 0 {
		return fixed, nil
	}
	asked, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return append(append(fixed[:len(fixed)-1], ','), asked[1:]...), nil
}

// protocol lists the claims that no fact about a citizen may be called.
func protocol() []string {
	return []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash",
		"s_hash", "sid", "events", "cnf", "act", "client_id", "scope",
	}
}

// ID makes an ID token. access is the access token beside it; nonce is empty
// after a refresh (OpenID Connect Core §12.2); asked is what Asked found, nil for
// nothing.
func (i *Issuer) ID(ctx context.Context, c *oauth.Client, g oauth.Grant, nonce, access string, asked map[string]any, now time.Time) (string, error) {
	token, err := i.sign(c.IDTokenSignedAlg, typID, "an ID token", IDClaims{
		Standard: jose.Standard{
			Issuer: i.Name, Subject: i.Subjects.Subject(c, g.Citizen), Audience: jose.To(c.ID),
			Expires: jose.Date(now.Add(IDTokenLife)), IssuedAt: jose.Date(now),
		},
		AuthTime: jose.Date(g.AuthTime),
		Nonce:    nonce, ACR: g.ACR, AMR: g.AMR,
		AtHash: jose.HalfHash(jose.Alg(c.IDTokenSignedAlg), access),
		SID:    i.SID(c, g.Session),
		Asked:  asked,
	})
	if err != nil {
		return "", err
	}
	return i.encrypt(ctx, c, c.IDTokenEncryptedAlg, c.IDTokenEncryptedEnc, true, token)
}

// People is what Asked needs from storage.
type People interface {
	UserInfo(ctx context.Context, token []byte, grant identity.ID, claims []string, now time.Time, once ...oauth.Once) (oauth.TokenInfo, oauth.Person, error)
}

// Asked reads what a grant wants to have said in its ID token. It costs a read of
// its own, and only where something is wanted: redeeming a code tells of the grant
// and not of the person.
func Asked(ctx context.Context, people People, g oauth.Grant, now time.Time) (map[string]any, error) {
	if len(g.Claims.IDToken) == 0 {
		return nil, nil
	}
	_, person, err := people.UserInfo(ctx, nil, g.ID, g.Claims.IDToken, now)
	if err != nil {
		return nil, fmt.Errorf("reading the claims of an ID token: %w", err)
	}
	asked := map[string]any{}
	for _, name := range g.Claims.IDToken {
		if value, ok := person.Claims[name]; ok {
			asked[name] = value
		}
	}
	return asked, nil
}

// SID is what a client sees of a session: another for each client, so that two of
// them cannot find out that they serve one browser. Empty for no session.
func (i *Issuer) SID(c *oauth.Client, session identity.ID) string {
	return i.Subjects.Session(c, session)
}

// A Hint is what an ID token that comes back says. It proves nothing about who sent
// it (SECURITY OI2).
type Hint struct {
	ClientID string // that it was issued to
	Subject  string
	SID      string // empty for tokens without a session
}

// ReadHint verifies an id_token_hint for a client. It may have expired long ago and
// be signed by a retired key (OpenID Connect Core §3.1.2.2). An encrypted ID token
// is shown as the signed token that was inside.
func (i *Issuer) ReadHint(token, clientID string) (Hint, error) {
	hint, err := i.ReadLogoutHint(token)
	if err == nil && hint.ClientID != clientID {
		return Hint{}, fmt.Errorf("%w: aud", ErrToken)
	}
	return hint, err
}

// ReadLogoutHint is ReadHint where the hint alone says which client asks (OpenID
// Connect RP-Initiated Logout §2).
func (i *Issuer) ReadLogoutHint(token string) (Hint, error) {
	claims, err := i.readID(token)
	if err != nil {
		return Hint{}, err
	}
	aud := claims.Audience.Values()
	if len(aud) != 1 {
		return Hint{}, fmt.Errorf("%w: aud", ErrToken)
	}
	return Hint{ClientID: aud[0], Subject: claims.Subject, SID: claims.SID}, nil
}

func (i *Issuer) readID(token string) (IDClaims, error) {
	var claims IDClaims
	if err := i.read(token, typID, &claims); err != nil {
		return IDClaims{}, err
	}
	if claims.Issuer != i.Name || claims.Subject == "" || claims.Expires.IsZero() || claims.IssuedAt.IsZero() {
		return IDClaims{}, fmt.Errorf("%w: claims", ErrToken)
	}
	return claims, nil
}
