package storage

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

const (
	liteBusy      = 200 * time.Millisecond // one wait inside SQLite; the writer then looks around and waits again
	liteReadBusy  = 10 * time.Second       // readers only ever wait for another process recovering the log
	liteMaxLog    = 64 << 20               // the write-ahead log is cut back to this after a burst
	liteMaxStmts  = 512                    // prepared statements kept per connection; we have some ninety
	liteCloseWait = 10 * time.Second       // as long as a statement may take on the other database
)

// liteDB is a db over one SQLite file: a few connections that read, and the one
// writer.
type liteDB struct {
	pool    *sql.DB
	readers chan *liteConn // those at rest; as many as there are places
	writer  *liteWriter
	news    *newsroom
	closing sync.Once
	closed  chan struct{}
}

// liteFile turns the PATH of sqlite:PATH into an absolute one.
func liteFile(path string) (string, error) {
	switch {
	case path == "":
		return "", errors.New("storage: sqlite: names no file: want sqlite:PATH")
	case strings.HasPrefix(path, ":memory:"), strings.HasPrefix(path, "file:"):
		return "", errors.New("storage: want sqlite:PATH with an ordinary file name: a memory database forgets revocations")
	case strings.ContainsAny(path, "?\x00"):
		return "", errors.New("storage: sqlite:PATH takes a file name and no parameters")
	case strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///"):
		return "", errors.New("storage: want sqlite:PATH or sqlite:///PATH: a host makes no sense here")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("storage: sqlite file: %w", err)
	}
	return abs, nil
}

// liteOpen opens a pool of connections without limits of its own: liteDB counts
// them. The pragmas are per connection.
func liteOpen(path string, busy time.Duration, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append(pragmas,
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"synchronous(FULL)", // an acknowledged write survives a power cut
		"foreign_keys(ON)",  // as PostgreSQL does; hot tables declare none
		"temp_store(MEMORY)",
		"trusted_schema(OFF)",
		fmt.Sprintf("journal_size_limit(%d)", liteMaxLog),
	)}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	pool, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("storage: opening SQLite: %w", err)
	}
	pool.SetMaxIdleConns(64) // every connection is held by us; none is the pool's to close
	return pool, nil
}

// liteCreate makes the file, readable by its owner only, before SQLite would
// make it with the umask. SQLite gives its log the same mode.
func liteCreate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case err != nil:
		return fmt.Errorf("storage: creating the SQLite file: %w", err)
	}
	return f.Close()
}

