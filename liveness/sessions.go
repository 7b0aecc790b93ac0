package liveness

import (
	"context"
	"errors"
	"time"

	"ecardid/identity"
)

// What Sessions answers beside identity.ErrNotFound and identity.ErrSpent. Any
// other error is a fault of ours and nothing has passed.
var (
	// ErrTransactionLimit: this transaction has had its tries. The citizen begins
	// the sign-in anew or proves themselves otherwise.
	ErrTransactionLimit = errors.New("liveness: no more tries in this transaction")

	// ErrCitizenLimit: this citizen has had their tries for now. Other factors or
	// the counter remain.
	ErrCitizenLimit = errors.New("liveness: no more tries for this citizen")

	// ErrReplayed: a result with this jti has settled a session before.
	ErrReplayed = errors.New("liveness: result was used before")

	// ErrContradicted: the provider's notice and its result do not say the same.
	ErrContradicted = errors.New("liveness: notice and result disagree")

	// ErrStanding: the citizen, the card or the device is no longer what it was
	// when the session began.
	ErrStanding = errors.New("liveness: citizen, card or device is not in good standing")
)

// A State is where a session stands. Every state but StatePending is final.
type State string

// The states.
const (
	StatePending      State = "pending"
	StatePassed       State = "passed"
	StateFailed       State = "failed"
	StateInconclusive State = "inconclusive"
	StateExpired      State = "expired"
	StateUnavailable  State = "unavailable" // the provider never began it
)

// A Session is one row: a question put to a provider and what came of it.
type Session struct {
	ID       identity.ID // also the request_id the provider knows us by
	Provider string      // its name in our configuration

	// ProviderSession is the provider's name for it, from Attach; unique together
	// with Provider, empty before.
	ProviderSession string

	TxnHash []byte // 32 bytes; what it is about, not usable to continue a login
	Citizen identity.ID
	Device  identity.ID // zero for none
	Purpose Purpose

	State  State
	Begun  time.Time
	Ends   time.Time // of capture; results may be pulled pullGrace longer
	Notice *Notice   // the first one that came, nil for none

	// Contradicted: notices came that do not agree with each other.
	Contradicted bool

	// Standing is not stored but seen when read: the citizen is active, the card
	// normal, and the device, when there is one, active.
	Standing bool
}

// A Notice is what remains of a provider's callback: nothing personal, only
// enough to see whether the result says the same.
type Notice struct {
	JTI    []byte // 32 bytes
	Digest []byte // 32 bytes
}

// Limits are how often a liveness check may be begun.
type Limits struct {
	PerSession     int           // tries the provider may give within one session
	PerTransaction int           // sessions with the same TxnHash, whatever came of them
	Tries          int           // tries of one citizen, over all their sessions begun within TriesWithin
	TriesWithin    time.Duration //
	PerDay         int           // tries of one citizen begun within 24 hours
}

// A Settlement is how a session ends.
type Settlement struct {
	State    State // any but StatePending
	Reason   Reason
	Band     Band
	JTI      []byte // 32 bytes, nil when there is no result to speak of
	Digest   []byte // 32 bytes, nil likewise
	Tries    int    // how many this session counts for from now on
	Captured time.Time
	At       time.Time
}

// Sessions is what liveness needs from storage, and all it needs. Each method is
// one statement, or one short transaction, that holds however many replicas
// call it at once (SECURITY G1).
type Sessions interface {
	// Begin inserts s, whose State is StatePending, unless a limit is reached.
	//
	// A session counts as many tries as its Settlement said, and PerSession while
	// it is pending, its time over or not; the new one must fit in with PerSession
	// of its own. Counting and inserting are one: of n parallel Begins with room
	// for one, one succeeds. (Under READ COMMITTED an
	// INSERT … SELECT count(*) does not do that by itself: lock the citizen's row
	// first.) Past a limit it inserts nothing and returns ErrTransactionLimit or
	// ErrCitizenLimit.
	Begin(ctx context.Context, s Session, l Limits) error

	// Attach writes down the provider's name for a pending session that has none
	// yet. Otherwise, and when that name is taken, it returns identity.ErrConflict.
	Attach(ctx context.Context, id identity.ID, providerSession string) error

	// Note keeps the first notice for a pending session. A later one with the same
	// Digest changes nothing; one with another Digest sets Contradicted. For a
	// session that is unknown or settled it returns identity.ErrNotFound.
	Note(ctx context.Context, provider, providerSession string, n Notice) error

	// Get returns the session, with Standing as it is now, or identity.ErrNotFound.
	Get(ctx context.Context, id identity.ID) (Session, error)

	// Settle moves the session from pending to how.State: one conditional update
	// whose affected-row count decides. If it is no longer pending, identity.ErrSpent.
	// If how.JTI settled another session of any state before, ErrReplayed, and
	// this one stays pending. JTIs are remembered as long as the rows are, at least
	// a day.
	//
	// StatePassed asks more of the same statement, because a card may be frozen,
	// a device reported lost or a notice arrive after Get: Standing must hold now
	// and neither Contradicted nor a notice with another Digest may be there. If
	// that fails the session is settled as StateFailed instead, with
	// ReasonStanding or ReasonDisagree, and ErrStanding or ErrContradicted returned.
	Settle(ctx context.Context, id identity.ID, how Settlement) error
}
