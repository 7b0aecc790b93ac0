package discovery

import (
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/dpop"
)

// Metadata is one document for both specifications.
type Metadata struct {
	Issuer                      string   `json:"issuer"`
	AuthorizationEndpoint       string   `json:"authorization_endpoint"`
	PAREndpoint                 string   `json:"pushed_authorization_request_endpoint,omitempty"` // RFC 9126 §5
	DeviceAuthorizationEndpoint string   `json:"device_authorization_endpoint,omitempty"`         // RFC 8628 §4
	TokenEndpoint               string   `json:"token_endpoint"`
	UserinfoEndpoint            string   `json:"userinfo_endpoint"`
	JWKSURI                     string   `json:"jwks_uri"`
	SM2JWKSURI                  string   `json:"sm2_jwks_uri"`
	IntrospectionEndpoint       string   `json:"introspection_endpoint"`
	RevocationEndpoint          string   `json:"revocation_endpoint"`
	RegistrationEndpoint        string   `json:"registration_endpoint,omitempty"`
	EndSessionEndpoint          string   `json:"end_session_endpoint,omitempty"`
	MTLSAliases                 *Aliases `json:"mtls_endpoint_aliases,omitempty"`

	Scopes        []string `json:"scopes_supported"`
	Claims        []string `json:"claims_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	ACRValues     []string `json:"acr_values_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	DetailsTypes  []string `json:"authorization_details_types_supported,omitempty"` // RFC 9396 §10

	IDTokenAlgs        []string `json:"id_token_signing_alg_values_supported"`
	IDTokenKeyAlgs     []string `json:"id_token_encryption_alg_values_supported"`
	IDTokenEncs        []string `json:"id_token_encryption_enc_values_supported"`
	UserinfoAlgs       []string `json:"userinfo_signing_alg_values_supported"`
	UserinfoKeyAlgs    []string `json:"userinfo_encryption_alg_values_supported"`
	UserinfoEncs       []string `json:"userinfo_encryption_enc_values_supported"`
	IntrospectAlgs     []string `json:"introspection_signing_alg_values_supported"` // RFC 9701 §7
	IntrospectKeyAlgs  []string `json:"introspection_encryption_alg_values_supported"`
	IntrospectEncs     []string `json:"introspection_encryption_enc_values_supported"`
	AuthorizationAlgs  []string `json:"authorization_signing_alg_values_supported"` // JARM §4
	RequestObjectAlgs  []string `json:"request_object_signing_alg_values_supported"`
	DPoPAlgs           []string `json:"dpop_signing_alg_values_supported"` // RFC 9449 §5.1
	CertificateBound   bool     `json:"tls_client_certificate_bound_access_tokens"`
	RequestParameter   bool     `json:"request_parameter_supported"`
	RequestURI         bool     `json:"request_uri_parameter_supported"`
	RequestURIRegister bool     `json:"require_request_uri_registration"`
	RequireSigned      bool     `json:"require_signed_request_object"`
	RequirePAR         bool     `json:"require_pushed_authorization_requests"`
	ClaimsParameter    bool     `json:"claims_parameter_supported"`
	ClaimTypes         []string `json:"claim_types_supported"`
	ResponseISS        bool     `json:"authorization_response_iss_parameter_supported"`

	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs            []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	CodeChallengeMethods     []string `json:"code_challenge_methods_supported"`
	PromptValues             []string `json:"prompt_values_supported"`
	UILocales                []string `json:"ui_locales_supported"`

	BackChannelLogout         bool `json:"backchannel_logout_supported"`
	BackChannelLogoutSession  bool `json:"backchannel_logout_session_supported"`
	FrontChannelLogout        bool `json:"frontchannel_logout_supported"`
	FrontChannelLogoutSession bool `json:"frontchannel_logout_session_supported"`
}

// Aliases are the endpoints at which certificates are asked for (RFC 8705 §5).
type Aliases struct {
	PAREndpoint                 string `json:"pushed_authorization_request_endpoint,omitempty"`
	DeviceAuthorizationEndpoint string `json:"device_authorization_endpoint,omitempty"`
	TokenEndpoint               string `json:"token_endpoint"`
	UserinfoEndpoint            string `json:"userinfo_endpoint"`
	IntrospectionEndpoint       string `json:"introspection_endpoint"`
	RevocationEndpoint          string `json:"revocation_endpoint"`
}

// Paths of the endpoints below the issuer (DESIGN §5).
const (
	PathOpenID  = "/.well-known/openid-configuration"
	PathOAuth   = "/.well-known/oauth-authorization-server"
	PathJWKS    = "/jwks"
	PathSM2JWKS = "/sm2-jwks"

	pathPAR        = "/par"
	pathDevice     = "/device-authorization"
	pathRegister   = "/register"
	pathEndSession = "/end-session"
)

// Facts are what the metadata is made from: this server as it was put together.
type Facts struct {
	Issuer         string
	Scopes, Claims []string
	Algs           []jose.Alg // that it signs with
	Details        []string   // types of authorization_details
	// Serves reports whether there is a route. What there is none for is not said.
	Serves func(path string) bool
	// BackChannel: it calls relying parties.
	BackChannel bool
	// Certificates: those of clients reach it. ClientCA: and some are issued by whom
	// it believes. MTLSBase is where they are asked for, when that is not the issuer.
	Certificates, ClientCA bool
	MTLSBase               string
}

