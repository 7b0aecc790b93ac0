package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/authn/totp"
	"ecardid/internal/clock"
	"ecardid/oauth"

	"crypto/rand"
	"encoding/base32"
)

// startDemo runs `ecardid demo` in this process and returns what it wrote. stop
// ends it as SIGTERM would.
func startDemo(t *testing.T, dir string, extra ...string) (d demoFile, out *strings.Builder, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var said, wrong strings.Builder
	done := make(chan int, 1)
	old, _ := os.ReadFile(filepath.Join(dir, demoJSON))
	args := append([]string{"demo", "--dir", dir, "--listen", "127.0.0.1:0"}, extra...)
	go func() {
		done <- run(ctx, &env{in: strings.NewReader(""), out: &said, err: &wrong, clock: clock.System{}, rand: rand.Reader}, args)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if code := <-done; code != exitOK {
				t.Errorf("demo ended with %d: %s", code, wrong.String())
			}
		})
	}
	t.Cleanup(stop)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case code := <-done:
			done <- code
			t.Fatalf("demo ended with %d: %s", code, wrong.String())
		default:
		}
		b, err := os.ReadFile(filepath.Join(dir, demoJSON))
		if err != nil || bytes.Equal(b, old) {
			continue
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		if resp, err := http.Get(d.Issuer + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return d, &said, stop
			}
		}
	}
	t.Fatal("the demo did not come up")
	return d, nil, nil
}

// localJar keeps Secure cookies for http on this machine, as browsers do.
type localJar struct{ http.CookieJar }

func secureURL(u *url.URL) *url.URL {
	v := *u
	v.Scheme = "https"
	return &v
}

func (j localJar) SetCookies(u *url.URL, c []*http.Cookie) { j.CookieJar.SetCookies(secureURL(u), c) }
func (j localJar) Cookies(u *url.URL) []*http.Cookie       { return j.CookieJar.Cookies(secureURL(u)) }

// walker is a browser without JavaScript.
type walker struct {
	t    *testing.T
	http *http.Client
	at   *url.URL
	page string
}

func newWalker(t *testing.T) *walker {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &walker{t: t, http: &http.Client{Jar: localJar{jar}, Timeout: 10 * time.Second}}
}

func (w *walker) took(resp *http.Response, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.at, w.page = resp.Request.URL, string(b)
	if resp.StatusCode >= 500 {
		w.t.Fatalf("%s: %d\n%s", w.at, resp.StatusCode, w.page)
	}
}

func (w *walker) get(u string) { w.t.Helper(); w.took(w.http.Get(u)) }

