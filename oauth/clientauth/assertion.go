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

// assertion checks private_key_jwt. The replay key is written last, so that an
// assertion that is wrong in any way uses nothing up (SECURITY CA2).
func (a *Authenticator) assertion(ctx context.Context, client *oauth.Client, assertion string, now time.Time) error {
	if len(client.JWKS) == 0 {
		return errors.New("assertion: the client has no keys")
	}
	keys, err := jose.ParseSet(client.JWKS)
	if err != nil {
		return fmt.Errorf("assertion: the client's keys: %w", err)
	}
	token, err := jose.Parse(assertion)
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	if !ofAssertion(token.Header) {
		return errors.New("assertion: typ")
	}
	verified, err := token.Verify(keys, jose.Alg(client.TokenEndpointAuthAlg))
	if err != nil {
		return fmt.Errorf("assertion: %w: %w", errGuess, err)
	}
	claims, err := verified.Standard()
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return errors.New("assertion: iss or sub")
	case !claims.Audience.Only(a.Issuer):
		return errors.New("assertion: aud is not the issuer as a string")
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return errors.New("assertion: jti")
	}
	if err := claims.Check(now, jose.Window{Leeway: assertionLeeway, MaxLife: assertionLife}); err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	key := sha256.Sum256([]byte("client assertion\x00" + client.ID + "\x00" + claims.ID))
	err = a.Replay.Remember(ctx, key[:], claims.Expires.Add(assertionLeeway), now)
	switch {
	case errors.Is(err, identity.ErrSpent):
		return errors.New("assertion: jti was used before")
	case err != nil:
		return fosite.ErrServerError.WithWrap(err)
	}
	return nil
}
