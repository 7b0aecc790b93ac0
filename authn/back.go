package authn

import (
	"net/url"
	"strings"
)

// maxBack bounds a way back. A stored authorization request is a handle, so paths
// of ours are short.
const maxBack = 2048

// ownPath reports whether p is a path on this server, and nothing a browser could
// read as another place (SECURITY AZ4). Browsers drop tabs and line breaks, take a
// backslash for a slash, and follow "//host"; a path that needs any of this
// cleverness is none of ours.
func ownPath(p string) bool {
	if len(p) > maxBack || !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") {
		return false
	}
	for i := range len(p) {
		// Printable ASCII only: everything of ours is percent-encoded.
		if c := p[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return false
		}
	}
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return false
	}
	// Dot segments and encoded slashes are resolved by whoever comes next, and not
	// by everybody alike.
	for _, segment := range strings.Split(u.Path, "/")[1:] {
		if segment == "." || segment == ".." || strings.ContainsAny(segment, "\\\x00\r\n\t") {
			return false
		}
	}
	return !strings.HasPrefix(u.Path, "//") && !strings.Contains(strings.ToLower(u.EscapedPath()), "%2f")
}

// withQuery adds one parameter to a path of ours.
func withQuery(path, name, value string) string {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return path + sep + url.QueryEscape(name) + "=" + url.QueryEscape(value)
}

// OwnPath is ownPath for the server, whose pages also lead back somewhere.
func OwnPath(p string) bool { return ownPath(p) }
