package account

import (
	"context"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
)

// Records is everything kept about the citizen, for them alone.
type Records interface {
	// Activity returns entries of the trail about the citizen, the newest first, at most n
	// and each with a Seq below that one; 0 begins with the newest.
	Activity(ctx context.Context, citizen identity.ID, below int64, n int) ([]audit.Entry, error)
	// LastUses says by client when its access was last given or fetched, as far back as
	// that is kept.
	LastUses(ctx context.Context, citizen identity.ID) (map[string]time.Time, error)
	// TakeOut returns a copy of one moment, without any secret, and writes e with it. The
	// login must be alive and the card normal: identity.ErrEnded.
	TakeOut(ctx context.Context, citizen, login identity.ID, e audit.Event) (Copy, error)
	// CloseAccount ends the account for good in one transaction with e: the card is
	// cancelled, all that hung on it dead, the numbers and every secret gone, applications
	// told. What is left is the id, which nobody gets again (SECURITY OI4), and the trail.
	// The login must be alive and the card normal: identity.ErrEnded.
	CloseAccount(ctx context.Context, citizen, login identity.ID, e audit.Event) error
}

// Relatives are those who may report a loss for each other; authn.Service is one.
type Relatives interface {
	ListRelatives(ctx context.Context, l identity.Login) ([]authn.Relative, error)
	NameRelative(r *http.Request, l identity.Login, card string) error
	AgreeRelative(r *http.Request, l identity.Login, id identity.ID) error
	EndRelative(r *http.Request, l identity.Login, id identity.ID) error
	ReportForRelative(r *http.Request, l identity.Login, id identity.ID, what loss.What) (loss.Receipt, error)
}

// A Copy is what is kept about a citizen, opened for its owner. Its JSON is what they take
// home, so its names stay.
type Copy struct {
	Name     string         `json:"name"`
	IDNumber string         `json:"id_number"`
	Phone    string         `json:"phone_number"`
	Card     string         `json:"card_number"`
	Greeting string         `json:"greeting,omitempty"`
	Claims   map[string]any `json:"further_claims,omitempty"`
	Locale   string         `json:"language"`

	State      identity.CardState `json:"card_state"`
	StateSince time.Time          `json:"card_state_since"`
	Created    time.Time          `json:"created"`
	Activated  time.Time          `json:"activated,omitzero"`
	Cooling    time.Time          `json:"high_value_waits_until,omitzero"`

	PasswordChanged time.Time       `json:"password_changed,omitzero"`
	Generator       string          `json:"authenticator,omitempty"` // its algorithm
	GeneratorSince  time.Time       `json:"authenticator_since,omitzero"`
	RecoveryCodes   int             `json:"recovery_codes"`
	RecoveryUsed    int             `json:"recovery_codes_used"`
	Passkeys        []CopiedPasskey `json:"passkeys"`
	Devices         []CopiedDevice  `json:"devices"`

	Sessions  []CopiedSession  `json:"sessions"`
	Consents  []CopiedConsent  `json:"consents"`
	Losses    []CopiedLoss     `json:"loss_reports"`
	Relatives []CopiedRelative `json:"relatives"`
}

// A CopiedPasskey is one of the citizen's passkeys.
type CopiedPasskey struct {
	ID       identity.ID `json:"id"`
	Name     string      `json:"name"`
	Synced   bool        `json:"synced"`
	Made     time.Time   `json:"made"`
	LastUsed time.Time   `json:"last_used,omitzero"`
}

// A CopiedDevice is one of the citizen's phones, keys and remembered browsers.
type CopiedDevice struct {
	ID       identity.ID          `json:"id"`
	Kind     identity.DeviceKind  `json:"kind"`
	Name     string               `json:"name"`
	State    identity.DeviceState `json:"state"`
	KeyLevel identity.KeyLevel    `json:"key_level,omitempty"`
	Bound    time.Time            `json:"bound"`
	LastUsed time.Time            `json:"last_used"`
	Place    string               `json:"place,omitempty"`
}

// A CopiedSession is a sign-in, ended or not.
type CopiedSession struct {
	Agent string    `json:"browser"`
	Place string    `json:"place"`
	Began time.Time `json:"began"`
	Seen  time.Time `json:"last_used"`
	Ended time.Time `json:"ended,omitzero"`
}

// A CopiedConsent is what an application may know.
type CopiedConsent struct {
	Client  string    `json:"application"`
	Scope   string    `json:"scope"`
	Given   time.Time `json:"given"`
	Expires time.Time `json:"expires,omitzero"`
}

// A CopiedLoss is a report of a loss.
type CopiedLoss struct {
	What loss.What `json:"lost"`
	At   time.Time `json:"at"`
}

// A CopiedRelative is a tie to somebody who may report losses, or for whom the citizen may.
type CopiedRelative struct {
	Name   string    `json:"name,omitempty"`        // masked
	Card   string    `json:"card_number,omitempty"` // masked
	Named  bool      `json:"named_me"`
	Asked  time.Time `json:"asked"`
	Agreed time.Time `json:"agreed,omitzero"`
}
