package authorize

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"ecardid/internal/secret"
)

// browserCookie binds stored requests to the browser that brought them. It opens
// nothing by itself.
const browserCookie = "__Host-ecardid-request"

const browserSize = 43 // characters of 32 bytes in base64url

// browser returns the hash of the browser's cookie. Two of the same name are
// ambiguous and count as none (SECURITY SS4).
func browser(r *http.Request) ([]byte, bool) {
	cookies := r.CookiesNamed(browserCookie)
	if len(cookies) != 1 || len(cookies[0].Value) != browserSize {
		return nil, false
	}
	sum := sha256.Sum256([]byte(cookies[0].Value))
	return sum[:], true
}

// mark returns the hash of the browser's cookie, setting one if there is none.
// The cookie is kept while requests are under way: one browser, many tabs.
func mark(w http.ResponseWriter, r *http.Request) []byte {
	if hash, ok := browser(r); ok {
		return hash
	}
	value := secret.New(32)
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Value: value.Reveal(), Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return value.Hash()
}

func sameBrowser(r *http.Request, stored []byte) bool {
	hash, ok := browser(r)
	return ok && len(stored) > 0 && subtle.ConstantTimeCompare(hash, stored) == 1
}
