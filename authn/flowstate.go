package authn

import (
	"time"

	"ecardid/identity"
	"ecardid/templates"
)

// FlowState is what a flow remembers between steps besides its proofs. It is
// stored as JSON, sealed; a new field is happy when it is absent.
type FlowState struct {
	// Typed is what the citizen wrote as username, to show it again after a
	// mistake. It is never logged.
	Typed string `json:"typed,omitempty"`
	// Problem is the sentence about what went wrong in the last step, Number what
	// belongs into its gap.
	Problem templates.Key `json:"problem,omitempty"`
	Number  int           `json:"number,omitempty"`

	// Codes, Recoveries and Approvals count tries within the flow.
	Codes      int `json:"codes,omitempty"`
	Recoveries int `json:"recoveries,omitempty"`
	Approvals  int `json:"approvals,omitempty"`

	// Failures is how many wrong answers came before the right one, of the worst secret.
	Failures int `json:"failures,omitempty"`
	// Forgive names the counters those were counted on, for when the flow is through.
	Forgive [][]byte `json:"forgive,omitempty"`
	// Weighing is what the rules about sign-ins said; nil while they were not asked.
	Weighing *Weighing `json:"weighing,omitempty"`

	// Approval is the phone approval under way.
	Approval identity.ID `json:"approval,omitzero"`

	// Liveness is the liveness session under way; Tries how many there were;
	// Failed: the last one did not pass and the citizen has not yet said what next.
	Liveness identity.ID `json:"liveness,omitzero"`
	Tries    int         `json:"tries,omitempty"`
	Failed   bool        `json:"failed,omitempty"`

	// Here is who was signed in in this browser when the flow began, though what they
	// had proved was too old to take along: they have answered the question below.
	Here identity.ID `json:"here,omitzero"`
	// Browser is the trusted browser the flow runs in, once it is known to be the
	// citizen's. DeviceAsked: whether to remember this one was answered.
	Browser     identity.ID `json:"browser,omitzero"`
	DeviceAsked bool        `json:"device_asked,omitempty"`

	// RecoveryAt: a recovery code was used; the next step is to bind a new factor.
	RecoveryAt time.Time `json:"recovery_at,omitzero"`
	// Recovered stays when that is done, for the notice and the audit trail.
	Recovered bool `json:"recovered,omitempty"`
	// Seed is that of a TOTP factor being enrolled in this flow.
	Seed []byte `json:"seed,omitempty"`
	// Kept are recovery codes just made, until the citizen says they have them.
	Kept []string `json:"kept,omitempty"`

	// Activation is the first contact under way.
	Activation *Activation `json:"activation,omitempty"`
}

// An Activation is what a new citizen has shown and chosen so far. It lives in
// the flow alone until the end (SECURITY PW6: order enforced, one use).
type Activation struct {
	// Card is what they typed, to show it again and to call it their user name.
	Card string `json:"card,omitempty"`
	// Citizen and Code (its keyed hash) are set when the two fitted.
	Citizen identity.ID `json:"citizen,omitzero"`
	Code    []byte      `json:"code,omitempty"`
	// Encoded is the hash of the chosen password.
	Encoded  string    `json:"encoded,omitempty"`
	Chosen   time.Time `json:"chosen,omitzero"` // when
	Greeting string    `json:"greeting,omitempty"`
}

// problem says what went wrong; without arguments it says that nothing did.
func (s *FlowState) problem(key templates.Key, number ...int) {
	s.Problem, s.Number = key, 0
	if len(number) > 0 {
		s.Number = number[0]
	}
}

// message is Problem in the form pages take.
func (s *FlowState) message() templates.Message {
	switch s.Problem {
	case "":
		return templates.Message{}
	case templates.ProblemThrottled:
		return templates.Say(s.Problem, "minutes", s.Number)
	case templates.ProblemPasswordShort:
		return templates.Say(s.Problem, "min", s.Number)
	}
	return templates.Say(s.Problem)
}
