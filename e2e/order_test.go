package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ecardid/e2e/house"
)

// TestOrder stops at every step of a sign-in and from there calls every address
// there is, with the flow, its token and every button any page has. Nothing but the
// step's own form may lead on, and a half-finished sign-in is worth nothing anywhere
// (SECURITY G4, MF1).
func TestOrder(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	p := h.Relying(t, "order")
	for _, way := range halfWays() {
		t.Run(strings.ReplaceAll(way.name, "/", "-"), func(t *testing.T) {
			s := way.reach(t, h, p)
			before := s.here(t)
			for _, route := range h.Routes {
				if route.Method == http.MethodDelete || route.Method == http.MethodPatch || strings.HasPrefix(route.Pattern, "/device/") {
					continue // phones sign what they send; see phone_test.go
				}
				s.try(t, route.Method, route.Pattern, route.Takes, before)
			}
			s.worthless(t, h, p)
			// It is still that browser's, at that step.
			if after := s.here(t); after != before {
				t.Errorf("the flow was at %s and is at %s", before, after)
			}
		})
	}
}

// here is the step the flow is at, as its own browser is told.
func (s spot) here(t *testing.T) string {
	t.Helper()
	a := s.robot.Get("/login?flow=" + s.flow)
	path, _, _ := strings.Cut(a.Path, "?")
	return fmt.Sprint(path, " ", a.Status)
}

// try calls one address out of order.
func (s spot) try(t *testing.T, method, pattern, takes, before string) {
	t.Helper()
	own := map[string][]string{ // the forms of the step itself
		"/login/password": {"/login/password"},
		"/login/code":     {"/login/code"}, "/login/enrol": {"/login/enrol/totp"}, "/login/device": {"/login/device"},
		"/login/liveness": {"/login/liveness"}, "/login/key": {},
		"/login/activate": {"/login/activate"}, "/login/activate/password": {"/login/activate/password"},
		"/login/activate/greeting": {"/login/activate/greeting"},
	}
	here, _, _ := strings.Cut(before, " ")
	path := strings.NewReplacer("{$}", "", "{id}", "AAAAAAAAAAAAAAAAAAAAAA").Replace(pattern)
	switch {
	case method == http.MethodPost && slices.Contains(own[here], path):
		return
	case method == http.MethodPost && path == "/login/cancel": // may always be said; see TestConsent
		return
	case path == "/preferences":
		return
	}
	r := s.robot.Clone(t)
	var a *house.Answer
	target := path + "?flow=" + s.flow
	switch {
	case method == http.MethodGet:
		a = r.Raw(method, target, "", nil, http.Header{"Sec-Fetch-Site": {"same-origin"}})
	case takes == "application/json":
		a = r.JSON(target, s.csrf, "{}")
	default:
		form := url.Values{"flow": {s.flow}, "csrf": {s.csrf}, "username": {s.who.IDNumber}, "password": {s.who.Password}, "code": {"000000"}, "card": {s.who.Card}, "greeting": {"你好"}}
		for _, b := range []string{"login-submit", "code-submit", "device-skip", "consent-allow", "codes-kept", "liveness-continue", "step-continue", "greeting-submit", "password-submit"} {
			form.Set(b, "1")
		}
		a = r.PostOnce(target, form)
	}
	what := method + " " + path + " from " + here
	if a.Status >= 500 {
		t.Errorf("%s: %d", what, a.Status)
	}
	for _, c := range a.Header["Set-Cookie"] {
		if strings.HasPrefix(c, "__Host-login=") && !strings.Contains(c, "Max-Age=0") {
			t.Errorf("%s gave a session", what)
		}
	}
	if u, err := url.Parse(a.Location); err != nil || u.Query().Has("code") || u.Host != "" && !strings.HasPrefix(a.Location, s.robot.At) {
		t.Errorf("%s led to %s", what, a.Location)
	}
	for _, leak := range []string{s.who.Name, s.who.Phone} {
		if strings.Contains(a.Body, leak) {
			t.Errorf("%s shows %q", what, leak)
		}
	}
	if strings.HasPrefix(path, "/account") && a.Status == http.StatusOK {
		t.Errorf("%s answered 200 %q", what, a.Title())
	}
}

// worthless holds a half-finished sign-in to what it may do elsewhere: nothing; and
// the flow to its own browser (SECURITY MF1, G3, SS1).
func (s spot) worthless(t *testing.T, h *house.House, p *house.Relying) {
	t.Helper()
	r := s.robot.Clone(t)
	q := p.Ask("openid", "prompt", "none")
	a := r.Get(q.Path())
	if v := q.Came(a.Location); v.Get("error") != "login_required" {
		t.Errorf("half signed in, prompt=none answers %v", v)
	}
	if a := r.Get("/account"); !strings.HasPrefix(a.Path, "/login") {
		t.Errorf("half signed in, the account is %s", a.Path)
	}
	stranger := h.Robot(t)
	_, form := stranger.Get("/login").Form("locale")
	for _, route := range h.Routes {
		if !strings.HasPrefix(route.Pattern, "/login") {
			continue
		}
		var a *house.Answer
		switch {
		case route.Method == http.MethodGet && strings.HasSuffix(route.Pattern, "/activate"), route.Method == http.MethodGet && route.Pattern == "/login":
			a = stranger.Get(route.Pattern + "?flow=" + s.flow)
		case route.Method == http.MethodGet:
			a = stranger.Clone(t).Raw(route.Method, route.Pattern+"?flow="+s.flow, "", nil, nil)
		case route.Takes == "application/json":
			a = stranger.Clone(t).JSON(route.Pattern+"?flow="+s.flow, form.Get("csrf"), "{}")
		default:
			a = stranger.Clone(t).PostOnce(route.Pattern, url.Values{"flow": {s.flow}, "csrf": {form.Get("csrf")}, "device-skip": {"1"}})
		}
		if a.Status != http.StatusNotFound {
			t.Errorf("%s %s of another browser's flow: %d to %q", route.Method, route.Pattern, a.Status, a.Location)
		}
	}
}
