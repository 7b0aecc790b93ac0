package authn

import (
	"net/http"
	"time"

	"ecardid/internal/secret"
)

// Cookies. The prefix keeps siblings and plain-text neighbours from planting one
// (RFC 6265bis §4.1.3.2); Lax lets a person arrive from a relying party's link and
// still be signed in.
const (
	loginCookie = "__Host-login" // the session
	trustCookie = "__Host-td"    // the trusted browser; never a factor
	tokenBytes  = 32
	tokenLen    = 43 // of tokenBytes in base64url
)

// readCookie returns the one cookie of that name. Two of one name are ambiguous:
// somebody planted one, and neither counts (SECURITY SS4).
func readCookie(r *http.Request, name string) (secret.Value, bool) {
	cs := r.CookiesNamed(name)
	if len(cs) != 1 || len(cs[0].Value) != tokenLen {
		return secret.Value{}, false
	}
	return secret.Of(cs[0].Value), true
}

func setCookie(w http.ResponseWriter, name string, v secret.Value, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: v.Reveal(), Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func dropCookie(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
