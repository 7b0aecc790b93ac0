package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"ecardid/account"
	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/deviceapi"
	"ecardid/authn/passkey"
	"ecardid/authn/password"
	"ecardid/authn/phone"
	"ecardid/authn/phone/attest"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/internal/seal"
	"ecardid/liveness"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/keyring"
	"ecardid/oauth/mtls"
	"ecardid/oauth/provider"
	"ecardid/oauth/registry"
	"ecardid/templates"
)

// A Store is what the rooms together ask of whoever remembers.
type Store interface {
	account.Records
	authn.Store
	oauth.Store
	oauth.Streams
	console.Staffs
	console.Requests
	console.Citizens
	console.Changes
	console.Trail
	oauth.Usages
	ClientWeight(ctx context.Context, clientID string, now time.Time) (oauth.Weight, error)
	// Keys returns the unlocked data keys; they change when they are rotated.
	Keys() *seal.Keys
	Ping(ctx context.Context) error
	// Listen tells what other replicas changed, until ctx ends.
	Listen(ctx context.Context, channel string, fn func(payload string)) error
}

// Ingredients is what a Server is made of. All of it is needed except what says
// otherwise.
type Ingredients struct {
	// Issuer is the issuer identifier and our origin: scheme, host and port, and
	// nothing else. Every link, cookie and token is made from it (SECURITY OI5).
	Issuer string

	Store     Store
	Hasher    authn.Hasher     // nil: Argon2id under the store's pepper
	Liveness  *liveness.Engine // nil: nobody reaches the level live
	Leaks     password.Leak    // nil: no list of leaked passwords beyond our own
	Catalogue *catalogue.Catalogue
	Pages     templates.Config
	Login     authn.Config   // Origin and Name are filled in
	KeyPolicy jose.Policy    // which algorithms sign, and how keys rotate
	Lives     provider.Lives // of tokens and consents; zero takes the defaults
	Passkeys  passkey.Config // Origins default to the issuer, RPID to its host
	Attest    attest.Set
	KeyLevel  identity.KeyLevel // the least a bound phone must have
	Proxies   []netip.Prefix    // whose X-Forwarded-For is believed
	// LivenessCapture is the origin of the provider's pages, for form-action.
	LivenessCapture []string

	MTLS     mtls.Config      // where clients' certificates come from; zero: nowhere
	Outbound *outbound.Client // calls to relying parties; nil: none
	// OpenRegistration lets everybody register clients; for a test profile. DeviceGrant
	// admits clients with the device grant.
	OpenRegistration, DeviceGrant bool

	Clock   clock.Clock
	Rand    io.Reader
	Log     *slog.Logger
	Metrics *Metrics
	Traces  *Traces // nil: none
}

// A Server answers every address. It is safe for concurrent use and shares nothing
// with its replicas but the store.
type Server struct {
	log       *slog.Logger
	metrics   *Metrics
	pages     *templates.Pages
	languages *templates.Negotiator
	browsers  browsers
	issuer    string
	sources   Sources
	flight    chan struct{}
	https     bool
	capture   []string
	store     Store
	registry  *registry.Registry
	keyring   *keyring.Keyring
	protocol  *provider.Provider
	relying   *passkey.Relying
	desk      *console.Service
	routes    []Route
	traces    *Traces
	mux       *http.ServeMux
	lost      http.Handler // 404
	refusals  *audit.Refusals
	uses      *oauth.Meter
	admitted  admissionWatch
}

