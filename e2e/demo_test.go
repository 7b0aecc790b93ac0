package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ecardid/authn/phone"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

// view looks at a page where a walk comes by: nothing for axe to find, a screenshot,
// and no sideways scrolling on a phone.
func view(t *testing.T, tab *browser.Tab, name string) {
	t.Helper()
	tab.Accessible(name)
	tab.Shot("walk-" + name)
	tab.Set(browser.Phone())
	if over := tab.Overflow(); over > 0 {
		t.Errorf("%s is %d pixels wider than a phone", name, over)
	}
	tab.Set(browser.Wide(1280, 900, false))
}

// viewPlain is view of a page that was made without JavaScript, which axe needs.
func viewPlain(t *testing.T, tab *browser.Tab, name string) {
	t.Helper()
	tab.Set(browser.Script())
	view(t, tab, name)
	tab.Set(browser.NoScript())
}

// office is the person at the demo's relying party.
type office struct {
	t    *testing.T
	demo *house.Demo
	tab  *browser.Tab
}

// ask presses one of the office's buttons.
func (o office) ask(level string) {
	o.t.Helper()
	o.tab.Go(o.demo.RelyingParty)
	o.tab.Press("#signin-" + level)
}

// back is what the office got: it has to be at its own page, with tokens it
// verified itself.
func (o office) back(acr string) map[string]any {
	o.t.Helper()
	o.tab.WaitURL(o.demo.RelyingParty)
	if o.tab.Has("#error") {
		o.t.Fatalf("the office says: %s", o.tab.Text("#error"))
	}
	if got := o.tab.Text("#acr"); got != "urn:ecardid:acr:"+acr {
		o.t.Errorf("acr is %s, not %s", got, acr)
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(o.tab.Text("#id-token")), &claims); err != nil {
		o.t.Fatalf("the ID token on the page: %v", err)
	}
	return claims
}

func (o office) password(c house.DemoCitizen) {
	o.t.Helper()
	o.tab.Fill("#username", c.Username)
	o.tab.Fill("#password", c.Password)
	o.tab.Press("#login-submit")
}

// code answers the page that asks for the app's code, and goes on without having
// the browser remembered.
func (o office) code(app *house.App) {
	o.t.Helper()
	o.tab.Fill("#code", app.Code(o.t))
	o.tab.Press("#code-submit")
}

func (o office) skip() {
	o.t.Helper()
	o.tab.Press("#device-skip")
}

// TestDemo is the journey of the README: the program as it is started, its relying
// party in a real browser, and each of its citizens.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo := house.OpenDemo(t)
	t.Run("ladder", func(t *testing.T) { ladder(t, demo) })
	t.Run("phone", func(t *testing.T) { demoPhone(t, demo) })
	t.Run("newcomer", func(t *testing.T) { newcomer(t, demo) })
	t.Run("lost", func(t *testing.T) { demoLost(t, demo) })
}

