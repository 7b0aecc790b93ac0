package oauth

import (
	"encoding/json"
	"time"
)

// A Profile is the set of rules a client is held to (DESIGN D5).
type Profile string

// The profiles.
const (
	ProfileOIDC    Profile = "oidc"    // what certified OpenID Connect libraries expect
	ProfileOAuth21 Profile = "oauth21" // PKCE for all; the default
	ProfileFAPI2   Profile = "fapi2"   // PAR, private_key_jwt, sender-constrained tokens
)

// Client authentication methods (OpenID Connect Core §9).
const (
	AuthBasic      = "client_secret_basic"
	AuthPost       = "client_secret_post"
	AuthPrivateKey = "private_key_jwt"
	AuthTLS        = "tls_client_auth"             // RFC 8705 §2.1
	AuthSelfSigned = "self_signed_tls_client_auth" // RFC 8705 §2.2
	AuthNone       = "none"
)

// Grant types (RFC 7591 §2).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code"    // RFC 8628
)

// Response modes. The last three answer with a signed JWT (JARM); ModeJWT is
// ModeQueryJWT for response_type code (JARM §2.3.4).
const (
	ModeQuery       = "query"
	ModeFormPost    = "form_post"
	ModeJWT         = "jwt"
	ModeQueryJWT    = "query.jwt"
	ModeFormPostJWT = "form_post.jwt"
)

// A ClientState says whether a client may do anything.
type ClientState string

// The states, see MayBecome. Only live clients are served, and those that are tested for
// the citizens they are tested with; what another one holds is dead. A withdrawn client
// never comes back and its id is never given again.
const (
	ClientDraft     ClientState = "draft"    // being put in order
	ClientTesting   ClientState = "testing"  // tried out by a few
	ClientAssessed  ClientState = "assessed" // looked at, and waiting to be let in
	ClientLive      ClientState = "live"
	ClientSuspended ClientState = "suspended"
	ClientWithdrawn ClientState = "withdrawn"
)

