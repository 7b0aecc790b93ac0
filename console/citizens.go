package console

import (
	"context"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/internal/idnumber"
)

// A Field is one fact of a citizen that is masked until somebody asks for it by name.
type Field string

// The fields.
const (
	FieldName  Field = "name"
	FieldID    Field = "id_number"
	FieldPhone Field = "phone"
	FieldCard  Field = "card_number"
)

// Fields lists them.
func Fields() []Field { return []Field{FieldName, FieldID, FieldPhone, FieldCard} }

// A File is what staff see of a citizen: numbers masked, and nothing that a secret could
// be made from.
type File struct {
	ID     identity.ID
	Region string // the first six digits of the ID number; empty for those of old
	// Masked.
	Name, IDNumber, Phone, Card string

	State                identity.CardState
	StateSince, Created  time.Time
	Activated            time.Time // zero: not yet, or not since a reset
	CodeExpires, Cooling time.Time
	Password             bool
	TOTP                 bool
	Recovery             int // unused codes
	Devices              []FiledDevice
	Passkeys             []FiledPasskey
	Sessions             []FiledSession
	Before               []FiledSession // the last sign-ins that have ended, the newest first
}

// Cools reports whether somebody still waits after a new phone.
func (f File) Cools(now time.Time) bool { return f.Cooling.After(now) }

// A FiledDevice is one of a citizen's devices.
type FiledDevice struct {
	ID             identity.ID
	Kind           identity.DeviceKind
	Name           string
	State          identity.DeviceState
	KeyLevel       identity.KeyLevel // of phones
	Bound, LastUse time.Time
	Place          string
}

// A FiledPasskey is one of a citizen's passkeys.
type FiledPasskey struct {
	ID            identity.ID
	Device        identity.ID // it lives on; zero when synced
	Name          string
	Made, LastUse time.Time
}

// A FiledSession is a sign-in of a citizen's.
type FiledSession struct {
	ID           identity.ID
	Agent, Place string
	Began, Seen  time.Time
}

// Hanging counts what hangs on a citizen, a device or a session, and ends with it.
type Hanging struct {
	Devices  int // phones and authenticators
	Browsers int // remembered ones
	Passkeys int
	TOTP     int
	Sessions int
	Requests int // sign-ins under way
	Codes    int // not redeemed
	Grants   int // families of refresh tokens
	Tokens   int // grants of opaque access tokens
}

// A Moment is one entry of a citizen's timeline.
type Moment struct {
	Seq    int64
	At     time.Time
	Kind   audit.Kind
	Actor  audit.Actor
	Client string
	Reason string
	Place  string
	Detail map[string]string
}

// Quiet are kinds that a timeline leaves out: that somebody looked is the auditor's to
// read, and the citizen's when something was revealed.
func Quiet() []audit.Kind { return []audit.Kind{audit.CitizenSearched, audit.CitizenRead} }

// Citizens reads citizens. Each method is one or a few reads.
type Citizens interface {
	// FindCitizen says whose number it is and where they belong: identity.ErrNotFound for nobody's.
	FindCitizen(ctx context.Context, a authn.Alias) (citizen identity.ID, region string, err error)
	// RegionOf says where somebody belongs.
	RegionOf(ctx context.Context, citizen identity.ID) (string, error)
	// FileOf reads a citizen's file as of now.
	FileOf(ctx context.Context, citizen identity.ID, now time.Time) (File, error)
	// FactsOf is what a caller may be asked about.
	FactsOf(ctx context.Context, citizen identity.ID) (loss.Facts, error)
	// HangingOn counts what hangs on a device, or on a session, or, when both are zero, on
	// the citizen. What is not the citizen's, or over, is identity.ErrNotFound.
	HangingOn(ctx context.Context, citizen, device, session identity.ID, now time.Time) (Hanging, error)
	// Moments returns up to n entries before number below (0: the newest) without Quiet ones,
	// the newest first.
	Moments(ctx context.Context, citizen identity.ID, below int64, n int) ([]Moment, error)
	// CallerPassed reports whether by found since then that somebody on the telephone is the citizen.
	CallerPassed(ctx context.Context, citizen identity.ID, by audit.Actor, since time.Time) (bool, error)
	// RevealCitizen writes e and then unseals one field, in one transaction: what is not
	// written down is not shown (SECURITY AD3).
	RevealCitizen(ctx context.Context, citizen identity.ID, field Field, e audit.Event) (string, error)
}

// Changes is what the acts on citizens come to, in storage. Each is one transaction that
// writes e, checks its Standing and spends its Warrant. All but Desk's ReportLoss are as
// authn and the command line know them.
type Changes interface {
	SetCardState(ctx context.Context, citizen identity.ID, to identity.CardState, e audit.Event) error
	EndDevice(ctx context.Context, citizen, id identity.ID, state identity.DeviceState, enough authn.Enough, e audit.Event) error
	RestoreDevice(ctx context.Context, citizen, id identity.ID, alone bool, wait time.Duration, e audit.Event) error
	EndLogin(ctx context.Context, citizen, login identity.ID, e audit.Event) error
	EndOtherLogins(ctx context.Context, citizen, keep identity.ID, e audit.Event) error
	RemoveTOTP(ctx context.Context, citizen, keep identity.ID, enough authn.Enough, e audit.Event) error
	RemovePasskey(ctx context.Context, citizen, id, keep identity.ID, enough authn.Enough, e audit.Event) error
	ConfirmPhone(ctx context.Context, citizen, device identity.ID, e audit.Event) error
	ResetFactors(ctx context.Context, citizen identity.ID, code []byte, expires time.Time, e audit.Event) error
}

// readNumber reads a card number, an ID number or a phone number. They have different
// lengths, so that no text is two of them.
func readNumber(typed string, now time.Time) (authn.Alias, bool) {
	if id, err := idnumber.ParseID(typed, now); err == nil {
		return authn.Alias{Kind: authn.AliasID, Value: id.Reveal()}, true
	}
	if phone, err := idnumber.ParsePhone(typed); err == nil {
		return authn.Alias{Kind: authn.AliasPhone, Value: phone.Reveal()}, true
	}
	if card, err := idnumber.ParseCard(typed); err == nil {
		return authn.Alias{Kind: authn.AliasCard, Value: card.Reveal()}, true
	}
	return authn.Alias{}, false
}
