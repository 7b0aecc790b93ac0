package console

import (
	"context"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/identity"
)

// Limits of a staff session (SECURITY §0): those of AAL3.
const (
	SessionLife = 12 * time.Hour
	SessionIdle = 15 * time.Minute
	StepUpLife  = 5 * time.Minute
	RequestLife = 24 * time.Hour // to approve; and as long again to perform what is left of many
)

// A StaffState says whether somebody may come in.
type StaffState string

// The states of staff. Somebody deactivated comes back by a new invitation and as nobody
// they were before.
const (
	StaffInvited     StaffState = "invited"
	StaffActive      StaffState = "active"
	StaffDeactivated StaffState = "deactivated"
)

// A Staff is somebody who works here.
type Staff struct {
	ID    identity.ID
	Name  string
	Roles []Role
	// Unit is the beginning of the division codes (GB/T 2260) whose citizens they serve;
	// empty for all.
	Unit  string
	State StaffState
	// Version rises with each change of role, unit or state. An act carries the one it was
	// decided on and is undone when it is not the one any more (audit.Standing).
	Version           int64
	Created, LastSeen time.Time
}

// Within reports whether a citizen of the division is theirs to serve.
func (s Staff) Within(region string) bool {
	return s.Unit == "" || region != "" && strings.HasPrefix(region, s.Unit)
}

// By is the actor of their events.
func (s Staff) By() audit.Actor { return audit.Actor("staff:" + s.ID.String()) }

// A Session is somebody of staff at a browser.
type Session struct {
	ID      identity.ID
	Staff   Staff // as of this request
	Started time.Time
	Seen    time.Time
	// Purpose is what the last step-up was for, and At when.
	Purpose string
	At      time.Time
}

// A Key is a passkey of staff.
type Key struct {
	ID         identity.ID
	Staff      identity.ID
	Credential passkey.Credential
	Created    time.Time
}

// Staffs remembers staff. Each method is one transaction; an event is written with it.
// Only hashes of secrets come here.
type Staffs interface {
	// StaffByInvitation finds who was invited with it: identity.ErrNotFound for a wrong,
	// spent or expired one.
	StaffByInvitation(ctx context.Context, id identity.ID, hash []byte, now time.Time) (Staff, error)
	// AcceptInvitation spends the invitation, stores the key and makes them active.
	AcceptInvitation(ctx context.Context, hash []byte, k Key, e audit.Event) error
	// StaffKey finds a live key of active staff by its credential id.
	StaffKey(ctx context.Context, credentialID []byte) (Key, Staff, error)
	// StaffKeys lists the live keys of somebody.
	StaffKeys(ctx context.Context, staff identity.ID) ([]Key, error)
	// UseStaffKey writes the counter back; identity.ErrSpent when it did not rise since.
	UseStaffKey(ctx context.Context, k Key) error
	// DisableStaffKey ends a key of which there are two, and raises the version.
	DisableStaffKey(ctx context.Context, id identity.ID, e audit.Event) error
	// OpenStaffSession makes a session for a key that is alive, ending `before` (zero for none).
	OpenStaffSession(ctx context.Context, s Session, token []byte, key, before identity.ID, e audit.Event) error
	// StaffSession finds a live one: not ended, within both limits, its staff active and of
	// the version it was opened under. It marks it seen.
	StaffSession(ctx context.Context, token []byte, now time.Time) (Session, error)
	// StepUp notes a purpose under a new token; the old one is dead (SECURITY SS1).
	StepUp(ctx context.Context, id identity.ID, old, token []byte, purpose string, e audit.Event) error
	EndStaffSession(ctx context.Context, id identity.ID, e audit.Event) error

	ListStaff(ctx context.Context) ([]Staff, error)
	StaffByID(ctx context.Context, id identity.ID) (Staff, error)
	// InviteStaff stores somebody invited; identity.ErrConflict when the name is taken.
	InviteStaff(ctx context.Context, s Staff, hash []byte, expires time.Time, e audit.Event) error
	// SetStaff changes roles, unit or state, raises the version, ends sessions and, when
	// deactivated, keys, open requests and invitations they asked for. identity.ErrConflict
	// when the last active administrator, security officer or auditor would go, or the
	// version is another one.
	SetStaff(ctx context.Context, s Staff, e audit.Event) error
}
