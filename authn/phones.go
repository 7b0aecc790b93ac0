package authn

import (
	"context"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// This file is what signing in asks about phones of whoever remembers: how one is bound,
// and what it is asked. The rules of store.go hold here too. The step in a browser is
// phonestep.go; what a phone says comes through package deviceapi.

// A PhoneEnrolment is a phone about to be bound. The code is shown to the citizen
// (as a QR code) on a page that needs fresh MFA; the app answers with it.
type PhoneEnrolment struct {
	ID        identity.ID
	Citizen   identity.ID
	Login     identity.ID
	Code      []byte // SHA-256
	Challenge string // set when the app has shown the code
	Expires   time.Time
	// Alone: the phone takes the place of those that are there.
	Alone bool
	// CoolOff is how long the citizen goes without scopes of high value once it is
	// bound; zero when they stood at a counter.
	CoolOff time.Duration
}

// Phones binds phones and hears them.
type Phones interface {
	OpenEnrolment(ctx context.Context, e PhoneEnrolment) error
	// ClaimEnrolment spends the code and stores the challenge.
	ClaimEnrolment(ctx context.Context, code []byte, challenge string, expires, now time.Time) (PhoneEnrolment, error)
	// Enrolment returns a claimed, unfinished enrolment.
	Enrolment(ctx context.Context, id identity.ID, now time.Time) (PhoneEnrolment, error)
	// BindPhone finishes the enrolment and stores the phone: the login that opened
	// it must be alive. ErrSpent when finished before, ErrConflict when the key is
	// known (also a revoked one's: it returns only with a new key). If the enrolment
	// says so the phones that were there end with it, and all that hung on them.
	BindPhone(ctx context.Context, enrolment identity.ID, d Device, now time.Time, e audit.Event) error
	// Phone returns an active phone whose citizen may sign in.
	Phone(ctx context.Context, id identity.ID) (Device, error)
	// SpendNonce records a replay key until expires; ErrSpent when it is known.
	SpendNonce(ctx context.Context, key []byte, expires, now time.Time) error
}

// An Approval asks a citizen's phones about one step of one flow.
type Approval struct {
	ID      identity.ID
	Flow    identity.ID
	Citizen identity.ID
	Context []byte // JSON the phone shows and signs the hash of
	Number  int    // the right one of Choices
	Choices []int
	State   ApprovalState
	Device  identity.ID // that answered
	// What the phone's signature said.
	Verified bool
	Hardware bool
	Created  time.Time
	Expires  time.Time
}

// An ApprovalState is where an approval stands.
type ApprovalState string

// The states of an approval.
const (
	ApprovalPending  ApprovalState = "pending"
	ApprovalApproved ApprovalState = "approved"
	ApprovalDenied   ApprovalState = "denied"
)

// Approvals keeps them.
type Approvals interface {
	// OpenApproval stores a, in place of any other of the same flow.
	OpenApproval(ctx context.Context, a Approval) error
	PendingApprovals(ctx context.Context, citizen identity.ID, now time.Time) ([]Approval, error)
	Approval(ctx context.Context, id identity.ID, now time.Time) (Approval, error)
	// AnswerApproval moves a pending approval of the device's citizen, once.
	// The device must be an active phone.
	AnswerApproval(ctx context.Context, id, device identity.ID, state ApprovalState, verified, hardware bool, now time.Time, e audit.Event) error
}
