package notify

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/outbox"
)

const (
	lookEvery   = 2 * time.Second
	lease       = 30 * time.Second // longer than a call may take
	atOnce      = 8
	firstWait   = 10 * time.Second
	longestWait = time.Hour
	tokenLife   = 5 * time.Minute // one that has to be sent again is made again

	typNotice = "notice+jwt"
	mediaJWT  = "application/jwt"
)

// A Notice is one that waits to be brought.
type Notice struct {
	ID     identity.ID
	Kind   string
	At     time.Time
	Place  string
	Locale string // the citizen's
	Phone  string // empty: there is none any more
	Tries  int
}

// An Outbox is where they wait.
type Outbox interface {
	// TakeNotices leases up to n that are due until now+lease: no other replica is given
	// them meanwhile. Those older than a day are given up.
	TakeNotices(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Notice, error)
	// NoticeSent says that one is on its way.
	NoticeSent(ctx context.Context, id identity.ID) error
	// NoticeUnsent has it tried again at next.
	NoticeUnsent(ctx context.Context, id identity.ID, next time.Time) error
}

// A Letter is what the gateway gets.
type Letter struct {
	jose.Standard
	Kind   string `json:"kind"`
	At     int64  `json:"at"` // Unix seconds; iat is when the token was made
	Place  string `json:"place,omitempty"`
	Locale string `json:"locale"`
	Text   string `json:"text,omitempty"`
	To     string `json:"to"` // telephone number
}

// A Courier brings notices to the gateway.
type Courier struct {
	Outbox Outbox
	Issuer string
	URL    string
	Alg    jose.Alg
	Signer func(alg jose.Alg) (jose.Key, error)
	// Say puts a kind of thing into words.
	Say func(locale, kind string) string
	// Post posts by the rules for outbound calls (SECURITY SR1).
	Post  func(ctx context.Context, url, contentType string, body []byte) (status int, err error)
	Clock clock.Clock
	Log   *slog.Logger
}

// Run brings them until ctx ends.
func (c *Courier) Run(ctx context.Context) {
	outbox.Run(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		n, err := c.Round(ctx)
		return n == atOnce, err
	}, func(err error) { c.Log.ErrorContext(ctx, "notices not read", "cause", err) })
}

// Round brings what is due, at most a handful, and reports how many there were.
func (c *Courier) Round(ctx context.Context) (int, error) {
	due, err := c.Outbox.TakeNotices(ctx, c.Clock.Now(), lease, atOnce)
	if err != nil {
		return 0, err
	}
	var all sync.WaitGroup
	for _, n := range due {
		all.Go(func() { c.settle(ctx, n, c.bring(ctx, n)) })
	}
	all.Wait()
	return len(due), nil
}

func (c *Courier) bring(ctx context.Context, n Notice) error {
	if n.Phone == "" {
		return nil // nobody is there any more
	}
	key, err := c.Signer(c.Alg)
	if err != nil {
		return err
	}
	now := c.Clock.Now()
	token, err := jose.Sign(key, typNotice, Letter{
		Standard: jose.Standard{Issuer: c.Issuer, Audience: jose.To(c.URL), IssuedAt: jose.Date(now), Expires: jose.Date(now.Add(tokenLife)), ID: n.ID.String()},
		Kind:     n.Kind, At: n.At.Unix(), Place: n.Place, Locale: n.Locale, Text: c.Say(n.Locale, n.Kind), To: n.Phone,
	})
	if err != nil {
		return fmt.Errorf("signing a notice: %w", err)
	}
	status, err := c.Post(ctx, c.URL, mediaJWT, []byte(token))
	if err == nil && (status < http.StatusOK || status >= http.StatusMultipleChoices) {
		err = fmt.Errorf("the gateway answered with status %d", status)
	}
	return err
}

func (c *Courier) settle(ctx context.Context, n Notice, err error) {
	if ctx.Err() != nil {
		return // the lease runs out and somebody else goes
	}
	if err == nil {
		if err := c.Outbox.NoticeSent(ctx, n.ID); err != nil {
			c.Log.ErrorContext(ctx, "a notice that was sent stays in the outbox", "notice", n.ID, "cause", err)
		}
		return
	}
	next := c.Clock.Now().Add(wait(n.Tries))
	c.Log.WarnContext(ctx, "notice not sent", "notice", n.ID, "kind", n.Kind, "tries", n.Tries+1, "again", next, "cause", err)
	if err := c.Outbox.NoticeUnsent(ctx, n.ID, next); err != nil {
		c.Log.ErrorContext(ctx, "notice not put back", "notice", n.ID, "cause", err)
	}
}

// wait is 10 s, 40 s, 160 s … and at most an hour.
func wait(tries int) time.Duration { return outbox.Wait(tries, 4, firstWait, longestWait) }
