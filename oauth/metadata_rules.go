package oauth

import (
	"fmt"
	"math"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"ecardid/identity"
	"ecardid/internal/jose"
)

// maxSubject is the longest name of a certificate: what X.509 allows is less.
const maxSubject = 512

func checkMethods(c *Client) error {
	if err := among("grant_types", c.GrantTypes, GrantCode, GrantRefresh, GrantClientCredentials, GrantExchange, GrantDevice); err != nil {
		return err
	}
	code := c.MayUse(GrantCode)
	switch {
	case c.MayUse(GrantRefresh) && !code && !c.MayUse(GrantDevice):
		return &MetadataError{"grant_types", "has refresh_token and nothing to refresh"}
	case c.MayUse(GrantClientCredentials) && c.Public():
		return &MetadataError{"grant_types", "has client_credentials for a client without credentials"}
	case c.MayUse(GrantExchange) && c.Public():
		return &MetadataError{"grant_types", "has token exchange for a client without credentials"}
	case c.MayUse(GrantExchange) != (len(c.ExchangeResources) > 0):
		return &MetadataError{"exchange_resources", "and the grant type of token exchange go together"}
	case !code && len(c.RedirectURIs) > 0:
		return &MetadataError{"redirect_uris", "are for the authorization_code grant"}
	case code && len(c.RedirectURIs) == 0:
		return &MetadataError{"redirect_uris", "is missing"}
	case code && !slices.Equal(c.ResponseTypes, []string{"code"}):
		return &MetadataError{"response_types", `can only be ["code"]`}
	case !code && len(c.ResponseTypes) > 0:
		return &MetadataError{"response_types", "are for the authorization_code grant"}
	}
	if err := among("response_modes", c.ResponseModes, append([]string{ModeQuery, ModeFormPost}, signedModes()...)...); err != nil {
		return err
	}
	scopes, err := ParseScope(c.Scope)
	if err != nil {
		return &MetadataError{"scope", "is malformed"}
	}
	c.Scope = strings.Join(scopes, " ")
	return nil
}

func signedModes() []string { return []string{ModeJWT, ModeQueryJWT, ModeFormPostJWT} }

// checkAuthentication: one method, with all it needs and nothing that belongs to
// another (SECURITY CA1).
func checkAuthentication(c *Client) error {
	if err := among("token_endpoint_auth_method", []string{c.TokenEndpointAuthMethod},
		AuthBasic, AuthPost, AuthPrivateKey, AuthTLS, AuthSelfSigned, AuthNone); err != nil {
		return err
	}
	switch {
	case c.TokenEndpointAuthMethod == AuthPrivateKey:
		if err := among("token_endpoint_auth_signing_alg", []string{c.TokenEndpointAuthAlg}, assertionAlgs()...); err != nil {
			return err
		}
	case c.TokenEndpointAuthAlg != "":
		return &MetadataError{"token_endpoint_auth_signing_alg", "is for private_key_jwt"}
	}
	named := c.certificateNames()
	switch {
	case c.TokenEndpointAuthMethod == AuthTLS && len(named) != 1:
		return &MetadataError{"tls_client_auth_subject_dn", "or exactly one of the tls_client_auth_san members is needed (RFC 8705 §2.1.2)"}
	case c.TokenEndpointAuthMethod != AuthTLS && len(named) > 0:
		return &MetadataError{named[0], "is for tls_client_auth"}
	}
	return c.checkCertificateName()
}

// certificateNames lists the members that name the certificate.
func (c *Client) certificateNames() []string {
	var named []string
	for _, m := range []struct{ member, value string }{
		{"tls_client_auth_subject_dn", c.TLSSubjectDN}, {"tls_client_auth_san_dns", c.TLSDNS}, {"tls_client_auth_san_uri", c.TLSURI},
		{"tls_client_auth_san_ip", c.TLSIP}, {"tls_client_auth_san_email", c.TLSEmail},
	} {
		if m.value != "" {
			named = append(named, m.member)
		}
	}
	return named
}

