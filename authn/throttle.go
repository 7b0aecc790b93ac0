package authn

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// key makes the name of a counter: a keyed hash over words and canonical ids, so
// that the table of attempts names nobody (SECURITY G9, DP1).
func (s *Service) key(parts ...string) ([]byte, error) {
	var m []byte
	for _, p := range parts {
		// Lengths before contents, so that no two lists run together into one.
		m = binary.BigEndian.AppendUint32(m, uint32(len(p)))
		m = append(m, p...)
	}
	k, err := s.Throttle(m)
	return k, wrapIf(err, "keying a counter")
}

func wrapIf(err error, doing string) error {
	if err == nil {
		return nil
	}
	return wrap(err, doing)
}

// allowed counts one use of a single counter.
func (s *Service) allowed(ctx context.Context, t Try, parts ...string) (bool, error) {
	var err error
	if t.Key, err = s.key(parts...); err != nil {
		return false, err
	}
	tallies, err := s.Store.Attempt(ctx, s.Clock.Now(), t)
	if err != nil {
		return false, wrap(err, "counting an attempt")
	}
	return len(tallies) == 1 && tallies[0].Allowed, nil
}

// refund takes back what allowed counted and nothing came of.
func (s *Service) refund(ctx context.Context, parts ...string) error {
	k, err := s.key(parts...)
	if err != nil {
		return err
	}
	return wrapIf(s.Store.Refund(ctx, k), "refunding an attempt")
}

// sourceHash names the sender of a request for counting; nil when it cannot be told.
func (s *Service) sourceHash(r *http.Request) ([]byte, error) {
	from := s.Source(r)
	if !from.IsValid() {
		return nil, nil
	}
	return s.key("signed-in-from", SourceKey(from))
}

// A guess is one try at a secret: counted before it is judged (SECURITY PW2).
type guess struct {
	s       *Service
	own     []byte // the secret's own counter
	source  []byte
	global  []byte
	Source  bool // the source may still guess
	Allowed bool // and so may this one
	before  int  // wrong answers before this one, of the same secret
}

// guess counts a try at the secret named by parts on its own counter, the
// source's and the global one.
func (s *Service) guess(r *http.Request, rule Rule, parts ...string) (*guess, error) {
	g := &guess{s: s}
	now := s.Clock.Now()
	rules := s.Config.Rules
	source := rules.Source
	if s.wary(now) {
		rule, source = rule.wary(), source.wary()
	}
	var err error
	if g.own, err = s.key(parts...); err != nil {
		return nil, err
	}
	if g.source, err = s.key("source", SourceKey(s.Source(r))); err != nil {
		return nil, err
	}
	if g.global, err = s.key("global"); err != nil {
		return nil, err
	}
	// The global counter blocks nobody: a stranger could shut the door for all.
	everybody := Rule{Free: math.MaxInt32, Base: time.Second, Cap: time.Second, Per: alarmFor}
	tallies, err := s.Store.Attempt(r.Context(), now,
		Try{Key: g.own, Rule: rule}, Try{Key: g.source, Rule: source}, Try{Key: g.global, Rule: everybody})
	if err != nil {
		return nil, wrap(err, "counting an attempt")
	}
	if len(tallies) != 3 {
		return nil, errTallies
	}
	g.Source = tallies[1].Allowed
	g.Allowed = tallies[0].Allowed && g.Source
	g.before = max(tallies[0].Count-1, 0)
	if tallies[2].Count >= rules.Alarm {
		if err := s.alarm(r, now, tallies[2].Count); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// right takes back what was counted, for good: the secret's own count starts anew, source and
// world lose one. Whose counters they are not stay as they were.
func (g *guess) right(ctx context.Context) error {
	return g.settle(ctx, g.own)
}

// believed is right for an answer that a sign-in is going on with. Wrong answers before
// it are forgiven when the sign-in is through: they are what it is weighed by, and
// whoever is turned away then and comes again, from wherever, finds them as they were
// (SECURITY PW2, G6). [FlowState.believe] has taken them down.
func (g *guess) believed(ctx context.Context) error {
	if g.before > 0 {
		return wrapIf(g.s.Store.Believe(ctx, g.own, g.source, g.global), "settling a guess")
	}
	return g.right(ctx)
}

// believe takes down the wrong answers before a right one.
func (s *FlowState) believe(g *guess) {
	s.Failures = max(s.Failures, g.before)
	if g.before > 0 && !slices.ContainsFunc(s.Forgive, func(k []byte) bool { return bytes.Equal(k, g.own) }) {
		s.Forgive = append(s.Forgive, g.own)
	}
}

// forgive begins the counts anew that the finished sign-in was believed against. Who is
// in is in: a count that stays is a nuisance and no more.
func (v *visit) forgive() {
	ctx := context.WithoutCancel(v.r.Context())
	for _, key := range v.flow.State.Forgive {
		if err := v.Store.Forgive(ctx, key); err != nil {
			v.Log.ErrorContext(ctx, "right attempts not given back", "cause", err)
		}
	}
}

// settle is right for another secret than the one the guess was counted on.
func (g *guess) settle(ctx context.Context, own []byte) error {
	return wrapIf(g.s.Store.Settle(ctx, own, g.source, g.global), "settling a guess")
}

// unjudged takes one back everywhere: we were too busy to look.
func (g *guess) unjudged(ctx context.Context) error {
	return wrapIf(g.s.Store.Settle(ctx, nil, g.own, g.source, g.global), "settling a guess")
}

func (s *Service) wary(now time.Time) bool { return now.Unix() < s.alarmed.Load() }

// alarm tells the operators that somebody is trying many doors, once in a while
// (SECURITY PW4). While it lasts every counter forgives half as much.
func (s *Service) alarm(r *http.Request, now time.Time, count int) error {
	until := s.alarmed.Load()
	if now.Unix() < until || !s.alarmed.CompareAndSwap(until, now.Add(alarmFor).Unix()) {
		return nil
	}
	s.Log.WarnContext(r.Context(), "many wrong guesses over all accounts", "alarm", true, "count", count)
	s.Observer.Observe("alarm", "spraying")
	e := audit.Event{Kind: audit.SprayingSuspected, At: now, Actor: audit.BySystem,
		Detail: map[string]string{"rule": "spraying", "decision": "wary", "count": strconv.Itoa(count)}}
	return s.record(r.Context(), e)
}

// refused writes down a wrong or throttled answer. A nobody's refusal is an entry
// as well, or the time would tell who exists (SECURITY PW1).
func (s *Service) refused(r *http.Request, g *guess, citizen identity.ID, factor identity.Factor, reason string) error {
	kind := audit.LoginRefused
	if g != nil && !g.Allowed {
		kind = audit.LoginThrottled
		if !s.refusals.AllowN(s.Clock.Now(), 1) {
			return nil
		}
	}
	s.Observer.Observe(string(factor), reason)
	e := s.event(r, kind, citizen)
	e.Reason, e.Detail = reason, map[string]string{"factor": string(factor)}
	return s.record(r.Context(), e)
}

// refusedWithin is refused for a passkey that was judged, within what all such refusals
// together may write down: there is no secret whose counter would end them.
func (s *Service) refusedWithin(r *http.Request, g *guess, citizen identity.ID, reason string) error {
	if !s.refusals.AllowN(s.Clock.Now(), 1) {
		return nil
	}
	return s.refused(r, g, citizen, identity.FactorPasskey, reason)
}
