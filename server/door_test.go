package server_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"ecardid/server"
	"ecardid/templates"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// A caller is a browser that sends whatever it is told to, straight to the handler.
type caller struct {
	h       *house
	cookies map[string]string
	csrf    string
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// caller has been here before: it has its cookie and a form.
func (h *house) caller(t testing.TB) *caller {
	t.Helper()
	c := &caller{h: h, cookies: map[string]string{}}
	w := c.send(http.MethodGet, "/lost", "")
	for _, k := range w.Result().Cookies() {
		c.cookies[k.Name] = k.Value
	}
	found := csrfField.FindStringSubmatch(w.Body.String())
	if found == nil || c.cookies["__Host-browser"] == "" {
		t.Fatalf("no form or no cookie: %d %v", w.Code, w.Header())
	}
	c.csrf = found[1]
	return c
}

// send sends one request. Headers are pairs; a value of "" takes a header away.
func (c *caller) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://localhost/", strings.NewReader(body))
	u := &url.URL{}
	if path != "" { // CONNECT has none
		var err error
		if u, err = url.ParseRequestURI(path); err != nil {
			panic(err) // of the test's own making
		}
	}
	r.URL, r.RequestURI, r.Host = u, path, strings.TrimPrefix(c.h.issuer, "https://")
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.h.server.ServeHTTP(w, r)
	return w
}

func concrete(pattern string) string {
	return strings.NewReplacer("{$}", "", "{id}", "0123456789abcdef0123456789abcdef", "{number}", "0000-0000-0000").Replace(pattern)
}

