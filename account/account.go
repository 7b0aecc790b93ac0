package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/secret"
	"ecardid/templates"
)

// Logins says who sits before the browser and has them prove more. authn.Service
// is one, as it is Factors and Devices; the contracts are written there.
type Logins interface {
	Current(r *http.Request) (identity.Login, error)
	Raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string)
	FreshNeed() identity.Need
	SignOut(w http.ResponseWriter, r *http.Request) error
	ListLogins(ctx context.Context, l identity.Login) ([]authn.LoginRow, error)
	LastLogin(ctx context.Context, l identity.Login) (authn.LoginRow, error)
	EndLogin(r *http.Request, l identity.Login, id identity.ID) error
	EndOtherLogins(r *http.Request, l identity.Login) error
}

// Factors reads and changes how the citizen signs in.
type Factors interface {
	Account(ctx context.Context, l identity.Login) (authn.Account, error)
	Notices(ctx context.Context, l identity.Login, n int) ([]authn.Notice, error)
	ChangePassword(r *http.Request, l identity.Login, current, next string) error
	BeginTOTP(r *http.Request, l identity.Login, alg totp.Algorithm) (identity.ID, templates.EnrolTOTP, error)
	ShowTOTP(r *http.Request, l identity.Login, proposal identity.ID) (templates.EnrolTOTP, error)
	ConfirmTOTP(r *http.Request, l identity.Login, proposal identity.ID, code string) error
	RemoveTOTP(r *http.Request, l identity.Login) error
	ListPasskeys(ctx context.Context, l identity.Login) ([]authn.Passkey, error)
	BeginPasskey(r *http.Request, l identity.Login) (json.RawMessage, error)
	FinishPasskey(r *http.Request, l identity.Login, body []byte) (authn.Passkey, error)
	RenamePasskey(r *http.Request, l identity.Login, id identity.ID, name string) error
	RemovePasskey(r *http.Request, l identity.Login, id identity.ID) error
	RenewRecovery(r *http.Request, l identity.Login) ([]string, error)
}

// Devices reads and changes the citizen's devices.
type Devices interface {
	ListDevices(ctx context.Context, l identity.Login) ([]authn.Device, error)
	RenameDevice(r *http.Request, l identity.Login, id identity.ID, name string) error
	EndDevice(r *http.Request, l identity.Login, id identity.ID, state identity.DeviceState) error
	ReportDevice(r *http.Request, l identity.Login, id identity.ID) (loss.Receipt, error)
	RestoreDevice(r *http.Request, l identity.Login, id identity.ID) error
	// OnePhone: binding one ends the one before.
	OnePhone() bool
	OpenPhoneEnrolment(r *http.Request, l identity.Login) (id identity.ID, code secret.Value, expires time.Time, err error)
}

// Consents is what the citizen's applications may know. This room knows no oauth;
// server puts it into words.
type Consents interface {
	// ListConsents returns the consents in force, one for each client, in the
	// language of the request. Consented.ID is the client's id.
	ListConsents(r *http.Request, citizen identity.ID) ([]templates.Consented, error)
	// WithdrawConsent ends the client's consents and kills its grants, unredeemed
	// codes included, in one transaction with e (SECURITY CN2). When it returns nil
	// they are dead.
	WithdrawConsent(ctx context.Context, citizen identity.ID, clientID string, now time.Time, e audit.Event) error
}

// Parts is what a [Service] is made of. All of it is needed.
type Parts struct {
	Logins   Logins
	Factors  Factors
	Devices  Devices
	Consents Consents
	// Records is all that is kept about the citizen, Relatives who may report for them.
	Records   Records
	Relatives Relatives

	// Keyed is a keyed hash, the same on every replica.
	Keyed func(message []byte) ([]byte, error)
	// Origin is ours, from configuration: it goes into the code a phone scans.
	Origin string
	// Place says from where a request comes, as coarse as audit.Event.Place may be.
	Place func(r *http.Request) string
	// Render writes a page, Say puts a message into the request's language. Both are
	// those authn takes.
	Render func(w http.ResponseWriter, r *http.Request, a authn.Answer)
	Say    func(r *http.Request, m templates.Message) string
	// Refusals writes down what was tried without fresh factors; nil: nothing does.
	Refusals *audit.Refusals

	Clock clock.Clock
	Log   *slog.Logger
}

// A Service shows the pages. It keeps nothing and is safe for concurrent use.
type Service struct{ Parts }

