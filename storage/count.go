package storage

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// A QueryCount counts what one context asked of the database.
type QueryCount struct {
	mu    sync.Mutex
	trips int
	sql   []string
}

// WithQueryCount returns a context under which statements are counted. It is for
// tests that hold a flow to its budget of round trips.
func WithQueryCount(ctx context.Context) (context.Context, *QueryCount) {
	c := new(QueryCount)
	return context.WithValue(ctx, countKey{}, c), c
}

// Trips returns the number of round trips. On PostgreSQL each statement, BEGIN
// and COMMIT is one; preparing, which happens once per connection, is left out.
// On SQLite a transaction is one however many statements it has, because it is
// one turn at the writer.
func (c *QueryCount) Trips() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trips
}

// SQL returns the text of the statements counted, in order, without arguments.
func (c *QueryCount) SQL() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sql)
}

type countKey struct{}

// count notes a statement that cost the given number of round trips.
func count(ctx context.Context, trips int, sql string) {
	c, ok := ctx.Value(countKey{}).(*QueryCount)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trips += trips
	if sql != "" {
		c.sql = append(c.sql, sql)
	}
}

// pgCounter is the tracer through which pgx tells us of every round trip,
// including the ones we did not write, such as BEGIN.
type pgCounter struct{}

func (pgCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	count(ctx, 1, d.SQL)
	return ctx
}

func (pgCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (pgCounter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	count(ctx, 1, "")
	return ctx
}

func (pgCounter) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	count(ctx, 0, d.SQL)
}

func (pgCounter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
