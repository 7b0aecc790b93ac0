package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ecardid/e2e/house"
	"ecardid/server"
)

// filled is a route's path with something in its gaps.
func filled(pattern string) string {
	return strings.NewReplacer("{$}", "", "{id}", "AAAAAAAAAAAAAAAAAAAAAA").Replace(pattern)
}

// TestForged sends every form and script request there is without what makes it
// genuine: each is refused before anything happens (SECURITY SS2).
func TestForged(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	r := h.Robot(t)
	home := c.SignIn(r.Get("/login"))
	_, form := home.Form("locale")
	csrf := form.Get("csrf")
	stranger := h.Robot(t)
	_, form = stranger.Get("/login").Form("locale")
	theirs := form.Get("csrf")

	n := 0
	for _, route := range h.Routes {
		if route.Method == http.MethodGet || route.Class != server.Page {
			continue
		}
		n++
		body, kind := url.Values{"csrf": {csrf}}.Encode(), "application/x-www-form-urlencoded"
		if route.Takes == "application/json" {
			body, kind = "{}", route.Takes
		}
		genuine := http.Header{"Origin": {h.Issuer}, "Sec-Fetch-Site": {"same-origin"}, "X-Csrf-Token": {csrf}}
		with := func(name string, values ...string) http.Header {
			g := genuine.Clone()
			g.Del(name)
			if len(values) > 0 {
				g[name] = values
			}
			return g
		}
		noToken := strings.Replace(body, url.QueryEscape(csrf), "", 1)
		for _, bad := range []struct {
			what, body string
			head       http.Header
		}{
			{"no token", noToken, with("X-Csrf-Token")},
			{"a stranger's token", strings.Replace(body, url.QueryEscape(csrf), url.QueryEscape(theirs), 1), with("X-Csrf-Token", theirs)},
			{"an empty token", noToken, with("X-Csrf-Token", "")},
			{"another site", body, with("Sec-Fetch-Site", "cross-site")},
			{"a sibling site", body, with("Sec-Fetch-Site", "same-site")},
			{"another origin", body, http.Header{"Origin": {"https://evil.example"}, "X-Csrf-Token": {csrf}}},
			{"the null origin", body, http.Header{"Origin": {"null"}, "X-Csrf-Token": {csrf}}},
		} {
			a := r.Clone(t).Raw(route.Method, filled(route.Pattern), kind, strings.NewReader(bad.body), bad.head)
			if a.Status != http.StatusForbidden {
				t.Errorf("%s %s with %s: %d", route.Method, route.Pattern, bad.what, a.Status)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d routes change something: the inventory is not whole", n)
	}
	if a := r.Get("/account"); a.Status != http.StatusOK || strings.HasPrefix(a.Path, "/login") {
		t.Errorf("a forged request did something: the session is at %s", a.Path)
	}
	// No other site's script reads anything of ours, and none may ask for it.
	for _, route := range h.Routes {
		if route.Class == server.Public {
			continue
		}
		for _, origin := range []string{"https://evil.example", "null"} {
			a := r.Clone(t).Raw(http.MethodOptions, filled(route.Pattern), "", nil, http.Header{"Origin": {origin}, "Access-Control-Request-Method": {route.Method}})
			if v := a.Header.Get("Access-Control-Allow-Origin"); v != "" {
				t.Errorf("OPTIONS %s allows %q", route.Pattern, v)
			}
		}
	}
}

// TestCookies: two of one name are none (SECURITY SS4).
func TestCookies(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	r := h.Robot(t)
	c.SignIn(r.Get("/login"))
	plain := func(name string) string { return name + "=" + r.Cookies[name] }
	cookies := func(list ...string) http.Header { return http.Header{"Cookie": {strings.Join(list, "; ")}} }
	browser, login := plain("__Host-browser"), plain("__Host-login")
	for _, row := range []struct {
		name string
		head http.Header
		in   bool
	}{
		{"as they are", cookies(browser, login), true},
		{"login twice, the same", cookies(browser, login, login), false},
		{"login twice, planted first", cookies("__Host-login="+strings.Repeat("A", 43), browser, login), false},
		{"login twice, planted last", cookies(browser, login, "__Host-login="+strings.Repeat("A", 43)), false},
		{"two cookie headers", http.Header{"Cookie": {browser + "; " + login, login}}, false},
		{"another name's case", cookies(browser, strings.Replace(login, "Host", "host", 1)), false},
		{"cut", cookies(browser, login[:len(login)-1]), false},
		{"longer", cookies(browser, login+"A"), false},
		{"empty", cookies(browser, "__Host-login="), false},
	} {
		a := r.Clone(t).Raw(http.MethodGet, "/account", "", nil, row.head)
		if in := a.Status == http.StatusOK; in != row.in {
			t.Errorf("%s: signed in is %v (%d)", row.name, in, a.Status)
		}
	}
	// And what we set is what a browser guards best.
	fresh := h.Robot(t)
	fresh.Post("/preferences", url.Values{"csrf": {tokenOf(fresh.Get("/login"))}, "locale": {"en"}, "elder": {"on"}, "back": {"/login"}})
	c.SignIn(fresh.Get("/login"))
	lines := h.SetCookies()
	names := map[string]bool{}
	for _, line := range lines {
		names[strings.SplitN(line, "=", 2)[0]] = true
	}
	for _, want := range []string{"__Host-login", "__Host-browser", "__Host-locale", "__Host-elder"} {
		if !names[want] {
			t.Errorf("%s was never set", want)
		}
	}
	for _, line := range lines {
		for _, want := range []string{"__Host-", "Secure", "HttpOnly", "SameSite=", "Path=/"} {
			if !strings.Contains(line, want) {
				t.Errorf("a cookie without %s: %s", want, strings.SplitN(line, "=", 2)[0])
			}
		}
		if strings.Contains(line, "Domain=") || len(line) > 4096 {
			t.Errorf("cookie %s is too wide or too long", strings.SplitN(line, "=", 2)[0])
		}
	}
}

func tokenOf(a *house.Answer) string {
	_, form := a.Form("locale")
	return form.Get("csrf")
}

// TestWayBack: whatever says where to go next goes to us or nowhere (SECURITY AZ4).
func TestWayBack(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	p := h.Relying(t, "ways")
	r := h.Robot(t)
	csrf := tokenOf(r.Get("/login"))
	evil := []string{
		"//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "https://evil.example/", "https:evil.example", "http:evil.example",
		"javascript:alert(1)", "/%09/evil.example", "/%2f/evil.example", "/%5cevil.example", "///evil.example", "/..//evil.example", "evil.example",
		"/x\r\nLocation: https://evil.example", "/\u2028/evil.example", "@evil.example", "/@evil.example/..", " //evil.example", "?x=//evil.example",
	}
	for _, to := range evil {
		a := r.PostOnce("/preferences", url.Values{"csrf": {csrf}, "locale": {"en"}, "back": {to}})
		if a.Status >= 500 {
			t.Errorf("back=%q: %d", to, a.Status)
		}
		stays(t, h, a, fmt.Sprintf("back=%q", to))
		for _, param := range []string{"return_to", "next", "redirect", "url", "continue", "back", "post_logout_redirect_uri", "since"} {
			for _, path := range []string{"/login", "/logout", "/account", "/signed-out", "/account/devices/phone", "/"} {
				stays(t, h, r.Clone(t).Raw(http.MethodGet, path+"?"+url.Values{param: {to}}.Encode(), "", nil, nil), path+" "+param)
			}
		}
	}
	// Redirect URIs match by bytes (SECURITY AZ1, AZ3).
	good := p.Redirect
	host := strings.TrimPrefix(p.Origin, "http://")
	for _, bad := range []string{
		good + "/", good + "?", good + "?x=1", good + "#", strings.ToUpper(good), strings.Replace(good, "http://", "http://user@", 1), "http://" + host + "/CB",
		"http://" + host + ".evil.example/cb", "http://evil.example@" + host + "/cb", "http://evil.example\\@" + host + "/cb", "http://" + host + "/x/../cb",
		"http://" + host + "/x/..;/cb", "http://" + host + "/%2e%2e/cb", "http://" + host + "//cb", "http://" + host + "/cb%00", "https://" + host + "/cb",
		"http://127.0.0.1" + strings.TrimPrefix(host, "localhost") + "/cb", "http://ｌocalhost" + strings.TrimPrefix(host, "localhost") + "/cb", "javascript:alert(1)", "", "/cb",
	} {
		q := p.Ask("openid")
		q.Values.Set("redirect_uri", bad)
		a := r.Clone(t).Raw(http.MethodGet, q.Path(), "", nil, nil)
		if a.Status != http.StatusBadRequest || a.Location != "" {
			t.Errorf("redirect_uri=%q: %d to %q", bad, a.Status, a.Location)
		}
	}
	q := p.Ask("openid")
	q.Values.Set("client_id", "nobody")
	if a := r.Clone(t).Raw(http.MethodGet, q.Path(), "", nil, nil); a.Status != http.StatusBadRequest || a.Location != "" {
		t.Errorf("an unknown client: %d to %q", a.Status, a.Location)
	}
}

// stays holds an answer's way on to ourselves.
func stays(t *testing.T, h *house.House, a *house.Answer, what string) {
	t.Helper()
	if a.Location == "" {
		return
	}
	u, err := url.Parse(a.Location)
	if err != nil || u.Host != "" && u.Scheme+"://"+u.Host != h.Issuer || u.Scheme != "" && u.Host == "" || strings.HasPrefix(a.Location, "//") ||
		strings.ContainsAny(a.Location, "\\\r\n\t") || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		t.Errorf("%s leads to %q", what, a.Location)
	}
}

// TestLimits: too much, of the wrong kind, twice, or not text: refused with a word
// that says so, and never an error of ours (SECURITY G8, DS1, DS4).
func TestLimits(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	p := h.Relying(t, "limits")
	c := h.Citizen(t)
	r := h.Robot(t)
	c.SignIn(r.Get("/login"))
	csrf := tokenOf(r.Get("/account"))
	genuine := http.Header{"Origin": {h.Issuer}, "Sec-Fetch-Site": {"same-origin"}, "X-Csrf-Token": {csrf}}
	long := strings.Repeat("a", 70<<10)
	many := strings.Repeat("a=b&", 150)
	send := func(route server.Route, kind, body string) *house.Answer {
		return r.Clone(t).Raw(route.Method, filled(route.Pattern), kind, strings.NewReader(body), genuine)
	}
	for _, route := range h.Routes {
		if route.Method == http.MethodGet {
			for _, query := range []string{"?" + many, "?a=%ff%fe", "?a=%00", "?flow=" + long[:9000], "?flow=x&flow=y", "?a=%zz", "?request_uri=" + url.QueryEscape("urn:ietf:params:oauth:request_uri:"+long[:500])} {
				if a := r.Clone(t).Raw(http.MethodGet, filled(route.Pattern)+query, "", nil, nil); a.Status >= 500 {
					t.Errorf("GET %s%s: %d", route.Pattern, query[:min(len(query), 20)], a.Status)
				}
			}
			continue
		}
		own := route.Takes
		if own == "" {
			own = "application/x-www-form-urlencoded"
		}
		for _, row := range []struct {
			what, kind, body string
			want             []int
		}{
			{"70 kB", own, "a=" + long, []int{413, 400}},
			{"no content type", "", "a=b", []int{400, 401, 415}},
			{"text/plain", "text/plain", "a=b", []int{400, 401, 415}},
			{"multipart", "multipart/form-data; boundary=x", "--x--", []int{400, 401, 415}},
			{"another charset", own + "; charset=gbk", "a=b", []int{400, 401, 415}},
			{"two content types", own + ", text/plain", "a=b", []int{400, 401, 415}},
		} {
			a := send(route, row.kind, row.body)
			ok := false
			for _, s := range row.want {
				ok = ok || a.Status == s
			}
			if !ok && route.Method == http.MethodPost && route.Takes != "" {
				t.Errorf("%s %s with %s: %d", route.Method, route.Pattern, row.what, a.Status)
			}
			if a.Status >= 500 {
				t.Errorf("%s %s with %s: %d", route.Method, route.Pattern, row.what, a.Status)
			}
		}
		if own == "application/x-www-form-urlencoded" {
			for _, body := range []string{"csrf=" + csrf + "&csrf=" + csrf, many, "a=%ff%fe", "a=%00", "a=%zz", "flow=x&flow=y&csrf=" + csrf, "%", "a;b=c", "csrf=" + csrf + "&code=%u0041"} {
				if a := send(route, own, body); a.Status >= 500 {
					t.Errorf("%s %s with %q: %d", route.Method, route.Pattern, body[:min(len(body), 30)], a.Status)
				}
			}
		} else {
			for _, body := range []string{"", "null", "[]", "{", "{}{}", `{"a":1,"a":2}`, "\xff", strings.Repeat("[", 10000), `"x"`, `{"response":{"clientDataJSON":"e30"}}`} {
				if a := send(route, own, body); a.Status >= 500 {
					t.Errorf("%s %s with %q: %d", route.Method, route.Pattern, body[:min(len(body), 30)], a.Status)
				}
			}
		}
	}
	// Duplicate parameters of the protocol are malformed, wherever they come.
	for _, name := range []string{"client_id", "redirect_uri", "scope", "state", "response_type", "code_challenge", "prompt"} {
		q := p.Ask("openid")
		q.Values.Add(name, q.Values.Get(name)+"x")
		a := r.Clone(t).Raw(http.MethodGet, q.Path(), "", nil, nil)
		if u, err := url.Parse(a.Location); a.Status != http.StatusBadRequest && (err != nil || u.Query().Get("error") != "invalid_request") {
			t.Errorf("%s twice: %d to %q", name, a.Status, a.Location)
		}
	}
	// A password beyond what is hashed, and headers beyond what is read.
	a := h.Robot(t).Get("/login").Submit("login-submit", "username", c.Card, "password", long[:2000])
	if a.Status >= 400 && a.Status != http.StatusRequestEntityTooLarge || a.Status == http.StatusOK && a.Text("problem") == "" {
		t.Errorf("a password of 2000 characters: %d at %s", a.Status, a.Path)
	}
	big := r.Clone(t).Raw(http.MethodGet, "/login", "", nil, http.Header{"X-Filler": {strings.Repeat("x", 40<<10)}})
	if big.Status >= 500 {
		t.Errorf("headers of 40 kB: %d", big.Status)
	}
}

// TestHeaders: what every page carries, errors included (SECURITY SS3, DP2).
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	r := h.Robot(t)
	c.SignIn(r.Get("/login"))
	n := 0
	check := func(a *house.Answer, what string) {
		t.Helper()
		for _, banned := range []string{"Server", "X-Powered-By", "Access-Control-Allow-Origin"} {
			if v := a.Header.Get(banned); v != "" && !strings.Contains(what, "jwks") && !strings.Contains(what, "well-known") {
				t.Errorf("%s: %s: %s", what, banned, v)
			}
		}
		if a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s (%d): no nosniff", what, a.Status)
		}
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			return
		}
		n++
		csp := a.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s (%d): no %s in %q", what, a.Status, part, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*;") || strings.Contains(csp, "script-src 'self'") {
			t.Errorf("%s: %q", what, csp)
		}
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control": "no-store",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s (%d): %s is %q", what, a.Status, name, got)
			}
		}
		if rp := a.Header.Get("Referrer-Policy"); rp != "same-origin" && rp != "no-referrer" && rp != "strict-origin" {
			t.Errorf("%s: Referrer-Policy is %q", what, rp)
		}
		moved := a.Status >= 300 && a.Status < 400
		if !strings.Contains(a.Header.Get("Vary"), "Cookie") || !moved && a.Header.Get("Content-Language") == "" {
			t.Errorf("%s (%d): Vary %q, Content-Language %q", what, a.Status, a.Header.Get("Vary"), a.Header.Get("Content-Language"))
		}
		if strings.Contains(a.Body, " style=") || strings.Contains(a.Body, " onclick=") || strings.Contains(a.Body, "<script>") {
			t.Errorf("%s has inline style or script", what)
		}
	}
	for _, route := range h.Routes {
		for _, who := range []*house.Robot{r.Clone(t), h.Robot(t)} {
			method := route.Method
			check(who.Raw(method, filled(route.Pattern), route.Takes, strings.NewReader(""), nil), method+" "+route.Pattern)
			// Methods nobody offers, and HEAD.
			check(who.Raw(http.MethodPut, filled(route.Pattern), "text/plain", strings.NewReader("x"), nil), "PUT "+route.Pattern)
			if method == http.MethodGet {
				a := who.Raw(http.MethodHead, filled(route.Pattern), "", nil, nil)
				if a.Body != "" {
					t.Errorf("HEAD %s has a body", route.Pattern)
				}
			}
		}
	}
	for _, path := range []string{"/nowhere", "/login/nowhere", "/account/nowhere", "/console", "/metrics", "/debug/pprof/", "/.git/config", "/assets/../login", "/assets/nothing.js", "//login", "/login/", "/%2e%2e/", "/login%00"} {
		a := h.Robot(t).Raw(http.MethodGet, path, "", nil, nil)
		check(a, path)
		if a.Status < 300 || a.Status >= 500 {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	if n < 60 {
		t.Errorf("only %d pages were looked at", n)
	}
	// The reference on an error page finds its line in the log.
	a := h.Robot(t).Raw(http.MethodGet, "/login/code?flow=AAAAAAAAAAAAAAAAAAAAAA", "", nil, nil)
	if ref := a.Text("reference"); ref == "" || !strings.Contains(h.Log(), lastWord(ref)) {
		t.Errorf("the reference %q is not in the log", ref)
	}
}

func lastWord(s string) string {
	f := strings.Fields(s)
	return f[len(f)-1]
}
