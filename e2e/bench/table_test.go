package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"
)

// The limits and what has no row among operations.
const (
	limitES256   = "es256"
	limitVerify  = "es256-verify"
	limitInsert  = "insert"
	limitHandler = "handler"
	nameSignIn   = "sign-in"
)

// A figure is what one benchmark in this process found.
type figure struct {
	database, name string
	each, cpu      time.Duration
	allocs, bytes  float64
}

// A loadFigure is what one benchmark over loopback found.
type loadFigure struct {
	database, name string
	clients        int
	rate, bare     float64 // a second
	cpu            time.Duration
	op             operation
}

// memoryUse of one server, in MiB.
type memoryUse struct {
	database           string
	ready              time.Duration
	idle, loaded, most float64
}

// A table collects the figures of a run. The testing package calls each benchmark
// several times; the last and longest call counts.
type table struct {
	mu       sync.Mutex
	figures  []figure
	loads    []loadFigure
	memories []memoryUse
}

// figures is package state because benchmarks share nothing else and TestMain, which
// prints them, is handed nothing.
var figures table

func (t *table) note(f figure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.figures = slices.DeleteFunc(t.figures, func(g figure) bool { return g.database == f.database && g.name == f.name })
	t.figures = append(t.figures, f)
}

func (t *table) loaded(f loadFigure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loads = slices.DeleteFunc(t.loads, func(g loadFigure) bool {
		return g.database == f.database && g.name == f.name && g.clients == f.clients
	})
	t.loads = append(t.loads, f)
}

func (t *table) memory(m memoryUse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.memories = slices.DeleteFunc(t.memories, func(g memoryUse) bool { return g.database == m.database })
	t.memories = append(t.memories, m)
}

// of is the figure of that name; zero when it was not measured.
func (t *table) of(database, name string) figure {
	for _, f := range t.figures {
		if f.database == database && f.name == name {
			return f
		}
	}
	return figure{}
}

// over is a in units of b, or a dash.
func over(a, b time.Duration) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(a)/float64(b), 'f', 2, 64)
}

// verdict says how a figure stands to its budget.
func verdict(have, budget float64, most bool) string {
	switch {
	case budget == 0:
		return "-"
	case most == (have <= budget):
		return fmt.Sprintf("%.3g ok", budget)
	}
	return fmt.Sprintf("%.3g MISSED", budget)
}

// print writes the table, if anything was measured.
func (t *table) print(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	es := t.of("", limitES256).cpu
	if len(t.figures) > 0 {
		fmt.Fprint(w, "\nIn process, one after the other; ratios to the limits of this run. CPU is this process's, PostgreSQL's not included.\n")
		fmt.Fprint(w, "database\toperation\tµs/op\tCPU µs/op\tallocs/op\tkB/op\tflows/s\tCPU/ES256\t/INSERT\t/handler\t\n")
		for _, f := range t.figures {
			fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.0f\t%.1f\t%.0f\t%s\t%s\t%s\t\n", cmp.Or(f.database, "-"), f.name,
				float64(f.each.Nanoseconds())/1e3, float64(f.cpu.Nanoseconds())/1e3, f.allocs, f.bytes/1024, 1/f.each.Seconds(),
				over(f.cpu, es), over(f.each, t.of(f.database, limitInsert).each), over(f.each, t.of("", limitHandler).each))
		}
	}
	if len(t.loads) > 0 {
		fmt.Fprint(w, "\nOver loopback. CPU is server and PostgreSQL together, in ES256 signatures; the budget's signature takes 0.05 ms.\n")
		fmt.Fprint(w, "database\tclients\toperation\tflows/s\tof bare\tleast\tCPU µs/op\tCPU/ES256\tmost\t\n")
		for _, f := range t.loads {
			const signature = 0.05
			ratio, units := f.rate/f.bare, "-"
			budget := "-"
			if es > 0 {
				units = over(f.cpu, es)
				budget = verdict(float64(f.cpu)/float64(es), f.op.cpu/signature, true)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t%.3f\t%s\t%.0f\t%s\t%s\t\n", f.database, f.clients, f.name, f.rate, ratio,
				verdict(ratio, f.op.rate, false), float64(f.cpu.Microseconds()), units, budget)
		}
	}
	if len(t.memories) > 0 {
		fmt.Fprint(w, "\nMemory of the server in MiB, and the time from its start to ready.\n")
		fmt.Fprint(w, "database\tidle\tmost\tafter load\tpeak\tmost\tstart ms\tmost\t\n")
		for _, m := range t.memories {
			const idle, load, start = 40, 64, 100
			ms := float64(m.ready.Milliseconds())
			fmt.Fprintf(w, "%s\t%.1f\t%s\t%.1f\t%.1f\t%s\t%.0f\t%s\t\n", m.database, m.idle, verdict(m.idle, idle, true),
				m.loaded, m.most, verdict(m.most, load, true), ms, verdict(ms, start, true))
		}
	}
}
