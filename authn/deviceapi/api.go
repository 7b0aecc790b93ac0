package deviceapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/authn/phone/attest"
	"ecardid/identity"
	"ecardid/internal/clock"
)

// Enrolments is what binding a phone needs from storage. The contracts are those
// of [authn.Phones].
type Enrolments interface {
	ClaimEnrolment(ctx context.Context, code []byte, challenge string, expires, now time.Time) (authn.PhoneEnrolment, error)
	Enrolment(ctx context.Context, id identity.ID, now time.Time) (authn.PhoneEnrolment, error)
	BindPhone(ctx context.Context, enrolment identity.ID, d authn.Device, now time.Time, e audit.Event) error
}

// Phones is what signed requests need ([authn.Phones], [authn.Devices]).
type Phones interface {
	// Phone returns an active phone whose citizen may sign in.
	Phone(ctx context.Context, id identity.ID) (authn.Device, error)
	// SpendNonce is the gate every signed request and every answer to an enrolment
	// passes once.
	SpendNonce(ctx context.Context, key []byte, expires, now time.Time) error
	RenameDevice(ctx context.Context, citizen, id identity.ID, name string, e audit.Event) error
	EndDevice(ctx context.Context, citizen, id identity.ID, state identity.DeviceState, enough authn.Enough, e audit.Event) error
}

// Approvals is what questions to a phone need ([authn.Approvals]).
type Approvals interface {
	PendingApprovals(ctx context.Context, citizen identity.ID, now time.Time) ([]authn.Approval, error)
	Approval(ctx context.Context, id identity.ID, now time.Time) (authn.Approval, error)
	AnswerApproval(ctx context.Context, id, device identity.ID, state authn.ApprovalState, verified, hardware bool, now time.Time, e audit.Event) error
}

// Attempts counts guesses at enrolment codes ([authn.Attempts]).
type Attempts interface {
	Attempt(ctx context.Context, now time.Time, tries ...authn.Try) ([]authn.Tally, error)
	Refund(ctx context.Context, key []byte) error
}

// Journal writes down what was refused ([authn.Journal]).
type Journal interface {
	Record(ctx context.Context, e audit.Event) error
}

// Store is all of it.
type Store interface {
	Enrolments
	Phones
	Approvals
	Attempts
	Journal
}

// Parts is what an [API] is made of. All of it is needed, except what says
// otherwise.
type Parts struct {
	Store  Store
	Nonces phone.Nonces
	Attest attest.Set
	// Least is the key level below which no phone is bound. Empty is unattested: a
	// level is recorded and weighed where it counts, and phones sold without their
	// maker's attestation are phones too.
	Least identity.KeyLevel
	// Floor is that of authn.Config: a phone does not end itself when the account
	// would fall below it. Zero is LevelMFA, as there.
	Floor identity.Level
	// Origin is ours, from configuration: what phones sign for (SECURITY OI5).
	Origin string
	// Throttle is the keyed hash over the keys of attempt counters; it answers the
	// same on every replica. Source is the sender's address as the trusted hop tells
	// it, Place what of it may be kept (audit.Event.Place).
	Throttle func(message []byte) ([]byte, error)
	Source   func(r *http.Request) netip.Addr
	Place    func(r *http.Request) string
	// CodeRule throttles guesses at enrolment codes per source; zero takes the default.
	CodeRule authn.Rule
	// Refusals writes down requests that no phone signed; nil: nothing does.
	Refusals *audit.Refusals

	Clock clock.Clock
	Rand  io.Reader
	Log   *slog.Logger
}

// An API answers phones. It is safe for concurrent use and keeps nothing: any
// replica goes on where another began.
type API struct{ Parts }

// New checks the parts whole.
func New(p Parts) (*API, error) {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("deviceapi: %s is missing", what))
		}
	}
	need(p.Store != nil, "Store")
	need(p.Nonces.Tag != nil && p.Nonces.Check != nil, "Nonces")
	need(p.Throttle != nil, "Throttle")
	need(p.Source != nil, "Source")
	need(p.Place != nil, "Place")
	need(p.Clock != nil, "Clock")
	need(p.Rand != nil, "Rand")
	need(p.Log != nil, "Log")
	need(len(p.Attest.Formats()) > 0, "an attestation verifier, even if only for none,")
	if u, err := url.Parse(p.Origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != p.Origin {
		errs = append(errs, fmt.Errorf("deviceapi: Origin: %q is not an origin", p.Origin))
	}
	if p.Least == "" {
		p.Least = identity.KeyUnattested
	}
	if !attest.AtLeast(p.Least, p.Least) {
		errs = append(errs, fmt.Errorf("deviceapi: Least: %q is no key level", p.Least))
	}
	if p.CodeRule == (authn.Rule{}) {
		p.CodeRule = defaultCodeRule()
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if p.Floor == identity.LevelNone {
		p.Floor = identity.LevelMFA
	}
	return &API{p}, nil
}

// A Route is one row of this room's inventory.
type Route struct {
	Method  string
	Pattern string // as http.ServeMux takes it, without the method
	Takes   string // the one content type of its body; "" for none
	Signed  bool   // by an active phone
	Handler http.Handler
}

// Routes lists every address of this room.
func (a *API) Routes() []Route {
	open := func(h func(http.ResponseWriter, *http.Request) error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				a.fail(w, r, err)
			}
		})
	}
	signed := func(takes string, h func(http.ResponseWriter, *call) error) http.Handler {
		return open(func(w http.ResponseWriter, r *http.Request) error {
			c, err := a.hear(w, r, takes)
			if err != nil {
				return err
			}
			return h(w, c)
		})
	}
	const enrolments, devices, approvals = "/device/v1/enrolments", "/device/v1/devices/{id}", "/device/v1/approvals"
	return []Route{
		{Method: http.MethodPost, Pattern: enrolments, Takes: jsonType, Handler: open(a.claim)},
		{Method: http.MethodPost, Pattern: enrolments + "/{id}", Takes: jsonType, Handler: open(a.bind)},
		{Method: http.MethodGet, Pattern: "/device/v1/nonce", Handler: open(a.nonce)},
		{Method: http.MethodGet, Pattern: devices, Signed: true, Handler: signed("", a.show)},
		{Method: http.MethodPatch, Pattern: devices, Takes: jsonType, Signed: true, Handler: signed(jsonType, a.rename)},
		{Method: http.MethodDelete, Pattern: devices, Signed: true, Handler: signed("", a.end)},
		{Method: http.MethodGet, Pattern: approvals, Signed: true, Handler: signed("", a.pending)},
		{Method: http.MethodPost, Pattern: approvals + "/{id}", Takes: jsonType, Signed: true, Handler: signed(jsonType, a.decide)},
	}
}

// event begins an audit entry about what this request does.
func (a *API) event(r *http.Request, kind audit.Kind, citizen identity.ID) audit.Event {
	return audit.Event{Kind: kind, At: a.Clock.Now(), Actor: audit.ByCitizen, Citizen: citizen, Place: a.Place(r)}
}

// pathID reads the id in the address. What cannot be one is not there.
func pathID(r *http.Request) (identity.ID, error) {
	id, err := identity.ParseID(r.PathValue("id"))
	if err != nil || id.IsZero() {
		return identity.ID{}, notFound().because(err)
	}
	return id, nil
}
