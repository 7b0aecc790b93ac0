package authn_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

func TestPasswordAndCode(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	// Each of her numbers is her, however it is written.
	for i, name := range []string{aliceCard, " a1234-5678 ", strings.ToLower(aliceID), "+86 138 0013 1234"} {
		b := w.browser("b" + name)
		r := b.begin()
		r = b.fill(r, "username", name, "password", goodWord)
		p := page[templates.TOTPCode](t, r)
		if p.Greeting != greeting || p.Problem.Given() {
			t.Errorf("%d: greeting %q, problem %v", i, p.Greeting, p.Problem)
		}
		if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("half a login is a login: %v", err)
		}
		r = b.fill(r, "code", w.totp(alice))
		page[templates.BindDevice](t, r)
		if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("before the last step: %v", err)
		}
		r = b.fill(r, "device-skip", "1")
		if r.status != http.StatusSeeOther || r.to != "/account" {
			t.Fatalf("%d %s", r.status, r.to)
		}
		l, err := b.login()
		if err != nil || l.Citizen != alice.id || !l.Meets(identity.Need{Level: identity.LevelMFA}, w.clock.Now()) {
			t.Errorf("%+v, %v", l, err)
		}
		w.clock.Advance(31 * time.Second)
	}
	b := w.browser("again")
	b.signIn(alice, "device-skip")
	if r := b.get("/login"); r.status != http.StatusSeeOther || r.to != "/account" {
		t.Errorf("signed in and asked again: %d %s", r.status, r.to)
	}
}

func TestSessionEnds(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	b.signIn(alice, "device-skip")
	for range 3 {
		w.clock.Advance(50 * time.Minute)
		if _, err := b.login(); err != nil {
			t.Fatalf("in use and yet gone: %v", err)
		}
	}
	w.clock.Advance(61 * time.Minute)
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("idle for an hour: %v", err)
	}
	b.signIn(alice, "device-skip")
	for range 23 {
		w.clock.Advance(59 * time.Minute)
		if _, err := b.login(); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Advance(59 * time.Minute)
	_, _ = b.login()
	w.clock.Advance(59 * time.Minute)
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("after a day: %v", err)
	}
}

func TestAmbiguousCookie(t *testing.T) {
	w := newWorld(t)
	b := w.browser("b")
	b.signIn(w.alice(), "device-skip")
	r, _ := http.NewRequest("GET", origin, nil)
	for range 2 {
		r.AddCookie(&http.Cookie{Name: "__Host-login", Value: b.cookies["__Host-login"]})
	}
	if _, err := w.svc.Current(r); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("two cookies of the name: %v", err)
	}
}

func TestWrongAnswers(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", "wrong")
	p := page[templates.Login](t, r)
	if p.Problem.Key != templates.ProblemCredentials || p.Account != aliceCard || p.Greeting != "" {
		t.Errorf("%+v", p)
	}
	// The bytes are exact: no trimming, no folding.
	for _, word := range []string{"", " " + goodWord, strings.ToUpper(goodWord), strings.Repeat("x", 2000)} {
		w.clock.Advance(time.Hour)
		if r = b.fill(b.begin(), "username", aliceCard, "password", word); problem(t, r) != templates.ProblemCredentials {
			t.Errorf("%q: %T", word, r.Page)
		}
	}
	w.clock.Advance(time.Hour)
	r = b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	code := w.totp(alice)
	for wrong, want := range map[string]templates.Key{
		"":                       templates.ProblemCodeFormat,
		"12345":                  templates.ProblemCodeFormat,
		" " + code:               templates.ProblemCodeFormat,
		"１２３４５６":                 templates.ProblemCodeFormat,
		flip(code):               templates.ProblemCode,
		strings.Repeat("1", 500): templates.ProblemCodeFormat,
	} {
		if r = b.fill(r, "code", wrong); problem(t, r) != want {
			t.Errorf("%q: %v", wrong, problem(t, r))
		}
	}
	r = b.fill(r, "code", code)
	page[templates.BindDevice](t, r)

	// Used is used: in another flow, and in the same step.
	c := w.browser("c")
	r = c.fill(c.begin(), "username", aliceCard, "password", goodWord)
	if r = c.fill(r, "code", code); problem(t, r) != templates.ProblemCode {
		t.Error("a code was taken twice")
	}
}

func flip(code string) string {
	last := byte('0' + (code[5]-'0'+1)%10)
	return code[:5] + string(last)
}