// ladder climbs from password and code to a passkey to a living face, and comes
// back with the passkey alone.
func ladder(t *testing.T, demo *house.Demo) {
	c := demo.Citizens[0]
	app := house.NewApp(t, c.TOTP)
	o := office{t, demo, browser.New(t)}
	tab := o.tab
	tab.Passkey(browser.Passkey{})

	// Password and code → mfa.
	o.ask("mfa")
	view(t, tab, "login")
	o.password(c)
	view(t, tab, "code")
	o.code(app)
	view(t, tab, "device")
	o.skip()
	view(t, tab, "consent")
	tab.Press("#consent-allow")
	claims := o.back("mfa")
	view(t, tab, "office")
	if amr := tab.Text("#amr"); !strings.Contains(amr, "pwd") || !strings.Contains(amr, "otp") || !strings.Contains(amr, "mfa") {
		t.Errorf("amr is %q", amr)
	}
	if claims["sub"] == nil || claims["sub"] == c.Username {
		t.Errorf("sub is %v", claims["sub"])
	}
	if got := tab.Text("#scope"); !strings.Contains(got, "pension.read") {
		t.Errorf("scope is %q", got)
	}
	tab.Press("#userinfo")
	if got := tab.Text("#userinfo-claims"); !strings.Contains(got, c.Name) {
		t.Errorf("userinfo says %s", got)
	}
	tab.Press("#refresh")
	if got := tab.Text("#refreshes"); got != "1" {
		t.Errorf("renewed %s times", got)
	}

	// Signed in already: the next button asks for nothing but consent to what is new.
	o.ask("basic")
	if !tab.Has("#consent-allow") {
		t.Fatalf("with a session the office's other button leads to %s", tab.URL())
	}
	tab.Press("#consent-allow")
	o.back("mfa")

	// A key on a device is missing, and nothing else: make one, use it → bound.
	o.ask("bound")
	view(t, tab, "step-up")
	if tab.Has("#password") {
		t.Error("the step up asks for the password again")
	}
	tab.Press("#step-continue")
	view(t, tab, "enrol-passkey")
	tab.Click("#passkey-create")
	tab.WaitURL("/login/passkey")
	tab.See("#passkey-login")
	view(t, tab, "passkey")
	tab.Click("#passkey-login")
	tab.WaitURL("/consent")
	tab.Press("#consent-allow")
	o.back("bound")
	if amr := tab.Text("#amr"); !strings.Contains(amr, "hwk") || !strings.Contains(amr, "user") {
		t.Errorf("amr is %q", amr)
	}

	// A living face, and nothing else → live.
	o.ask("live")
	view(t, tab, "liveness")
	tab.Click("#face-consent")
	tab.Press("#liveness-start")
	if !strings.HasPrefix(tab.URL(), demo.Liveness) {
		t.Fatalf("the capture page is %s", tab.URL())
	}
	view(t, tab, "capture")
	tab.Press("#standin-pass")
	o.through("#consent-allow", "#liveness-continue")
	o.back("live")
	if amr := tab.Text("#amr"); !strings.Contains(amr, "face") {
		t.Errorf("amr is %q", amr)
	}

	// Out, and in again with the passkey the browser offers by itself.
	tab.Go(demo.Issuer + "/logout")
	view(t, tab, "logout")
	tab.Press("#logout-confirm")
	view(t, tab, "signed-out")
	o.ask("bound")
	tab.WaitURL("/login/device")
	o.skip()
	if tab.Has("#consent-allow") {
		tab.Press("#consent-allow")
	}
	o.back("bound")
	if amr := tab.Text("#amr"); strings.Contains(amr, "pwd") || !strings.Contains(amr, "hwk") {
		t.Errorf("after the passkey alone amr is %q", amr)
	}
	pay(t, o)
	farewells(t, o)
}

// pay is one payment: pushed and signed, proved for, shown and agreed to, and a token
// that is bound to the office's key.
func pay(t *testing.T, o office) {
	t.Helper()
	tab := o.tab
	tab.Go(o.demo.RelyingParty)
	tab.Press("#pay")
	tab.WaitURL("/consent") // the browser offers its passkey by itself
	if q := tab.URL(); strings.Contains(q, "amount") || strings.Contains(q, "86.50") {
		t.Errorf("the payment stands in the address: %s", q)
	}
	view(t, tab, "payment")
	if got := tab.Text(".payment"); !strings.Contains(got, "86.50") || !strings.Contains(got, "示例医院") {
		t.Errorf("the page that asks says %q", got)
	}
	tab.Press("#consent-allow")
	tab.WaitURL(o.demo.RelyingParty)
	if tab.Has("#error") {
		t.Fatalf("the office says: %s", tab.Text("#error"))
	}
	if tab.Text("#paid-amount") != "¥86.50" || tab.Text("#paid-type") != "DPoP" || tab.Text("#paid-acr") != "urn:ecardid:acr:bound" {
		t.Errorf("paid %s with a token of type %s at %s", tab.Text("#paid-amount"), tab.Text("#paid-type"), tab.Text("#paid-acr"))
	}
	view(t, tab, "office-paid")
}

