package oauth

import (
	"encoding/json"
	"slices"
	"strings"

	"ecardid/internal/jose"
)

// encA256GCM is the content encryption where none is named. The registrations would
// have A128CBC-HS256, the weaker of the two.
const encA256GCM = "A256GCM"

// AnswerAlgs are the algorithms that may sign what we answer.
func AnswerAlgs() []string {
	return []string{string(jose.ES256), string(jose.PS256), string(jose.RS256), string(jose.SM2)}
}

// AssertionAlgs are the algorithms a client may sign with: assertions, request
// objects. RS256 is for request objects of profile oidc alone.
func AssertionAlgs() []string { return assertionAlgs() }

// EncryptionAlgs are the key management algorithms for what we encrypt to clients
// (RFC 7518 §4). RSA1_5 and RSA-OAEP with SHA-1 are not among them.
func EncryptionAlgs() []string { return []string{"RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW"} }

// EncryptionEncs are the content encryptions (RFC 7518 §5).
func EncryptionEncs() []string { return []string{encA256GCM, "A128GCM", "A128CBC-HS256"} }

type signature struct {
	member string
	alg    *string
}

// signatures lists everything that is signed, by us and by the client.
func (c *Client) signatures() []signature {
	return append(c.answers(),
		signature{"token_endpoint_auth_signing_alg", &c.TokenEndpointAuthAlg},
		signature{"request_object_signing_alg", &c.RequestObjectAlg})
}

// answers lists what we sign for the client.
func (c *Client) answers() []signature {
	return []signature{
		{"id_token_signed_response_alg", &c.IDTokenSignedAlg},
		{"access_token_signed_response_alg", &c.AccessTokenSignedAlg},
		{"authorization_signed_response_alg", &c.AuthorizationSignedAlg},
		{"userinfo_signed_response_alg", &c.UserInfoSignedAlg},
		{"introspection_signed_response_alg", &c.IntrospectionSignedAlg},
	}
}

type encryption struct {
	member   string // of alg; that of enc ends in _enc
	alg, enc *string
}

func (c *Client) encryptions() []encryption {
	return []encryption{
		{"id_token_encrypted_response_alg", &c.IDTokenEncryptedAlg, &c.IDTokenEncryptedEnc},
		{"userinfo_encrypted_response_alg", &c.UserInfoEncryptedAlg, &c.UserInfoEncryptedEnc},
		{"introspection_encrypted_response_alg", &c.IntrospectionEncryptedAlg, &c.IntrospectionEncryptedEnc},
	}
}

// SigningAlgs lists the algorithms that have to sign for this client. There has to
// be a key for each before it is admitted.
func (c *Client) SigningAlgs() []jose.Alg {
	var algs []jose.Alg
	for _, a := range c.answers() {
		if alg := jose.Alg(*a.alg); alg != "" && !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs
}

// checkAnswers: how what we answer is signed and encrypted.
func checkAnswers(c *Client) error {
	for _, a := range c.answers() {
		if *a.alg == "" && a.member != "id_token_signed_response_alg" && a.member != "access_token_signed_response_alg" {
			continue // JSON, or what is usual
		}
		if err := among(a.member, []string{*a.alg}, AnswerAlgs()...); err != nil {
			return err
		}
	}
	if c.AuthorizationSignedAlg != "" && !slices.ContainsFunc(c.ResponseModes, func(m string) bool { return slices.Contains(signedModes(), m) }) {
		return &MetadataError{"authorization_signed_response_alg", "is for the response modes jwt, query.jwt and form_post.jwt"}
	}
	for _, e := range c.encryptions() {
		switch {
		case *e.alg == "" && *e.enc != "":
			return &MetadataError{strings.TrimSuffix(e.member, "alg") + "enc", "needs " + e.member}
		case *e.alg == "":
			continue
		}
		if err := among(e.member, []string{*e.alg}, EncryptionAlgs()...); err != nil {
			return err
		}
		if err := among(strings.TrimSuffix(e.member, "alg")+"enc", []string{*e.enc}, EncryptionEncs()...); err != nil {
			return err
		}
		if c.JWKSURI == "" && !encryptable(c.JWKS, *e.alg) {
			return &MetadataError{"jwks", "has no key to encrypt to for " + e.member + ", and there is no jwks_uri"}
		}
	}
	return nil
}

// encryptable reports whether an inline set has a key of the kind that alg wants and
// that may be encrypted to (RFC 7517 §4.2). Whether the key itself is sound, package
// encrypt finds out, and then sends nothing.
func encryptable(set json.RawMessage, alg string) bool {
	var doc struct {
		Keys []struct {
			Kty string `json:"kty"`
			Use string `json:"use"`
			Alg string `json:"alg"`
		} `json:"keys"`
	}
	if json.Unmarshal(set, &doc) != nil {
		return false
	}
	kty := "EC"
	if strings.HasPrefix(alg, "RSA") {
		kty = "RSA"
	}
	for _, k := range doc.Keys {
		if k.Kty == kty && (k.Use == "enc" || k.Use == "") && (k.Alg == alg || k.Alg == "") {
			return true
		}
	}
	return false
}
