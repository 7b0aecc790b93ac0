package proof

import (
	"net/url"
	"strings"
)

// normal is an http URI as htu is compared (RFC 9449 §4.3, RFC 3986 §6.2): scheme
// and host in lower case, without the scheme's default port, query and fragment,
// and never with an empty path. What is no such URI is false.
func normal(uri string) (string, bool) {
	if uri == "" || len(uri) > maxURI {
		return "", false
	}
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Opaque != "" || u.User != nil {
		return "", false
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	switch {
	case scheme != "https" && scheme != "http", host == "":
		return "", false
	case scheme == "https" && port == "443", scheme == "http" && port == "80":
		port = ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, true
}

// Same reports whether htu names the endpoint (9).
func Same(htu, endpoint string) bool {
	got, ok := normal(htu)
	want, known := normal(endpoint)
	return ok && known && got == want
}
