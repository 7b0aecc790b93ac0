package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"ecardid/authn/password"
	"ecardid/authn/phone/attest"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/seal"
	"ecardid/oauth/catalogue"
)

// checker collects what is wrong.
type checker struct {
	list []string
}

func (k *checker) bad(key, format string, args ...any) {
	k.list = append(k.list, key+": "+fmt.Sprintf(format, args...))
}

// check returns everything that is wrong and fills Made.
func (c *Config) check(need Need) []string {
	var k checker
	c.checkDatabase(&k)
	c.checkKEK(&k, need)
	host := c.checkIssuer(&k, need)
	c.checkListeners(&k)
	c.checkMTLS(&k)
	c.checkOutbound(&k)
	c.checkAudit(&k)
	c.checkNotices(&k)
	c.checkRisk(&k)
	if c.Registration.Open && !c.TestProfile {
		k.bad("registration.open", "lets everybody in: only together with test_profile: true, where nothing is real")
	}
	c.checkSettings(&k, host)
	c.checkLiveness(&k, need)
	return k.list
}

func (c *Config) checkDatabase(k *checker) {
	dsn, err := c.Database.Read()
	switch {
	case err != nil:
		k.bad("database", "%v", err)
	case dsn == "":
		k.bad("database", "missing: postgres://… or sqlite:PATH")
	case !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") && !strings.HasPrefix(dsn, "sqlite:"):
		k.bad("database", "neither postgres://… nor sqlite:PATH")
	case c.Database.inline != "" && hasPassword(dsn):
		k.bad("database", "there is a password in it, which does not belong in this file: name a file or an environment variable with the whole text, {file: PATH} or {env: NAME}")
	}
	c.Made.DSN = dsn
	if c.Limits.DatabaseConnections < 0 || c.Limits.DatabaseConnections > 10_000 {
		k.bad("limits.database_connections", "not within 0 and 10000")
	}
	if !slices.Contains([]string{"prepare", "describe", "none"}, c.Limits.StatementCache) {
		k.bad("limits.statement_cache", "prepare, describe or none, not %q", c.Limits.StatementCache)
	}
}

// hasPassword reports whether a PostgreSQL address carries one. It looks at the text:
// an address of several hosts is no URL to everybody.
func hasPassword(dsn string) bool {
	rest, postgres := strings.CutPrefix(strings.Replace(dsn, "postgresql://", "postgres://", 1), "postgres://")
	if !postgres {
		return false
	}
	before, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(before, '@'); at >= 0 && strings.Contains(before[:at], ":") {
		return true
	}
	for setting := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(setting, "=")
		if plain, err := url.QueryUnescape(name); err != nil || plain == "password" || plain == "sslpassword" {
			return true
		}
	}
	return false
}

func (c *Config) checkKEK(k *checker, need Need) {
	if c.KEK.IsZero() {
		if need >= NeedKeys {
			k.bad("kek", "missing: {file: PATH} or {env: NAME} of the key-encryption key")
		}
		return
	}
	if c.KEK.inline != "" {
		k.bad("kek", "name a file or an environment variable; a key does not belong in this file")
		return
	}
	text, err := c.KEK.Read()
	if err != nil {
		k.bad("kek", "%v", err)
		return
	}
	if c.Made.KEK, err = seal.ParseKEK([]byte(text), c.KEK.Source()); err != nil {
		k.bad("kek", "%s does not hold 32 random bytes as hex or base64 (openssl rand -hex 32)", c.KEK.Source())
	}
}

// checkIssuer returns the issuer's host name.
func (c *Config) checkIssuer(k *checker, need Need) string {
	if c.Issuer == "" {
		if need >= NeedKeys {
			k.bad("issuer", "missing: https://HOST, as applications and browsers reach us")
		}
		return ""
	}
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != c.Issuer || strings.ToLower(c.Issuer) != c.Issuer || strings.HasSuffix(u.Host, ":"):
		k.bad("issuer", "want scheme, host and perhaps a port, in small letters, and nothing after it")
		return ""
	case u.Scheme == "http" && !loopbackName(u.Hostname()):
		k.bad("issuer", "http is for an issuer on this very machine; others need https")
	case u.Scheme != "http" && u.Scheme != "https":
		k.bad("issuer", "neither https nor http")
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		k.bad("issuer", "leave the default port out: browsers do")
	}
	return u.Hostname()
}

func loopbackName(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.Unmap().IsLoopback()
}

// loopbackListener reports whether only this machine can reach the address.
func loopbackListener(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && host != "" && loopbackName(host)
}

// tooWide reports whether a network holds more than anybody's own proxies.
func tooWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 8
	}
	return p.Bits() < 16 || p.Addr().Is4In6() && p.Bits() < 96+8
}

