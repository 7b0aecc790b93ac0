package oauth

import (
	"slices"
	"strings"

	"ecardid/internal/jose"
)

// An Offer is what this server, as it is configured, has to give. A registration may
// be right and still count on more than there is; whoever admits clients asks here.
type Offer struct {
	// Scopes knows which there are: the catalogue.
	Scopes interface {
		Unknown(scopes []string) []string
	}
	// Algs have keys of ours that sign.
	Algs []jose.Alg
	// Certificates: the certificates of clients reach us (RFC 8705). ClientCA: and there
	// is a CA whose word counts, which tls_client_auth needs.
	Certificates, ClientCA bool
	// Device: the device grant is switched on (RFC 8628).
	Device bool
	// Details are the types of authorization_details (RFC 9396), each with the scope
	// that says who may have details of that type.
	Details map[string]string
}

// Check says what the client counts on that is not there.
func (o Offer) Check(c *Client) error {
	if unknown := o.Scopes.Unknown(c.Scopes()); len(unknown) > 0 {
		return &MetadataError{"scope", "names " + strings.Join(unknown, ", ") + ", which the catalogue does not have"}
	}
	for _, alg := range c.SigningAlgs() {
		if !slices.Contains(o.Algs, alg) {
			return &MetadataError{"id_token_signed_response_alg", "or another one names " + string(alg) + ", and no key of ours signs it"}
		}
	}
	if c.UsesCertificates() && !o.Certificates {
		return &MetadataError{"token_endpoint_auth_method", "or a bound token needs client certificates, and none reach this server"}
	}
	if c.TokenEndpointAuthMethod == AuthTLS && !o.ClientCA {
		return &MetadataError{"token_endpoint_auth_method", "is tls_client_auth, and no client CA is configured here"}
	}
	if c.MayUse(GrantDevice) && !o.Device {
		return &MetadataError{"grant_types", "names the device grant, which is switched off here"}
	}
	for _, name := range c.DetailsTypes {
		scope, known := o.Details[name]
		if !known {
			return &MetadataError{"authorization_details_types", "names a type that is not known here"}
		}
		if !c.Allows(scope) {
			return &MetadataError{"authorization_details_types", "names " + name + ", which only a client with the scope " + scope + " may have"}
		}
	}
	return nil
}
