package e2e

import (
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ecardid/authn/phone"
	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

// crowd is how many send the same thing at once (SECURITY G1).
const crowd = 20

// rounds is how often each race is run: once, or as ECARDID_E2E_ROUNDS says. A
// release is held to 50.
func rounds(t *testing.T) int {
	text := os.Getenv("ECARDID_E2E_ROUNDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ECARDID_E2E_ROUNDS is %q", text)
	}
	return n
}

// rush lets the crowd begin at once and returns what each heard.
func rush(n int, do func(i int) *house.Answer) []*house.Answer {
	answers := make([]*house.Answer, n)
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-gate
			answers[i] = do(i)
		})
	}
	close(gate)
	all.Wait()
	return answers
}

// winners counts the answers that got what there was to get. The others have to
// be refused, and nobody may have caused an error.
func winners(t *testing.T, what string, answers []*house.Answer, won func(*house.Answer) bool) int {
	t.Helper()
	n := 0
	for _, a := range answers {
		switch {
		case a == nil:
			t.Errorf("%s: somebody heard nothing", what)
		case a.Status >= 500:
			t.Errorf("%s: %d %s", what, a.Status, a.Title())
		case won(a):
			n++
		}
	}
	return n
}

func one(t *testing.T, what string, answers []*house.Answer, won func(*house.Answer) bool) {
	t.Helper()
	if n := winners(t, what, answers, won); n != 1 {
		list := map[string]int{}
		for _, a := range answers {
			if a != nil {
				list[strconv.Itoa(a.Status)+" "+strings.SplitN(a.Location, "?", 2)[0]]++
			}
		}
		t.Errorf("%s: %d of %d got through: %v", what, n, len(answers), list)
	}
}

func gotSession(a *house.Answer) bool {
	for _, c := range a.Header["Set-Cookie"] {
		if strings.HasPrefix(c, "__Host-login=") && !strings.Contains(c, "Max-Age=0") {
			return true
		}
	}
	return false
}

func gotCode(a *house.Answer) bool {
	u, err := url.Parse(a.Location)
	return err == nil && u.Query().Get("code") != ""
}

func gotOK(a *house.Answer) bool { return a.Status == http.StatusOK }

// herd is the same browser many times, spread over the replicas.
func herd(t *testing.T, h *house.House, r *house.Robot) []*house.Robot {
	list := make([]*house.Robot, crowd)
	for i := range list {
		list[i] = r.Clone(t)
		list[i].At = h.Replicas[i%len(h.Replicas)]
	}
	return list
}

// TestOnce sends what may happen once many times at once, over two replicas of one
// PostgreSQL and over one SQLite.
func TestOnce(t *testing.T) {
	t.Parallel()
	for _, o := range []struct {
		name string
		house.Options
	}{{"postgres", house.Options{Postgres: true, Replicas: 2, CoolOff: -1}}, {"sqlite", house.Options{CoolOff: -1}}} {
		t.Run(o.name, func(t *testing.T) {
			h := house.Open(t, o.Options)
			p := h.Relying(t, "once")
			for _, race := range races() {
				t.Run(race.name, func(t *testing.T) {
					for range rounds(t) {
						race.run(t, h, p)
					}
				})
			}
		})
	}
}

type race struct {
	name string
	run  func(*testing.T, *house.House, *house.Relying)
}

func races() []race {
	return []race{
		{"session", raceSession}, {"time-step", raceStep}, {"recovery-code", raceRecovery}, {"enrolment", raceEnrolment},
		{"passkey", racePasskey}, {"liveness", raceLiveness}, {"consent-code-refresh", raceCode}, {"phone", racePhone},
		{"enrolment-code", raceClaim}, {"client-assertion", raceAssertion}, {"rotation", raceRotation},
		{"activation", raceActivation}, {"activation-code", raceActivationCode},
	}
}

// raceSession: the last answer of a sign-in makes one session.
func raceSession(t *testing.T, h *house.House, p *house.Relying) {
	s := walkTo(t, h, p, "device")
	action, form := s.page.Form("device-skip")
	form.Set("device-skip", "1")
	robots := herd(t, h, s.robot)
	one(t, "sessions", rush(crowd, func(i int) *house.Answer { return robots[i].PostOnce(action, form) }), gotSession)
}

// raceStep: one time step opens one sign-in, whether the code is sent again in its
// own sign-in or in others.
func raceStep(t *testing.T, h *house.House, p *house.Relying) {
	c := h.Citizen(t)
	moved := func(s spot) int {
		if s.here(t) == "/login/device 200" {
			return 1
		}
		return 0
	}
	first := halfIn(t, h, c)
	const others = 4
	spots := []spot{first}
	for range others {
		spots = append(spots, halfIn(t, h, c))
	}
	code := c.Code()
	answers := rush(crowd, func(i int) *house.Answer {
		s := spots[i%len(spots)]
		r := s.robot.Clone(t)
		r.At = h.Replicas[i%len(h.Replicas)]
		action, form := s.page.Form("code-submit")
		form.Set("code", code)
		return r.PostOnce(action, form)
	})
	winners(t, "time step", answers, func(*house.Answer) bool { return false })
	n := 0
	for _, s := range spots {
		n += moved(s)
	}
	if n != 1 {
		t.Errorf("one time step opened %d sign-ins", n)
	}
}

