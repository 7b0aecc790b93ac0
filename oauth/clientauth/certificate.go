package clientauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ecardid/oauth"
	"ecardid/oauth/mtls"
)

// byCertificate reports whether the client is authenticated by mutual TLS. Such a
// request names its client in client_id and has no other credential (RFC 8705 §2).
func byCertificate(client *oauth.Client) bool {
	return client.TokenEndpointAuthMethod == oauth.AuthTLS || client.TokenEndpointAuthMethod == oauth.AuthSelfSigned
}

// certificate checks the two methods of RFC 8705 §2.
func (a *Authenticator) certificate(ctx context.Context, r *http.Request, client *oauth.Client, now time.Time) error {
	chain, err := a.MTLS.Chain(r)
	switch {
	case err != nil:
		return err
	case len(chain) == 0:
		return errors.New("certificate: there is none")
	}
	if client.TokenEndpointAuthMethod == oauth.AuthTLS {
		if err := a.MTLS.Subject(chain, client, now); err != nil {
			return fmt.Errorf("%w: %w", errGuess, err)
		}
		return nil
	}
	keys, err := a.Keys.Keys(ctx, client)
	if err != nil {
		return err
	}
	err = mtls.SelfSigned(chain[0], keys, now)
	if !errors.Is(err, mtls.ErrUnknownKey) || client.JWKSURI == "" {
		return guessed(err)
	}
	// It may be the client's next certificate.
	if keys, err = a.Keys.Refetch(ctx, client); err != nil {
		return err
	}
	return guessed(mtls.SelfSigned(chain[0], keys, now))
}

func guessed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errGuess, err)
}
