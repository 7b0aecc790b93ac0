//go:build unix && !linux

package pgtest

import (
	"errors"
	"os/exec"
	"syscall"
)

// restrain makes cmd run as who. Only Linux can tie its life to ours; elsewhere a
// killed test leaves its server running.
func restrain(cmd *exec.Cmd, who *account) {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if who != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid}
	}
}

// alive reports whether there is a process with this id.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
