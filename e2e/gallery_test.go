package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ecardid/e2e/browser"
	"ecardid/templates"
	"ecardid/templates/gallery"
)

// showroom serves the gallery: /{sample}?l={locale}&e={elder}, under the policy the
// server sends with such a page.
func showroom(t *testing.T) *httptest.Server {
	t.Helper()
	pages, err := templates.New(gallery.Config())
	if err != nil {
		t.Fatal(err)
	}
	samples := make(map[string]templates.Page)
	for _, s := range gallery.All() {
		samples[s.Name] = s.Page
	}
	mux := http.NewServeMux()
	mux.Handle(templates.AssetPrefix, pages.Assets())
	mux.HandleFunc("GET /sample/{name}", func(w http.ResponseWriter, r *http.Request) {
		page, ok := samples[r.PathValue("name")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		v := gallery.View(templates.Locale(r.URL.Query().Get("l")), r.URL.Query().Get("e") == "on")
		policy, targets := templates.SignIn, []string(nil)
		switch page := page.(type) {
		case templates.FormPost:
			v.Nonce = "" // no script: it would leave before anybody has seen it
		case templates.SignedOut:
			policy = templates.Farewell
			for _, f := range page.Frames {
				targets = append(targets, templates.FormTarget(f))
			}
		}
		var b bytes.Buffer
		if err := pages.Render(&b, v, page); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", templates.Policy(policy, v.Nonce, targets...))
		_, _ = b.WriteTo(w)
	})
	// What a page's script asks on its own: no passkey and no news.
	for _, path := range []string{"/login/", "/account/"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{}`)
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// look is one way somebody looks at a page.
type look struct {
	name   string
	locale templates.Locale
	elder  string
	dark   bool
}

// TestGallery looks at every page in both languages, one plain and one in elder mode: no
// finding of axe-core, no report of the Content-Security-Policy, no sideways
// scrolling on a small phone, and a screenshot of each to look through. In the dark
// only colours differ, so only contrast is measured again.
func TestGallery(t *testing.T) {
	srv := showroom(t)
	base := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	for _, l := range []look{
		{"zh-CN", templates.ZhCN, "off", false},
		{"en-elder", templates.En, "on", false}, // what has room here has room in smaller letters
		{"zh-CN-dark", templates.ZhCN, "off", true},
	} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			tab := browser.New(t, browser.Dark(l.dark))
			for _, s := range gallery.All() {
				tab.Set(browser.Wide(1280, 900, false))
				tab.Go(base + "/sample/" + url.PathEscape(s.Name) + "?l=" + string(l.locale) + "&e=" + l.elder)
				if tab.Status != http.StatusOK {
					t.Fatalf("%s: status %d", s.Name, tab.Status)
				}
				if l.dark {
					tab.Accessible(s.Name, "color-contrast")
					tab.Shot("gallery-" + s.Name + "-" + l.name)
					continue
				}
				tab.Accessible(s.Name)
				tab.Set(browser.Phone())
				if over := tab.Overflow(); over > 0 {
					t.Errorf("%s is %d pixels wider than a phone of 360", s.Name, over)
				}
				tab.Shot("gallery-" + s.Name + "-" + l.name)
			}
		})
	}
}
