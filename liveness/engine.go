package liveness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
)

// An Engine walks a check from question to verdict. It keeps nothing itself: any
// replica can finish what another began.
type Engine struct {
	cfg      Config
	provider *Provider
	sessions Sessions
	clock    clock.Clock
	log      *slog.Logger
}

// New returns an Engine with a line to the provider, or everything that is wrong
// with cfg: half a configuration is none (SECURITY LV2).
func New(cfg Config, sessions Sessions, clk clock.Clock, log *slog.Logger) (*Engine, error) {
	p, err := NewProvider(cfg, clk)
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, provider: p, sessions: sessions, clock: clk, log: log.With("provider", cfg.Name)}, nil
}

// Available reports whether a check could be begun now: pages offer other factors
// first when it could not.
func (e *Engine) Available() bool { return e.provider.Available() }

// Close ends the idle connections to the provider.
func (e *Engine) Close() { e.provider.Close() }

// A Request asks for a check.
type Request struct {
	Transaction
	// ReturnURI is where the provider sends the browser back to, a page of ours. It
	// adds session_id and state; neither is a verdict and neither is needed.
	ReturnURI string
}

// Started is a check that waits for its citizen.
type Started struct {
	Session    identity.ID // keep it with the transaction; Finish asks for it
	CaptureURL string      // send the browser there
	Ends       time.Time
}

// Start begins a check. Its errors a citizen should hear of are
// ErrTransactionLimit, ErrCitizenLimit and ErrUnavailable (with ErrStandIn, for
// the operator). Whatever the error, nothing was begun that could pass.
func (e *Engine) Start(ctx context.Context, req Request) (Started, error) {
	if err := req.check(); err != nil {
		return Started{}, fmt.Errorf("liveness: start: %w", err)
	}
	if req.Device.IsZero() && !e.withoutDevice(req.Purpose) {
		return Started{}, fmt.Errorf("liveness: start: %s needs a registered device", req.Purpose)
	}
	if _, err := e.cfg.webURL(req.ReturnURI); err != nil {
		return Started{}, fmt.Errorf("liveness: start: return_uri: %w", err)
	}
	// Before a row is written: an outage costs nobody a try.
	if !e.provider.Available() {
		return Started{}, fmt.Errorf("%w: it did not answer lately", ErrUnavailable)
	}
	now := e.clock.Now()
	s := Session{
		ID:       identity.NewID(),
		Provider: e.cfg.Name,
		TxnHash:  req.hash(),
		Citizen:  req.Citizen,
		Device:   req.Device,
		Purpose:  req.Purpose,
		State:    StatePending,
		Begun:    now,
		Ends:     now.Add(e.cfg.Lifetime),
	}
	if err := e.sessions.Begin(ctx, s, e.cfg.Limits); err != nil {
		return Started{}, fmt.Errorf("beginning a liveness session: %w", err)
	}
	got, err := e.provider.start(ctx, s, req.Transaction, req.ReturnURI)
	if err == nil {
		err = e.sessions.Attach(ctx, s.ID, got.sessionID)
	}
	if err != nil {
		e.giveUp(ctx, s)
		e.log.WarnContext(ctx, "liveness check not begun", "session", s.ID, "purpose", s.Purpose, "cause", err)
		if !errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return Started{}, err
	}
	return Started{Session: s.ID, CaptureURL: got.captureURL, Ends: s.Ends}, nil
}

// giveUp settles a session that the provider never began, so that it costs no
// try. Should that fail too, the row stays pending without a provider's name and
// can never pass.
func (e *Engine) giveUp(ctx context.Context, s Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := e.sessions.Settle(ctx, s.ID, Settlement{State: StateUnavailable, Reason: ReasonUnavailable, At: e.clock.Now()})
	if err != nil {
		e.log.ErrorContext(ctx, "liveness session not given up", "session", s.ID, "cause", err)
	}
}

// Finish pulls the result, verifies it and settles the session. current is the
// transaction of the browser that asks, as it is stored now: a session of
// another transaction, citizen, device or purpose is identity.ErrNotFound and
// stays as it was, so that nobody can burn somebody else's.
//
// Only one call ever returns a Verdict that has Passed; any other that comes as
// close as it may gets identity.ErrSpent. A refusal is no error: look at
// Verdict.Passed and at nothing else. Unavailable leaves the session pending and
// may be asked again until its end; no result by then is no pass. It waits for one
// call to the provider at most, and for none while another Finish of this session
// does.
func (e *Engine) Finish(ctx context.Context, id identity.ID, current Transaction) (Verdict, error) {
	s, err := e.sessions.Get(ctx, id)
	if err != nil {
		return Verdict{}, fmt.Errorf("reading a liveness session: %w", err)
	}
	if !e.sameTransaction(s, current) {
		e.log.WarnContext(ctx, "liveness session asked for by another transaction", "session", id, "alarm", true)
		return Verdict{}, fmt.Errorf("liveness session of another transaction: %w", identity.ErrNotFound)
	}
	if s.State != StatePending {
		return Verdict{}, fmt.Errorf("liveness session is %s: %w", s.State, identity.ErrSpent)
	}
	if e.over(s) || s.ProviderSession == "" {
		return e.expire(ctx, s)
	}

	jws, err := e.provider.pull(ctx, s)
	switch {
	case errors.Is(err, errBusy):
		// Nobody was asked, so nothing is known: not even that it is over.
		return Verdict{Outcome: Unavailable, Reason: ReasonNotReady, Provider: s.Provider}, nil
	case err != nil:
		e.log.InfoContext(ctx, "no liveness result", "session", id, "cause", err)
		if e.over(s) || errors.Is(err, ErrNotReady) && !e.clock.Now().Before(s.Ends) {
			return e.expire(ctx, s)
		}
		v := Verdict{Outcome: Unavailable, Reason: ReasonUnavailable, Provider: s.Provider}
		if errors.Is(err, ErrNotReady) {
			v.Reason = ReasonNotReady
		}
		return v, nil
	}

	// Read again: a notice may have come, or the card been frozen, while we waited.
	// Settle looks once more.
	if s, err = e.sessions.Get(ctx, id); err != nil {
		return Verdict{}, fmt.Errorf("reading a liveness session again: %w", err)
	}
	if s.State != StatePending {
		return Verdict{}, fmt.Errorf("liveness session is %s: %w", s.State, identity.ErrSpent)
	}
	now := e.clock.Now()
	finding, refused := Verify(jws, e.expect(s, current), e.cfg.ProviderKeys, now)
	if refused != nil {
		e.refused(ctx, s, finding.Reason, refused)
	}
	return e.settle(ctx, s, finding, now)
}