// New introduces the rooms to each other. It reads clients and keys from the
// store; Run keeps them fresh.
func New(ctx context.Context, in Ingredients) (*Server, error) {
	u, err := url.Parse(in.Issuer)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != in.Issuer {
		return nil, fmt.Errorf("server: issuer %q is not an origin", in.Issuer)
	}
	if in.Store == nil || in.Store.Keys() == nil {
		return nil, errors.New("server: a store with unlocked keys is needed")
	}
	if in.Rand == nil {
		in.Rand = rand.Reader
	}
	if in.Clock == nil || in.Log == nil || in.Metrics == nil || in.Catalogue == nil {
		return nil, errors.New("server: a clock, a log, metrics and a catalogue are needed")
	}
	if in.Pages.Links.Activate == "" {
		in.Pages.Links.Activate = "/login/activate" // authn keeps it among its steps
	}
	pages, err := templates.New(in.Pages)
	if err != nil {
		return nil, err
	}
	keys := sealed{in.Store}
	s := &Server{
		log: in.Log, metrics: in.Metrics, pages: pages, languages: templates.NewNegotiator(),
		browsers: browsers{tag: keys.token("csrf"), check: keys.check("csrf"), rand: in.Rand}, issuer: in.Issuer,
		sources: Sources{Trusted: in.Proxies}, flight: make(chan struct{}, inFlight),
		https: u.Scheme == "https", store: in.Store, capture: in.LivenessCapture, traces: in.Traces, mux: http.NewServeMux(),
		refusals: &audit.Refusals{Journal: in.Store, Clock: in.Clock, Log: in.Log},
		uses:     &oauth.Meter{Store: in.Store, Clock: in.Clock, Log: in.Log},
		admitted: admissionWatch{in.Store, in.Metrics, in.Clock, in.Log},
	}

	login, err := s.signIn(in, u, keys)
	if err != nil {
		return nil, err
	}
	devices, err := deviceapi.New(deviceapi.Parts{
		Store: in.Store, Nonces: phone.Nonces{Tag: keys.token("phone-nonce"), Check: keys.check("phone-nonce")},
		Attest: in.Attest, Least: in.KeyLevel, Floor: in.Login.Floor, Origin: in.Issuer, Throttle: keys.index("throttle"),
		Source: s.sources.Of, Place: s.place, Refusals: s.refusals, Clock: in.Clock, Rand: in.Rand, Log: in.Log,
	})
	if err != nil {
		return nil, err
	}
	s.registry = registry.New(in.Store, in.Clock, in.Log)
	s.keyring = &keyring.Keyring{Store: in.Store, Policy: in.KeyPolicy, Clock: in.Clock, Log: in.Log}
	if err := errors.Join(s.registry.Reload(ctx), s.keyring.Rotate(ctx)); err != nil {
		return nil, fmt.Errorf("server: reading clients and keys: %w", err)
	}
	if s.protocol, err = s.speak(in, keys, login); err != nil {
		return nil, err
	}
	home, err := account.New(account.Parts{
		Logins: login, Factors: login, Devices: login, Consents: agreements{in.Store, s, in.Catalogue, in.Clock},
		Records: in.Store, Relatives: login, Keyed: keys.index("account"),
		Origin: in.Issuer, Place: s.place, Refusals: s.refusals, Render: s.Answer, Say: s.Say, Clock: in.Clock, Log: in.Log,
	})
	if err != nil {
		return nil, err
	}
	if s.desk, err = s.console(in, keys, s.relying); err != nil {
		return nil, err
	}
	s.mount(login, devices, s.protocol, home, s.desk)
	return s, nil
}

// signIn builds the authn room.
func (s *Server) signIn(in Ingredients, u *url.URL, keys sealed) (*authn.Service, error) {
	if in.Hasher == nil {
		hasher, err := password.New(password.Config{Pepper: keys, Rand: in.Rand})
		if err != nil {
			return nil, err
		}
		in.Hasher = hasher
	}
	in.Passkeys.Clock = in.Clock
	if in.Passkeys.RPID == "" {
		in.Passkeys.RPID = u.Hostname()
	}
	if len(in.Passkeys.Origins) == 0 {
		in.Passkeys.Origins = []string{in.Issuer}
	}
	if in.Passkeys.Name == "" {
		in.Passkeys.Name = in.Pages.Authority
	}
	relying, err := passkey.New(in.Passkeys)
	if err != nil {
		return nil, err
	}
	s.relying = relying
	in.Login.Origin = in.Issuer
	if in.Login.Name == "" {
		in.Login.Name = strings.ReplaceAll(in.Pages.Authority, ":", " ")
	}
	parts := authn.Parts{
		Store: in.Store, Hasher: in.Hasher, Policy: password.NewPolicy(in.Leaks, in.Log), Passkeys: relying,
		Codes: keys.index("recovery"), Throttle: keys.index("throttle"),
		Browser: Browser, Source: s.sources.Of, Locale: s.Locale, Render: s.Answer, Say: s.Say,
		Leave:      func(ctx context.Context, session identity.ID) (string, error) { return s.protocol.Leave(ctx, session) },
		ReceiptKey: func() (jose.Key, error) { return s.keyring.Signer(jose.SM2) },
		Clock:      in.Clock, Rand: in.Rand, Log: in.Log, Observer: in.Metrics, Config: in.Login,
	}
	if in.Liveness != nil { // a nil engine in an interface would not be nil
		parts.Liveness = in.Liveness
	}
	return authn.New(parts)
}

func (s *Server) place(r *http.Request) string { return Place(s.sources.Of(r)) }

