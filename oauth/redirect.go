package oauth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const maxURI = 2048

// MatchRedirect reports whether sent is one of the registered redirect URIs: the
// same string, or, for a registered http URI of a loopback address, the same
// string but for the port (RFC 9700 §2.1, RFC 8252 §7.3). Nothing is parsed,
// decoded or normalised on the way, because every such step is one more way for
// two readers to disagree (SECURITY AZ1).
func MatchRedirect(registered []string, sent string) bool {
	if sent == "" {
		return false
	}
	if slices.Contains(registered, sent) {
		return true
	}
	host, rest, ok := loopback(sent)
	if !ok {
		return false
	}
	return slices.ContainsFunc(registered, func(uri string) bool {
		h, r, ok := loopback(uri)
		return ok && h == host && r == rest
	})
}

// loopback splits an http URI of a loopback IP address around its port. The name
// localhost is none: it may be resolved to anything (RFC 8252 §8.3).
func loopback(uri string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", "", false
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	authority, rest := after[:end], after[end:]
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host = authority[:i]
		if !port(authority[i+1:]) {
			return "", "", false
		}
	}
	literal := host
	if inner, v6 := strings.CutPrefix(host, "["); v6 {
		if literal, ok = strings.CutSuffix(inner, "]"); !ok {
			return "", "", false
		}
	} else if strings.Contains(host, ":") {
		return "", "", false
	}
	addr, err := netip.ParseAddr(literal)
	if err != nil || addr.Zone() != "" || !addr.IsLoopback() {
		return "", "", false
	}
	return host, rest, true
}

func port(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// CheckURI says what is wrong with a URI somebody wants to register, in any
// field (SECURITY AZ2): it must be https, or http of a loopback address or
// localhost, and written in the one form that every parser reads the same way.
func CheckURI(uri string) error {
	switch {
	case len(uri) > maxURI:
		return fmt.Errorf("is longer than %d characters", maxURI)
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("has blanks, control or non-ASCII characters; international names are written in their xn-- form")
	case strings.ContainsAny(uri, "\\*\"<>^`{|}"):
		return errors.New(`has one of \*"<>^{|} in it; there are no patterns`)
	case strings.Contains(uri, "#"):
		return errors.New("has a fragment")
	}
	u, err := url.Parse(uri)
	if err != nil {
		return errors.New("is not a URI")
	}
	switch {
	case u.Opaque != "" || u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil || strings.Contains(u.Host, "@"):
		return errors.New("has user information")
	case u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())):
		return errors.New("is neither https nor http to this very machine")
	case !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://"):
		return errors.New("must have its scheme in lower case")
	case strings.ToLower(u.Host) != u.Host:
		return errors.New("must have its host in lower case")
	case u.Port() == "" && strings.HasSuffix(u.Host, ":"), u.Port() != "" && !port(u.Port()):
		return errors.New("has a malformed port")
	case dotted(u.EscapedPath()):
		return errors.New("has dot segments in its path")
	case u.String() != uri:
		return errors.New("is not in normal form")
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && !hostname(u.Hostname()) {
		return errors.New("has a malformed host")
	}
	return nil
}

// hostname is a DNS name in letters, digits and hyphens.
func hostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func local(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Zone() == "" && addr.IsLoopback()
}

// dotted reports whether a path has a segment that somebody on the way would
// resolve: ".", "..", "..;x", or the same in percent signs.
func dotted(path string) bool {
	path = strings.NewReplacer("%2e", ".", "%2E", ".").Replace(path)
	for segment := range strings.SplitSeq(path, "/") {
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

// RedirectHost is the host a browser is sent to, for a person to read.
func RedirectHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Host
}
