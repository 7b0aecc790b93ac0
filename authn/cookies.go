package authn

import (
	"net/http"
	"time"

	"ecardid/internal/exchange"
	"ecardid/internal/secret"
)

// Cookies. The prefix keeps siblings and plain-text neighbours from planting one
// (RFC 6265bis §4.1.3.2); Lax lets a person arrive from a relying party's link and
// still be signed in.
const (
	loginCookie = "__Host-login" // the session
	trustCookie = "__Host-td"    // the trusted browser; never a factor
	tokenBytes  = exchange.TokenBytes
)

func readCookie(r *http.Request, name string) (secret.Value, bool) { return exchange.Cookie(r, name) }

func setCookie(w http.ResponseWriter, name string, v secret.Value, life time.Duration) {
	exchange.SetCookie(w, name, v, life, http.SameSiteLaxMode)
}

func dropCookie(w http.ResponseWriter, name string) {
	exchange.DropCookie(w, name, http.SameSiteLaxMode)
}
