package passkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
)

const (
	mdsHost  = "mds.fidoalliance.org"
	maxBlob  = 64 << 20 // the real one has ten
	maxChain = 6
)

// A MetadataFile is a FIDO metadata BLOB that the operator carried in. Nothing is
// fetched, neither the BLOB nor what its certificates point to.
type MetadataFile struct {
	Blob  []byte // the signed JWT
	Roots []byte // PEM: whom it must be signed under
	// Host is the name the signing certificate must have; empty means FIDO's.
	// Its root is a public one, which has signed for the whole world.
	Host string
	// AtLeast is the number of the last BLOB loaded: an older one is a step back.
	AtLeast int
	// Grace is how long after its announced end a BLOB is still taken.
	Grace time.Duration
}

// Metadata is what was in the file.
type Metadata struct {
	Provider   metadata.Provider
	Number     int
	NextUpdate time.Time
	Models     int
	Skipped    int // entries that could not be read; their models are unknown models
}

// Load verifies and reads the file (FIDO Metadata Service 3.1 §3.2). The library's
// own decoder is not used for the signature: it contacts revocation servers named
// in the BLOB, and passes over the number and the date.
func (f MetadataFile) Load(now time.Time) (Metadata, error) {
	payload, err := f.verify(now)
	if err != nil {
		return Metadata{}, fmt.Errorf("loading FIDO metadata: %w", err)
	}
	var in metadata.PayloadJSON
	if err := json.Unmarshal(payload, &in); err != nil {
		return Metadata{}, fmt.Errorf("loading FIDO metadata: %w", err)
	}
	dec, err := metadata.NewDecoder(metadata.WithIgnoreEntryParsingErrors())
	if err != nil {
		return Metadata{}, fmt.Errorf("loading FIDO metadata: %w", err)
	}
	m, err := dec.Parse(&in)
	if err != nil {
		return Metadata{}, fmt.Errorf("loading FIDO metadata: %w", err)
	}
	if m.Parsed.Number < f.AtLeast {
		return Metadata{}, fmt.Errorf("loading FIDO metadata: number %d is older than %d", m.Parsed.Number, f.AtLeast)
	}
	// nextUpdate is a date; the BLOB is good through that day.
	if end := m.Parsed.NextUpdate.AddDate(0, 0, 1).Add(f.Grace); !now.Before(end) {
		return Metadata{}, fmt.Errorf("loading FIDO metadata: should have been replaced by %s", m.Parsed.NextUpdate.Format(time.DateOnly))
	}
	models := m.ToMap()
	p, err := memory.New(memory.WithMetadata(models))
	if err != nil {
		return Metadata{}, fmt.Errorf("loading FIDO metadata: %w", err)
	}
	return Metadata{p, m.Parsed.Number, m.Parsed.NextUpdate, len(models), len(m.Unparsed)}, nil
}

// verify returns the payload of a BLOB whose signature leads to a root.
func (f MetadataFile) verify(now time.Time) ([]byte, error) {
	blob := bytes.TrimSpace(f.Blob)
	parts := bytes.Split(blob, []byte("."))
	if len(blob) > maxBlob || len(parts) != 3 {
		return nil, errors.New("not a JWT")
	}
	var decoded [3][]byte
	for i, p := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(string(p)); err != nil {
			return nil, errors.New("not a JWT")
		}
	}
	var header struct {
		Alg  string          `json:"alg"`
		X5C  [][]byte        `json:"x5c"`
		X5U  json.RawMessage `json:"x5u"`
		Crit json.RawMessage `json:"crit"`
	}
	if err := json.Unmarshal(decoded[0], &header); err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	if header.X5U != nil || header.Crit != nil || len(header.X5C) == 0 || len(header.X5C) > maxChain {
		return nil, errors.New("the header asks for something else than x5c")
	}
	leaf, err := f.signer(header.X5C, now)
	if err != nil {
		return nil, err
	}
	signed := blob[:len(parts[0])+1+len(parts[1])]
	switch leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if header.Alg != "RS256" {
			return nil, fmt.Errorf("algorithm %q with an RSA key", header.Alg)
		}
		err = leaf.CheckSignature(x509.SHA256WithRSA, signed, decoded[2])
	case *ecdsa.PublicKey:
		if header.Alg != "ES256" || len(decoded[2]) != 64 {
			return nil, fmt.Errorf("algorithm %q with an EC key", header.Alg)
		}
		var der []byte
		r, s := new(big.Int).SetBytes(decoded[2][:32]), new(big.Int).SetBytes(decoded[2][32:])
		if der, err = asn1.Marshal(struct{ R, S *big.Int }{r, s}); err == nil {
			err = leaf.CheckSignature(x509.ECDSAWithSHA256, signed, der)
		}
	default:
		err = errors.New("a key of another kind")
	}
	if err != nil {
		return nil, fmt.Errorf("the signature: %w", err)
	}
	return decoded[1], nil
}

// signer returns the signing certificate if it is the service's.
func (f MetadataFile) signer(x5c [][]byte, now time.Time) (*x509.Certificate, error) {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	rest := f.Roots
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the roots: %w", err)
		}
		roots.AddCert(c)
	}
	var leaf *x509.Certificate
	for i, der := range x5c {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		if i == 0 {
			leaf = c
		} else {
			others.AddCert(c)
		}
	}
	host := f.Host
	if host == "" {
		host = mdsHost
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("the signer: %w", err)
	}
	return leaf, nil
}
