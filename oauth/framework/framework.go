package framework

import (
	"context"

	"github.com/ory/fosite"
)

// Parts are ours, hung into fosite's hooks.
type Parts struct {
	Registry     Registry
	Authenticate fosite.ClientAuthenticationStrategy
	Modes        fosite.ResponseModeHandler
	Authorize    []fosite.AuthorizeEndpointHandler
	Token        []fosite.TokenEndpointHandler
}

// New sets fosite up. Each line overrides a default or leaves a hook shut:
//
//	default                                     here
//	state of 8 characters or more               any; and none at all, see authorize
//	scopes match by wildcard                    exactly
//	audiences match by path prefix              exactly, and there are none to ask for
//	client secrets by bcrypt, assertions        our strategy; the stock one cannot run
//	   from one audience list, jti unlimited
//	errors without iss, JSON for people         our response mode handler
//	scope in the redirect                       left out
//	keys and request objects fetched by URL     never: Client has no keys to show, and
//	                                            authorize passes neither parameter on
//	PAR from fosite's store                     no such store: request_uri is ours
//	implicit, password, jwt-bearer              no handler
func New(p Parts) *fosite.Fosite {
	return fosite.NewOAuth2Provider(clients{p.Registry}, &fosite.Config{
		MinParameterEntropy:          1, // the least there is: 0 means 8
		ScopeStrategy:                fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:     fosite.ExactAudienceMatchingStrategy,
		ClientAuthenticationStrategy: p.Authenticate,
		ClientSecretsHasher:          noHasher{},
		ResponseModeHandlerExtension: p.Modes,
		OmitRedirectScopeParam:       true,
		SendDebugMessagesToClients:   false,
		EnforcePKCE:                  true, // read by stock handlers only; shut all the same
		EnforcePKCEForPublicClients:  true,
		AuthorizeEndpointHandlers:    p.Authorize,
		TokenEndpointHandlers:        p.Token,
	})
}

// noHasher refuses: with a naive one, a client without any credential was let in.
type noHasher struct{}

func (noHasher) Compare(context.Context, []byte, []byte) error { return errStock }

func (noHasher) Hash(context.Context, []byte) ([]byte, error) { return nil, errStock }