// changes tells whether anybody wrote to the database since it was last asked, beside
// the trail: a refusal is an entry there, and nothing else (SECURITY AD3).
func (h *house) changes(t testing.TB) func() bool {
	t.Helper()
	db := must[*sql.DB](t)(sql.Open("sqlite", strings.TrimPrefix(h.dsn, "sqlite:")))
	db.SetMaxOpenConns(1) // the number is the connection's (SQLite, PRAGMA data_version)
	t.Cleanup(func() { _ = db.Close() })
	read := func() (n int) {
		if err := db.QueryRow("PRAGMA data_version").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	last, content := read(), contentOf(t, db)
	return func() bool {
		before := last
		if last = read(); last == before {
			return false
		}
		was := content
		content = contentOf(t, db)
		return content != was
	}
}

// TestForgedPosts sends every form there is the way a stranger's page, a broken
// client or a curious person would. None is taken, and nothing is written but that.
func TestForgedPosts(t *testing.T) {
	h := newHouse(t)
	me, other := h.caller(t), h.caller(t)
	changed := h.changes(t)
	long := strings.Repeat("x", 65<<10)
	cases := []struct {
		name    string
		page    bool // only pages have forms of ours
		body    func(json bool) string
		headers []string
		cookie  string // beside the caller's own
		want    int    // 0: any 4xx
	}{
		{name: "no token", page: true, want: 403},
		{name: "wrong token", page: true, headers: []string{"X-CSRF-Token", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, want: 403},
		{name: "token of another browser", page: true, headers: []string{"X-CSRF-Token", other.csrf}, want: 403},
		{name: "two tokens", page: true, headers: []string{"X-CSRF-Token", me.csrf, "X-CSRF-Token", me.csrf}, want: 403},
		{name: "two tokens in the form", page: true, body: func(json bool) string { return "csrf=" + me.csrf + "&csrf=" + me.csrf }, want: 403},
		{name: "token in the address only", page: true, want: 403},
		{name: "from another origin", page: true, headers: []string{"X-CSRF-Token", me.csrf, "Origin", "https://evil.example"}, want: 403},
		{name: "from a sandbox", page: true, headers: []string{"X-CSRF-Token", me.csrf, "Origin", "null"}, want: 403},
		{name: "from a neighbouring port", page: true, headers: []string{"X-CSRF-Token", me.csrf, "Origin", h.issuer + "0"}, want: 403},
		// Whoever sends the request writes Host too: it is no witness.
		{name: "from what Host says", page: true, headers: []string{"X-CSRF-Token", me.csrf, "Origin", "https://example.com"}, want: 403},
		{name: "cross-site", page: true, headers: []string{"X-CSRF-Token", me.csrf, "Sec-Fetch-Site", "cross-site"}, want: 403},
		{name: "cross-site, with our origin", page: true, headers: []string{"X-CSRF-Token", me.csrf, "Sec-Fetch-Site", "cross-site", "Origin", h.issuer}, want: 403},
		{name: "same site is not same origin", page: true, headers: []string{"X-CSRF-Token", me.csrf, "Sec-Fetch-Site", "same-site"}, want: 403},
		{name: "two browser cookies", page: true, headers: []string{"X-CSRF-Token", me.csrf}, cookie: other.cookies["__Host-browser"], want: 403},

		{name: "no content type", headers: []string{"Content-Type", "", "X-CSRF-Token", me.csrf}, want: 400},
		{name: "two content types", headers: []string{"Content-Type", formType, "X-CSRF-Token", me.csrf}, want: 400},
		{name: "multipart", headers: []string{"Content-Type", "", "Content-Type", "multipart/form-data; boundary=x", "X-CSRF-Token", me.csrf}, want: 400},
		{name: "text, which needs no preflight", headers: []string{"Content-Type", "", "Content-Type", "text/plain", "X-CSRF-Token", me.csrf}, want: 400},
		{name: "another character set", headers: []string{"Content-Type", "", "Content-Type", formType + "; charset=gbk", "X-CSRF-Token", me.csrf}, want: 400},
		{name: "65 kB", body: func(bool) string { return "a=" + long }, headers: []string{"X-CSRF-Token", me.csrf}, want: 413},
		{name: "101 parameters", body: func(bool) string { return strings.Repeat("a=1&", 101) }, headers: []string{"X-CSRF-Token", me.csrf}},
		{name: "no UTF-8", body: func(json bool) string {
			if json {
				return "{\"a\":\"\xff\"}"
			}
			return "a=%ff"
		}, headers: []string{"X-CSRF-Token", me.csrf}, want: 400},
		{name: "NUL", body: func(json bool) string { return "a=%00" }, headers: []string{"X-CSRF-Token", me.csrf}},
		{name: "half an escape", body: func(json bool) string { return "a=%f" }, headers: []string{"X-CSRF-Token", me.csrf}},
		{name: "semicolons", body: func(json bool) string { return "a=1;b=2" }, headers: []string{"X-CSRF-Token", me.csrf}},
	}
	routes := 0
	for _, r := range h.server.Routes() {
		if r.Takes == "" {
			continue
		}
		routes++
		for _, c := range cases {
			if c.page && r.Class != server.Page {
				continue
			}
			isJSON := r.Takes == jsonType
			body := "a=1"
			if isJSON {
				body = "{}"
			}
			if c.body != nil {
				body = c.body(isJSON)
			}
			// What is wrong with a form is nothing to JSON: there it is a missing flow.
			path := concrete(r.Pattern)
			if strings.Contains(c.name, "address") {
				path += "?csrf=" + url.QueryEscape(me.csrf)
			}
			headers := append([]string{"Content-Type", r.Takes}, c.headers...)
			if c.name == "another character set" && isJSON {
				headers = append(headers, "Content-Type", "", "Content-Type", "application/json; charset=gbk")
			}
			if c.cookie != "" {
				headers = append(headers, "Cookie", "__Host-browser="+c.cookie)
			}
			w := me.send(r.Method, path, body, headers...)
			if w.Code < 400 || w.Code > 499 || c.want != 0 && w.Code != c.want {
				t.Errorf("%s %s, %s: %d, want %d", r.Method, r.Pattern, c.name, w.Code, c.want)
			}
			if got := w.Header().Values("Set-Cookie"); len(got) > 0 {
				t.Errorf("%s %s, %s: sets %q", r.Method, r.Pattern, c.name, got)
			}
		}
		if changed() {
			t.Errorf("%s %s: a refused request wrote to the database", r.Method, r.Pattern)
		}
	}
	if routes < 30 {
		t.Errorf("only %d routes take anything", routes)
	}
	// The same, as it should be: the table above fails for its reasons.
	if me.send(http.MethodGet, "/login", ""); !changed() {
		t.Error("a new flow was not noticed")
	}
	w := me.send(http.MethodPost, "/preferences", "csrf="+me.csrf, "Content-Type", formType, "Origin", h.issuer, "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusSeeOther {
		t.Errorf("our own form: %d", w.Code)
	}
}

// TestForeignFormKeepsName: a form that another site sends here comes without our
// cookies. A new browser cookie in the answer would end every login half-way.
func TestForeignFormKeepsName(t *testing.T) {
	h := newHouse(t)
	stranger := &caller{h: h}
	for _, path := range []string{"/authorize", "/login/password", "/nowhere"} {
		w := stranger.send(http.MethodPost, path, "client_id=x", "Content-Type", formType, "Origin", "https://evil.example")
		if got := w.Header().Values("Set-Cookie"); len(got) > 0 || w.Code < 400 || w.Code > 499 {
			t.Errorf("%s: %d, sets %q", path, w.Code, got)
		}
	}
}

// TestHeaders looks at every answer a stranger can get.
func TestHeaders(t *testing.T) {
	h := newHouse(t)
	c := h.caller(t)
	type ask struct{ method, path string }
	asks := []ask{
		{"GET", "/nowhere"}, {"POST", "/nowhere"}, {"GET", "//evil.example/"}, {"GET", "/a/../lost"}, {"GET", "/./lost"},
		{"GET", "/account/.."}, {"GET", "/assets"}, {"GET", "/assets/none.js"}, {"GET", "/device"}, {"GET", "/.well-known"}, {"GET", "/.well-known/none"},
		{"GET", "/device/v1/none"}, {"GET", "/lost?\\"}, {"GET", "/lost?a=%ff"}, {"GET", "/lost?" + strings.Repeat("a", 17<<10)},
		{"GET", "/authorize?state=" + strings.Repeat("a", 3<<10)}, {"HEAD", "/authorize"}, {"HEAD", "/lost"}, {"HEAD", "/jwks"}, {"GET", "/login/%70assword"},
		{"BREW", "/login"}, {"CONNECT", ""}, {"TRACE", "/lost"},
	}
	for _, r := range h.server.Routes() {
		asks = append(asks, ask{r.Method, concrete(r.Pattern)}, ask{"OPTIONS", concrete(r.Pattern)}, ask{"PUT", concrete(r.Pattern)})
	}
	public := map[string]bool{}
	for _, r := range h.server.Routes() {
		if r.Class == server.Public {
			public[r.Pattern] = true
		}
	}
	for _, a := range asks {
		w := c.send(a.method, a.path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
		name, head := a.method+" "+a.path[:min(len(a.path), 60)], w.Header()
		if w.Code >= 500 || w.Code < 200 {
			t.Errorf("%s: %d", name, w.Code)
		}
		for k := range head {
			if strings.HasPrefix(k, "Access-Control-") {
				t.Errorf("%s: %s", name, k)
			}
		}
		want := map[string]string{
			"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
		}
		isPage := strings.HasPrefix(head.Get("Content-Type"), "text/html")
		if !public[a.path] || w.Code >= 400 {
			if !strings.HasPrefix(a.path, "/assets/") {
				want["Cache-Control"] = "no-store"
			}
		}
		if isPage {
			want["Referrer-Policy"], want["Cross-Origin-Opener-Policy"], want["X-Frame-Options"] = "same-origin", "same-origin", "DENY"
		}
		for k, v := range want {
			if got := head.Get(k); got != v {
				t.Errorf("%s: %d %s: %q, want %q", name, w.Code, k, got, v)
			}
		}
		csp := head.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: policy %q", name, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || isPage && w.Code >= 400 && !strings.Contains(csp, "script-src 'nonce-") {
			t.Errorf("%s: policy %q", name, csp)
		}
		if to := head.Get("Location"); to != "" && !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
			t.Errorf("%s: leads to %q", name, to)
		}
	}
}

func TestNoTransportSecurityWithoutTransport(t *testing.T) {
	h := newHouse(t, func(in *server.Ingredients) { in.Issuer = strings.Replace(in.Issuer, "https:", "http:", 1) })
	if got := (&caller{h: h}).send(http.MethodGet, "/lost", "").Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("over http: %q", got)
	}
}

