package storage

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	pgListenFirst = 100 * time.Millisecond // pause before the first reconnect, doubled each time
	pgListenLast  = 5 * time.Second        // up to this: what a replica may be late by after an outage
	pgListenQuiet = 15 * time.Second       // after so much silence we ask whether the server is still there
)

// listen keeps one connection of its own, outside the pool, on LISTEN.
func (d *pgDB) listen(ctx context.Context, channel string, fn func(string)) error {
	wait := pgListenFirst
	for {
		heard, err := d.listenOnce(ctx, channel, fn)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if heard {
			wait = pgListenFirst
		}
		d.log.WarnContext(ctx, "listening for changes: connecting again", "channel", channel, "after", wait, "cause", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		wait = min(2*wait, pgListenLast)
	}
}

// listenOnce listens until the connection fails, and reports whether it stood.
func (d *pgDB) listenOnce(ctx context.Context, channel string, fn func(string)) (heard bool, err error) {
	cfg := d.pool.Config().ConnConfig
	// A listener is meant to be idle, and its silence is tested from this side.
	delete(cfg.RuntimeParams, "idle_session_timeout")
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("storage: listener: %w", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(end)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return false, fmt.Errorf("storage: listener: %w", err)
	}
	fn("") // from here on nothing is missed; what was before, the caller looks up
	for {
		quiet, cancel := context.WithTimeout(ctx, pgListenQuiet)
		n, err := conn.WaitForNotification(quiet)
		silent := quiet.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			fn(n.Payload)
		case silent && !conn.IsClosed():
			if err := d.pingListener(ctx, conn); err != nil {
				return true, err
			}
		default:
			return true, err
		}
	}
}

func (d *pgDB) pingListener(ctx context.Context, conn *pgx.Conn) error {
	limited, cancel := context.WithTimeout(ctx, pgConnect)
	defer cancel()
	return conn.Ping(limited)
}

// note is a notification on its way.
type note struct{ channel, payload string }

// newsroom carries notifications inside one process, which is all the processes
// SQLite is meant for. What another process writes (the command line) is found by
// the time-to-live of whoever keeps a copy.
type newsroom struct {
	mu     sync.Mutex
	subs   map[*subscriber]struct{}
	closed chan struct{}
}

// subscriber is a listener. When its box is full it is told that it missed
// something instead of holding up the writer.
type subscriber struct {
	channel string
	box     chan string
	missed  atomic.Bool
}

const newsBox = 64 // more than this at once is one "look at everything"

func newNewsroom() *newsroom {
	return &newsroom{subs: make(map[*subscriber]struct{}), closed: make(chan struct{})}
}

func (n *newsroom) publish(notes []note) {
	if len(notes) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range notes {
		for s := range n.subs {
			if s.channel != one.channel {
				continue
			}
			select {
			case s.box <- one.payload:
			default:
				s.missed.Store(true)
			}
		}
	}
}

func (n *newsroom) close() { close(n.closed) }

func (d *liteDB) listen(ctx context.Context, channel string, fn func(string)) error {
	s := &subscriber{channel: channel, box: make(chan string, newsBox)}
	d.news.mu.Lock()
	d.news.subs[s] = struct{}{}
	d.news.mu.Unlock()
	defer func() {
		d.news.mu.Lock()
		delete(d.news.subs, s)
		d.news.mu.Unlock()
	}()
	fn("")
	for {
		select {
		case p := <-s.box:
			if s.missed.Swap(false) {
				fn("")
			}
			fn(p)
		case <-d.news.closed:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