// checkCertificateName looks at the form. What it is compared with, package mtls
// knows; a name that can be in no certificate would lock the client out silently.
func (c *Client) checkCertificateName() error {
	if dn := c.TLSSubjectDN; dn != "" && (!strings.Contains(dn, "=") || len(dn) > maxSubject || unprintable(dn)) {
		return &MetadataError{"tls_client_auth_subject_dn", "is not a distinguished name (RFC 4514)"}
	}
	if dns := c.TLSDNS; dns != "" && !hostname(strings.ToLower(dns)) {
		return &MetadataError{"tls_client_auth_san_dns", "is not a host name"}
	}
	if text := c.TLSURI; text != "" {
		if u, err := url.Parse(text); err != nil || !u.IsAbs() || len(text) > maxURI || unprintable(text) || strings.Contains(text, " ") {
			return &MetadataError{"tls_client_auth_san_uri", "is not an absolute URI"}
		}
	}
	if ip := c.TLSIP; ip != "" {
		if addr, err := netip.ParseAddr(ip); err != nil || addr.Zone() != "" {
			return &MetadataError{"tls_client_auth_san_ip", "is not an IP address"}
		}
	}
	if text := c.TLSEmail; text != "" {
		if a, err := mail.ParseAddress(text); err != nil || a.Address != text || len(text) > maxSubject || unprintable(text) {
			return &MetadataError{"tls_client_auth_san_email", "is not a mail address"}
		}
	}
	return nil
}

// checkBinding: whom tokens are bound to, and what a request has to come as.
func checkBinding(c *Client) error {
	code := c.MayUse(GrantCode)
	switch {
	case c.RequirePAR && !code:
		return &MetadataError{"require_pushed_authorization_requests", "is for the authorization_code grant"}
	case c.RequireSignedRequest && !code:
		return &MetadataError{"require_signed_request_object", "is for the authorization_code grant"}
	case c.RequestObjectAlg == "":
		return nil
	}
	algs := assertionAlgs()
	if c.Profile == ProfileOIDC { // SECURITY CO4: never none
		algs = append(algs, string(jose.RS256))
	}
	return among("request_object_signing_alg", []string{c.RequestObjectAlg}, algs...)
}

// checkKeys: a set that can be read, with a key for each thing the client signs.
func checkKeys(c *Client) error {
	if len(c.JWKS) > 0 && c.JWKSURI != "" {
		return &MetadataError{"jwks", "and jwks_uri exclude each other (RFC 7591 §2)"}
	}
	if c.JWKSURI != "" && httpsHost(c.JWKSURI) == "" {
		return &MetadataError{"jwks_uri", "must be https"}
	}
	var set jose.Set
	if len(c.JWKS) > 0 {
		var err error
		if set, err = jose.ParseSet(c.JWKS); err != nil || set.Len()+len(set.Skipped()) == 0 {
			return &MetadataError{"jwks", "is not a set of public keys"}
		}
	}
	for _, need := range []struct {
		needed    bool
		alg, what string
	}{
		{c.TokenEndpointAuthMethod == AuthPrivateKey, c.TokenEndpointAuthAlg, "private_key_jwt"},
		{c.TokenEndpointAuthMethod == AuthSelfSigned, "", "self_signed_tls_client_auth"},
		{c.RequestObjectAlg != "", c.RequestObjectAlg, "request_object_signing_alg"},
		{c.RequireSignedRequest, c.RequestObjectAlg, "require_signed_request_object"},
	} {
		switch {
		case !need.needed || c.JWKSURI != "":
		case len(c.JWKS) == 0:
			return &MetadataError{"jwks", "or jwks_uri is needed for " + need.what}
		case need.alg != "" && !slices.ContainsFunc(set.Keys(), func(k jose.Key) bool { return fits(k, need.alg) }):
			return &MetadataError{"jwks", "has no key for the " + need.alg + " of " + need.what}
		case set.Len() == 0 && need.what != "self_signed_tls_client_auth":
			// Certificates may hold keys that sign nothing for us, as on other curves.
			return &MetadataError{"jwks", "has no key for " + need.what}
		}
	}
	return nil
}

// fits reports whether the key verifies alg. An RSA key without alg is for either.
func fits(k jose.Key, alg string) bool {
	_, err := k.For(jose.Alg(alg))
	return err == nil
}

