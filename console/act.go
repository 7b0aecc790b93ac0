package console

import (
	"fmt"
	"slices"
)

// A Role is what somebody at the console may be.
type Role string

// The roles.
const (
	Registrar       Role = "registrar"        // at the counter: who somebody is
	DeviceOfficer   Role = "device-officer"   // on the telephone: lost phones, devices, sessions
	SecurityOfficer Role = "security-officer" // approves what is dear, watches alarms (安全员)
	Auditor         Role = "auditor"          // reads the trail and does nothing else (审计员)
	Administrator   Role = "administrator"    // relying parties and staff (管理员)
)

// Roles lists all of them.
func Roles() []Role {
	return []Role{Registrar, DeviceOfficer, SecurityOfficer, Auditor, Administrator}
}

// CheckRoles refuses what is no set of roles for one person: none, one twice, an unknown
// one, or powers that have to be separate.
func CheckRoles(roles []Role) error {
	if len(roles) == 0 {
		return fmt.Errorf("console: a role is needed")
	}
	for i, r := range roles {
		if !slices.Contains(Roles(), r) {
			return fmt.Errorf("console: there is no role %q", r)
		}
		if slices.Contains(roles[:i], r) {
			return fmt.Errorf("console: role %q twice", r)
		}
	}
	if len(roles) > 1 {
		for _, alone := range []Role{Auditor, Administrator, SecurityOfficer} {
			if slices.Contains(roles, alone) {
				return fmt.Errorf("console: role %q goes with no other", alone)
			}
		}
	}
	return nil
}

// An Act is something staff do.
type Act string

// The acts. Those that only show something have no order.
const (
	CitizenSearch Act = "citizen.search"
	CitizenRead   Act = "citizen.read"
	CitizenReveal Act = "citizen.reveal" // Order.Value: which field
	LossReport    Act = "loss.report"    // Order.Value: phone or card
	CardFreeze    Act = "card.freeze"
	CardUnfreeze  Act = "card.unfreeze" // from frozen or temp_lost
	CardCancel    Act = "card.cancel"
	DeviceEnd     Act = "device.end" // Order.Target, Order.Value: lost or revoked
	DeviceSuspend Act = "device.suspend"
	DeviceRestore Act = "device.restore"
	DeviceConfirm Act = "device.confirm" // bound at the counter: no cooling off
	SessionEnd    Act = "session.end"    // Order.Target; zero: all of them
	FactorRemove  Act = "factor.remove"  // Order.Value: totp, passkey (Order.Target) or all
	BulkLoss      Act = "bulk.loss"      // Order.Many

	ClientRead     Act = "client.read"
	ClientPrepare  Act = "client.prepare" // Order.Client, Order.Value: draft, testing or assessed
	ClientAdmit    Act = "client.admit"   // to live, also after a suspension
	ClientSuspend  Act = "client.suspend"
	ClientWithdraw Act = "client.withdraw"
	StreamRead     Act = "stream.read"

	StaffRead       Act = "staff.read"
	StaffInvite     Act = "staff.invite"     // Order.Value: name, roles and unit, see Appointment
	StaffRoles      Act = "staff.roles"      // Order.Target, Order.Value: roles
	StaffDeactivate Act = "staff.deactivate" // Order.Target

	AlarmRead   Act = "alarm.read"
	AlarmSee    Act = "alarm.see" // Order.Value: the number of its entry; the reason is the note
	AuditRead   Act = "audit.read"
	AuditExport Act = "audit.export"
	RequestRead Act = "request.read" // everybody's own, and those they may approve

	// RequestApprove has no row of its own: the row of what was asked for says who may.
	// Step-ups are for it.
	RequestApprove Act = "request.approve"
)

// A Rule says what an act takes.
type Rule struct {
	Act Act
	// May ask for it.
	May []Role
	// Approve: may say yes to it, never to what they asked for themselves. Needs is how
	// many of them, zero for an act that is done at once.
	Approve []Role
	Needs   int
	// StepUp: a passkey answered for this act on this subject within five minutes.
	StepUp bool
	// Reason: 5 to 200 characters, for the trail and the citizen.
	Reason bool
	// Shows: it changes nothing.
	Shows bool
}