// TestMethods: what an address does not take is 405 and says what it takes; an
// address that is not there is 404; programs hear it in JSON.
func TestMethods(t *testing.T) {
	h := newHouse(t)
	c := h.caller(t)
	for _, a := range []struct {
		method, path string
		status       int
		allow, media string
	}{
		{"GET", "/token", 405, "POST", jsonType},
		{"PUT", "/userinfo", 405, "GET, HEAD, POST", jsonType},
		{"OPTIONS", "/token", 405, "POST", jsonType},
		{"POST", "/jwks", 405, "GET, HEAD", jsonType},
		{"POST", "/privacy", 405, "GET, HEAD", "text/html; charset=utf-8"},
		{"GET", "/preferences", 405, "POST", "text/html; charset=utf-8"},
		{"GET", "/login/choose", 405, "POST", "text/html; charset=utf-8"},
		{"DELETE", "/", 405, "GET, HEAD", "text/html; charset=utf-8"},
		{"PUT", "/device/v1/nonce", 405, "GET, HEAD", jsonType},
		{"GET", "/device/v1/nothing", 404, "", jsonType},
		{"GET", "/.well-known/webfinger", 404, "", jsonType},
		{"GET", "/nothing", 404, "", "text/html; charset=utf-8"},
		{"GET", "/metrics", 404, "", "text/html; charset=utf-8"},
		{"GET", "/debug/pprof/", 404, "", "text/html; charset=utf-8"},
		{"GET", "/console/../lost", 404, "", "text/html; charset=utf-8"}, // one spelling
		{"GET", "/lost/", 404, "", "text/html; charset=utf-8"},
	} {
		w := c.send(a.method, a.path, "")
		if w.Code != a.status || w.Header().Get("Allow") != a.allow || w.Header().Get("Content-Type") != a.media {
			t.Errorf("%s %s: %d, Allow %q, %q", a.method, a.path, w.Code, w.Header().Get("Allow"), w.Header().Get("Content-Type"))
		}
	}
	if w := c.send(http.MethodHead, "/lost", ""); w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d with %d bytes", w.Code, w.Body.Len())
	}
}

