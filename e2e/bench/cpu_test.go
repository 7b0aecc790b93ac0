package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// tick is the unit of utime and stime in /proc/PID/stat: USER_HZ, 100 on every Linux
// that Go runs on.
const tick = 10 * time.Millisecond

// A cluster is the processes of a PostgreSQL server on this machine.
type cluster struct{ postmaster int }

// clusterOf finds the server behind a DSN. For SQLite, and for a server elsewhere,
// there is none and it used no time.
func clusterOf(ctx context.Context, dsn string) cluster {
	if !strings.HasPrefix(dsn, "postgres") {
		return cluster{}
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return cluster{}
	}
	defer func() { _ = conn.Close(ctx) }()
	parent, _, _ := procStat(int(conn.PgConn().PID()))
	return cluster{parent}
}

// used is the processor time of the cluster so far. That of a backend which ended is
// its parent's.
func (c cluster) used() time.Duration {
	if c.postmaster == 0 {
		return 0
	}
	var sum time.Duration
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		parent, own, children := procStat(pid)
		switch c.postmaster {
		case parent:
			sum += own
		case pid:
			sum += own + children
		}
	}
	return sum
}

// own is the processor time of this process. Where others use the machine too it says
// more than the clock on the wall.
func own() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// used is the processor time of one process.
func used(pid int) time.Duration {
	_, own, _ := procStat(pid)
	return own
}

// procStat reads /proc/PID/stat (proc(5)); zeroes for a process that is gone.
func procStat(pid int) (parent int, own, children time.Duration) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0
	}
	// The name in parentheses may hold anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return 0, 0, 0
	}
	n := func(i int) int {
		v, _ := strconv.Atoi(f[i])
		return v
	}
	return n(1), time.Duration(n(11)+n(12)) * tick, time.Duration(n(13)+n(14)) * tick
}

// resident is the memory a process holds, and the most it held, in MiB.
func resident(pid int) (now, most float64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if len(f) != 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[0], 64)
		switch name {
		case "VmRSS":
			now = kb / 1024
		case "VmHWM":
			most = kb / 1024
		}
	}
	return now, most
}
