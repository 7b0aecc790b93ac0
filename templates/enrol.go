package templates

// Activate is the first contact: the card's number and the code from the letter.
type Activate struct {
	Step
	Card Text // what they typed, after a mistake
}

// ActivatePassword asks for the first password.
type ActivatePassword struct {
	Step
	Account   Text // the name to sign in with; shown, and there for password managers
	MinLength int
}

// ActivateGreeting asks for the words by which the citizen will know our pages.
type ActivateGreeting struct {
	Step
	Chosen Text // what they typed, after a mistake
}

// EnrolChoice leads to a second factor; Step.Others are the choices.
type EnrolChoice struct {
	Step
	LaterURL string // "" where a second factor is required at once
}

// EnrolTOTP shows the seed once and asks for a first code.
type EnrolTOTP struct {
	Step
	URI     string // otpauth://…, drawn as a QR code
	Secret  string // the same for typing, in groups of four
	BackURL string
}

// EnrolPasskey makes a passkey.
type EnrolPasskey struct {
	Step
	Passkey Ceremony
	BackURL string
}

// RecoveryCodes shows the codes, this once.
type RecoveryCodes struct {
	Step
	Codes []string
}

func (Activate) file() string         { return "activate" }
func (ActivatePassword) file() string { return "activate-password" }
func (ActivateGreeting) file() string { return "activate-greeting" }
func (EnrolChoice) file() string      { return "enrol-choice" }
func (EnrolTOTP) file() string        { return "enrol-totp" }
func (EnrolPasskey) file() string     { return "enrol-passkey" }
func (RecoveryCodes) file() string    { return "recovery-codes" }