// TestHostIsNoAuthority: whatever the request says about our name, our answers say
// the configured one (SECURITY OI5).
func TestHostIsNoAuthority(t *testing.T) {
	h := newHouse(t)
	c := &caller{h: h}
	authorize := "/authorize?" + url.Values{"client_id": {"pension"}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid"}, "code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"}}.Encode()
	paths := []string{authorize, "/nowhere", "/token"}
	for _, r := range h.server.Routes() {
		paths = append(paths, concrete(r.Pattern))
	}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := httptest.NewRequest(method, "https://evil.example"+path, nil)
			for _, k := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Forwarded-Server", "X-Original-URL", "X-Rewrite-URL"} {
				r.Header.Set(k, "evil.example")
			}
			r.Header.Set("Forwarded", "host=evil.example;proto=http")
			r.Header.Set("X-Forwarded-Proto", "http")
			w := httptest.NewRecorder()
			c.h.server.ServeHTTP(w, r)
			var all bytes.Buffer
			_ = w.Header().Write(&all)
			if _, _ = io.Copy(&all, w.Body); strings.Contains(all.String(), "evil.example") {
				t.Errorf("%s %s: answers with the name it was called by:\n%s", method, path, all.String())
			}
		}
	}
}

func TestPreferences(t *testing.T) {
	h := newHouse(t)
	c := h.caller(t)
	for _, p := range []struct {
		form, to, cookies string
		status            int
	}{
		{"locale=en&back=/lost", "/lost", "__Host-locale=en", 303},
		{"locale=zh-CN&elder=on&back=/login?flow=1%26a=b", "/login?flow=1&a=b", "__Host-locale=zh-CN __Host-elder=on", 303},
		{"elder=off", "/", "__Host-elder=off", 303},
		{"locale=fr&back=/lost", "", "", 400},            // not a language of ours
		{"locale=en&locale=zh-CN", "", "", 400},          // which one?
		{"locale=en&elder=maybe", "", "", 400},           // all of it or nothing
		{"back=/lost&back=/privacy", "", "", 400},        // SECURITY G8
		{"back=https://evil.example", "/", "", 303},      // SECURITY AZ4, from here on
		{"back=//evil.example", "/", "", 303},            //
		{"back=/%5Cevil.example", "/", "", 303},          // browsers take a backslash for a slash
		{"back=%5C%5Cevil.example", "/", "", 303},        //
		{"back=%09//evil.example", "/", "", 303},         // and drop a tab
		{"back=/%09/evil.example", "/", "", 303},         //
		{"back=https:evil.example", "/", "", 303},        //
		{"back=/lost%0d%0aSet-Cookie:a=b", "/", "", 303}, // a header of their own
		{"back=javascript:alert(1)", "/", "", 303},       //
		{"back=/..//evil.example", "/", "", 303},         // what a dot segment leaves behind
		{"back=/" + strings.Repeat("a", 3000), "/", "", 303},
	} {
		w := c.send(http.MethodPost, "/preferences", "csrf="+c.csrf+"&"+p.form, "Content-Type", formType)
		var cookies []string
		for _, k := range w.Result().Cookies() {
			cookies = append(cookies, k.Name+"="+k.Value)
			if !k.Secure || !k.HttpOnly || k.Path != "/" || k.Domain != "" || k.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s: cookie %s", p.form, k)
			}
		}
		if w.Code != p.status || w.Header().Get("Location") != p.to || strings.Join(cookies, " ") != p.cookies {
			t.Errorf("%.40s: %d to %q with %q", p.form, w.Code, w.Header().Get("Location"), cookies)
		}
	}
}

