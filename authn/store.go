package authn

import (
	"context"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/authn/passkey"
	"ecardid/authn/totp"
	"ecardid/identity"
)

// This file is all that signing in asks of whoever remembers, but for Phones and
// Approvals (phones.go), Cards (found.go), Relatives (relatives.go) and Risks (weigh.go).
// Each interface is one need; storage implements them together. Common to all of them:
//
//   - Times are passed in. Expiry is decided by the statement that uses the row.
//   - What may happen once is one conditional write; the loser gets
//     identity.ErrSpent (SECURITY G1). It holds across replicas.
//   - identity.ErrNotFound is also the answer for somebody else's row.
//   - A change of a security fact takes an audit.Event and writes it, and the
//     citizen's notice when Event.Notify, in the same transaction: if the entry
//     cannot be written the change does not happen (SECURITY AD3).
//   - Any other error is a fault of ours and grants nothing.
//
// A citizen has an epoch. Logins, flows, trusted browsers and grants remember the
// epoch they were made in and are dead in any other. Raising it ends everything
// at once and for good, which is what a new password, a removed or replaced factor,
// a recovery or a frozen card do (SECURITY G6). It is never lowered.
//
// Methods that take a *Flow make something in a flow: nil says that they are called
// from elsewhere. The flow must be alive and of the citizen's epoch, and the login
// it raises alive; otherwise identity.ErrEnded. Where the method raises the epoch
// that very flow, with the login it raises, lives on in the new one and f.Epoch says
// which that is; every other flow of the citizen is gone.

// An AliasKind says which of a citizen's numbers somebody typed.
type AliasKind string

// The numbers a citizen may sign in with.
const (
	AliasCard  AliasKind = "card"
	AliasID    AliasKind = "id"
	AliasPhone AliasKind = "phone"
)

// An Alias is one of a citizen's numbers in canonical form (internal/idnumber).
type Alias struct {
	Kind  AliasKind
	Value string
}

// An Account is what signing in needs to know of a citizen.
type Account struct {
	ID         identity.ID
	State      identity.CardState
	Epoch      int64
	Password   string // as password.Hasher wrote it; empty before activation
	Greeting   string // chosen by the citizen; shown only after proof or to a trusted browser
	MaskedName string
	UserHandle []byte // 64 random bytes for WebAuthn, never a number of theirs
	Locale     string
	Factors    Factors
}

// Factors counts what an account could be asked for: confirmed and alive only.
type Factors struct {
	TOTP     bool
	Passkeys int
	Phones   int
	Recovery int // unused recovery codes
}

// Any reports whether there is a second factor that counts.
func (f Factors) Any() bool { return f.TOTP || f.Passkeys > 0 || f.Phones > 0 }

// Enough decides whether a removal may be: left is what the account has when the
// factor is gone, deviceKeys how many of its passkeys live on a registered device.
// The store asks after the removal and before it is final, while it holds the
// citizen, so that two removals side by side cannot both be the last but one. On
// false nothing has changed and the answer is ErrLastFactor. Nil lets everything
// go: what is lost, suspended or copied goes, last factor or not. It runs inside a
// transaction and must not call the store.
type Enough func(left Factors, deviceKeys int) bool

// EnoughFor is the Enough of an installation whose logins reach floor (SECURITY
// MF3).
func EnoughFor(floor identity.Level) Enough {
	return func(left Factors, deviceKeys int) bool {
		switch {
		case floor >= identity.LevelBound:
			return deviceKeys > 0 || left.Phones > 0
		case floor == identity.LevelMFA:
			return left.Any()
		}
		return true
	}
}

// Accounts finds citizens. Each call is one read.
type Accounts interface {
	AccountByAlias(ctx context.Context, a Alias) (Account, error)
	Account(ctx context.Context, citizen identity.ID) (Account, error)
}

// A Flow is one login on its way: a stored transaction that belongs to the
// browser that began it (DESIGN D7). Its state decides which step is next; no URL
// does (SECURITY G4).
type Flow struct {
	ID      identity.ID
	Browser []byte // SHA-256 of the flow cookie
	Need    identity.Need
	Back    string // our own path, where the browser goes when the flow is done
	Citizen identity.ID
	Epoch   int64       // of the citizen, when they were identified
	Login   identity.ID // the login being raised; zero for a new one
	Proofs  []identity.Proof
	State   FlowState
	Version int64 // set by the store
	Created time.Time
	Expires time.Time
}

