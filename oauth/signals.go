package oauth

import (
	"context"
	"encoding/json"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// This file holds the nouns of Shared Signals (OpenID Shared Signals Framework 1.0)
// and what the transmitter in oauth/signals asks of whoever remembers.

// Delivery methods of a stream (RFC 8935, RFC 8936).
const (
	DeliveryPush = "urn:ietf:rfc:8935"
	DeliveryPoll = "urn:ietf:rfc:8936"
)

// States of a stream (Shared Signals §8.1.2). A paused one keeps what happens until it
// is enabled again; a disabled one keeps nothing.
const (
	StreamEnabled  = "enabled"
	StreamPaused   = "paused"
	StreamDisabled = "disabled"
)

// A Stream is how one client hears of its citizens. A client has one at most.
type Stream struct {
	ID            identity.ID
	ClientID      string
	Method        string
	Endpoint      string // of a push stream; a poll stream's is ours
	Authorization string // sent along when something is pushed; sealed by storage
	Requested     []string
	Delivered     []string // of those the ones there are
	Description   string
	Status        string
	StatusReason  string
	Created       time.Time
}

// A Signal is one event on its way to one stream: all of a security event token but
// the signature. Its ID is the jti, so that one delivered twice is seen to be one.
type Signal struct {
	ID      identity.ID
	Type    string      // event type URI
	Citizen identity.ID // zero: it is about the stream itself
	Session identity.ID // the one session it is about; zero: none or all
	Data    json.RawMessage
	At      time.Time
	Tries   int // times its receiver said no to it
}

// A StreamLag is how far a stream's receiver is behind.
type StreamLag struct {
	ClientID  string
	Stream    identity.ID
	Method    string
	Status    string
	Pending   int
	Oldest    time.Time // of what is pending; zero: nothing is
	Delivered time.Time // the last time something was taken; zero: never
	Failures  int       // pushes in a row that went wrong
	Error     string    // of the last of them, as a word of ours; empty when it went well
	Lost      time.Time // when, to the hour, something was last not kept because too much waited; zero: never
}

// A Push is a stream whose turn it is, leased, with the first of what waits.
type Push struct {
	Stream
	Failures int
	Until    time.Time // the end of the lease, which names it
	Signals  []Signal  // in order
}

// Streams keeps streams and what waits on them. Storage puts signals there in the
// transactions of the acts (SignalsOf), for each enabled or paused stream that delivers
// the type and whose client is live, and holds or lately held a grant of the citizen that
// was not withdrawn.
type Streams interface {
	// CreateStream is identity.ErrConflict when the client has one, and
	// identity.ErrNotFound when the client is not live.
	CreateStream(ctx context.Context, s Stream, e audit.Event) error
	// StreamOf returns the stream of a client, or identity.ErrNotFound.
	StreamOf(ctx context.Context, clientID string) (Stream, error)
	// ChangeStream writes what change makes of the client's stream id, in one transaction;
	// an error of change is returned as it is. Of a stream that is disabled nothing stays
	// behind.
	ChangeStream(ctx context.Context, clientID string, id identity.ID, change func(Stream) (Stream, error), e audit.Event) (Stream, error)
	DeleteStream(ctx context.Context, clientID string, id identity.ID, e audit.Event) error
	// VerifyStream puts a signal without a citizen on the client's stream; identity.ErrConflict
	// when another was put there less than gap ago.
	VerifyStream(ctx context.Context, clientID string, id identity.ID, s Signal, gap time.Duration) error
	// PollStream forgets what is acknowledged and returns up to n signals of the rest in
	// order, and whether there are more. They stay until they are acknowledged.
	PollStream(ctx context.Context, clientID string, id identity.ID, acks []identity.ID, n int, now time.Time) (signals []Signal, more bool, err error)
	// LeavePerson has a stream hear nothing of one citizen any more, by the hash of the sub
	// that its client knows; JoinPerson takes that back. identity.ErrConflict beyond what
	// a stream may leave out.
	LeavePerson(ctx context.Context, clientID string, id identity.ID, sub []byte) error
	JoinPerson(ctx context.Context, clientID string, id identity.ID, sub []byte) error
	// LeftOut returns those of subs of whom the stream hears nothing, as strings.
	LeftOut(ctx context.Context, id identity.ID, subs [][]byte) (map[string]bool, error)

	// TakePushes leases up to n enabled push streams on which something waits until
	// now+lease: no other replica is given them meanwhile. Each comes with up to each signals.
	TakePushes(ctx context.Context, now time.Time, lease time.Duration, n, each int) ([]Push, error)
	// Pushed forgets a signal that was taken at now, or was given up: then now is zero.
	Pushed(ctx context.Context, stream, signal identity.ID, now time.Time) error
	// Rest ends the lease p, if it is still the one: the stream's turn comes again at next.
	// problem says what went wrong; empty: nothing. blamed is the signal that its receiver
	// said no to, if one was.
	Rest(ctx context.Context, p Push, next time.Time, blamed identity.ID, problem string) error
	// SignalLag says how far each stream is behind.
	SignalLag(ctx context.Context) ([]StreamLag, error)
}
