package oauth

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/strictjson"
)

const (
	maxMetadata = 64 << 10
	maxDepth    = 32  // of its JSON: what jose allows the keys inside
	maxName     = 100 // of a client, in characters: it has to fit a button
	maxURIs     = 20
)

var clientID = regexp.MustCompile(`^[a-z0-9-]{3,64}$`)

// A MetadataError says which member of a registration is not acceptable, and why.
type MetadataError struct{ Member, Problem string }

func (e *MetadataError) Error() string { return e.Member + " " + e.Problem }

// OAuthCode is the error code of RFC 7591 §3.2.2.
func (e *MetadataError) OAuthCode() string {
	if e.Member == "redirect_uris" {
		return "invalid_redirect_uri"
	}
	return "invalid_client_metadata"
}

// ValidateClient reads a registration: RFC 7591 metadata and our admission
// fields. Metadata we do not know is ignored, as §2 asks; what we know must be
// right, and what is left out gets its default. An update is validated the same
// way (SECURITY CA5). Secrets are made by us (NewSecret) and never taken.
//
// Whether the scopes exist, the catalogue knows.
func ValidateClient(data []byte) (Client, error) {
	members, err := readMembers(data)
	if err != nil {
		return Client{}, err
	}
	if _, given := members.Get("client_secret"); given {
		return Client{}, &MetadataError{"client_secret", "is made by this server and never taken"}
	}
	known := make(map[string]json.RawMessage, len(members))
	var c Client
	for _, m := range members {
		name, raw := m.Name, m.Value
		switch base, tag, localized := strings.Cut(name, "#"); {
		case localized && base == "client_name":
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return Client{}, &MetadataError{name, "is not a string"}
			}
			if c.Names == nil {
				c.Names = map[string]string{}
			}
			c.Names[tag] = text
		case slices.Contains(unoffered(), name) && string(raw) != "false":
			return Client{}, &MetadataError{name, "is not offered here, and what it asks for would not be done"}
		case !slices.Contains(memberNames(), name) && (strings.HasSuffix(base, "_uri") || strings.HasSuffix(base, "_uris")):
			if err := checkUnread(raw); err != nil {
				return Client{}, &MetadataError{name, err.Error()}
			}
		case slices.Contains(memberNames(), name):
			if string(raw) == "null" {
				return Client{}, &MetadataError{name, "is null; leave it out instead"}
			}
			known[name] = raw
		}
	}
	exact, err := json.Marshal(known)
	if err != nil {
		return Client{}, fmt.Errorf("client metadata: %w", err)
	}
	if err := json.Unmarshal(exact, &c); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return Client{}, &MetadataError{wrong.Field, "has the wrong type"}
		}
		return Client{}, fmt.Errorf("client metadata: %w", err)
	}
	c.fill()
	for _, check := range []func(*Client) error{
		checkIdentity, checkMethods, checkURIs, checkKeys, checkOpenID, checkAdmission,
	} {
		if err := check(&c); err != nil {
			return Client{}, err
		}
	}
	return c, nil
}

// memberNames lists what we read. encoding/json would also take "CLIENT_ID".
func memberNames() []string {
	return []string{
		"client_id", "client_name", "client_uri", "policy_uri", "tos_uri", "redirect_uris", "post_logout_redirect_uris",
		"grant_types", "response_types", "response_modes", "scope", "token_endpoint_auth_method",
		"token_endpoint_auth_signing_alg", "id_token_signed_response_alg", "access_token_signed_response_alg",
		"subject_type", "sector_identifier_uri", "default_max_age", "default_acr_values", "jwks", "jwks_uri",
		"application_type", "profile", "min_acr", "first_party", "resources", "state",
		"pkce_optional",
	}
}

