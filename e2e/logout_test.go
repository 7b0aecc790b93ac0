package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ecardid/e2e/browser"
	"ecardid/e2e/house"
)

// TestLogout: an application asks for the end of the session, with proof that it is
// this one and without, and others are told in frames.
func TestLogout(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	leaver := func(id string, front bool) *house.Relying {
		return h.RelyingAt(t, id, func(office http.Handler) string { return browser.Site(t, id+".test", office) }, func(origin string) map[string]any {
			m := map[string]any{"post_logout_redirect_uris": []string{origin + "/cb?bye=1"}}
			if front {
				m["frontchannel_logout_uri"], m["frontchannel_logout_session_required"] = origin+"/front", true
			}
			return m
		})
	}
	first, second, third := leaver("first", true), leaver("second", true), leaver("third", false)
	out := func(p *house.Relying, more ...string) string {
		v := url.Values{"post_logout_redirect_uri": {p.Origin + "/cb?bye=1"}, "state": {"s t"}}
		for i := 0; i+1 < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return h.Issuer + "/end-session?" + v.Encode()
	}
	join := func(p person, rp *house.Relying) house.Tokens {
		t.Helper()
		q := rp.Ask("openid")
		p.tab.Go(q.URL())
		if p.tab.Has("#username") {
			p.signIn()
		}
		if p.tab.Has("#consent-allow") {
			p.tab.Press("#consent-allow")
		}
		return q.Redeem(p.came(q).Get("code"))
	}
	gone := func(p person) {
		t.Helper()
		p.tab.Go(h.Issuer + "/account")
		if !strings.Contains(p.tab.URL(), "/login") {
			t.Errorf("after signing out /account opens %s", p.tab.URL())
		}
	}

	// Without a hint the citizen is asked, and may stay.
	p := visitor(t, h)
	join(p, third)
	p.tab.Go(out(third, "client_id", "third"))
	view(t, p.tab, "logout-asked")
	if got := p.tab.Text("body"); !strings.Contains(got, "应用third") || !strings.Contains(got, "third.test") {
		t.Errorf("the page does not say who asks: %q", got)
	}
	p.tab.Press("#logout-stay")
	p.tab.WaitURL("/account")
	p.tab.Go(out(third, "client_id", "third", "ui_locales", "en"))
	p.tab.Press("#logout-confirm")
	p.tab.WaitURL(third.Origin)
	if got := p.tab.URL(); !strings.HasSuffix(got, "/cb?bye=1&state=s+t") {
		t.Errorf("sent back to %s", got)
	}
	gone(p)

	// With a hint of this session nobody is asked; both offices hear of it in frames, of
	// which the policy allows these and no others.
	p = visitor(t, h)
	tok := join(p, first)
	sid := tok.Claims["sid"]
	other := join(p, second).Claims["sid"]
	if sid == nil || other == nil || sid == other {
		t.Fatalf("sessions are %v and %v", sid, other)
	}
	p.tab.Go(out(first, "id_token_hint", tok.ID))
	p.tab.WaitURL(first.Origin) // it goes on by itself
	for rp, want := range map[*house.Relying]any{first: sid, second: other} {
		if v := rp.Framed(); v.Get("iss") != h.Issuer || v.Get("sid") != want {
			t.Errorf("%s was told %v, not %v", rp.ID, v, want)
		}
	}
	gone(p)

	// A hint of another session is no word of this one, and one that was forged is none.
	p = visitor(t, h)
	join(p, first)
	p.tab.Go(out(first, "id_token_hint", tok.ID))
	p.tab.See("#logout-confirm")
	p.tab.Go(out(first, "id_token_hint", tok.ID[:len(tok.ID)-8]+"AAAAAAAA"))
	if p.tab.Status != http.StatusBadRequest || p.tab.Has("#logout-confirm") {
		t.Errorf("a forged hint: %d at %s", p.tab.Status, p.tab.URL())
	}
	view(t, p.tab, "logout-refused")

	// Without script, by the citizen alone: frames and goodbye.
	plain := person{p.Citizen, t, browser.New(t, browser.NoScript())}
	tok = join(plain, first)
	plain.tab.Go(h.Issuer + "/logout")
	plain.tab.Press("#logout-confirm")
	if plain.tab.Count("iframe") != 1 {
		t.Errorf("%d frames at %s", plain.tab.Count("iframe"), plain.tab.URL())
	}
	viewPlain(t, plain.tab, "signed-out-frames")
	if !house.Soon(func() bool { return first.Framed().Get("sid") == tok.Claims["sid"] }) {
		t.Errorf("the frame was not loaded: %v", first.Framed())
	}
	gone(plain)
}