var (
	formTag   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	fieldTag  = regexp.MustCompile(`<(input|button)\b([^>]*)>`)
	attribute = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

func attributes(text string) map[string]string {
	all := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		all[m[1]] = strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`, "&#39;", "'").Replace(m[2])
	}
	return all
}

// press fills the form around the button with that id and sends it.
func (w *walker) press(button string, typed map[string]string) {
	w.t.Helper()
	for _, form := range formTag.FindAllStringSubmatch(w.page, -1) {
		values, found := url.Values{}, false
		for _, tag := range fieldTag.FindAllStringSubmatch(form[2], -1) {
			a := attributes(tag[2])
			switch {
			case tag[1] == "button" && a["id"] == button:
				found = true
				if a["name"] != "" {
					values.Set(a["name"], a["value"])
				}
			case tag[1] == "input" && a["type"] == "checkbox":
				// Consent ticks what it asks for.
				if strings.Contains(tag[2], " checked") {
					values.Add(a["name"], a["value"])
				}
			case tag[1] == "input" && a["name"] != "":
				values.Set(a["name"], a["value"])
			}
		}
		if !found {
			continue
		}
		for k, v := range typed {
			values.Set(k, v)
		}
		target := w.at
		if action := attributes(form[1])["action"]; action != "" {
			var err error
			if target, err = w.at.Parse(action); err != nil {
				w.t.Fatal(err)
			}
		}
		req, err := http.NewRequest(http.MethodPost, target.String(), strings.NewReader(values.Encode()))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", w.at.Scheme+"://"+w.at.Host)
		w.took(w.http.Do(req))
		return
	}
	w.t.Fatalf("no button %q at %s:\n%s", button, w.at, w.page)
}

func (w *walker) sees(want ...string) {
	w.t.Helper()
	for _, s := range want {
		if !strings.Contains(w.page, s) {
			w.t.Fatalf("%s does not show %q:\n%s", w.at, s, w.page)
		}
	}
}

func codeOf(t *testing.T, secret string) string {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := totp.SeedOf(raw)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.Code(seed, totp.RFC6238, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestDemoFromTheButtonToTheTokens is the purpose of it all: a button at the relying
// party, password, one-time code, consent, and tokens that an ordinary OpenID
// Connect library verified.
func TestDemoFromTheButtonToTheTokens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	d, said, stop := startDemo(t, dir)
	w := newWalker(t)
	w.get(d.RelyingParty)
	w.sees(`id="signin-basic"`, `id="signin-mfa"`, `id="signin-bound"`, `id="signin-live"`, "演示")
	w.press("signin-mfa", nil)
	w.sees(`id="login-submit"`)
	citizen := d.Citizens[0]
	w.press("login-submit", map[string]string{"username": citizen.Username, "password": citizen.Password})
	w.press("code-submit", map[string]string{"code": codeOf(t, citizen.TOTP)})
	for range 6 { // steps that may be offered on the way
		switch {
		case strings.Contains(w.page, `id="device-skip"`):
			w.press("device-skip", nil)
		case strings.Contains(w.page, `id="consent-allow"`):
			w.sees("养老金经办服务")
			w.press("consent-allow", nil)
		}
	}
	w.sees(`id="signed-in"`, "urn:ecardid:acr:mfa", "pension.read")
	w.press("userinfo", nil)
	w.sees(`id="userinfo-claims"`)
	w.press("refresh", nil)
	w.sees(`<dd id="refreshes">1</dd>`)
	stop()
	for _, want := range []string{"DEMONSTRATION", d.Issuer, d.RelyingParty, citizen.Password, d.Citizens[2].Code} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the demo did not say %q", want)
		}
	}
}

// TestActivationCodesOpenTheDoor: the code the command line hashed is the code the
// server looks for, however people type it.
func TestActivationCodesOpenTheDoor(t *testing.T) {
	d, _, stop := startDemo(t, filepath.Join(t.TempDir(), "demo"))
	defer stop()
	newcomer := d.Citizens[2]
	w := newWalker(t)
	w.get(d.Issuer + "/login/activate")
	w.press("activate-submit", map[string]string{"card": newcomer.Username, "code": "0000-0000-0000-0000"})
	w.sees(`id="activate-submit"`)
	w.press("activate-submit", map[string]string{"card": strings.ToLower(newcomer.Username), "code": strings.ReplaceAll(newcomer.Code, "-", " ")})
	w.sees(`id="password-submit"`)
	w.press("password-submit", map[string]string{"password": "seven lanterns over the lake"})
	w.sees(`id="greeting-submit"`)
	w.press("greeting-submit", map[string]string{"greeting": "石榴"})
	if strings.Contains(w.page, `id="greeting-submit"`) || w.at.Path == "/login/activate" {
		t.Errorf("the newcomer did not get on: %s", w.at)
	}
}

// TestDemoGoesOn: the same folder keeps people, secrets and keys; what it holds is
// for its owner's eyes.
func TestDemoGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	first, _, stop := startDemo(t, dir)
	stop()
	second, _, stop := startDemo(t, dir)
	stop()
	for i := range first.Citizens {
		if first.Citizens[i] != second.Citizens[i] {
			t.Errorf("citizen %d changed: %+v, %+v", i, first.Citizens[i], second.Citizens[i])
		}
	}
	for i := range first.Clients {
		a, b := first.Clients[i], second.Clients[i]
		if a.ID != b.ID || a.Secret != b.Secret || (a.JWKS == nil) != (b.JWKS == nil) || a.JWKS != nil && a.JWKS.Keys[0] != b.JWKS.Keys[0] {
			t.Errorf("client %s changed", a.ID)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	// Without demo.json nobody knows the credentials: new ones are made.
	if err := os.Remove(filepath.Join(dir, demoJSON)); err != nil {
		t.Fatal(err)
	}
	third, _, stop := startDemo(t, dir)
	stop()
	if third.Citizens[0].Password == first.Citizens[0].Password || third.Citizens[0].Password == "" || third.Clients[0].Secret == first.Clients[0].Secret {
		t.Error("credentials that nobody knew any more came back")
	}
}

// TestDemoHasAClientForEveryPath: a robot finds in demo.json what it needs to play
// each kind of application, private keys included.
func TestDemoHasAClientForEveryPath(t *testing.T) {
	d, _, stop := startDemo(t, filepath.Join(t.TempDir(), "demo"))
	defer stop()
	for id, has := range map[string]func(demoClient) bool{
		"pension-office":   func(c demoClient) bool { return c.Secret != "" },
		"pension-counter":  func(c demoClient) bool { return c.Profile == oauth.ProfileFAPI2 && c.JWKS.Keys[0].D != "" },
		"bank-robot":       func(c demoClient) bool { return c.Profile == oauth.ProfileFAPI2 && c.JWKS.Keys[0].D != "" },
		"card-app":         func(c demoClient) bool { return c.Auth == oauth.AuthNone },
		"guomi-bureau":     func(c demoClient) bool { return c.Secret != "" },
		"counter-terminal": func(c demoClient) bool { return c.GrantTypes[0] == oauth.GrantDevice },
		"status-robot":     func(c demoClient) bool { return c.Secret != "" },
	} {
		if c := d.client(id); c.ID == "" || !has(c) {
			t.Errorf("%s: %+v", id, c)
		}
	}
	// The machine's grant is switched on.
	resp, err := http.PostForm(d.Issuer+"/device-authorization", url.Values{"client_id": {"counter-terminal"}, "scope": {"openid"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the device grant: %d", resp.StatusCode)
	}
}

func TestDemoIsForThisMachine(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:8080", "192.0.2.1:8080", "example.com:80", "8080", "127.0.0.1:x"} {
		var out, wrong strings.Builder
		code := run(t.Context(), &env{in: strings.NewReader(""), out: &out, err: &wrong, clock: clock.System{}, rand: rand.Reader},
			[]string{"demo", "--dir", filepath.Join(t.TempDir(), "d"), "--listen", listen})
		if code != exitUsage || !strings.Contains(wrong.String(), "--listen") {
			t.Errorf("--listen %s: %d %q", listen, code, wrong.String())
		}
	}
}