// A Client is a relying party or a resource server, as registered: RFC 7591
// metadata under its registered names, and our admission fields after it. A
// Client is never changed in place; the registry swaps whole sets.
type Client struct {
	ID                      string            `json:"client_id"`
	Name                    string            `json:"client_name"`
	Names                   map[string]string `json:"-"` // client_name#zh-CN and the like (RFC 7591 §2.2)
	URI                     string            `json:"client_uri,omitempty"`
	PolicyURI               string            `json:"policy_uri,omitempty"`
	TOSURI                  string            `json:"tos_uri,omitempty"`
	RedirectURIs            []string          `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs  []string          `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes              []string          `json:"grant_types,omitempty"`
	ResponseTypes           []string          `json:"response_types,omitempty"`
	ResponseModes           []string          `json:"response_modes,omitempty"`
	Scope                   string            `json:"scope,omitempty"` // space-separated ceiling
	TokenEndpointAuthMethod string            `json:"token_endpoint_auth_method,omitempty"`
	TokenEndpointAuthAlg    string            `json:"token_endpoint_auth_signing_alg,omitempty"`
	IDTokenSignedAlg        string            `json:"id_token_signed_response_alg,omitempty"`
	AccessTokenSignedAlg    string            `json:"access_token_signed_response_alg,omitempty"`
	SubjectType             string            `json:"subject_type,omitempty"` // pairwise unless public
	SectorIdentifierURI     string            `json:"sector_identifier_uri,omitempty"`
	DefaultMaxAge           *int              `json:"default_max_age,omitempty"`
	DefaultACRValues        []string          `json:"default_acr_values,omitempty"`
	JWKS                    json.RawMessage   `json:"jwks,omitempty"`
	JWKSURI                 string            `json:"jwks_uri,omitempty"`
	ApplicationType         string            `json:"application_type,omitempty"`
	InitiateLoginURI        string            `json:"initiate_login_uri,omitempty"` // OpenID Connect Core §4
	Contacts                []string          `json:"contacts,omitempty"`

	// Exactly one of these names the certificate of tls_client_auth (RFC 8705 §2.1.2).
	TLSSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSDNS       string `json:"tls_client_auth_san_dns,omitempty"`
	TLSURI       string `json:"tls_client_auth_san_uri,omitempty"`
	TLSIP        string `json:"tls_client_auth_san_ip,omitempty"`
	TLSEmail     string `json:"tls_client_auth_san_email,omitempty"`

	// What the client holds itself to. fapi2 has PAR and one of the two bindings.
	DPoPBound            bool     `json:"dpop_bound_access_tokens,omitempty"`                   // RFC 9449 §5.2
	CertBound            bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705 §3.4
	RequirePAR           bool     `json:"require_pushed_authorization_requests,omitempty"`      // RFC 9126 §6
	RequireSignedRequest bool     `json:"require_signed_request_object,omitempty"`              // RFC 9101 §10.5
	RequestObjectAlg     string   `json:"request_object_signing_alg,omitempty"`
	DetailsTypes         []string `json:"authorization_details_types,omitempty"` // RFC 9396 §10

	// How answers are signed and, after that, encrypted. Unset: JSON where JSON is
	// possible, ES256 where a signature is not optional (JARM), no encryption.
	AuthorizationSignedAlg    string `json:"authorization_signed_response_alg,omitempty"`
	UserInfoSignedAlg         string `json:"userinfo_signed_response_alg,omitempty"`
	UserInfoEncryptedAlg      string `json:"userinfo_encrypted_response_alg,omitempty"`
	UserInfoEncryptedEnc      string `json:"userinfo_encrypted_response_enc,omitempty"`
	IDTokenEncryptedAlg       string `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEncryptedEnc       string `json:"id_token_encrypted_response_enc,omitempty"`
	IntrospectionSignedAlg    string `json:"introspection_signed_response_alg,omitempty"` // RFC 9701 §6
	IntrospectionEncryptedAlg string `json:"introspection_encrypted_response_alg,omitempty"`
	IntrospectionEncryptedEnc string `json:"introspection_encrypted_response_enc,omitempty"`

	// Where the end of a session is told.
	BackChannelLogoutURI      string `json:"backchannel_logout_uri,omitempty"`
	BackChannelLogoutSession  bool   `json:"backchannel_logout_session_required,omitempty"`
	FrontChannelLogoutURI     string `json:"frontchannel_logout_uri,omitempty"`
	FrontChannelLogoutSession bool   `json:"frontchannel_logout_session_required,omitempty"`

	// Admission: ours.
	Profile    Profile     `json:"profile,omitempty"`
	MinACR     string      `json:"min_acr,omitempty"`     // floor of every login for this client
	FirstParty bool        `json:"first_party,omitempty"` // consent is not asked
	Resources  []string    `json:"resources,omitempty"`   // audiences it serves as a resource server; may introspect tokens for them
	State      ClientState `json:"state,omitempty"`
	// Admission is what it was assessed as; nil for one that an operator vouches for.
	Admission *Admission `json:"admission,omitempty"`
	// PKCEOptional exempts a confidential client of profile oidc from PKCE, for a
	// certified library of old that knows only nonce (RFC 9700 §2.1.1).
	PKCEOptional bool `json:"pkce_optional,omitempty"`
	// ExchangeResources are the audiences it may ask tokens for by token exchange
	// (SECURITY TK5); empty: none.
	ExchangeResources []string `json:"exchange_resources,omitempty"`
	// RequireNonce makes DPoP proofs of this client carry a nonce of ours (RFC 9449 §8).
	RequireNonce bool `json:"require_dpop_nonce,omitempty"`

	// Dynamic: registered at /register. Registration is the SHA-256 of the
	// registration access token (RFC 7592 §3).
	Dynamic      bool   `json:"-"`
	Registration []byte `json:"-"`

	// Epoch rises with each suspension, and when a client that registered itself becomes
	// another (Registrations.UpdateClient). What was issued in another epoch is dead.
	Epoch int64 `json:"-"`

	// Secrets are keyed hashes of up to two secrets, so that one can be replaced
	// while the other still works. They are never part of the JSON.
	Secrets []SecretHash `json:"-"`

	Created time.Time `json:"-"`
	Updated time.Time `json:"-"`
}

// A SecretHash is HMAC-SHA-256 of a client secret under the client-secret key.
type SecretHash struct {
	Hash    []byte    `json:"hash"`
	Expires time.Time `json:"expires,omitzero"`
}
