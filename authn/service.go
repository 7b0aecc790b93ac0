package authn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ecardid/authn/loss"
	"ecardid/authn/passkey"
	"ecardid/authn/password"
	"ecardid/authn/recovery"
	"ecardid/authn/risk"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/liveness"
	"ecardid/templates"
)

// A Hasher makes and checks stored passwords; password.Hasher is one.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
	Verify(ctx context.Context, encoded, password string) (ok, needsRehash bool, err error)
	// VerifyNothing does the work of Verify for somebody who is not there.
	VerifyNothing(ctx context.Context, password string) error
}

// A PasswordPolicy says what is wrong with a new password; password.Policy is one.
type PasswordPolicy interface {
	Check(password string, c password.Context) []password.Problem
}

// A LivenessEngine asks whether a living person is there; liveness.Engine is one.
type LivenessEngine interface {
	Start(ctx context.Context, req liveness.Request) (liveness.Started, error)
	Finish(ctx context.Context, id identity.ID, current liveness.Transaction) (liveness.Verdict, error)
	// ServeHTTP is the provider's callback: a wake-up, 204 whatever comes.
	ServeHTTP(w http.ResponseWriter, r *http.Request)
}

// An Observer counts what happens, for metrics. step and outcome are words of
// ours, few and fixed, or the names of an operator's rules. Implementations are safe for concurrent use.
type Observer interface {
	Observe(step, outcome string)
}

// An Answer is a page this room wants shown. The server adds what every page has:
// locale, nonce, CSRF token, headers.
type Answer struct {
	Status int
	// Kind of Content-Security-Policy. At SignIn the way may end at Asker's host,
	// which for a relying party on this machine the policy has to name.
	Kind  templates.Kind
	Asker *identity.Asker
	Flow  string // View.Flow
	Path  string // View.Path
	// Page is complete but for the Reference of templates.Error and templates.Busy.
	Page templates.Page
}

// Parts is what a [Service] is made of. All of it is needed, except what says
// otherwise.
type Parts struct {
	Store    Store
	Hasher   Hasher
	Policy   PasswordPolicy
	Passkeys *passkey.Relying
	Liveness LivenessEngine // nil: nobody reaches the level live

	// Codes is the keyed hash over recovery and activation codes, Throttle the one
	// over the keys of attempt counters. Both answer the same on every replica.
	Codes    recovery.Keyed
	Throttle recovery.Keyed

	// ReceiptKey is the SM2 key that signs receipts of a loss now; nil or an error: none.
	ReceiptKey func() (jose.Key, error)

	// Browser is SHA-256 of the cookie that names the browser; empty when there is
	// none, and then nothing begins. Source is the sender's address as the trusted hop
	// tells it; the zero Addr when it cannot be told. Locale is the language chosen.
	Browser func(r *http.Request) []byte
	Source  func(r *http.Request) netip.Addr
	Locale  func(r *http.Request) string

	// Render writes a page. Say puts a message into the language of the request,
	// for the JSON the script shows.
	Render func(w http.ResponseWriter, r *http.Request, a Answer)
	Say    func(r *http.Request, m templates.Message) string

	// Leave is where a browser goes whose session has just ended, for the front channel
	// of the relying parties; nil or an empty path is our own goodbye.
	Leave func(ctx context.Context, session identity.ID) (string, error)

	Clock    clock.Clock
	Rand     io.Reader
	Log      *slog.Logger
	Observer Observer // nil: nobody counts
	Config   Config
}

// Config is what an operator may choose. Zero fields take the default named.
type Config struct {
	// Origin is our own, as browsers write it: https://login.example.
	Origin string
	// Name is the issuer as an authenticator app shows it.
	Name string
	// Floor is the least any login reaches; LevelMFA.
	Floor identity.Level
	// SessionIdle ≤ 1 h and SessionMax ≤ 24 h, which are also the defaults.
	SessionIdle time.Duration
	SessionMax  time.Duration
	FlowLife    time.Duration // ≤ 15 min, also the default
	Trust       time.Duration // of a remembered browser: ≤ 30 days, also the default
	// ManyPhones lets a citizen bind several; by default a new one takes the place of
	// the one before.
	ManyPhones bool
	// CoolOff is how long after binding a phone nothing of high value is given; a day.
	// Negative: not at all.
	CoolOff time.Duration
	// PasskeyPolicy for citizens; passkey.Open.
	PasskeyPolicy passkey.Policy
	// Home is where a login goes that nobody asked for; /account.
	Home  string
	Rules Rules
	// Risk is how sign-ins are weighed; risk.Default.
	Risk *risk.Policy
	// What the liveness page says about the provider.
	LivenessName    string
	LivenessHost    string
	LivenessStandin bool
}

