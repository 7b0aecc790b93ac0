package oauth

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	maxContacts = 10
)

var (
	clientID = regexp.MustCompile(`^[a-z0-9-]{3,64}$`)
	hashed   = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // 32 bytes in base64url
)

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

// ValidateClient reads a registration by an operator: RFC 7591 metadata and our
// admission fields. Metadata we do not know is ignored, as §2 asks; what we know must
// be right, and what is left out gets its default. An update is validated the same
// way (SECURITY CA5). Secrets are made by us (NewSecret) and never taken.
//
// Whether the scopes exist, and what else the server has to have, an Offer knows.
func ValidateClient(data []byte) (Client, error) {
	c, err := readClient(data, nil)
	if err != nil {
		return Client{}, err
	}
	return c.complete()
}

// Terms are what a client that registers itself is admitted on.
type Terms struct {
	// Scope is the ceiling. A registration that names no scope gets all of it.
	Scope []string
	// Admission has the client's id, unless it is to get one, and our admission
	// fields. They are never the client's to say.
	Admission Client
}

// ValidateRegistration reads a registration by the client itself (RFC 7591 §2). What
// it says about its own admission is ignored, and its id is ours (SECURITY CA5).
func ValidateRegistration(data []byte, t Terms) (Client, error) {
	c, err := readClient(data, append(admission(), "client_id"))
	if err != nil {
		return Client{}, err
	}
	a := t.Admission
	c.ID, c.Profile, c.MinACR, c.FirstParty, c.State = a.ID, a.Profile, a.MinACR, a.FirstParty, a.State
	c.Resources, c.ExchangeResources, c.Admission = a.Resources, a.ExchangeResources, a.Admission
	if !c.MayUse(GrantExchange) {
		c.ExchangeResources = nil
	}
	c.PKCEOptional = a.PKCEOptional && !c.Public()
	if c.Name == "" {
		c.Name = c.host()
	}
	if c.Scope == "" {
		c.Scope = strings.Join(t.Scope, " ")
	}
	if c, err = c.complete(); err != nil {
		return Client{}, err
	}
	if slices.ContainsFunc(c.Scopes(), func(s string) bool { return !slices.Contains(t.Scope, s) }) {
		return Client{}, &MetadataError{"scope", "is more than this registration may have"}
	}
	if err := checkAtHome(&c); err != nil {
		return Client{}, err
	}
	return c, nil
}

// host is what there is to call a client that has no name: where people are sent to.
func (c *Client) host() string {
	for _, uri := range append(slices.Clone(c.RedirectURIs), c.URI) {
		if host := RedirectHost(uri); host != "" {
			return host
		}
	}
	return ""
}

// admission lists the members that say what a client was admitted as.
func admission() []string {
	return []string{"profile", "min_acr", "first_party", "resources", "exchange_resources", "state", "pkce_optional", "admission"}
}

// PublicMetadata is the client in the words of RFC 7591 §3.2.1, for itself: without
// what only concerns its admission, and without secrets.
func (c *Client) PublicMetadata() (map[string]json.RawMessage, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("client metadata: %w", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, fmt.Errorf("client metadata: %w", err)
	}
	for _, name := range admission() {
		delete(members, name)
	}
	for tag, name := range c.Names {
		if members["client_name#"+tag], err = json.Marshal(name); err != nil {
			return nil, fmt.Errorf("client metadata: %w", err)
		}
	}
	return members, nil
}

