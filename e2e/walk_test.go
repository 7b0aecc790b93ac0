package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/e2e/browser"
	"ecardid/e2e/house"
)

// A person sits before a browser.
type person struct {
	*house.Citizen
	t   *testing.T
	tab *browser.Tab
}

func (p person) password() {
	p.t.Helper()
	p.tab.Fill("#username", p.Phone)
	p.tab.Fill("#password", p.Password)
	p.tab.Press("#login-submit")
}

func (p person) code() {
	p.t.Helper()
	p.tab.Fill("#code", p.Code())
	p.tab.Press("#code-submit")
}

// signIn signs in at a page that asks for it, without having the browser remembered.
func (p person) signIn() {
	p.t.Helper()
	p.password()
	p.code()
	p.tab.Press("#device-skip")
}

// came returns what the application got.
func (p person) came(q *house.Request) url.Values {
	p.t.Helper()
	p.tab.WaitURL(q.Values.Get("redirect_uri"))
	return q.Came(p.tab.URL())
}

func visitor(t *testing.T, h *house.House, opts ...browser.Option) person {
	t.Helper()
	return person{h.Citizen(t), t, browser.New(t, opts...)}
}

// TestRefusals: what goes wrong at the factors, seen by the person it happens to.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "refusals")

	t.Run("wrong", func(t *testing.T) {
		p := visitor(t, h)
		q := rp.Ask("openid")
		p.tab.Go(q.URL())
		p.tab.Fill("#username", p.Phone)
		p.tab.Fill("#password", "not my password")
		p.tab.Press("#login-submit")
		wrong := p.tab.Text("#problem")
		view(t, p.tab, "login-wrong")
		p.tab.Fill("#username", "139"+"99999999")
		p.tab.Fill("#password", "not my password")
		p.tab.Press("#login-submit")
		if got := p.tab.Text("#problem"); got != wrong || got == "" {
			t.Errorf("a stranger hears %q, a citizen %q", got, wrong)
		}
		p.password()
		p.tab.Fill("#code", p.WrongCode())
		p.tab.Press("#code-submit")
		if p.tab.Text("#problem") == "" {
			t.Error("a wrong code passes without a word")
		}
		view(t, p.tab, "code-wrong")
		p.code()
		p.tab.Press("#device-skip")
		p.tab.Press("#consent-allow")
		if p.came(q).Get("code") == "" {
			t.Error("after two mistakes the right answers do not lead back")
		}
	})

	t.Run("replayed", func(t *testing.T) {
		p := visitor(t, h)
		p.tab.Go(h.Issuer + "/login")
		p.password()
		p.code()
		other := person{p.Citizen, t, browser.New(t)}
		other.tab.Go(h.Issuer + "/login")
		other.password()
		other.tab.Fill("#code", p.LastCode())
		other.tab.Press("#code-submit")
		if !other.tab.Has("#problem") || !strings.Contains(other.tab.URL(), "/login/code") {
			t.Errorf("a code works twice: the second browser is at %s", other.tab.URL())
		}
	})

	t.Run("tired", func(t *testing.T) {
		p := visitor(t, h)
		p.tab.Go(h.Issuer + "/login")
		p.password()
		for range 5 {
			p.tab.Fill("#code", p.WrongCode())
			p.tab.Press("#code-submit")
			if !p.tab.Has("#code") {
				break
			}
		}
		if strings.Contains(p.tab.URL(), "/login/code") && p.tab.Has("input[name=code][inputmode=numeric]") {
			p.tab.Fill("#code", p.Code())
			p.tab.Press("#code-submit")
			if !strings.Contains(p.tab.URL(), "/login/code") && !p.tab.Has("#problem") {
				t.Errorf("a sixth code is judged: %s", p.tab.URL())
			}
		}
		view(t, p.tab, "tired")
	})

	t.Run("expired", func(t *testing.T) {
		p := visitor(t, h)
		p.tab.Go(rp.Ask("openid").URL())
		p.password()
		at := p.tab.URL()
		h.Clock.Advance(16 * time.Minute)
		p.tab.Fill("#code", p.Code())
		p.tab.Press("#code-submit")
		if p.tab.Status != http.StatusNotFound || p.tab.Has("#code") {
			t.Errorf("a flow of 16 minutes goes on: %d at %s", p.tab.Status, p.tab.URL())
		}
		view(t, p.tab, "expired")
		p.tab.Go(at)
		if p.tab.Has("#code") {
			t.Error("an expired flow opens again")
		}
	})

	t.Run("skipped", func(t *testing.T) {
		p := visitor(t, h)
		p.tab.Go(rp.Ask("openid insurance.pay").URL())
		p.password()
		_, flow, _ := strings.Cut(p.tab.URL(), "?")
		for _, step := range []string{"device", "codes", "liveness", "enrol", "enrol/totp", "enrol/passkey", "key", "password", "impossible", "activate/password", "liveness/return"} {
			p.tab.Go(h.Issuer + "/login/" + step + "?" + flow)
			if !p.tab.Has("#code") || !strings.Contains(p.tab.URL(), "/login/code") {
				t.Errorf("from the code /login/%s leads to %s", step, p.tab.URL())
			}
		}
		p.tab.Go(h.Issuer + "/account")
		if !strings.Contains(p.tab.URL(), "/login") {
			t.Errorf("a half-finished sign-in opens %s", p.tab.URL())
		}
	})

	t.Run("back", func(t *testing.T) {
		p := visitor(t, h)
		q := rp.Ask("openid")
		p.tab.Go(q.URL())
		p.password()
		p.code()
		p.tab.Back() // the page of the code
		if p.tab.Has("#code") {
			p.tab.Fill("#code", p.Code())
			p.tab.Press("#code-submit")
		}
		if !p.tab.Has("#device-skip") {
			t.Errorf("after the back button the walk is at %s", p.tab.URL())
		}
		p.tab.Press("#device-skip")
		p.tab.Press("#consent-allow")
		if p.came(q).Get("code") == "" {
			t.Fatal("the walk does not end")
		}
		// Back from the application: the consent was answered.
		p.tab.Back()
		if p.tab.Has("#consent-allow") {
			p.tab.Press("#consent-allow")
			if strings.HasPrefix(p.tab.URL(), rp.Redirect) {
				t.Error("one consent gives two codes")
			}
		}
	})

	t.Run("second-tab", func(t *testing.T) {
		p := visitor(t, h)
		one, two := rp.Ask("openid"), rp.Ask("openid pension.read")
		second := person{p.Citizen, t, p.tab.Another()}
		p.tab.Go(one.URL())
		second.tab.Go(two.URL())
		p.signIn()
		p.tab.Press("#consent-allow")
		if p.came(one).Get("code") == "" {
			t.Error("the first tab does not end")
		}
		// The second tab began before; it has its own flow and goes its own way.
		second.tab.Reload()
		if second.tab.Has("#username") {
			second.signIn()
		}
		second.tab.Press("#consent-allow")
		if second.came(two).Get("code") == "" {
			t.Error("the second tab does not end")
		}
	})

	t.Run("stranger", func(t *testing.T) {
		p := visitor(t, h)
		q := rp.Ask("openid")
		p.tab.Go(q.URL())
		p.password()
		stranger := browser.New(t)
		stranger.Go(p.tab.URL())
		if stranger.Has("#code") || stranger.Status != http.StatusNotFound {
			t.Errorf("another browser opens the flow: %d at %s", stranger.Status, stranger.URL())
		}
		view(t, stranger, "strange-flow")
		p.code()
		p.tab.Press("#device-skip")
		consent := p.tab.URL()
		stranger.Go(consent)
		if stranger.Has("#consent-allow") {
			t.Error("another browser is shown the consent page")
		}
		p.tab.Press("#consent-allow")
		if p.came(q).Get("code") == "" {
			t.Error("the owner's walk was hurt")
		}
	})
}

