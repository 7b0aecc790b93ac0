package audit

import (
	"time"

	"ecardid/identity"
)

// A Kind names an act, past tense left out: "device.bind".
type Kind string

// The kinds of event. The comment says who causes it.
const (
	LoginStarted      Kind = "login.start"      // browser, after the first right factor
	LoginFinished     Kind = "login.finish"     // browser
	LoginRaised       Kind = "login.raise"      // browser, step-up
	LoginRefused      Kind = "login.refuse"     // browser, a wrong or forbidden answer
	LoginThrottled    Kind = "login.throttle"   // us
	LoginEnded        Kind = "login.end"        // citizen, sign-out or from the list
	LoginsEnded       Kind = "login.end-all"    // citizen, every other session
	CitizenImported   Kind = "citizen.import"   // operator
	CitizenActivated  Kind = "citizen.activate" // citizen
	CitizenFrozen     Kind = "citizen.freeze"   // operator or citizen
	CitizenRestored   Kind = "citizen.restore"  // operator
	CitizenCancelled  Kind = "citizen.cancel"   // staff
	CitizenSearched   Kind = "citizen.search"   // staff, found or not
	CitizenRead       Kind = "citizen.read"     // staff
	CitizenRevealed   Kind = "citizen.reveal"   // staff, one field
	CallerPassed      Kind = "caller.pass"      // staff, who asked somebody on the telephone
	CallerRefused     Kind = "caller.refuse"    // the same, of wrong answers
	ActivationIssued  Kind = "activation.issue" // operator
	PasswordChanged   Kind = "password.change"  // citizen
	GreetingChanged   Kind = "greeting.change"  // citizen
	TOTPBound         Kind = "totp.bind"        // citizen
	TOTPRemoved       Kind = "totp.remove"      // citizen or staff
	RecoveryRenewed   Kind = "recovery.renew"   // citizen
	RecoveryUsed      Kind = "recovery.use"     // citizen
	PasskeyBound      Kind = "passkey.bind"     // citizen
	PasskeyRenamed    Kind = "passkey.rename"   // citizen
	PasskeyRemoved    Kind = "passkey.remove"   // citizen or staff
	PasskeyCloned     Kind = "passkey.clone"    // us, a counter went back
	DeviceBound       Kind = "device.bind"      // citizen
	DeviceRenamed     Kind = "device.rename"    // citizen
	DeviceEnded       Kind = "device.end"       // citizen or staff
	DeviceRestored    Kind = "device.restore"   // citizen or staff, from suspended
	DeviceSuspended   Kind = "device.suspend"   // staff
	DeviceConfirmed   Kind = "device.confirm"   // staff, a new phone seen at the counter
	DeviceReused      Kind = "device.reuse"     // us, an old browser cookie came back
	PhoneApproved     Kind = "phone.approve"    // phone
	PhoneDenied       Kind = "phone.deny"       // phone
	LivenessPassed    Kind = "liveness.pass"    // us, from the provider's verdict
	LivenessFailed    Kind = "liveness.fail"    // us
	ConsentGiven      Kind = "consent.give"     // citizen
	ConsentDenied     Kind = "consent.deny"     // citizen
	ConsentCooling    Kind = "consent.cooloff"  // us, too soon after a phone or key was added
	ConsentWithdrawn  Kind = "consent.withdraw" // citizen
	GrantReplayed     Kind = "grant.replay"     // us, a spent code or refresh token came back
	GrantRevoked      Kind = "grant.revoke"     // relying party
	ClientApplied     Kind = "client.apply"     // operator
	ClientSuspended   Kind = "client.suspend"   // operator
	ClientRefused     Kind = "client.refuse"    // us, client authentication failed
	ClientRegistered  Kind = "client.register"  // the client itself, with an initial access token
	ClientUpdated     Kind = "client.update"    // the client itself
	ClientWithdrawn   Kind = "client.withdraw"  // the client itself or operator
	ClientPrepared    Kind = "client.prepare"   // staff, its admission or a state before live
	ClientAdmitted    Kind = "client.admit"     // staff, an approved order
	InitialTokenMade  Kind = "client.token"     // operator
	StreamCreated     Kind = "stream.create"    // relying party, of shared signals
	StreamChanged     Kind = "stream.change"    // relying party
	StreamDeleted     Kind = "stream.delete"    // relying party
	StaffAdded        Kind = "staff.add"        // operator, or staff by an approved request
	StaffJoined       Kind = "staff.join"       // staff, who took up an invitation
	StaffSignedIn     Kind = "staff.sign-in"    // staff
	StaffRaised       Kind = "staff.raise"      // staff, the passkey for one act
	StaffSignedOut    Kind = "staff.sign-out"   // staff
	StaffRefused      Kind = "staff.refuse"     // us, a key that is nobody's or an act that is not theirs
	StaffChanged      Kind = "staff.change"     // staff or operator, roles or unit
	StaffDeactivated  Kind = "staff.deactivate" // staff or operator
	StaffKeyCloned    Kind = "staff.clone"      // us, a counter went back
	RequestFiled      Kind = "request.file"     // staff, for others to approve
	RequestApproved   Kind = "request.approve"  // staff
	RequestRejected   Kind = "request.reject"   // staff
	RequestWithdrawn  Kind = "request.withdraw" // staff, who asked, or whoever froze or lost meanwhile what it was about
	RequestFailed     Kind = "request.fail"     // us, an approved order that cannot be carried out
	KeyRotated        Kind = "key.rotate"       // us or operator
	DataKeyRewrapped  Kind = "data-key.rewrap"  // operator
	FactorsReset      Kind = "factors.reset"    // operator
	LossReported      Kind = "loss.report"      // citizen or staff, with the receipt
	LossUndone        Kind = "loss.undo"        // citizen, the card is found again
	RelativeNamed     Kind = "relative.name"    // citizen, somebody who may report losses for them
	RelativeAsked     Kind = "relative.ask"     // the same, in the trail of whoever was named
	RelativeAgreed    Kind = "relative.agree"   // citizen who was named
	RelativeEnded     Kind = "relative.end"     // either of the two
	RelativeReported  Kind = "relative.report"  // citizen, a loss for somebody who has named them
	DataTaken         Kind = "data.take"        // citizen, a copy of their own data
	SignInQuestioned  Kind = "risk.step-up"     // us, more was asked for than usual
	SignInHeld        Kind = "risk.hold"        // us, a pause
	SignInRefused     Kind = "risk.refuse"      // us
	SprayingSuspected Kind = "alarm.spraying"   // us
	TrailBroken       Kind = "alarm.trail"      // us, the trail is not what it was
	AlarmRaised       Kind = "alarm.risk"       // us, a rule about sign-ins matched
	AdmissionEnding   Kind = "alarm.admission"  // us, a client whose admission ends soon or has ended
	AlarmSeen         Kind = "watch.seen"       // staff, with a note
	TrailExported     Kind = "audit.export"     // staff
)

