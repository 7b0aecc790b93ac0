package respond

import "net/http"

// JWT writes a private answer that is a JWT or JWE whole; contentType names it.
func JWT(w http.ResponseWriter, contentType, token string) {
	NoStore(w.Header())
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(token)) // as in JSON
}
