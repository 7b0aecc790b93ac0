package storage

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	liteQueue      = 1024                  // callers in line before the next one waits outside
	liteGroup      = 128                   // callers that share one commit
	liteGroupTime  = 20 * time.Millisecond // after which a group takes nobody new
	liteMemberTime = 10 * time.Second      // a caller that holds the writer longer is put out
	liteLockWait   = 30 * time.Second      // how long another process may hold the file before callers hear of it
)

// liteWriter is the only one who writes to the SQLite file.
//
// Callers line up; the writer opens a transaction, lets each of those waiting
// run inside a savepoint of its own, and commits them together. They share the
// sync, which is what a commit costs, and nothing else: a caller that fails is
// rolled back to its savepoint. Nobody is told "done" before the commit is.
//
// A caller's function runs on the caller's own goroutine, to which the writer
// lends the connection. If it panics the panic is the caller's; the writer sees
// a failed member.
type liteWriter struct {
	pool *sql.DB
	conn liteConn
	home *liteDB

	groupTime, lockWait, memberTime time.Duration

	mu     sync.RWMutex // held for reading while getting in line
	closed bool
	queue  chan *member
	done   chan struct{}

	commits, members atomic.Int64 // for tests: groups, and callers in them
}

// member is a caller in line.
type member struct {
	state atomic.Int32 // waiting, then either called or gone, decided once
	turn  chan *liteTx // the connection is lent
	back  chan error   // and returned, with how it went
	fate  chan error   // what became of the group
}

const (
	waiting int32 = iota
	called
	gone
)

// startWriter checks that the file can do what we promise.
func startWriter(ctx context.Context, pool *sql.DB, home *liteDB) (*liteWriter, error) {
	w := &liteWriter{
		pool:  pool,
		conn:  liteConn{pool: pool},
		home:  home,
		queue: make(chan *member, liteQueue),
		done:  make(chan struct{}),

		groupTime:  liteGroupTime,
		lockWait:   liteLockWait,
		memberTime: liteMemberTime,
	}
	if err := w.conn.open(ctx); err != nil {
		return nil, err
	}
	if err := liteUseWAL(ctx, w.conn.conn); err != nil {
		w.conn.close()
		return nil, err
	}
	go w.loop()
	return w, nil
}

// liteUseWAL switches the file to a write-ahead log, which lets readers go on
// while the writer writes. SQLite does not wait its turn for this one pragma.
func liteUseWAL(ctx context.Context, conn *sql.Conn) error {
	var mode string
	for attempt := 1; ; attempt++ {
		err := liteError(conn.QueryRowContext(ctx, `PRAGMA journal_mode=WAL`).Scan(&mode))
		if err == nil {
			break
		}
		if !liteBusyError(err) || attempt > 100 {
			return fmt.Errorf("storage: switching SQLite to a write-ahead log: %w", err)
		}
		if err := pause(ctx, 1); err != nil {
			return err
		}
	}
	if mode != "wal" {
		return fmt.Errorf("storage: SQLite keeps journal mode %q: the write-ahead log needs a local, writable disk: %w",
			mode, ErrReadOnly)
	}
	return nil
}

// do gets in line, runs fn when it is its turn, and returns what became of it.
func (w *liteWriter) do(ctx context.Context, fn func(context.Context, *liteTx) error) error {
	m := &member{turn: make(chan *liteTx, 1), back: make(chan error, 1), fate: make(chan error, 1)}
	if err := w.line(ctx, m); err != nil {
		return err
	}
	select {
	case t := <-m.turn:
		return w.perform(ctx, m, t, fn)
	case err := <-m.fate:
		return err
	case <-ctx.Done():
		if m.state.CompareAndSwap(waiting, gone) {
			return ctx.Err()
		}
	}
	select { // too late to leave: we were just called
	case t := <-m.turn:
		return w.perform(ctx, m, t, fn)
	case err := <-m.fate:
		return err
	}
}