// unoffered lists metadata that asks for more protection than we give. A client that
// was registered with it would believe it has it; so it is refused rather than
// ignored (SECURITY AZ2, G8).
func unoffered() []string {
	return []string{
		"dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens", // RFC 9449 §5.2, RFC 8705 §3.4
		"require_pushed_authorization_requests", "require_signed_request_object", // RFC 9126 §6, RFC 9101 §10.5
		"request_object_signing_alg", "request_object_encryption_alg", "request_object_encryption_enc",
		"userinfo_signed_response_alg", "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc",
		"id_token_encrypted_response_alg", "id_token_encrypted_response_enc",
		"introspection_signed_response_alg", "introspection_encrypted_response_alg", "introspection_encrypted_response_enc",
		"authorization_signed_response_alg", "authorization_encrypted_response_alg", "authorization_encrypted_response_enc",
	}
}

// checkUnread looks at a URI, or a list of them, that nobody here ever follows. What
// is kept or shown one day was then checked when it came.
func checkUnread(raw []byte) error {
	var one *string
	var all []string
	switch {
	case json.Unmarshal(raw, &one) == nil && one != nil:
		all = []string{*one}
	case json.Unmarshal(raw, &all) != nil || all == nil:
		return errors.New("is neither a URI nor a list of them")
	}
	for _, uri := range all {
		if err := CheckURI(uri); err != nil {
			return err
		}
	}
	return nil
}

// readMembers takes names that differ in letter case only for two: metadata we do
// not know is ignored, and encoding/json reads from an object made of exact names.
func readMembers(data []byte) (strictjson.Object, error) {
	members, err := strictjson.Limits{Bytes: maxMetadata, Depth: maxDepth, Twins: strictjson.TwinsAnywhere}.Object(data)
	var twice *strictjson.Twice
	if errors.As(err, &twice) {
		return nil, &MetadataError{twice.Name, "is there twice"}
	}
	if err != nil {
		return nil, fmt.Errorf("client metadata: %w", err)
	}
	return members, nil
}

// fill sets what was left out. ID tokens are signed with ES256 where OpenID
// Connect would say RS256: every certified library reads both, and one costs a
// twentieth of the other (decision D4).
func (c *Client) fill() {
	set := func(at *string, value string) {
		if *at == "" {
			*at = value
		}
	}
	if c.ID == "" {
		id := identity.NewID()
		c.ID = "c-" + hex.EncodeToString(id[:])
	}
	if c.Profile == "" {
		c.Profile = ProfileOAuth21
	}
	if c.State == "" {
		c.State = ClientLive
	}
	if c.GrantTypes == nil {
		c.GrantTypes = []string{GrantCode}
	}
	if c.ResponseTypes == nil && c.MayUse(GrantCode) {
		c.ResponseTypes = []string{"code"}
	}
	if c.ResponseModes == nil && c.MayUse(GrantCode) {
		c.ResponseModes = []string{ModeQuery}
	}
	set(&c.TokenEndpointAuthMethod, AuthBasic)
	if c.TokenEndpointAuthMethod == AuthPrivateKey {
		set(&c.TokenEndpointAuthAlg, string(jose.ES256))
	}
	set(&c.IDTokenSignedAlg, string(jose.ES256))
	set(&c.AccessTokenSignedAlg, string(jose.ES256))
	set(&c.SubjectType, SubjectPairwise)
	set(&c.ApplicationType, "web")
}

func checkIdentity(c *Client) error {
	if !clientID.MatchString(c.ID) {
		return &MetadataError{"client_id", "has 3 to 64 lower-case letters, digits and hyphens"}
	}
	if c.Name == "" {
		return &MetadataError{"client_name", "is missing: people have to know who asks"}
	}
	if !readable(c.Name) {
		return &MetadataError{"client_name", "is too long or has control or direction characters"}
	}
	for tag, name := range c.Names {
		if len(tag) > 35 || name == "" || !readable(name) {
			return &MetadataError{"client_name#" + tag, "is empty, too long or has control or direction characters"}
		}
	}
	return nil
}

// readable keeps names from pretending to be something else (SECURITY CN2):
// direction marks and invisible characters are all of class Cf.
func readable(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxName && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
		})
}