func (c *Config) checkListeners(k *checker) {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		k.bad("listen", "want HOST:PORT")
	}
	for _, p := range c.BehindProxy {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(p); err == nil {
				prefix = netip.PrefixFrom(a, a.BitLen())
			}
		}
		switch {
		case err != nil:
			k.bad("behind_proxy", "%q is neither an address nor a network", p)
		case tooWide(prefix):
			k.bad("behind_proxy", "%q would believe half the world: name the proxies, or a network no wider than /8 (IPv4) or /16 (IPv6)", p)
		default:
			c.Made.Proxies = append(c.Made.Proxies, prefix.Masked())
		}
	}
	switch {
	case c.TLS.Certificate == "" != (c.TLS.Key == ""):
		k.bad("tls", "certificate and key go together")
	case c.TLS.Certificate != "":
		if err := c.readCertificate(); err != nil {
			k.bad("tls", "%v", err)
		}
	case len(c.BehindProxy) == 0 && !loopbackListener(c.Listen):
		k.bad("tls", "missing: listening on %s needs tls, or behind_proxy with the addresses of whoever ends TLS", c.Listen)
	}
	if c.TLS.Minimum != "1.3" && c.TLS.Minimum != "1.2" {
		k.bad("tls.minimum", `"1.3" or "1.2", not %q`, c.TLS.Minimum)
	}
	if c.Operations.Listen == off {
		return
	}
	if _, _, err := net.SplitHostPort(c.Operations.Listen); err != nil {
		k.bad("operations.listen", `want HOST:PORT or "off"`)
	} else if c.Operations.Listen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		k.bad("operations.listen", "is the public listener: metrics and profiles are nobody else's business")
	} else if !loopbackListener(c.Operations.Listen) && !c.Operations.OpenToTheNetwork {
		k.bad("operations.listen", "other machines could read metrics and memory profiles at %s without a password: listen on 127.0.0.1, "+
			"or say open_to_the_network: true where a firewall lets nobody but monitoring through", c.Operations.Listen)
	}
}

func (c *Config) readCertificate() error {
	chain, err := readFile(c.TLS.Certificate, maxFile)
	if err != nil {
		return err
	}
	key, err := readSecret(c.TLS.Key)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return err
	}
	c.Made.Certificate = &pair
	return nil
}

func (c *Config) checkSettings(k *checker, host string) {
	within := func(key string, d, most time.Duration) {
		if d < minSession || d > most {
			k.bad(key, "%v is not within %v and %v", d, minSession, most)
		}
	}
	within("sessions.idle", c.Sessions.Idle, maxIdle)
	within("sessions.max", c.Sessions.Max, maxSession)
	within("sessions.trusted", c.Sessions.Trusted, maxTrusted)
	if c.Login.CoolOff < 0 || c.Login.CoolOff > maxCoolOff {
		k.bad("login.cool_off", "%v is not within 0 and %v", c.Login.CoolOff, maxCoolOff)
	}
	if c.Sessions.Idle > c.Sessions.Max {
		k.bad("sessions.idle", "longer than sessions.max")
	}
	level, ok := identity.ParseACR("urn:ecardid:acr:" + c.Floor)
	if !ok || level > identity.LevelBound {
		k.bad("floor", "basic, mfa or bound, not %q", c.Floor)
	}
	c.Made.Floor = level
	c.Made.KeyLevel = identity.KeyLevel(c.Phones.KeyLevel)
	if !slices.Contains([]identity.KeyLevel{identity.KeyUnattested, identity.KeySoftware, identity.KeyTEE, identity.KeySecureElement}, c.Made.KeyLevel) {
		k.bad("phones.key_level", "unattested, software, tee or secure-element, not %q", c.Phones.KeyLevel)
	}
	c.checkAndroid(k)
	if strings.TrimSpace(c.Authority.Name) == "" {
		k.bad("authority.name", "missing: people have to know whose page they are on")
	}
	if c.Authority.Domain == "" {
		c.Authority.Domain = host
	}
	c.checkPasskeys(k, host)
	var err error
	if c.Catalogue == "" {
		c.Made.Catalogue, err = catalogue.Default()
	} else if text, readErr := readFile(c.Catalogue, maxFile); readErr != nil {
		err = readErr
	} else {
		c.Made.Catalogue, err = catalogue.Parse(text)
	}
	if err != nil {
		k.bad("catalogue", "%v", err)
	}
	if f := c.Limits.LeakedPasswords; f != "" {
		if c.Made.Leaks, err = openLeaks(f); err != nil {
			k.bad("limits.leaked_passwords", "%v", err)
		}
	}
	if c.Telemetry.OTLPEndpoint != "" {
		if u, err := url.Parse(c.Telemetry.OTLPEndpoint); err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopbackName(u.Hostname())) {
			k.bad("telemetry.otlp_endpoint", "want https, or http on this very machine")
		}
	}
	if c.Telemetry.Ratio < 0 || c.Telemetry.Ratio > 1 {
		k.bad("telemetry.ratio", "not within 0 and 1")
	}
	var lv slog.Level
	if err := lv.UnmarshalText([]byte(c.Log.Level)); err != nil {
		k.bad("log.level", "debug, info, warn or error, not %q", c.Log.Level)
	}
}