// TestConsent: no is an answer, and so is giving up before.
func TestConsent(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "consent")
	p := visitor(t, h)
	q := rp.Ask("openid pension.read")
	p.tab.Go(q.URL())
	p.signIn()
	p.tab.Press("#consent-deny")
	if v := p.came(q); v.Get("error") != "access_denied" || v.Get("code") != "" {
		t.Errorf("a refused consent comes back as %v", v)
	}
	// What was agreed to once is not asked again; what is new is.
	q = rp.Ask("openid pension.read")
	p.tab.Go(q.URL())
	p.tab.Press("#consent-allow")
	tok := q.Redeem(p.came(q).Get("code"))
	if tok.Claims["acr"] != "urn:ecardid:acr:mfa" {
		t.Errorf("acr is %v", tok.Claims["acr"])
	}
	q = rp.Ask("openid pension.read")
	p.tab.Go(q.URL())
	if p.came(q).Get("code") == "" {
		t.Error("the same consent is asked twice")
	}
	q = rp.Ask("openid pension.read profile phone")
	p.tab.Go(q.URL())
	if p.tab.Count(".scopes .tag") != 2 {
		t.Errorf("%d scopes are called new", p.tab.Count(".scopes .tag"))
	}
	view(t, p.tab, "consent-new")
	p.tab.Press("#consent-allow")
	tok = q.Redeem(p.came(q).Get("code"))
	if status, claims := rp.Userinfo(tok.Access); status != http.StatusOK || claims["name"] != p.Name {
		t.Errorf("userinfo answers %d %v", status, claims)
	}
	// prompt=consent asks whatever was agreed to; prompt=none asks nothing.
	q = rp.Ask("openid", "prompt", "consent")
	p.tab.Go(q.URL())
	p.tab.See("#consent-allow")
	q = rp.Ask("openid insurance.read", "prompt", "none")
	p.tab.Go(q.URL())
	if v := p.came(q); v.Get("error") != "consent_required" {
		t.Errorf("prompt=none for something new comes back as %v", v)
	}
	q = rp.Ask("openid insurance.pay", "prompt", "none")
	p.tab.Go(q.URL())
	if v := p.came(q); v.Get("error") != "interaction_required" && v.Get("error") != "login_required" {
		t.Errorf("prompt=none for more than was proved comes back as %v", v)
	}
	// Withdrawn on the account page: the tokens are dead, and it is asked again.
	p.tab.Go(h.Issuer + "/account/consents")
	view(t, p.tab, "account-consents")
	p.tab.Press("button[value=consent-withdraw]")
	if status, _ := rp.Userinfo(tok.Access); status != http.StatusUnauthorized {
		t.Errorf("after the consent was withdrawn userinfo answers %d", status)
	}
	q = rp.Ask("openid pension.read")
	p.tab.Go(q.URL())
	p.tab.See("#consent-allow")
	view(t, p.tab, "consent-again")

	// Giving up half way is told as well.
	giver := visitor(t, h)
	q = rp.Ask("openid pension.claim")
	giver.tab.Go(q.URL())
	_, flow, _ := strings.Cut(giver.tab.URL(), "?")
	giver.tab.Go(h.Issuer + "/login/cancel?" + flow)
	view(t, giver.tab, "cancel")
	giver.tab.Press("#cancel-stay")
	giver.tab.See("#username")
	giver.tab.Go(h.Issuer + "/login/cancel?" + flow)
	giver.tab.Press("#cancel-confirm")
	if v := giver.came(q); v.Get("error") != "access_denied" || v.Get("code") != "" {
		t.Errorf("giving up comes back as %v", v)
	}
}