// halfIn is a sign-in of c that waits for the second factor.
func halfIn(t *testing.T, h *house.House, c *house.Citizen) spot {
	t.Helper()
	r := h.Robot(t)
	return at(t, r, c, r.Get("/login").Submit("login-submit", "username", c.Card, "password", c.Password), nil)
}

// raceRecovery: one code on paper opens one sign-in.
func raceRecovery(t *testing.T, h *house.House, _ *house.Relying) {
	c := h.Citizen(t)
	var spots []spot
	for range 4 {
		s := halfIn(t, h, c)
		s.page = s.page.Click("way-recovery")
		spots = append(spots, s)
	}
	answers := rush(crowd, func(i int) *house.Answer {
		s := spots[i%len(spots)]
		r := s.robot.Clone(t)
		r.At = h.Replicas[i/len(spots)%len(h.Replicas)]
		action, form := s.page.Form("code-submit")
		form.Set("code", c.Recovery[0])
		return r.PostOnce(action, form)
	})
	winners(t, "recovery code", answers, func(*house.Answer) bool { return false })
	n := 0
	for _, s := range spots {
		if strings.HasPrefix(s.here(t), "/login/enrol ") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("one recovery code opened %d sign-ins", n)
	}
}

// raceEnrolment: one answer binds the new app.
func raceEnrolment(t *testing.T, h *house.House, p *house.Relying) {
	s := walkTo(t, h, p, "enrol")
	page := s.page.Click("way-totp")
	s.who.Scan(t, page.Text("secret"))
	action, form := page.Form("code-submit")
	form.Set("code", s.who.Code())
	robots := herd(t, h, s.robot)
	answers := rush(crowd, func(i int) *house.Answer { return robots[i].PostOnce(action, form) })
	winners(t, "enrolment", answers, gotSession)
	if got := s.here(t); got != "/login/device 200" && got != "/login/codes 200" {
		t.Errorf("after enrolling the sign-in is at %s", got)
	}
	// The generator that was bound is the one that was shown.
	if a := s.who.SignIn(h.Robot(t).Get("/login")); strings.HasPrefix(a.Path, "/login") {
		t.Errorf("the new app does not sign in: %s", a.Text("problem"))
	}
}

// racePasskey: an assertion is judged once.
func racePasskey(t *testing.T, h *house.House, _ *house.Relying) {
	c, key := h.Citizen(t), h.Passkey(t, false)
	keyed(t, h, c, key)
	r := h.Robot(t)
	a := r.Get("/login")
	ceremony := a.Ceremony()
	body := key.Sign(a.Options())
	robots := herd(t, h, r)
	answers := rush(crowd, func(i int) *house.Answer { return robots[i].JSON(ceremony.Finish, ceremony.CSRF, body) })
	winners(t, "passkey", answers, gotSession)
	if s := at(t, r, c, r.Get("/login?"+query(ceremony.Finish)), nil); s.step() != "device" {
		t.Errorf("after the passkey the sign-in is at %s", s.step())
	}
}

func query(path string) string { _, q, _ := strings.Cut(path, "?"); return q }

// keyed gives a citizen a device-bound passkey, by asking for what needs one.
func keyed(t *testing.T, h *house.House, c *house.Citizen, key *house.Passkey) *house.Robot {
	t.Helper()
	p := h.Relying(t, "keyed-"+strings.ToLower(c.Card))
	r := h.Robot(t)
	a := r.Get(p.Ask("openid insurance.pay").Path()).Submit("login-submit", "username", c.Card, "password", c.Password)
	a = key.Register(a.Submit("code-submit", "code", c.Code()).Submit("step-continue"))
	a = key.SignIn(a)
	if a.Has("device-skip") {
		a = a.Submit("device-skip")
	}
	if !a.Has("consent-allow") {
		t.Fatalf("with a new passkey the walk ended at %s (%d, %s)", a.Path, a.Status, a.Title())
	}
	return r
}

// raceLiveness: a verdict is heard once.
func raceLiveness(t *testing.T, h *house.House, p *house.Relying) {
	s := walkTo(t, h, p, "liveness")
	sent := s.page.Submit("liveness-start", "face-consent", "yes")
	session := pass(t, sent)
	robots := herd(t, h, s.robot)
	answers := rush(crowd, func(i int) *house.Answer { return robots[i].Raw(http.MethodGet, session, "", nil, nil) })
	winners(t, "liveness", answers, gotSession)
	if got := s.here(t); got != "/login/device 200" {
		t.Errorf("after the verdict the sign-in is at %s", got)
	}
}

// pass presses the stand-in's button and returns the way back.
func pass(t *testing.T, sent *house.Answer) string { return capture(t, sent, "pass") }