// farewells: out by the office's button, which takes the browser round by the issuer
// and back; and out at the issuer, of which the office hears in a frame.
func farewells(t *testing.T, o office) {
	t.Helper()
	tab := o.tab
	tab.Press("#signout") // by a page that goes on by itself: nothing to look at for long
	tab.WaitURL(o.demo.RelyingParty)
	if got := tab.Attr("#notice", "data-code"); got != "everywhere" {
		t.Errorf("the office says that somebody left %s", got)
	}
	view(t, tab, "office-signed-out")
	// Not a page that asks for a login: there the browser would offer its passkey at once.
	tab.Go(o.demo.Issuer + "/logout")
	if !strings.Contains(tab.URL(), "/signed-out") {
		t.Errorf("signed out at the office, /logout opens %s", tab.URL())
	}

	o.ask("bound")
	tab.WaitURL("/login/device")
	o.skip()
	o.back("bound")
	tab.Go(o.demo.Issuer + "/logout")
	tab.Press("#logout-confirm")
	if tab.Count("iframe") != 1 {
		t.Fatalf("%d frames at %s", tab.Count("iframe"), tab.URL())
	}
	o.left("elsewhere-front")
}

// left waits until the office says how its person was signed out.
func (o office) left(how string) {
	o.t.Helper()
	if !house.Soon(func() bool { o.tab.Go(o.demo.RelyingParty); return o.tab.Has("#notice") }) {
		o.t.Fatal("the office has heard nothing")
	}
	// A frame and a message race where there are both; either is word enough.
	if got := o.tab.Attr("#notice", "data-code"); !strings.HasPrefix(got, "elsewhere-") || how == "elsewhere-back" && got != how {
		o.t.Errorf("the office says that somebody left %s, not %s", got, how)
	}
	if o.tab.Has("#signed-in") {
		o.t.Error("the office still has the person")
	}
}

// through presses whatever of the given is on the page until the office is back.
func (o office) through(buttons ...string) {
	o.t.Helper()
	const most = 6
	for range most {
		pressed := false
		for _, b := range buttons {
			if strings.HasPrefix(o.tab.URL(), o.demo.Issuer) && o.tab.Has(b) {
				o.tab.Press(b)
				pressed = true
				break
			}
		}
		if !pressed {
			return
		}
	}
	o.t.Fatalf("still at %s", o.tab.URL())
}

// demoPhone binds a phone on the account page and lets it approve a sign-in from
// another browser → bound.
func demoPhone(t *testing.T, demo *house.Demo) {
	c := demo.Citizens[1]
	app := house.NewApp(t, c.TOTP)
	own := office{t, demo, browser.New(t)}
	own.tab.Go(demo.Issuer + "/account/devices")
	own.password(c)
	own.code(app)
	own.skip()
	own.tab.WaitURL("/account/devices")
	view(t, own.tab, "account-devices")
	own.tab.Press("#phone-add")
	view(t, own.tab, "add-phone")
	ph := demo.Phone(t, jose.SM2)
	ph.Bind(own.tab.Text(".secret"))
	own.tab.WaitURL("/account/devices?") // the page sees it by itself
	if got := own.tab.Text("main"); !strings.Contains(got, "测试手机") {
		t.Errorf("the devices are %q", got)
	}

	o := office{t, demo, browser.New(t, browser.Speaking("en"))}
	o.ask("bound")
	o.password(c)
	if o.tab.Has("#way-phone") {
		o.tab.Press("#way-phone")
	}
	view(t, o.tab, "phone-ask")
	if !o.tab.Has(".match") { // a page that is only opened rings nobody's phone
		if n := len(ph.Asked()); n != 0 {
			t.Errorf("before the button was pressed the phone is asked %d questions", n)
		}
		o.tab.Press("#phone-continue")
	}
	view(t, o.tab, "phone-approve")
	number, err := strconv.Atoi(o.tab.Text(".match strong"))
	if err != nil {
		t.Fatalf("the page shows no number: %v", err)
	}
	asked := ph.Asked()
	if len(asked) != 1 {
		t.Fatalf("the phone is asked %d questions", len(asked))
	}
	if q := asked[0]; !strings.Contains(q.Context, "Chrom") || !slices.Contains(q.Choices, number) {
		t.Errorf("the phone is asked %s, to choose from %v", q.Context, q.Choices)
	}
	if a := ph.Answer(asked[0], phone.Approve, number); a.Status != http.StatusOK {
		t.Fatalf("approving: %d %s", a.Status, a.Body)
	}
	o.tab.WaitURL("/login/device")
	o.skip()
	o.tab.Press("#consent-allow")
	o.back("bound")
	if amr := o.tab.Text("#amr"); !strings.Contains(amr, "swk") || strings.Contains(amr, "hwk") || strings.Contains(amr, "otp") {
		t.Errorf("after a software phone amr is %q", amr)
	}

	// The session list of the first browser has both; ending the other ends it now.
	own.tab.Go(demo.Issuer + "/account/sessions")
	view(t, own.tab, "account-sessions")
	if n := own.tab.Count(".item"); n != 2 {
		t.Fatalf("there are %d sessions in the list", n)
	}
	own.tab.Press("#sessions-end-others")
	o.tab.Go(demo.Issuer + "/account")
	if !strings.Contains(o.tab.URL(), "/login") {
		t.Errorf("the ended session still opens %s", o.tab.URL())
	}
	o.left("elsewhere-back") // that browser has loaded no frame
	view(t, o.tab, "office-elsewhere")
}

