package pension

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/internal/jose"
)

// signedIn brings somebody in and reports how the page knows.
func (w *world) signedIn() {
	w.t.Helper()
	w.begin("mfa")
	if resp, text := w.get("/callback?" + w.back().Encode()); resp.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("coming back: %d %s", resp.StatusCode, text)
	}
	w.home(`id="signed-in"`)
}

// home looks for something on the page.
func (w *world) home(want string) {
	w.t.Helper()
	if _, text := w.get("/"); !strings.Contains(text, want) {
		w.t.Errorf("the page lacks %s", want)
	}
}

func TestSigningOut(t *testing.T) {
	w := newWorld(t)
	w.signedIn()
	resp, _ := w.press("/signout", nil)
	to, err := resp.Location()
	if err != nil || !strings.HasPrefix(to.String(), w.op.URL+"/end-session?") {
		t.Fatalf("sent to %v, %v", to, err)
	}
	q := to.Query()
	hint, err := jose.Parse(q.Get("id_token_hint"))
	if err != nil || hint.Header.KeyID != "k1" || q.Get("post_logout_redirect_uri") != w.office.URL+SignedOutPath || len(q.Get("state")) < 22 {
		t.Errorf("asked with %v, %v", q, err)
	}
	w.home(`data-code="here"`)
	w.get(SignedOutPath + "?state=another")
	w.home(`data-code="here"`)
	w.get(SignedOutPath + "?" + url.Values{"state": {q.Get("state")}}.Encode())
	w.home(`data-code="everywhere"`)
	if resp, _ := w.press("/signout", nil); resp.Header.Get("Location") != "/" {
		t.Error("nobody signs out")
	}
	w.signedIn()
	if _, text := w.get("/"); strings.Contains(text, `id="notice"`) {
		t.Error("still says that somebody left")
	}
}

func TestFrontChannel(t *testing.T) {
	for name, c := range map[string]struct {
		query  url.Values
		status int
		ends   bool
	}{
		"right":          {url.Values{"iss": {"OP"}, "sid": {"sid-1"}}, http.StatusOK, true},
		"another-sid":    {url.Values{"iss": {"OP"}, "sid": {"sid-2"}}, http.StatusOK, false},
		"another-issuer": {url.Values{"iss": {"https://op.example"}, "sid": {"sid-1"}}, http.StatusBadRequest, false},
		"no-sid":         {url.Values{"iss": {"OP"}}, http.StatusBadRequest, false},
		"no-issuer":      {url.Values{"sid": {"sid-1"}}, http.StatusBadRequest, false},
		"twice":          {url.Values{"iss": {"OP"}, "sid": {"sid-1", "sid-1"}}, http.StatusBadRequest, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.signedIn()
			if c.query.Get("iss") == "OP" {
				c.query.Set("iss", w.op.URL)
			}
			// The frame brings no cookie.
			resp, err := newBrowser(t).Get(w.office.URL + FrontChannelPath + "?" + c.query.Encode())
			if err != nil {
				t.Fatal(err)
			}
			body(t, resp)
			if resp.StatusCode != c.status || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors "+w.op.URL) ||
				resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
			if c.ends {
				w.home(`data-code="elsewhere-front"`)
			} else {
				w.home(`id="signed-in"`)
			}
		})
	}
}

func TestBackChannel(t *testing.T) {
	event := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	for _, c := range []struct {
		name   string
		claims map[string]any // put over the right ones; nil takes one away
		ends   bool
		status int
	}{
		{"right", nil, true, http.StatusOK},
		{"by-subject", map[string]any{"sid": nil}, true, http.StatusOK},
		{"another-session", map[string]any{"sid": "sid-2"}, false, http.StatusOK},
		{"another-subject", map[string]any{"sid": nil, "sub": "s2"}, false, http.StatusOK},
		{"another-audience", map[string]any{"aud": "pharmacy"}, false, http.StatusBadRequest},
		{"another-issuer", map[string]any{"iss": "https://op.example"}, false, http.StatusBadRequest},
		{"expired", map[string]any{"exp": 1}, false, http.StatusBadRequest},
		// An ID token is none.
		{"no-event", map[string]any{"events": nil}, false, http.StatusBadRequest},
		{"nonce", map[string]any{"nonce": "n"}, false, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.signedIn()
			now := w.clock.Now()
			all := map[string]any{
				"iss": w.op.URL, "aud": "pension-office", "sub": "s1", "sid": "sid-1", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
				"jti": "j1", "events": event,
			}
			for k, v := range c.claims {
				if all[k] = v; v == nil {
					delete(all, k)
				}
			}
			token, err := jose.Sign(w.key, "logout+jwt", all)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.told(token); got != c.status {
				t.Errorf("answered %d", got)
			}
			if !c.ends {
				w.home(`id="signed-in"`)
				return
			}
			w.home(`data-code="elsewhere-back"`)
			// Whoever kept the letter ends no later session with it.
			w.signedIn()
			if got := w.told(token); got != http.StatusOK {
				t.Errorf("the second time: %d", got)
			}
			w.home(`id="signed-in"`)
		})
	}
	w := newWorld(t)
	for _, junk := range []string{"", "x", "a.b.c"} {
		if got := w.told(junk); got != http.StatusBadRequest {
			t.Errorf("%q: %d", junk, got)
		}
	}
}

// told posts a logout token as the identity provider does.
func (w *world) told(token string) int {
	w.t.Helper()
	resp, err := http.PostForm(w.office.URL+BackChannelPath, url.Values{"logout_token": {token}})
	if err != nil {
		w.t.Fatal(err)
	}
	body(w.t, resp)
	return resp.StatusCode
}
