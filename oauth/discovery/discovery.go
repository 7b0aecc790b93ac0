package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"ecardid/internal/jose"
)

// maxAge is how long a document may be kept. Keys are published for longer than
// this before they sign (keyring.DefaultPolicy).
const maxAge = "public, max-age=900"

// A document is bytes and their ETag.
type document struct {
	body []byte
	etag string
}

func newDocument(body []byte) *document {
	sum := sha256.Sum256(body)
	return &document{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

func (d *document) serve(w http.ResponseWriter, r *http.Request, media string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Cache-Control", maxAge)
	h.Set("ETag", d.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body))
}

// Static serves a document that never changes while the server runs.
func Static(m any) (http.Handler, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	d := newDocument(body)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, "application/json") }), nil
}

// Keys is where the ring of the moment is.
type Keys interface{ Ring() *jose.Ring }

// KeySet serves one of the two key sets, encoded again only when the ring was
// swapped.
func KeySet(keys Keys, which func(*jose.Ring) string) http.Handler {
	type encoded struct {
		ring *jose.Ring
		doc  *document
	}
	var last atomic.Pointer[encoded]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ring := keys.Ring()
		e := last.Load()
		if e == nil || e.ring != ring {
			e = &encoded{ring, newDocument([]byte(which(ring)))}
			last.Store(e)
		}
		e.doc.serve(w, r, "application/jwk-set+json")
	})
}
