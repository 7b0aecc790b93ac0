package templates

import "time"

// Account is what the citizen's own pages have in common.
type Account struct {
	Problem Message
	Notice  Message
}

func (a Account) problem() Message { return a.Problem }
func (a Account) notice() Message  { return a.Notice }

// An Event is a sign-in the citizen is told about.
type Event struct {
	At            time.Time
	Place, Device Text
}

// AccountHome greets and tells of the last sign-in.
type AccountHome struct {
	Account
	Name      Text // masked
	Greeting  Text
	LastLogin Event // zero on the first
	Devices   int
	Sessions  int
	Consents  int
	WeakLogin bool // no second factor yet
	News      []News
}

// Passkey in the citizen's list.
type Passkey struct {
	ID             string
	Name           Text
	Synced         bool
	Made, LastUsed time.Time
}

// AccountSecurity lists the ways to sign in.
type AccountSecurity struct {
	Account
	PasswordChanged time.Time
	Passkeys        []Passkey
	TOTP            bool
	TOTPSince       time.Time
	RecoveryLeft    int
	PasswordURL     string // PasswordChange
	PasskeyURL      string // EnrolPasskey
}

// PasswordChange asks for the old one and the new one.
type PasswordChange struct {
	Account
	Username  Text // for password managers
	MinLength int
	BackURL   string
}

// DeviceState as the citizen is told.
type DeviceState string

// Device states (DESIGN D8).
const (
	DeviceActive    DeviceState = "active"
	DeviceSuspended DeviceState = "suspended"
	DeviceLost      DeviceState = "lost"
	DeviceRevoked   DeviceState = "revoked"
)

// Device in the citizen's list.
type Device struct {
	ID              string
	Name            Text
	Phone           bool // otherwise a browser
	State           DeviceState
	Current         bool // the one this page is shown on
	Hardware        bool // its key is attested to be in hardware
	Bound, LastSeen time.Time
	Place           Text
}

// Ended reports a device that can do nothing any more.
func (d Device) Ended() bool { return d.State == DeviceLost || d.State == DeviceRevoked }

// AccountDevices lists the bound devices.
type AccountDevices struct {
	Account
	Devices     []Device
	AddPhoneURL string
}

// AddPhone shows the enrolment code for the card app.
type AddPhone struct {
	Account
	URI     string // drawn as a QR code
	Code    string // the same for typing
	Expires time.Time
	PollURL string
	BackURL string
	// Replaces: the phone there is ends when this one is bound.
	Replaces bool
}

// Session in the citizen's list.
type Session struct {
	ID              string
	Device, Place   Text
	Began, LastSeen time.Time
	Current         bool
	Clients         []Text // applications signed in to with it
}

// AccountSessions lists where the citizen is signed in.
type AccountSessions struct {
	Account
	Sessions []Session
}

// Agreed is one thing an application may know or do, and what for.
type Agreed struct{ Title, Purpose, Basis Text }

// Consented is a consent in force.
type Consented struct {
	ID              string
	Client, Host    Text
	Scopes          []Agreed
	Since, LastUsed time.Time
}

// AccountConsents lists who may know what.
type AccountConsents struct {
	Account
	Consents []Consented
}

// AccountActivity is the citizen's own part of the trail.
type AccountActivity struct {
	Account
	Entries             []Activity
	OlderURL, NewestURL string
}

// Relative in the citizen's list.
type Relative struct {
	ID     string
	Name   Text // masked
	Card   Text // masked, as it was typed
	Agreed time.Time
	Ends   time.Time // of a question
}

// AccountRelatives lists who may report a loss for the citizen, and for whom they may.
type AccountRelatives struct {
	Account
	Mine   []Relative // named by the citizen
	Asking []Relative // have named the citizen and wait for an answer
	Theirs []Relative // for whom the citizen may report
	Most   int
}

// AccountData is where a copy is taken, and where the way out is.
type AccountData struct {
	Account
	CloseURL string
}

// AccountClose asks for a phrase before the account ends for good.
type AccountClose struct {
	Account
	Phrase  Text
	BackURL string
}

// AccountClosed says goodbye.
type AccountClosed struct{}

func (AccountActivity) file() string  { return "account-activity" }
func (AccountRelatives) file() string { return "account-relatives" }
func (AccountData) file() string      { return "account-data" }
func (AccountClose) file() string     { return "account-close" }
func (AccountClosed) file() string    { return "account-closed" }

func (AccountActivity) section() string  { return "activity" }
func (AccountRelatives) section() string { return "home" }
func (AccountData) section() string      { return "home" }
func (AccountClose) section() string     { return "home" }

func (AccountHome) file() string     { return "account-home" }
func (AccountSecurity) file() string { return "account-security" }
func (PasswordChange) file() string  { return "password-change" }
func (AccountDevices) file() string  { return "account-devices" }
func (AddPhone) file() string        { return "add-phone" }
func (AccountSessions) file() string { return "account-sessions" }
func (AccountConsents) file() string { return "account-consents" }

func (AccountHome) section() string     { return "home" }
func (AccountSecurity) section() string { return "security" }
func (PasswordChange) section() string  { return "security" }
func (AccountDevices) section() string  { return "devices" }
func (AddPhone) section() string        { return "devices" }
func (AccountSessions) section() string { return "sessions" }
func (AccountConsents) section() string { return "consents" }