// settle makes a finding count, or finds out that it does not.
func (e *Engine) settle(ctx context.Context, s Session, f Finding, now time.Time) (Verdict, error) {
	how := Settlement{
		State: StateFailed, Reason: f.Reason, Band: f.Band,
		JTI: f.JTI, Digest: f.Digest, Tries: f.Tries, Captured: f.At, At: now,
	}
	switch {
	case f.Passed():
		how.State = StatePassed
	case f.Outcome == Inconclusive:
		how.State = StateInconclusive
	}
	fail := func(r Reason) Verdict { return Verdict{Outcome: Failed, Reason: r, Provider: s.Provider} }

	err := e.sessions.Settle(ctx, s.ID, how)
	switch {
	case err == nil:
		e.log.InfoContext(ctx, "liveness session settled", "session", s.ID, "purpose", s.Purpose, "state", how.State, "reason", string(how.Reason))
		return f.Verdict, nil
	case errors.Is(err, ErrStanding):
		e.refused(ctx, s, ReasonStanding, err)
		return fail(ReasonStanding), nil
	case errors.Is(err, ErrContradicted):
		e.refused(ctx, s, ReasonDisagree, err)
		return fail(ReasonDisagree), nil
	case errors.Is(err, ErrReplayed):
		e.refused(ctx, s, ReasonReplay, err)
		how = Settlement{State: StateFailed, Reason: ReasonReplay, Tries: f.Tries, At: now}
		if err := e.sessions.Settle(ctx, s.ID, how); err != nil {
			return Verdict{}, fmt.Errorf("settling a replayed liveness session: %w", err)
		}
		return fail(ReasonReplay), nil
	}
	return Verdict{}, fmt.Errorf("settling a liveness session: %w", err)
}

func (e *Engine) expire(ctx context.Context, s Session) (Verdict, error) {
	how := Settlement{State: StateExpired, Reason: ReasonLate, Tries: e.cfg.Limits.PerSession, At: e.clock.Now()}
	if err := e.sessions.Settle(ctx, s.ID, how); err != nil {
		return Verdict{}, fmt.Errorf("ending a late liveness session: %w", err)
	}
	return Verdict{Outcome: Inconclusive, Reason: ReasonLate, Provider: s.Provider}, nil
}

// over reports whether no result of s can count any more.
func (e *Engine) over(s Session) bool { return !e.clock.Now().Before(s.Ends.Add(pullGrace)) }

func (e *Engine) sameTransaction(s Session, t Transaction) bool {
	return t.check() == nil && bytes.Equal(s.TxnHash, t.hash()) &&
		s.Citizen == t.Citizen && s.Device == t.Device && s.Purpose == t.Purpose && s.Provider == e.cfg.Name
}

func (e *Engine) withoutDevice(p Purpose) bool { return slices.Contains(e.cfg.WithoutDevice, p) }

func (e *Engine) expect(s Session, current Transaction) Expect {
	return Expect{
		Provider:      e.cfg.Name,
		Issuer:        e.cfg.Issuer,
		Audience:      e.cfg.Audience,
		Session:       s,
		Current:       current,
		Nonce:         e.provider.refs.nonce(s.ID),
		SubjectRef:    e.provider.refs.subject(s.Citizen),
		DeviceRef:     e.provider.refs.device(s.Device),
		WithoutDevice: e.withoutDevice(s.Purpose),
		Attempts:      e.cfg.Limits.PerSession,
		Policy:        e.cfg.Policy,
	}
}

// refused writes the cause down. Causes name members and checks and never repeat
// what was in them.
func (e *Engine) refused(ctx context.Context, s Session, r Reason, cause error) {
	level := slog.LevelInfo
	if r.alarming() {
		level = slog.LevelWarn
	}
	e.log.Log(ctx, level, "liveness result refused", "session", s.ID, "reason", string(r), "alarm", r.alarming(), "cause", cause)
}
