package framework

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/oauth"
)

// A Client shows a client to fosite. It is no OpenIDConnectClient on purpose:
// the stock paths for keys and request objects find nothing to half-work with.
type Client struct {
	*oauth.Client
	// Redirect is the one redirect URI of this request, matched by us. fosite's own
	// matching compares too little of a loopback URI (SECURITY AZ1).
	Redirect string
}

var (
	_ fosite.Client             = Client{}
	_ fosite.ResponseModeClient = Client{}
)

// GetID implements fosite.Client.
func (c Client) GetID() string { return c.ID }

// GetHashedSecret implements fosite.Client. There is none for fosite to compare.
func (Client) GetHashedSecret() []byte { return nil }

// GetRedirectURIs implements fosite.Client.
func (c Client) GetRedirectURIs() []string {
	if c.Redirect == "" {
		return nil
	}
	return []string{c.Redirect}
}

// GetGrantTypes implements fosite.Client.
func (c Client) GetGrantTypes() fosite.Arguments { return c.GrantTypes }

// GetResponseTypes implements fosite.Client.
func (c Client) GetResponseTypes() fosite.Arguments { return c.ResponseTypes }

// GetScopes implements fosite.Client.
func (c Client) GetScopes() fosite.Arguments { return c.Scopes() }

// IsPublic implements fosite.Client.
func (c Client) IsPublic() bool { return c.Public() }

// GetAudience implements fosite.Client. The audience follows from the scopes.
func (Client) GetAudience() fosite.Arguments { return nil }

// GetResponseModes implements fosite.ResponseModeClient.
func (c Client) GetResponseModes() []fosite.ResponseModeType {
	modes := make([]fosite.ResponseModeType, len(c.ResponseModes))
	for i, m := range c.ResponseModes {
		modes[i] = fosite.ResponseModeType(m)
	}
	return modes
}

type clientKey struct{}

// WithClient gives fosite the client we have found already, so that one request
// sees one state of it.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// clients is fosite.Storage: all of it that a framework without stock handlers
// needs.
type clients struct{ registry Registry }

// Registry finds live clients.
type Registry interface {
	Client(ctx context.Context, id string) (*oauth.Client, error)
}

func (s clients) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if c, ok := ctx.Value(clientKey{}).(Client); ok && c.ID == id {
		return c, nil
	}
	c, err := s.registry.Client(ctx, id)
	if errors.Is(err, identity.ErrNotFound) {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return Client{Client: c}, nil
}

var errStock = errors.New("framework: a stock part of fosite was called")

func (clients) ClientAssertionJWTValid(context.Context, string) error { return errStock }

func (clients) SetClientAssertionJWT(context.Context, string, time.Time) error { return errStock }