// TestOrder calls, from each half-finished state, every other step (SECURITY G4).
func TestOrder(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	ways := []string{"password", "code", "recovery", "phone", "key", "liveness", "enrol/totp", "codes", "device", "activate", "activate/password", "activate/greeting", "choose"}
	at := func(name string, r reply, mine ...string) {
		t.Helper()
		for _, way := range ways {
			if strings.Contains(strings.Join(mine, " "), way) {
				continue
			}
			got := b.post("/login/"+way, r.Flow, "username", aliceCard, "password", goodWord, "code", w.totp(alice),
				"device-skip", "1", "greeting", "x", "face-consent", "yes", "card", aliceCard)
			if got.status != http.StatusSeeOther || !strings.HasPrefix(got.to, "/login?flow=") {
				t.Errorf("at %s, %s: %d %s", name, way, got.status, got.to)
			}
		}
		for _, way := range []string{"passkey/options", "passkey/finish", "enrol/passkey/options", "enrol/passkey/finish"} {
			if strings.Contains(strings.Join(mine, " "), way) {
				continue
			}
			got := b.script("/login/"+way+"?flow="+r.Flow, "{}")
			if got.status != http.StatusOK || !strings.Contains(got.body, `"next":"/login?flow=`) {
				t.Errorf("at %s, %s: %d %s", name, way, got.status, got.body)
			}
		}
		if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
			t.Fatalf("at %s somebody got in", name)
		}
	}
	r := b.begin()
	first := r
	at("identify", r, "password", "passkey/options", "passkey/finish")
	r = b.fill(r, "username", aliceCard, "password", goodWord)
	at("factor", r, "code", "choose")
	// The back button: the first page's form once more, by somebody else.
	if got := b.post(first.Path, first.Flow, "username", bobCard, "password", goodWord); got.status != http.StatusSeeOther {
		t.Errorf("back button: %d", got.status)
	}
	r = b.fill(r, "code", w.totp(alice))
	at("device", r, "device")
	w.clock.Advance(31 * time.Second)
	r = b.fill(r, "device-skip", "1")
	if r.to != "/account" {
		t.Fatalf("%d %s", r.status, r.to)
	}
	// The flow is over: its pages are gone, and it cannot be finished again.
	for _, p := range []string{"/login", "/login/code", "/login/device"} {
		if got := b.visit(p + "?flow=" + first.Flow); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", p, got.status)
		}
	}
	if got := b.post("/login/device", first.Flow, "device-skip", "1"); got.status != http.StatusNotFound {
		t.Errorf("finished twice: %d", got.status)
	}
}

// TestPlace: a page stands at its own address, whatever address was asked for.
func TestPlace(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	r := b.begin()
	for _, asked := range []string{"device", "code", "codes", "liveness", "enrol/totp", "impossible", "activate/password", "key"} {
		got := b.visit("/login/" + asked + "?flow=" + r.Flow)
		page[templates.Login](t, got)
		if got.Path != r.Path {
			t.Errorf("%s stands at %s", asked, got.Path)
		}
	}
	for _, bad := range []string{"x", "AAAAAAAAAAAAAAAAAAAAAA", strings.Repeat("A", 400), r.Flow + "&flow=" + r.Flow} {
		if got := b.get("/login?flow=" + bad); got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
			t.Errorf("flow %q: %d", bad, got.status)
		}
	}
	_ = alice
}

func TestAnotherBrowser(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b, thief := w.browser("b"), w.browser("thief")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	for _, got := range []reply{
		thief.get("/login?flow=" + r.Flow),
		thief.post("/login/code", r.Flow, "code", w.totp(alice)),
		thief.post("/login/cancel", r.Flow),
		thief.get("/login/phone/state?flow=" + r.Flow),
		thief.script("/login/passkey/options?flow="+r.Flow, "{}"),
	} {
		if got.status != http.StatusNotFound {
			t.Errorf("%d %s", got.status, got.to)
		}
	}
	none := w.browser("x")
	delete(none.cookies, "browser")
	if got := none.get("/login"); got.status != http.StatusNotFound {
		t.Errorf("a browser without a name began a flow: %d", got.status)
	}
	r = b.fill(r, "code", w.totp(alice))
	page[templates.BindDevice](t, r)
}