// TestMetrics: counters by our own words, whatever is sent.
func TestMetrics(t *testing.T) {
	var m *server.Metrics
	h := newHouse(t, func(in *server.Ingredients) { m = in.Metrics })
	c := &caller{h: h}
	for _, a := range []string{"BREW", "PUT", "GET"} {
		c.send(a, "/token?code=secret-code", "")
		c.send(a, "/secret-path", "")
	}
	w := httptest.NewRecorder()
	m.Operations().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	if !strings.Contains(text, `ecardid_http_requests_total{code="405",method="other",route="/token"} 3`) ||
		!strings.Contains(text, `ecardid_http_requests_total{code="404",method="other",route="/"} 3`) {
		t.Errorf("counters:\n%s", text)
	}
	for _, s := range []string{"BREW", "secret", `route="/token",method="PUT"`} {
		if strings.Contains(text, s) {
			t.Errorf("%q is in the metrics", s)
		}
	}
	for path, status := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/cmdline": 404, "/account": 404} {
		w := httptest.NewRecorder()
		m.Operations().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status {
			t.Errorf("operations %s: %d", path, w.Code)
		}
	}
}

// TestLinks: every link and form on the pages a stranger sees leads somewhere.
func TestLinks(t *testing.T) {
	h := newHouse(t)
	c := h.caller(t)
	login := c.send(http.MethodGet, "/login", "").Header().Get("Location")
	login = c.send(http.MethodGet, login, "").Header().Get("Location")
	link := regexp.MustCompile(`(?:href|src|action)="(/[^"]*)"`)
	for _, from := range []string{"/lost", "/privacy", "/nowhere", "/signed-out", login} {
		for _, found := range link.FindAllStringSubmatch(c.send(http.MethodGet, from, "").Body.String(), -1) {
			to := strings.ReplaceAll(found[1], "&amp;", "&")
			if w := c.send(http.MethodGet, to, ""); w.Code == http.StatusNotFound && to != from {
				t.Errorf("%s: nothing at %s", from, to)
			}
		}
	}
}

func TestNew(t *testing.T) {
	h := newHouse(t)
	for name, change := range map[string]func(*server.Ingredients){
		"issuer with a path":   func(in *server.Ingredients) { in.Issuer += "/" },
		"issuer with a query":  func(in *server.Ingredients) { in.Issuer += "?a" },
		"issuer without host":  func(in *server.Ingredients) { in.Issuer = "https://" },
		"no store":             func(in *server.Ingredients) { in.Store = nil },
		"no clock":             func(in *server.Ingredients) { in.Clock = nil },
		"no metrics":           func(in *server.Ingredients) { in.Metrics = nil },
		"no log":               func(in *server.Ingredients) { in.Log = nil },
		"no catalogue":         func(in *server.Ingredients) { in.Catalogue = nil },
		"no name of authority": func(in *server.Ingredients) { in.Pages = templates.Config{} },
	} {
		in := h.ingredients
		change(&in)
		if _, err := server.New(context.Background(), in); err == nil {
			t.Errorf("%s: goes", name)
		}
	}
}