// TestChain: the answer of the consent page leads to the application, which sends
// the browser on to a third site. A policy that is too narrow would strand the
// person on our page without a word (notes on form-action).
func TestChain(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "chain")
	third := browser.Site(t, "third.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><html lang=en><title>third</title><p id=third>here</p>"))
	}))
	if err := rp.Onward(third); err != nil {
		t.Fatal(err)
	}
	p := visitor(t, h)
	ask := func() *house.Request {
		q := rp.Ask("openid")
		q.Values.Set("redirect_uri", rp.Origin+"/onward")
		return q
	}
	// From the consent page's POST.
	p.tab.Go(ask().URL())
	p.signIn()
	p.tab.Press("#consent-allow")
	p.tab.WaitURL(third)
	if p.tab.Text("#third") != "here" {
		t.Error("the chain did not end at the third site")
	}
	// From the login page's POST, consent given: the longest chain there is.
	p.tab.Go(h.Issuer + "/logout")
	p.tab.Press("#logout-confirm")
	p.tab.Go(ask().URL())
	p.password()
	p.code()
	p.tab.Press("#device-skip")
	p.tab.WaitURL(third)
	// And with the answer carried by a form.
	q := rp.Ask("openid", "response_mode", "form_post")
	p.tab.Go(q.URL())
	p.tab.WaitURL(rp.Redirect)
	if p.tab.Text("#code") == "" || p.tab.Text("#iss") != h.Issuer {
		t.Error("form_post brought no code")
	}
}

