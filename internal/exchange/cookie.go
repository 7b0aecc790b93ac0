package exchange

import (
	"net/http"
	"time"

	"ecardid/internal/secret"
)

// TokenBytes is how many random bytes a cookie of ours holds.
const TokenBytes = 32

const tokenLen = 43 // of TokenBytes in base64url

// Cookie returns the one cookie of that name. Two of one name are ambiguous: somebody
// planted one, and neither counts (SECURITY SS4).
func Cookie(r *http.Request, name string) (secret.Value, bool) {
	cs := r.CookiesNamed(name)
	if len(cs) != 1 || len(cs[0].Value) != tokenLen {
		return secret.Value{}, false
	}
	return secret.Of(cs[0].Value), true
}

// SetCookie sets a cookie of ours, for a while, or with zero for as long as the browser
// runs.
func SetCookie(w http.ResponseWriter, name string, v secret.Value, life time.Duration, site http.SameSite) {
	cookie(w, name, v.Reveal(), int(life/time.Second), site)
}

// DropCookie takes it away.
func DropCookie(w http.ResponseWriter, name string, site http.SameSite) {
	cookie(w, name, "", -1, site)
}

func cookie(w http.ResponseWriter, name, value string, age int, site http.SameSite) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: site})
}
