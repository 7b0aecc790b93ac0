package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrSchema is returned, with an explanation, for a database whose schema is not
// the one this program was built with. Nothing has been changed.
var ErrSchema = errors.New("storage: the database schema does not fit this program")

// pgMigrationLock is the advisory lock of whoever is migrating: "ecard" and a number.
const pgMigrationLock = 0x6563617264_01

// migration is one numbered file.
type migration struct {
	version  int
	name     string
	checksum string
	sql      string
}

var (
	migrationName = regexp.MustCompile(`^([0-9]{4})_([a-z0-9_]+)\.sql$`)

	// A file that commits would not be one transaction.
	migrationCommits = regexp.MustCompile(`(?im)^\s*(BEGIN|COMMIT|ROLLBACK|START)(\s+(TRANSACTION|WORK|IMMEDIATE|EXCLUSIVE))?\s*;`)
)

// readMigrations reads the files in order. Numbers start at 1 and leave no gap, so
// that two branches that both add one are noticed when they meet.
func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("storage: reading migrations: %w", err)
	}
	steps := make([]migration, 0, len(names))
	for i, name := range names {
		m := migrationName.FindStringSubmatch(path.Base(name))
		if m == nil {
			return nil, fmt.Errorf("storage: migration %q: want a name like 0001_init.sql", name)
		}
		if v, err := strconv.Atoi(m[1]); err != nil || v != i+1 {
			return nil, fmt.Errorf("storage: migration %q: want number %04d here", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("storage: reading migration %q: %w", name, err)
		}
		if migrationCommits.Match(text) {
			return nil, fmt.Errorf("storage: migration %q begins or ends a transaction: it already runs in one", name)
		}
		sum := sha256.Sum256(text)
		steps = append(steps, migration{i + 1, m[2], hex.EncodeToString(sum[:]), string(text)})
	}
	return steps, nil
}

// pending compares what was applied with what we have and returns what is left.
func pending(applied, steps []migration) ([]migration, error) {
	if len(applied) > len(steps) {
		return nil, fmt.Errorf("%w: it is at version %d and this program knows %d: use a newer program",
			ErrSchema, applied[len(applied)-1].version, len(steps))
	}
	for i, a := range applied {
		s := steps[i]
		switch {
		case a.version != s.version:
			return nil, fmt.Errorf("%w: version %04d was applied where %04d belongs", ErrSchema, a.version, s.version)
		case a.name != s.name || a.checksum != s.checksum:
			return nil, fmt.Errorf("%w: version %04d was applied as another file (%s, now %s): migrations are never edited",
				ErrSchema, a.version, a.name, s.name)
		}
	}
	return steps[len(applied):], nil
}

// dialectSQL is what the migrator says differently to the two databases.
type dialectSQL struct{ exists, create, insert string }

const selectApplied = `SELECT version, name, checksum FROM schema_version ORDER BY version`

func (d dialect) sql() dialectSQL {
	if d == postgres {
		return dialectSQL{
			exists: `SELECT to_regclass('schema_version') IS NOT NULL`,
			create: `CREATE TABLE IF NOT EXISTS schema_version (
				version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`,
			insert: `INSERT INTO schema_version (version, name, checksum, applied_at)
				VALUES ($1, $2, $3, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)`,
		}
	}
	return dialectSQL{
		exists: `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version')`,
		create: `CREATE TABLE IF NOT EXISTS schema_version (
			version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT`,
		insert: `INSERT INTO schema_version (version, name, checksum, applied_at)
			VALUES ($1, $2, $3, CAST(unixepoch('subsec') * 1000 AS INTEGER))`,
	}
}

// reader is the part of a db that looking at the schema needs.
type reader interface {
	queryRow(ctx context.Context, sql string, args ...any) row
	query(ctx context.Context, scan func(row) error, sql string, args ...any) error
}

// readApplied returns what the database says was applied to it: nothing, if it
// has never been migrated.
func readApplied(ctx context.Context, r reader, d dialect) ([]migration, error) {
	var exists bool
	if err := r.queryRow(ctx, d.sql().exists).Scan(&exists); err != nil {
		return nil, fmt.Errorf("storage: looking for the schema version: %w", err)
	}
	if !exists {
		return nil, nil
	}
	var applied []migration
	err := r.query(ctx, func(r row) error {
		var m migration
		err := r.Scan(&m.version, &m.name, &m.checksum)
		applied = append(applied, m)
		return err
	}, selectApplied)
	if err != nil {
		return nil, fmt.Errorf("storage: reading the schema version: %w", err)
	}
	return applied, nil
}

// checkSchema refuses a database that is not exactly up to date.
func checkSchema(ctx context.Context, r reader, d dialect, steps []migration) error {
	applied, err := readApplied(ctx, r, d)
	if err != nil {
		return err
	}
	left, err := pending(applied, steps)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: it is at version %d and this program needs %d: run `ecardid migrate`",
			ErrSchema, len(applied), len(steps))
	}
	return nil
}

