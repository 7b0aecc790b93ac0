package storage

import (
	"ecardid/authn"
	"ecardid/console"
	"ecardid/oauth"
)

// A Store is what every room that remembers asked for.
var (
	_ authn.Store = (*Store)(nil)
	_ oauth.Store = (*Store)(nil)

	_ console.Staffs   = (*Store)(nil)
	_ console.Requests = (*Store)(nil)
	_ console.Citizens = (*Store)(nil)
	_ console.Changes  = (*Store)(nil)
	_ console.Trail    = (*Store)(nil)
	_ oauth.Usages     = (*Store)(nil)
)
