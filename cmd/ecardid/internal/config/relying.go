package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"ecardid/oauth"
)

// This file checks what is between us and relying parties: the certificates they
// show and the calls we make to them.

// certificateHeader keeps to names that are about certificates, so that no other
// header is ever read as one.
var certificateHeader = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*[Cc]ert[A-Za-z0-9-]*$`)

func (c *Config) checkMTLS(k *checker) {
	m := c.MTLS
	listening := m.Listen != off
	if listening {
		switch _, _, err := net.SplitHostPort(m.Listen); {
		case err != nil:
			k.bad("mtls.listen", `want HOST:PORT or "off"`)
		case (m.Listen == c.Listen || m.Listen == c.Operations.Listen) && !strings.HasSuffix(m.Listen, ":0"):
			k.bad("mtls.listen", "is another listener already")
		}
		if c.TLS.Certificate == "" {
			k.bad("mtls.listen", "needs tls: certificates are shown to whoever ends it")
		}
		if m.Base == "" {
			k.bad("mtls.base", "missing: the origin at which clients reach mtls.listen")
		}
	}
	if m.ProxyHeader != "" {
		if !certificateHeader.MatchString(m.ProxyHeader) {
			k.bad("mtls.proxy_header", "want the name of a header for certificates, such as Client-Cert")
		}
		if len(c.BehindProxy) == 0 {
			k.bad("mtls.proxy_header", "needs behind_proxy: it is believed from there and from nobody else")
		}
	}
	if !listening && m.ProxyHeader == "" && (m.Base != "" || m.ClientCA != "") {
		k.bad("mtls", "no certificate could reach us: listen, or proxy_header with behind_proxy")
	}
	if u, err := url.Parse(m.Base); m.Base != "" && (err != nil || u.Scheme != "https" || u.Scheme+"://"+u.Host != m.Base || oauth.CheckURI(m.Base) != nil) {
		k.bad("mtls.base", "want https, host and perhaps a port, in small letters, and nothing after it")
	} else if m.Base != "" && m.Base == c.Issuer {
		k.bad("mtls.base", "is the issuer, which needs no second name: leave it out")
	}
	if m.ClientCA != "" {
		pool := x509.NewCertPool()
		if err := addCertificates(pool, m.ClientCA); err != nil {
			k.bad("mtls.client_ca", "%v", err)
		} else {
			c.Made.ClientCAs = pool
		}
	}
}

func (c *Config) checkOutbound(k *checker) {
	for _, list := range []struct {
		key   string
		hosts []string
	}{{"outbound.only", c.Outbound.Only}, {"outbound.allow", c.Outbound.Allow}} {
		for i, host := range list.hosts {
			switch {
			case strings.ContainsAny(host, "/?@") || oauth.CheckURI("https://"+host) != nil:
				k.bad(list.key, "%q is neither HOST nor HOST:PORT in small letters; there are no patterns and no networks", host)
			case slices.Contains(list.hosts[:i], host):
				k.bad(list.key, "%q is there twice", host)
			}
		}
	}
	if c.Outbound.CA == "" {
		return
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a container without any
	}
	if err := addCertificates(pool, c.Outbound.CA); err != nil {
		k.bad("outbound.ca", "%v", err)
		return
	}
	c.Made.Roots = pool
}

func addCertificates(pool *x509.CertPool, path string) error {
	text, err := readFile(path, maxFile)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(text) {
		return errors.New("there is no certificate in " + path)
	}
	return nil
}

// Certificates reports whether clients' certificates reach this server.
func (c *Config) Certificates() bool { return c.MTLS.Listen != off || c.MTLS.ProxyHeader != "" }

// MutualTLSConfig is what the listener of mtls.listen speaks, or nil when there is
// none. It asks for a certificate and takes any, or none: whose it is, and whether
// that is enough, package oauth/mtls decides for each client.
func (c *Config) MutualTLSConfig() *tls.Config {
	t := c.TLSConfig()
	if t == nil || c.MTLS.Listen == off {
		return nil
	}
	t.ClientAuth = tls.RequestClientCert
	return t
}
