package mtls

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ecardid/internal/jose"
	"ecardid/oauth"
)

var (
	// ErrUntrusted is returned by Subject for a certificate that is nobody's here: no
	// client CA stands for it, or it is not the client's.
	ErrUntrusted = errors.New("mtls: certificate not accepted")

	// ErrUnknownKey is returned by SelfSigned for a key the client has not registered. A
	// caller whose copy of the client's keys may be old can look again.
	ErrUnknownKey = errors.New("mtls: not a key of the client")
)

// Subject authenticates a client of tls_client_auth (RFC 8705 §2.1): the chain leads
// to a client CA, and the certificate has the one name the client registered, of the
// kind it registered it as.
func (c Config) Subject(chain []*x509.Certificate, client *oauth.Client, now time.Time) error {
	if c.Roots == nil {
		return fmt.Errorf("%w: there is no client CA", ErrUntrusted)
	}
	if len(chain) == 0 {
		return fmt.Errorf("%w: there is none", ErrUntrusted)
	}
	cert := chain[0]
	// The name first: it costs nothing, and signatures do.
	if err := matches(cert, client); err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: c.Roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return nil
}

// matches compares the certificate with the one of the five names that is registered
// (§2.1.2). None or two are no registration.
func matches(cert *x509.Certificate, client *oauth.Client) error {
	names := 0
	for _, n := range []string{client.TLSSubjectDN, client.TLSDNS, client.TLSURI, client.TLSIP, client.TLSEmail} {
		if n != "" {
			names++
		}
	}
	if names != 1 {
		return fmt.Errorf("the client has %d registered names", names)
	}
	ok := false
	switch {
	case client.TLSSubjectDN != "":
		same, err := sameDN(client.TLSSubjectDN, cert.RawSubject)
		if err != nil {
			return err
		}
		ok = same
	case client.TLSDNS != "": // letter case aside (RFC 5280 §7.2); a wildcard is a name like another
		ok = slices.ContainsFunc(cert.DNSNames, func(n string) bool { return strings.EqualFold(n, client.TLSDNS) })
	case client.TLSURI != "":
		for _, u := range cert.URIs {
			ok = ok || u.String() == client.TLSURI
		}
	case client.TLSIP != "":
		want, err := netip.ParseAddr(client.TLSIP)
		if err != nil {
			return fmt.Errorf("registered address: %w", err)
		}
		for _, ip := range cert.IPAddresses {
			got, valid := netip.AddrFromSlice(ip)
			ok = ok || valid && got.Unmap() == want.Unmap()
		}
	default:
		ok = slices.Contains(cert.EmailAddresses, client.TLSEmail)
	}
	if !ok {
		return errors.New("it has another name")
	}
	return nil
}

// SelfSigned authenticates a client of self_signed_tls_client_auth (RFC 8705 §2.2): the
// certificate's key is one of the client's. Who signed it does not matter; that it
// has not run out does, to us: a client that forgets its certificate hears of it.
func SelfSigned(cert *x509.Certificate, keys jose.Set, now time.Time) error {
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return errors.New("mtls: the certificate is not valid now")
	}
	for _, k := range keys.Keys() {
		der, err := k.PKIX()
		if err != nil {
			return fmt.Errorf("mtls: a key of the client: %w", err)
		}
		if bytes.Equal(der, cert.RawSubjectPublicKeyInfo) {
			return nil
		}
	}
	return ErrUnknownKey
}
