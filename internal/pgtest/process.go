package pgtest

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child of ours.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended; set before ended is closed
}

// startProcess starts cmd from a thread that stays until it ends: the kernel
// counts the thread, not the process, as the parent whose death it reports.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// stop asks for a fast shutdown, then for an immediate one, then kills.
func (p *process) stop(limit time.Duration) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = p.cmd.Process.Signal(sig)
		timer := time.NewTimer(limit)
		select {
		case <-p.ended:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
