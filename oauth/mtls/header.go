package mtls

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxHeader bounds a certificate in a header. One with an RSA 4096 key and a dozen
// names has 3 kB, escaped 5.
const maxHeader = 16 << 10

// parseHeader reads one certificate in either of two forms: the byte sequence of RFC
// 9440 §2.1 (":MIIB…:", RFC 8941 §3.3.5), or PEM with URL escapes, as nginx writes
// $ssl_client_escaped_cert.
func parseHeader(value string) (*x509.Certificate, error) {
	if len(value) > maxHeader {
		return nil, errors.New("it is too long")
	}
	der, err := octets(strings.Trim(value, " "))
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return cert, nil
}

func octets(value string) ([]byte, error) {
	if encoded, ok := strings.CutPrefix(value, ":"); ok {
		encoded, ok = strings.CutSuffix(encoded, ":")
		if !ok || strings.ContainsAny(encoded, "\r\n") {
			return nil, errors.New("not a byte sequence")
		}
		der, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("not a byte sequence: %w", err)
		}
		return der, nil
	}
	// Not QueryUnescape: a plus sign is one, PEM is full of them.
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil, fmt.Errorf("not URL-escaped: %w", err)
	}
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "-----BEGIN CERTIFICATE-----") {
		return nil, errors.New("neither a byte sequence nor PEM")
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 || len(rest) > 0 {
		return nil, errors.New("not one certificate in PEM")
	}
	return block.Bytes, nil
}
