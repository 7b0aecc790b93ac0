package dpop

import (
	"net/http"

	"github.com/ory/fosite"
)

// Error codes of RFC 9449 §5 and §8. A resource sends them with 401 and a challenge
// (§7.1, §9) in place of the 400 they have here.
const (
	CodeInvalidProof = "invalid_dpop_proof"
	CodeUseNonce     = "use_dpop_nonce"
)

// InvalidProof is invalid_dpop_proof; problem is a sentence for the client's
// developer, with nothing of what was sent in it.
func InvalidProof(problem string) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{
		ErrorField: CodeInvalidProof, CodeField: http.StatusBadRequest,
		DescriptionField: "The DPoP proof is missing, malformed or otherwise not acceptable.",
		HintField:        problem,
	}
}

// UseNonce is use_dpop_nonce. The answer has the nonce in DPoP-Nonce.
func UseNonce() *fosite.RFC6749Error {
	return &fosite.RFC6749Error{
		ErrorField: CodeUseNonce, CodeField: http.StatusBadRequest,
		DescriptionField: "The DPoP proof needs the nonce of the DPoP-Nonce header.",
	}
}

// Replayed is what identity.ErrReplayed comes to for a request whose proof was shown
// before and that had no client assertion.
func Replayed() *fosite.RFC6749Error { return InvalidProof("This DPoP proof was used before.") }
