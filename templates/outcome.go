package templates

import "time"

// Error tells what to do next. The cause is in the log, under the reference.
type Error struct {
	Title, Next Message // zero: ErrorTitle, ErrorNext
	Reference   string
}

// Busy is 503: come back in a moment.
type Busy struct {
	Seconds   int // as in Retry-After
	Reference string
}

// Cancel asks before a sign-in is given up.
type Cancel struct {
	Step
	BackURL string // to where the sign-in stands
}

// LogoutConfirm asks before signing out on an application's word.
type LogoutConfirm struct{ Step }

// SignedOut is the end of a visit.
type SignedOut struct {
	Client    Text   // whose ReturnURL it is
	ReturnURL string // registered post-logout URI, "" if there was none
	// Frames are addresses of relying parties that hear of the end of the session by
	// being loaded: invisible, and without any right on our page.
	Frames []string
}

// Lost reports a lost card or phone without signing in, and tells what else can be done.
type Lost struct {
	Problem                   Message
	Account                   Text // what they typed, when they come back after a mistake
	PhonePasskey, CardPasskey Ceremony
	UndoURL                   string // LossUndo
}

func (p Lost) problem() Message { return p.Problem }

// A LossKind says what was lost.
type LossKind string

// What can be lost.
const (
	LostPhone  LossKind = "phone"
	LostCard   LossKind = "card"
	LostDevice LossKind = "device"
)

// LossReceipt says what ended, to whoever has the number. It names nobody.
type LossReceipt struct {
	Number  string
	Lost    LossKind
	At      time.Time
	Signed  string // JWS; "" when there was no key to sign with
	UndoURL string
}

// LossUndo brings a card back that was reported lost.
type LossUndo struct {
	Problem    Message
	Account    Text
	Done       bool
	DevicesURL string
}

func (p LossUndo) problem() Message { return p.Problem }

// Privacy tells what is kept, why, and how long.
type Privacy struct{}

func (Error) file() string         { return "error" }
func (Busy) file() string          { return "busy" }
func (Cancel) file() string        { return "cancel" }
func (LogoutConfirm) file() string { return "logout-confirm" }
func (SignedOut) file() string     { return "signed-out" }
func (Lost) file() string          { return "lost" }
func (LossReceipt) file() string   { return "loss-receipt" }
func (LossUndo) file() string      { return "loss-undo" }
func (Privacy) file() string       { return "privacy" }

// every returns a zero value of each page. A page that is not here has no template.
func every() []Page {
	return []Page{
		Login{}, Connect{}, Connected{}, SecondFactor{}, TOTPCode{}, RecoveryCode{}, PhoneApprove{}, PasskeyStep{}, Held{}, BindDevice{}, StepUp{},
		LivenessStart{}, LivenessWaiting{}, LivenessResult{}, Consent{}, FormPost{},
		Activate{}, ActivatePassword{}, ActivateGreeting{}, EnrolChoice{}, EnrolTOTP{}, EnrolPasskey{}, RecoveryCodes{},
		AccountHome{}, AccountSecurity{}, PasswordChange{}, AccountDevices{}, AddPhone{}, AccountSessions{}, AccountConsents{},
		AccountActivity{}, AccountRelatives{}, AccountData{}, AccountClose{}, AccountClosed{},
		Error{}, Busy{}, Cancel{}, LogoutConfirm{}, SignedOut{}, Lost{}, LossReceipt{}, LossUndo{}, Privacy{},
	}
}