func (w *liteWriter) line(ctx context.Context, m *member) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ErrClosed
	}
	select {
	case w.queue <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// perform takes the turn and, if all is well so far, waits for the group.
func (w *liteWriter) perform(ctx context.Context, m *member, t *liteTx, fn func(context.Context, *liteTx) error) error {
	if err := w.turn(ctx, m, t, fn); err != nil {
		return err
	}
	return <-m.fate
}

// turn runs fn with the lent connection and gives it back whatever happens: an
// error, a panic, a goroutine that ends.
func (w *liteWriter) turn(ctx context.Context, m *member, t *liteTx, fn func(context.Context, *liteTx) error) (err error) {
	err = errTxDone // stands if fn never returns
	defer func() {
		t.seal()
		m.back <- err
	}()
	if err = fn(enterTx(ctx, w.home), t); err == nil {
		err = t.verdict(ctx)
	}
	return err
}

func (w *liteWriter) loop() {
	defer close(w.done)
	for m := range w.queue {
		w.group(m)
	}
}

// group is one transaction.
func (w *liteWriter) group(first *member) {
	if err := w.begin(first); err != nil {
		w.refuse(first, err)
		return
	}
	var g group
	start := time.Now()
	for m := first; m != nil; m = w.next(&g, start) {
		if !m.state.CompareAndSwap(waiting, called) {
			continue
		}
		if err := w.serve(m, &g); err != nil {
			w.lose(m, &g, err)
			return
		}
	}
	end := `COMMIT`
	if len(g.members) == 0 {
		end = `ROLLBACK` // nothing happened, so there is nothing to sync
	}
	if _, err := w.conn.exec(end); err != nil {
		w.lose(nil, &g, err)
		return
	}
	if len(g.members) > 0 {
		w.commits.Add(1)
		w.members.Add(int64(len(g.members)))
	}
	for _, m := range g.members {
		m.fate <- nil
	}
	w.home.news.publish(g.notes)
}

// group is who shares the transaction, and what is to be announced after it.
type group struct {
	members []*member
	notes   []note
}

// next is the next caller in line, if there is one and still room and time.
func (w *liteWriter) next(g *group, start time.Time) *member {
	if len(g.members) >= liteGroup || time.Since(start) > w.groupTime {
		return nil
	}
	select {
	case m := <-w.queue: // nil when the line is closed and empty
		return m
	default:
		return nil
	}
}

// begin takes the write lock. Another process, such as the command line beside
// a running server, may be holding it; then we wait, and callers may leave.
func (w *liteWriter) begin(first *member) error {
	start := time.Now()
	for {
		_, err := w.conn.exec(`BEGIN IMMEDIATE`)
		switch {
		case err == nil:
			return nil
		case !liteBusyError(err):
			w.conn.discard()
			return fmt.Errorf("storage: beginning to write: %w", err)
		case time.Since(start) > w.lockWait:
			return ErrLocked
		case first.state.Load() == gone && len(w.queue) == 0:
			return context.Canceled // nobody is left to hear it
		}
	}
}

// serve lends the connection to m and takes it back. Its error means that the
// whole transaction is lost; a member's own failure is only its own.
func (w *liteWriter) serve(m *member, g *group) error {
	if _, err := w.conn.exec(`SAVEPOINT member`); err != nil {
		return err
	}
	t := &liteTx{conn: &w.conn, gate: make(chan struct{}, 1)}
	m.turn <- t
	err := w.takeBack(m, t)
	if err == nil {
		if _, err := w.conn.exec(`RELEASE member`); err != nil {
			return err
		}
		g.members = append(g.members, m)
		g.notes = append(g.notes, t.notes...)
		return nil
	}
	// Some errors, a full disk among them, make SQLite roll back everything at
	// once. Then the savepoint is gone and this fails, which is how we know.
	if _, err := w.conn.exec(`ROLLBACK TO member`); err != nil {
		return err
	}
	_, err = w.conn.exec(`RELEASE member`)
	return err
}

// takeBack waits for m to finish, but not for ever.
func (w *liteWriter) takeBack(m *member, t *liteTx) error {
	timer := time.NewTimer(w.memberTime)
	defer timer.Stop()
	select {
	case err := <-m.back:
		return err
	case <-timer.C:
	}
	t.seal()
	select {
	case err := <-m.back:
		return err
	default:
		m.fate <- errTxDone
		return errTxDone
	}
}

// lose tells everybody in the group that nothing of it was kept. m is the caller
// whose turn it was, if it was anybody's.
func (w *liteWriter) lose(m *member, g *group, err error) {
	w.conn.discard() // which rolls back; the next group begins on a fresh connection
	err = fmt.Errorf("storage: the write was rolled back: %w", err)
	for _, each := range g.members {
		each.fate <- err
	}
	if m == nil {
		return
	}
	select {
	case m.fate <- err:
	default: // put out before
	}
}

// refuse answers first and everybody who is in line right now.
func (w *liteWriter) refuse(first *member, err error) {
	in := len(w.queue)
	for m := first; m != nil; {
		if m.state.CompareAndSwap(waiting, called) {
			m.fate <- err
		}
		if in--; in < 0 {
			return
		}
		m = <-w.queue
	}
}

// stop closes the line and waits until everybody in it was served.
func (w *liteWriter) stop() {
	w.mu.Lock()
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	<-w.done
}

func (w *liteWriter) close() {
	w.conn.close()
	_ = w.pool.Close()
}