// newcomer activates the citizen who was never here, arrives at the account pages,
// loses the app and comes back with a code on paper.
func newcomer(t *testing.T, demo *house.Demo) {
	c := demo.Citizens[2]
	o := office{t, demo, browser.New(t)}
	tab := o.tab
	tab.Go(demo.Issuer + "/login")
	tab.Press("a[href='/activate'], a[href='/login/activate']")
	view(t, tab, "activate")
	tab.Fill("#card", c.Username)
	tab.Fill("#code", c.Activation)
	tab.Press("#activate-submit")
	view(t, tab, "activate-password")
	tab.Fill("#password", "password123")
	tab.Press("#password-submit")
	if !tab.Has("#problem") {
		t.Error("password123 is good enough")
	}
	view(t, tab, "activate-password-weak")
	c.Password = "窗前明月光 and two frogs"
	tab.Fill("#password", c.Password)
	tab.Press("#password-submit")
	view(t, tab, "activate-greeting")
	tab.Fill("#greeting", "阳台上的茉莉")
	tab.Press("#greeting-submit")
	view(t, tab, "enrol")
	tab.Press("#way-totp")
	view(t, tab, "enrol-totp")
	app := house.NewApp(t, tab.Text(".secret"))
	o.code(app)
	view(t, tab, "recovery-codes")
	var paper []string
	if err := json.Unmarshal([]byte(tab.JS("[...document.querySelectorAll('.codes code')].map(e=>e.innerText)")), &paper); err != nil || len(paper) < 8 {
		t.Fatalf("%d recovery codes: %v", len(paper), err)
	}
	tab.Press("#codes-kept")
	tab.Press("#device-bind")
	tab.WaitURL("/account")
	view(t, tab, "account")
	if got := tab.Text("main"); !strings.Contains(got, "阳台上的茉莉") || strings.Contains(got, c.Name) {
		t.Errorf("the account page says %q", got)
	}
	// The code by post is spent.
	other := browser.New(t)
	other.Go(demo.Issuer + "/login/activate")
	other.Fill("#card", c.Username)
	other.Fill("#code", c.Activation)
	other.Press("#activate-submit")
	if !other.Has("#problem") {
		t.Error("an activation code works twice")
	}

	// This browser is known now: the greeting is there before anybody signs in.
	tab.Go(demo.Issuer + "/logout")
	tab.Press("#logout-confirm")
	tab.Go(demo.Issuer + "/login")
	if !strings.Contains(tab.Text(".greeting"), "阳台上的茉莉") {
		t.Error("the trusted browser is not greeted")
	}
	view(t, tab, "login-greeted")
	// The app is gone: a recovery code leads to a new one, and to nothing else.
	o.password(c)
	tab.Press("#way-recovery")
	view(t, tab, "recovery")
	tab.Fill("#code", paper[0])
	tab.Press("#code-submit")
	tab.WaitURL("/login/enrol")
	tab.Press("#way-totp")
	app = house.NewApp(t, tab.Text(".secret"))
	o.code(app)
	o.skip() // with the old app went the trust in the browsers it had vouched for
	tab.WaitURL("/account")
	tab.Go(demo.Issuer + "/account/security")
	view(t, tab, "account-security")
}
