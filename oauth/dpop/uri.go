package dpop

import (
	"strings"

	"ecardid/internal/proof"
)

// same compares htu with the endpoint called. An endpoint that is published under
// our issuer is published under every alias as well (RFC 8705 §5).
func (v *Verifier) same(htu, endpoint string) bool {
	if proof.Same(htu, endpoint) {
		return true
	}
	path, ok := strings.CutPrefix(endpoint, v.Issuer)
	return ok && v.Alias != "" && v.Issuer != "" && proof.Same(htu, v.Alias+path)
}
