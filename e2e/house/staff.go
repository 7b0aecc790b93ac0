package house

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/server"
)

// A Staff is somebody who works at the console.
type Staff struct {
	house *House
	ID    identity.ID
	Name  string
	Link  string // of the invitation
	Code  string // likewise
	Key   *Passkey
}

// Invite invites somebody, as the operator does.
func (h *House) Invite(t testing.TB, unit string, roles ...console.Role) *Staff {
	t.Helper()
	id := identity.NewID()
	code := secret.New(console.InvitationSize)
	name := "s" + strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(id.String()))[:12]
	hash := h.Store.Keys().Index(server.Invitations, string(console.InvitationText(id, code)))
	s := console.Staff{ID: id, Name: name, Roles: roles, Unit: unit, State: console.StaffInvited}
	now := h.Clock.Now()
	if err := h.Store.InviteStaff(t.Context(), s, hash, now.Add(console.InvitationLife), audit.Event{Kind: audit.StaffAdded, At: now, Actor: audit.ByOperator}); err != nil {
		t.Fatal(err)
	}
	return &Staff{house: h, ID: id, Name: name, Link: h.Issuer + console.InvitationPath(id), Code: code.Reveal()}
}

// A Desk is somebody of staff at a browser.
type Desk struct {
	*Robot
	Staff *Staff
}

// Join has somebody take up their invitation and sign in.
func (h *House) Join(t testing.TB, roles ...console.Role) *Desk {
	t.Helper()
	return h.Invite(t, "", roles...).Join(t)
}

// Join takes the invitation up, with a new passkey, and signs in.
func (s *Staff) Join(t testing.TB) *Desk {
	t.Helper()
	s.Key = s.house.Passkey(t, false)
	r := s.house.Robot(t)
	a := r.Get(s.Link).Submit("code-submit", "code", s.Code)
	s.Key.Register(a)
	d := &Desk{Robot: r, Staff: s}
	if a := s.Key.SignIn(r.Get("/console/sign-in")); a.Status != http.StatusOK || a.Path != "/console" {
		t.Fatalf("%s signed in is at %s (%d)", s.Name, a.Path, a.Status)
	}
	return d
}

// Act gives an order on the page of its act, stepping up on the way.
func (d *Desk) Act(o console.Order, reason string) *Answer {
	a := d.Open(console.ActPath(o, "/console"))
	if !a.Has("act-confirm") {
		return a
	}
	return a.Submit("act-confirm", "reason", reason)
}

// Open gets a page, stepping up on the way.
func (d *Desk) Open(path string) *Answer {
	a := d.Get(path)
	if strings.HasPrefix(a.Path, "/console/step-up") {
		a = d.Staff.Key.SignIn(a)
	}
	return a
}

// Approve says yes to a request, stepping up on the way.
func (d *Desk) Approve(path string) *Answer {
	a := d.Get(path)
	if !a.Has("request-approve") {
		return a
	}
	if a = a.Submit("request-approve"); strings.HasPrefix(a.Path, "/console/step-up") {
		if a = d.Staff.Key.SignIn(a); a.Has("request-approve") {
			a = a.Submit("request-approve")
		}
	}
	return a
}

// RequestOf is the path of the request that an answer shows.
func RequestOf(a *Answer) string {
	u, err := url.Parse(a.Path)
	if err != nil || !strings.HasPrefix(u.Path, "/console/requests/") {
		return ""
	}
	return u.Path
}
