package oauth

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

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
		"jwks_uri": c.JWKSURI, "sector_identifier_uri": c.SectorIdentifierURI, "initiate_login_uri": c.InitiateLoginURI,
	} {
		if uri == "" {
			continue
		}
		if err := CheckURI(uri); err != nil {
			return &MetadataError{name, err.Error()}
		}
	}
	if c.InitiateLoginURI != "" && httpsHost(c.InitiateLoginURI) == "" {
		return &MetadataError{"initiate_login_uri", "must be https (OpenID Connect Core §4)"}
	}
	if c.SectorIdentifierURI != "" && httpsHost(c.SectorIdentifierURI) == "" {
		return &MetadataError{"sector_identifier_uri", "must be https"}
	}
	if c.SubjectType != SubjectPublic && c.SectorIdentifierURI == "" && scattered(c.RedirectURIs) {
		return &MetadataError{"sector_identifier_uri", "is needed when redirect_uris are on several hosts (OpenID Connect Core §8.1)"}
	}
	return nil
}

// scattered reports whether redirect URIs are on more than one host. This machine is
// one, too: whoever listens on it would be told the subjects of the host beside it. Its
// addresses are one host, of which an application uses what there is (RFC 8252 §7.3).
func scattered(uris []string) bool {
	first := ""
	for i, uri := range uris {
		host := ""
		if u, err := url.Parse(uri); err == nil {
			host = u.Hostname()
		}
		if addr, err := netip.ParseAddr(host); err == nil && addr.IsLoopback() {
			host = "127.0.0.1"
		}
		if i == 0 {
			first = host
		}
		if host != first {
			return true
		}
	}
	return false
}

// checkAtHome: who registers itself is told of logouts where its people come back to,
// and nowhere else. An operator may have said otherwise.
func checkAtHome(c *Client) error {
	for name, uri := range map[string]string{
		"backchannel_logout_uri": c.BackChannelLogoutURI, "frontchannel_logout_uri": c.FrontChannelLogoutURI,
	} {
		if uri != "" && !slices.ContainsFunc(c.RedirectURIs, func(r string) bool { return httpsHost(r) == httpsHost(uri) }) {
			return &MetadataError{name, "is on another host than every redirect URI"}
		}
	}
	return nil
}

// URIs lists every web address that the registration names.
func (c *Client) URIs() []string {
	all := slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs, []string{
		c.URI, c.PolicyURI, c.TOSURI, c.JWKSURI, c.SectorIdentifierURI, c.InitiateLoginURI, c.BackChannelLogoutURI, c.FrontChannelLogoutURI,
	})
	return slices.DeleteFunc(all, func(uri string) bool { return uri == "" })
}

// checkLogout: the back channel is called by us, and the front channel is shown
// inside our page, so that it may only be the client's own (Front-Channel Logout §2).
func checkLogout(c *Client) error {
	for name, uri := range map[string]string{
		"backchannel_logout_uri": c.BackChannelLogoutURI, "frontchannel_logout_uri": c.FrontChannelLogoutURI,
	} {
		if uri == "" {
			continue
		}
		if err := CheckURI(uri); err != nil {
			return &MetadataError{name, err.Error()}
		}
		if httpsHost(uri) == "" {
			return &MetadataError{name, "must be https"}
		}
	}
	front := c.FrontChannelLogoutURI
	if front != "" && !slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return origin(uri) == origin(front) }) {
		return &MetadataError{"frontchannel_logout_uri", "is on another origin than every redirect URI (OpenID Connect Front-Channel Logout §2)"}
	}
	if front != "" {
		if u, err := url.Parse(front); err != nil || u.Query().Has("iss") || u.Query().Has("sid") {
			return &MetadataError{"frontchannel_logout_uri", "has a query parameter that we add"}
		}
	}
	return nil
}

// origin is scheme, host and port of a URI that CheckURI has seen.
func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	host := u.Host
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host
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
