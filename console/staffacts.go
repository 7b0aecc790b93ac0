package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/secret"
)

// An Appointment is what somebody of staff is to be: the Order.Value of staff.invite and
// staff.roles, which has no name.
type Appointment struct {
	Name  string `json:"name,omitempty"`
	Roles []Role `json:"roles"`
	Unit  string `json:"unit,omitempty"`
}

// StaffName is what somebody of staff may be called. Deactivated names are not given out
// again.
func StaffName(name string) bool {
	return regexp.MustCompile(`^[a-z][a-z0-9._-]{1,31}$`).MatchString(name)
}

// StaffUnit is a division code or the beginning of one, by provinces, prefectures and
// counties (GB/T 2260); empty for all.
func StaffUnit(unit string) bool { return regexp.MustCompile(`^([0-9]{2}){0,3}$`).MatchString(unit) }

// Value writes an appointment for an order.
func (a Appointment) Value() string {
	b, err := json.Marshal(a)
	if err != nil {
		return "" // strings only; and nothing can be made of it
	}
	return string(b)
}

// readAppointment is strict: what an order says is what was approved.
func readAppointment(value string, named bool) (Appointment, error) {
	var a Appointment
	d := json.NewDecoder(strings.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil || a.Value() != value {
		return Appointment{}, ErrInvalid
	}
	if err := CheckRoles(a.Roles); err != nil {
		return Appointment{}, errors.Join(ErrInvalid, err)
	}
	if !StaffUnit(a.Unit) || named != (a.Name != "") || named && !StaffName(a.Name) {
		return Appointment{}, ErrInvalid
	}
	return a, nil
}

// staffActs are the acts on staff themselves.
type staffActs struct {
	staffs      Staffs
	invitations func(text []byte) ([]byte, error)
	clock       clock.Clock
	rand        io.Reader
}

func (a staffActs) performers() map[Act]Performer {
	return map[Act]Performer{StaffInvite: staffInvite{a}, StaffRoles: staffRoles{a}, StaffDeactivate: staffDeactivate{a}}
}

func roleWords(roles []Role) string {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	return strings.Join(words, " ")
}

type staffInvite struct{ staffActs }

func (p staffInvite) Preview(ctx context.Context, by Staff, o Order) ([]Line, error) {
	a, err := readAppointment(o.Value, true)
	if err != nil {
		return nil, err
	}
	if !by.Within(a.Unit) {
		return nil, identity.ErrNotFound
	}
	all, err := p.staffs.ListStaff(ctx)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(all, func(s Staff) bool { return s.Name == a.Name }) {
		return nil, identity.ErrConflict
	}
	return slices.Concat([]Line{{What: "staff", Name: a.Name}}, roleLines("role", a.Roles), unitLine("unit", a.Unit)), nil
}

// unitLine says where somebody serves; the empty unit is everywhere, and is said.
func unitLine(what, unit string) []Line {
	if unit == "" {
		unit = "*" // which the page has a word for
	}
	return []Line{{What: what, Name: unit}}
}

// roleLines is a line for each role: words of the pages' vocabulary.
func roleLines(what string, roles []Role) []Line {
	var all []Line
	for _, r := range roles {
		all = append(all, Line{What: what, Name: string(r)})
	}
	return all
}

// Perform tells whoever approved the address and the second half of the code, which
// nobody sees again. The first half was for whoever asked.
func (p staffInvite) Perform(ctx context.Context, o Order, e audit.Event) (string, error) {
	a, err := readAppointment(o.Value, true)
	if err != nil {
		return "", err
	}
	if o.Half == "" {
		return "", ErrInvalid
	}
	s := Staff{ID: identity.IDFrom(p.rand), Name: a.Name, Roles: a.Roles, Unit: a.Unit, State: StaffInvited, Version: 1, Created: e.At}
	code := secret.From(p.rand, InvitationSize)
	hash, err := p.invitations(halvesText(s.ID, o.Half, code.Reveal()))
	if err != nil {
		return "", fmt.Errorf("hashing an invitation: %w", err)
	}
	e.Kind = audit.StaffAdded
	e.Detail["staff"], e.Detail["roles"], e.Detail["unit"] = s.ID.String(), roleWords(a.Roles), a.Unit
	if err := p.staffs.InviteStaff(ctx, s, hash, e.At.Add(InvitationLife), e); err != nil {
		return "", err
	}
	return InvitationPath(s.ID) + "  " + code.Reveal(), nil
}

type staffRoles struct{ staffActs }

func (p staffRoles) read(ctx context.Context, o Order) (Staff, Appointment, error) {
	a, err := readAppointment(o.Value, false)
	if err != nil {
		return Staff{}, Appointment{}, err
	}
	s, err := p.staffs.StaffByID(ctx, o.Target)
	if err != nil {
		return Staff{}, Appointment{}, err
	}
	if s.State == StaffDeactivated {
		return Staff{}, Appointment{}, identity.ErrConflict
	}
	return s, a, nil
}

func (p staffRoles) Preview(ctx context.Context, by Staff, o Order) ([]Line, error) {
	s, a, err := p.read(ctx, o)
	if err != nil {
		return nil, err
	}
	if !by.Within(s.Unit) || !by.Within(a.Unit) {
		return nil, identity.ErrNotFound
	}
	return slices.Concat([]Line{{What: "staff", Name: s.Name}}, roleLines("role", s.Roles), roleLines("becomes", a.Roles), unitLine("unit", s.Unit), unitLine("unit-becomes", a.Unit)), nil
}

func (p staffRoles) Perform(ctx context.Context, o Order, e audit.Event) (string, error) {
	s, a, err := p.read(ctx, o)
	if err != nil {
		return "", err
	}
	e.Kind = audit.StaffChanged
	e.Detail["staff"], e.Detail["before"], e.Detail["roles"], e.Detail["unit"] = s.ID.String(), roleWords(s.Roles), roleWords(a.Roles), a.Unit
	s.Roles, s.Unit = a.Roles, a.Unit
	return "", p.staffs.SetStaff(ctx, s, e)
}

type staffDeactivate struct{ staffActs }

func (p staffDeactivate) Preview(ctx context.Context, by Staff, o Order) ([]Line, error) {
	s, err := p.staffs.StaffByID(ctx, o.Target)
	if err != nil {
		return nil, err
	}
	if !by.Within(s.Unit) {
		return nil, identity.ErrNotFound
	}
	if s.State == StaffDeactivated {
		return nil, identity.ErrConflict
	}
	keys, err := p.staffs.StaffKeys(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]Line{{What: "staff", Name: s.Name}}, roleLines("role", s.Roles), unitLine("unit", s.Unit), []Line{{What: "passkeys", Count: len(keys)}}), nil
}

func (p staffDeactivate) Perform(ctx context.Context, o Order, e audit.Event) (string, error) {
	s, err := p.staffs.StaffByID(ctx, o.Target)
	if err != nil {
		return "", err
	}
	e.Kind = audit.StaffDeactivated
	e.Detail["staff"] = s.ID.String()
	s.State = StaffDeactivated
	return "", p.staffs.SetStaff(ctx, s, e)
}
