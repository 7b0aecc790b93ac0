package signals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/outbound"
	"ecardid/internal/outbox"
	"ecardid/oauth"
)

// An Observer counts what becomes of signals and hears how far receivers are behind.
type Observer interface {
	// Signals counts n signals that were "delivered", "failed" for now, or "refused" by
	// their receiver for good.
	Signals(outcome string, n int)
	// SignalLag is how many signals wait, and how long the oldest has.
	SignalLag(pending int, oldest time.Duration)
}

// A Courier pushes signals (RFC 8935). Every replica has one; a stream is leased to one
// of them at a time, so that its order is kept, and if that one dies another goes on
// where it stopped. Where it had not yet written down what was taken, that is brought
// once more, with the same jti.
type Courier struct {
	Streams  oauth.Streams
	Registry interface {
		Client(ctx context.Context, id string) (*oauth.Client, error)
	}
	Tokens   Maker
	Hosts    Hosts
	Sender   Sender   // nil: nothing is pushed
	Observer Observer // nil: nobody counts
	Clock    clock.Clock
	Log      *slog.Logger
}

// Run delivers until ctx ends.
func (c *Courier) Run(ctx context.Context) {
	looked := time.Time{}
	outbox.Run(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		if now := c.Clock.Now(); c.Observer != nil && now.Sub(looked) >= lagEvery {
			looked = now
			c.measure(ctx, now)
		}
		if c.Sender == nil {
			return false, nil
		}
		n, err := c.Round(ctx)
		return n > 0, err
	}, func(err error) { c.Log.ErrorContext(ctx, "signals outbox not read", "cause", err) })
}

// measure tells how far receivers are behind.
func (c *Courier) measure(ctx context.Context, now time.Time) {
	all, err := c.Streams.SignalLag(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "lag of signals not read", "cause", err)
		}
		return
	}
	pending, oldest := 0, time.Duration(0)
	for _, l := range all {
		if pending += l.Pending; !l.Oldest.IsZero() {
			oldest = max(oldest, now.Sub(l.Oldest))
		}
	}
	c.Observer.SignalLag(pending, oldest)
}

// Round gives each stream whose turn it is one turn and reports how many signals were
// settled.
func (c *Courier) Round(ctx context.Context) (int, error) {
	due, err := c.Streams.TakePushes(ctx, c.Clock.Now(), lease, streamsAtOnce, signalsAtOnce)
	if err != nil {
		return 0, err
	}
	settled := make([]int, len(due))
	var all sync.WaitGroup
	for i, p := range due {
		all.Go(func() { settled[i] = c.carry(ctx, p) })
	}
	all.Wait()
	n := 0
	for _, one := range settled {
		n += one
	}
	return n, nil
}

// carry is one stream's turn: its signals in order, up to the first that is not taken.
func (c *Courier) carry(ctx context.Context, p oauth.Push) (settled int) {
	until := p.Until.Add(turn - lease)
	client, err := c.client(ctx, p.Stream)
	if err != nil {
		c.rest(ctx, p, identity.ID{}, err)
		return 0
	}
	_, dropped, err := c.Tokens.sift(ctx, c.Streams, client, p.Stream, p.Signals)
	if err != nil {
		c.rest(ctx, p, identity.ID{}, err)
		return 0
	}
	for _, s := range p.Signals {
		if ctx.Err() != nil || !c.Clock.Now().Before(until) {
			break // the lease runs out, and somebody goes on with the rest
		}
		if slices.Contains(dropped, s.ID) {
			if err := c.Streams.Pushed(ctx, p.ID, s.ID, time.Time{}); err != nil {
				c.rest(ctx, p, identity.ID{}, err)
				return settled
			}
			settled++
			continue
		}
		// Whoever is stopped hears nothing more, in the middle of a turn as well (SECURITY CA4).
		client, err := c.client(ctx, p.Stream)
		if err == nil {
			err = c.deliver(ctx, client, p.Stream, s)
		}
		if ctx.Err() != nil {
			return settled // nobody knows what became of it
		}
		taken, blamed := c.Clock.Now(), identity.ID{}
		if refused := new(refusal); errors.As(err, &refused) {
			blamed = s.ID
		}
		if !blamed.IsZero() && s.Tries+1 >= maxRefusals {
			// What is no good to its receiver, however often it comes, does not keep the
			// rest from it.
			c.Log.ErrorContext(ctx, "signal given up", "client", p.ClientID, "stream", p.ID, "type", s.Type, "cause", err)
			c.count("refused")
			taken, err = time.Time{}, nil
		}
		if err == nil {
			err = c.Streams.Pushed(ctx, p.ID, s.ID, taken)
			if err == nil && !taken.IsZero() {
				c.count("delivered")
			}
		}
		if err != nil {
			c.count("failed")
			c.rest(ctx, p, blamed, err)
			return settled
		}
		settled++
	}
	c.rest(ctx, p, identity.ID{}, nil)
	return settled
}

