package liveness

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
)

// What a Provider answers instead of a result.
var (
	// ErrUnavailable: no answer, or none in the protocol. Offer other factors; a
	// check that did not happen has not passed.
	ErrUnavailable = errors.New("liveness: provider unavailable")

	// ErrStandIn: the provider says it is a stand-in and this is no development
	// server. It comes together with ErrUnavailable.
	ErrStandIn = errors.New("liveness: the provider is a stand-in and checks nobody")

	// ErrNotReady: the provider has no result yet.
	ErrNotReady = errors.New("liveness: no result yet")
)

var (
	// errCall is a failure that another try a moment later may not meet.
	errCall = fmt.Errorf("%w: call failed", ErrUnavailable)

	// errBusy: the provider was not asked, because it is being asked about this
	// session already or about as many as it may be at once.
	errBusy = fmt.Errorf("%w: being asked already", ErrUnavailable)
)

// A Provider is the line to the other side: its own connections, its own breaker
// and its own bound on calls at once, so that a provider that hangs takes
// nothing else with it (SECURITY LV2, SR1). It is safe for concurrent use.
type Provider struct {
	cfg   Config
	refs  refs
	clock clock.Clock
	http  *http.Client

	mu      sync.Mutex
	breaker breaker
	asking  map[identity.ID]bool // the sessions that somebody waits for here; maxCalls at most

	budget  time.Duration
	call    time.Duration
	backoff []time.Duration
}

// NewProvider returns a Provider, or everything that is wrong with cfg.
func NewProvider(cfg Config, clk clock.Clock) (*Provider, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	// Development opens this machine and no network around it.
	here := func(a netip.Addr) bool { return cfg.Development && a.IsLoopback() }
	dialer := &net.Dialer{Timeout: 2 * time.Second, Control: outbound.Guard(here)}
	transport := &http.Transport{
		// No proxy from the environment: the guard must see the real address.
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // what is 64 KiB on the wire is 64 KiB here
		MaxConnsPerHost:        maxCalls,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    2 * time.Second,
		ResponseHeaderTimeout:  callTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &Provider{
		cfg:   cfg,
		refs:  refs{key: cfg.RefKey, provider: cfg.Name},
		clock: clk,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		asking:  make(map[identity.ID]bool, maxCalls),
		budget:  pullBudget,
		call:    callTimeout,
		backoff: []time.Duration{retryAfter},
	}, nil
}

// Available reports whether a call would be made now. It is a courtesy, for not
// offering what cannot work; calls ask again.
func (p *Provider) Available() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.breaker.open(p.clock.Now())
}

// Close ends idle connections.
func (p *Provider) Close() { p.http.CloseIdleConnections() }

const sessionIDChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// started is what step 1 brings.
type started struct {
	sessionID  string
	captureURL string
}

// start asks for a session. It is tried once: a second session for the same
// request would be a second try that nobody counted.
func (p *Provider) start(ctx context.Context, s Session, txn Transaction, returnURI string) (started, error) {
	leave, err := p.enter(s.ID)
	if err != nil {
		return started{}, err
	}
	defer leave()
	now := p.clock.Now()
	c := startClaims{
		Issuer: p.cfg.Audience, Audience: p.cfg.Issuer, JTI: identity.NewID().String(),
		IssuedAt: now.Unix(), Expires: now.Add(requestLife).Unix(),
		RequestID:   s.ID.String(),
		Nonce:       p.refs.nonce(s.ID),
		Purpose:     txn.Purpose,
		SubjectRef:  p.refs.subject(txn.Citizen),
		Reference:   p.cfg.Policy.Reference,
		TxnHash:     encode(s.TxnHash),
		MinScore:    p.cfg.Policy.MinScore,
		MinPAD:      p.cfg.Policy.MinPAD,
		Mode:        p.cfg.Policy.Mode,
		MaxAttempts: p.cfg.Limits.PerSession,
		ExpiresIn:   int(p.cfg.Lifetime / time.Second),
		ReturnURI:   returnURI,
		CallbackURI: p.cfg.CallbackURL,
	}
	if ref := p.refs.device(txn.Device); ref != noDevice {
		c.DeviceRef = &ref
	}
	body, err := p.post(ctx, "/liveness/v1/sessions", typeStart, c, http.StatusCreated, "application/json")
	if err != nil {
		return started{}, err
	}
	f := fields(body, "session_id", "capture_url", "expires_at", "standin?")
	got := started{sessionID: f.Text("session_id", maxText), captureURL: f.Text("capture_url", maxURL)}
	ends := f.Integer("expires_at", 1, maxTime)
	standIn := f.Flag("standin")
	switch {
	case f.Err() != nil:
		err = fmt.Errorf("%w: start answer: %w", ErrUnavailable, f.Err())
	case strings.Trim(got.sessionID, sessionIDChars) != "":
		// It becomes part of a path.
		err = fmt.Errorf("%w: start answer: session_id: letters, digits, - and _ only", ErrUnavailable)
	case standIn && !p.cfg.Development:
		err = fmt.Errorf("%w: %w", ErrUnavailable, ErrStandIn)
	case ends <= now.Unix() || ends > s.Ends.Add(aheadBy).Unix():
		err = fmt.Errorf("%w: start answer: expires_at is not within the session", ErrUnavailable)
	default:
		if e := p.cfg.captureURL(got.captureURL); e != nil {
			err = fmt.Errorf("%w: start answer: capture_url: %w", ErrUnavailable, e)
		}
	}
	if err != nil {
		return started{}, err
	}
	return got, nil
}

