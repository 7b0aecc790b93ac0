package bench

import (
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/storage"
)

// TestRoundTripsOfSignIn: ten requests, from the first page to the session, in a browser
// nobody has seen. It is to grow no further.
func TestRoundTripsOfSignIn(t *testing.T) {
	clk := clock.At(time.Now())
	h := openHouse(t, postgres, clk, equal{})
	do := signIn(h, clk)
	const budget = 35
	for i := range 2 {
		ctx, asked := storage.WithQueryCount(t.Context())
		if err := do(&inside{ctx: ctx, handler: h.server}, i); err != nil {
			t.Fatal(err)
		}
		if asked.Trips() > budget {
			t.Errorf("%d round trips, the budget is %d:\n%s", asked.Trips(), budget, strings.Join(asked.SQL(), "\n--\n"))
		}
	}
}
