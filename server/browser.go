package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"

	"ecardid/internal/secret"
)

// browserCookie names the browser, not the person: a random value that ties
// half-finished logins and stored requests to the browser that began them
// (SECURITY G3), and that CSRF tokens are made from. It carries no rights.
const browserCookie = "__Host-browser"

// cookieLife of the browser cookie. Long enough that a form left open over lunch
// still works, short enough not to follow anybody around.
const cookieLife = 24 * 60 * 60

type browserKey struct{}

// browsers gives every browser its cookie and checks what comes back with it.
type browsers struct {
	// tag and check are the MAC under the key of the day and under those before it,
	// the same on every replica: a form outlives the rotation of the key.
	tag   func(message []byte) ([]byte, error)
	check func(tag, message []byte) bool
	rand  io.Reader
}

// only returns the value of the one cookie of that name. Two of one name are
// ambiguous: somebody planted one, and neither counts (SECURITY SS4).
func only(r *http.Request, name string) (string, bool) {
	cs := r.CookiesNamed(name)
	if len(cs) != 1 || cs[0].Value == "" || len(cs[0].Value) > 256 {
		return "", false
	}
	return cs[0].Value, true
}

// name makes sure the browser has its cookie and puts its value into the context.
// A browser without one gets one only where it reads: a form that another site
// posts here comes without our cookies (SameSite), and a new name would take the
// place of the old one, and with it every login the person is in the middle of.
func (b browsers) name(w http.ResponseWriter, r *http.Request) *http.Request {
	v, ok := only(r, browserCookie)
	if !ok || len(v) != 43 {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return r
		}
		v = secret.From(b.rand, 32).Reveal()
		http.SetCookie(w, &http.Cookie{
			Name: browserCookie, Value: v, Path: "/", MaxAge: cookieLife,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	return r.WithContext(context.WithValue(r.Context(), browserKey{}, v))
}

// Browser returns SHA-256 of the browser cookie of a request that came through a
// page route; nil otherwise, which equals no stored value.
func Browser(r *http.Request) []byte {
	v, _ := r.Context().Value(browserKey{}).(string)
	if v == "" {
		return nil
	}
	h := sha256.Sum256([]byte(v))
	return h[:]
}

// token returns the CSRF token of the request's browser: a MAC of its cookie. A
// stranger can neither read the cookie nor, for its __Host- prefix, plant one.
func (b browsers) token(r *http.Request) string {
	v, _ := r.Context().Value(browserKey{}).(string)
	if v == "" {
		return ""
	}
	tag, err := b.tag([]byte(v))
	if err != nil {
		return "" // then no form of ours is taken
	}
	return base64.RawURLEncoding.EncodeToString(tag)
}

// genuine reports whether the token sent is that of the request's browser. The
// token travels in the form field csrf or, from our script, in X-CSRF-Token; once.
func (b browsers) genuine(r *http.Request) bool {
	v, _ := r.Context().Value(browserKey{}).(string)
	got := r.Header.Values("X-CSRF-Token")
	if len(got) == 0 {
		got = r.PostForm["csrf"]
	}
	if v == "" || len(got) != 1 {
		return false
	}
	tag, err := base64.RawURLEncoding.Strict().DecodeString(got[0])
	return err == nil && b.check(tag, []byte(v))
}
