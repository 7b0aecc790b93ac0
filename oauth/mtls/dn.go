package mtls

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxDN      = 2048 // octets of a registered name
	maxRDNs    = 32
	maxOIDArcs = 20
)

var errDN = errors.New("not a distinguished name (RFC 4514)")

// An rdn is a relative distinguished name: values by attribute type, sorted. Most
// have one.
type rdn []attribute

type attribute struct {
	oid   string // dotted
	value string
}

// attributeOID gives the types their keywords: RFC 4514 §3 and those that Java and
// OpenSSL print. Others are written as dotted OIDs.
func attributeOID(keyword string) (string, bool) {
	switch strings.ToUpper(keyword) {
	case "CN":
		return "2.5.4.3", true
	case "SN", "SURNAME":
		return "2.5.4.4", true
	case "SERIALNUMBER":
		return "2.5.4.5", true
	case "C":
		return "2.5.4.6", true
	case "L":
		return "2.5.4.7", true
	case "ST", "S":
		return "2.5.4.8", true
	case "STREET":
		return "2.5.4.9", true
	case "O":
		return "2.5.4.10", true
	case "OU":
		return "2.5.4.11", true
	case "T", "TITLE":
		return "2.5.4.12", true
	case "BUSINESSCATEGORY":
		return "2.5.4.15", true
	case "POSTALCODE":
		return "2.5.4.17", true
	case "GN", "GIVENNAME":
		return "2.5.4.42", true
	case "DNQ", "DNQUALIFIER":
		return "2.5.4.46", true
	case "ORGANIZATIONIDENTIFIER":
		return "2.5.4.97", true
	case "UID":
		return "0.9.2342.19200300.100.1.1", true
	case "DC":
		return "0.9.2342.19200300.100.1.25", true
	case "E", "EMAIL", "EMAILADDRESS":
		return "1.2.840.113549.1.9.1", true
	}
	dotted := strings.TrimPrefix(strings.ToUpper(keyword), "OID.")
	arcs := strings.Split(dotted, ".")
	if len(arcs) < 2 || len(arcs) > maxOIDArcs {
		return "", false
	}
	for _, a := range arcs {
		n, err := strconv.ParseUint(a, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != a {
			return "", false
		}
	}
	return dotted, true
}

// sameDN compares a registered name with a subject, piece by piece: how a name is
// escaped and spaced, which string type the CA chose and the order inside a
// many-valued RDN do not matter. The order of RDNs does, last one first as RFC 4514
// §2.1 writes them, and so do the letters of each value.
func sameDN(registered string, rawSubject []byte) (bool, error) {
	want, err := parseDN(registered)
	if err != nil {
		return false, err
	}
	got, err := subject(rawSubject)
	if err != nil {
		return false, err
	}
	return slices.EqualFunc(want, got, slices.Equal[rdn]), nil
}

// subject reads the DER of a Name (RFC 5280 §4.1.2.4) into the order of RFC 4514.
func subject(der []byte) ([]rdn, error) {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("subject: %w", errDN)
	}
	name := make([]rdn, 0, len(seq))
	for _, set := range slices.Backward(seq) {
		var r rdn
		for _, a := range set {
			value, ok := a.Value.(string)
			if !ok {
				return nil, fmt.Errorf("subject: %s is not a text", a.Type)
			}
			r = append(r, attribute{a.Type.String(), value})
		}
		name = append(name, sorted(r))
	}
	return name, nil
}

func sorted(r rdn) rdn {
	slices.SortFunc(r, func(a, b attribute) int {
		if c := strings.Compare(a.oid, b.oid); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	return r
}

// parseDN reads the string form of RFC 4514 §3. Blanks around the separators are
// taken as well (RFC 2253 §4), since most tools print some. An empty name is none.
func parseDN(s string) ([]rdn, error) {
	if s == "" || len(s) > maxDN || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return nil, errDN
	}
	var name []rdn
	var current rdn
	for {
		keyword, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errDN
		}
		oid, ok := attributeOID(strings.Trim(keyword, " "))
		if !ok {
			return nil, errDN
		}
		value, separator, rest, err := parseValue(rest)
		if err != nil {
			return nil, err
		}
		current = append(current, attribute{oid, value})
		if separator != '+' {
			name = append(name, sorted(current))
			current = nil
		}
		switch {
		case len(name) > maxRDNs || len(current) > maxRDNs:
			return nil, errDN
		case separator == 0:
			return name, nil
		}
		s = rest
	}
}

// parseValue reads one value and the separator after it, 0 at the end.
func parseValue(s string) (value string, separator byte, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "#") {
		return hexValue(s[1:])
	}
	var b []byte
	solid := 0 // up to here blanks at the end are part of the value
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ',', '+':
			return text(b[:solid], c, s[i+1:])
		case '"', ';', '<', '>':
			return "", 0, "", errDN
		case '\\':
			octet, n := unescape(s[i+1:])
			if n == 0 {
				return "", 0, "", errDN
			}
			b = append(b, octet)
			i += n
			solid = len(b)
		case ' ':
			b = append(b, c)
		default:
			b = append(b, c)
			solid = len(b)
		}
	}
	return text(b[:solid], 0, "")
}

func text(b []byte, separator byte, rest string) (string, byte, string, error) {
	if len(b) == 0 || !utf8.Valid(b) {
		return "", 0, "", errDN
	}
	return string(b), separator, rest, nil
}

// unescape reads what follows a backslash and how long it is; 0 for what may not
// follow one.
func unescape(s string) (byte, int) {
	if s == "" {
		return 0, 0
	}
	if strings.IndexByte(` "#+,;<=>\`, s[0]) >= 0 {
		return s[0], 1
	}
	if len(s) < 2 {
		return 0, 0
	}
	pair, err := hex.DecodeString(s[:2])
	if err != nil {
		return 0, 0
	}
	return pair[0], 2
}

// hexValue reads the BER of a value (RFC 4514 §2.4), if it is a text.
func hexValue(s string) (string, byte, string, error) {
	end := strings.IndexAny(s, ",+")
	var separator byte
	digits, rest := s, ""
	if end >= 0 {
		digits, separator, rest = s[:end], s[end], s[end+1:]
	}
	der, err := hex.DecodeString(strings.TrimRight(digits, " "))
	if err != nil {
		return "", 0, "", errDN
	}
	var value any
	if left, err := asn1.Unmarshal(der, &value); err != nil || len(left) > 0 {
		return "", 0, "", errDN
	}
	decoded, ok := value.(string)
	if !ok {
		return "", 0, "", errDN
	}
	return text([]byte(decoded), separator, rest)
}
