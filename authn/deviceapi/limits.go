package deviceapi

import (
	"time"

	"ecardid/authn"
)

const (
	challengeLife = 120 * time.Second // phone's own; told to the app as expires_in
	nonceLife     = 60 * time.Second  // likewise

	// maxCode is more than any code of ours has, grouped for typing or not.
	maxCode = 128
	maxName = 40 // as on the account page
	maxID   = 64
)

// defaultCodeRule: a code has 128 bits and is scanned, so whoever is wrong more
// than a few times is not mistyping.
func defaultCodeRule() authn.Rule {
	return authn.Rule{Free: 10, Base: 10 * time.Second, Cap: 15 * time.Minute, Per: time.Hour}
}