// checkAndroid builds the verifiers of phones' keys.
func (c *Config) checkAndroid(k *checker) {
	a := c.Phones.Android
	verifiers := []attest.Verifier{attest.Unattested{}}
	if a.Roots == "" {
		if c.Made.KeyLevel == identity.KeyTEE || c.Made.KeyLevel == identity.KeySecureElement {
			k.bad("phones.key_level", "%s has to be attested, and phones.android names no roots: no phone could be bound", c.Phones.KeyLevel)
		}
		if a.Revoked != "" || len(a.Apps) > 0 || a.MinPatch != 0 {
			k.bad("phones.android.roots", "missing")
		}
	} else if v, err := a.verifier(); err != nil {
		k.bad("phones.android", "%v", err)
	} else {
		verifiers = append(verifiers, v)
	}
	var err error
	if c.Made.Attest, err = attest.NewSet(verifiers...); err != nil {
		k.bad("phones", "%v", err)
	}
}

func (a Android) verifier() (*attest.AndroidKey, error) {
	cfg := attest.AndroidConfig{Revoked: attest.Serials{}, MinPatch: a.MinPatch}
	text, err := readFile(a.Roots, maxFile)
	if err != nil {
		return nil, err
	}
	if cfg.Roots, err = attest.ParseRoots(text); err != nil {
		return nil, err
	}
	if a.Revoked != "" {
		if text, err = readFile(a.Revoked, 16<<20); err != nil {
			return nil, err
		}
		if cfg.Revoked, err = attest.ParseSerials(text); err != nil {
			return nil, err
		}
	}
	for _, app := range a.Apps {
		one := attest.App{Package: app.Package}
		for _, d := range app.Digests {
			digest, err := hex.DecodeString(d)
			if err != nil {
				return nil, fmt.Errorf("app %s: a digest is not hexadecimal", app.Package)
			}
			one.Digests = append(one.Digests, digest)
		}
		cfg.Apps = append(cfg.Apps, one)
	}
	return attest.NewAndroidKey(cfg)
}

func (c *Config) checkPasskeys(k *checker, host string) {
	if c.Issuer == "" {
		return
	}
	if c.Passkeys.RPID == "" {
		c.Passkeys.RPID = host
	}
	if len(c.Passkeys.Origins) == 0 {
		c.Passkeys.Origins = []string{c.Issuer}
	}
	id := c.Passkeys.RPID
	if _, err := netip.ParseAddr(id); err == nil {
		k.bad("passkeys.rp_id", "browsers refuse an address; use a name (for this machine: localhost)")
		return
	}
	for _, o := range c.Passkeys.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o || u.Scheme != "https" && !loopbackName(u.Hostname()) {
			k.bad("passkeys.origins", "%q is not an https origin", o)
			continue
		}
		if u.Hostname() != id && !strings.HasSuffix(u.Hostname(), "."+id) {
			k.bad("passkeys.rp_id", "%q is neither the host of %s nor a parent of it", id, o)
		}
	}
	if !slices.Contains(c.Passkeys.Origins, c.Issuer) {
		k.bad("passkeys.origins", "the issuer is not among them")
	}
}

// openLeaks keeps the file open: it is searched where it lies for as long as the
// process lives.
func openLeaks(path string) (password.Leak, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	list, err := password.OpenHashFile(f, info.Size())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return list, nil
}

// LogLevel is log.level.
func (c *Config) LogLevel() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// TLSConfig is what the public listener speaks, or nil when TLS ends elsewhere.
// Go chooses the suites of TLS 1.3; of TLS 1.2 there are the four with ECDHE and
// AES-GCM.
func (c *Config) TLSConfig() *tls.Config {
	if c.Made.Certificate == nil {
		return nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*c.Made.Certificate}, NextProtos: []string{"h2", "http/1.1"}}
	if c.TLS.Minimum == "1.2" {
		t.MinVersion = tls.VersionTLS12
		t.CipherSuites = []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		}
	}
	return t
}

// signingKey reads a PKCS #8 key in PEM. Which of the two algorithms it is for, it
// says itself.
func signingKey(text string) (jose.Key, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PRIVATE KEY" || strings.TrimSpace(string(rest)) != "" {
		return jose.Key{}, errors.New("not one PKCS #8 private key in PEM")
	}
	alg := jose.ES256
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		alg = jose.SM2
	}
	key, err := jose.ParsePKCS8(alg, "unnamed", block.Bytes)
	if err != nil {
		return jose.Key{}, errors.New("not a P-256 or SM2 key")
	}
	return jose.ParsePKCS8(alg, key.Public().Thumbprint(), block.Bytes)
}