func capture(t *testing.T, sent *house.Answer, answer string) string {
	t.Helper()
	if sent.Location == "" {
		t.Fatalf("the browser was not sent to the provider: %s (%d, %s)", sent.Path, sent.Status, sent.Text("problem"))
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(sent.Location, url.Values{"answer": {answer}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || back.Path != "/login/liveness/return" {
		t.Fatalf("the provider sent the browser to %q", resp.Header.Get("Location"))
	}
	return back.RequestURI()
}

// raceCode: one consent, one code, one redemption; and the code that came back a
// second time takes what the first one gave (RFC 6749 §4.1.2).
func raceCode(t *testing.T, h *house.House, p *house.Relying) {
	c, r := h.Citizen(t), h.Robot(t)
	q := p.Ask("openid pension.read offline_access")
	a := c.SignIn(r.Get(q.Path()))
	action, form := a.Form("consent-allow")
	form.Set("consent-allow", "1")
	robots := herd(t, h, r)
	answers := rush(crowd, func(i int) *house.Answer { return robots[i].PostOnce(action, form) })
	one(t, "consent", answers, gotCode)
	code := ""
	for _, a := range answers {
		if gotCode(a) {
			code = q.Came(a.Location).Get("code")
		}
	}
	redeem := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.Redirect}, "code_verifier": {q.Verifier}}
	tokens := make([]house.Tokens, crowd)
	rush(crowd, func(i int) *house.Answer {
		tokens[i] = p.Token(h.Replicas[i%len(h.Replicas)], redeem)
		return nil
	})
	var won []house.Tokens
	for _, tok := range tokens {
		switch {
		case tok.Status == http.StatusOK:
			won = append(won, tok)
		case tok.Status != http.StatusBadRequest || tok.Error != "invalid_grant":
			t.Errorf("a loser heard %d %s", tok.Status, tok.Error)
		}
	}
	if len(won) != 1 {
		t.Fatalf("a code was redeemed %d times", len(won))
	}
	again := p.Token(h.Replicas[0], url.Values{"grant_type": {"refresh_token"}, "refresh_token": {won[0].Refresh}})
	if again.Status != http.StatusBadRequest {
		t.Errorf("after the code came back a refresh is answered with %d", again.Status)
	}
}

// racePhone: a signed request and an answer count once.
func racePhone(t *testing.T, h *house.House, _ *house.Relying) {
	c := h.Citizen(t)
	ph, _ := phoneOf(t, h, c, jose.ES256)
	// The same signed request, again and again.
	path := "/device/v1/devices/" + ph.ID.String()
	head := ph.Sign(http.MethodGet, path, ph.Nonce(), nil)
	one(t, "signed request", rush(crowd, func(int) *house.Answer { return ph.SendWith(head, http.MethodGet, path, nil) }), gotOK)
	// The same answer in requests of their own.
	s := halfIn(t, h, c)
	page := ringing(s.page)
	asked := ph.Asked()
	if len(asked) != 1 {
		t.Fatalf("the phone was asked %d questions", len(asked))
	}
	number := numberOn(t, page)
	one(t, "approval", rush(crowd, func(int) *house.Answer { return ph.Answer(asked[0], phone.Approve, number) }), gotOK)
	action, form := page.Form("phone-continue")
	robots := herd(t, h, s.robot)
	winners(t, "phone-continue", rush(crowd, func(i int) *house.Answer { return robots[i].PostOnce(action, form) }), gotSession)
	if got := s.here(t); got != "/login/device 200" {
		t.Errorf("after the approval the sign-in is at %s", got)
	}
}

// walkTo stops at a step by name.
func walkTo(t *testing.T, h *house.House, p *house.Relying, name string) spot {
	t.Helper()
	for _, w := range halfWays() {
		if w.name == name {
			return w.reach(t, h, p)
		}
	}
	t.Fatalf("there is no step %s", name)
	return spot{}
}

// ringing goes on from where a second factor is asked for until the phone rings.
func ringing(a *house.Answer) *house.Answer {
	if a.Has("way-phone") {
		a = a.Click("way-phone")
	}
	if len(a.Texts("match", "strong")) == 0 {
		a = a.Submit("phone-continue")
	}
	return a
}

func numberOn(t *testing.T, a *house.Answer) int {
	t.Helper()
	for _, s := range a.Texts("match", "strong") {
		n, err := strconv.Atoi(s)
		if err == nil {
			return n
		}
	}
	t.Fatalf("%s shows no number", a.Path)
	return 0
}

// phoneOf binds a phone on the account page.
func phoneOf(t *testing.T, h *house.House, c *house.Citizen, alg jose.Alg) (*house.Phone, *house.Robot) {
	t.Helper()
	r := h.Robot(t)
	c.SignIn(r.Get("/login"))
	a := r.Get("/account/devices/phone")
	code := a.Text("secret")
	if code == "" {
		t.Fatalf("no code for the phone at %s (%d, %s)", a.Path, a.Status, a.Title())
	}
	ph := h.Phone(t, alg)
	ph.Bind(code)
	return ph, r
}
