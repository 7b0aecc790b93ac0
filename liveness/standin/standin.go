package standin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
)

const (
	maxBody     = 64 << 10
	maxSessions = 10_000           // a demo has few; a loop in a test must not fill the memory
	resultLife  = 60 * time.Second // of each signature; the verdict itself stays
	grace       = 60 * time.Second // after the session's end
	callFor     = 2 * time.Second  // for posting a notice
	threshold   = 70
	padLevel    = 2
)

// A Step names a place where Trouble can strike.
type Step string

// The steps.
const (
	StepStart  Step = "start"
	StepNotice Step = "notice"
	StepResult Step = "result"
)

// Trouble is what goes wrong at a step. The zero Trouble is none.
type Trouble struct {
	Hang     bool              // say nothing until the caller is gone
	Status   int               // answer with this status and nothing else
	Redirect string            // answer 302 to there
	Body     []byte            // answer with this in place of what would be right
	Drop     bool              // notice: do not send it; result: say "not yet"
	Key      *jose.Key         // sign with this
	Type     string            // sign under this typ
	Change   func(Claims)      // what is signed, or, at StepStart, what is answered
	Pause    <-chan struct{}   // wait for it before answering
	Header   func(http.Header) // answer's headers, last
}

// Claims are the members of a message, to be changed at will.
type Claims map[string]any

// Options are what a stand-in is made of.
type Options struct {
	BaseURL    string       // where it is reached, without a trailing slash
	Issuer     string       // its own name
	Client     string       // the name of the identity provider it answers
	ClientKeys jose.Set     // who may start and pull
	SigningKey jose.Key     // ES256 or SGD_SM3_SM2
	Clock      clock.Clock  //
	HTTP       *http.Client // for notices; nil for one with a short time-out
	Log        *slog.Logger // nil for none

	Trouble func(Step) Trouble // for tests; nil for none
}

// A Provider is a running stand-in.
type Provider struct {
	opts Options
	mux  *http.ServeMux

	mu       sync.Mutex
	sessions map[string]*session
	seen     map[string]time.Time // jti of our client's messages, until they end
}

// session is never changed but under Provider.mu.
type session struct {
	id       string
	capture  string // the secret part of capture_url
	start    start
	ends     time.Time
	answer   string // empty until a button was pressed
	captured time.Time
	attempts int
	evidence string
}

// New returns a stand-in, or what its options lack.
func New(o Options) (*Provider, error) {
	var errs []error
	if u, err := url.Parse(o.BaseURL); err != nil || u.Host == "" || strings.HasSuffix(o.BaseURL, "/") {
		errs = append(errs, errors.New("standin: BaseURL is not an absolute URL without a trailing slash"))
	}
	if o.Issuer == "" || o.Client == "" || o.Clock == nil {
		errs = append(errs, errors.New("standin: Issuer, Client and Clock are needed"))
	}
	if o.ClientKeys.Len() == 0 {
		errs = append(errs, errors.New("standin: no client key"))
	}
	if !o.SigningKey.CanSign() {
		errs = append(errs, errors.New("standin: no signing key"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{
			Timeout:       callFor,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Trouble == nil {
		o.Trouble = func(Step) Trouble { return Trouble{} }
	}
	p := &Provider{opts: o, mux: http.NewServeMux(), sessions: map[string]*session{}, seen: map[string]time.Time{}}
	p.mux.HandleFunc("POST /liveness/v1/sessions", p.handleStart)
	p.mux.HandleFunc("POST /liveness/v1/sessions/{id}/result", p.handleResult)
	p.mux.HandleFunc("GET /liveness/v1/capture/{secret}", p.handlePage)
	p.mux.HandleFunc("POST /liveness/v1/capture/{secret}", p.handleAnswer)
	p.mux.HandleFunc("GET /liveness/v1/standin.css", handleStyle)
	return p, nil
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Answer is what pressing a button does: pass, fail, inconclusive or silent. It
// is for tests without a browser. Of several answers the first one stays.
func (p *Provider) Answer(ctx context.Context, sessionID, answer string) error {
	p.mu.Lock()
	s, ok := p.sessions[sessionID]
	if !ok || !p.opts.Clock.Now().Before(s.ends) {
		p.mu.Unlock()
		return identity.ErrNotFound
	}
	if s.answer != "" || answer == answerSilent {
		p.mu.Unlock()
		return nil
	}
	s.answer, s.captured, s.attempts = answer, p.opts.Clock.Now(), 1
	notice := *s
	p.mu.Unlock()
	p.notify(ctx, notice)
	return nil
}

// SessionOf returns the id of the session that a capture URL belongs to.
func (p *Provider) SessionOf(captureURL string) (string, bool) {
	s, ok := p.byCapture(captureURL[strings.LastIndexByte(captureURL, '/')+1:])
	return s.id, ok
}

func (p *Provider) byCapture(secret string) (session, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		if s.capture == secret {
			return *s, true
		}
	}
	return session{}, false
}

// add remembers s unless there are too many; what is over makes room.
func (p *Provider) add(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.opts.Clock.Now()
	for id, old := range p.sessions {
		switch {
		case now.After(old.ends.Add(grace)):
			delete(p.sessions, id)
		case old.start.RequestID == s.start.RequestID:
			return false // one session for one request
		}
	}
	if len(p.sessions) >= maxSessions {
		return false
	}
	p.sessions[s.id] = s
	return true
}

// fresh remembers a jti until end and reports whether it is new.
func (p *Provider) fresh(jti string, end time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.opts.Clock.Now()
	for old, until := range p.seen {
		if now.After(until) {
			delete(p.seen, old)
		}
	}
	if _, again := p.seen[jti]; again || len(p.seen) >= maxSessions {
		return false
	}
	p.seen[jti] = end
	return true
}
