package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

// A terminal is a machine without a browser (RFC 8628).
type terminal struct {
	t  *testing.T
	h  *house.House
	id string

	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Verify     string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
}

func terminalOf(t *testing.T, h *house.House, id string) *terminal {
	t.Helper()
	h.Register(t, map[string]any{
		"client_id": id, "client_name": "Terminal", "client_name#zh-CN": "窗口终端", "token_endpoint_auth_method": "none",
		"grant_types": []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}, "redirect_uris": []string{},
		"response_types": []string{}, "scope": house.AllScopes,
	})
	return &terminal{t: t, h: h, id: id}
}

func (d *terminal) post(path string, form url.Values, into any) int {
	d.t.Helper()
	form.Set("client_id", d.id)
	a := d.h.Robot(d.t).Raw(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), nil)
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		d.t.Fatalf("%s answered %d %q", path, a.Status, a.Body)
	}
	return a.Status
}

func (d *terminal) begin(scope string) {
	d.t.Helper()
	if status := d.post("/device-authorization", url.Values{"scope": {scope}}, d); status != http.StatusOK || d.UserCode == "" || d.Verify != d.h.Issuer+"/connect" {
		d.t.Fatalf("beginning: %d %+v", status, d)
	}
}

// poll asks once, after the interval.
func (d *terminal) poll() (out house.Tokens) {
	d.t.Helper()
	d.h.Clock.Advance(6 * time.Second)
	out.Status = d.post("/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.DeviceCode}}, &out)
	return out
}

// TestDevice: somebody types the code of a machine, sees whom they let in, and the
// machine gets what they agreed to and nothing before.
func TestDevice(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{DeviceGrant: true})
	d := terminalOf(t, h, "terminal")

	p := visitor(t, h)
	d.begin("openid profile insurance.read")
	if out := d.poll(); out.Error != "authorization_pending" {
		t.Errorf("before anybody came: %d %s", out.Status, out.Error)
	}
	p.tab.Go(d.Verify)
	view(t, p.tab, "connect")
	p.tab.Fill("#user_code", "BBBB-BBBB")
	p.tab.Press("#connect-submit")
	if !p.tab.Has("#problem") {
		t.Error("a wrong code passes without a word")
	}
	view(t, p.tab, "connect-wrong")
	p.tab.Fill("#user_code", " "+strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " ")))
	p.tab.Press("#connect-submit")
	p.signIn()
	view(t, p.tab, "connect-consent")
	if got := p.tab.Text("main"); !strings.Contains(got, d.UserCode) {
		t.Errorf("the page that asks does not show the code: %q", got)
	}
	if out := d.poll(); out.Error != "authorization_pending" {
		t.Errorf("before anybody agreed: %d %s", out.Status, out.Error)
	}
	p.tab.Press("#consent-allow")
	view(t, p.tab, "connected")
	tok := d.poll()
	if tok.Status != http.StatusOK {
		t.Fatalf("after that: %d %s", tok.Status, tok.Error)
	}
	if claims := h.Opened(t, tok.ID, "JWT", jose.ES256); claims["aud"] != "terminal" || claims["acr"] != "urn:ecardid:acr:mfa" {
		t.Errorf("the ID token says %v", claims)
	}

	// Agreed to before or not, the next one asks; without script, in English, and no.
	plain := person{p.Citizen, t, browser.New(t, browser.NoScript(), browser.Speaking("en"))}
	d.begin("openid profile insurance.read")
	plain.tab.Go(d.Complete)
	plain.tab.Press("#connect-submit")
	plain.signIn()
	plain.tab.Press("#consent-deny")
	viewPlain(t, plain.tab, "connect-declined")
	if out := d.poll(); out.Error != "access_denied" {
		t.Errorf("after a no: %d %s", out.Status, out.Error)
	}
}
