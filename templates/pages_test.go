package templates_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"ecardid/templates"
	"ecardid/templates/gallery"
)

// -gallery DIR writes every sample in every language, to be looked at.
var galleryDir = flag.String("gallery", "", "write the rendered samples and their assets into this directory")

func newPages(t *testing.T) *templates.Pages {
	t.Helper()
	p, err := templates.New(gallery.Config())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, p *templates.Pages, v templates.View, page templates.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b, v, page); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPages holds every sample in every language and both sizes against what a page
// of ours must be.
func TestPages(t *testing.T) {
	p := newPages(t)
	for _, s := range gallery.All() {
		for _, l := range templates.Locales() {
			for _, elder := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/elder=%v", s.Name, l, elder), func(t *testing.T) {
					v := gallery.View(l, elder)
					out := render(t, p, v, s.Page)
					balanced(t, out)
					inspect(t, out, v)
					if *galleryDir != "" {
						write(t, fmt.Sprintf("%s.%s.%v.html", s.Name, l, elder), []byte(out))
					}
				})
			}
		}
	}
	if *galleryDir != "" {
		for _, path := range assetPaths(render(t, p, gallery.View("en", false), templates.Lost{})) {
			w := httptest.NewRecorder()
			p.Assets().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			write(t, path, w.Body.Bytes())
		}
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join(*galleryDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGalleryHasEveryPage(t *testing.T) {
	seen := map[reflect.Type]bool{}
	names := map[string]bool{}
	for _, s := range gallery.All() {
		if names[s.Name] {
			t.Errorf("two samples are called %s", s.Name)
		}
		names[s.Name], seen[reflect.TypeOf(s.Page)] = true, true
		if c, ok := s.Page.(templates.Console); ok {
			seen[reflect.TypeOf(c.Page)] = true
		}
	}
	for _, page := range templates.EveryDesk() {
		if !seen[reflect.TypeOf(page)] {
			t.Errorf("no sample of %T", page)
		}
	}
	for _, page := range templates.Every() {
		if !seen[reflect.TypeOf(page)] {
			t.Errorf("no sample of %T", page)
		}
	}
}

func void(name string) bool {
	return slices.Contains([]string{"meta", "link", "input", "br", "hr", "img"}, name)
}

// balanced is stricter than a browser: every element is closed, in order.
func balanced(t *testing.T, out string) {
	t.Helper()
	var open []string
	z := html.NewTokenizer(strings.NewReader(out))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("never closed: %v", open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !void(string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func attr(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

func inspect(t *testing.T, out string, v templates.View) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	ids, labels, count := map[string]bool{}, map[string]bool{}, map[string]int{}
	var described []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		if id, ok := attr(n, "id"); ok {
			if ids[id] {
				t.Errorf("id %q twice", id)
			}
			ids[id] = true
		}
		if f, ok := attr(n, "for"); ok && n.Data == "label" && text(n) != "" {
			labels[f] = true
		}
		if d, ok := attr(n, "aria-describedby"); ok {
			described = append(described, strings.Fields(d)...)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s %s=…>: the policy forbids it", n.Data, a.Key)
			}
		}
		switch n.Data {
		case "html":
			if lang, _ := attr(n, "lang"); lang != string(v.Locale) {
				t.Errorf("lang=%q", lang)
			}
		case "style":
			t.Error("inline style sheet")
		case "script":
			if nonce, _ := attr(n, "nonce"); nonce != v.Nonce || text(n) != "" {
				t.Error("a script without nonce, or inline")
			}
		case "title", "h1", "h2", "h3", "button", "a", "summary", "label":
			if text(n) == "" {
				t.Errorf("empty <%s>", n.Data)
			}
		case "form":
			form(t, n, v)
		}
		if n.Data == "button" || n.Data == "input" {
			id, _ := attr(n, "id")
			name, _ := attr(n, "name")
			if stable(id) && name != id {
				t.Errorf("%s %q has name %q", n.Data, id, name)
			}
		}
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "input" {
			continue
		}
		if kind, _ := attr(n, "type"); kind == "hidden" {
			continue
		}
		id, _ := attr(n, "id")
		_, spoken := attr(n, "aria-label")
		if !labels[id] && !spoken {
			t.Errorf("input %q has no label", id)
		}
	}
	for _, id := range described {
		if !ids[id] {
			t.Errorf("described by %q, which is not there", id)
		}
	}
	if count["h1"] != 1 || count["title"] != 1 || count["main"] != 1 {
		t.Errorf("h1 %d, title %d, main %d; want one each", count["h1"], count["title"], count["main"])
	}
}

// stable names are the contract with other people's robots (DESIGN §5).
func stable(id string) bool {
	return slices.Contains([]string{
		"username", "password", "code", "login-submit", "code-submit", "passkey-login", "passkey-create", "device-bind",
		"device-skip", "consent-allow", "consent-deny", "logout-confirm", "face-consent", "liveness-start", "card", "greeting",
	}, id)
}

// form: POST to a path of ours, with the token.
func form(t *testing.T, n *html.Node, v templates.View) {
	t.Helper()
	method, _ := attr(n, "method")
	action, _ := attr(n, "action")
	if _, answer := attr(n, "data-submit"); answer {
		// The application's answer goes to the application: our token must not.
		for d := range n.Descendants() {
			if name, _ := attr(d, "name"); name == "csrf" {
				t.Errorf("the answer to %s carries our token", action)
			}
		}
		return
	}
	if method != "post" || !strings.HasPrefix(action, "/") {
		t.Errorf("form method=%q action=%q", method, action)
	}
	for d := range n.Descendants() {
		if name, _ := attr(d, "name"); name == "csrf" {
			if value, _ := attr(d, "value"); value == v.CSRF {
				return
			}
		}
	}
	t.Errorf("form to %s without the token", action)
}

// TestContract looks for what robots look for.
func TestContract(t *testing.T) {
	p := newPages(t)
	for _, tc := range []struct {
		page templates.Page
		want []string
	}{
		{templates.Login{Passkey: templates.Ceremony{OptionsURL: "/o", FinishURL: "/f"}}, []string{
			`id="username" name="username"`, `autocomplete="username webauthn"`, `id="password" name="password"`,
			`autocomplete="current-password"`, `id="login-submit" name="login-submit"`,
			`id="passkey-login" name="passkey-login" hidden`, `name="flow" value="sample-flow"`,
			`href="/lost"`, `href="/activate"`, `href="/privacy"`, "12333", `data-options-url="/o"`, `data-finish-url="/f"`,
		}},
		{templates.TOTPCode{}, []string{`id="code" name="code"`, `autocomplete="one-time-code"`, `id="code-submit" name="code-submit"`}},
		{templates.RecoveryCode{}, []string{`id="code" name="code"`, `id="code-submit" name="code-submit"`}},
		{templates.BindDevice{}, []string{`id="device-bind" name="device-bind"`, `id="device-skip" name="device-skip"`}},
		{templates.Consent{}, []string{`id="consent-allow" name="consent-allow"`, `id="consent-deny" name="consent-deny"`}},
		{templates.Consent{Payments: []templates.Payment{{Amount: "1,234.50", Payee: "医院", Account: "6222", Reference: "R-1"}}}, []string{
			"是否同意这笔支付", `<p class="amount">¥1,234.50</p>`, `<bdi>医院</bdi>`, "<bdi>6222</bdi>", "<bdi>R-1</bdi>",
			`id="consent-allow" name="consent-allow" value="1">同意支付`, `id="consent-deny" name="consent-deny"`,
		}},
		{templates.Cancel{BackURL: "/login?flow=x"}, []string{`id="cancel-confirm" name="cancel-confirm"`, `href="/login?flow=x"`, `name="flow"`}},
		{templates.PhoneApprove{}, []string{`id="phone-continue" name="phone-continue"`, "向我的手机发送请求"}},
		{templates.AccountSecurity{}, []string{`id="totp-add" name="do" value="totp-add"`}},
		{templates.LogoutConfirm{}, []string{`id="logout-confirm" name="logout-confirm"`}},
		{templates.ActivatePassword{}, []string{`autocomplete="new-password"`, `autocomplete="username"`}},
		{templates.LivenessStart{}, []string{`name="face-consent" value="yes" required>`, `id="liveness-start"`}},
	} {
		out := render(t, p, gallery.View(templates.ZhCN, false), tc.page)
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("%T lacks %s", tc.page, want)
			}
		}
	}
	if out := render(t, p, gallery.View(templates.ZhCN, false), templates.Login{}); strings.Contains(out, "data-passkey") {
		t.Error("a login without a ceremony still offers a passkey")
	}
}

// hostile tries to leave its place: markup, attribute, script, address, direction,
// lines. It is 200 characters long when it is clean.
const hostile = "\"'><script>alert(1)</script>\u202e\u2066\u200b\x00\r\njavascript:alert(2){{.}}{minutes}"

// TestHostileText puts a stranger's text into every string of every page.
func TestHostileText(t *testing.T) {
	p := newPages(t)
	forbidden := regexp.MustCompile("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\x00]")
	for _, page := range templates.Every() {
		for _, l := range templates.Locales() {
			filled := reflect.New(reflect.TypeOf(page)).Elem()
			fill(filled)
			v := gallery.View(l, false)
			out := render(t, p, v, filled.Interface().(templates.Page))
			balanced(t, out)
			inspect(t, out, v)
			if strings.Contains(out, "<script>alert") || strings.Contains(out, `href="javascript`) {
				t.Errorf("%T: text became markup", page)
			}
			if forbidden.MatchString(out) {
				t.Errorf("%T: invisible characters came through", page)
			}
		}
	}
}

func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case templates.Message:
		return // keys are ours; arguments are tried in TestMessageArguments
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_790_000_000, 0)))
		return
	case templates.Factor:
		v.SetString("totp")
		return
	case templates.Text:
		v.SetString(hostile)
		return
	}
	switch v.Kind() {
	case reflect.String:
		// Not a stranger's: written by our server. It is escaped all the same.
		v.SetString(`"'><script>alert(1)</script>`)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(3)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	}
}

