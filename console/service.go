package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/internal/clock"
	"ecardid/templates"
)

// Recorder writes events that stand alone, such as refusals.
type Recorder interface {
	Record(ctx context.Context, e audit.Event) error
}

// Parts is what a [Service] is made of. All of it is needed, except what says otherwise.
type Parts struct {
	Staffs     Staffs
	Requests   Requests
	Citizens   Citizens
	Consents   Consents // of citizens; nil shows none
	Programs   Programs // of the call centre; nil lets none in
	Clients    Clients
	Trail      Trail
	Streams    Streams // of shared signals; nil shows none
	Recorder   Recorder
	Refusals   *audit.Refusals // of strangers; nil writes none down
	Attempts   authn.Attempts
	Ceremonies authn.Ceremonies
	Passkeys   *passkey.Relying
	// PasskeyPolicy for staff; passkey.Open.
	PasskeyPolicy passkey.Policy
	// Performers carry out the acts; one without has no page and is not done.
	Performers map[Act]Performer
	Pager      Pager

	// Invitations is the keyed hash over an invitation, as [InvitationText] writes it, and
	// Throttle the one over the keys of attempt counters.
	Invitations func(text []byte) ([]byte, error)
	Throttle    func(key []byte) ([]byte, error)

	// Source is the sender's address as the trusted hop tells it, Place how much of it may
	// be kept. Render writes a page and Say a message, in the language of the request.
	Source func(r *http.Request) netip.Addr
	// Browser is a hash of the cookie that names the browser; empty when there is none, and
	// then the server lets no form and no ceremony of its through.
	Browser func(r *http.Request) []byte
	Place   func(r *http.Request) string
	Render  func(w http.ResponseWriter, r *http.Request, a authn.Answer)
	Say     func(r *http.Request, m templates.Message) string

	Clock clock.Clock
	Rand  io.Reader
	Log   *slog.Logger
}

// A Service is the console. It is safe for concurrent use.
type Service struct {
	Parts
	routes []Route
}

// A Route is an address of the console.
type Route struct {
	Method, Pattern string
	Takes           string // content type of its body
	Who             string // "anybody" or "staff"
	// Act is what whoever comes must be allowed to ask for; empty for what is open to all
	// staff, and to anybody before they have signed in.
	Act     Act
	Handler http.Handler
}

// New checks the parts whole.
func New(p Parts) (*Service, error) {
	var errs []error
	for _, part := range []struct {
		there bool
		name  string
	}{
		{p.Staffs != nil, "Staffs"}, {p.Requests != nil, "Requests"}, {p.Citizens != nil, "Citizens"}, {p.Clients != nil, "Clients"},
		{p.Trail != nil, "Trail"}, {p.Recorder != nil, "Recorder"}, {p.Attempts != nil, "Attempts"}, {p.Ceremonies != nil, "Ceremonies"},
		{p.Passkeys != nil, "Passkeys"}, {p.Pager.Tag != nil && p.Pager.Check != nil, "Pager"},
		{p.Invitations != nil, "Invitations"}, {p.Throttle != nil, "Throttle"}, {p.Source != nil, "Source"}, {p.Browser != nil, "Browser"}, {p.Place != nil, "Place"},
		{p.Render != nil, "Render"}, {p.Say != nil, "Say"}, {p.Clock != nil, "Clock"}, {p.Rand != nil, "Rand"}, {p.Log != nil, "Log"},
	} {
		if !part.there {
			errs = append(errs, fmt.Errorf("console: %s is missing", part.name))
		}
	}
	for act := range p.Performers {
		if _, ok := RuleOf(act); !ok {
			errs = append(errs, fmt.Errorf("console: %q is no act", act))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if p.PasskeyPolicy == "" {
		p.PasskeyPolicy = passkey.Open
	}
	performers := staffActs{p.Staffs, p.Invitations, p.Clock, p.Rand}.performers()
	for act, by := range p.Performers {
		performers[act] = by
	}
	p.Performers = performers
	s := &Service{Parts: p}
	s.routes = s.mount()
	return s, nil
}

// Routes lists every address of the console.
func (s *Service) Routes() []Route { return s.routes }

func (s *Service) mount() []Route {
	all := s.doorRoutes()
	all = append(all, s.actRoutes()...)
	all = append(all, s.requestRoutes()...)
	all = append(all, s.staffRoutes()...)
	all = append(all, s.citizenRoutes()...)
	return append(all, s.clientRoutes()...)
}

// get and post make routes for staff; act is who may.
func (s *Service) get(pattern string, act Act, h func(v *visit) error) Route {
	return Route{Method: http.MethodGet, Pattern: pattern, Who: "staff", Act: act, Handler: s.page(act, h)}
}

func (s *Service) post(pattern string, act Act, h func(v *visit) error, fields ...string) Route {
	return Route{Method: http.MethodPost, Pattern: pattern, Takes: formType, Who: "staff", Act: act, Handler: s.form(act, h, fields...)}
}
