package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/internal/clock"
)

// The bare handler is measured for bareFor beside each operation, the two taking turns
// for a number of rounds, so that they see the same machine.
const (
	bareFor = 400 * time.Millisecond
	rounds  = 4
)

// idleFor is how long a server is left alone before its memory is called idle: long enough
// for the signing keys that an empty database makes it generate.
const idleFor = 2 * time.Second

// BenchmarkLoad sends requests over loopback to a server that is a process of its
// own, from 16 and from 64 clients at once.
func BenchmarkLoad(b *testing.B) {
	for _, database := range []string{sqlite, postgres} {
		b.Run(database, func(b *testing.B) {
			h := settle(b, database, clock.System{})
			p := start(b, h.dsn)
			h.origin = p.issuer
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
						b.StopTimer()
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
	do, err := op.prepare(h, ways[0], b.N)
	if err != nil {
		b.Fatal(err)
	}
	var spent, took, bareTook time.Duration
	var calls atomic.Int64
	for round := range rounds {
		from, to := b.N*round/rounds, b.N*(round+1)/rounds
		before := used(p.pid) + db.used()
		began := time.Now()
		b.StartTimer()
		err := crowdOf(ways, func(i int) bool { return from+i < to }, func(w way, i int) error { return do(w, from+i) })
		b.StopTimer()
		took += time.Since(began)
		spent += used(p.pid) + db.used() - before
		if err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		until := began.Add(bareFor / rounds)
		err = crowdOf(ways, func(int) bool { return time.Now().Before(until) }, func(w way, _ int) error {
			calls.Add(1)
			return get(w, barePath)
		})
		bareTook += time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
	}
	rate, limit := float64(b.N)/took.Seconds(), float64(calls.Load())/bareTook.Seconds()
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
