package introspect

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const (
	mediaJSON = "application/json"
	mediaJWT  = "application/token-introspection+jwt" // RFC 9701 §4

	maxRanges = 32 // of one request; browsers send under ten
)

// wantsJWT reports whether a request prefers the signed form (RFC 9110 §12.5.1). It
// has to name it, and to like it no less than JSON: a wildcard asks for nothing in
// particular and gets JSON, and so does a header that cannot be read.
func wantsJWT(h http.Header) bool {
	var signed, plain float64
	ranges := strings.Split(strings.Join(h.Values("Accept"), ","), ",")
	if len(ranges) > maxRanges {
		return false
	}
	for _, text := range ranges {
		if strings.TrimSpace(text) == "" {
			continue
		}
		media, params, err := mime.ParseMediaType(text)
		if err != nil {
			return false
		}
		q := 1.0
		if given, there := params["q"]; there {
			if q, err = strconv.ParseFloat(given, 64); err != nil || !(q >= 0 && q <= 1) {
				return false
			}
		}
		switch media {
		case mediaJWT:
			signed = q
		case mediaJSON:
			plain = q
		}
	}
	return signed > 0 && signed >= plain
}