func checkMethods(c *Client) error {
	if err := among("grant_types", c.GrantTypes, GrantCode, GrantRefresh, GrantClientCredentials); err != nil {
		return err
	}
	code := c.MayUse(GrantCode)
	switch {
	case c.MayUse(GrantRefresh) && !code:
		return &MetadataError{"grant_types", "has refresh_token and nothing to refresh"}
	case c.MayUse(GrantClientCredentials) && c.Public():
		return &MetadataError{"grant_types", "has client_credentials for a client without credentials"}
	case !code && len(c.RedirectURIs) > 0:
		return &MetadataError{"redirect_uris", "are for the authorization_code grant"}
	case code && len(c.RedirectURIs) == 0:
		return &MetadataError{"redirect_uris", "is missing"}
	case code && !slices.Equal(c.ResponseTypes, []string{"code"}):
		return &MetadataError{"response_types", `can only be ["code"]`}
	case !code && len(c.ResponseTypes) > 0:
		return &MetadataError{"response_types", "are for the authorization_code grant"}
	}
	if err := among("response_modes", c.ResponseModes, ModeQuery, ModeFormPost); err != nil {
		return err
	}
	if err := among("token_endpoint_auth_method", []string{c.TokenEndpointAuthMethod},
		AuthBasic, AuthPost, AuthPrivateKey, AuthNone); err != nil {
		return err
	}
	scopes, err := ParseScope(c.Scope)
	if err != nil {
		return &MetadataError{"scope", "is malformed"}
	}
	c.Scope = strings.Join(scopes, " ")
	return nil
}

func checkURIs(c *Client) error {
	if len(c.RedirectURIs) > maxURIs || len(c.PostLogoutRedirectURIs) > maxURIs {
		return &MetadataError{"redirect_uris", fmt.Sprintf("are more than %d", maxURIs)}
	}
	for _, uri := range c.RedirectURIs {
		if err := CheckURI(uri); err != nil {
			return &MetadataError{"redirect_uris", err.Error()}
		}
		if answered(uri) {
			return &MetadataError{"redirect_uris", "has a query parameter that is part of our answer"}
		}
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		if err := CheckURI(uri); err != nil {
			return &MetadataError{"post_logout_redirect_uris", err.Error()}
		}
	}
	for name, uri := range map[string]string{
		"client_uri": c.URI, "policy_uri": c.PolicyURI, "tos_uri": c.TOSURI,
		"jwks_uri": c.JWKSURI, "sector_identifier_uri": c.SectorIdentifierURI,
	} {
		if uri == "" {
			continue
		}
		if err := CheckURI(uri); err != nil {
			return &MetadataError{name, err.Error()}
		}
	}
	if c.SectorIdentifierURI != "" && httpsHost(c.SectorIdentifierURI) == "" {
		return &MetadataError{"sector_identifier_uri", "must be https"}
	}
	if c.SubjectType != SubjectPublic && c.SectorIdentifierURI == "" {
		hosts := map[string]bool{}
		for _, uri := range c.RedirectURIs {
			if host := httpsHost(uri); host != "" {
				hosts[host] = true
			}
		}
		if len(hosts) > 1 {
			return &MetadataError{"sector_identifier_uri", "is needed when redirect_uris are on several hosts (OpenID Connect Core §8.1)"}
		}
	}
	return nil
}

// answered reports whether a redirect URI brings a parameter of its own that we
// would add: the application could not tell which is ours (SECURITY AZ6).
func answered(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return true
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return true
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_uri", "response"} {
		if query.Has(name) {
			return true
		}
	}
	return false
}

