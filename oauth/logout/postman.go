package logout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/outbox"
	"ecardid/oauth"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
)

const (
	lookEvery = time.Second      // at the outbox: relying parties hear within seconds
	lease     = 30 * time.Second // longer than a delivery may take
	atOnce    = 8
	firstWait = 5 * time.Second
	longest   = time.Hour
)

// An Outbox is where the farewells lie.
type Outbox interface {
	TakeFarewells(ctx context.Context, now time.Time, lease time.Duration, n int) ([]oauth.Farewell, error)
	Delivered(ctx context.Context, id identity.ID) error
	Undelivered(ctx context.Context, id identity.ID, next time.Time) error
}

// A Sender posts to a relying party, under the rules for outbound calls (SECURITY
// SR1), and returns the status of the answer.
type Sender interface {
	Post(ctx context.Context, url, contentType string, body []byte) (status int, err error)
}

// A Postman delivers farewells. Every replica has one; a lease keeps two from
// carrying the same letter, and if one dies with it in hand another takes it later.
type Postman struct {
	Outbox   Outbox
	Registry framework.Registry
	Issuer   *issue.Issuer
	Sender   Sender
	Clock    clock.Clock
	Log      *slog.Logger
}

// Run delivers until ctx ends.
func (p *Postman) Run(ctx context.Context) {
	outbox.Run(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		n, err := p.Round(ctx)
		return n == atOnce, err
	}, func(err error) { p.Log.ErrorContext(ctx, "logout outbox not read", "cause", err) })
}

// Round delivers what is due, at most a handful, and reports how many there were.
func (p *Postman) Round(ctx context.Context) (int, error) {
	due, err := p.Outbox.TakeFarewells(ctx, p.Clock.Now(), lease, atOnce)
	if err != nil {
		return 0, err
	}
	var all sync.WaitGroup
	for _, f := range due {
		all.Go(func() { p.settle(ctx, f, p.deliver(ctx, f)) })
	}
	all.Wait()
	return len(due), nil
}

// errGone: nobody is there to be told any more.
var errGone = errors.New("client gone")

func (p *Postman) deliver(ctx context.Context, f oauth.Farewell) error {
	client, err := p.Registry.Client(ctx, f.ClientID)
	switch {
	case errors.Is(err, identity.ErrNotFound), err == nil && client.BackChannelLogoutURI == "":
		return errGone
	case err != nil:
		return err
	}
	token, err := p.Issuer.LogoutToken(ctx, client, f, p.Clock.Now())
	if err != nil {
		return err
	}
	// Back-Channel Logout §2.5: one parameter, and a SameSite-less post of a form.
	body := url.Values{"logout_token": {token}}.Encode()
	status, err := p.Sender.Post(ctx, client.BackChannelLogoutURI, "application/x-www-form-urlencoded", []byte(body))
	switch {
	case err != nil:
		return err
	case status != http.StatusOK && status != http.StatusNoContent: // §2.8
		return fmt.Errorf("answered with status %d", status)
	}
	return nil
}

func (p *Postman) settle(ctx context.Context, f oauth.Farewell, err error) {
	if ctx.Err() != nil {
		return // the lease runs out and somebody else goes
	}
	if err == nil || errors.Is(err, errGone) {
		if err := p.Outbox.Delivered(ctx, f.ID); err != nil {
			p.Log.ErrorContext(ctx, "a delivered logout stays in the outbox", "client", f.ClientID, "cause", err)
		}
		return
	}
	next := p.Clock.Now().Add(wait(f.Tries))
	p.Log.WarnContext(ctx, "logout not delivered", "client", f.ClientID, "tries", f.Tries+1, "again", next, "cause", err)
	if err := p.Outbox.Undelivered(ctx, f.ID, next); err != nil {
		p.Log.ErrorContext(ctx, "logout not put back", "client", f.ClientID, "cause", err)
	}
}

// wait is 5 s, 20 s, 80 s … and at most an hour.
func wait(tries int) time.Duration { return outbox.Wait(tries, 4, firstWait, longest) }
