package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/internal/clock"
)

// bareFor is how long the bare handler is measured beside each operation, so that
// the two see the same machine.
const bareFor = 400 * time.Millisecond

// idleFor is how long a server is left alone before its memory is called idle.
const idleFor = 500 * time.Millisecond

// BenchmarkLoad sends requests over loopback to a server that is a process of its
// own, from 16 and from 64 clients at once.
func BenchmarkLoad(b *testing.B) {
	for _, database := range []string{sqlite, postgres} {
		b.Run(database, func(b *testing.B) {
			h := settle(b, database, clock.System{})
			p := start(b, h.dsn)
			db := clusterOf(b.Context(), h.dsn)
			time.Sleep(idleFor)
			m := memoryUse{database: database, ready: p.ready}
			m.idle, _ = resident(p.pid)
			for _, clients := range []int{16, 64} {
				ways := make([]way, clients)
				for i := range ways {
					w, err := dial(p.addr)
					if err != nil {
						b.Fatal(err)
					}
					defer w.conn.Close()
					ways[i] = w
				}
				for _, op := range operations() {
					if !op.load {
						continue
					}
					b.Run(fmt.Sprintf("%d/%s", clients, op.name), func(b *testing.B) {
						load(b, h, p, db, ways, op, database)
					})
				}
			}
			m.loaded, m.most = resident(p.pid)
			figures.memory(m)
		})
	}
}

func load(b *testing.B, h *house, p process, db cluster, ways []way, op operation, database string) {
	do, err := op.prepare(h, ways[0], crowd)
	if err != nil {
		b.Fatal(err)
	}
	before := used(p.pid) + db.used()
	b.ResetTimer()
	if err := crowdOf(ways, func(i int) bool { return i < b.N }, do); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	spent := used(p.pid) + db.used() - before
	rate := float64(b.N) / b.Elapsed().Seconds()
	until := time.Now().Add(bareFor)
	var calls atomic.Int64
	began := time.Now()
	err = crowdOf(ways, func(int) bool { return time.Now().Before(until) }, func(w way, _ int) error {
		calls.Add(1)
		return get(w, barePath)
	})
	if err != nil {
		b.Fatal(err)
	}
	limit := float64(calls.Load()) / time.Since(began).Seconds()
	cpu := spent / time.Duration(b.N)
	b.ReportMetric(rate, "flows/s")
	b.ReportMetric(rate/limit, "of-bare")
	b.ReportMetric(float64(cpu.Microseconds()), "cpu-µs/op")
	figures.loaded(loadFigure{database: database, name: op.name, clients: len(ways), rate: rate, bare: limit, cpu: cpu, op: op})
}

// crowdOf has every way take the next number and do it, as long as more says so.
func crowdOf(ways []way, more func(i int) bool, do step) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, len(ways))
	for _, w := range ways {
		all.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if !more(i) {
					return
				}
				if err := do(w, i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