func checkKeys(c *Client) error {
	switch {
	case len(c.JWKS) > 0 && c.JWKSURI != "":
		return &MetadataError{"jwks", "and jwks_uri exclude each other (RFC 7591 §2)"}
	case len(c.JWKS) > 0:
		set, err := jose.ParseSet(c.JWKS)
		if err != nil || set.Len() == 0 {
			return &MetadataError{"jwks", "is not a set of public keys"}
		}
	case c.TokenEndpointAuthMethod == AuthPrivateKey:
		return &MetadataError{"jwks", "is needed for private_key_jwt"}
	}
	if c.TokenEndpointAuthMethod != AuthPrivateKey {
		if c.TokenEndpointAuthAlg != "" {
			return &MetadataError{"token_endpoint_auth_signing_alg", "is for private_key_jwt"}
		}
		return nil
	}
	return among("token_endpoint_auth_signing_alg", []string{c.TokenEndpointAuthAlg}, assertionAlgs()...)
}

func checkOpenID(c *Client) error {
	algs := []string{string(jose.ES256), string(jose.PS256), string(jose.RS256), string(jose.SM2)}
	if err := among("id_token_signed_response_alg", []string{c.IDTokenSignedAlg}, algs...); err != nil {
		return err
	}
	if err := among("access_token_signed_response_alg", []string{c.AccessTokenSignedAlg}, algs...); err != nil {
		return err
	}
	if err := among("subject_type", []string{c.SubjectType}, SubjectPairwise, SubjectPublic); err != nil {
		return err
	}
	if err := among("application_type", []string{c.ApplicationType}, "web", "native"); err != nil {
		return err
	}
	if c.DefaultMaxAge != nil && *c.DefaultMaxAge < 0 {
		return &MetadataError{"default_max_age", "is negative"}
	}
	return among("default_acr_values", c.DefaultACRValues, identity.ACRs()...)
}

func checkAdmission(c *Client) error {
	if err := among("profile", []string{string(c.Profile)}, string(ProfileOIDC), string(ProfileOAuth21), string(ProfileFAPI2)); err != nil {
		return err
	}
	if err := among("state", []string{string(c.State)}, string(ClientLive), string(ClientSuspended)); err != nil {
		return err
	}
	if c.MinACR != "" {
		if err := among("min_acr", []string{c.MinACR}, identity.ACRs()...); err != nil {
			return err
		}
	}
	if c.Profile == ProfileFAPI2 && c.TokenEndpointAuthMethod != AuthPrivateKey {
		return &MetadataError{"token_endpoint_auth_method", "must be private_key_jwt in profile fapi2 (FAPI 2.0 §5.3.2.1)"}
	}
	if c.PKCEOptional && (c.Profile != ProfileOIDC || c.Public()) {
		return &MetadataError{"pkce_optional", "is for confidential clients of profile oidc (RFC 9700 §2.1.1)"}
	}
	for _, res := range c.Resources {
		if !strings.Contains(res, ":") || strings.ContainsAny(res, "# ") || len(res) > maxURI || !scopeName(res) {
			return &MetadataError{"resources", "must be absolute URIs without fragment (RFC 8707 §2)"}
		}
	}
	if len(c.Resources) > 0 && c.Public() {
		return &MetadataError{"resources", "are for clients with credentials"}
	}
	return nil
}

// assertionAlgs are the algorithms of client assertions: SECURITY CA2 and the
// national one.
func assertionAlgs() []string {
	return []string{string(jose.ES256), string(jose.PS256), string(jose.EdDSA), string(jose.SM2)}
}

func among(member string, values []string, allowed ...string) error {
	for i, v := range values {
		if !slices.Contains(allowed, v) {
			return &MetadataError{member, "must be of " + strings.Join(allowed, ", ")}
		}
		if slices.Contains(values[:i], v) {
			return &MetadataError{member, "names a value twice"}
		}
	}
	return nil
}

// Asker is the client as a citizen may see it, about to be sent to redirect.
func (c *Client) Asker(redirect string) identity.Asker {
	names := make(map[string]string, len(c.Names)+1)
	maps.Copy(names, c.Names)
	names[""] = c.Name
	return identity.Asker{ClientID: c.ID, Name: names, Host: RedirectHost(redirect), Admitted: c.State == ClientLive, RedirectURI: redirect}
}
