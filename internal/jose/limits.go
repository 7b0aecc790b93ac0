package jose

const (
	maxCompact = 16 << 10 // a client assertion is 1 KiB, a large request object 8; header lines end at 16 as well
	maxHeader  = 4 << 10  // of those, encoded; a DPoP header with an RSA 8192 key needs 2
	maxJWK     = 16 << 10 // leaves room for an x5c chain we ignore
	maxSet     = 64 << 10 // sixty-four keys of 1 KiB
	maxKeys    = 64       // in one set
	maxName    = 256      // octets of a kid or typ; ours are under 40
	maxDepth   = 32       // nesting of JSON; RFC 9396 details reach about five

	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // beyond this one verification costs milliseconds
	newRSABits = 3072 // what we make ourselves (SECURITY §0)
	minRSAExp  = 65537
	maxRSAExp  = 1<<31 - 1 // what crypto/rsa accepts

	sigSize = 64 // r‖s, and Ed25519

	// The last second of the year 9999. A date beyond it is a mistake, usually
	// milliseconds in place of seconds.
	maxDate = 253402300799
)
