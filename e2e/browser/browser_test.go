package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"ecardid/e2e/browser"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// site answers with page under a policy that allows nothing from elsewhere.
func site(t *testing.T, page string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-who", Value: "me", Path: "/", Secure: true, HttpOnly: true})
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; form-action 'self'")
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("GET /script.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, "document.getElementById('out').textContent='script'")
	})
	mux.HandleFunc("POST /next", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		c, _ := r.Cookie("__Host-who")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "<p id=said>%s %v %s</p>", r.PostForm.Get("word"), c != nil, r.Header.Get("Accept-Language"))
	})
	mux.HandleFunc("POST /away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.test:9/", http.StatusSeeOther)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
}

const form = `<!doctype html><html lang=en><title>t</title><main><h1>t</h1><p id=out>plain</p>
<details><summary>more</summary><form method=post action=/next><label>Word <input id=word name=word value=old></label>
<button id=go>go</button></form></details>
<form method=post action=/away><button id=away>away</button></form>
<script src=/script.js></script></main>`

func TestVerbs(t *testing.T) {
	tab := browser.New(t, browser.Speaking("en-GB,en"))
	at := site(t, form)
	tab.Go(at)
	if got := tab.Text("#out"); got != "script" {
		t.Errorf("with script the page says %q", got)
	}
	tab.Fill("#word", "a\"b<c")
	tab.Press("#go")
	if got := tab.Text("#said"); got != `a"b true en-GB,en;q=0.9` && !strings.HasPrefix(got, `a"b`) {
		t.Errorf("the form arrived as %q", got)
	}
	if tab.Status != http.StatusTeapot {
		t.Errorf("status %d", tab.Status)
	}
	if !strings.HasSuffix(tab.URL(), "/next") {
		t.Errorf("the address is %s", tab.URL())
	}
	tab.Back()
	tab.WaitText("#out", "script")
	if n := len(tab.Another().Cookies(at)); n != 1 {
		t.Errorf("a second tab has %d cookies", n)
	}
	if n := len(browser.New(t).Cookies(at)); n != 0 {
		t.Errorf("another person has %d cookies", n)
	}
}

func TestNoScript(t *testing.T) {
	tab := browser.New(t, browser.NoScript())
	tab.Go(site(t, form))
	if got := tab.Text("#out"); got != "plain" {
		t.Errorf("without script the page says %q", got)
	}
	tab.Fill("#word", "quiet")
	tab.Press("#go")
	if got := tab.Text("#said"); !strings.HasPrefix(got, "quiet true") {
		t.Errorf("the form arrived as %q", got)
	}
}

// TestReports: what the other tests rely on being told.
func TestReports(t *testing.T) {
	tab := browser.New(t)
	tab.Forgive()
	tab.Go(site(t, `<html><title></title><body style="color:#888;background:#999"><img src=/x.png><p>text<form method=post action=/away><button id=away>away</button></form>`))
	if len(tab.Axe()) < 3 {
		t.Errorf("axe found only %v", tab.Axe())
	}
	before := len(tab.Violations())
	if before == 0 {
		t.Error("an inline style and a picture were not reported")
	}
	tab.Click("#away")
	tab.WaitURL("/") // it stays
	if got := tab.JS("new Promise(r=>setTimeout(()=>r(1),300))"); got != "1" {
		t.Fatalf("waiting: %s", got)
	}
	if got := tab.Violations(); len(got) == before || !strings.HasPrefix(got[len(got)-1], "form-action") {
		t.Errorf("a blocked redirect was not reported: %q", got)
	}
}

func TestAuthenticator(t *testing.T) {
	tab := browser.New(t)
	tab.Go(site(t, form))
	a := tab.Passkey(browser.Passkey{})
	make := func() string {
		return tab.JS(`navigator.credentials.create({publicKey:{challenge:new Uint8Array(32),rp:{name:"x"},
			user:{id:crypto.getRandomValues(new Uint8Array(8)),name:"u",displayName:"u"},pubKeyCredParams:[{type:"public-key",alg:-7}],
			authenticatorSelection:{residentKey:"required",userVerification:"required"}}}).then(c=>c.type,e=>e.name)`)
	}
	if got := make(); got != `"public-key"` || a.Keys() != 1 {
		t.Errorf("creating: %s, %d keys", got, a.Keys())
	}
	get := `navigator.credentials.get({publicKey:{challenge:new Uint8Array(32),userVerification:"required"}}).then(c=>c.type,e=>e.name)`
	if got := tab.JS(get); got != `"public-key"` {
		t.Errorf("getting: %s", got)
	}
	a.Rewind(0)
	a.Lie(true)
	if got := tab.JS(get); got != `"public-key"` {
		t.Errorf("getting a lie: %s", got)
	}
	a.Remove()
}
