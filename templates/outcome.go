package templates

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

// Lost tells what to do about a lost card or phone, without signing in.
type Lost struct{}

// Privacy tells what is kept, why, and how long.
type Privacy struct{}

func (Error) file() string         { return "error" }
func (Busy) file() string          { return "busy" }
func (Cancel) file() string        { return "cancel" }
func (LogoutConfirm) file() string { return "logout-confirm" }
func (SignedOut) file() string     { return "signed-out" }
func (Lost) file() string          { return "lost" }
func (Privacy) file() string       { return "privacy" }

// every returns a zero value of each page. A page that is not here has no template.
func every() []Page {
	return []Page{
		Login{}, SecondFactor{}, TOTPCode{}, RecoveryCode{}, PhoneApprove{}, PasskeyStep{}, BindDevice{}, StepUp{},
		LivenessStart{}, LivenessWaiting{}, LivenessResult{}, Consent{}, FormPost{},
		Activate{}, ActivatePassword{}, ActivateGreeting{}, EnrolChoice{}, EnrolTOTP{}, EnrolPasskey{}, RecoveryCodes{},
		AccountHome{}, AccountSecurity{}, PasswordChange{}, AccountDevices{}, AddPhone{}, AccountSessions{}, AccountConsents{},
		Error{}, Busy{}, Cancel{}, LogoutConfirm{}, SignedOut{}, Lost{}, Privacy{},
	}
}