// client is whom a stream is for, if events may still be brought where it says.
func (c *Courier) client(ctx context.Context, s oauth.Stream) (*oauth.Client, error) {
	client, err := c.Registry.Client(ctx, s.ClientID)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return nil, errGone
	case err != nil:
		return nil, err
	case client.State != oauth.ClientLive:
		return nil, errGone
	case !c.Hosts.May(ctx, client, s.Endpoint):
		return nil, outbound.ErrURL // admitted without that host since
	}
	return client, nil
}

// A refusal is what a receiver says of one event (RFC 8935 §2.3).
type refusal struct{ status int }

func (r *refusal) Error() string { return fmt.Sprintf("answered with status %d", r.status) }

// An answered is any other answer than that it was taken.
type answered struct{ status int }

func (a *answered) Error() string { return fmt.Sprintf("answered with status %d", a.status) }

func (c *Courier) deliver(ctx context.Context, client *oauth.Client, stream oauth.Stream, s oauth.Signal) error {
	token, err := c.Tokens.Token(client, stream, s)
	if err != nil {
		return err
	}
	status, err := c.Sender.PostAs(ctx, stream.Endpoint, "application/secevent+jwt", stream.Authorization, []byte(token))
	switch {
	case err != nil:
		return err
	case status == http.StatusAccepted, status == http.StatusOK, status == http.StatusNoContent: // RFC 8935 §2.2 has the first
		return nil
	case status == http.StatusBadRequest:
		return &refusal{status}
	}
	return &answered{status}
}

// rest ends a turn. blamed is the signal that was refused, if one was.
func (c *Courier) rest(ctx context.Context, p oauth.Push, blamed identity.ID, err error) {
	if ctx.Err() != nil {
		return // the lease runs out by itself
	}
	next := c.Clock.Now()
	if err != nil {
		next = next.Add(wait(p.Failures))
		c.Log.WarnContext(ctx, "signals not delivered", "client", p.ClientID, "stream", p.ID, "failures", p.Failures+1, "again", next, "cause", err)
	}
	if err := c.Streams.Rest(ctx, p, next, blamed, problem(err)); err != nil {
		c.Log.ErrorContext(ctx, "a stream's turn not ended", "client", p.ClientID, "stream", p.ID, "cause", err)
	}
}

// problem says what went wrong in a word that tells nothing of anybody.
func problem(err error) string {
	var refused *refusal
	var other *answered
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return fmt.Sprintf("refused, status %d", refused.status)
	case errors.As(err, &other):
		return fmt.Sprintf("status %d", other.status)
	case errors.Is(err, errGone):
		return "client not live"
	case errors.Is(err, outbound.ErrURL):
		return "address not allowed"
	case errors.Is(err, outbound.ErrBusy):
		return "busy"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer"
	}
	return "unreachable"
}

// wait is 5 s, 10 s, 20 s … and at most ten minutes.
func wait(failures int) time.Duration { return outbox.Wait(failures, 2, firstWait, longestWait) }

func (c *Courier) count(outcome string) {
	if c.Observer != nil {
		c.Observer.Signals(outcome, 1)
	}
}