// Flows keeps logins on their way.
type Flows interface {
	// BeginFlow stores a new flow. Flows of strangers are capped: when there are
	// more than the store's limit alive it returns identity.ErrConflict.
	BeginFlow(ctx context.Context, f Flow) error
	// Flow returns the flow if it is alive and of this browser.
	Flow(ctx context.Context, id identity.ID, browser []byte, now time.Time) (Flow, error)
	// Visit is Flow, and Account of the flow's citizen, in one read. The account is zero
	// while nobody is known, and when there is no such citizen any more.
	Visit(ctx context.Context, id identity.ID, browser []byte, now time.Time) (Flow, Account, error)
	// MoveFlow stores f (Citizen, Epoch, Login, Proofs, State) if nobody has moved it since
	// it was read (f.Version), raises f.Version, and returns identity.ErrSpent
	// otherwise. Of two answers to one step one moves the flow.
	MoveFlow(ctx context.Context, f *Flow, now time.Time) error
	// FinishFlow ends the flow and makes l the browser's login, in one statement:
	// the flow must not have moved, its citizen must be normal and of the flow's
	// epoch, every device among the proofs active and the passkeys not disabled;
	// otherwise identity.ErrEnded (or ErrSpent, when it has moved). f.Login, unless
	// zero, must still be alive: its proofs are among the flow's. Login
	// `replaces`, unless zero, ends with it, so a session id never survives a
	// change of privilege (SECURITY SS1).
	FinishFlow(ctx context.Context, f Flow, l NewLogin, replaces identity.ID, e audit.Event) error
	// DropFlow forgets the flow.
	DropFlow(ctx context.Context, id identity.ID) error
}

// A NewLogin is what becomes of a finished flow.
type NewLogin struct {
	Login identity.Login
	Token []byte // SHA-256 of the session cookie
	Agent string // browser family and system, for the citizen's list
	Place string // address, cut to /24 or /48
	// Source is a keyed hash of the sender's address, for counting.
	Source []byte
	Idle   time.Duration
}

// A LoginRow is a login as its owner sees it in the list.
type LoginRow struct {
	identity.Login
	Agent string
	Place string
}

// Logins keeps browser sessions.
type Logins interface {
	// Login returns the live login of a session cookie: not ended, within its idle and
	// absolute limits, of the citizen's epoch, citizen normal. One read.
	// identity.ErrNotFound otherwise, whatever the reason.
	Login(ctx context.Context, token []byte, now time.Time) (identity.Login, error)
	// TouchLogin moves the idle end to now+idle. A dead login stays dead.
	TouchLogin(ctx context.Context, id identity.ID, now time.Time, idle time.Duration) error
	// EndLogin ends one login of the citizen, and with it what hangs on it.
	EndLogin(ctx context.Context, citizen, login identity.ID, e audit.Event) error
	// EndOtherLogins ends all but keep.
	EndOtherLogins(ctx context.Context, citizen, keep identity.ID, e audit.Event) error
	// ListLogins returns live logins, newest first.
	ListLogins(ctx context.Context, citizen identity.ID, now time.Time) ([]LoginRow, error)
	// LastLogin returns the latest login before the given one, ended or not.
	LastLogin(ctx context.Context, citizen, before identity.ID) (LoginRow, error)
}

// A Rule says how many failures are forgiven and what the next ones cost: after
// Free failures each further one blocks for Base, doubling up to Cap. The count
// starts anew Per after the first. Max failures block for good.
type Rule struct {
	Free int
	Base time.Duration
	Cap  time.Duration
	Per  time.Duration
	Max  int // 0: never
}

// A Try is one guess at one secret, as one counter sees it.
type Try struct {
	Key  []byte // from canonical ids, never from the text sent (SECURITY G9)
	Rule Rule
}

// Attempts counts guesses before they are judged, so that guesses sent side by
// side count as well (SECURITY PW2).
type Attempts interface {
	// Attempt counts one guess on each counter that is not blocked at now, and
	// reports for each how many failures it has now and whether the guess may be
	// judged. A blocked counter is not raised. One round trip on PostgreSQL.
	Attempt(ctx context.Context, now time.Time, tries ...Try) ([]Tally, error)
	// Forgive takes the count of a counter back to zero: this very secret was
	// right.
	Forgive(ctx context.Context, key []byte) error
	// Refund takes one guess back from a counter, for sources that guessed right.
	Refund(ctx context.Context, key []byte) error
	// Believe takes one guess back from the counter of a secret, whose answer was right,
	// with the block it brought about, and refunds others as Settle does. What was
	// counted before stays.
	Believe(ctx context.Context, key []byte, refund ...[]byte) error
	// Settle forgives one counter, nil for none, and refunds others, all at once: one
	// round trip on PostgreSQL. They are different ones.
	Settle(ctx context.Context, forgive []byte, refund ...[]byte) error
}

