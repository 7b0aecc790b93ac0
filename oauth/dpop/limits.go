package dpop

import (
	"time"

	"ecardid/internal/jose"
	"ecardid/internal/proof"
)

const (
	nonceAge = 5 * time.Minute  // with a nonce of ours the client's clock matters less
	kept     = 10 * time.Second // beyond its last moment: clocks of replicas differ as well

	// A nonce is accepted for one to two of these. Twice this is nonceAge, so that
	// neither outlives the other by much.
	nonceLife = 150 * time.Second
)

// Algs are the algorithms of proofs, for the metadata too.
func Algs() []jose.Alg { return proof.Algs() }
