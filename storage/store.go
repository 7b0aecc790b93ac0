package storage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"ecardid/internal/seal"
)

// StatementCache says how PostgreSQL statements are prepared.
type StatementCache string

const (
	// CachePrepared keeps statements prepared on each connection. It is the
	// default and the fastest, and needs a session: a direct connection, or a
	// pooler that understands prepared statements.
	CachePrepared StatementCache = "prepare"

	// CacheDescribed keeps only the statements' types, on our side. It works
	// behind any transaction pooler, as long as the schema stands still.
	CacheDescribed StatementCache = "describe"

	// CacheNone keeps nothing. It always works and is the slowest.
	CacheNone StatementCache = "none"
)

// Options adjust a Store. The zero value is right for production.
type Options struct {
	// Log hears what an operator should know. Nil is silence.
	Log *slog.Logger

	// MaxConns bounds the PostgreSQL connections of this process. Zero means
	// what the DSN says in pool_max_conns, or else four for each CPU and at
	// least eight.
	MaxConns int

	// StatementCache is CachePrepared when empty.
	StatementCache StatementCache

	// StatementTimeout bounds each PostgreSQL statement on the server. Zero
	// means ten seconds; a negative value sends no session settings at all,
	// for poolers that refuse them.
	StatementTimeout time.Duration
}

const defaultStatementTimeout = 10 * time.Second // a hot statement takes a millisecond; this is for the stuck one

// validate rejects what would otherwise show only under load.
func (o Options) validate() error {
	switch o.StatementCache {
	case "", CachePrepared, CacheDescribed, CacheNone:
	default:
		return fmt.Errorf("storage: unknown statement cache %q: want %q, %q or %q",
			o.StatementCache, CachePrepared, CacheDescribed, CacheNone)
	}
	if o.MaxConns < 0 || o.MaxConns > 10_000 {
		return fmt.Errorf("storage: max connections %d is out of range", o.MaxConns)
	}
	return nil
}

//go:embed migrations
var embedded embed.FS

// migrationsOf returns the embedded migration files of a dialect.
func migrationsOf(d dialect) (fs.FS, error) {
	return fs.Sub(embedded, "migrations/"+string(d))
}

// dialect names a database and its folder of migrations.
type dialect string

const (
	postgres dialect = "postgres"
	sqlite   dialect = "sqlite"
)

// Store is the memory of the house. It is safe for concurrent use.
type Store struct {
	db      db
	dialect dialect
	backend backend
	hot     hot
	keys    atomic.Pointer[seal.Keys] // nil until Unlock
	flowing crowd                     // flows, stored requests, device codes: what strangers can make us keep
	waiting crowd
	pushed  crowd // requests of clients with credentials: twice the room, so that strangers never fill it
	devices crowd
	vouched crowd // device codes of clients with credentials
}

// backend is what the two databases do beyond running statements.
type backend interface {
	db
	ping(ctx context.Context) error
	listen(ctx context.Context, channel string, fn func(payload string)) error
	close()
}

// Open opens the database at dsn, which is postgres://… or sqlite:PATH. It
// changes nothing: a database whose schema is not exactly the one this program
// was built with is refused, and Migrate is the way to change that.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	d, err := dialectOf(dsn)
	if err != nil {
		return nil, err
	}
	files, err := migrationsOf(d)
	if err != nil {
		return nil, fmt.Errorf("storage: reading migrations: %w", err)
	}
	return open(ctx, dsn, o, files)
}

func open(ctx context.Context, dsn string, o Options, files fs.FS) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d, err := dialectOf(dsn)
	if err != nil {
		return nil, err
	}
	steps, err := readMigrations(files)
	if err != nil {
		return nil, err
	}
	var b backend
	if d == postgres {
		b, err = openPostgres(ctx, dsn, o)
	} else {
		b, err = openSQLite(ctx, strings.TrimPrefix(dsn, sqlitePrefix))
	}
	if err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, b, d, steps); err != nil {
		b.close()
		return nil, err
	}
	s := &Store{dialect: d, backend: b, devices: crowd{max: maxDevices}, vouched: crowd{max: 2 * maxDevices}, pushed: crowd{max: 2 * maxFlows}}
	s.db = witness{b, &s.keys}
	s.hot = liteHot{s.db}
	if d == postgres {
		s.hot = pgHot{s.db}
	}
	return s, nil
}

// Migrate brings the database at dsn to the schema this program was built with,
// creating it if need be. It is safe to start on several machines at once: one
// works, the others wait and find it done.
func Migrate(ctx context.Context, dsn string) error {
	d, err := dialectOf(dsn)
	if err != nil {
		return err
	}
	files, err := migrationsOf(d)
	if err != nil {
		return fmt.Errorf("storage: reading migrations: %w", err)
	}
	return migrate(ctx, dsn, files)
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.backend.ping(ctx) }

// Close lets running operations finish and closes the database. Operations begun
// later return ErrClosed.
func (s *Store) Close() { s.backend.close() }

// Listen calls fn for each notification on channel until ctx ends, and returns
// its error. fn is called with an empty payload whenever notifications may have
// been missed, the very beginning included: the caller then looks at everything.
// One goroutine calls fn, so a slow fn delays only its own news.
func (s *Store) Listen(ctx context.Context, channel string, fn func(payload string)) error {
	return s.backend.listen(ctx, channel, fn)
}

const sqlitePrefix = "sqlite:"

// dialectOf reads the scheme. Errors never repeat the DSN: it may hold a password.
func dialectOf(dsn string) (dialect, error) {
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return postgres, nil
	case strings.HasPrefix(dsn, sqlitePrefix):
		return sqlite, nil
	case dsn == "":
		return "", errors.New("storage: no database named: want postgres://… or sqlite:PATH")
	}
	return "", errors.New("storage: unknown kind of database: want postgres://… or sqlite:PATH")
}
