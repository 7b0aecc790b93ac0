package templates

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static/style.css static/app.js static/icon.svg
var static embed.FS

// AssetPrefix is where [Pages.Assets] is to be mounted.
const AssetPrefix = "/assets/"

// An asset's name carries the hash of its bytes, so it may be kept for ever and a
// new release is seen at once.
type asset struct {
	path  string
	mime  string
	bytes []byte
}

func loadAssets() (map[string]asset, error) {
	mimes := map[string]string{
		"style.css": "text/css; charset=utf-8",
		"app.js":    "text/javascript; charset=utf-8",
		"icon.svg":  "image/svg+xml",
	}
	assets := make(map[string]asset, len(mimes))
	for name, mime := range mimes {
		b, err := static.ReadFile("static/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		sum := sha256.Sum256(b)
		ext := path.Ext(name)
		p := AssetPrefix + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:8]) + ext
		assets[name] = asset{path: p, mime: mime, bytes: b}
	}
	return assets, nil
}

// Assets serves the style sheet, the script and the icon below [AssetPrefix]. Any
// other name, also an old hash, is 404: a cache must not learn it as the new one.
func (p *Pages) Assets() http.Handler {
	byPath := make(map[string]asset, len(p.assets))
	for _, a := range p.assets {
		byPath[a.path] = a
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.mime)
		h.Set("Content-Length", strconv.Itoa(len(a.bytes)))
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		// An SVG opened by itself is a document; it gets no rights at all.
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if r.Method == http.MethodGet {
			_, _ = bytes.NewReader(a.bytes).WriteTo(w) // a reader who left is not our error
		}
	})
}
