package console

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// An Order is an act asked for. It is stored whole with a request, sealed, so that what
// is performed is what was approved (SECURITY G3).
type Order struct {
	Act     Act           `json:"act"`
	Citizen identity.ID   `json:"citizen,omitzero"`
	Target  identity.ID   `json:"target,omitzero"` // device, session, passkey or staff
	Client  string        `json:"client,omitempty"`
	Value   string        `json:"value,omitempty"`
	Many    []identity.ID `json:"many,omitempty"` // citizens of a bulk act
	Reason  string        `json:"reason"`
	// Half is set by filing alone: the hash of the half of an invitation's code that whoever
	// asked was told. Whoever approves makes the other half.
	Half string `json:"half,omitempty"`
}

// Subject names what an order is about, for step-up and trail: a step-up for one subject
// is none for another.
func (o Order) Subject() string {
	switch {
	case !o.Target.IsZero():
		return o.Target.String()
	case !o.Citizen.IsZero():
		return o.Citizen.String()
	}
	return o.Client
}

// Purpose is what a step-up for the order is good for: the act, on the subject, with the
// value.
func (o Order) Purpose() string { return string(o.Act) + " " + o.matter() }

// matter is the subject with a hash of the value, which may be long. What is typed into
// a form after the passkey was shown, so that it is not lost to it, is not in it: others
// approve that, or it prepares what they will.
func (o Order) matter() string {
	switch o.Act {
	case ClientPrepare, ClientAdmit, BulkLoss:
		return o.Subject()
	}
	if o.Value == "" {
		return o.Subject()
	}
	h := sha256.Sum256([]byte(o.Value))
	return o.Subject() + " " + base64.RawURLEncoding.EncodeToString(h[:])
}

// well reports whether an order says what its act takes and nothing else. The acts on
// citizens have a rule of their own, with their performer ([Counter]).
func (o Order) well() bool {
	citizen, target, client, value, many := !o.Citizen.IsZero(), !o.Target.IsZero(), o.Client != "", o.Value != "", len(o.Many) > 0
	if o.Half != "" {
		return false
	}
	switch o.Act {
	case StaffInvite:
		return value && !citizen && !target && !client && !many
	case StaffRoles:
		return value && target && !citizen && !client && !many
	case StaffDeactivate:
		return target && !value && !citizen && !client && !many
	case ClientPrepare, ClientAdmit, ClientSuspend, ClientWithdraw:
		return client && !citizen && !target && !many
	case AlarmSee:
		return value && !citizen && !target && !client && !many
	}
	return !client
}

// Each returns the orders a bulk order consists of; itself for others.
func (o Order) Each() []Order {
	if o.Act != BulkLoss {
		return []Order{o}
	}
	var all []Order
	for _, citizen := range o.Many {
		all = append(all, Order{Act: LossReport, Citizen: citizen, Value: o.Value, Reason: o.Reason})
	}
	return all
}

// A Line is one fact of a preview: how many of what will end, or what else will change.
type Line struct {
	What  string // a word of the pages' vocabulary: "devices", "sessions", "grants" …
	Count int
	Name  string // of one thing, masked; may be empty
}

// A Performer knows how to carry out some acts. Perform does it in one transaction with
// e, in which e.Warrant, if there is one, is spent, and e.Standing holds.
type Performer interface {
	// Preview says what would happen; identity.ErrNotFound for what is not there or not the
	// caller's to see, identity.ErrConflict for what is not possible now.
	Preview(ctx context.Context, by Staff, o Order) ([]Line, error)
	// Perform does it. told is a word for whoever asked, such as a receipt's number.
	Perform(ctx context.Context, o Order, e audit.Event) (told string, err error)
}

// A RequestState says how far a request is.
type RequestState string

// The states of a request. Open and approved ones expire.
const (
	RequestOpen     RequestState = "open"
	RequestApproved RequestState = "approved" // all have said yes; its warrants may be used
	RequestDone     RequestState = "done"     // and have been
	RequestRejected RequestState = "rejected"
	RequestDropped  RequestState = "withdrawn" // by who asked
)

// A Request is an order that waits for others.
type Request struct {
	ID       identity.ID
	Order    Order
	By       Staff  // who asked
	Client   string // or which program did
	State    RequestState
	Created  time.Time
	Expires  time.Time
	Approved []Staff
	Warrants []Warrant
}

// A Warrant lets one order of an approved request be performed, once: the audit event of
// the act carries its id, and storage spends it in the same transaction.
type Warrant struct {
	ID      identity.ID
	Order   Order
	State   WarrantState
	Problem string // a word, when failed
}

// A WarrantState says whether it was used.
type WarrantState string

// The states of a warrant.
const (
	WarrantReady  WarrantState = "ready"
	WarrantDone   WarrantState = "done"
	WarrantFailed WarrantState = "failed" // Warrant.Problem says why
)

// Open requests that one person, or one program, may have (SECURITY DS3): whoever has to
// read them is one person too.
const (
	MaxOpen          = 50
	MaxOpenOfProgram = 200
)

// Requests remembers them.
type Requests interface {
	// FileRequest stores r open, with one warrant for each of r.Order.Each().
	// identity.ErrConflict when one for the same act on the same subject waits already, or
	// whoever asks has as many open ones as anybody may.
	FileRequest(ctx context.Context, r Request, e audit.Event) error
	// ApproveRequest adds one approval: by somebody active of e.Standing, who did not ask
	// and has not approved. It reports whether those were all (needs). identity.ErrConflict
	// when it is not open or expired, identity.ErrSpent for a second one of the same person.
	ApproveRequest(ctx context.Context, id identity.ID, needs int, e audit.Event) (all bool, err error)
	RejectRequest(ctx context.Context, id identity.ID, state RequestState, e audit.Event) error
	// FailWarrant notes that an order could not be performed; spent ones stay spent.
	FailWarrant(ctx context.Context, id identity.ID, problem string, e audit.Event) error
	// StaffRequest returns one in whatever state it is, expired ones as well.
	StaffRequest(ctx context.Context, id identity.ID) (Request, error)
	// ListRequests returns n that are open, or ended within two weeks, and that the reader
	// asked for or may approve; open ones first, and then the newest. Of some more than that
	// it cannot tell whether the reader serves whom they are about.
	ListRequests(ctx context.Context, reader Staff, now time.Time, n int) ([]Request, error)
}

// A Caller is who orders: somebody of staff, or a program of the call centre.
type Caller struct {
	Staff   Staff
	Session Session // they came with, for its step-up
	Client  string  // the API's; Staff is zero then, but for its Unit
	Acts    []Act   // what the program's token allows
}

// An Outcome is what came of an order.
type Outcome struct {
	Told    string      // by the performer
	Request identity.ID // filed instead of done; zero when done
}
