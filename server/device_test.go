package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestDevice walks a citizen from the code on a terminal to its tokens, without script.
func TestDevice(t *testing.T) {
	h := newHouse(t)
	v := h.visitor(t)
	status, begun := h.call(t, v, "/device-authorization", "terminal", h.terminal, url.Values{"scope": {"openid card.basic"}})
	if status != http.StatusOK || begun["verification_uri"] != h.issuer+"/connect" {
		t.Fatalf("%d %v", status, begun)
	}
	code := begun["user_code"].(string)
	poll := func() (int, map[string]any) {
		h.clock.Advance(6 * time.Second)
		return h.call(t, v, "/token", "terminal", h.terminal, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {begun["device_code"].(string)},
		})
	}
	if status, said := poll(); status != http.StatusBadRequest || said["error"] != "authorization_pending" {
		t.Errorf("%d %v", status, said)
	}
	v.get("/connect")
	if v.submit("connect-submit", "user_code", "BCDF-GHJK"); v.code != http.StatusOK || v.form("connect-submit") == nil || !strings.Contains(v.text(), "代码不正确") {
		t.Errorf("a wrong code: %d at %s\n%s", v.code, v.url, v.text())
	}
	// A form of another site, or of no page of ours, is not taken.
	for name, change := range map[string]func(*http.Request){
		"another-site": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://evil.example")
		},
		"no-token": func(*http.Request) {},
	} {
		r := must[*http.Request](t)(http.NewRequest(http.MethodPost, h.issuer+"/connect", strings.NewReader(url.Values{"user_code": {code}}.Encode())))
		r.Header.Set("Content-Type", formType)
		change(r)
		if v.do(r); v.code != http.StatusForbidden {
			t.Errorf("%s: %d at %s", name, v.code, v.url)
		}
	}
	v.get(begun["verification_uri_complete"].(string))
	v.submit("connect-submit") // the link has filled it in
	v.submit("login-submit", "username", card, "password", password1)
	v.submit("code-submit", "code", h.code()).submit("device-skip")
	if v.form("consent-allow") == nil || !strings.Contains(v.text(), code) || !strings.Contains(v.text(), "Terminal") {
		t.Fatalf("%d at %s\n%s", v.code, v.url, v.text())
	}
	if v.submit("consent-allow"); v.code != http.StatusOK || v.url.Path != "/connect/done" || !strings.Contains(v.text(), "设备已连接") {
		t.Fatalf("%d at %s\n%s", v.code, v.url, v.text())
	}
	status, tokens := poll()
	if status != http.StatusOK || tokens["id_token"] == nil {
		t.Errorf("%d %v", status, tokens)
	}
	for _, path := range []string{"/connect/done", "/connect/done?outcome=%3Cscript%3E", "/connect/done?outcome=declined&outcome=connected", "/connect?user_code=A&user_code=B"} {
		if v.get(path); v.code != http.StatusBadRequest {
			t.Errorf("%s: %d", path, v.code)
		}
	}
	if log := h.log.String(); strings.Contains(log, code) || strings.Contains(log, begun["device_code"].(string)) {
		t.Error("a code is in the log")
	}
}