// A Tally is a counter's answer.
type Tally struct {
	Count   int
	Allowed bool
}

// Passwords changes passwords.
type Passwords interface {
	// SetPassword stores a new password, raises the epoch, and lets only login keep
	// live on in the new one.
	SetPassword(ctx context.Context, citizen identity.ID, encoded string, keep identity.ID, e audit.Event) error
	// Rehash replaces the encoding of the same password if it is still old.
	Rehash(ctx context.Context, citizen identity.ID, old, encoded string) error
	// SetGreeting stores the anti-phishing greeting (sealed).
	SetGreeting(ctx context.Context, citizen identity.ID, greeting string, e audit.Event) error
	// SetLocale stores the language of notices.
	SetLocale(ctx context.Context, citizen identity.ID, locale string) error
}

// Activations brings imported citizens in.
type Activations interface {
	// CheckActivation reports the citizen to whom card number and code hash belong,
	// code unused and not expired. It changes nothing.
	CheckActivation(ctx context.Context, card Alias, code []byte, now time.Time) (identity.ID, error)
	// Activate spends the code, stores password and greeting and raises the epoch:
	// one winner, identity.ErrSpent for the others.
	Activate(ctx context.Context, citizen identity.ID, code []byte, encoded, greeting string, e audit.Event) error
}

// A TOTPFactor is a citizen's one-time-password generator.
type TOTPFactor struct {
	ID        identity.ID
	Citizen   identity.ID
	Seed      []byte // sealed at rest
	Algorithm totp.Algorithm
	LastStep  int64
	Confirmed time.Time // zero while pending
	Created   time.Time
}

// TOTPs keeps them.
type TOTPs interface {
	// TOTP returns the confirmed factor.
	TOTP(ctx context.Context, citizen identity.ID) (TOTPFactor, error)
	// ProposeTOTP stores a pending factor in place of any earlier pending one.
	ProposeTOTP(ctx context.Context, f TOTPFactor) error
	// PendingTOTP returns a proposal not older than since.
	PendingTOTP(ctx context.Context, citizen, id identity.ID, since time.Time) (TOTPFactor, error)
	// ConfirmTOTP makes the proposal the factor, removes the one before and records
	// step as spent. Where there was one before, or f used a recovery code, it
	// raises the epoch as a removal does; login keep lives on.
	ConfirmTOTP(ctx context.Context, citizen, id identity.ID, step int64, keep identity.ID, f *Flow, e audit.Event) error
	// SpendStep records step if it is later than the last one; ErrSpent otherwise.
	SpendStep(ctx context.Context, citizen, id identity.ID, step int64) error
	// RemoveTOTP removes the factor, if what is left is enough, and raises the
	// epoch; login keep lives on.
	RemoveTOTP(ctx context.Context, citizen, keep identity.ID, enough Enough, e audit.Event) error
}

// RecoveryCodes keeps hashes of recovery codes.
type RecoveryCodes interface {
	ReplaceRecovery(ctx context.Context, citizen identity.ID, hashes [][]byte, e audit.Event) error
	// HasRecovery reports whether the code is the citizen's and unused. It decides
	// nothing: whoever goes on spends it.
	HasRecovery(ctx context.Context, citizen identity.ID, hash []byte) (bool, error)
	// SpendRecovery spends one code; ErrNotFound when unknown, ErrSpent when used.
	SpendRecovery(ctx context.Context, citizen identity.ID, hash []byte, e audit.Event) error
}

// A Passkey is a registered credential and where it lives.
type Passkey struct {
	ID         identity.ID
	Citizen    identity.ID
	Device     identity.ID // zero when synced
	Name       string
	Credential passkey.Credential
	Created    time.Time
	LastUsed   time.Time
	// CoolOff, when a key is added, is how long its citizen then goes without scopes of
	// high value. It is not read back.
	CoolOff time.Duration
}

// OnDevice reports whether it lives on one registered device.
func (k Passkey) OnDevice() bool { return !k.Device.IsZero() && !k.Credential.BackupEligible() }