// A Service signs citizens in. It is safe for concurrent use, and any replica can
// go on where another began.
type Service struct {
	Parts
	// alarmed: until when (Unix seconds) too many wrong guesses keep us wary. Each
	// replica finds out for itself, from the shared counter.
	alarmed atomic.Int64
	// refusals bounds the audit entries strangers can cause while they are
	// throttled anyway; the counters go on.
	refusals *rate.Limiter
	desk     *loss.Desk
	alarms   bells
}

// New checks the parts whole.
func New(p Parts) (*Service, error) {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("authn: %s is missing", what))
		}
	}
	need(p.Store != nil, "Store")
	need(p.Hasher != nil, "Hasher")
	need(p.Policy != nil, "Policy")
	need(p.Passkeys != nil, "Passkeys")
	need(p.Codes != nil, "Codes")
	need(p.Throttle != nil, "Throttle")
	need(p.Browser != nil, "Browser")
	need(p.Source != nil, "Source")
	need(p.Locale != nil, "Locale")
	need(p.Render != nil, "Render")
	need(p.Say != nil, "Say")
	need(p.Clock != nil, "Clock")
	need(p.Rand != nil, "Rand")
	need(p.Log != nil, "Log")
	cfg, err := p.Config.complete()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	p.Config = cfg
	if p.Observer == nil {
		p.Observer = unobserved{}
	}
	if p.ReceiptKey == nil {
		p.ReceiptKey = func() (jose.Key, error) { return jose.Key{}, errNoKey }
	}
	desk := &loss.Desk{Store: p.Store, Issuer: cfg.Origin, Signer: p.ReceiptKey, Keyed: p.Throttle, Rand: p.Rand, Log: p.Log}
	const perSecond, burst = 5, 100
	return &Service{Parts: p, refusals: rate.NewLimiter(perSecond, burst), desk: desk}, nil
}

var errNoKey = errors.New("authn: no key signs receipts")

func (c Config) complete() (Config, error) {
	var errs []error
	bound := func(name string, at *time.Duration, most time.Duration) {
		if *at == 0 {
			*at = most
		}
		if *at < time.Minute || *at > most {
			errs = append(errs, fmt.Errorf("authn: %s: %v is not within 1m and %v", name, *at, most))
		}
	}
	bound("SessionIdle", &c.SessionIdle, sessionIdle)
	bound("SessionMax", &c.SessionMax, sessionMax)
	bound("FlowLife", &c.FlowLife, flowLife)
	bound("Trust", &c.Trust, trustLife)
	if c.Floor == identity.LevelNone {
		c.Floor = identity.LevelMFA
	}
	if c.Floor < identity.LevelBasic || c.Floor > identity.LevelBound {
		errs = append(errs, fmt.Errorf("authn: Floor: %d is not basic, mfa or bound", c.Floor))
	}
	if c.CoolOff == 0 {
		c.CoolOff = coolOff
	}
	if c.PasskeyPolicy == "" {
		c.PasskeyPolicy = passkey.Open
	}
	if c.Home == "" {
		c.Home = "/account"
	}
	if !ownPath(c.Home) {
		errs = append(errs, errors.New("authn: Home is not a path of ours"))
	}
	u, err := url.Parse(c.Origin)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != c.Origin {
		errs = append(errs, fmt.Errorf("authn: Origin: %q is not an origin", c.Origin))
	}
	if c.Name == "" || strings.Contains(c.Name, ":") {
		errs = append(errs, errors.New("authn: Name is missing or has a colon"))
	}
	c.Rules = c.Rules.orDefaults()
	if c.Risk == nil {
		if c.Risk, err = risk.Default(); err != nil {
			errs = append(errs, fmt.Errorf("authn: Risk: %w", err))
		}
	}
	return c, errors.Join(errs...)
}

type unobserved struct{}

func (unobserved) Observe(string, string) {}
