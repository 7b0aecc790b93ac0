package footprint

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releaseProgram takes the pages of the program's own file out of this process's
// memory. Each comes back from the page cache when it is next used; those that only
// starting used, a third of them and more, do not. What cannot be read or released
// stays where it is: nothing depends on it.
func releaseProgram() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, s := range unwritten(maps, program) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, s.from, s.to-s.from, syscall.MADV_DONTNEED)
	}
}

// A span is a range of addresses.
type span struct{ from, to uintptr }

// unwritten reads /proc/self/smaps (proc_pid_smaps(5)) and returns the parts of the
// program that are as they are in its file. A page that was written to, by the
// dynamic linker for one, is this process's alone, and lost when it is released: a
// part that may be written or has such a page is not returned.
func unwritten(maps io.Reader, program string) []span {
	var all []span
	var part span
	ours := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			part, ours = header(fields, program)
		case ours && len(fields) == 3 && fields[0] == "Anonymous:":
			if fields[1] == "0" {
				all = append(all, part)
			}
			ours = false
		}
	}
	return all
}

// header reads the first line about a part: range, permissions, offset, device, inode,
// and file if there is one.
func header(fields []string, program string) (span, bool) {
	if len(fields) != 6 || fields[5] != program || !strings.HasPrefix(fields[1], "r-") {
		return span{}, false
	}
	low, high, _ := strings.Cut(fields[0], "-")
	from, err1 := strconv.ParseUint(low, 16, strconv.IntSize)
	to, err2 := strconv.ParseUint(high, 16, strconv.IntSize)
	return span{uintptr(from), uintptr(to)}, err1 == nil && err2 == nil && from < to
}