func openSQLite(ctx context.Context, path string) (*liteDB, error) {
	path, err := liteFile(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no such file yet: run `ecardid migrate`: %w", ErrSchema, err)
	}
	if err := liteCreate(path); err != nil {
		return nil, err
	}
	write, err := liteOpen(path, liteBusy)
	if err != nil {
		return nil, err
	}
	read, err := liteOpen(path, liteReadBusy, "query_only(ON)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	places := min(8, max(4, runtime.GOMAXPROCS(0)))
	d := &liteDB{
		pool:    read,
		readers: make(chan *liteConn, places),
		news:    newNewsroom(),
		closed:  make(chan struct{}),
	}
	for range places {
		d.readers <- &liteConn{pool: read}
	}
	if d.writer, err = startWriter(ctx, write, d); err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	return d, nil
}

// withReader lends a reading connection to fn.
func (d *liteDB) withReader(ctx context.Context, fn func(*liteConn) error) error {
	select {
	case <-d.closed:
		return ErrClosed
	default:
	}
	select {
	case c := <-d.readers:
		defer func() { d.readers <- c }()
		return fn(c)
	case <-d.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *liteDB) exec(ctx context.Context, sql string, args ...any) (n int64, err error) {
	err = d.write(ctx, args, func(ctx context.Context, t *liteTx) error {
		n, err = t.exec(ctx, sql, args...)
		return err
	})
	return n, err
}

func (d *liteDB) queryRow(ctx context.Context, sql string, args ...any) row {
	return rowFunc(func(dest ...any) error {
		if !liteReads(sql) {
			return d.write(ctx, args, func(ctx context.Context, t *liteTx) error {
				return t.queryRow(ctx, sql, args...).Scan(dest...)
			})
		}
		if err := admit(ctx, d, args); err != nil {
			return err
		}
		count(ctx, 1, sql)
		return d.withReader(ctx, func(c *liteConn) error { return c.row(sql, args, dest) })
	})
}

func (d *liteDB) query(ctx context.Context, scan func(row) error, sql string, args ...any) error {
	if !liteReads(sql) {
		return d.write(ctx, args, func(ctx context.Context, t *liteTx) error {
			return t.query(ctx, scan, sql, args...)
		})
	}
	if err := admit(ctx, d, args); err != nil {
		return err
	}
	count(ctx, 1, sql)
	return d.withReader(ctx, func(c *liteConn) error { return c.each(ctx, scan, sql, args) })
}

func (d *liteDB) tx(ctx context.Context, fn func(context.Context, db) error) error {
	return d.write(ctx, nil, func(ctx context.Context, t *liteTx) error { return fn(ctx, t) })
}

// write takes a turn at the writer.
func (d *liteDB) write(ctx context.Context, args []any, fn func(context.Context, *liteTx) error) error {
	if err := admit(ctx, d, args); err != nil {
		return err
	}
	count(ctx, 1, "")
	return d.writer.do(ctx, fn)
}

func (d *liteDB) notify(ctx context.Context, channel, payload string) error {
	return d.tx(ctx, func(ctx context.Context, t db) error { return t.notify(ctx, channel, payload) })
}

func (d *liteDB) ping(ctx context.Context) error {
	var one int
	return d.queryRow(ctx, `SELECT 1`).Scan(&one)
}

// close lets everybody finish. The writer goes last because SQLite folds the log
// into the file when its last connection, which must be able to write, closes.
func (d *liteDB) close() {
	d.closing.Do(func() {
		d.writer.stop()
		close(d.closed)
		d.news.close()
		patience := time.NewTimer(liteCloseWait)
		defer patience.Stop()
		for range cap(d.readers) {
			select {
			case c := <-d.readers:
				c.close()
			case <-patience.C:
				return // somebody is stuck in a scan; the process is about to end anyway
			}
		}
		_ = d.pool.Close()
		d.writer.close()
	})
}

// liteConn is a connection and the statements prepared on it. One goroutine at a
// time uses it.
type liteConn struct {
	pool  *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (c *liteConn) open(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	for attempt := 1; ; attempt++ {
		conn, err := c.pool.Conn(ctx)
		if err == nil {
			c.conn, c.stmts = conn, make(map[string]*sql.Stmt)
			return nil
		}
		// Its settings look into the file, and while another process switches that to
		// a write-ahead log SQLite turns them away without waiting (see liteUseWAL).
		if !liteBusyError(err) || attempt > 200 {
			return fmt.Errorf("storage: opening SQLite: %w", liteError(err))
		}
		if err := pause(ctx, 1); err != nil {
			return err
		}
	}
}

func (c *liteConn) close() {
	c.forget()
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}

// forget closes the statements, which must happen before their connection goes.
func (c *liteConn) forget() {
	for _, s := range c.stmts {
		_ = s.Close()
	}
	c.stmts = nil
}

// discard closes a connection whose state is in doubt, so that no pool keeps it.
func (c *liteConn) discard() {
	c.forget()
	if c.conn != nil {
		_ = c.conn.Raw(func(any) error { return sqldriver.ErrBadConn })
	}
	c.close()
}

// prepared returns the statement for text, preparing it the first time.
//
// It and what follows run under the background context. A cancellation would
// reach SQLite as an interrupt, and an interrupted write takes the whole
// transaction with it: everybody's in the group, not the caller's alone.
func (c *liteConn) prepared(text string) (*sql.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	if err := c.open(context.Background()); err != nil {
		return nil, err
	}
	if len(c.stmts) >= liteMaxStmts {
		for old, s := range c.stmts {
			_ = s.Close()
			delete(c.stmts, old)
			break
		}
	}
	s, err := c.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, liteError(err)
	}
	c.stmts[text] = s
	return s, nil
}

func (c *liteConn) exec(text string, args ...any) (int64, error) {
	s, err := c.prepared(text)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, liteError(err)
	}
	n, err := res.RowsAffected()
	return n, liteError(err)
}

func (c *liteConn) row(text string, args, dest []any) error {
	s, err := c.prepared(text)
	if err != nil {
		return err
	}
	return liteError(s.QueryRowContext(context.Background(), args...).Scan(dest...))
}

// each looks at ctx between rows.
func (c *liteConn) each(ctx context.Context, scan func(row) error, text string, args []any) error {
	s, err := c.prepared(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return liteError(err)
	}
	defer rows.Close()
	one := rowFunc(func(dest ...any) error { return liteError(rows.Scan(dest...)) })
	for rows.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := scan(one); err != nil {
			return err
		}
	}
	return liteError(rows.Err())
}

// liteReads reports whether a statement surely only reads. What it is not sure
// of goes to the writer, which can do everything; the readers could not write if
// it were wrong the other way (query_only).
func liteReads(text string) bool {
	word, rest := firstWord(text)
	switch word {
	case "SELECT":
		return true
	case "WITH":
		for rest != "" {
			word, rest = firstWord(rest)
			switch word {
			case "INSERT", "UPDATE", "DELETE", "REPLACE":
				return false
			}
		}
		return true
	}
	return false
}

// firstWord splits off the first run of letters, in capitals. Words inside quotes
// or comments are words too: they can only send a statement to the writer.
func firstWord(s string) (word, rest string) {
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' }
	i := strings.IndexFunc(s, letter)
	if i < 0 {
		return "", ""
	}
	s = s[i:]
	n := strings.IndexFunc(s, func(r rune) bool { return !letter(r) })
	if n < 0 {
		n = len(s)
	}
	return strings.ToUpper(s[:n]), s[n:]
}

// liteError is pgError's twin. database/sql repeats a value it could not
// convert; that part is cut off.
func liteError(err error) error {
	var e *driver.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return errNoRows
	case errors.As(err, &e):
		if e.Code()&0xff == codes.SQLITE_READONLY {
			return fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
	case strings.HasPrefix(err.Error(), "sql: "):
		head, _, cut := strings.Cut(err.Error(), ": converting")
		if cut {
			return errors.New("storage: " + head)
		}
	}
	return err
}

func liteBusyError(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	c := e.Code() & 0xff
	return c == codes.SQLITE_BUSY || c == codes.SQLITE_LOCKED
}

func liteConflict(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) &&
		(e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE || e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY)
}
