package house

import (
	"encoding/base32"
	"fmt"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn/recovery"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/storage"

	"crypto/rand"
)

// A Citizen knows everything about themselves.
type Citizen struct {
	house *House

	ID         identity.ID
	Name       string
	IDNumber   string
	Phone      string
	Card       string
	Activation string // the code by post

	Password string
	Greeting string
	SeedText string
	Recovery []string // codes on paper

	seed totp.Seed
	last int64 // the time step of the last code
}

// Newcomer imports a citizen who has never been here.
func (h *House) Newcomer(t testing.TB) *Citizen {
	t.Helper()
	n := h.people.Add(1)
	c := &Citizen{
		house: h, ID: identity.NewID(), Name: fmt.Sprintf("欧阳测%d试", n),
		IDNumber: idNumber(n), Phone: fmt.Sprintf("139%08d", 20000000+n), Card: fmt.Sprintf("T%08d", 40000000+n),
		Password: fmt.Sprintf("correct-horse-%d-battery", n), Greeting: fmt.Sprintf("窗台上的仙人掌%d", n),
	}
	code, err := recovery.NewActivation(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Activation = code.Reveal()
	now := h.Clock.Now()
	id, err1 := idnumber.ParseID(c.IDNumber, now)
	phone, err2 := idnumber.ParsePhone(c.Phone)
	card, err3 := idnumber.ParseCard(c.Card)
	hash, err4 := recovery.Stored(h.keyed("recovery"), recovery.Activation, c.ID[:], c.Activation)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	err = h.Store.ImportCitizens(t.Context(), []storage.NewCitizen{{
		ID: c.ID, Name: c.Name, IDNumber: id, Phone: phone, Card: card, Code: hash, Expires: now.Add(24 * time.Hour),
	}}, audit.Event{Kind: audit.CitizenImported, At: now, Actor: audit.ByOperator})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keyed is the hash over recovery and activation codes, as the server makes it.
func (h *House) keyed(label string) recovery.Keyed {
	return func(message []byte) ([]byte, error) { return h.Store.Keys().Index(label, string(message)), nil }
}

// idNumber makes the n-th number of people born on one day in 1949.
func idNumber(n int64) string {
	day := time.Date(1949, 12, 31, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(n/900))
	number := "110105" + day.Format("20060102") + fmt.Sprintf("%03d", 100+n%900)
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(number[i]-'0')
	}
	return number + string("10X98765432"[sum%11])
}

// Citizen brings somebody in: activated, with password, greeting, authenticator app
// and recovery codes, by walking through first contact as they would, and signed
// out again.
func (h *House) Citizen(t testing.TB) *Citizen {
	t.Helper()
	c := h.Newcomer(t)
	r := h.Robot(t)
	c.Activate(t, r)
	if a := r.Get("/logout").Submit("logout-confirm"); !strings.HasPrefix(a.Path, "/signed-out") {
		t.Fatalf("signing out leads to %s (%d)", a.Path, a.Status)
	}
	return c
}

// Activate walks through first contact and ends signed in.
func (c *Citizen) Activate(t testing.TB, r *Robot) *Answer {
	t.Helper()
	a := r.Get("/login/activate")
	a = a.Submit("activate-submit", "card", c.Card, "code", c.Activation)
	a = a.Submit("password-submit", "password", c.Password)
	a = a.Submit("greeting-submit", "greeting", c.Greeting)
	if a.Has("way-totp") {
		a = a.Click("way-totp")
	}
	if a.Text("secret") == "" {
		t.Fatalf("no seed at %s (%d, %s): %s", a.Path, a.Status, a.Title(), a.Text("problem"))
	}
	c.Scan(t, a.Text("secret"))
	a = a.Submit("code-submit", "code", c.Code())
	c.Recovery = a.Texts("codes", "code")
	if len(c.Recovery) == 0 {
		t.Fatalf("no recovery codes at %s (%d): %s", a.Path, a.Status, a.Text("main"))
	}
	a = a.Submit("codes-kept")
	a = a.Submit("device-skip")
	for _, code := range append(c.Recovery, c.Activation) {
		c.house.secrets.saw("recovery or activation code", code)
	}
	c.house.secrets.saw("password", c.Password)
	return a
}

// Scan takes a seed into the authenticator app, as the page writes it.
func (c *Citizen) Scan(t testing.TB, shown string) {
	t.Helper()
	c.SeedText = strings.ReplaceAll(shown, " ", "")
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(c.SeedText, "="))
	if err == nil {
		c.seed, err = totp.SeedOf(key)
	}
	if err != nil {
		t.Fatalf("the page shows no seed: %v", err)
	}
	c.last = 0
	c.house.secrets.saw("seed", c.SeedText)
	c.house.secrets.saw("seed", string(key))
}

// Code is the app's next code that was not used before. When there is none yet the
// clock is moved on.
func (c *Citizen) Code() string {
	const period = 30 * time.Second
	now := totp.Step(c.house.Clock.Now())
	step := max(now, c.last+1)
	for step > totp.Step(c.house.Clock.Now())+1 {
		c.house.Clock.Advance(period)
	}
	c.last = step
	return c.CodeAt(step)
}

// LastCode is the one Code gave last.
func (c *Citizen) LastCode() string { return c.CodeAt(c.last) }

// WrongCode is six digits the app shows at no time near now.
func (c *Citizen) WrongCode() string {
	near := map[string]bool{}
	now := totp.Step(c.house.Clock.Now())
	for s := now - 5; s <= now+10; s++ {
		near[c.CodeAt(s)] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !near[code] {
			return code
		}
	}
}

// CodeAt is the code of a time step.
func (c *Citizen) CodeAt(step int64) string {
	code, err := totp.Code(c.seed, totp.RFC6238, time.Unix(step*30, 0))
	if err != nil {
		panic(err) // no seed was scanned: the test is wrong
	}
	return code
}

// SignIn signs in at a page that asks for it, with password and app, and goes on
// without having the browser remembered.
func (c *Citizen) SignIn(a *Answer) *Answer {
	a.robot.t.Helper()
	a = a.Submit("login-submit", "username", c.IDNumber, "password", c.Password)
	a = a.Submit("code-submit", "code", c.Code())
	if a.Has("device-skip") {
		a = a.Submit("device-skip")
	}
	return a
}