// pull asks for the result of a session. The page that waits for it asks again by
// itself, so "not yet" is an answer; only a call that failed quickly is made once
// more, and all of it takes no longer than one call may. Of two who ask for one
// session the second hears errBusy at once, and so does whoever comes when maxCalls
// are asking: a provider that hangs holds no more requests than that (SECURITY DS1,
// LV2). What pull returns is not verified.
func (p *Provider) pull(ctx context.Context, s Session) (string, error) {
	leave, err := p.enter(s.ID)
	if err != nil {
		return "", err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	path := "/liveness/v1/sessions/" + url.PathEscape(s.ProviderSession) + "/result"
	for try := 0; ; try++ {
		now := p.clock.Now()
		body, err := p.post(ctx, path, typePull, pullClaims{
			Issuer: p.cfg.Audience, Audience: p.cfg.Issuer, JTI: identity.NewID().String(),
			IssuedAt: now.Unix(), Expires: now.Add(requestLife).Unix(),
			SessionID: s.ProviderSession,
			Nonce:     p.refs.nonce(s.ID),
		}, http.StatusOK, "application/jose")
		if err == nil {
			return string(body), nil
		}
		if try == len(p.backoff) || !errors.Is(err, errCall) {
			return "", err
		}
		wait := time.NewTimer(p.backoff[try])
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return "", err
		}
	}
}

// post signs claims, sends them and returns the body of an answer in the protocol.
func (p *Provider) post(ctx context.Context, path, typ string, claims any, status int, media string) ([]byte, error) {
	jws, err := jose.Sign(p.cfg.SigningKey, typ, claims)
	if err != nil {
		return nil, fmt.Errorf("signing a %s: %w", typ, err)
	}
	if !p.admit() {
		return nil, fmt.Errorf("%w: it did not answer lately", ErrUnavailable)
	}
	body, err := p.exchange(ctx, path, jws, status, media)
	switch {
	case err == nil, errors.Is(err, ErrNotReady):
		p.heard(callWorked)
	case errors.Is(context.Cause(ctx), context.Canceled):
		p.heard(callNeutral)
	default:
		p.heard(callFailed)
	}
	return body, err
}

func (p *Provider) exchange(ctx context.Context, path, jws string, status int, media string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.call)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.cfg.BaseURL+path, bytes.NewReader([]byte(jws)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	req.Header.Set("Content-Type", "application/jose")
	req.Header.Set("Accept", media)
	res, err := p.http.Do(req)
	if err != nil {
		// A *url.Error repeats the URL with the session's name in it.
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, fmt.Errorf("%w: %w", errCall, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == status:
	case res.StatusCode == http.StatusAccepted:
		return nil, ErrNotReady
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: status %d", errCall, res.StatusCode)
	default: // a redirect among them
		return nil, fmt.Errorf("%w: status %d", ErrUnavailable, res.StatusCode)
	}
	if got, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || got != media {
		return nil, fmt.Errorf("%w: not %s", ErrUnavailable, media)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errCall, err)
	case len(body) > maxBody:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrUnavailable, maxBody)
	}
	return body, nil
}

// enter takes a place for all that is asked about a session; leave gives it back.
func (p *Provider) enter(session identity.ID) (leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking[session] || len(p.asking) >= maxCalls {
		return nil, errBusy
	}
	p.asking[session] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.asking, session)
	}, nil
}

func (p *Provider) admit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, ok := p.breaker.admit(p.clock.Now())
	p.breaker = next
	return ok
}

func (p *Provider) heard(r report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breaker = p.breaker.heard(r, p.clock.Now())
}
