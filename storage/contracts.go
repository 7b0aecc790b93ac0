package storage

import (
	"ecardid/authn"
	"ecardid/oauth"
)

// A Store is what every room that remembers asked for.
var (
	_ authn.Store = (*Store)(nil)
	_ oauth.Store = (*Store)(nil)
)
