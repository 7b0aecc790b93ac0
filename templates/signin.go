package templates

import "time"

// A Factor is a way to prove who one is.
type Factor string

// Factors.
const (
	FactorPassword Factor = "password"
	FactorPasskey  Factor = "passkey"
	FactorTOTP     Factor = "totp"
	FactorPhone    Factor = "phone"
	FactorRecovery Factor = "recovery"
	FactorFace     Factor = "face"
)

func factors() []Factor {
	return []Factor{FactorPassword, FactorPasskey, FactorTOTP, FactorPhone, FactorRecovery, FactorFace}
}

// Title names the factor.
func (f Factor) Title() Message { return Say(Key("factor." + f + ".title")) }

// Hint says in a line what one has to have at hand.
func (f Factor) Hint() Message { return Say(Key("factor." + f + ".hint")) }

// Icon is the factor's picture.
func (f Factor) Icon() string {
	switch f {
	case FactorPasskey:
		return "key"
	case FactorTOTP:
		return "clock"
	case FactorPhone:
		return "phone"
	case FactorRecovery:
		return "paper"
	case FactorFace:
		return "face"
	}
	return "lock"
}

// Admission is what the register of relying parties says about one.
type Admission string

// Admissions. Whatever is neither is shown as not admitted.
const (
	Admitted Admission = "admitted"
	Trial    Admission = "trial"
)

// Asker is the relying party on whose behalf this page is shown. A zero Asker is
// ourselves: the person came to their own account.
type Asker struct {
	Name      Text // as registered
	Host      Text // of the registered redirect URI, where the person will return to
	Admission Admission
}

// An Option is another way on.
type Option struct {
	Factor Factor
	URL    string
}

// Step is what every page of a login has.
type Step struct {
	Asker    Asker
	Greeting Text    // chosen by the citizen; only once the password was right or the browser is trusted
	Problem  Message // what went wrong with the last answer
	Others   []Option
}

func (s Step) step() Step       { return s }
func (s Step) problem() Message { return s.Problem }

// A Ceremony is where the script fetches WebAuthn options and brings the answer.
type Ceremony struct {
	OptionsURL, FinishURL string
}

// Login is the first page most people see of us.
type Login struct {
	Step
	Account Text // what they typed, when they come back after a mistake
	Notice  Message
	Passkey Ceremony
}

// SecondFactor asks which way to go on; Step.Others are the ways.
type SecondFactor struct{ Step }

// TOTPCode asks for the authenticator's six digits.
type TOTPCode struct{ Step }

// RecoveryCode asks for one of the codes kept on paper.
type RecoveryCode struct{ Step }

// PhoneApprove waits for the bound phone, or offers to ask it.
type PhoneApprove struct {
	Step
	Phone   Text
	Number  string // the one to choose on the phone; "" while none is asked
	PollURL string
}

// PasskeyStep asks for a passkey where nothing else will do, or it was chosen.
type PasskeyStep struct {
	Step
	Passkey Ceremony
}

// Held says that a sign-in waits, until when, and what can be done.
type Held struct {
	Step
	Until       time.Time
	ContinueURL string
}

// BindDevice asks whether this browser shall be remembered.
type BindDevice struct {
	Step
	Device Text
	Days   int
}

// StepUp explains why more is asked than before.
type StepUp struct {
	Step
	Done, Needed []Factor
}

// LivenessStart comes before the provider's page and asks for the separate consent.
type LivenessStart struct {
	Step
	Provider, ProviderHost Text
	Standin                bool   // the provider is the stand-in of a demonstration
	AlternativeURL         string // a way without the face; "" only where a scope forbids one
}

// LivenessWaiting is shown on return, until the verdict was fetched.
type LivenessWaiting struct {
	Step
	PollURL string
}

// LivenessResult tells the verdict.
type LivenessResult struct {
	Step
	Passed         bool
	Left           int // tries
	AlternativeURL string
}

// A Scope as it is explained to a person, already in their language.
type Scope struct {
	Title, Purpose Text
	Basis          Text // the law that lets the application ask; may be empty
	Claims         []Text
	New            bool // not granted to this client before
}

// Consent asks whether the client may know.
type Consent struct {
	Step
	Account Text // masked
	Scopes  []Scope
	// Payments are agreed to this once; they come first on the page.
	Payments []Payment
	// DeviceCode is what a device shows that asks, to be compared; "" for an application.
	DeviceCode Text
	Until      time.Time // when the consent ends by itself; zero: with the citizen's word
	Token      string    // ties the answer to this request and login; goes into the field "token"
}

// A Payment is what a citizen agrees to pay. Account and Reference may be empty.
type Payment struct {
	Amount                    Text // in yuan
	Payee, Account, Reference Text
}

// FormPost carries an answer to the application by itself or, without script, by
// its button (OAuth 2.0 Form Post Response Mode §2). Action is a registered
// redirect URI.
type FormPost struct {
	Action string
	Fields []Field
}

// A Field is a hidden input.
type Field struct{ Name, Value string }

func (Login) file() string           { return "login" }
func (SecondFactor) file() string    { return "second-factor" }
func (TOTPCode) file() string        { return "totp-code" }
func (RecoveryCode) file() string    { return "recovery-code" }
func (PhoneApprove) file() string    { return "phone-approve" }
func (PasskeyStep) file() string     { return "passkey-step" }
func (Held) file() string            { return "held" }
func (BindDevice) file() string      { return "bind-device" }
func (StepUp) file() string          { return "step-up" }
func (LivenessStart) file() string   { return "liveness-start" }
func (LivenessWaiting) file() string { return "liveness-waiting" }
func (LivenessResult) file() string  { return "liveness-result" }
func (Consent) file() string         { return "consent" }
func (FormPost) file() string        { return "form-post" }

func (p Login) notice() Message { return p.Notice }