// Passkeys keeps them. A disabled passkey, one on a device that is not active and
// one of a citizen who may not sign in are not found.
type Passkeys interface {
	PasskeyByCredential(ctx context.Context, credentialID []byte) (Passkey, Account, error)
	ListPasskeys(ctx context.Context, citizen identity.ID) ([]Passkey, error)
	// AddPasskey stores the passkey and, unless d is nil, the device it lives on, and
	// has the citizen wait as p.CoolOff says, never shorter than they had to before.
	// A credential id is unique over all citizens: ErrConflict. If f used a recovery
	// code the epoch is raised.
	AddPasskey(ctx context.Context, p Passkey, d *Device, f *Flow, e audit.Event) error
	// UsePasskey records a sign-in: counter, flags, time. ErrSpent when the stored
	// counter is not below the new one (both zero is fine): a copy was used at the same time.
	UsePasskey(ctx context.Context, p Passkey, now time.Time) error
	// DisablePasskey makes it useless for good, with the logins it proved.
	DisablePasskey(ctx context.Context, citizen, id identity.ID, e audit.Event) error
	RenamePasskey(ctx context.Context, citizen, id identity.ID, name string, e audit.Event) error
	// RemovePasskey deletes it, if what is left is enough, ends the device it lived
	// on and raises the epoch; login keep lives on.
	RemovePasskey(ctx context.Context, citizen, id, keep identity.ID, enough Enough, e audit.Event) error
}

// A Device is a phone, a trusted browser or an authenticator.
type Device struct {
	ID      identity.ID
	Citizen identity.ID
	Kind    identity.DeviceKind
	Name    string
	State   identity.DeviceState
	// Phones.
	JWK        []byte // public key
	Alg        string
	Thumbprint []byte // RFC 7638, SHA-256; unique over all citizens and for ever
	KeyLevel   identity.KeyLevel
	Evidence   []byte // the attestation as it came, for a later look
	// Trusted browsers.
	Cookie  []byte // SHA-256 of the current value
	Expires time.Time

	Created  time.Time
	LastUsed time.Time
	Place    string
}

// Devices keeps them.
type Devices interface {
	ListDevices(ctx context.Context, citizen identity.ID) ([]Device, error)
	Device(ctx context.Context, citizen, id identity.ID) (Device, error)
	RenameDevice(ctx context.Context, citizen, id identity.ID, name string, e audit.Event) error
	// EndDevice moves the device to state (suspended, lost or revoked) and ends all that hangs on it in one
	// transaction: passkeys on it, logins it made or proved, their grants,
	// flows and approvals (SECURITY DV2). An active phone or authenticator is a
	// factor: it goes only if what is left is enough. Unless it is only suspended
	// the epoch is raised too; login e.Login lives on if it does not hang on the device.
	// A loss is reported with ReportLoss, which raises it always.
	EndDevice(ctx context.Context, citizen, id identity.ID, state identity.DeviceState, enough Enough, e audit.Event) error

	// RestoreDevice brings a suspended phone or authenticator back into use, with the
	// passkeys on it and nothing else of before. Its citizen waits for it as for a new one,
	// and as long as was left to wait when it was suspended if that is longer than wait.
	// Login e.Login, unless zero, must be alive: identity.ErrEnded. With alone a phone does
	// not come back beside another active one: identity.ErrConflict.
	RestoreDevice(ctx context.Context, citizen, id identity.ID, alone bool, wait time.Duration, e audit.Event) error

	// TrustBrowser stores a browser the citizen wants remembered.
	TrustBrowser(ctx context.Context, d Device, f *Flow, e audit.Event) error
	// Browser returns the active, unexpired trusted browser of a cookie, and whether
	// the cookie is the one before the last rotation.
	Browser(ctx context.Context, cookie []byte, now time.Time) (d Device, previous bool, err error)
	// RotateBrowser replaces cookie old by next; ErrSpent when old is not current.
	RotateBrowser(ctx context.Context, id identity.ID, old, next []byte, now time.Time) error
}

// A Ceremony is a challenge somebody was given: any answer consumes it
// (SECURITY WA1).
type Ceremony struct {
	ID      identity.ID
	Purpose string
	Owner   []byte // hash of what it is bound to: flow id or login id
	Citizen identity.ID
	Data    []byte
	Expires time.Time
}

// Ceremonies keeps them.
type Ceremonies interface {
	PutCeremony(ctx context.Context, c Ceremony) error
	// TakeCeremony returns and deletes it, if purpose and owner match and it has not expired.
	TakeCeremony(ctx context.Context, id identity.ID, purpose string, owner []byte, now time.Time) (Ceremony, error)
}

// Journal records what changed nothing, and reads back what did.
type Journal interface {
	// Record writes an event of its own, such as a refusal.
	Record(ctx context.Context, e audit.Event) error
	// Notices returns the newest of a citizen, at most n.
	Notices(ctx context.Context, citizen identity.ID, n int) ([]Notice, error)
}

// Store is everything together, for whoever wires the rooms.
type Store interface {
	Accounts
	Flows
	Logins
	Attempts
	Passwords
	Activations
	TOTPs
	RecoveryCodes
	Passkeys
	Devices
	Phones
	Cards
	Relatives
	Approvals
	Ceremonies
	Risks
	Journal
	loss.Store
}
