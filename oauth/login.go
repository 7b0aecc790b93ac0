package oauth

import (
	"net/http"

	"ecardid/identity"
)

// Logins is what the authorization endpoint needs from whoever knows people.
type Logins interface {
	// Current returns the live login of this browser, or identity.ErrNotFound.
	Current(r *http.Request) (identity.Login, error)
	// Raise sends the browser off to reach need, and has it come back to the path
	// back on this server when need is met. It writes the whole answer.
	Raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string)
}
