package templates

import (
	"net"
	"net/url"
	"strings"
)

// A Kind of page, as far as the Content-Security-Policy is concerned.
type Kind int

// Kinds.
const (
	// Plain is a page whose forms stay here: errors, the lost-phone page, activation
	// and the citizen's account.
	Plain Kind = iota
	// SignIn is a page whose POST may end at a relying party: login, factors, consent,
	// logout. Browsers hold form-action against every redirect after the POST, also
	// the relying party's own, so a bare 'self' strands the person without a word.
	SignIn
	// Capture hands over to the liveness provider, whose origin is the only target.
	Capture
	// Farewell loads frames of relying parties, whose origins are the targets: they
	// hear of the end of a session in them (OpenID Connect Front-Channel Logout §2).
	// Its forms stay here.
	Farewell
)

// Policy returns the Content-Security-Policy for a page. The nonce is View.Nonce;
// without a usable one no script runs. Targets are further places a form may lead
// to, as [FormTarget] makes them; one that is not a plain source is left out.
func Policy(kind Kind, nonce string, targets ...string) string {
	script := "'none'"
	if usableNonce(nonce) {
		script = "'nonce-" + nonce + "'"
	}
	action := "'self'"
	if kind == SignIn {
		action += " https:"
	}
	frames := "'none'"
	for _, t := range targets {
		switch {
		case kind == Plain || !plainSource(t) || strings.Contains(action+frames+" ", " "+t+" "):
		case kind == Farewell:
			frames = strings.TrimPrefix(frames, "'none'") + " " + t
		default:
			action += " " + t
		}
	}
	return "default-src 'none'; script-src " + script + "; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"frame-src " + strings.TrimSpace(frames) + "; form-action " + action + "; base-uri 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
}

// FormTarget returns the CSP source for a redirect URI that was already matched
// against its registration: the origin of a web address, loopback on any port
// (RFC 8252 §7.3), or a native app's own scheme. It is "" where nothing may be said.
func FormTarget(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return ""
	}
	source := ""
	switch host := u.Hostname(); {
	case u.Scheme == "https":
		source = "https://" + strings.ToLower(u.Host)
	case u.Scheme == "http" && (host == "localhost" || host == "127.0.0.1"):
		source = "http://" + host + ":*"
	case u.Scheme == "http" && net.ParseIP(host).IsLoopback():
		// A CSP source cannot spell an IPv6 address (CSP3 §2.3.1, host-part).
		source = "http:"
	case u.Scheme == "http":
		return ""
	default:
		source = u.Scheme + ":"
	}
	if !plainSource(source) {
		return ""
	}
	return source
}

// usableNonce: base64url of at least 128 bits, so that it needs no quoting anywhere.
func usableNonce(s string) bool {
	return len(s) >= 22 && len(s) <= 128 && strings.Trim(s, urlAlphabet) == ""
}

const urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// plainSource accepts "scheme:" and "scheme://host[:port]", and never a scheme
// that is a document in itself.
func plainSource(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return false
	}
	switch scheme {
	case "javascript", "data", "blob", "about", "file", "filesystem", "vbscript":
		return false
	}
	if rest == "" {
		return true
	}
	host, ok := strings.CutPrefix(rest, "//")
	return ok && host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-:*") == ""
}