// Rules is the table of who may do what, in a fixed order.
func Rules() []Rule {
	counter := []Role{Registrar, DeviceOfficer, SecurityOfficer}
	officers := []Role{DeviceOfficer, SecurityOfficer}
	security := []Role{SecurityOfficer}
	admin := []Role{Administrator}
	return []Rule{
		{Act: CitizenSearch, May: counter, Shows: true},
		{Act: CitizenRead, May: counter, Shows: true},
		{Act: CitizenReveal, May: []Role{Registrar, SecurityOfficer}, StepUp: true, Reason: true, Shows: true},
		{Act: LossReport, May: counter, StepUp: true, Reason: true},
		{Act: CardFreeze, May: counter, StepUp: true, Reason: true},
		{Act: CardUnfreeze, May: []Role{Registrar, DeviceOfficer}, Approve: security, Needs: 1, StepUp: true, Reason: true},
		{Act: CardCancel, May: []Role{Registrar}, Approve: security, Needs: 1, StepUp: true, Reason: true},
		{Act: DeviceEnd, May: officers, StepUp: true, Reason: true},
		{Act: DeviceSuspend, May: officers, StepUp: true, Reason: true},
		{Act: DeviceRestore, May: []Role{Registrar, DeviceOfficer}, Approve: security, Needs: 1, StepUp: true, Reason: true},
		{Act: DeviceConfirm, May: []Role{Registrar}, StepUp: true, Reason: true},
		{Act: SessionEnd, May: officers, StepUp: true, Reason: true},
		{Act: FactorRemove, May: []Role{Registrar, DeviceOfficer}, Approve: security, Needs: 1, StepUp: true, Reason: true},
		{Act: BulkLoss, May: []Role{DeviceOfficer}, Approve: security, Needs: 1, StepUp: true, Reason: true},

		{Act: ClientRead, May: []Role{Administrator, SecurityOfficer}, Shows: true},
		{Act: ClientPrepare, May: admin, StepUp: true, Reason: true},
		{Act: ClientAdmit, May: admin, Approve: []Role{SecurityOfficer, Administrator}, Needs: 2, StepUp: true, Reason: true},
		{Act: ClientSuspend, May: []Role{Administrator, SecurityOfficer}, StepUp: true, Reason: true},
		{Act: ClientWithdraw, May: admin, Approve: security, Needs: 1, StepUp: true, Reason: true},
		{Act: StreamRead, May: []Role{Administrator, SecurityOfficer}, Shows: true},

		{Act: StaffRead, May: []Role{Administrator, SecurityOfficer, Auditor}, Shows: true},
		{Act: StaffInvite, May: admin, Approve: security, Needs: 1, StepUp: true, Reason: true},
		{Act: StaffRoles, May: admin, Approve: security, Needs: 1, StepUp: true, Reason: true},
		{Act: StaffDeactivate, May: []Role{Administrator, SecurityOfficer}, StepUp: true, Reason: true},

		{Act: AlarmRead, May: []Role{SecurityOfficer, Auditor}, Shows: true},
		{Act: AlarmSee, May: security, Reason: true},
		{Act: AuditRead, May: []Role{Auditor}, Shows: true},
		{Act: AuditExport, May: []Role{Auditor}, StepUp: true, Reason: true, Shows: true},
		{Act: RequestRead, May: []Role{Registrar, DeviceOfficer, SecurityOfficer, Administrator}, Shows: true},
	}
}

// RuleOf finds an act's rule.
func RuleOf(a Act) (Rule, bool) {
	for _, r := range Rules() {
		if r.Act == a {
			return r, true
		}
	}
	return Rule{}, false
}

// Permit reports whether one of the roles may ask for the act. What is not in the table
// nobody may do.
func Permit(roles []Role, a Act) bool {
	r, ok := RuleOf(a)
	return ok && overlap(roles, r.May)
}

// MayApprove reports whether one of the roles may say yes to the act.
func MayApprove(roles []Role, a Act) bool {
	r, ok := RuleOf(a)
	return ok && overlap(roles, r.Approve)
}

// Approves lists the acts that one of the roles may say yes to.
func Approves(roles []Role) []Act {
	var all []Act
	for _, r := range Rules() {
		if overlap(roles, r.Approve) {
			all = append(all, r.Act)
		}
	}
	return all
}

func overlap(have, want []Role) bool {
	return slices.ContainsFunc(have, func(r Role) bool { return slices.Contains(want, r) })
}