// logins is authn as the authorization endpoint sees it. The languages the
// application asks for become the browser's, unless the person has chosen.
type logins struct {
	s     *Server
	login *authn.Service
}

func (l logins) Current(r *http.Request) (identity.Login, error) { return l.login.Current(r) }

func (l logins) Token(r *http.Request) []byte { return l.login.Token(r) }

func (l logins) Seen(r *http.Request, in identity.Login) identity.Login { return l.login.Seen(r, in) }

func (l logins) Raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string) {
	if _, chosen := only(r, localeCookie); !chosen && len(oauth.UILocales(r.Context())) > 0 {
		http.SetCookie(w, &http.Cookie{Name: localeCookie, Value: l.s.Locale(r), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	l.login.Raise(w, r, need, back)
}

func (l logins) End(w http.ResponseWriter, r *http.Request) error { return l.login.SignOut(w, r) }

// speak builds the oauth room.
func (s *Server) speak(in Ingredients, keys sealed, login *authn.Service) (*provider.Provider, error) {
	var errs []error
	keyed := func(purpose seal.Purpose, label string) oauth.Keyed {
		key, err := keys.derive(purpose, label)
		if err == nil {
			var k oauth.Keyed
			if k, err = oauth.NewKeyed(key); err == nil {
				return k
			}
		}
		errs = append(errs, err)
		return oauth.Keyed{}
	}
	pairwise, err := keys.derive(seal.Pairwise, "subject")
	errs = append(errs, err)
	subjects, err := oauth.NewSubjects(pairwise)
	errs = append(errs, err)
	c := provider.Config{
		Issuer: in.Issuer, Store: in.Store, Logins: logins{s, login}, Pages: oauthPages{s, in.Store},
		Registry: s.registry, Keys: s.keyring, Algs: in.KeyPolicy.Algs, Catalogue: in.Catalogue,
		ClientSecrets: keyed(seal.ClientSecret, ClientSecrets), Handles: keyed(seal.Token, "handle"), Forms: keyed(seal.Token, "form"),
		Subjects: subjects, Floor: in.Login.Floor, Lives: in.Lives,
		Source: func(r *http.Request) string { return s.sources.Of(r).String() }, Place: s.place, Refusals: s.refusals, Uses: s.uses,
		Streams: in.Store, Signals: in.Metrics,
		MTLS: in.MTLS, Outbound: in.Outbound, OpenRegistration: in.OpenRegistration, DeviceGrant: in.DeviceGrant,
		Random: in.Rand, Clock: in.Clock, Log: in.Log,
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("server: deriving keys: %w", err)
	}
	return provider.New(c)
}

// ClientSecrets is the label under which client secrets are hashed; whoever
// registers clients needs the same.
const ClientSecrets = "client-secret"

// Signer returns the key that signs with alg now.
func (s *Server) Signer(alg jose.Alg) (jose.Key, error) { return s.keyring.Signer(alg) }

// News puts the kind of a notice into words, in a citizen's language.
func (s *Server) News(locale, kind string) string {
	text, err := s.pages.Say(templates.Locale(locale), templates.NewsOf(kind))
	if err != nil {
		s.log.Error("speaking of a notice", "kind", kind, "cause", err)
	}
	return text
}

// Run keeps what is held in memory fresh until ctx ends: clients and signing keys
// are read again when a replica says on the channel that they changed, and every
// few seconds as the net (DESIGN D3). Signing keys are rotated as they are due.
func (s *Server) Run(ctx context.Context, channel string) {
	var all sync.WaitGroup
	all.Go(func() { s.registry.Run(ctx) })
	all.Go(func() { s.keyring.Run(ctx) })
	all.Go(func() { s.protocol.Run(ctx) })
	all.Go(func() { s.refusals.Run(ctx) })
	all.Go(func() { s.uses.Run(ctx) })
	all.Go(func() { s.admitted.run(ctx) })
	all.Go(func() {
		err := s.store.Listen(ctx, channel, func(what string) {
			s.registry.Notify()
			if err := s.keyring.Load(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("reading signing keys", "cause", err)
			}
		})
		if err != nil && ctx.Err() == nil {
			s.log.Error("no longer hearing of changes", "cause", err)
		}
	})
	all.Wait()
}

// ServeHTTP implements http.Handler. An address has one spelling; the multiplexer
// would send others on by itself, past all that enter sees to.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := r.URL.EscapedPath()
	if clean := path.Clean(p); p != clean && p != clean+"/" || !strings.HasPrefix(p, "/") {
		s.lost.ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Routes returns the inventory.
func (s *Server) Routes() []Route { return s.routes }
