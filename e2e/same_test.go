package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// frozen sets a citizen's card to a state.
func frozen(t *testing.T, h *house.House, c *house.Citizen, to identity.CardState) *house.Citizen {
	t.Helper()
	e := audit.Event{Kind: audit.CitizenFrozen, At: h.Clock.Now(), Actor: audit.ByOperator, Citizen: c.ID, Reason: "test"}
	if err := h.Store.SetCardState(t.Context(), c.ID, to, e); err != nil {
		t.Fatal(err)
	}
	return c
}

// face is everything of an answer somebody could tell two accounts apart by; what
// is random in every answer is struck out.
func face(a *house.Answer, typed ...string) string {
	body := a.Body
	for _, s := range typed {
		body = strings.ReplaceAll(body, s, "TYPED")
	}
	for _, re := range []*regexp.Regexp{
		regexp.MustCompile(`nonce(=|-)"?[A-Za-z0-9_-]{20,}`), regexp.MustCompile(`name="csrf" value="[^"]*"`), regexp.MustCompile(`data-csrf="[^"]*"`),
		regexp.MustCompile(`flow=[A-Za-z0-9_-]{22}`), regexp.MustCompile(`name="flow" value="[^"]*"`), regexp.MustCompile(`<code>[A-Za-z0-9_-]{8}</code>`),
		regexp.MustCompile(`"reference":"[^"]*"`), regexp.MustCompile(`"challenge":"[^"]*"`),
	} {
		body = re.ReplaceAllString(body, "RANDOM")
	}
	var head []string
	for k, vs := range a.Header {
		for _, v := range vs {
			switch k {
			case "Date":
				continue
			case "Content-Length":
				// The typed name is echoed: its own length is no secret to who typed it.
				v = "N"
			case "Set-Cookie":
				v = regexp.MustCompile(`=[A-Za-z0-9_-]{43};`).ReplaceAllString(v, "=RANDOM;")
			case "Content-Security-Policy":
				v = regexp.MustCompile(`nonce-[A-Za-z0-9_-]+`).ReplaceAllString(v, "nonce")
			case "Location":
				v = regexp.MustCompile(`flow=[A-Za-z0-9_-]{22}`).ReplaceAllString(v, "flow")
			}
			head = append(head, k+": "+v)
		}
	}
	slices.Sort(head)
	return fmt.Sprint(a.Status, "\n", strings.Join(head, "\n"), "\n\n", body)
}

// differs says where two faces part.
func differs(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(la), len(lb)) {
		x, y := "", ""
		if i < len(la) {
			x = la[i]
		}
		if i < len(lb) {
			y = lb[i]
		}
		if x != y {
			return fmt.Sprintf("%q against %q", x, y)
		}
	}
	return ""
}

