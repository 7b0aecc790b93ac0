package console

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/secret"
)

// colleagues are staff in memory, as the acts on them need it.
type colleagues struct {
	Staffs
	all     []Staff
	hash    []byte
	invited Staff
}

func (c *colleagues) ListStaff(context.Context) ([]Staff, error) { return c.all, nil }

func (c *colleagues) StaffByID(_ context.Context, id identity.ID) (Staff, error) {
	if i := slices.IndexFunc(c.all, func(s Staff) bool { return s.ID == id }); i >= 0 {
		return c.all[i], nil
	}
	return Staff{}, identity.ErrNotFound
}

func (c *colleagues) StaffKeys(context.Context, identity.ID) ([]Key, error) { return nil, nil }

func (c *colleagues) InviteStaff(_ context.Context, s Staff, hash []byte, _ time.Time, _ audit.Event) error {
	c.invited, c.hash = s, hash
	return nil
}

// TestStaffUnits: whoever serves some divisions appoints and deactivates there only, and
// whoever approves sees where, also when that is everywhere (SECURITY AD1, AD2).
func TestStaffUnits(t *testing.T) {
	here, all := Staff{ID: identity.NewID(), Name: "here", Roles: []Role{Registrar}, Unit: "1101"}, Staff{ID: identity.NewID(), Name: "all", Roles: []Role{Registrar}}
	acts := staffActs{staffs: &colleagues{all: []Staff{here, all}}}.performers()
	roles := func(unit string) string { return Appointment{Roles: []Role{Registrar}, Unit: unit}.Value() }
	invite := func(unit string) Order {
		return Order{Act: StaffInvite, Value: Appointment{Name: "new", Roles: []Role{Registrar}, Unit: unit}.Value()}
	}
	for _, tc := range []struct {
		by    string
		o     Order
		seen  bool
		units string
	}{
		{"", invite(""), true, "unit=*"}, {"", invite("11"), true, "unit=11"}, {"11", invite("1101"), true, "unit=1101"}, {"11", invite("11"), true, "unit=11"},
		{"11", invite(""), false, ""}, {"11", invite("31"), false, ""}, {"1101", invite("11"), false, ""},
		{"", Order{Act: StaffRoles, Target: here.ID, Value: roles("")}, true, "unit=1101 unit-becomes=*"},
		{"11", Order{Act: StaffRoles, Target: here.ID, Value: roles("1102")}, true, "unit=1101 unit-becomes=1102"},
		{"11", Order{Act: StaffRoles, Target: here.ID, Value: roles("")}, false, ""}, {"11", Order{Act: StaffRoles, Target: here.ID, Value: roles("31")}, false, ""},
		{"31", Order{Act: StaffRoles, Target: here.ID, Value: roles("31")}, false, ""}, {"11", Order{Act: StaffRoles, Target: all.ID, Value: roles("11")}, false, ""},
		{"", Order{Act: StaffDeactivate, Target: all.ID}, true, "unit=*"}, {"11", Order{Act: StaffDeactivate, Target: here.ID}, true, "unit=1101"},
		{"31", Order{Act: StaffDeactivate, Target: here.ID}, false, ""}, {"11", Order{Act: StaffDeactivate, Target: all.ID}, false, ""},
	} {
		lines, err := acts[tc.o.Act].Preview(t.Context(), Staff{Unit: tc.by}, tc.o)
		if (err == nil) != tc.seen || err != nil && !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("%q, %+v: %v", tc.by, tc.o, err)
		}
		var units []string
		for _, l := range linesOf(lines) {
			if strings.HasPrefix(l.What, "unit") {
				units = append(units, l.What+"="+string(l.Name))
			}
		}
		if got := strings.Join(units, " "); got != tc.units {
			t.Errorf("%q, %+v: shown %q", tc.by, tc.o, got)
		}
	}
}

// TestHalves: neither who asked for an invitation nor who approved it can take it up; both
// halves together can (SECURITY AD2).
func TestHalves(t *testing.T) {
	s, office, clk := engine()
	staffs := &colleagues{}
	s.Invitations = func(text []byte) ([]byte, error) { return text, nil }
	s.Performers[StaffInvite] = staffActs{staffs, s.Invitations, clk, rand.Reader}.performers()[StaffInvite]
	admin, officer := member(Administrator), member(SecurityOfficer)
	o := Order{Act: StaffInvite, Value: Appointment{Name: "new", Roles: []Role{SecurityOfficer}}.Value(), Reason: "新同事负责审批"}
	filed, err := s.Do(t.Context(), stepped(admin, o.Purpose(), clk.Now()), o, audit.Event{})
	if err != nil || len(filed.Told) != halfLength {
		t.Fatalf("%+v, %v", filed, err)
	}
	kept := office.requests[filed.Request].Order
	if kept.Half == "" || strings.Contains(kept.Half, filed.Told) {
		t.Error("the first half is in the request")
	}
	if mayContinue(admin, Request{By: admin, Order: kept}) {
		t.Error("who asked carries it out, and is told the second half")
	}
	approved, err := s.Approve(t.Context(), Session{Staff: officer, Purpose: approvePurpose(filed.Request), At: clk.Now()}, filed.Request, audit.Event{})
	if err != nil {
		t.Fatal(err)
	}
	told := strings.Fields(approved.Told)
	if len(told) != 2 || told[0] != InvitationPath(staffs.invited.ID) || len(told[1]) != halfLength {
		t.Fatalf("told %q", told)
	}
	for code, good := range map[string]bool{
		filed.Told + told[1]: true, told[1] + filed.Told: false, filed.Told: false, told[1]: false, filed.Told + filed.Told: false, told[1] + told[1]: false,
		kept.Half + "/" + told[1]: false,
	} {
		if got := string(InvitationText(staffs.invited.ID, secret.Of(code))) == string(staffs.hash); got != good {
			t.Errorf("a code of %d: %v", len(code), got)
		}
	}
}

func FuzzAppointment(f *testing.F) {
	f.Add(Appointment{Name: "li.na", Roles: []Role{Auditor}}.Value(), true)
	f.Add(Appointment{Roles: []Role{Registrar, DeviceOfficer}, Unit: "1101"}.Value(), false)
	f.Add(`{"roles":["auditor"],"roles":["administrator"]}`, false)
	f.Fuzz(func(t *testing.T, value string, named bool) {
		a, err := readAppointment(value, named)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || a.Name != "" || a.Roles != nil {
				t.Errorf("%+v, %v", a, err)
			}
			return
		}
		if a.Value() != value || CheckRoles(a.Roles) != nil {
			t.Errorf("%q was read as %+v", value, a)
		}
	})
}
