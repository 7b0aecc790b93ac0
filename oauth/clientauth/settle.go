package clientauth

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"ecardid/oauth"
)

// Settle spends what no operation took along from the request's ledger. Every
// endpoint that opened one calls it before it answers, an error too: what was
// verified is used up whatever became of the request, also when nobody waits for the
// answer any more (SECURITY G1). What an operation took is that operation's: if its
// statement fails as a whole, nothing was spent and nothing done. form is the body of
// the request. An error of Settle is the answer, in place of any other.
func Settle(ctx context.Context, replay oauth.Replay, ledger *oauth.Ledger, form url.Values, now time.Time) error {
	left := ledger.Take()
	if len(left) == 0 {
		return nil
	}
	err := Replayed(replay.Spend(context.WithoutCancel(ctx), now, left...), form)
	if err == nil || errors.As(err, new(*fosite.RFC6749Error)) {
		return err
	}
	return fosite.ErrServerError.WithWrap(err)
}