func TestMessageArguments(t *testing.T) {
	p := newPages(t)
	out := render(t, p, gallery.View(templates.En, false), templates.Login{Step: templates.Step{
		Problem: templates.Say(templates.ProblemThrottled, "minutes", hostile),
	}})
	if strings.Contains(out, "<script>alert") || strings.Contains(out, "\u202e") {
		t.Error("an argument became markup")
	}
	for name, m := range map[string]templates.Message{
		"unknown key":      templates.Say("problem.nobody-wrote-this"),
		"missing argument": templates.Say(templates.ProblemThrottled),
		"odd arguments":    templates.Say(templates.ProblemThrottled, "minutes"),
		"wrong type":       templates.Say(templates.ProblemThrottled, "minutes", 1.5),
	} {
		var b bytes.Buffer
		err := p.Render(&b, gallery.View(templates.En, false), templates.Login{Step: templates.Step{Problem: m}})
		if err == nil || b.Len() > 0 {
			t.Errorf("%s: err %v, %d bytes written; want an error and nothing", name, err, b.Len())
		}
	}
}

func TestRenderRefusesForeignPath(t *testing.T) {
	p := newPages(t)
	for _, path := range []string{"", "login", "//e", "/\\e", "https:e", "/a\nb", "/\te"} {
		v := gallery.View(templates.En, false)
		v.Path = path
		var b bytes.Buffer
		if err := p.Render(&b, v, templates.Lost{}); err == nil || b.Len() > 0 {
			t.Errorf("path %q was rendered", path)
		}
	}
}

