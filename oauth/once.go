package oauth

import "context"

// A Ledger collects the values that one request uses up: the jti of its client
// assertion, of its DPoP proof. Whoever verifies adds; the operation that does the
// request's work takes them along into its one statement, and what no operation took
// the endpoint spends before it answers. A Ledger belongs to one request and is not
// safe for concurrent use.
type Ledger struct{ once []Once }

type ledgerKey struct{}

// WithLedger opens a ledger for a request.
func WithLedger(ctx context.Context) (context.Context, *Ledger) {
	l := &Ledger{}
	return context.WithValue(ctx, ledgerKey{}, l), l
}

// LedgerOf returns the request's ledger; nil when there is none, and then whoever
// verifies spends by itself.
func LedgerOf(ctx context.Context) *Ledger {
	l, _ := ctx.Value(ledgerKey{}).(*Ledger)
	return l
}

// Add notes a value that was verified and is to be spent.
func (l *Ledger) Add(o Once) { l.once = append(l.once, o) }

// Take hands over what has been noted, once. A nil Ledger has nothing.
func (l *Ledger) Take() []Once {
	if l == nil {
		return nil
	}
	taken := l.once
	l.once = nil
	return taken
}
