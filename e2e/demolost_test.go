package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"ecardid/console"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/identity"
)

// demoLost is the README's "A phone gets lost": a citizen signs in at the office, rings up,
// and what they had open is dead when staff have reported the loss.
func demoLost(t *testing.T, demo *house.Demo) {
	c := demo.Citizens[slices.IndexFunc(demo.Citizens, func(c house.DemoCitizen) bool { return c.Username == "D40000041" })]
	desk := demo.Staff[slices.IndexFunc(demo.Staff, func(s house.DemoStaff) bool { return s.Name == "demo-counter" })]
	o := office{t, demo, browser.New(t)}
	o.ask("mfa")
	o.password(c)
	if o.tab.Has("#way-totp") {
		o.tab.Press("#way-totp")
	}
	o.code(house.NewApp(t, c.TOTP))
	o.skip()
	o.tab.Press("#consent-allow")
	o.back("mfa")

	tab := browser.New(t)
	tab.Passkey(browser.Passkey{})
	tab.Go(desk.Link)
	tab.Fill("#code", desk.Invitation)
	tab.Press("#code-submit")
	tab.Click("#passkey-create")
	tab.WaitURL("/console/sign-in")
	tab.Click("#passkey-login")
	tab.WaitText("#staff-name", desk.Name)
	tab.Go(demo.Issuer + "/console/citizens")
	tab.Fill("#number", c.Username)
	tab.Press("#citizen-search")
	tab.WaitURL("/console/citizens/")
	u, err := url.Parse(tab.URL())
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.ParseID(strings.TrimPrefix(u.Path, "/console/citizens/"))
	if err != nil {
		t.Fatalf("the search ends at %s", u)
	}
	tab.Go(demo.Issuer + console.ActPath(console.Order{Act: console.LossReport, Citizen: id, Value: console.LostPhone}, u.Path))
	tab.Click("#passkey-login")
	tab.WaitURL("/console/acts/loss.report")
	tab.Fill("#reason", "本人来电，手机被盗")
	tab.Press("#act-confirm")
	receipt := tab.Text("#told")

	o.left("elsewhere-back") // the office was told, within seconds
	o.tab.Go(demo.Issuer + "/account")
	if !strings.Contains(o.tab.URL(), "/login") {
		t.Errorf("after the report the session still opens %s", o.tab.URL())
	}
	o.tab.Go(demo.Issuer + "/lost/receipt/" + receipt)
	if got := o.tab.Text("#receipt-number"); got == "" || got != receipt {
		t.Errorf("the receipt %q shows %q", receipt, got)
	}
	if out := demo.Run(t, "audit", "verify"); !strings.Contains(out, "ok") {
		t.Errorf("audit verify says %s", out)
	}
}
