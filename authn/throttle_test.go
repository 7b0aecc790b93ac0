package authn_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

// looks is all of an answer that a stranger sees, with what differs by design
// (the flow's own name) taken out.
func looks(r reply, flow string) string {
	clean := func(s string) string { return strings.ReplaceAll(s, flow, "FLOW") }
	r.header.Del("X-Page")
	return fmt.Sprintf("%d %s %v %s", r.status, clean(r.to), clean(fmt.Sprint(r.header)), clean(r.body))
}

// TestEqualAnswers: nobody, somebody with another password, a frozen card and one
// that was never activated look alike and make us work alike, throttled or not
// (SECURITY PW1, PW3).
func TestEqualAnswers(t *testing.T) {
	w := newWorld(t)
	w.alice()
	bob := w.bob()
	if err := w.store.SetCardState(t.Context(), bob.id, identity.CardFrozen, w.event(audit.CitizenFrozen, bob.id)); err != nil {
		t.Fatal(err)
	}
	w.imports("王未来", "C12345678", leap(t), "13700137000")
	classes := map[string][2]string{
		"wrong":     {aliceCard, "wrong"},
		"nobody":    {nobody, goodWord},
		"not-a-no.": {"whoever", goodWord},
		"frozen":    {bobCard, goodWord}, // the right password
		"not-in":    {"C12345678", goodWord},
	}
	for round := range 8 {
		want := ""
		for name, c := range classes {
			b := w.browser(name)
			b.from = fmt.Sprintf("198.51.100.%d:1", len(name)+round*10)
			r := b.begin()
			before := w.hasher.nothing.Load() + w.hasher.real.Load()
			got := b.post(r.Path, r.Flow, "username", c[0], "password", c[1])
			if worked := w.hasher.nothing.Load() + w.hasher.real.Load() - before; worked != 1 {
				t.Errorf("round %d, %s: %d hashes", round, name, worked)
			}
			shown := b.follow(got)
			p := page[templates.Login](t, shown)
			l := looks(got, r.Flow) + fmt.Sprint(p.Problem, p.Greeting)
			if want == "" {
				want = l
			}
			if l != want {
				t.Errorf("round %d, %s:\n%s\nothers:\n%s", round, name, l, want)
			}
		}
	}
	// Now everybody is throttled, and the right password looks like a wrong one.
	b := w.browser("late")
	b.from = "203.0.113.9:1"
	for _, word := range []string{goodWord, "wrong"} {
		if r := b.fill(b.begin(), "username", aliceCard, "password", word); problem(t, r) != templates.ProblemCredentials {
			t.Errorf("%q: %v", word, problem(t, r))
		}
	}
	// It heals by itself.
	w.clock.Advance(15*time.Minute + time.Second)
	if r := b.fill(b.begin(), "username", aliceCard, "password", goodWord); r.Page == nil {
		t.Error(r.status)
	} else {
		page[templates.TOTPCode](t, r)
	}
}

// leap is a fourth citizen's number.
func leap(t *testing.T) string {
	t.Helper()
	const seventeen = "11010520000229001"
	weights := []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, n := range weights {
		sum += n * int(seventeen[i]-'0')
	}
	return seventeen + string("10X98765432"[sum%11])
}

// TestGuessesSideBySideCount: a hundred at once get no more looks than five.
func TestGuessesSideBySideCount(t *testing.T) {
	w := newWorld(t)
	w.alice()
	var wg sync.WaitGroup
	aliases := []string{aliceCard, aliceID, alicePhon}
	for i := range 30 {
		wg.Go(func() {
			b := w.browser(fmt.Sprint(i))
			b.from = fmt.Sprintf("198.51.100.%d:1", i)
			b.fill(b.begin(), "username", aliases[i%3], "password", fmt.Sprint("guess", i))
		})
	}
	wg.Wait()
	if n := w.hasher.real.Load(); n > 6 {
		t.Errorf("%d guesses were judged", n)
	}
}

// TestStrangersCannotLockOut: while somebody guesses from elsewhere, the owner's
// trusted browser still works (SECURITY PW3), and others are not concerned.
func TestStrangersCannotLockOut(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.alice(), w.bob()
	home := w.browser("home")
	home.signIn(alice, "device-bind")
	stranger := w.browser("stranger")
	stranger.from = "203.0.113.5:1"
	for i := range 10 {
		stranger.fill(stranger.begin(), "username", aliceCard, "password", fmt.Sprint(i))
	}
	if r := stranger.fill(stranger.begin(), "username", aliceCard, "password", goodWord); problem(t, r) != templates.ProblemCredentials {
		t.Fatalf("%T", r.Page)
	}
	delete(home.cookies, "__Host-login")
	page[templates.TOTPCode](t, home.fill(home.begin(), "username", aliceCard, "password", goodWord))
	// Bob's success in the stranger's browser gives back nothing of Alice's.
	r := stranger.fill(stranger.begin(), "username", bobCard, "password", goodWord)
	page[templates.BindDevice](t, stranger.fill(r, "code", w.totp(bob)))
	r = stranger.fill(stranger.begin(), "username", aliceCard, "password", goodWord)
	if problem(t, r) != templates.ProblemCredentials {
		t.Errorf("%T", r.Page)
	}
}

func TestCodeBudget(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	b := w.browser("b")
	r := b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	for i := range 5 {
		page[templates.TOTPCode](t, r)
		r = b.fill(r, "code", fmt.Sprintf("00000%d", i))
	}
	// Five tries are all a flow has.
	page[templates.Error](t, r)
	if r.status != http.StatusForbidden {
		t.Errorf("%d", r.status)
	}
	// A new flow has no new budget.
	r = b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	if r = b.fill(r, "code", w.totp(alice)); problem(t, r) != templates.ProblemThrottled {
		t.Errorf("%v", problem(t, r))
	}
	w.clock.Advance(16 * time.Minute)
	r = b.fill(b.begin(), "username", aliceCard, "password", goodWord)
	page[templates.BindDevice](t, b.fill(r, "code", w.totp(alice)))
}

func TestBusy(t *testing.T) {
	w := newWorld(t)
	w.alice()
	b := w.browser("b")
	r := b.begin()
	w.hasher.busy.Store(true)
	for range 20 {
		for _, name := range []string{aliceCard, nobody} {
			got := b.post(r.Path, r.Flow, "username", name, "password", goodWord)
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Fatalf("%d %v", got.status, got.header)
			}
		}
		w.clock.Advance(31 * time.Second)
	}
	w.hasher.busy.Store(false)
	// Nobody was judged, so nobody has used up anything.
	page[templates.TOTPCode](t, b.fill(r, "username", aliceCard, "password", goodWord))
}

// TestSpraying: many wrong guesses over many accounts raise the alarm once.
func TestSpraying(t *testing.T) {
	seen := &counter{}
	w := newWorld(t, func(p *authn.Parts) { p.Config.Rules.Alarm = 20; p.Observer = seen })
	for i := range 30 {
		b := w.browser(fmt.Sprint(i))
		b.from = fmt.Sprintf("198.51.%d.7:1", i)
		b.fill(b.begin(), "username", fmt.Sprintf("Z%08d", i), "password", "spring2026")
	}
	if n := seen.of("alarm/spraying"); n != 1 {
		t.Errorf("%d alarms", n)
	}
}

type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) Observe(step, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[step+"/"+outcome]++
}

func (c *counter) of(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}
