package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/oauth"
	"ecardid/oauth/authorize"
	"ecardid/oauth/caller"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/clientkeys"
	"ecardid/oauth/devicegrant"
	"ecardid/oauth/discovery"
	"ecardid/oauth/dpop"
	"ecardid/oauth/encrypt"
	"ecardid/oauth/framework"
	"ecardid/oauth/introspect"
	"ecardid/oauth/issue"
	"ecardid/oauth/jar"
	"ecardid/oauth/logout"
	"ecardid/oauth/mtls"
	"ecardid/oauth/rar"
	"ecardid/oauth/register"
	"ecardid/oauth/respond"
	"ecardid/oauth/revoke"
	"ecardid/oauth/signals"
	"ecardid/oauth/token"
	"ecardid/oauth/userinfo"
)

// Keys is what the provider needs of the keyring.
type Keys interface {
	Signer(alg jose.Alg) (jose.Key, error)
	Ring() *jose.Ring
	Renew(ctx context.Context) error
}

// A Registry finds clients, and reads them anew when one was registered. The hosts of
// those whom an operator admitted may be called.
type Registry interface {
	framework.Registry
	outbound.Hosts
	Reload(ctx context.Context) error
}

// Pages is everything a person sees of the protocol.
type Pages interface {
	oauth.Pages
	logout.Pages
	devicegrant.Pages
}

// Config is what a provider is made of. Everything is required but what says
// otherwise.
type Config struct {
	Issuer    string // an origin, without a slash at its end
	Store     oauth.Store
	Logins    oauth.Logins
	Pages     Pages
	Registry  Registry
	Keys      Keys
	Algs      []jose.Alg // that Keys signs with, for the metadata
	Catalogue *catalogue.Catalogue

	ClientSecrets oauth.Keyed    // over client secrets
	Handles       oauth.Keyed    // tags of codes, tokens and handles
	Forms         oauth.Keyed    // tokens in our own forms
	Subjects      oauth.Subjects // who citizens are to relying parties

	// Streams tell clients what happens to their citizens; nil: nobody is told. It takes a
	// Catalogue with the scopes for it as well. Signals counts; nil: nobody does.
	Streams oauth.Streams
	Signals signals.Observer

	MTLS     mtls.Config      // zero: no client CA, no proxy, no listener of its own
	Outbound *outbound.Client // calls its own hosts and the Registry's; nil: nothing is fetched and nobody called

	// OpenRegistration lets everybody register clients. It is for a test profile.
	OpenRegistration bool
	// DeviceGrant admits clients with the device grant (RFC 8628).
	DeviceGrant bool

	Floor    identity.Level             // of every login; zero: basic
	Lives    Lives                      // zero: the defaults
	Throttle clientauth.Throttle        // nil: in this process
	Source   func(*http.Request) string // nil: the peer's address
	Refusals *audit.Refusals            // nil: what is refused is not written down
	Place    func(*http.Request) string // of it, what a refusal's entry may say; nil: nothing
	Uses     *oauth.Meter               // nil: what clients do is not counted
	Random   io.Reader                  // nil: crypto/rand
	Clock    clock.Clock
	Log      *slog.Logger
}

// Lives are how long what is granted lasts.
type Lives struct {
	RefreshIdle     time.Duration // between two refreshes; 30 days
	RefreshAbsolute time.Duration // of a family; 90 days
	Consent         time.Duration // zero: until withdrawn
}

func (l Lives) orDefaults() Lives {
	const day = 24 * time.Hour
	l.RefreshIdle = cmp.Or(l.RefreshIdle, 30*day)
	l.RefreshAbsolute = cmp.Or(l.RefreshAbsolute, 90*day)
	return l
}

