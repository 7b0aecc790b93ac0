package house

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
	"golang.org/x/net/html"
)

// A Passkey is an authenticator with one key, for robots.
type Passkey struct {
	t     testing.TB
	house *House
	rp    virtualwebauthn.RelyingParty
	auth  virtualwebauthn.Authenticator
	cred  virtualwebauthn.Credential
}

// Passkey makes an authenticator that has not been registered. A synced one says
// that its keys may be copied.
func (h *House) Passkey(t testing.TB, synced bool) *Passkey {
	t.Helper()
	u, err := url.Parse(h.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return &Passkey{
		t: t, house: h, rp: virtualwebauthn.RelyingParty{ID: u.Hostname(), Name: "x", Origin: h.Issuer},
		auth: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{BackupEligible: synced, BackupState: synced}),
		cred: newKey256(),
	}
}

// newKey256 makes a P-256 key whose coordinates fill their 32 bytes: the library
// leaves leading zeros out, and one key in 128 has some (RFC 9053 §7.1.1 wants them).
func newKey256() virtualwebauthn.Credential {
	for {
		if c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(c.Key.AttestationData()) == wholeKey {
			return c
		}
	}
}

// wholeKey is the length of a COSE_Key of kty EC2: two coordinates of 32 bytes, and
// 13 for the rest.
const wholeKey = 77

// A Ceremony is what a page offers the script.
type Ceremony struct{ Options, Finish, CSRF string }

// Ceremony reads it off the page.
func (a *Answer) Ceremony() Ceremony {
	a.robot.t.Helper()
	n := find(a.parse(), func(n *html.Node) bool { return attr(n, "data-passkey") != "" })
	if n == nil {
		a.robot.t.Fatalf("%s (%d, %s) offers no passkey", a.Path, a.Status, a.Title())
	}
	return Ceremony{attr(n, "data-options-url"), attr(n, "data-finish-url"), attr(n, "data-csrf")}
}

// JSON posts as the script of a page does.
func (r *Robot) JSON(target, csrf, body string) *Answer {
	r.t.Helper()
	return r.Raw(http.MethodPost, target, "application/json", strings.NewReader(body), http.Header{
		"X-Csrf-Token": {csrf}, "Origin": {r.site.issuer}, "Accept": {"application/json"},
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"},
	})
}

// Next is where the script is told to go.
func (a *Answer) Next() string {
	var out struct{ Next string }
	_ = json.Unmarshal([]byte(a.Body), &out)
	return out.Next
}

// Options fetches options from a page.
func (a *Answer) Options() string {
	a.robot.t.Helper()
	c := a.Ceremony()
	o := a.robot.JSON(c.Options, c.CSRF, "{}")
	if o.Status != http.StatusOK || !strings.Contains(o.Body, "challenge") {
		a.robot.t.Fatalf("%s answered %d %s", c.Options, o.Status, o.Body)
	}
	return o.Body
}

// Make answers the options of a registration.
func (p *Passkey) Make(options string) string {
	p.t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		p.t.Fatal(err)
	}
	var user struct {
		PublicKey struct {
			User struct{ ID string }
		}
	}
	if err := json.Unmarshal([]byte(options), &user); err != nil {
		p.t.Fatal(err)
	}
	handle, err := base64.RawURLEncoding.DecodeString(user.PublicKey.User.ID)
	if err != nil || len(handle) == 0 {
		p.t.Fatalf("the options name no user: %v", err)
	}
	p.auth.Options.UserHandle = handle
	p.auth.AddCredential(p.cred)
	return virtualwebauthn.CreateAttestationResponse(p.rp, p.auth, p.cred, *o)
}

// Sign answers the options of a sign-in, with the next counter.
func (p *Passkey) Sign(options string) string {
	p.t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(options)
	if err != nil {
		p.t.Fatal(err)
	}
	p.cred.Counter++
	return virtualwebauthn.CreateAssertionResponse(p.rp, p.auth, p.cred, *o)
}

// Register makes a passkey at a page that offers to, and goes where it leads.
func (p *Passkey) Register(a *Answer) *Answer {
	p.t.Helper()
	c := a.Ceremony()
	done := a.robot.JSON(c.Finish, c.CSRF, p.Make(a.Options()))
	if done.Next() == "" {
		p.t.Fatalf("making a passkey: %d %s", done.Status, done.Body)
	}
	return a.robot.Get(done.Next())
}

// SignIn answers a page that offers to sign in with a passkey.
func (p *Passkey) SignIn(a *Answer) *Answer {
	p.t.Helper()
	c := a.Ceremony()
	done := a.robot.JSON(c.Finish, c.CSRF, p.Sign(a.Options()))
	if done.Next() == "" {
		p.t.Fatalf("signing in with a passkey: %d %s", done.Status, done.Body)
	}
	return a.robot.Get(done.Next())
}
