package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	pgOldest        = 14_00_00 // the oldest major release still maintained when this was written
	pgMaxAttempts   = 4        // a transaction that lost this often is fighting, not unlucky
	pgRetryPause    = 5 * time.Millisecond
	pgNetworkMargin = 5 * time.Second  // how long after the server's own limit we stop waiting for its answer
	pgUnboundedNet  = 30 * time.Second // the same when the server's limit is not ours to set
	pgIdleInTx      = 30 * time.Second // a transaction nobody speaks in holds locks that others wait for
	pgConnect       = 5 * time.Second
)

// SQLSTATEs we act upon.
const (
	pgUniqueViolation    = "23505"
	pgSerialization      = "40001"
	pgDeadlock           = "40P01"
	pgReadOnly           = "25006"
	pgDataException      = "22" // the class
	pgInvalidByteSeq     = "22021"
	pgUntranslatableChar = "22P05"
)

// pgDB is a db over a pool of PostgreSQL connections.
//
// Statements run under a context of their own, limited in time but deaf to the
// caller's cancellation: pgx answers a cancelled context by closing the
// connection, and then every impatient browser would cost a reconnect. Waiting
// for a connection does listen to the caller.
type pgDB struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	net  time.Duration
}

func pgConfig(dsn string, o Options) (*pgxpool.Config, time.Duration, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, 0, fmt.Errorf("storage: PostgreSQL DSN: %w", err) // pgx leaves the password out
	}
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(o.MaxConns)
	} else if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = int32(max(8, 4*runtime.GOMAXPROCS(0)))
	}
	cc := cfg.ConnConfig
	cc.Tracer = pgCounter{}
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = pgConnect
	}
	switch o.StatementCache {
	case CachePrepared:
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	case CacheDescribed:
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	case CacheNone:
		cc.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	}
	if o.StatementTimeout < 0 {
		return cfg, pgUnboundedNet, nil
	}
	limit := o.StatementTimeout
	if limit == 0 {
		limit = defaultStatementTimeout
	}
	set := func(name, value string) {
		if _, ok := cc.RuntimeParams[name]; !ok { // the DSN knows better
			cc.RuntimeParams[name] = value
		}
	}
	set("application_name", "ecardid")
	set("timezone", "UTC")
	set("statement_timeout", strconv.FormatInt(limit.Milliseconds(), 10))
	set("idle_in_transaction_session_timeout", strconv.FormatInt(pgIdleInTx.Milliseconds(), 10))
	set("default_transaction_isolation", "read committed")
	// Statements are planned once a connection, perhaps while the tables are empty, when
	// walking through one looks as cheap as a look-up; the plan is kept while they fill.
	set("enable_seqscan", "off")
	set("jit", "off") // compiling costs more than any statement of ours runs
	return cfg, limit + pgNetworkMargin, nil
}

