package attest

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	maxChain = 10      // genuine ones have three to five
	maxCert  = 8 << 10 // bytes of DER
	maxRSA   = 4096    // bits; Google's own root has that many
)

// ParseRoots reads the trust anchors an operator put into a PEM file: certificate
// authorities and nothing else.
func ParseRoots(file []byte) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for len(bytes.TrimSpace(file)) > 0 {
		block, rest := pem.Decode(file)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("reading attestation roots: something else than PEM certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading attestation roots: %w", err)
		}
		if !c.IsCA {
			return nil, fmt.Errorf("reading attestation roots: %q is no authority", c.Subject)
		}
		roots = append(roots, c)
		file = rest
	}
	if len(roots) == 0 {
		return nil, errors.New("reading attestation roots: none there")
	}
	return roots, nil
}

// Serials is a list of certificates that were taken back, by serial number. To
// have none is a decision: say so with Serials{}.
type Serials map[string]struct{}

// ParseSerials reads the status list that Google publishes for attestation keys
// ({"entries": {"serial": {"status": "REVOKED"}}}, serials in lower-case hex). The
// operator carries the file in. Suspended is as bad as revoked here.
func ParseSerials(file []byte) (Serials, error) {
	var list struct {
		Entries map[string]struct {
			Status string `json:"status"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(file, &list); err != nil {
		return nil, fmt.Errorf("reading the attestation status list: %w", err)
	}
	if list.Entries == nil {
		return nil, errors.New("reading the attestation status list: no entries")
	}
	revoked := make(Serials, len(list.Entries))
	for serial, e := range list.Entries {
		n, ok := new(big.Int).SetString(serial, 16)
		if !ok || n.Sign() < 0 {
			return nil, fmt.Errorf("reading the attestation status list: %q is no serial number", serial)
		}
		if e.Status != "REVOKED" && e.Status != "SUSPENDED" {
			return nil, fmt.Errorf("reading the attestation status list: status %q", e.Status)
		}
		revoked[n.Text(16)] = struct{}{}
	}
	return revoked, nil
}

func (s Serials) has(c *x509.Certificate) bool {
	_, ok := s[c.SerialNumber.Text(16)]
	return ok
}

// verifyChain parses a chain and checks that it leads, in the order given and
// without anything beside, to one of the roots at time now. It returns the chain
// with the root at its end.
func verifyChain(raw [][]byte, roots []*x509.Certificate, revoked Serials, now time.Time) ([]*x509.Certificate, error) {
	if len(raw) == 0 || len(raw) > maxChain {
		return nil, refuse("a chain of %d certificates", len(raw))
	}
	certs := make([]*x509.Certificate, len(raw))
	pool := x509.NewCertPool()
	for i, b := range raw {
		if len(b) > maxCert {
			return nil, refuse("certificate %d has %d bytes", i, len(b))
		}
		c, err := x509.ParseCertificate(b)
		if err != nil {
			return nil, refuse("certificate %d: %v", i, err)
		}
		if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() > maxRSA {
			return nil, refuse("certificate %d has an RSA key of %d bits", i, k.N.BitLen())
		}
		if c.IsCA != (i > 0) {
			return nil, refuse("certificate %d is in the wrong place", i)
		}
		if certs[i] = c; i > 0 {
			pool.AddCert(c)
		}
	}
	anchors := x509.NewCertPool()
	for _, r := range roots {
		anchors.AddCert(r)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{
		Roots: anchors, Intermediates: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, refuse("%v", err)
	}
	for _, chain := range chains {
		if !sameOrder(certs, chain) {
			continue
		}
		for i, c := range chain {
			if revoked.has(c) {
				return nil, refuse("certificate %d was revoked", i)
			}
		}
		return chain, nil
	}
	return nil, refuse("the chain does not lead to a root as it stands")
}

// sameOrder compares the chain sent with one that verified. The root may be left
// out, or be an older certificate of the same name and key.
func sameOrder(sent, verified []*x509.Certificate) bool {
	if len(verified) == len(sent)+1 {
		verified = verified[:len(sent)]
	}
	if len(verified) != len(sent) {
		return false
	}
	for i, c := range sent {
		v := verified[i]
		if c.Equal(v) {
			continue
		}
		last := i == len(sent)-1 && i > 0
		if !last || !bytes.Equal(c.RawSubject, v.RawSubject) || !bytes.Equal(c.RawSubjectPublicKeyInfo, v.RawSubjectPublicKeyInfo) {
			return false
		}
	}
	return true
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