// Describe says what this server does.
func Describe(f Facts) Metadata {
	signing := names(f.Algs)
	methods := f.methods()
	anybody := append(methods[:len(methods):len(methods)], oauth.AuthNone)
	assertions := oauth.AssertionAlgs()
	logout := f.Serves(pathEndSession)
	m := Metadata{
		Issuer:                      f.Issuer,
		AuthorizationEndpoint:       f.Issuer + "/authorize",
		PAREndpoint:                 f.optional(f.Issuer, pathPAR),
		DeviceAuthorizationEndpoint: f.optional(f.Issuer, pathDevice),
		TokenEndpoint:               f.Issuer + "/token",
		UserinfoEndpoint:            f.Issuer + "/userinfo",
		JWKSURI:                     f.Issuer + PathJWKS,
		SM2JWKSURI:                  f.Issuer + PathSM2JWKS,
		IntrospectionEndpoint:       f.Issuer + "/introspect",
		RevocationEndpoint:          f.Issuer + "/revoke",
		RegistrationEndpoint:        f.optional(f.Issuer, pathRegister),
		EndSessionEndpoint:          f.optional(f.Issuer, pathEndSession),

		Scopes:        f.Scopes,
		Claims:        append([]string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}, f.Claims...),
		ResponseTypes: []string{"code"},
		ResponseModes: []string{oauth.ModeQuery, oauth.ModeFormPost, oauth.ModeJWT, oauth.ModeQueryJWT, oauth.ModeFormPostJWT},
		GrantTypes:    []string{oauth.GrantCode, oauth.GrantRefresh, oauth.GrantClientCredentials, oauth.GrantExchange},
		ACRValues:     identity.ACRs(),
		SubjectTypes:  []string{oauth.SubjectPairwise, oauth.SubjectPublic},
		DetailsTypes:  f.Details,

		IDTokenAlgs:       signing,
		IDTokenKeyAlgs:    oauth.EncryptionAlgs(),
		IDTokenEncs:       oauth.EncryptionEncs(),
		UserinfoAlgs:      signing,
		UserinfoKeyAlgs:   oauth.EncryptionAlgs(),
		UserinfoEncs:      oauth.EncryptionEncs(),
		IntrospectAlgs:    signing,
		IntrospectKeyAlgs: oauth.EncryptionAlgs(),
		IntrospectEncs:    oauth.EncryptionEncs(),
		AuthorizationAlgs: signing,
		RequestObjectAlgs: append(oauth.AssertionAlgs(), string(jose.RS256)), // for clients of profile oidc
		DPoPAlgs:          names(dpop.Algs()),
		CertificateBound:  f.Certificates,
		RequestParameter:  true,
		ClaimsParameter:   true,
		ClaimTypes:        []string{"normal"},
		ResponseISS:       true,

		TokenAuthMethods:         anybody,
		TokenAuthAlgs:            assertions,
		IntrospectionAuthMethods: methods,
		IntrospectionAuthAlgs:    assertions,
		RevocationAuthMethods:    anybody,
		RevocationAuthAlgs:       assertions,
		CodeChallengeMethods:     []string{"S256"},
		PromptValues:             []string{"none", "login", "consent", "select_account"},
		UILocales:                []string{"zh-CN", "en"},

		BackChannelLogout:         logout && f.BackChannel,
		BackChannelLogoutSession:  logout && f.BackChannel,
		FrontChannelLogout:        logout,
		FrontChannelLogoutSession: logout,
	}
	if f.Serves(pathDevice) {
		m.GrantTypes = append(m.GrantTypes, oauth.GrantDevice)
	}
	if f.MTLSBase != "" {
		m.MTLSAliases = &Aliases{
			PAREndpoint:                 f.optional(f.MTLSBase, pathPAR),
			DeviceAuthorizationEndpoint: f.optional(f.MTLSBase, pathDevice),
			TokenEndpoint:               f.MTLSBase + "/token",
			UserinfoEndpoint:            f.MTLSBase + "/userinfo",
			IntrospectionEndpoint:       f.MTLSBase + "/introspect",
			RevocationEndpoint:          f.MTLSBase + "/revoke",
		}
	}
	return m
}

// methods are those of clients that have a credential.
func (f Facts) methods() []string {
	methods := []string{oauth.AuthBasic, oauth.AuthPost, oauth.AuthPrivateKey}
	if f.Certificates && f.ClientCA {
		methods = append(methods, oauth.AuthTLS)
	}
	if f.Certificates {
		methods = append(methods, oauth.AuthSelfSigned)
	}
	return methods
}

// optional is the URL of an endpoint, or nothing when there is none.
func (f Facts) optional(base, path string) string {
	if !f.Serves(path) {
		return ""
	}
	return base + path
}

func names(algs []jose.Alg) []string {
	list := make([]string, len(algs))
	for i, alg := range algs {
		list[i] = string(alg)
	}
	return list
}
