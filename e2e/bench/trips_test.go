package bench

import (
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/storage"
)

// TestRoundTrips holds every operation to its budget of round trips to PostgreSQL
// (DESIGN §6). The clock stands still, so that nothing but the operation itself
// comes to the database: no session is touched and no cache runs out.
func TestRoundTrips(t *testing.T) {
	h := openHouse(t, postgres, clock.At(time.Now()), equal{})
	w := &inside{ctx: t.Context(), handler: h.server}
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			const times = 2 // the second time is like every other
			do, err := op.prepare(h, w, times)
			if err != nil {
				t.Fatal(err)
			}
			for i := range times {
				ctx, asked := storage.WithQueryCount(t.Context())
				if err := do(&inside{ctx: ctx, handler: h.server}, i); err != nil {
					t.Fatal(err)
				}
				if asked.Trips() != op.trips {
					t.Errorf("%d round trips, the budget is %d:\n%s", asked.Trips(), op.trips, strings.Join(asked.SQL(), "\n--\n"))
				}
			}
		})
	}
}

// TestRoundTripsOfSession: a session in use is written to once a minute and not with
// each request.
func TestRoundTripsOfSession(t *testing.T) {
	clk := clock.At(time.Now())
	h := openHouse(t, postgres, clk, equal{})
	authorize := func() (int, string) {
		t.Helper()
		ctx, asked := storage.WithQueryCount(t.Context())
		if _, err := h.authorize(&inside{ctx: ctx, handler: h.server}, h.people[0], scopeJWT); err != nil {
			t.Fatal(err)
		}
		return asked.Trips(), strings.Join(asked.SQL(), "\n--\n")
	}
	// Clients are believed for seconds, and here nobody renews them in the background:
	// their version and the clients themselves.
	const clients, budget, touch = 2, 2, 1
	clk.Advance(61 * time.Second)
	if n, sql := authorize(); n != budget+touch+clients {
		t.Errorf("after a minute: %d round trips:\n%s", n, sql)
	}
	if n, sql := authorize(); n != budget {
		t.Errorf("right after: %d round trips, the budget is %d:\n%s", n, budget, sql)
	}
}