// readClient reads the members there are, all but those to be ignored.
func readClient(data []byte, ignored []string) (Client, error) {
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
		case slices.Contains(ignored, name):
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
			if err := checkUnread(name, raw); err != nil {
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
	return c, nil
}

// complete fills in what was left out and checks the whole.
func (c *Client) complete() (Client, error) {
	c.fill()
	for _, check := range []func(*Client) error{
		checkIdentity, checkMethods, checkURIs, checkLogout, checkAuthentication, checkBinding, checkKeys, checkAnswers,
		checkOpenID, checkAdmission, checkFAPI2,
	} {
		if err := check(c); err != nil {
			return Client{}, err
		}
	}
	return *c, nil
}

// memberNames lists what we read. encoding/json would also take "CLIENT_ID".
func memberNames() []string {
	return []string{
		"client_id", "client_name", "client_uri", "policy_uri", "tos_uri", "redirect_uris", "post_logout_redirect_uris",
		"grant_types", "response_types", "response_modes", "scope", "token_endpoint_auth_method",
		"token_endpoint_auth_signing_alg", "id_token_signed_response_alg", "access_token_signed_response_alg",
		"subject_type", "sector_identifier_uri", "default_max_age", "default_acr_values", "jwks", "jwks_uri",
		"application_type", "initiate_login_uri", "contacts",
		"tls_client_auth_subject_dn", "tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip",
		"tls_client_auth_san_email",
		"dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens", "require_pushed_authorization_requests",
		"require_signed_request_object", "request_object_signing_alg", "authorization_details_types",
		"authorization_signed_response_alg",
		"userinfo_signed_response_alg", "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc",
		"id_token_encrypted_response_alg", "id_token_encrypted_response_enc",
		"introspection_signed_response_alg", "introspection_encrypted_response_alg", "introspection_encrypted_response_enc",
		"backchannel_logout_uri", "backchannel_logout_session_required",
		"frontchannel_logout_uri", "frontchannel_logout_session_required",
		"profile", "min_acr", "first_party", "resources", "state", "pkce_optional", "exchange_resources", "require_dpop_nonce", "admission",
	}
}

// unoffered lists metadata that asks for more protection than we give. A client that
// was registered with it would believe it has it; so it is refused rather than
// ignored (SECURITY AZ2, G8).
func unoffered() []string {
	return []string{
		"request_object_encryption_alg", "request_object_encryption_enc", // OpenID Connect Core §6.1
		"authorization_encrypted_response_alg", "authorization_encrypted_response_enc", // JARM §3
	}
}

// checkUnread looks at a URI, or a list of them, that nobody here ever follows. What
// is kept or shown one day was then checked when it came. A fragment is refused as
// everywhere, unless it is what OpenID Connect Registration §2 puts there: the
// SHA-256 hash of the request object behind one of request_uris.
func checkUnread(name string, raw []byte) error {
	var one *string
	var all []string
	switch {
	case json.Unmarshal(raw, &one) == nil && one != nil:
		all = []string{*one}
	case json.Unmarshal(raw, &all) != nil || all == nil:
		return errors.New("is neither a URI nor a list of them")
	}
	for _, uri := range all {
		if at, fragment, _ := strings.Cut(uri, "#"); name == "request_uris" && hashed.MatchString(fragment) {
			uri = at
		}
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

// fill sets what was left out. ID tokens are signed with ES256 where OpenID Connect
// would say RS256: every certified library reads both, and one costs a twentieth of
// the other (decision D4). Only profile oidc keeps to the letter of it (OpenID Connect
// Registration §2), and may have its answers posted.
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
		c.ResponseModes = c.usualModes()
	}
	set(&c.TokenEndpointAuthMethod, AuthBasic)
	if c.TokenEndpointAuthMethod == AuthPrivateKey {
		set(&c.TokenEndpointAuthAlg, c.usualAssertionAlg())
	}
	if c.Profile == ProfileOIDC {
		set(&c.IDTokenSignedAlg, string(jose.RS256))
	}
	set(&c.IDTokenSignedAlg, string(jose.ES256))
	set(&c.AccessTokenSignedAlg, string(jose.ES256))
	set(&c.SubjectType, SubjectPairwise)
	set(&c.ApplicationType, "web")
	for _, e := range c.encryptions() {
		if *e.alg != "" {
			set(e.enc, encA256GCM)
		}
	}
	if c.Profile == ProfileFAPI2 { // FAPI 2.0 §5.3.2.1, §5.3.2.2
		c.DPoPBound = c.DPoPBound || !c.CertBound
		c.RequirePAR = c.RequirePAR || c.MayUse(GrantCode)
	}
}

func (c *Client) usualModes() []string {
	modes := []string{ModeQuery}
	if c.Profile == ProfileOIDC {
		modes = append(modes, ModeFormPost)
	}
	if c.AuthorizationSignedAlg != "" { // whoever says how to sign wants it signed
		modes = append(modes, signedModes()...)
	}
	return modes
}

// usualAssertionAlg is the one algorithm that the client's keys are all for, or ES256.
func (c *Client) usualAssertionAlg() string {
	set, err := jose.ParseSet(c.JWKS)
	if err != nil || set.Len() == 0 {
		return string(jose.ES256)
	}
	for _, alg := range assertionAlgs() {
		if !slices.ContainsFunc(set.Keys(), func(k jose.Key) bool { return !fits(k, alg) }) {
			return alg
		}
	}
	return string(jose.ES256)
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
		if tag == "" || len(tag) > 35 {
			return &MetadataError{"client_name#" + tag, "has no language tag behind the number sign, or a long one (RFC 7591 §2.2)"}
		}
		if name == "" || !readable(name) {
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

// Asker is the client as a citizen may see it, about to be sent to redirect. Admitted
// is one whom an operator has let in: who registered itself was assessed by nobody
// (SECURITY CN2).
func (c *Client) Asker(redirect string) identity.Asker {
	names := make(map[string]string, len(c.Names)+1)
	maps.Copy(names, c.Names)
	names[""] = c.Name
	return identity.Asker{ClientID: c.ID, Name: names, Host: RedirectHost(redirect), Admitted: c.State == ClientLive && !c.Dynamic, RedirectURI: redirect}
}
