// The race detector allocates too, so this is not built with it; make test runs it without.

//go:build !race

package bench

import (
	"testing"
	"time"

	"ecardid/internal/clock"
)

// mostAllocations is how many allocations a request may cost, with the few of the test
// that sends it: what was measured on SQLite and on PostgreSQL, and 15 percent. The
// collector is a good part of what a request costs, and this does not depend on how
// busy the machine is. Who makes an operation cheaper lowers its line.
func mostAllocations() map[string][2]float64 {
	return map[string][2]float64{ // SQLite, PostgreSQL
		"discovery":             {28, 28},
		"jwks":                  {28, 28},
		"client-credentials":    {209, 209},
		"introspect-opaque":     {239, 154},
		"introspect-jwt":        {315, 248},
		"userinfo-opaque":       {274, 161},
		"userinfo-jwt":          {320, 225},
		"refresh-jwt":           {520, 461},
		"refresh-opaque":        {638, 369},
		"authorize":             {504, 345},
		"code-exchange":         {582, 465},
		"code-flow":             {1086, 810},
		"credentials-assertion": {344, 315},
		"credentials-dpop":      {466, 434},
		"introspect-assertion":  {382, 291},
		"userinfo-dpop":         {508, 409},
		"token-exchange":        {821, 575},
		"refresh-dpop":          {784, 716},
		"par":                   {503, 474},
		"par-jar":               {638, 610},
		"authorize-par":         {580, 384},
		"authorize-jarm":        {677, 482},
		"code-exchange-dpop":    {808, 721},
		"fapi2-flow":            {1907, 1595},
	}
}

// TestAllocations holds every operation to its line, on both databases. The clock
// stands still and nothing runs in the background, as in TestRoundTrips.
func TestAllocations(t *testing.T) {
	most := mostAllocations()
	for i, database := range []string{sqlite, postgres} {
		t.Run(database, func(t *testing.T) {
			h := openHouse(t, database, clock.At(time.Now()), equal{})
			w := &inside{ctx: t.Context(), handler: h.server}
			for _, op := range operations() {
				t.Run(op.name, func(t *testing.T) {
					const times = 40
					do, err := op.prepare(h, w, 2*times)
					if err != nil {
						t.Fatal(err)
					}
					n, failed := 0, error(nil)
					once := func() {
						if err := do(w, n); err != nil {
							failed = err
						}
						n++
					}
					for range times - 1 {
						once() // statements prepared, pools filled
					}
					got := testing.AllocsPerRun(times, once)
					if failed != nil {
						t.Fatal(failed)
					}
					t.Logf("%.0f allocations", got)
					if limit := most[op.name][i]; got > limit {
						t.Errorf("%.0f allocations, the limit is %.0f", got, limit)
					}
				})
			}
		})
	}
}
