package e2e

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

// raceClaim: the code of the account page is good for one phone.
func raceClaim(t *testing.T, h *house.House, _ *house.Relying) {
	r := h.Robot(t)
	h.Citizen(t).SignIn(r.Get("/login"))
	code := r.Get("/account/devices/phone").Text("secret")
	ph := h.Phone(t, jose.SM2)
	one(t, "enrolment code", rush(crowd, func(int) *house.Answer { return ph.Claim(code) }), gotOK)
}

// raceAssertion: a client's assertion is good once, over all replicas.
func raceAssertion(t *testing.T, h *house.House, _ *house.Relying) {
	key, err := jose.Generate(jose.ES256, "machine-1")
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := "machine-" + strings.ToLower(rand.Text()[:12])
	h.Register(t, map[string]any{
		"client_id": id, "client_name": "A machine", "grant_types": []string{"client_credentials"}, "scope": "card.status",
		"token_endpoint_auth_method": "private_key_jwt", "jwks": set, "redirect_uris": []string{}, "response_types": []string{},
	})
	now := h.Clock.Now()
	assertion, err := jose.Sign(key, "JWT", map[string]any{
		"iss": id, "sub": id, "aud": h.Issuer, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": rand.Text(),
	})
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"card.status"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}.Encode()
	send := func(i int) *house.Answer {
		r := h.Robot(t)
		r.At = h.Replicas[i%len(h.Replicas)]
		return r.Raw(http.MethodPost, "/token", "application/x-www-form-urlencoded", strings.NewReader(form), nil)
	}
	one(t, "client assertion", rush(crowd, send), gotOK)
}

// raceRotation: a public client's refresh token is rotated once; the one before is
// good once more within seconds, for the answer that was lost, and after that its
// coming back ends the family (SECURITY TK1).
func raceRotation(t *testing.T, h *house.House, p *house.Relying) {
	id := "native-" + strings.ToLower(rand.Text()[:12])
	h.Register(t, map[string]any{
		"client_id": id, "client_name": "A native application", "token_endpoint_auth_method": "none", "application_type": "native",
		"redirect_uris": []string{"http://127.0.0.1/cb"}, "grant_types": []string{"authorization_code", "refresh_token"}, "scope": house.AllScopes,
	})
	q := p.Ask("openid pension.read offline_access")
	q.Values.Set("client_id", id)
	q.Values.Set("redirect_uri", "http://127.0.0.1:54321/cb")
	c, r := h.Citizen(t), h.Robot(t)
	a := c.SignIn(r.Get(q.Path())).Submit("consent-allow")
	code := q.Came(a.Location).Get("code")
	token := func(i int, form url.Values) *house.Answer {
		form.Set("client_id", id)
		robot := h.Robot(t)
		robot.At = h.Replicas[i%len(h.Replicas)]
		return robot.Raw(http.MethodPost, "/token", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), nil)
	}
	refreshOf := func(a *house.Answer) string {
		var out struct {
			Refresh string `json:"refresh_token"`
		}
		_ = json.Unmarshal([]byte(a.Body), &out)
		return out.Refresh
	}
	first := token(0, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"http://127.0.0.1:54321/cb"}, "code_verifier": {q.Verifier}})
	old := refreshOf(first)
	if old == "" {
		t.Fatalf("no refresh token: %d %s", first.Status, first.Body)
	}
	answers := rush(crowd, func(i int) *house.Answer {
		return token(i, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old}})
	})
	if n := winners(t, "rotation", answers, gotOK); n < 1 || n > 2 {
		t.Errorf("one refresh token was rotated %d times", n)
	}
	h.Clock.Advance(11 * time.Second)
	if a := token(0, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old}}); a.Status != http.StatusBadRequest {
		t.Errorf("an old refresh token is answered with %d", a.Status)
	}
	for _, a := range answers {
		if next := refreshOf(a); next != "" {
			if b := token(1, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next}}); b.Status != http.StatusBadRequest {
				t.Errorf("after the old one came back the family lives: %d", b.Status)
			}
		}
	}
}

// raceActivation: the last answer of a first contact brings one person in.
func raceActivation(t *testing.T, h *house.House, _ *house.Relying) {
	c := h.Newcomer(t)
	r := h.Robot(t)
	a := firstContact(t, r, c)
	action, form := a.Form("code-submit")
	form.Set("code", c.Code())
	robots := herd(t, h, r)
	winners(t, "activation", rush(crowd, func(i int) *house.Answer { return robots[i].PostOnce(action, form) }), gotSession)
	if a := r.Get(a.Path); !strings.HasPrefix(a.Path, "/login/codes") {
		t.Errorf("after %d identical answers the first contact is at %s (%d) and not at the recovery codes", crowd, a.Path, a.Status)
		b := a.Submit("code-submit", "code", c.Code())
		t.Logf("the next code leads to %s (%d) %s", b.Path, b.Status, b.Text("problem"))
	}
}

// firstContact walks to the confirmation of the authenticator app.
func firstContact(t *testing.T, r *house.Robot, c *house.Citizen) *house.Answer {
	t.Helper()
	a := r.Get("/login/activate").Submit("activate-submit", "card", c.Card, "code", c.Activation)
	a = a.Submit("password-submit", "password", c.Password).Submit("greeting-submit", "greeting", c.Greeting).Click("way-totp")
	c.Scan(t, a.Text("secret"))
	return a
}

// raceActivationCode: a code by post opens one of several first contacts.
func raceActivationCode(t *testing.T, h *house.House, _ *house.Relying) {
	c := h.Newcomer(t)
	const several = 4
	var pages []*house.Answer
	var robots []*house.Robot
	var codes []string
	for range several {
		r := h.Robot(t)
		a := firstContact(t, r, c)
		pages, robots, codes = append(pages, a), append(robots, r), append(codes, c.Code())
	}
	answers := rush(several, func(i int) *house.Answer {
		r := robots[i].Clone(t)
		r.At = h.Replicas[i%len(h.Replicas)]
		action, form := pages[i].Form("code-submit")
		form.Set("code", codes[i])
		return r.PostOnce(action, form)
	})
	winners(t, "activation code", answers, gotSession)
	in := 0
	for k, r := range robots {
		if a := r.Get(pages[k].Path); strings.HasPrefix(a.Path, "/login/codes") {
			in++
		}
	}
	if in != 1 {
		t.Errorf("one activation code brought in %d", in)
	}
}