// TestSame: nobody can tell from an answer whether there is an account, and in
// what state (SECURITY PW1, PW3).
func TestSame(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	good := h.Citizen(t)
	newcomer := h.Newcomer(t)
	cold := frozen(t, h, h.Citizen(t), identity.CardFrozen)
	lost := frozen(t, h, h.Citizen(t), identity.CardTempLost)
	type class struct{ name, card, id, phone, password, code string }
	of := func(name string, c *house.Citizen, password, code string) class {
		return class{name, c.Card, c.IDNumber, c.Phone, password, code}
	}
	classes := []class{
		of("existing", good, "wrong wrong wrong", "0000-0000-0000-0000"),
		{"unknown", "T90000001", "110105194912319997", "13900000001", "wrong wrong wrong", "0000-0000-0000-0000"},
		of("not-activated", newcomer, "wrong wrong wrong", "0000-0000-0000-0000"),
		of("frozen-right-password", cold, cold.Password, cold.Activation),
		of("lost-right-password", lost, lost.Password, lost.Activation),
		of("used-code", good, "wrong wrong wrong", good.Activation),
	}
	compare := func(t *testing.T, what string, do func(class) string) {
		t.Helper()
		first := do(classes[0])
		for _, c := range classes[1:] {
			if d := differs(first, do(c)); d != "" {
				t.Errorf("%s: %s differs from %s: %s", what, c.name, classes[0].name, d)
			}
		}
	}
	for _, alias := range []struct {
		name string
		of   func(class) string
	}{{"card", func(c class) string { return c.card }}, {"id", func(c class) string { return c.id }}, {"phone", func(c class) string { return c.phone }}} {
		t.Run("login-"+alias.name, func(t *testing.T) {
			compare(t, "login", func(c class) string {
				r := h.Robot(t)
				a := r.Get("/login")
				action, form := a.Form("login-submit")
				form.Set("username", alias.of(c))
				form.Set("password", c.password)
				once := r.PostOnce(action, form)
				shown := r.Get(once.Location)
				return face(once) + "\n---\n" + face(shown, alias.of(c))
			})
		})
	}
	t.Run("throttled", func(t *testing.T) {
		// Known and unknown names are shut alike, and right and wrong then look the same.
		const tries = 8
		compare(t, "throttled login", func(c class) string {
			var seen strings.Builder
			for i := range tries {
				r := h.Robot(t)
				a := r.Get("/login").Submit("login-submit", "username", c.card, "password", c.password)
				if i == tries-1 {
					seen.WriteString(face(a, c.card))
				} else {
					fmt.Fprintln(&seen, a.Text("problem"))
				}
			}
			return seen.String()
		})
		wrong := h.Robot(t).Get("/login").Submit("login-submit", "username", good.Card, "password", "wrong wrong wrong")
		right := h.Robot(t).Get("/login").Submit("login-submit", "username", good.Card, "password", good.Password)
		if d := differs(face(wrong), face(right)); d != "" {
			t.Errorf("while throttled right and wrong differ: %s", d)
		}
		// It heals by itself (SECURITY PW3).
		h.Clock.Advance(15*time.Minute + time.Second)
		if a := h.Robot(t).Get("/login").Submit("login-submit", "username", good.Card, "password", good.Password); !strings.HasPrefix(a.Path, "/login/code") {
			t.Errorf("after fifteen minutes the owner is at %s: %s", a.Path, a.Text("problem"))
		}
	})
	t.Run("activation", func(t *testing.T) {
		compare(t, "activation", func(c class) string {
			r := h.Robot(t)
			a := r.Get("/login/activate")
			action, form := a.Form("activate-submit")
			form.Set("card", c.card)
			form.Set("code", c.code)
			once := r.PostOnce(action, form)
			return face(once) + "\n---\n" + face(r.Get(once.Location), c.card)
		})
	})
	t.Run("passkey-options", func(t *testing.T) {
		compare(t, "passkey options", func(c class) string {
			r := h.Robot(t)
			a := r.Get("/login")
			if c.name != "unknown" {
				a = a.Submit("login-submit", "username", c.card, "password", "wrong wrong wrong")
			}
			cer := a.Ceremony()
			return face(r.JSON(cer.Options, cer.CSRF, "{}"))
		})
	})
	t.Run("device-claim", func(t *testing.T) {
		ph, own := phoneOf(t, h, h.Citizen(t), jose.ES256)
		used := own.Get("/account/devices/phone").Text("secret")
		ph.Claim(used)
		stranger := h.Phone(t, jose.ES256)
		a, b := stranger.Claim(used), stranger.Claim(strings.Repeat("A", len(used)))
		if d := differs(face(a), face(b)); d != "" {
			t.Errorf("a used code differs from one that never was: %s", d)
		}
	})
	t.Run("hint", func(t *testing.T) {
		p := h.Relying(t, "hints")
		var faces []string
		for _, c := range classes[:3] {
			q := p.Ask("openid", "login_hint", c.card, "state", "s", "nonce", "n")
			a := h.Robot(t).Get(q.Path())
			faces = append(faces, face(a, c.card))
		}
		for i := range faces[1:] {
			if d := differs(faces[0], faces[i+1]); d != "" {
				t.Errorf("login_hint for %s: %s", classes[i+1].name, d)
			}
		}
	})
	if n, _ := strconv.Atoi(os.Getenv("ECARDID_E2E_TIMING")); n > 0 {
		t.Run("timing", func(t *testing.T) { sameTime(t, h, n) })
	}
}

// sameTime measures how well the time of an answer tells an account from none, as
// the area under the curve: 0.5 is not at all. It takes minutes, so it is for the
// night (make soak): n samples a class.
func sameTime(t *testing.T, h *house.House, n int) {
	const each = 4 // guesses at one account, below where throttling begins
	var cards []struct{ class, card string }
	add := func(class, card string) { cards = append(cards, struct{ class, card string }{class, card}) }
	for i := range n {
		add("unknown", fmt.Sprintf("T8%07d", i))
		add("not-activated", h.Newcomer(t).Card)
		if i%each != 0 {
			continue
		}
		card := h.Citizen(t).Card
		for range each {
			add("existing", card)
		}
	}
	// In no order, so that nothing but the class can make a difference.
	rand.Shuffle(len(cards), func(i, j int) { cards[i], cards[j] = cards[j], cards[i] })
	took := map[string][]time.Duration{}
	for _, c := range cards {
		r := h.Robot(t)
		action, form := r.Get("/login").Form("login-submit")
		form.Set("username", c.card)
		form.Set("password", "wrong wrong wrong")
		at := time.Now()
		if a := r.PostOnce(action, form); a.Status != http.StatusSeeOther {
			t.Fatalf("status %d", a.Status)
		}
		took[c.class] = append(took[c.class], time.Since(at))
	}
	for _, class := range []string{"not-activated", "existing"} {
		auc := area(took[class], took["unknown"])
		t.Logf("%s against unknown: AUC %.3f over %d samples", class, auc, len(took[class]))
		if auc < 0.45 || auc > 0.55 {
			t.Errorf("the time tells %s from unknown: AUC %.3f", class, auc)
		}
	}
}

// area is the chance that one of a took longer than one of b.
func area(a, b []time.Duration) float64 {
	wins := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				wins++
			case x == y:
				wins += 0.5
			}
		}
	}
	return wins / float64(len(a)*len(b))
}
