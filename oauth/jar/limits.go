package jar

import "time"

const (
	maxAhead = 60 * time.Minute // of exp (SECURITY CO4, FAPI 2.0 Message Signing §5.3.1)
	maxOld   = 60 * time.Minute // of nbf, as there
	leeway   = 10 * time.Second // SECURITY §0: two honest clocks

	maxResources = 20 // RFC 8707 targets; a token has a handful
)
