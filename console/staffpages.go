package console

import (
	"errors"
	"fmt"

	"ecardid/identity"
	"ecardid/templates"
)

func (s *Service) staffRoutes() []Route {
	appointment := []string{"name", "unit", "staff-submit"}
	for _, r := range Roles() {
		appointment = append(appointment, "role-"+string(r))
	}
	return []Route{
		s.get("/console/staff", StaffRead, (*visit).listStaff),
		s.get("/console/staff/invite", StaffInvite, (*visit).showInvite),
		s.post("/console/staff/invite", StaffInvite, (*visit).invite, appointment...),
		s.get("/console/staff/{id}/roles", StaffRoles, (*visit).showRoles),
		s.post("/console/staff/{id}/roles", StaffRoles, (*visit).changeRoles, appointment[1:]...),
	}
}

func (v *visit) listStaff() error {
	all, err := v.Staffs.ListStaff(v.r.Context())
	if err != nil {
		return fmt.Errorf("listing staff: %w", err)
	}
	page := templates.ConsoleStaffList{Desk: v.desk()}
	if Permit(v.staff.Roles, StaffInvite) {
		page.InviteURL = "/console/staff/invite"
	}
	for _, s := range all {
		// Somebody who serves some divisions has to do with those who serve there.
		if !v.staff.Within(s.Unit) && s.ID != v.staff.ID {
			continue
		}
		row := templates.ConsoleStaffRow{ID: s.ID.String(), Name: templates.Text(s.Name), Unit: templates.Text(s.Unit), State: string(s.State), Created: s.Created, LastSeen: s.LastSeen}
		for _, r := range s.Roles {
			row.Roles = append(row.Roles, string(r))
		}
		if s.ID != v.staff.ID && s.State != StaffDeactivated {
			if Permit(v.staff.Roles, StaffRoles) {
				row.RolesURL = "/console/staff/" + row.ID + "/roles"
			}
			if Permit(v.staff.Roles, StaffDeactivate) {
				row.EndURL = ActPath(Order{Act: StaffDeactivate, Target: s.ID}, "/console/staff")
			}
		}
		page.Staff = append(page.Staff, row)
	}
	return v.show(page)
}

func (v *visit) showInvite() error { return v.showAppointment(Appointment{}, "") }

func (v *visit) showAppointment(a Appointment, of string) error {
	page := templates.ConsoleAppointment{Desk: v.desk(), Of: templates.Text(of), Name: templates.Text(a.Name), Unit: templates.Text(a.Unit)}
	for _, r := range Roles() {
		held := false
		for _, has := range a.Roles {
			held = held || has == r
		}
		page.Roles = append(page.Roles, templates.ConsoleRole{Role: string(r), Held: held})
	}
	return v.show(page)
}

// appointment reads the form.
func (v *visit) appointment() Appointment {
	a := Appointment{Name: v.field("name"), Unit: v.field("unit")}
	for _, r := range Roles() {
		if v.form.Has("role-" + string(r)) {
			a.Roles = append(a.Roles, r)
		}
	}
	return a
}

func (v *visit) invite() error {
	a := v.appointment()
	o := Order{Act: StaffInvite, Value: a.Value()}
	if _, err := v.Preview(v.r.Context(), v.caller(), o); err != nil {
		return v.wrongAppointment(a, "", err)
	}
	return v.redirect(ActPath(o, "/console/staff"))
}

func (v *visit) wrongAppointment(a Appointment, of string, err error) error {
	act := StaffInvite
	if of != "" {
		act = StaffRoles
	}
	if err = v.refused(act, err); errors.Is(err, identity.ErrNotFound) {
		err = ErrInvalid // a unit that is not part of theirs
	}
	if v.problem = problemOf(err); !v.problem.Given() {
		return err
	}
	if of == "" && !errors.Is(err, ErrInvalid) {
		v.problem = templates.Say(templates.ConsoleProblemNameTaken)
	}
	v.status, _ = verdict(err)
	return v.showAppointment(a, of)
}

// colleague is the one of the path, who is somebody else.
func (v *visit) colleague() (Staff, error) {
	id, err := v.id("id")
	if err != nil {
		return Staff{}, err
	}
	if id == v.staff.ID {
		return Staff{}, v.refused(StaffRoles, ErrOwn)
	}
	s, err := v.Staffs.StaffByID(v.r.Context(), id)
	if err == nil && !v.staff.Within(s.Unit) {
		err = identity.ErrNotFound
	}
	if err != nil {
		return Staff{}, v.refused(StaffRoles, fmt.Errorf("reading staff: %w", err))
	}
	return s, nil
}

func (v *visit) showRoles() error {
	s, err := v.colleague()
	if err != nil {
		return err
	}
	return v.showAppointment(Appointment{Roles: s.Roles, Unit: s.Unit}, s.Name)
}

func (v *visit) changeRoles() error {
	s, err := v.colleague()
	if err != nil {
		return err
	}
	a := v.appointment()
	o := Order{Act: StaffRoles, Target: s.ID, Value: a.Value()}
	if _, err := v.Preview(v.r.Context(), v.caller(), o); err != nil {
		return v.wrongAppointment(a, s.Name, err)
	}
	return v.redirect(ActPath(o, "/console/staff"))
}
