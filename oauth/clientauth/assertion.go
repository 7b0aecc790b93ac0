package clientauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/clientkeys"
)

const (
	assertionLife   = 5 * time.Minute  // SECURITY §0
	assertionLeeway = 10 * time.Second // FAPI 2.0 §5.3.2.1
	maxJTI          = 256
)

// ofAssertion reports whether a header may be a client assertion's: RFC 7523 asks for
// no typ, most libraries write JWT. Another type was signed for something else
// (RFC 8725 §3.11).
func ofAssertion(h jose.Header) bool {
	return h.Type == "" || h.Is("JWT") || h.Is("client-authentication+jwt")
}

// assertedID is whom an assertion says it is from: enough to find the keys.
func assertedID(assertion string) (string, error) {
	token, err := jose.Parse(assertion)
	if err != nil {
		return "", fmt.Errorf("assertion: %w", err)
	}
	claims, err := token.Unverified()
	if err != nil {
		return "", fmt.Errorf("assertion: %w", err)
	}
	if claims.Subject == "" || claims.Subject != claims.Issuer {
		return "", errors.New("assertion: iss and sub are not the client") // RFC 7523 §3
	}
	return claims.Subject, nil
}

// assertion checks private_key_jwt. That it is used up is noted last, so that an
// assertion that is wrong in any way uses nothing up (SECURITY CA2).
func (a *Authenticator) assertion(ctx context.Context, client *oauth.Client, assertion string, now time.Time) error {
	token, err := jose.Parse(assertion)
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	if !ofAssertion(token.Header) {
		return errors.New("assertion: typ")
	}
	verified, err := a.Keys.Verify(ctx, client, token, jose.Alg(client.TokenEndpointAuthAlg))
	switch {
	case errors.Is(err, clientkeys.ErrUnavailable): // nobody can tell whether it is a guess
		return fmt.Errorf("assertion: %w", err)
	case err != nil:
		return fmt.Errorf("assertion: %w: %w", errGuess, err)
	}
	claims, err := verified.Standard()
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return errors.New("assertion: iss or sub")
	case !a.meant(client, claims.Audience):
		return errors.New("assertion: aud is not the issuer as a string")
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return errors.New("assertion: jti")
	}
	if err := claims.Check(now, jose.Window{Leeway: assertionLeeway, MaxLife: assertionLife}); err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	key := sha256.Sum256([]byte("client assertion\x00" + client.ID + "\x00" + claims.ID))
	once := oauth.Once{Key: key[:], Expires: claims.Expires.Add(assertionLeeway)}
	if ledger := oauth.LedgerOf(ctx); ledger != nil {
		ledger.Add(once)
		return nil
	}
	err = a.Replay.Spend(ctx, now, once)
	switch {
	case errors.Is(err, identity.ErrReplayed):
		return fmt.Errorf("assertion: %w", err)
	case err != nil:
		return fosite.ErrServerError.WithWrap(err)
	}
	return nil
}

// meant reports whether an assertion was made for this server: aud is the issuer and
// nothing else, since what names an endpoint could be made out for somebody else's
// (FAPI 2.0 §5.3.2.1). Certified OpenID Connect libraries
// send the token endpoint's URL, as OpenID Connect Core §9 told them to; clients of
// profile oidc may.
func (a *Authenticator) meant(client *oauth.Client, aud jose.Audience) bool {
	return aud.Only(a.Issuer) || client.Profile == oauth.ProfileOIDC && aud.Only(a.Issuer+"/token")
}
