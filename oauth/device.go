package oauth

import (
	"context"
	"time"

	"ecardid/audit"
)

// This file is what the device grant (RFC 8628) asks of whoever remembers. What a
// device is given in the end is a grant like any other: its code is the device code,
// issued by IssueCode when the citizen agrees and redeemed by Redeem.

// A DeviceCode is a device's question, on its way to a citizen.
type DeviceCode struct {
	Code     []byte // SHA-256 of the device code, which the device keeps
	User     []byte // keyed hash of the user code, which the citizen types
	ClientID string
	Params   string // canonical form encoding of what is asked for; sealed at rest
	// Vouched: a client with credentials asked, so strangers who fill the store do not
	// shut it out. It is not kept.
	Vouched bool
	Created time.Time
	Expires time.Time
}

// A DeviceState is what has become of a device code.
type DeviceState int

// The states.
const (
	DevicePending DeviceState = iota // nobody has answered
	DeviceHasty                      // asked again too soon, whatever the answer is
	DeviceAllowed                    // there is a grant with this code
	DeviceDenied
)

// A DevicePoll is a device that asks what has become of its code.
type DevicePoll struct {
	Code     []byte // SHA-256
	ClientID string
	// Interval is the least time between two polls. Each one that comes too soon
	// lengthens it by as much again, for good (RFC 8628 §3.5).
	Interval time.Duration
	Once     []Once
	Now      time.Time
}

// DeviceCodes keeps them. A code is dead when its client was suspended since.
type DeviceCodes interface {
	// AddDeviceCode keeps d. Strangers cause these rows, so there is a limit to how many
	// live ones are kept: identity.ErrConflict beyond it. identity.ErrSpent when the
	// user code is another device's, or the client is not live any more.
	AddDeviceCode(ctx context.Context, d DeviceCode, once ...Once) error
	// TypedDeviceCode finds the code that waits for an answer by its user code.
	TypedDeviceCode(ctx context.Context, user []byte, now time.Time) (DeviceCode, error)
	// DeviceCode returns the code if it waits for an answer.
	DeviceCode(ctx context.Context, code []byte, now time.Time) (DeviceCode, error)
	// DenyDeviceCode answers no; identity.ErrSpent when it was answered or is over. It
	// is one transaction with its event.
	DenyDeviceCode(ctx context.Context, code []byte, now time.Time, e audit.Event) error
	// PollDeviceCode says what has become of the client's code, in one round trip on
	// PostgreSQL. Of polls side by side one is not hasty. identity.ErrNotFound is the
	// answer for another client's code, identity.ErrEnded for one that is over.
	PollDeviceCode(ctx context.Context, p DevicePoll) (DeviceState, error)
}

// A Counter counts guesses; the key is a keyed hash that names nobody. The first Free
// guesses cost nothing, each one after that blocks for twice as long as the one
// before, from Base to Cap. It counts anew when Per is over.
type Counter struct {
	Key            []byte
	Free           int
	Base, Cap, Per time.Duration
}

// Counters are shared by all replicas.
type Counters interface {
	// CountGuess counts one guess on each of the counters, which are different ones,
	// before it is judged, and reports for each whether it was not blocked already.
	CountGuess(ctx context.Context, now time.Time, counters ...Counter) ([]bool, error)
	// Refund takes one guess back.
	Refund(ctx context.Context, key []byte) error
}

// What a citizen has decided about a device, as the page at the end is told.
const (
	DeviceConnected = "connected"
	DeviceDeclined  = "declined"
)