func checkOpenID(c *Client) error {
	if err := among("subject_type", []string{c.SubjectType}, SubjectPairwise, SubjectPublic); err != nil {
		return err
	}
	if err := among("application_type", []string{c.ApplicationType}, "web", "native"); err != nil {
		return err
	}
	if age := c.DefaultMaxAge; age != nil && (*age < 0 || *age > math.MaxInt32) { // as the parameter max_age
		return &MetadataError{"default_max_age", "is not a number of seconds from 0 to 2147483647"}
	}
	if len(c.Contacts) > maxContacts || slices.ContainsFunc(c.Contacts, func(s string) bool { return s == "" || !readable(s) }) {
		return &MetadataError{"contacts", fmt.Sprintf("are more than %d, empty, too long or have control characters", maxContacts)}
	}
	return among("default_acr_values", c.DefaultACRValues, identity.ACRs()...)
}

func checkAdmission(c *Client) error {
	if err := among("profile", []string{string(c.Profile)}, string(ProfileOIDC), string(ProfileOAuth21), string(ProfileFAPI2)); err != nil {
		return err
	}
	if err := among("state", []string{string(c.State)}, string(ClientLive), string(ClientSuspended), string(ClientDraft), string(ClientTesting),
		string(ClientAssessed)); err != nil {
		return err
	}
	if err := c.Admission.Check(strings.Fields(c.Scope)); err != nil {
		return err
	}
	if c.MinACR != "" {
		if err := among("min_acr", []string{c.MinACR}, identity.ACRs()...); err != nil {
			return err
		}
	}
	if c.PKCEOptional && (c.Profile != ProfileOIDC || c.Public()) {
		return &MetadataError{"pkce_optional", "is for confidential clients of profile oidc (RFC 9700 §2.1.1)"}
	}
	for member, uris := range map[string][]string{"resources": c.Resources, "exchange_resources": c.ExchangeResources} {
		for i, res := range uris {
			if !strings.Contains(res, ":") || strings.ContainsAny(res, "# ") || len(res) > maxURI || !scopeName(res) {
				return &MetadataError{member, "must be absolute URIs without fragment (RFC 8707 §2)"}
			}
			if slices.Contains(uris[:i], res) {
				return &MetadataError{member, "names a value twice"}
			}
		}
	}
	if len(c.Resources) > 0 && c.Public() {
		return &MetadataError{"resources", "are for clients with credentials"}
	}
	for i, name := range c.DetailsTypes {
		if !scopeName(name) || len(name) > maxName || slices.Contains(c.DetailsTypes[:i], name) {
			return &MetadataError{"authorization_details_types", "has a malformed name or one twice"}
		}
	}
	if len(c.DetailsTypes) > 0 && !c.MayUse(GrantCode) {
		return &MetadataError{"authorization_details_types", "are for the authorization_code grant"}
	}
	return nil
}

// checkFAPI2 holds a client of profile fapi2 to FAPI 2.0 Security Profile §5.3.2.1
// and §5.4. What is a flag, fill has set.
func checkFAPI2(c *Client) error {
	if c.Profile != ProfileFAPI2 {
		return nil
	}
	if !slices.Contains([]string{AuthPrivateKey, AuthTLS, AuthSelfSigned}, c.TokenEndpointAuthMethod) {
		return &MetadataError{"token_endpoint_auth_method", "must be private_key_jwt or of mutual TLS in profile fapi2 (FAPI 2.0 §5.3.2.1)"}
	}
	if c.MayUse(GrantDevice) {
		// Nothing binds a device code to a browser, and it is not pushed (§5.3.2.2).
		return &MetadataError{"grant_types", "has no device grant in profile fapi2"}
	}
	for _, a := range c.signatures() {
		if *a.alg == string(jose.RS256) {
			return &MetadataError{a.member, "is not RS256 in profile fapi2 (FAPI 2.0 §5.4)"}
		}
	}
	return nil
}

// UsesCertificates reports whether the client shows certificates: to authenticate
// itself or to have its tokens bound to one (RFC 8705).
func (c *Client) UsesCertificates() bool {
	return c.CertBound || c.TokenEndpointAuthMethod == AuthTLS || c.TokenEndpointAuthMethod == AuthSelfSigned
}

// HasSecret reports whether the client authenticates itself with a shared secret.
func (c *Client) HasSecret() bool {
	return c.TokenEndpointAuthMethod == AuthBasic || c.TokenEndpointAuthMethod == AuthPost
}

// assertionAlgs are the algorithms of client assertions: SECURITY CA2 and the
// national one.
func assertionAlgs() []string {
	return []string{string(jose.ES256), string(jose.PS256), string(jose.EdDSA), string(jose.SM2)}
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '�' })
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
