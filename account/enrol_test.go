package account

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

func TestRecoveryCodes(t *testing.T) {
	r := newRoom(t)
	w := r.post(securityPath, "do", "recovery-renew")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "AAAA-BBBB-CCCC-DDDD") || r.shown.Path != recoveryPath {
		t.Fatalf("%d %+v", w.Code, r.shown)
	}
	if w := r.post(recoveryPath, "codes-kept", "1"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != securityPath {
		t.Errorf("kept: %d", w.Code)
	}
	if w := r.post(recoveryPath, "other", "1"); w.Code != http.StatusBadRequest {
		t.Errorf("another button: %d", w.Code)
	}
}

func TestTOTP(t *testing.T) {
	r := newRoom(t)
	w := r.post(securityPath, "do", "totp-add")
	page := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || page != totpPath+"/"+r.proposal.ID.String() || !slices.Equal(r.done, []string{"begin totp rfc6238"}) {
		t.Fatalf("%d to %q, done %q", w.Code, page, r.done)
	}
	// A reload shows the same seed.
	for range 2 {
		if w := r.get(page); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "ABCD") || r.shown.Path != page {
			t.Errorf("showing: %d", w.Code)
		}
	}
	if w := r.post(page, "code-submit", "1", "code", "000000"); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `id="problem"`) {
		t.Errorf("wrong code: %d", w.Code)
	}
	if w := r.post(page, "code-submit", "1", "code", "123456"); w.Header().Get("Location") != "/account/security?notice=saved" {
		t.Errorf("right code: %d", w.Code)
	}
	if w := r.post(securityPath, "do", "totp-add", "alg", "sm3-otp"); w.Code != http.StatusSeeOther || r.done[len(r.done)-1] != "begin totp sm3-otp" {
		t.Errorf("the national one: %d", w.Code)
	}
	if w := r.post(securityPath, "do", "totp-add", "alg", "none"); w.Code != http.StatusBadRequest {
		t.Errorf("no algorithm: %d", w.Code)
	}
}

// TestNothingBeginsFromElsewhere: a link on another site begins no enrolment.
func TestNothingBeginsFromElsewhere(t *testing.T) {
	r := newRoom(t)
	if w := r.get(totpPath); w.Code != http.StatusNotFound || len(r.done) != 0 {
		t.Errorf("a link: %d, done %q", w.Code, r.done)
	}
	for _, path := range []string{phonePath} {
		for _, site := range []string{"cross-site", "same-site"} {
			req, err := http.NewRequest(http.MethodGet, path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Sec-Fetch-Site", site)
			if w := r.send(req); w.Code != http.StatusSeeOther || len(r.done) != 0 {
				t.Errorf("%s from %s: %d, done %q", path, site, w.Code, r.done)
			}
		}
	}
}

func TestPasskeyScript(t *testing.T) {
	// {"challenge":"AAAA"}
	const good = `{"id":"x","response":{"clientDataJSON":"eyJjaGFsbGVuZ2UiOiJBQUFBIn0"}}`
	for _, c := range []struct {
		name        string
		path        string
		body        string
		contentType string
		bend        func(r *room)
		status      int
		member      string // of the answer
	}{
		{name: "options", path: "/options", body: "{}", status: 200, member: "publicKey"},
		{name: "finish", path: "/finish", body: good, status: 200, member: "next"},
		{name: "options-stale", path: "/options", body: "{}", bend: (*room).stale, status: 403, member: "problem"},
		{name: "finish-stale", path: "/finish", body: good, bend: (*room).stale, status: 403, member: "problem"},
		{name: "options-signed-out", path: "/options", body: "{}", bend: func(r *room) { r.login = identity.Login{} }, status: 403, member: "problem"},
		{name: "finish-refused", path: "/finish", body: good, bend: func(r *room) { r.err = authn.ErrPasskey }, status: 403, member: "problem"},
		{name: "finish-fault", path: "/finish", body: good, bend: func(r *room) { r.err = errors.New("no database") }, status: 500, member: "problem"},
		{name: "options-a-form", path: "/options", body: "a=b", contentType: formType, status: 415, member: "problem"},
		{name: "options-nothing", path: "/options", body: "", status: 400, member: "problem"},
		{name: "options-null", path: "/options", body: "null", status: 400, member: "problem"},
		{name: "finish-empty", path: "/finish", body: "{}", status: 400, member: "problem"},
		{name: "finish-array", path: "/finish", body: "[]", status: 400, member: "problem"},
		{name: "finish-no-challenge", path: "/finish", body: `{"response":{"clientDataJSON":"e30"}}`, status: 400, member: "problem"},
		{name: "finish-large", path: "/finish", body: `{"id":"` + strings.Repeat("a", 70<<10) + `"}`, status: 413, member: "problem"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t)
			if c.bend != nil {
				c.bend(r)
			}
			if c.contentType == "" {
				c.contentType = jsonType
			}
			w := r.raw(passkeyPath+c.path, c.contentType, c.body)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%d %q: %v", w.Code, w.Body, err)
			}
			if w.Code != c.status || len(got) != 1 || got[c.member] == nil || got[c.member] == "" {
				t.Errorf("%d %v", w.Code, got)
			}
			if w.Header().Get("Content-Type") != jsonType || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", w.Header())
			}
			if (c.status == 200) != (len(r.done) == 1) || len(r.raised) != 0 {
				t.Errorf("done %q, raised %v", r.done, r.raised)
			}
		})
	}
}

func TestAddPhone(t *testing.T) {
	r := newRoom(t)
	r.get(phonePath)
	page, ok := r.shown.Page.(templates.AddPhone)
	if !ok || page.URI != "https://login.ecard.test/device/v1/enrolments#the-code" || r.shown.Path != phonePath+"?since=1800000000000" {
		t.Fatalf("%+v", r.shown)
	}
	poll := func() string { return strings.TrimSpace(r.get(page.PollURL).Body.String()) }
	if got := poll(); got != "{}" {
		t.Errorf("before: %s", got)
	}
	r.clock.Advance(time.Minute)
	if w := r.post(phonePath+"?since=1800000000000", "phone-continue", "1"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `id="problem"`) || r.shown.Path != phonePath+"?since=1800000000000" {
		t.Errorf("too early: %d, %s", w.Code, r.shown.Path)
	}
	r.fake.devices = append(r.fake.devices, authn.Device{ID: identity.NewID(), Citizen: r.login.Citizen, Kind: identity.DevicePhone, State: identity.DeviceActive, Created: r.clock.Now()})
	if got := poll(); got != `{"next":"/account/devices?notice=phone-added"}` {
		t.Errorf("after: %s", got)
	}
	if w := r.post(phonePath+"?since=1800000000000", "phone-continue", "1"); w.Header().Get("Location") != "/account/devices?notice=phone-added" {
		t.Errorf("continue: %d", w.Code)
	}
	for _, q := range []string{"", "?since=", "?since=-1", "?since=1e9", "?since=1&since=2", "?since=99999999999999999999"} {
		if w := r.get(phonePath + "/state" + q); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", q, w.Code)
		}
		if w := r.post(phonePath+q, "phone-continue", "1"); w.Code != http.StatusBadRequest {
			t.Errorf("POST %q: %d", q, w.Code)
		}
	}
}
