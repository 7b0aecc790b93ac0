package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// db is what an operation needs of a database. The same SQL text serves both
// where it can: $1 placeholders, RETURNING and ON CONFLICT are common ground.
//
// Empty bytes and NULL both read as nil, because SQLite's driver does not tell
// them apart; what must be told apart needs another column or IS NULL.
//
// A single statement is a transaction of its own and is durable when the call
// returns nil. A caller whose context has ended gets its error and no further
// statement is begun, but one that is already running is finished: an answer
// that was thrown away half-way could be neither believed nor denied.
type db interface {
	// exec runs a statement and returns how many rows it touched.
	exec(ctx context.Context, sql string, args ...any) (int64, error)

	// queryRow prepares to read one row. The statement runs when Scan is
	// called, so every row must be scanned exactly once.
	queryRow(ctx context.Context, sql string, args ...any) row

	// query calls scan for each row in turn and stops at its first error. scan
	// must do nothing but read its row: in particular it must not use the db.
	query(ctx context.Context, scan func(row) error, sql string, args ...any) error

	// tx runs fn as one transaction: all of it or nothing. fn uses the db and
	// the context it is given, never the outer ones. It may run more than once
	// (PostgreSQL can ask for a retry), so whatever it hands out through
	// captured variables it must set afresh each time. A failed statement fails
	// the whole transaction even if fn forgives it; ON CONFLICT is the way to
	// expect a conflict. A tx inside a tx is part of the outer one.
	tx(ctx context.Context, fn func(ctx context.Context, db db) error) error

	// notify tells the listeners of channel, on every replica, once the
	// surrounding transaction is durable. The payload is public to all who can
	// connect to the database: an id at most, and under 8000 bytes.
	notify(ctx context.Context, channel, payload string) error
}

// row is one row of a result.
type row interface {
	Scan(dest ...any) error
}

// rowFunc is a row that knows how to fetch itself.
type rowFunc func(dest ...any) error

func (f rowFunc) Scan(dest ...any) error { return f(dest...) }

// failedRow is a row that could not even be asked for.
func failedRow(err error) row { return rowFunc(func(...any) error { return err }) }

var (
	// ErrClosed is returned by everything once Close was called.
	ErrClosed = errors.New("storage: the store is closed")

	// ErrReadOnly is returned for a write to a database that only allows
	// reading: a standby, a read-only file, a full stop by the operator.
	ErrReadOnly = errors.New("storage: the database is read-only")

	// ErrLocked is returned when another process has kept the SQLite file
	// locked for longer than we wait. Within one process nobody meets it.
	ErrLocked = errors.New("storage: another process keeps the database locked")

	// errNoRows is queryRow's answer when nothing matched.
	errNoRows = errors.New("storage: no rows")

	// errText refuses an argument that is not text both databases can keep. For
	// a lookup it means "not found", for a write "invalid".
	errText = errors.New("storage: text with NUL or broken UTF-8")

	// errNested is a programming mistake: the outer db was used inside a
	// transaction, where it would wait for itself.
	errNested = errors.New("storage: the outer database was used inside a transaction")

	// errAborted is returned by a transaction in which a statement has failed.
	errAborted = errors.New("storage: an earlier statement of this transaction failed")

	// errTxDone is a transaction used after its function returned or took too long.
	errTxDone = errors.New("storage: the transaction is over")

	// errTxBusy is a transaction used by two at once, or inside a scan.
	errTxBusy = errors.New("storage: the transaction is already running a statement")
)

// insideTx marks the context of a transaction's function with the database it
// runs on, so that using the outer db there is an error and not a deadlock.
type insideTx struct{}

func enterTx(ctx context.Context, outer db) context.Context {
	return context.WithValue(ctx, insideTx{}, outer)
}

// admit is the gate every statement outside a transaction passes.
func admit(ctx context.Context, outer db, args []any) error {
	if in, ok := ctx.Value(insideTx{}).(db); ok && in == outer {
		return errNested
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return checkArgs(args)
}

// checkArgs refuses text that PostgreSQL would refuse and SQLite would keep, so
// that strangers' bytes meet the same answer on both and never a server error.
func checkArgs(args []any) error {
	for i, a := range args {
		var s string
		switch v := a.(type) {
		case string:
			s = v
		case *string:
			if v == nil {
				continue
			}
			s = *v
		default:
			continue
		}
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("argument %d: %w", i+1, errText)
		}
	}
	return nil
}

// list collects a query's rows. The result of no rows is nil.
func list[T any](ctx context.Context, d db, scan func(row) (T, error), sql string, args ...any) ([]T, error) {
	var all []T
	err := d.query(ctx, func(r row) error {
		one, err := scan(r)
		if err == nil {
			all = append(all, one)
		}
		return err
	}, sql, args...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// changed runs a conditional write that concerns at most one row and reports
// whether it happened: the gate of everything that may happen once.
func changed(ctx context.Context, d db, sql string, args ...any) (bool, error) {
	n, err := d.exec(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	if n > 1 {
		return false, fmt.Errorf("storage: a write meant for one row touched %d", n)
	}
	return n == 1, nil
}

// only is changed for a write without which a transaction comes to nothing: refusal
// is what it then ends with.
func only(ctx context.Context, tx db, refusal error, sql string, args ...any) error {
	ok, err := changed(ctx, tx, sql, args...)
	if err == nil && !ok {
		err = refusal
	}
	return err
}

// join runs fn inside the transaction tx is; its failure is that of the whole.
func join(ctx context.Context, tx db, failed *error, fn func(context.Context, db) error) error {
	if *failed != nil {
		return fmt.Errorf("%w: %w", errAborted, *failed)
	}
	err := fn(ctx, tx)
	if err != nil && *failed == nil {
		*failed = err
	}
	return err
}
