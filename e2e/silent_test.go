package e2e

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"

	"ecardid/e2e/house"
)

// TestNothingWithoutTheTrail: while no entry can be written, whoever asks for something
// that needs one is told of a fault of ours, and all is as it was (SECURITY AD3).
func TestNothingWithoutTheTrail(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	h.Forgive() // it says that it cannot, and has to
	c := h.Citizen(t)
	r := h.Robot(t)
	c.SignIn(r.Get("/login"))
	db, err := sql.Open("sqlite", strings.TrimPrefix(h.DSN, "sqlite:")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(text string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	const next = "another-long-password-42"
	action, form := r.Get("/account/password").Form("password-submit")
	form.Set("current", c.Password)
	form.Set("password", next)
	form.Set("password-again", next)
	form.Set("password-submit", "1")

	exec(`CREATE TRIGGER silence BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END`)
	if a := r.PostOnce(action, form); a.Status != http.StatusInternalServerError {
		t.Errorf("changing the password was answered with %d", a.Status)
	}
	if a := h.Robot(t).Get("/lost").Submit("lost-submit", "username", c.Card, "what", "card", "proof", c.Password); a.Status < http.StatusInternalServerError {
		t.Errorf("reporting a loss was answered with %d: %s", a.Status, a.Title())
	}
	if a := h.Robot(t).Get("/login").Submit("login-submit", "username", c.Card, "password", c.Password); a.Status < http.StatusInternalServerError {
		t.Errorf("signing in was answered with %d", a.Status)
	}
	exec(`DROP TRIGGER silence`)

	if a := r.Get("/account"); a.Status != http.StatusOK || strings.HasPrefix(a.Path, "/login") {
		t.Errorf("the session ended all the same: %s", a.Path)
	}
	if a := c.SignIn(h.Robot(t).Get("/login")); strings.HasPrefix(a.Path, "/login/password") {
		t.Errorf("the password was changed all the same: %s", a.Text("problem"))
	}
	if a := r.PostOnce(action, form); a.Status != http.StatusSeeOther {
		t.Errorf("afterwards the password is answered with %d", a.Status)
	}
}