// TestUnknownLocale: a locale we did not write is the default, not a failure.
func TestUnknownLocale(t *testing.T) {
	p := newPages(t)
	v := gallery.View("xx\"><script>", false)
	if out := render(t, p, v, templates.Lost{}); !strings.Contains(out, `<html lang="zh-CN">`) {
		t.Error("not the default language")
	}
}

// TestConcurrent: pages are shared by all requests.
func TestConcurrent(t *testing.T) {
	p := newPages(t)
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for _, s := range gallery.All() {
				render(t, p, gallery.View(templates.Locales()[i%2], i%3 == 0), s.Page)
			}
		})
	}
}

func assetPaths(out string) []string {
	return regexp.MustCompile(`/assets/[a-z]+\.[0-9a-f]{16}\.[a-z]+`).FindAllString(out, -1)
}

func TestAssets(t *testing.T) {
	p := newPages(t)
	paths := assetPaths(render(t, p, gallery.View("en", false), templates.Lost{}))
	if len(paths) != 3 {
		t.Fatalf("a page names %v; want icon, style and script", paths)
	}
	for _, path := range paths {
		w := httptest.NewRecorder()
		p.Assets().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || w.Body.Len() == 0 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %d bytes, %v", path, w.Code, w.Body.Len(), w.Header())
		}
	}
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, paths[0], http.StatusMethodNotAllowed},
		{http.MethodGet, "/assets/style.css", http.StatusNotFound},
		{http.MethodGet, "/assets/style.0000000000000000.css", http.StatusNotFound},
		{http.MethodGet, "/assets/../doc.go", http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		p.Assets().ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.want {
			t.Errorf("%s %s: %d, want %d", tc.method, tc.path, w.Code, tc.want)
		}
	}
}