// New checks the parts whole.
func New(p Parts) (*Service, error) {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("account: %s is missing", what))
		}
	}
	need(p.Logins != nil, "Logins")
	need(p.Factors != nil, "Factors")
	need(p.Devices != nil, "Devices")
	need(p.Consents != nil, "Consents")
	need(p.Records != nil, "Records")
	need(p.Relatives != nil, "Relatives")
	need(p.Keyed != nil, "Keyed")
	need(p.Place != nil, "Place")
	need(p.Render != nil, "Render")
	need(p.Say != nil, "Say")
	need(p.Clock != nil, "Clock")
	need(p.Log != nil, "Log")
	if u, err := url.Parse(p.Origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != p.Origin {
		errs = append(errs, fmt.Errorf("account: Origin: %q is not an origin", p.Origin))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Service{p}, nil
}

// The addresses of this room.
const (
	homePath     = "/account"
	securityPath = "/account/security"
	passwordPath = "/account/password"
	totpPath     = "/account/totp"
	passkeyPath  = "/account/passkeys"
	recoveryPath = "/account/recovery"
	devicesPath  = "/account/devices"
	phonePath    = "/account/devices/phone"
	sessionsPath = "/account/sessions"
	consentsPath = "/account/consents"
	signOutPath  = "/account/sign-out"

	activityPath  = "/account/activity"
	relativesPath = "/account/relatives"
	dataPath      = "/account/data"
	closePath     = "/account/close"
	closedPath    = "/goodbye" // the server's; whoever comes there is nobody any more

	// Of authn.
	logoutPath    = "/logout"
	signedOutPath = "/signed-out"
	receiptPath   = "/lost/receipt/"
)

// A Route is one address of this room, for the server to mount behind what it does
// for all pages.
type Route struct {
	Method  string
	Pattern string // as http.ServeMux takes it, without the method
	Takes   string // the one content type of its body; "" for none
	Handler http.Handler
}

// Routes lists every address there is.
func (s *Service) Routes() []Route {
	get := func(pattern string, h http.Handler) Route {
		return Route{Method: http.MethodGet, Pattern: pattern, Handler: h}
	}
	post := func(pattern string, h http.Handler) Route {
		return Route{Method: http.MethodPost, Pattern: pattern, Takes: formType, Handler: h}
	}
	script := func(pattern string, h http.Handler) Route {
		return Route{Method: http.MethodPost, Pattern: pattern, Takes: jsonType, Handler: h}
	}
	return []Route{
		get(homePath, s.reading(s.home)),

		get(securityPath, s.fresh(s.security)),
		post(securityPath, s.changing(securityPath, s.securityActs())),
		get(passwordPath, s.fresh(s.password)),
		post(passwordPath, s.changing(passwordPath, button("password-submit", s.changePassword))),
		get(totpPath+"/{id}", s.fresh(s.showTOTP)),
		post(totpPath+"/{id}", s.changing("", button("code-submit", s.confirmTOTP))),
		get(passkeyPath, s.fresh(s.passkeyPage)),
		script(passkeyPath+"/options", s.script(s.passkeyOptions)),
		script(passkeyPath+"/finish", s.script(s.passkeyFinish)),
		get(recoveryPath, s.reading(s.recovery)),
		post(recoveryPath, s.keeping("codes-kept", securityPath)),

		get(devicesPath, s.reading(s.devices)),
		post(devicesPath, s.changing(devicesPath, s.deviceActs())),
		get(phonePath, s.fresh(s.addPhone)),
		post(phonePath, s.changing(phonePath, button("phone-continue", s.phoneAdded))),
		get(phonePath+"/state", http.HandlerFunc(s.phoneState)),

		get(sessionsPath, s.reading(s.sessions)),
		post(sessionsPath, s.changing(sessionsPath, s.sessionActs())),
		get(consentsPath, s.reading(s.consents)),
		post(consentsPath, s.changing(consentsPath, s.consentActs())),

		get(activityPath, s.reading(s.activity)),
		get(relativesPath, s.reading(s.relatives)),
		post(relativesPath, s.changing(relativesPath, s.relativeActs())),
		get(dataPath, s.reading(s.data)),
		post(dataPath, s.changing(dataPath, button("data-take", s.download))),
		get(closePath, s.fresh(s.closing)),
		post(closePath, s.changing(closePath, button("close-submit", s.closeAccount))),

		get(signOutPath, http.RedirectHandler(logoutPath, http.StatusSeeOther)),
		post(signOutPath, http.HandlerFunc(s.signOut)),
	}
}
