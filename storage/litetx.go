package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// liteTx is the db a caller is given for its turn at the writer.
type liteTx struct {
	conn   *liteConn
	gate   chan struct{} // held while a statement runs, and for ever once it is over
	once   sync.Once
	over   atomic.Bool
	failed error
	notes  []note
}

// seal ends the turn: it waits for a running statement and lets no other begin.
// A goroutine the caller left behind can then no longer write into a stranger's
// turn.
func (t *liteTx) seal() {
	t.once.Do(func() {
		t.over.Store(true)
		t.gate <- struct{}{}
	})
}

// verdict says whether a function that returned no error may be committed.
func (t *liteTx) verdict(ctx context.Context) error {
	switch {
	case t.over.Load():
		return errTxDone
	case t.failed != nil:
		return fmt.Errorf("%w: %w", errAborted, t.failed)
	}
	return ctx.Err()
}

// run passes a statement through the gate and remembers failure.
func (t *liteTx) run(ctx context.Context, text string, args []any, fn func() error) error {
	if t.over.Load() {
		return errTxDone
	}
	select {
	case t.gate <- struct{}{}:
		defer func() { <-t.gate }()
	default:
		return errTxBusy
	}
	if t.failed != nil {
		return fmt.Errorf("%w: %w", errAborted, t.failed)
	}
	err := ctx.Err()
	if err == nil {
		err = checkArgs(args)
	}
	if err == nil {
		count(ctx, 0, text)
		err = fn()
	}
	if err != nil && !errors.Is(err, errNoRows) {
		t.failed = err
	}
	return err
}

func (t *liteTx) exec(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = t.run(ctx, text, args, func() error {
		n, err = t.conn.exec(text, args...)
		return err
	})
	return n, err
}

func (t *liteTx) queryRow(ctx context.Context, text string, args ...any) row {
	return rowFunc(func(dest ...any) error {
		return t.run(ctx, text, args, func() error { return t.conn.row(text, args, dest) })
	})
}

func (t *liteTx) query(ctx context.Context, scan func(row) error, text string, args ...any) error {
	return t.run(ctx, text, args, func() error { return t.conn.each(ctx, scan, text, args) })
}

// tx joins the transaction it is in.
func (t *liteTx) tx(ctx context.Context, fn func(context.Context, db) error) error {
	return join(ctx, t, &t.failed, fn)
}

func (t *liteTx) notify(ctx context.Context, channel, payload string) error {
	return t.run(ctx, "", []any{channel, payload}, func() error {
		t.notes = append(t.notes, note{channel, payload})
		return nil
	})
}