func (c Config) check() error {
	var missing []string
	for name, absent := range map[string]bool{
		"Store": c.Store == nil, "Logins": c.Logins == nil, "Pages": c.Pages == nil, "Registry": c.Registry == nil,
		"Keys": c.Keys == nil, "Algs": len(c.Algs) == 0, "Catalogue": c.Catalogue == nil,
		"ClientSecrets": c.ClientSecrets.IsZero(), "Handles": c.Handles.IsZero(), "Forms": c.Forms.IsZero(),
		"Subjects": c.Subjects.IsZero(), "Clock": c.Clock == nil, "Log": c.Log == nil,
	} {
		if absent {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("oauth provider: missing: %s", strings.Join(missing, ", "))
	}
	if err := oauth.CheckURI(c.Issuer); err != nil {
		return fmt.Errorf("oauth provider: the issuer %w", err)
	}
	if strings.HasSuffix(c.Issuer, "/") || strings.Contains(c.Issuer, "?") {
		return errors.New("oauth provider: the issuer ends in a slash or has a query (RFC 8414 §2)")
	}
	if c.Lives.RefreshIdle < 0 || c.Lives.RefreshAbsolute < 0 || c.Lives.Consent < 0 {
		return errors.New("oauth provider: a life is negative")
	}
	return nil
}

// A Route is one URL of the protocol and the methods it answers.
type Route struct {
	Path    string
	Methods []string
	// Page: a browser shows the answer to a person, or is sent on by it. Others are
	// for programs. The authorization endpoint takes posts from other sites by
	// design; the consent page does not.
	Page      bool
	CrossSite bool
	Takes     string // the content type of its bodies; empty: a form
	Handler   http.Handler
}

// A Provider is the protocol, ready to be mounted.
type Provider struct {
	routes  []Route
	logout  *logout.Handler
	postman *logout.Postman
	courier *signals.Courier // nil: nobody is told
	guard   caller.Guard     // of a resource in another room
}

// Leave is where a browser goes whose session has ended elsewhere in the house; empty
// when it need not go anywhere.
func (p *Provider) Leave(ctx context.Context, session identity.ID) (string, error) {
	return p.logout.Leave(ctx, session)
}

// Run tells relying parties of ended sessions, and of all else they want to hear, until
// ctx ends.
func (p *Provider) Run(ctx context.Context) {
	var all sync.WaitGroup
	if p.postman.Sender != nil {
		all.Go(func() { p.postman.Run(ctx) })
	}
	if p.courier != nil {
		all.Go(func() { p.courier.Run(ctx) })
	}
	all.Wait()
}

// Routes lists every URL.
func (p *Provider) Routes() []Route { return slices.Clone(p.routes) }

// New makes a provider.
func New(c Config) (*Provider, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	lives := c.Lives.orDefaults()
	if c.Throttle == nil {
		c.Throttle = &clientauth.Guesses{}
	}
	if c.Source == nil {
		c.Source = peer
	}
	writer := respond.Writer{Issuer: c.Issuer, Log: c.Log, Refusals: c.Refusals, Place: c.Place, Uses: c.Uses}
	modes := respond.Modes{Writer: writer, Pages: c.Pages, Signer: c.Keys, Clock: c.Clock}
	handles := issue.Handles{Keys: c.Handles, Rand: c.Random}
	keys := &clientkeys.Source{Clock: c.Clock, Log: c.Log}
	var hosts signals.Hosts
	if c.Outbound != nil {
		listed := c.Outbound
		c.Outbound = listed.Besides(c.Registry)
		hosts = signals.Hosts{Listed: listed, Callers: c.Outbound}
		keys.Fetch = c.Outbound
	}
	issuer := &issue.Issuer{Name: c.Issuer, Keys: c.Keys, Subjects: c.Subjects, Encrypter: encrypt.Encrypter{Documents: keys}}
	proofs := &dpop.Verifier{
		Issuer: c.Issuer, Alias: c.MTLS.Base, Nonces: dpop.Nonces{Keys: c.Handles}, Replay: c.Store, Clock: c.Clock,
	}
	clients := &clientauth.Authenticator{
		Issuer: c.Issuer, Registry: c.Registry, Secrets: c.ClientSecrets, Replay: c.Store,
		Throttle: c.Throttle, Source: c.Source, Clock: c.Clock,
		Keys: keys, DPoP: proofs, MTLS: c.MTLS,
	}
	terms := token.Terms{Issuer: c.Issuer, Catalogue: c.Catalogue, Details: rar.Shipped()}
	code := &token.Code{
		Terms: terms, Store: c.Store, Handles: handles, RefreshIdle: lives.RefreshIdle,
	}
	refresh := &token.Refresh{Terms: terms, Store: c.Store, Handles: handles, RefreshIdle: lives.RefreshIdle}
	machine := &token.ClientCredentials{Terms: terms}
	exchange := &token.Exchange{Terms: terms, Store: c.Store, Registry: c.Registry, Tokens: issuer, Handles: handles}
	grants := []token.Grant{code, refresh, machine, exchange}
	if c.DeviceGrant {
		grants = append(grants, &token.Device{Codes: code, Polls: c.Store})
	}
	endpoint := &token.Endpoint{Issuer: issuer, Bindings: clients, People: c.Store, Catalogue: c.Catalogue, Uses: c.Uses, Clock: c.Clock}

	f := framework.New(framework.Parts{
		Registry: c.Registry, Authenticate: clients.Authenticate, Modes: modes,
		Authorize: []fosite.AuthorizeEndpointHandler{code},
		Token:     endpoint.Handlers(grants...),
	})
	front := &authorize.Handler{
		Provider: f, Registry: c.Registry, Store: c.Store, Logins: c.Logins, Issuer: issuer, Handles: handles, Forms: c.Forms,
		Catalogue: c.Catalogue, Details: terms.Details, Modes: modes, Floor: c.Floor,
		Objects: &jar.Reader{Issuer: c.Issuer, Keys: keys, Clock: c.Clock}, Clients: clients, Nonces: proofs.Nonces,
		Lives: authorize.Lives{Absolute: lives.RefreshAbsolute, Consent: lives.Consent}, Uses: c.Uses, Clock: c.Clock, Log: c.Log,
	}
	get, post, both := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}, []string{http.MethodGet, http.MethodPost}
	bye := &logout.Handler{
		Registry: c.Registry, Store: c.Store, Logins: c.Logins, Issuer: issuer, Forms: c.Forms, Pages: c.Pages, Modes: modes, Clock: c.Clock,
	}
	postman := &logout.Postman{Outbox: c.Store, Registry: c.Registry, Issuer: issuer, Clock: c.Clock, Log: c.Log}
	if c.Outbound != nil {
		postman.Sender = c.Outbound
	}
	if c.DeviceGrant {
		front.Devices = c.Store
	}
	devices := &devicegrant.Handler{
		Provider: f, Store: c.Store, Front: front, Logins: c.Logins, Issuer: c.Issuer, Handles: handles, Pages: c.Pages, Modes: modes,
		Source: c.Source, Clock: c.Clock,
	}
	registrar := c.registrar(writer, terms.Details.Scopes())
	routes := []Route{
		{Path: authorize.Path, Methods: both, Page: true, CrossSite: true, Handler: front},
		{Path: authorize.PushPath, Methods: post, CrossSite: true, Handler: http.HandlerFunc(front.Push)},
		{Path: authorize.ConsentPath, Methods: both, Page: true, Handler: http.HandlerFunc(front.Consent)},
		{Path: logout.Path, Methods: both, Page: true, CrossSite: true, Handler: bye},
		{Path: logout.ConfirmPath, Methods: both, Page: true, Handler: http.HandlerFunc(bye.Confirm)},
		{Path: logout.DonePath, Methods: get, Page: true, Handler: http.HandlerFunc(bye.Done)},
		{Path: token.Path, Methods: post, CrossSite: true, Handler: &token.Handler{
			Provider: f, Replay: c.Store, Nonces: proofs.Nonces, Respond: writer, Clock: c.Clock,
		}},
		{Path: userinfo.Path, Methods: both, CrossSite: true, Handler: &userinfo.Handler{
			Registry: c.Registry, Tokens: c.Store, Issuer: issuer, Handles: handles, Catalogue: c.Catalogue, Respond: writer, Clock: c.Clock,
			Proofs: proofs, Certificates: c.MTLS.Sources, Replay: c.Store,
		}},
		{Path: "/introspect", Methods: post, CrossSite: true, Handler: &introspect.Handler{
			Provider: f, Registry: c.Registry, Tokens: c.Store, Issuer: issuer, Handles: handles, Catalogue: c.Catalogue,
			Details: terms.Details, Respond: writer, Replay: c.Store, Clock: c.Clock,
		}},
		{Path: "/revoke", Methods: post, CrossSite: true, Handler: &revoke.Handler{
			Provider: f, Store: c.Store, Issuer: issuer, Handles: handles, Respond: writer, Clock: c.Clock,
		}},
		{Path: discovery.PathJWKS, Methods: get, CrossSite: true, Handler: discovery.KeySet(c.Keys, (*jose.Ring).Public)},
		{Path: discovery.PathSM2JWKS, Methods: get, CrossSite: true, Handler: discovery.KeySet(c.Keys, (*jose.Ring).SM2Public)},
		{Path: register.Path, Methods: post, CrossSite: true, Takes: "application/json", Handler: registrar},
		{Path: register.ClientPath, Methods: []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}, CrossSite: true,
			Takes: "application/json", Handler: http.HandlerFunc(registrar.Manage)},
	}
	if c.DeviceGrant {
		routes = append(routes,
			Route{Path: devicegrant.Path, Methods: post, CrossSite: true, Handler: devices},
			Route{Path: devicegrant.ConnectPath, Methods: both, Page: true, Handler: http.HandlerFunc(devices.Connect)},
			Route{Path: devicegrant.DonePath, Methods: get, Page: true, Handler: http.HandlerFunc(devices.Done)})
	}
	described := discovery.Describe(c.facts(routes, terms.Details.Names()))
	if c.DeviceGrant && described.DeviceAuthorizationEndpoint == "" {
		return nil, errors.New("oauth provider: the device grant is switched on, and nothing here serves it")
	}
	metadata, err := discovery.Static(described)
	if err != nil {
		return nil, fmt.Errorf("oauth provider: metadata: %w", err)
	}
	routes = append(routes,
		Route{Path: discovery.PathOpenID, Methods: get, CrossSite: true, Handler: metadata},
		Route{Path: discovery.PathOAuth, Methods: get, CrossSite: true, Handler: metadata})
	p := &Provider{logout: bye, postman: postman, routes: routes, guard: caller.Guard{
		Registry: c.Registry, Issuer: issuer, Proofs: proofs, Certificates: c.MTLS.Sources, Respond: writer, Clock: c.Clock,
	}}
	if err := c.signal(p, issuer, proofs, writer, hosts); err != nil {
		return nil, err
	}
	return p, nil
}

// peer is who sent the request, when nobody is in between.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