// TestNoScript walks without JavaScript wherever no passkey is involved.
func TestNoScript(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "noscript")

	// First contact.
	c := h.Newcomer(t)
	p := person{c, t, browser.New(t, browser.NoScript())}
	p.tab.Go(h.Issuer + "/login/activate")
	p.tab.Fill("#card", c.Card)
	p.tab.Fill("#code", c.Activation)
	p.tab.Press("#activate-submit")
	p.tab.Fill("#password", c.Password)
	p.tab.Press("#password-submit")
	p.tab.Fill("#greeting", c.Greeting)
	p.tab.Press("#greeting-submit")
	p.tab.Press("#way-totp")
	c.Scan(t, p.tab.Text(".secret"))
	p.code()
	p.tab.Press("#codes-kept")
	p.tab.Press("#device-skip")
	p.tab.WaitURL("/account")
	p.tab.Go(h.Issuer + "/logout")
	p.tab.Press("#logout-confirm")

	// Sign-in, consent, and form_post with its button.
	q := rp.Ask("openid pension.read")
	p.tab.Go(q.URL())
	if p.tab.JS("document.querySelector('#passkey-login').hidden") != "true" {
		t.Error("without script a passkey is offered")
	}
	p.signIn()
	p.tab.Press("#consent-allow")
	q.Redeem(p.came(q).Get("code"))
	q = rp.Ask("openid", "response_mode", "form_post")
	p.tab.Go(q.URL())
	p.tab.Press("#form-post")
	p.tab.WaitURL(rp.Redirect)

	// Liveness, step up included, and the account pages.
	for _, path := range []string{"", "/security", "/devices", "/sessions", "/consents"} {
		p.tab.Go(h.Issuer + "/account" + path)
		if p.tab.Status != http.StatusOK || !p.tab.Has(".account-nav [aria-current=page]") {
			t.Errorf("/account%s: %d at %s", path, p.tab.Status, p.tab.URL())
		}
	}
	p.tab.Press("button[value=consent-withdraw]")
	p.tab.Go(h.Issuer + "/account/sessions")
	p.tab.Press("button[value=session-end]")
	if !strings.Contains(p.tab.URL(), "/signed-out") {
		t.Errorf("ending one's own session leads to %s", p.tab.URL())
	}
}

// TestLanguageAndElder: the two switches on every page, and what the browser and
// the application ask for.
func TestLanguageAndElder(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "languages")
	tab := browser.New(t, browser.Speaking("en-US,en"))
	tab.Go(h.Issuer + "/login")
	lang := func() string { return tab.Attr("html", "lang") }
	if lang() != "en" {
		t.Errorf("an English browser is answered in %s", lang())
	}
	tab.Press("button[name=locale]")
	if lang() != "zh-CN" || !strings.Contains(tab.URL(), "/login") || !tab.Has("#username") {
		t.Errorf("the switch leads to %s in %s", tab.URL(), lang())
	}
	tab.Press("button[name=elder]")
	if tab.Attr("html", "class") != "elder" {
		t.Error("the elder switch does nothing")
	}
	view(t, tab, "login-elder")
	tab.Go(rp.Ask("openid", "ui_locales", "en").URL())
	if lang() != "zh-CN" && lang() != "en" {
		t.Errorf("the page is in %s", lang())
	}
	if tab.Attr("html", "class") != "elder" {
		t.Error("the elder mode is forgotten")
	}
	tab.Press("button[name=elder]")
	if tab.Attr("html", "class") == "elder" {
		t.Error("the elder mode stays")
	}
	fresh := browser.New(t, browser.Speaking("zh-CN"))
	fresh.Go(rp.Ask("openid", "ui_locales", "en").URL())
	if got := fresh.Attr("html", "lang"); got != "en" {
		t.Errorf("ui_locales=en is answered in %s", got)
	}
	fresh = browser.New(t, browser.Speaking("fr"))
	fresh.Go(h.Issuer + "/login")
	if got := fresh.Attr("html", "lang"); got != "zh-CN" {
		t.Errorf("a French browser is answered in %s", got)
	}
}
