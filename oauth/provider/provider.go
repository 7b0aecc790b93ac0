package provider

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/authorize"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/discovery"
	"ecardid/oauth/framework"
	"ecardid/oauth/introspect"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
	"ecardid/oauth/revoke"
	"ecardid/oauth/token"
	"ecardid/oauth/userinfo"
)

// Keys is what the provider needs of the keyring.
type Keys interface {
	Signer(alg jose.Alg) (jose.Key, error)
	Ring() *jose.Ring
}

// Config is what a provider is made of. Everything is required but what says
// otherwise.
type Config struct {
	Issuer    string // an origin, without a slash at its end
	Store     oauth.Store
	Logins    oauth.Logins
	Pages     oauth.Pages
	Registry  framework.Registry
	Keys      Keys
	Algs      []jose.Alg // that Keys signs with, for the metadata
	Catalogue *catalogue.Catalogue

	ClientSecrets oauth.Keyed    // over client secrets
	Handles       oauth.Keyed    // tags of codes, tokens and handles
	Forms         oauth.Keyed    // tokens in our own forms
	Subjects      oauth.Subjects // who citizens are to relying parties

	Floor    identity.Level             // of every login; zero: basic
	Lives    Lives                      // zero: the defaults
	Throttle clientauth.Throttle        // nil: in this process
	Source   func(*http.Request) string // nil: the peer's address
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
	Handler   http.Handler
}

// A Provider is the protocol, ready to be mounted.
type Provider struct{ routes []Route }

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
	writer := respond.Writer{Issuer: c.Issuer, Log: c.Log}
	modes := respond.Modes{Writer: writer, Pages: c.Pages}
	handles := issue.Handles{Keys: c.Handles, Rand: c.Random}
	issuer := &issue.Issuer{Name: c.Issuer, Keys: c.Keys, Subjects: c.Subjects}
	clients := &clientauth.Authenticator{
		Issuer: c.Issuer, Registry: c.Registry, Secrets: c.ClientSecrets, Replay: c.Store, Journal: c.Store,
		Throttle: c.Throttle, Source: c.Source, Clock: c.Clock, Log: c.Log,
	}
	code := &token.Code{
		Store: c.Store, Handles: handles, Catalogue: c.Catalogue, Issuer: c.Issuer, RefreshIdle: lives.RefreshIdle,
		Clock: c.Clock, Log: c.Log,
	}
	refresh := &token.Refresh{
		Store: c.Store, Handles: handles, Catalogue: c.Catalogue, Issuer: c.Issuer, RefreshIdle: lives.RefreshIdle, Log: c.Log,
	}
	machine := &token.ClientCredentials{Catalogue: c.Catalogue, Issuer: c.Issuer}

	f := framework.New(framework.Parts{
		Registry: c.Registry, Authenticate: clients.Authenticate, Modes: modes,
		Authorize: []fosite.AuthorizeEndpointHandler{code},
		Token:     token.Handlers(issuer, c.Clock, code, refresh, machine),
	})
	front := &authorize.Handler{
		Provider: f, Registry: c.Registry, Store: c.Store, Logins: c.Logins, Issuer: issuer, Handles: handles, Forms: c.Forms,
		Catalogue: c.Catalogue, Modes: modes, Floor: c.Floor,
		Lives: authorize.Lives{Absolute: lives.RefreshAbsolute, Consent: lives.Consent}, Clock: c.Clock, Log: c.Log,
	}
	metadata, err := discovery.Static(discovery.Describe(
		c.Issuer, c.Catalogue.Names(), c.Catalogue.Claims(c.Catalogue.Names()), c.Algs))
	if err != nil {
		return nil, fmt.Errorf("oauth provider: metadata: %w", err)
	}
	get, post, both := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}, []string{http.MethodGet, http.MethodPost}
	return &Provider{[]Route{
		{Path: authorize.Path, Methods: both, Page: true, CrossSite: true, Handler: front},
		{Path: authorize.ConsentPath, Methods: both, Page: true, Handler: http.HandlerFunc(front.Consent)},
		{Path: "/token", Methods: post, CrossSite: true, Handler: &token.Handler{Provider: f, Respond: writer}},
		{Path: "/userinfo", Methods: both, CrossSite: true, Handler: &userinfo.Handler{
			Registry: c.Registry, Tokens: c.Store, Issuer: issuer, Handles: handles, Catalogue: c.Catalogue, Respond: writer, Clock: c.Clock,
		}},
		{Path: "/introspect", Methods: post, CrossSite: true, Handler: &introspect.Handler{
			Provider: f, Registry: c.Registry, Tokens: c.Store, Issuer: issuer, Handles: handles, Catalogue: c.Catalogue,
			Respond: writer, Clock: c.Clock,
		}},
		{Path: "/revoke", Methods: post, CrossSite: true, Handler: &revoke.Handler{
			Provider: f, Store: c.Store, Issuer: issuer, Handles: handles, Respond: writer, Clock: c.Clock,
		}},
		{Path: discovery.PathJWKS, Methods: get, CrossSite: true, Handler: discovery.KeySet(c.Keys, (*jose.Ring).Public)},
		{Path: discovery.PathSM2JWKS, Methods: get, CrossSite: true, Handler: discovery.KeySet(c.Keys, (*jose.Ring).SM2Public)},
		{Path: discovery.PathOpenID, Methods: get, CrossSite: true, Handler: metadata},
		{Path: discovery.PathOAuth, Methods: get, CrossSite: true, Handler: metadata},
	}}, nil
}

// peer is who sent the request, when nobody is in between.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
