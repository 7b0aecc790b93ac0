package templates

import "time"

// ConsoleSignIn asks for a passkey; nothing is typed.
type ConsoleSignIn struct {
	Desk
	Passkey Ceremony
}

// ConsoleInvitation asks somebody invited for their code, and then for a passkey.
type ConsoleInvitation struct {
	Desk
	Name    Text     // once the code was right
	Passkey Ceremony // likewise
	Expires time.Time
}

// ConsoleHome is the first page: what waits, and what may be done.
type ConsoleHome struct {
	Desk
	Started, Expires time.Time
	Waiting          []ConsoleRequest // for an approval of theirs
	Mine             []ConsoleRequest
	Alarms           int // -1: not theirs to see
}

// ConsoleStepUp asks for the passkey before an act.
type ConsoleStepUp struct {
	Desk
	Act     string
	Passkey Ceremony
	BackURL string
}

// A ConsoleLine is one fact of what an order would do.
type ConsoleLine struct {
	What  string // a word of "console.line"
	Count int
	Name  Text
}

// A ConsoleField is a hidden input.
type ConsoleField struct{ Name, Value string }

// ConsoleAct shows what an order would do and asks why.
type ConsoleAct struct {
	Desk
	Act     string
	Whom    *ConsoleWhom
	Lines   []ConsoleLine
	Fields  []ConsoleField
	Typed   Text // the reason, when they come back after a mistake
	Reason  bool
	Needs   int  // approvals
	Blocked bool // it cannot be, and the problem says why
	BackURL string
}

// A ConsoleWhom is the citizen whom an order is about, masked, so that whoever gives or
// approves it sees that it is the right one. It is nil where it is about nobody, or many.
type ConsoleWhom struct {
	Name, Card Text
	URL        string // of their file; "": not for them
}

// ConsoleDone says what came of an order, once.
type ConsoleDone struct {
	Desk
	Act     string
	Told    Text
	BackURL string
}

// A ConsoleRequest is an order that waits for others, or did.
type ConsoleRequest struct {
	ID               string
	Act, State       string
	By               Text
	Reason           Text
	Created, Expires time.Time
}

// ConsoleRequests lists them.
type ConsoleRequests struct {
	Desk
	Requests []ConsoleRequest
}

// ConsoleOneRequest shows one, and what may be done with it.
type ConsoleOneRequest struct {
	Desk
	ConsoleRequest
	Whom                             *ConsoleWhom
	Lines                            []ConsoleLine
	Needs                            int
	Approved                         []Text
	Orders                           []ConsoleOrder
	Told                             Text // once, to whoever approved last
	MayApprove, MayDrop, MayContinue bool
}

// A ConsoleOrder is one of the orders of a request, and how far it is.
type ConsoleOrder struct{ Subject, State, Problem string }

// ConsoleStaffList lists who works here.
type ConsoleStaffList struct {
	Desk
	InviteURL string // "": not for them
	Staff     []ConsoleStaffRow
}

// ConsoleStaffRow is one of them. The URLs are empty for what is not possible.
type ConsoleStaffRow struct {
	ID                string
	Name, Unit        Text
	Roles             []string
	State             string // of "console.staff-state"
	Created, LastSeen time.Time
	RolesURL, EndURL  string
}

// ConsoleRole is a role to tick.
type ConsoleRole struct {
	Role string
	Held bool
}

// ConsoleAppointment asks what somebody is to be: Of for whom, "" is somebody new.
type ConsoleAppointment struct {
	Desk
	Of, Name, Unit Text
	Roles          []ConsoleRole
}

func (ConsoleStaffList) consoleFile() string   { return "staff" }
func (ConsoleAppointment) consoleFile() string { return "appointment" }

func (ConsoleSignIn) consoleFile() string     { return "sign-in" }
func (ConsoleInvitation) consoleFile() string { return "invitation" }
func (ConsoleHome) consoleFile() string       { return "home" }
func (ConsoleStepUp) consoleFile() string     { return "step-up" }
func (ConsoleAct) consoleFile() string        { return "act" }
func (ConsoleDone) consoleFile() string       { return "done" }
func (ConsoleRequests) consoleFile() string   { return "requests" }
func (ConsoleOneRequest) consoleFile() string { return "request" }

func staffPages() []ConsolePage {
	return []ConsolePage{
		ConsoleSignIn{}, ConsoleInvitation{}, ConsoleHome{}, ConsoleStepUp{}, ConsoleAct{}, ConsoleDone{},
		ConsoleRequests{}, ConsoleOneRequest{}, ConsoleStaffList{}, ConsoleAppointment{},
	}
}

// staffVocabularies: the words of console's tables, which a test holds against them.
func staffVocabularies() []vocabulary {
	return []vocabulary{
		{"console.role", []string{"registrar", "device-officer", "security-officer", "auditor", "administrator"}},
		{"console.nav", []string{"home", "citizens", "requests", "clients", "streams", "alarms", "audit", "staff"}},
		{"console.act", []string{
			"citizen.reveal", "loss.report", "card.freeze", "card.unfreeze", "card.cancel",
			"device.end", "device.suspend", "device.restore", "device.confirm", "session.end", "factor.remove", "bulk.loss",
			"client.prepare", "client.admit", "client.suspend", "client.withdraw",
			"staff.invite", "staff.roles", "staff.deactivate", "audit.export", "request.approve",
		}},
		{"console.state", []string{"open", "approved", "done", "rejected", "withdrawn", "expired"}},
		{"console.line", []string{
			"citizens", "card", "devices", "device", "sessions", "passkeys", "grants", "codes", "client",
			"unit", "unit-becomes", "staff", "role", "requests", "browsers", "becomes",
		}},
		{"console.staff-state", []string{"invited", "active", "deactivated"}},
		{"console.warrant", []string{"ready", "done", "failed"}},
	}
}

// Sentences the console says from Go.
const (
	ConsoleNoticeDone       Key = "console.notice.done"
	ConsoleNoticeFiled      Key = "console.notice.filed"
	ConsoleNoticeApproved   Key = "console.notice.approved"
	ConsoleNoticeRejected   Key = "console.notice.rejected"
	ConsoleNoticeDropped    Key = "console.notice.dropped"
	ConsoleNoticeWelcome    Key = "console.notice.welcome"
	ConsoleProblemReason    Key = "console.problem.reason"
	ConsoleProblemCode      Key = "console.problem.code"
	ConsoleProblemConflict  Key = "console.problem.conflict"
	ConsoleProblemApproved  Key = "console.problem.approved"
	ConsoleProblemOwn       Key = "console.problem.own"
	ConsoleProblemInvalid   Key = "console.problem.invalid"
	ConsoleProblemNameTaken Key = "console.problem.name-taken"
	ConsoleProblemLastAdmin Key = "console.problem.last-admin"
)

func staffSpoken() []Key {
	return []Key{
		ConsoleNoticeDone, ConsoleNoticeFiled, ConsoleNoticeApproved, ConsoleNoticeRejected, ConsoleNoticeDropped, ConsoleNoticeWelcome,
		ConsoleProblemReason, ConsoleProblemCode, ConsoleProblemConflict, ConsoleProblemApproved, ConsoleProblemOwn,
		ConsoleProblemInvalid, ConsoleProblemNameTaken, ConsoleProblemLastAdmin,
	}
}
