package oauth

import (
	"net/http"

	"ecardid/identity"
)

// Logins is what the authorization endpoint needs from whoever knows people.
type Logins interface {
	// Current returns the live login of this browser, or identity.ErrNotFound.
	Current(r *http.Request) (identity.Login, error)
	// Token is by what storage knows the login this browser says it has; nil when it says
	// nothing. Whoever has read the live login of a Token tells Seen, and has then done
	// what Current does.
	Token(r *http.Request) []byte
	Seen(r *http.Request, l identity.Login) identity.Login
	// Raise sends the browser off to reach need, and has it come back to the path
	// back on this server when need is met. It writes the whole answer. When the
	// citizen gives up, the browser comes back with Cancelled added to the query.
	Raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string)
	// End ends the browser's login: on the server, durably, before it returns, and in
	// the browser by the headers it sets on w. It writes no answer. A browser without
	// a login is left as it is.
	End(w http.ResponseWriter, r *http.Request) error
}

// Cancelled is the query parameter that Raise adds to the way back, with the value
// "cancelled", when the citizen would not go on.
const Cancelled = "login"