func openPostgres(ctx context.Context, dsn string, o Options) (*pgDB, error) {
	cfg, net, err := pgConfig(dsn, o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("storage: PostgreSQL: %w", err)
	}
	d := &pgDB{pool: pool, log: o.Log, net: net}
	if err := d.inspect(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return d, nil
}

// inspect refuses a server we cannot keep promises on and warns of one whose
// operator has traded them away.
func (d *pgDB) inspect(ctx context.Context) error {
	var version int
	var encoding, commit, fsync string
	err := d.queryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
		current_setting('synchronous_commit'), current_setting('fsync')`).Scan(&version, &encoding, &commit, &fsync)
	switch {
	case err != nil:
		return fmt.Errorf("storage: connecting to PostgreSQL: %w", err)
	case version < pgOldest:
		return fmt.Errorf("storage: PostgreSQL %d is too old: need %d or later", version/10_000, pgOldest/10_000)
	case encoding != "UTF8":
		return fmt.Errorf("storage: the database encoding is %s: need UTF8", encoding)
	}
	if commit == "off" || fsync == "off" {
		d.log.WarnContext(ctx, "PostgreSQL may lose acknowledged writes, revocations included, in a crash",
			"synchronous_commit", commit, "fsync", fsync)
	}
	return nil
}

// detached is the context a statement runs under; see pgDB.
func (d *pgDB) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d.net)
}

// with lends a connection to fn, again on another if the server rolled the
// statement back whole or never received it. fn reports whether it has already
// handed something to its caller, after which there is no second try.
func (d *pgDB) with(ctx context.Context, fn func(context.Context, *pgx.Conn) (begun bool, err error)) error {
	for attempt := 1; ; attempt++ {
		begun, err := d.once(ctx, fn)
		if err == nil || begun || attempt == pgMaxAttempts || !pgRetry(err) {
			return pgError(err)
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

func (d *pgDB) once(ctx context.Context, fn func(context.Context, *pgx.Conn) (bool, error)) (bool, error) {
	c, err := d.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer c.Release()
	run, cancel := d.detached(ctx)
	defer cancel()
	return fn(run, c.Conn())
}

func (d *pgDB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			return nil, ErrClosed // how puddle reports a pool that closed while we waited
		}
		if err.Error() == "closed pool" {
			return nil, ErrClosed
		}
		return nil, fmt.Errorf("storage: waiting for a connection: %w", err)
	}
	return c, nil
}

func (d *pgDB) exec(ctx context.Context, sql string, args ...any) (n int64, err error) {
	if err := admit(ctx, d, args); err != nil {
		return 0, err
	}
	err = d.with(ctx, func(ctx context.Context, c *pgx.Conn) (bool, error) {
		tag, err := c.Exec(ctx, sql, args...)
		n = tag.RowsAffected()
		return false, err
	})
	return n, err
}

func (d *pgDB) queryRow(ctx context.Context, sql string, args ...any) row {
	if err := admit(ctx, d, args); err != nil {
		return failedRow(err)
	}
	return rowFunc(func(dest ...any) error {
		return d.with(ctx, func(ctx context.Context, c *pgx.Conn) (bool, error) {
			return false, c.QueryRow(ctx, sql, args...).Scan(dest...)
		})
	})
}

func (d *pgDB) query(ctx context.Context, scan func(row) error, sql string, args ...any) error {
	if err := admit(ctx, d, args); err != nil {
		return err
	}
	return d.with(ctx, func(ctx context.Context, c *pgx.Conn) (bool, error) {
		return pgEach(ctx, c, scan, sql, args)
	})
}

func (d *pgDB) notify(ctx context.Context, channel, payload string) error {
	_, err := d.exec(ctx, `SELECT pg_notify($1, $2)`, channel, payload)
	return err
}

func (d *pgDB) tx(ctx context.Context, fn func(context.Context, db) error) error {
	if err := admit(ctx, d, nil); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := d.txOnce(ctx, fn)
		if err == nil || attempt == pgMaxAttempts || !pgRetry(err) {
			return pgError(err)
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

func (d *pgDB) txOnce(ctx context.Context, fn func(context.Context, db) error) error {
	c, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	begin, cancel := d.detached(ctx)
	defer cancel()
	inner, err := c.Begin(begin)
	if err != nil {
		return err
	}
	t := &pgTx{d: d, inner: inner}
	defer func() { // after a panic too; after a commit it does nothing
		end, cancel := d.detached(ctx)
		defer cancel()
		_ = inner.Rollback(end)
	}()
	if err := fn(enterTx(ctx, d), t); err != nil {
		return err
	}
	if t.failed != nil {
		return fmt.Errorf("%w: %w", errAborted, t.failed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	end, cancel := d.detached(ctx)
	defer cancel()
	return inner.Commit(end)
}

func (d *pgDB) ping(ctx context.Context) error {
	var one int
	return d.queryRow(ctx, `SELECT 1`).Scan(&one)
}

func (d *pgDB) close() { d.pool.Close() }

// pgTx is the db a transaction's function is given.
type pgTx struct {
	d      *pgDB
	inner  pgx.Tx
	failed error
}

// run passes a statement through the transaction's gate and remembers failure.
func (t *pgTx) run(ctx context.Context, args []any, fn func(context.Context) error) error {
	if t.failed != nil {
		return fmt.Errorf("%w: %w", errAborted, t.failed)
	}
	err := ctx.Err()
	if err == nil {
		err = checkArgs(args)
	}
	if err == nil {
		run, cancel := t.d.detached(ctx)
		defer cancel()
		err = pgError(fn(run))
	}
	if err != nil && !errors.Is(err, errNoRows) {
		t.failed = err
	}
	return err
}

func (t *pgTx) exec(ctx context.Context, sql string, args ...any) (n int64, err error) {
	err = t.run(ctx, args, func(ctx context.Context) error {
		tag, err := t.inner.Exec(ctx, sql, args...)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

func (t *pgTx) queryRow(ctx context.Context, sql string, args ...any) row {
	return rowFunc(func(dest ...any) error {
		return t.run(ctx, args, func(ctx context.Context) error {
			return t.inner.QueryRow(ctx, sql, args...).Scan(dest...)
		})
	})
}

func (t *pgTx) query(ctx context.Context, scan func(row) error, sql string, args ...any) error {
	return t.run(ctx, args, func(ctx context.Context) error {
		_, err := pgEach(ctx, t.inner, scan, sql, args)
		return err
	})
}

func (t *pgTx) notify(ctx context.Context, channel, payload string) error {
	_, err := t.exec(ctx, `SELECT pg_notify($1, $2)`, channel, payload)
	return err
}

// tx joins the transaction it is in.
func (t *pgTx) tx(ctx context.Context, fn func(context.Context, db) error) error {
	return join(ctx, t, &t.failed, fn)
}

// pgEach feeds rows to scan and reports whether it has fed any.
func pgEach(ctx context.Context, q interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, scan func(row) error, sql string, args []any) (begun bool, err error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		begun = true
		if err := scan(rows); err != nil {
			return true, err
		}
	}
	return begun, rows.Err()
}

// pgRetry reports whether trying again is safe: the server says it rolled the
// whole transaction back for the sake of another one, or it never heard of it.
// A connection lost in the middle is neither, and is never retried.
func pgRetry(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code == pgSerialization || e.Code == pgDeadlock
	}
	return pgconn.SafeToRetry(err)
}

// pause waits a little, longer each time and never two callers alike.
func pause(ctx context.Context, attempt int) error {
	span := pgRetryPause << attempt
	timer := time.NewTimer(span/2 + rand.N(span))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pgError gives the errors we act upon their names and keeps values out of the
// text: pgx repeats an argument it could not encode.
func pgError(err error) error {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return errNoRows
	case errors.As(err, &e):
		switch {
		case e.Code == pgReadOnly:
			return fmt.Errorf("%w: %w", ErrReadOnly, err)
		case e.Code == pgInvalidByteSeq, e.Code == pgUntranslatableChar:
			return fmt.Errorf("%w (SQLSTATE %s)", errText, e.Code)
		case strings.HasPrefix(e.Code, pgDataException): // these repeat the value
			return fmt.Errorf("storage: PostgreSQL could not take a value (SQLSTATE %s)", e.Code)
		}
	case strings.HasPrefix(err.Error(), "failed to encode args"):
		head, _, _ := strings.Cut(err.Error(), ":")
		return errors.New("storage: " + head)
	}
	return err
}

// isConflict reports whether err is a unique key that is already taken.
func isConflict(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code == pgUniqueViolation
	}
	return liteConflict(err)
}