// TestTwoPeople: nobody slips into somebody else's flow, and the second citizen in
// a browser ends the first one's session (SECURITY OI4).
func TestTwoPeople(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.alice(), w.bob()
	b := w.browser("b")
	b.signIn(alice, "device-skip")
	first := b.cookies["__Host-login"]
	// oauth asks for a fresh login of anybody.
	r := b.raise(identity.Need{Level: identity.LevelMFA, Since: w.clock.Now()})
	r = b.fill(r, "username", bobCard, "password", goodWord)
	// Alice's code does not finish what Bob began.
	if r = b.fill(r, "code", w.totp(alice)); problem(t, r) != templates.ProblemCode {
		t.Fatalf("%T", r.Page)
	}
	r = b.fill(r, "code", w.totp(bob))
	r = b.fill(r, "device-skip", "1")
	if r.to != "/authorize?request_uri=x" {
		t.Fatalf("%d %s", r.status, r.to)
	}
	if l, err := b.login(); err != nil || l.Citizen != bob.id {
		t.Errorf("%+v %v", l, err)
	}
	b.cookies["__Host-login"] = first
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Alice is still signed in here: %v", err)
	}
	// Where one citizen was meant, another is not recognised, right password or not.
	c := w.browser("c")
	w.clock.Advance(time.Minute)
	r = c.raise(identity.Need{Level: identity.LevelMFA, Citizen: alice.id})
	if r = c.fill(r, "username", bobCard, "password", goodWord); problem(t, r) != templates.ProblemCredentials {
		t.Errorf("%T", r.Page)
	}
}

func TestStepUp(t *testing.T) {
	w := newWorld(t, func(p *authn.Parts) { p.Config.Floor = identity.LevelBasic })
	alice := w.alice()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	r = b.fill(r, "device-skip", "1")
	if r.to != "/account" {
		t.Fatalf("%d %s %T", r.status, r.to, r.Page)
	}
	before := b.cookies["__Host-login"]
	low, _ := b.login()
	if low.Meets(identity.Need{Level: identity.LevelMFA}, w.clock.Now()) {
		t.Fatal("a password is two factors")
	}
	// Only what is missing is asked for, and the session is another one after it.
	r = b.raise(identity.Need{Level: identity.LevelMFA, Asker: &identity.Asker{Name: map[string]string{"": "Pension"}, Host: "rp.example"}})
	if p := page[templates.TOTPCode](t, r); p.Asker.Name != "Pension" || p.Asker.Host != "rp.example" {
		t.Errorf("%+v", p.Asker)
	}
	r = b.fill(r, "code", w.totp(alice))
	if r.to != "/authorize?request_uri=x" {
		t.Fatalf("%d %s %T", r.status, r.to, r.Page)
	}
	if b.cookies["__Host-login"] == before {
		t.Error("the session id outlived the change of level")
	}
	high, err := b.login()
	if err != nil || !high.Meets(identity.Need{Level: identity.LevelMFA}, w.clock.Now()) {
		t.Errorf("%+v %v", high, err)
	}
	if !high.Ends.Equal(low.Proofs[0].At.Add(24 * time.Hour)) {
		t.Errorf("a step-up gave a second day: %v", high.Ends)
	}
	b.cookies["__Host-login"] = before
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("the old session lives: %v", err)
	}
}

