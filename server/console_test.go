package server_test

import (
	"crypto/sha256"
	"database/sql"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/secret"
)

// clerk is a browser of somebody of staff with these roles.
func (h *house) clerk(t testing.TB, unit string, roles ...console.Role) *caller {
	t.Helper()
	ctx, now, id := t.Context(), h.clock.Now(), identity.NewID()
	hash := sha256.Sum256(id[:])
	s := console.Staff{ID: id, Name: "s." + strings.ToLower(id.String()), Roles: roles, Unit: unit}
	k := console.Key{ID: identity.NewID(), Staff: id, Created: now, Credential: passkey.Credential{ID: hash[:], UserHandle: id[:]}}
	if err := h.store.InviteStaff(ctx, s, hash[:], now.Add(console.InvitationLife), audit.Event{Kind: audit.StaffAdded, At: now, Actor: audit.ByOperator}); err != nil {
		t.Fatal(err)
	}
	if err := h.store.AcceptInvitation(ctx, hash[:], k, audit.Event{Kind: audit.StaffJoined, At: now, Actor: s.By()}); err != nil {
		t.Fatal(err)
	}
	s, err := h.store.StaffByID(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	token := secret.New(32)
	in := console.Session{ID: identity.NewID(), Staff: s, Started: now, Seen: now}
	if err := h.store.OpenStaffSession(ctx, in, token.Hash(), k.ID, identity.ID{}, audit.Event{Kind: audit.StaffSignedIn, At: now, Actor: s.By()}); err != nil {
		t.Fatal(err)
	}
	c := h.caller(t)
	c.cookies["__Host-staff"] = token.Reveal()
	return c
}

// open are the console's routes without an act: whoever has not signed in, and all staff.
const open = `
anybody GET  /console/sign-in
anybody POST /console/sign-in/options
anybody POST /console/sign-in/finish
anybody GET  /console/invitation/{id}
anybody POST /console/invitation/{id}
anybody POST /console/invitation/{id}/options
anybody POST /console/invitation/{id}/finish
staff   GET  /console
staff   GET  /console/step-up
staff   POST /console/step-up/options
staff   POST /console/step-up/finish
staff   POST /console/sign-out
`

// TestRouteRoles goes through every route of the console as every role: whoever may not
// sees what they would see if there were no such page, and it is written down; whoever may
// gets past the guard (SECURITY AD1). A route without an act that is not listed fails.
func TestRouteRoles(t *testing.T) {
	h := newHouse(t)
	db := must[*sql.DB](t)(sql.Open("sqlite", strings.TrimPrefix(h.dsn, "sqlite:")))
	t.Cleanup(func() { _ = db.Close() })
	refusals := func() (n int) {
		if err := db.QueryRow(`SELECT count(*) FROM audit WHERE kind = 'staff.refuse' AND reason = 'role'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var listed []string
	for line := range strings.Lines(open) {
		if f := strings.Fields(line); len(f) > 0 {
			listed = append(listed, strings.Join(f, " "))
		}
	}
	routes := h.server.Desk().Routes()
	for _, r := range routes {
		row := strings.Join([]string{r.Who, r.Method, r.Pattern}, " ")
		at := slices.Index(listed, row)
		switch _, known := console.RuleOf(r.Act); {
		case r.Act == "" && at < 0:
			t.Errorf("%s: a route without an act", row)
		case r.Act != "" && (!known || r.Who != "staff"):
			t.Errorf("%s: for %q, which is no act of staff", row, r.Act)
		}
		if at >= 0 {
			listed = slices.Delete(listed, at, at+1)
		}
	}
	if len(listed) > 0 {
		t.Errorf("listed and not there: %v", listed)
	}
	stranger := h.caller(t)
	for _, role := range console.Roles() {
		c := h.clerk(t, "", role)
		missing := c.send(http.MethodGet, "/console/nothing", "")
		for _, r := range routes {
			if r.Who != "staff" || r.Pattern == "/console/sign-out" {
				continue
			}
			before := refusals()
			ask := func(c *caller) (int, string) {
				path, body, headers := concrete(r.Pattern), "", []string{}
				if r.Method != http.MethodGet {
					headers = []string{"Content-Type", r.Takes, "Origin", h.issuer, "Sec-Fetch-Site", "same-origin", "X-CSRF-Token", c.csrf}
					if r.Takes == jsonType {
						body = "{}"
					}
				}
				w := c.send(r.Method, path, body, headers...)
				return w.Code, w.Header().Get("Content-Type")
			}
			status, kind := ask(c)
			may := r.Act == "" || console.Permit([]console.Role{role}, r.Act)
			if refused := refusals() > before; refused == may {
				t.Errorf("%s: %s %s (%s): refused %v, may %v", role, r.Method, r.Pattern, r.Act, refused, may)
			}
			if !may && (status != missing.Code || kind != missing.Header().Get("Content-Type")) {
				t.Errorf("%s: %s %s: %d, a page that is not there %d", role, r.Method, r.Pattern, status, missing.Code)
			}
			if status >= 500 {
				t.Errorf("%s: %s %s: %d", role, r.Method, r.Pattern, status)
			}
			if role == console.Registrar {
				if status, _ := ask(stranger); status != http.StatusSeeOther && status != http.StatusForbidden && status != http.StatusUnauthorized {
					t.Errorf("nobody: %s %s: %d", r.Method, r.Pattern, status)
				}
			}
		}
	}
}

// TestActRoutes: every act that changes something has its page, if anybody carries it out.
func TestActRoutes(t *testing.T) {
	h := newHouse(t)
	paths := map[string]int{}
	for _, r := range h.server.Desk().Routes() {
		if act, ok := strings.CutPrefix(r.Pattern, "/console/acts/"); ok {
			if console.Act(act) != r.Act {
				t.Errorf("%s is guarded as %s", r.Pattern, r.Act)
			}
			paths[act]++
		}
	}
	for _, rule := range console.Rules() {
		if want := 2; !rule.Shows && paths[string(rule.Act)] != want {
			t.Errorf("%s has %d routes", rule.Act, paths[string(rule.Act)])
		}
	}
}

// TestRefusedOrders: whoever tries what is not theirs sees that there is nothing, and the
// trail says who tried what (SECURITY AD3); a parameter twice is nothing (G8).
func TestRefusedOrders(t *testing.T) {
	h := newHouse(t)
	db := must[*sql.DB](t)(sql.Open("sqlite", strings.TrimPrefix(h.dsn, "sqlite:")))
	t.Cleanup(func() { _ = db.Close() })
	admin := h.clerk(t, "1101", console.Administrator)
	h.clerk(t, "31", console.Registrar)
	var here, away identity.ID
	all, err := h.store.ListStaff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		switch s.Unit {
		case "1101":
			here = s.ID
		case "31":
			away = s.ID
		}
	}
	invite := console.Appointment{Name: "new", Roles: []console.Role{console.Registrar}}.Value()
	for _, tc := range []struct {
		path, why string
		status    int
	}{
		{console.ActPath(console.Order{Act: console.StaffDeactivate, Target: here}, ""), "own", http.StatusForbidden},
		{console.ActPath(console.Order{Act: console.StaffDeactivate, Target: away}, ""), "unit", http.StatusNotFound},
		{console.ActPath(console.Order{Act: console.StaffInvite, Value: invite}, ""), "unit", http.StatusNotFound},
		{console.ActPath(console.Order{Act: console.StaffDeactivate, Target: away, Citizen: away}, ""), "", http.StatusBadRequest},
		{"/console/staff/" + here.String() + "/roles", "own", http.StatusForbidden},
		{"/console/staff/" + away.String() + "/roles", "unit", http.StatusNotFound},
		{"/console/requests/" + away.String(), "", http.StatusNotFound},
		{"/console/staff?a=1", "", http.StatusOK},
		{"/console/staff?a=1&a=1", "", http.StatusBadRequest},
		{"/console/sign-in?back=/console&back=/console/staff", "", http.StatusBadRequest},
	} {
		written := func() (n int) {
			if err := db.QueryRow(`SELECT count(*) FROM audit WHERE kind = 'staff.refuse' AND reason = ?`, tc.why).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := written()
		w := admin.send(http.MethodGet, tc.path, "")
		if w.Code != tc.status || tc.why != "" && written() != before+1 {
			t.Errorf("%s: %d, %d entries %q", tc.path, w.Code, written()-before, tc.why)
		}
		if strings.Contains(w.Body.String(), away.String()) && tc.why == "" && tc.status == http.StatusOK {
			t.Errorf("%s shows somebody of another unit", tc.path)
		}
	}
}
