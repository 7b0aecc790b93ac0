package liveness

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/internal/secret"
)

// Config describes one provider and what we ask of it. There are no silent
// defaults for what security depends on: Check names everything that is missing
// (SECURITY LV2).
type Config struct {
	Name     string // ours for the provider; goes into rows, logs and subject_ref, so it never changes
	BaseURL  string // https, without the trailing slash; /liveness/v1/… is added
	Issuer   string // iss of what the provider signs, aud of what we sign
	Audience string // aud of what the provider signs, iss of what we sign

	CallbackURL  string   // where the provider posts its notices
	CaptureHosts []string // host or host:port of capture_url, exact, lower case

	SigningKey   jose.Key       // ours; requests are signed with it
	ProviderKeys jose.Set       // theirs, pinned: exchanged by the operators, never fetched
	RefKey       secret.Value   // ≥ 32 characters; references and nonces are derived from it, the same on each replica
	RootCAs      *x509.CertPool // nil for the system's

	Policy Policy
	// WithoutDevice lists the purposes for which a transaction may have no
	// registered device: whoever recovers from a loss has none.
	WithoutDevice []Purpose

	Lifetime time.Duration // of a session, 30 to 180 s
	Limits   Limits

	// Development allows http and loopback addresses, and a provider that says of
	// itself that it is a stand-in. Never in production.
	Development bool
}

// Check returns everything that is wrong with c, joined.
func (c Config) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("liveness: "+format, args...)) }

	if c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		bad("name: 1 to 64 of a-z 0-9 - _ .")
	}
	if err := c.checkBase(); err != nil {
		bad("base_url: %w", err)
	}
	if _, err := c.webURL(c.CallbackURL); err != nil {
		bad("callback_url: %w", err)
	}
	if c.Issuer == "" || len(c.Issuer) > maxURL {
		bad("issuer: missing or too long")
	}
	if c.Audience == "" || len(c.Audience) > maxURL {
		bad("audience: missing or too long")
	}
	// One name for both sides would let our own requests come back as answers.
	if c.Issuer != "" && c.Issuer == c.Audience {
		bad("issuer and audience are the same")
	}
	if len(c.CaptureHosts) == 0 {
		bad("capture_hosts: none")
	}
	for _, h := range c.CaptureHosts {
		u, err := url.Parse("https://" + h)
		if err != nil || u.Host != h || u.Hostname() == "" || h != strings.ToLower(h) || strings.ContainsAny(h, "*\\ ") {
			bad("capture_hosts: %q is not a host or host:port in lower case", h)
		}
	}
	if !usableForSigning(c.SigningKey) {
		bad("signing_key: missing, public only, or neither ES256 nor SM2")
	}
	if err := checkPinned(c.ProviderKeys); err != nil {
		bad("provider_keys: %w", err)
	}
	if len(c.RefKey.Reveal()) < 32 {
		bad("ref_key: fewer than 32 characters")
	}
	errs = append(errs, c.Policy.check()...)
	for _, p := range c.WithoutDevice {
		if !p.Valid() {
			bad("without_device: no such purpose: %q", p)
		}
	}
	if c.Lifetime < minLifetime || c.Lifetime > maxLifetime || c.Lifetime%time.Second != 0 {
		bad("lifetime: %v is not whole seconds between %v and %v", c.Lifetime, minLifetime, maxLifetime)
	}
	errs = append(errs, c.Limits.check()...)
	return errors.Join(errs...)
}

func (p Policy) check() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("liveness: "+format, args...)) }
	if p.MinScore < 1 || p.MinScore > 100 {
		bad("min_score: %d is not within 1 to 100", p.MinScore)
	}
	if p.MinPAD < 0 || p.MinPAD > 9 {
		bad("min_pad: %d is not within 0 to 9", p.MinPAD)
	}
	switch p.Mode {
	case ModeLiveness:
		if p.Reference != ReferenceNone || p.MinMatch != 0 {
			bad("mode liveness compares with nobody: reference is none, min_match 0")
		}
	case ModeMatch:
		if p.Reference != ReferenceAuthority && p.Reference != ReferenceHandle {
			bad("mode liveness+match: reference is authority or handle")
		}
		if p.MinMatch < 1 || p.MinMatch > 100 {
			bad("min_match: %d is not within 1 to 100", p.MinMatch)
		}
	default:
		bad("mode: liveness or liveness+match, not %q", p.Mode)
	}
	if slices.Contains(p.Tolerated, "") {
		bad("tolerated: an empty risk tag")
	}
	return errs
}

// check holds l against SECURITY LV3: fewer tries may be configured, more may not.
func (l Limits) check() []error {
	var errs []error
	most := DefaultLimits()
	for _, c := range []struct {
		name      string
		got, most int
	}{
		{"per_session", l.PerSession, l.Tries},
		{"per_transaction", l.PerTransaction, most.PerTransaction},
		{"tries", l.Tries, most.Tries},
		{"per_day", l.PerDay, most.PerDay},
	} {
		if c.got < 1 || c.got > c.most {
			errs = append(errs, fmt.Errorf("liveness: limits: %s: %d is not within 1 to %d", c.name, c.got, c.most))
		}
	}
	if l.TriesWithin < most.TriesWithin || l.TriesWithin > 24*time.Hour {
		errs = append(errs, fmt.Errorf("liveness: limits: tries_within: %v is not within %v to 24h", l.TriesWithin, most.TriesWithin))
	}
	return errs
}

func (c Config) checkBase() error {
	u, err := c.webURL(c.BaseURL)
	switch {
	case err != nil:
		return err
	case u.RawQuery != "" || u.ForceQuery || strings.HasSuffix(c.BaseURL, "/"):
		return errors.New("has a query or a trailing slash")
	}
	// The guard at connect time is what counts; this one speaks before the first citizen does.
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !outbound.Public(a) && !(c.Development && a.Unmap().IsLoopback()) {
		return fmt.Errorf("%s is not an address of the public internet", a)
	}
	return nil
}

// webURL accepts https, and in development http to this very machine.
func (c Config) webURL(raw string) (*url.URL, error) {
	switch {
	case raw == "":
		return nil, errors.New("missing")
	case len(raw) > maxURL:
		return nil, errors.New("too long")
	}
	for _, b := range []byte(raw) {
		// Browsers drop some of these and turn the backslash round, so that two
		// parsers see two hosts.
		if b <= ' ' || b >= 0x7f || b == '\\' {
			return nil, errors.New("has a character that is no part of a URL")
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Opaque != "" || u.User != nil || u.Fragment != "" || strings.Contains(raw, "#") || u.Hostname() == "":
		return nil, errors.New("not a plain absolute URL: scheme, host, path and query only")
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && c.Development && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("not https")
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// captureURL checks where a provider wants to send the browser. We never fetch it
// (SECURITY LV3).
func (c Config) captureURL(raw string) error {
	u, err := c.webURL(raw)
	if err != nil {
		return err
	}
	host := u.Host
	if h, port, err := net.SplitHostPort(host); err == nil && (u.Scheme == "https" && port == "443" || port == "") {
		host = h
	}
	if !slices.Contains(c.CaptureHosts, host) {
		return errors.New("its host is not on the list")
	}
	return nil
}