func migrate(ctx context.Context, dsn string, files fs.FS) error {
	d, err := dialectOf(dsn)
	if err != nil {
		return err
	}
	steps, err := readMigrations(files)
	if err != nil {
		return err
	}
	var m interface {
		reader
		step(ctx context.Context, steps []migration) error
		close()
	}
	if d == postgres {
		m, err = newPGMigrator(ctx, dsn)
	} else {
		m, err = newLiteMigrator(ctx, strings.TrimPrefix(dsn, sqlitePrefix))
	}
	if err != nil {
		return err
	}
	defer m.close()
	for {
		// Without the lock first: a database that is up to date is left alone,
		// even one that may only be read.
		applied, err := readApplied(ctx, m, d)
		if err != nil {
			return err
		}
		left, err := pending(applied, steps)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := m.step(ctx, steps); err != nil {
			return err
		}
	}
}

// pgMigrator migrates over one connection, without a limit on a statement's time.
type pgMigrator struct{ conn *pgx.Conn }

func newPGMigrator(ctx context.Context, dsn string) (*pgMigrator, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("storage: PostgreSQL DSN: %w", err)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = pgConnect
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("storage: connecting to PostgreSQL: %w", err)
	}
	return &pgMigrator{conn}, nil
}

func (m *pgMigrator) queryRow(ctx context.Context, sql string, args ...any) row {
	return m.conn.QueryRow(ctx, sql, args...)
}

func (m *pgMigrator) query(ctx context.Context, scan func(row) error, sql string, args ...any) error {
	_, err := pgEach(ctx, m.conn, scan, sql, args)
	return err
}

// step applies the next migration. The lock is the transaction's, so it works
// behind any pooler and cannot be left behind.
func (m *pgMigrator) step(ctx context.Context, steps []migration) error {
	err := pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(pgMigrationLock)); err != nil {
			return err
		}
		return applyNext(ctx, m, postgres, steps, func(text string, args ...any) error {
			_, err := tx.Exec(ctx, text, args...) // without arguments pgx takes a whole script
			return err
		})
	})
	return migrationError(pgError(err))
}

func (m *pgMigrator) close() {
	end, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = m.conn.Close(end)
}

// applyNext applies the first migration that is still missing now that we hold
// the lock, and writes down that it did.
func applyNext(ctx context.Context, r reader, d dialect, steps []migration, exec func(string, ...any) error) error {
	if err := exec(d.sql().create); err != nil {
		return err
	}
	applied, err := readApplied(ctx, r, d)
	if err != nil {
		return err
	}
	left, err := pending(applied, steps)
	if err != nil || len(left) == 0 {
		return err // somebody else was faster
	}
	next := left[0]
	if err := exec(next.sql); err != nil {
		return fmt.Errorf("migration %04d_%s: %w", next.version, next.name, err)
	}
	return exec(d.sql().insert, next.version, next.name, next.checksum)
}

func migrationError(err error) error {
	if err == nil || errors.Is(err, ErrSchema) {
		return err
	}
	return fmt.Errorf("storage: migrating, nothing of this step was kept: %w", err)
}

// liteMigrator migrates over one connection of its own.
type liteMigrator struct{ conn liteConn }

func newLiteMigrator(ctx context.Context, path string) (*liteMigrator, error) {
	path, err := liteFile(path)
	if err != nil {
		return nil, err
	}
	if err := liteCreate(path); err != nil {
		return nil, err
	}
	pool, err := liteOpen(path, liteBusy)
	if err != nil {
		return nil, err
	}
	m := &liteMigrator{liteConn{pool: pool}}
	if err := m.conn.open(ctx); err != nil {
		m.close()
		return nil, err
	}
	if err := liteUseWAL(ctx, m.conn.conn); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *liteMigrator) queryRow(_ context.Context, text string, args ...any) row {
	return rowFunc(func(dest ...any) error { return m.conn.row(text, args, dest) })
}

func (m *liteMigrator) query(ctx context.Context, scan func(row) error, text string, args ...any) error {
	return m.conn.each(ctx, scan, text, args)
}

func (m *liteMigrator) step(ctx context.Context, steps []migration) error {
	if err := m.lock(ctx); err != nil {
		return migrationError(err)
	}
	err := applyNext(ctx, m, sqlite, steps, func(text string, args ...any) error {
		_, err := m.conn.conn.ExecContext(ctx, text, args...) // unprepared: a file is many statements
		return liteError(err)
	})
	if err == nil {
		_, err = m.conn.exec(`COMMIT`)
	}
	if err != nil {
		m.conn.discard() // rolls back
	}
	return migrationError(err)
}

func (m *liteMigrator) lock(ctx context.Context) error {
	start := time.Now()
	for {
		_, err := m.conn.exec(`BEGIN EXCLUSIVE`)
		switch {
		case err == nil:
			return nil
		case !liteBusyError(err):
			return err
		case time.Since(start) > liteLockWait:
			return ErrLocked
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

func (m *liteMigrator) close() {
	m.conn.close()
	_ = m.conn.pool.Close()
}
