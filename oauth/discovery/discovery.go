package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// maxAge is how long a document may be kept. Keys are published for longer than
// this before they sign (keyring.DefaultPolicy).
const maxAge = "public, max-age=900"

// Metadata is one document for both specifications.
type Metadata struct {
	Issuer                     string   `json:"issuer"`
	AuthorizationEndpoint      string   `json:"authorization_endpoint"`
	TokenEndpoint              string   `json:"token_endpoint"`
	UserinfoEndpoint           string   `json:"userinfo_endpoint"`
	JWKSURI                    string   `json:"jwks_uri"`
	SM2JWKSURI                 string   `json:"sm2_jwks_uri"`
	IntrospectionEndpoint      string   `json:"introspection_endpoint"`
	RevocationEndpoint         string   `json:"revocation_endpoint"`
	Scopes                     []string `json:"scopes_supported"`
	Claims                     []string `json:"claims_supported"`
	ResponseTypes              []string `json:"response_types_supported"`
	ResponseModes              []string `json:"response_modes_supported"`
	GrantTypes                 []string `json:"grant_types_supported"`
	ACRValues                  []string `json:"acr_values_supported"`
	SubjectTypes               []string `json:"subject_types_supported"`
	IDTokenAlgs                []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs              []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethods   []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs      []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods      []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs         []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	CodeChallengeMethods       []string `json:"code_challenge_methods_supported"`
	PromptValues               []string `json:"prompt_values_supported"`
	UILocales                  []string `json:"ui_locales_supported"`
	ClaimTypes                 []string `json:"claim_types_supported"`
	ClaimsParameter            bool     `json:"claims_parameter_supported"`
	RequestParameter           bool     `json:"request_parameter_supported"`
	RequestURIParameter        bool     `json:"request_uri_parameter_supported"`
	RequireRequestRegistration bool     `json:"require_request_uri_registration"`
	ResponseISS                bool     `json:"authorization_response_iss_parameter_supported"`
}

// Paths of the endpoints below the issuer (DESIGN §5).
const (
	PathOpenID  = "/.well-known/openid-configuration"
	PathOAuth   = "/.well-known/oauth-authorization-server"
	PathJWKS    = "/jwks"
	PathSM2JWKS = "/sm2-jwks"
)

// Describe says what this server does. algs are those it signs with.
func Describe(issuer string, scopes, claims []string, algs []jose.Alg) Metadata {
	methods := []string{oauth.AuthBasic, oauth.AuthPost, oauth.AuthPrivateKey}
	assertions := []string{string(jose.ES256), string(jose.PS256), string(jose.EdDSA), string(jose.SM2)}
	signing := make([]string, len(algs))
	for i, alg := range algs {
		signing[i] = string(alg)
	}
	return Metadata{
		Issuer:                issuer,
		AuthorizationEndpoint: issuer + "/authorize",
		TokenEndpoint:         issuer + "/token",
		UserinfoEndpoint:      issuer + "/userinfo",
		JWKSURI:               issuer + PathJWKS,
		SM2JWKSURI:            issuer + PathSM2JWKS,
		IntrospectionEndpoint: issuer + "/introspect",
		RevocationEndpoint:    issuer + "/revoke",
		Scopes:                scopes,
		Claims:                append([]string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash"}, claims...),
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{oauth.ModeQuery, oauth.ModeFormPost},
		GrantTypes:            []string{oauth.GrantCode, oauth.GrantRefresh, oauth.GrantClientCredentials},
		ACRValues:             identity.ACRs(),
		SubjectTypes:          []string{oauth.SubjectPairwise, oauth.SubjectPublic},
		IDTokenAlgs:           signing,
		TokenAuthMethods:      append(methods[:len(methods):len(methods)], oauth.AuthNone),
		TokenAuthAlgs:         assertions,

		IntrospectionAuthMethods: methods,
		IntrospectionAuthAlgs:    assertions,
		RevocationAuthMethods:    append(methods[:len(methods):len(methods)], oauth.AuthNone),
		RevocationAuthAlgs:       assertions,
		CodeChallengeMethods:     []string{"S256"},
		PromptValues:             []string{"none", "login", "consent", "select_account"},
		UILocales:                []string{"zh-CN", "en"},
		ClaimTypes:               []string{"normal"},
		ResponseISS:              true,
	}
}

// A document is bytes and their ETag.
type document struct {
	body []byte
	etag string
}

func newDocument(body []byte) *document {
	sum := sha256.Sum256(body)
	return &document{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

func (d *document) serve(w http.ResponseWriter, r *http.Request, media string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Cache-Control", maxAge)
	h.Set("ETag", d.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body))
}

// Static serves a document that never changes while the server runs.
func Static(m Metadata) (http.Handler, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	d := newDocument(body)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, "application/json") }), nil
}

// Keys is where the ring of the moment is.
type Keys interface{ Ring() *jose.Ring }

// KeySet serves one of the two key sets, encoded again only when the ring was
// swapped.
func KeySet(keys Keys, which func(*jose.Ring) string) http.Handler {
	type encoded struct {
		ring *jose.Ring
		doc  *document
	}
	var last atomic.Pointer[encoded]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ring := keys.Ring()
		e := last.Load()
		if e == nil || e.ring != ring {
			e = &encoded{ring, newDocument([]byte(which(ring)))}
			last.Store(e)
		}
		e.doc.serve(w, r, "application/jwk-set+json")
	})
}
