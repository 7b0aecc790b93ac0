package templates

import "time"

// ConsoleCitizens asks for a number of somebody's. What was typed does not come back: a
// page that is left open shows nobody's number.
type ConsoleCitizens struct {
	Desk
	BulkURL string // "" when not theirs
}

// A ConsoleDo leads to an act, with its preview: a word of "citizens.do".
type ConsoleDo struct{ Word, URL string }

// A ConsoleFact is a masked field of a citizen.
type ConsoleFact struct {
	Field     string // a word of "citizens.field"
	Masked    Text
	RevealURL string // "" when not theirs
}

// A ConsoleDevice is one of a citizen's devices.
type ConsoleDevice struct {
	Name               Text
	Kind, State, Level string // words of "citizens.device", "citizens.device-state", "citizens.level"
	Bound, LastUse     time.Time
	Place              Text
	Acts               []ConsoleDo
}

// A ConsolePasskey is one of a citizen's passkeys.
type ConsolePasskey struct {
	Name          Text
	Device        Text // it lives on; "" when synced
	Made, LastUse time.Time
	Acts          []ConsoleDo
}

// A ConsoleSession is a sign-in of a citizen's.
type ConsoleSession struct {
	Agent, Place Text
	Began, Seen  time.Time
	Acts         []ConsoleDo
}

// A ConsoleMoment is an entry of a citizen's timeline.
type ConsoleMoment struct {
	Kind, Actor string // words of "citizens.kind", "citizens.actor"
	At          time.Time
	Client      Text
	Place       Text
	Reason      Text
	Details     []ConsoleDetail
}

// A ConsoleDetail is one further fact of a moment.
type ConsoleDetail struct {
	Word  string // of "citizens.detail"
	Value Text
}

// ConsoleCitizen is a citizen's file.
type ConsoleCitizen struct {
	Desk
	Facts                                            []ConsoleFact
	Region                                           Text
	State                                            string // a word of "citizens.card"
	StateSince, Created, Activated, CodeUntil, Cools time.Time
	Password, TOTP                                   bool
	Recovery                                         int
	Acts, FactorActs, SessionActs                    []ConsoleDo
	QuestionsURL                                     string
	Devices                                          []ConsoleDevice
	Passkeys                                         []ConsolePasskey
	Sessions, Before                                 []ConsoleSession
	Consents                                         []Consented
	Moments                                          []ConsoleMoment
	FirstURL, NextURL                                string // of the timeline
	SearchURL                                        string
}

// ConsoleQuestions are what a caller is asked; their answers are typed in.
type ConsoleQuestions struct {
	Desk
	Questions []string // words of "citizens.question", names of the fields
	Passed    bool
	Acts      []ConsoleDo // once passed
	BackURL   string
}

// A ConsoleUnknown is a line of a bulk order that is nobody's card.
type ConsoleUnknown struct {
	Line int
	Card Text // masked, or "" for what is no card number
}

// ConsoleBulk takes a list of card numbers, and asks again when they were looked up.
type ConsoleBulk struct {
	Desk
	What    string // phone or card
	Checked bool
	Found   int
	Unknown []ConsoleUnknown
	Lines   []ConsoleLine
	Fields  []ConsoleField
	Typed   Text // the reason
	Max     int
	BackURL string
}

func (ConsoleCitizens) consoleFile() string  { return "citizens" }
func (ConsoleCitizen) consoleFile() string   { return "citizen" }
func (ConsoleQuestions) consoleFile() string { return "questions" }
func (ConsoleBulk) consoleFile() string      { return "bulk" }

func citizensPages() []ConsolePage {
	return []ConsolePage{ConsoleCitizens{}, ConsoleCitizen{}, ConsoleQuestions{}, ConsoleBulk{}}
}

func citizensVocabularies() []vocabulary {
	return []vocabulary{
		{"console.line", []string{"totp", "tokens", "field", "passkey", "session"}},
		{"citizens.card", []string{"normal", "frozen", "temp_lost", "lost", "cancelled"}},
		{"citizens.do", []string{
			"reveal", "loss-phone", "loss-card", "freeze", "unfreeze", "cancel", "end-lost", "end-revoked", "suspend", "restore", "confirm",
			"session-end", "sessions-end", "totp-remove", "passkey-remove", "factors-reset",
		}},
		{"citizens.field", []string{"name", "id_number", "phone", "card_number"}},
		{"citizens.device", []string{"phone", "browser", "authenticator"}},
		{"citizens.device-state", []string{"active", "suspended", "lost", "revoked"}},
		{"citizens.level", []string{"unattested", "software", "tee", "secure-element"}},
		{"citizens.question", []string{"id-end", "birth", "district", "card-end", "phone-end", "activated", "bound"}},
		{"citizens.actor", []string{"citizen", "system", "operator", "staff", "client"}},
		{"citizens.detail", []string{"lost", "receipt", "field", "state", "via", "count", "factor", "scope", "caller"}},
		{"citizens.value", []string{"phone", "card", "device", "name", "id_number", "card_number", "passed", "not asked"}},
		{"citizens.kind", []string{
			"login.start", "login.finish", "login.raise", "login.refuse", "login.throttle", "login.end", "login.end-all",
			"citizen.import", "citizen.activate", "citizen.freeze", "citizen.restore", "citizen.cancel", "citizen.reveal", "activation.issue",
			"factors.reset", "password.change", "greeting.change", "totp.bind", "totp.remove", "recovery.renew", "recovery.use",
			"passkey.bind", "passkey.rename", "passkey.remove", "passkey.clone", "device.bind", "device.rename", "device.end", "device.restore",
			"device.suspend", "device.confirm", "device.reuse", "phone.approve", "phone.deny", "liveness.pass", "liveness.fail", "consent.give", "consent.deny",
			"consent.cooloff", "consent.withdraw", "grant.replay", "grant.revoke", "loss.report", "loss.undo", "caller.pass", "caller.refuse",
			"request.file", "request.approve", "request.reject", "request.withdraw", "request.fail",
		}},
	}
}

// Sentences the citizens' pages say from Go.
const (
	CitizensProblemNobody   Key = "citizens.problem.nobody"
	CitizensProblemOften    Key = "citizens.problem.often"
	CitizensProblemAnswers  Key = "citizens.problem.answers"
	CitizensProblemList     Key = "citizens.problem.list"
	CitizensNoticeQuestions Key = "citizens.notice.questions"
)

func citizensSpoken() []Key {
	return []Key{CitizensProblemNobody, CitizensProblemOften, CitizensProblemAnswers, CitizensProblemList, CitizensNoticeQuestions}
}
