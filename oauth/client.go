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
	AuthNone       = "none"
)

// Grant types (RFC 7591 §2).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// Response modes.
const (
	ModeQuery    = "query"
	ModeFormPost = "form_post"
)

// A ClientState says whether a client may do anything.
type ClientState string

// The states. Only live clients are served; what a suspended one holds is dead.
const (
	ClientLive      ClientState = "live"
	ClientSuspended ClientState = "suspended"
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

	// Admission: ours.
	Profile    Profile     `json:"profile,omitempty"`
	MinACR     string      `json:"min_acr,omitempty"`     // floor of every login for this client
	FirstParty bool        `json:"first_party,omitempty"` // consent is not asked
	Resources  []string    `json:"resources,omitempty"`   // audiences it serves as a resource server; may introspect tokens for them
	State      ClientState `json:"state,omitempty"`
	// PKCEOptional exempts a confidential client of profile oidc from PKCE, for a
	// certified library of old that knows only nonce (RFC 9700 §2.1.1).
	PKCEOptional bool `json:"pkce_optional,omitempty"`

	// Epoch rises with each suspension. What was issued in another is dead.
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