// An Actor is who did it.
type Actor string

// The actors. Staff and clients add their id after the colon.
const (
	ByCitizen  Actor = "citizen"
	BySystem   Actor = "system"
	ByOperator Actor = "operator" // somebody at the command line
)

// An Event is one entry. Zero fields are absent.
type Event struct {
	Kind    Kind
	At      time.Time
	Actor   Actor
	Citizen identity.ID
	Login   identity.ID
	Device  identity.ID
	Client  string
	// Reason is a word from our own vocabulary, or an operator's text, clipped by
	// storage to 200 characters and stripped of control characters.
	Reason string
	// Detail holds further facts by name: ids, counts, words. Never free text of
	// strangers, never personal data.
	Detail map[string]string
	// Notify: the citizen finds this in the notices on the account page.
	Notify bool
	// Place says from where, as coarse as it may be kept: an address cut to /24 or
	// /48 and the browser's family.
	Place string

	// Standing, unless zero, is who of staff does it and as of which version of their row:
	// when that is not theirs any more, the act and the event come to nothing.
	Standing Standing
	// Warrant, unless zero, is the approved order this act carries out. It is spent in the
	// same transaction; identity.ErrSpent when it was before.
	Warrant identity.ID
}

// A Standing is the right of staff to act, as it was when they were asked in.
type Standing struct {
	Staff   identity.ID
	Version int64
}