// TestSignedOutMeanwhile: a step-up cannot bring back a session that was ended in
// another tab (SECURITY G6).
func TestSignedOutMeanwhile(t *testing.T) {
	w := newWorld(t, func(p *authn.Parts) { p.Config.Floor = identity.LevelBasic })
	alice := w.alice()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	b.fill(r, "device-skip", "1")
	r = b.raise(identity.Need{Level: identity.LevelMFA})
	page[templates.LogoutConfirm](t, b.get("/logout"))
	out := b.follow(b.post("/logout", "", "logout-confirm", "1"))
	page[templates.SignedOut](t, out)
	if r = b.fill(r, "code", w.totp(alice)); r.status != http.StatusNotFound {
		t.Errorf("%d %s", r.status, r.to)
	}
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestFrozenMeanwhile: the same for a card that was frozen between two steps.
func TestFrozenMeanwhile(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	if err := w.store.SetCardState(t.Context(), alice.id, identity.CardFrozen, w.event(audit.CitizenFrozen, alice.id)); err != nil {
		t.Fatal(err)
	}
	if r = b.fill(r, "code", w.totp(alice)); r.status != http.StatusNotFound {
		t.Errorf("%d %s", r.status, r.to)
	}
	if err := w.store.SetCardState(t.Context(), alice.id, identity.CardNormal, w.event(audit.CitizenRestored, alice.id)); err != nil {
		t.Fatal(err)
	}
	if r = b.visit("/login?flow=" + r.Flow); r.status != http.StatusNotFound {
		t.Errorf("thawed with the card: %d", r.status)
	}
}

// TestSideBySide: of identical answers at the same time one is taken.
func TestSideBySide(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	const n = 12
	together := func(target, flow string, fields ...string) map[int]int {
		var wg sync.WaitGroup
		var mu sync.Mutex
		count := map[int]int{}
		for range n {
			wg.Go(func() {
				b := w.browser("b")
				r := b.post(target, flow, fields...)
				mu.Lock()
				defer mu.Unlock()
				key := r.status
				if r.status == http.StatusSeeOther && r.to == "/account" {
					key = 1
				}
				count[key]++
			})
		}
		wg.Wait()
		return count
	}
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	page[templates.TOTPCode](t, r)
	together("/login/code", r.Flow, "code", w.totp(alice))
	// One was right; the flow went on, once.
	r = b.visit("/login?flow=" + r.Flow)
	page[templates.BindDevice](t, r)
	done := together("/login/device", r.Flow, "device-skip", "1")
	if done[1] != 1 {
		t.Errorf("finished %d times: %v", done[1], done)
	}
	logins, err := w.store.ListLogins(t.Context(), alice.id, w.clock.Now())
	if err != nil || len(logins) != 1 {
		t.Errorf("%d sessions, %v", len(logins), err)
	}
}

// TestConflictShowsTheWayOn: a form sent twice is answered twice, and the second
// answer shows what is owed by then.
func TestConflictShowsTheWayOn(t *testing.T) {
	w := newWorld(t)
	w.alice()
	b := w.browser("b")
	r := b.begin()
	form := []string{"username", aliceCard, "password", goodWord}
	var came atomic.Bool
	w.svc.Store = racing{w.store, func() {
		if !came.Swap(true) {
			b.post(r.Path, r.Flow, form...)
		}
	}}
	got := b.post(r.Path, r.Flow, form...)
	if got.status != http.StatusConflict {
		t.Fatalf("%d %s", got.status, got.to)
	}
	page[templates.TOTPCode](t, got)
}

// racing lets another answer in between the reading and the moving.
type racing struct {
	authn.Store
	meanwhile func()
}

func (s racing) Attempt(ctx context.Context, now time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	s.meanwhile()
	return s.Store.Attempt(ctx, now, tries...)
}

func TestFormsAreStrict(t *testing.T) {
	w := newWorld(t)
	b := w.browser("b")
	r := b.begin()
	for name, got := range map[string]reply{
		"a field twice":  b.send("POST", "/login/password", "application/x-www-form-urlencoded", "flow="+r.Flow+"&username=a&username=b&password=c"),
		"no UTF-8":       b.send("POST", "/login/password", "application/x-www-form-urlencoded", "flow="+r.Flow+"&username=%ff&password=c"),
		"NUL":            b.send("POST", "/login/password", "application/x-www-form-urlencoded", "flow="+r.Flow+"&username=%00&password=c"),
		"broken escapes": b.send("POST", "/login/password", "application/x-www-form-urlencoded", "flow="+r.Flow+"&username=%zz"),
		"too much":       b.send("POST", "/login/password", "application/x-www-form-urlencoded", "flow="+r.Flow+"&username="+strings.Repeat("a", 70<<10)),
		"no JSON":        b.script("/login/passkey/finish?flow="+r.Flow, "{"),
		"no challenge":   b.script("/login/passkey/finish?flow="+r.Flow, `{"response":{"clientDataJSON":"e30"}}`),
	} {
		if got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := b.send("POST", "/login/password", "text/plain", "flow="+r.Flow); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("%d", got.status)
	}
	if got := b.send("POST", "/login/passkey/options?flow="+r.Flow, "text/plain", "{}"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("%d", got.status)
	}
	if got := b.post("/login/password", "", "username", "x"); got.status != http.StatusNotFound {
		t.Errorf("no flow: %d", got.status)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	b := w.browser("b")
	r := b.raise(identity.Need{Level: identity.LevelMFA, Asker: &identity.Asker{ClientID: "rp"}})
	// A link ends nothing: it asks, and leads back to where the sign-in stands.
	for range 2 {
		asks := b.get("/login/cancel?flow=" + r.Flow)
		if p := page[templates.Cancel](t, asks); asks.Flow != r.Flow || page[templates.Login](t, b.visit(p.BackURL)).Problem.Given() {
			t.Errorf("%+v", asks)
		}
	}
	if got := b.post("/login/cancel", r.Flow); got.to != "/authorize?request_uri=x&login=cancelled" {
		t.Errorf("%d %s", got.status, got.to)
	}
	if got := b.visit("/login?flow=" + r.Flow); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
	r = b.begin()
	if got := b.post("/login/cancel", r.Flow); got.to != "/signed-out" {
		t.Errorf("%d %s", got.status, got.to)
	}
}

func TestFlowsEnd(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	w.clock.Advance(16 * time.Minute)
	if r = b.fill(r, "code", w.totp(alice)); r.status != http.StatusNotFound {
		t.Errorf("%d", r.status)
	}
}
