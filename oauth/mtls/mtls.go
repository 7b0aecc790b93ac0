package mtls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"

	"github.com/ory/fosite"
)

// Config is what mutual TLS needs to be told. Its zero value believes the
// connection and no header, and has no client CA.
type Config struct {
	Sources
	// Roots issue the certificates of tls_client_auth. Without them nobody is
	// authenticated that way: the system's roots would let everybody in.
	Roots *x509.CertPool
	// Base is the origin at which certificates are asked for, for the metadata's
	// mtls_endpoint_aliases (§5); empty: none.
	Base string
}

// Sources says whose word about a certificate is taken.
type Sources struct {
	Proxies []netip.Prefix // that end TLS in front of us
	Header  string         // they put the certificate in; empty: none
}

var errHeader = errors.New("client certificate header")

// Certificate returns the certificate r was sent with, or nil when it was sent
// without one. A proxy's header that cannot be read is an error, invalid_request.
func (s Sources) Certificate(r *http.Request) (*x509.Certificate, error) {
	chain, err := s.Chain(r)
	if err != nil || len(chain) == 0 {
		return nil, err
	}
	return chain[0], nil
}

// Chain is Certificate together with the intermediates that came with it.
func (s Sources) Chain(r *http.Request) ([]*x509.Certificate, error) {
	if s.Header == "" || !s.proxy(r.RemoteAddr) {
		if r.TLS == nil {
			return nil, nil
		}
		return r.TLS.PeerCertificates, nil
	}
	// A proxy's connection is its own, and so is a certificate on it.
	values := r.Header.Values(s.Header)
	if len(values) > 1 {
		return nil, refused(errors.New("it is there more than once"))
	}
	if len(values) == 0 || values[0] == "" {
		return nil, nil
	}
	cert, err := parseHeader(values[0])
	if err != nil {
		return nil, refused(err)
	}
	return []*x509.Certificate{cert}, nil
}

func refused(cause error) error {
	return fosite.ErrInvalidRequest.WithHint("The client certificate cannot be read.").WithWrap(errors.Join(errHeader, cause))
}

func (s Sources) proxy(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := ap.Addr().WithZone("").Unmap()
	for _, p := range s.Proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Thumbprint is x5t#S256, what a token is bound to (§3.1).
func Thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
