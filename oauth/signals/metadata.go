package signals

import "ecardid/oauth"

// Scopes and audience of the access tokens for the API (CAEP Interoperability Profile
// §2.7.3).
const (
	ScopeRead   = "ssf.read"
	ScopeManage = "ssf.manage"
	Audience    = "urn:ecardid:resource:signals"
)

// Paths below the issuer.
const (
	PathMetadata = "/.well-known/ssf-configuration"
	PathStream   = "/ssf/stream"
	PathStatus   = "/ssf/status"
	PathAdd      = "/ssf/subjects/add"
	PathRemove   = "/ssf/subjects/remove"
	PathVerify   = "/ssf/verify"
	PathPoll     = "/ssf/poll/{id}"
)

// Metadata is the transmitter's (Shared Signals §7.1).
type Metadata struct {
	Issuer          string   `json:"issuer"`
	Version         string   `json:"spec_version"`
	JWKSURI         string   `json:"jwks_uri"`
	Delivery        []string `json:"delivery_methods_supported"`
	Configuration   string   `json:"configuration_endpoint"`
	Status          string   `json:"status_endpoint"`
	Add             string   `json:"add_subject_endpoint"`
	Remove          string   `json:"remove_subject_endpoint"`
	Verification    string   `json:"verification_endpoint"`
	Schemes         []scheme `json:"authorization_schemes"`
	DefaultSubjects string   `json:"default_subjects"`
}

type scheme struct {
	URN string `json:"spec_urn"`
}

// Describe says where everything is. pushing: events can be pushed.
func Describe(issuer, jwksPath string, pushing bool) Metadata {
	return Metadata{
		Issuer: issuer, Version: "1_0", JWKSURI: issuer + jwksPath, Delivery: methods(pushing),
		Configuration: issuer + PathStream, Status: issuer + PathStatus, Add: issuer + PathAdd, Remove: issuer + PathRemove,
		Verification: issuer + PathVerify, Schemes: []scheme{{"urn:ietf:rfc:6749"}}, DefaultSubjects: "ALL",
	}
}

func methods(pushing bool) []string {
	if pushing {
		return []string{oauth.DeliveryPush, oauth.DeliveryPoll}
	}
	return []string{oauth.DeliveryPoll}
}
