package footprint

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the dynamic linker wrote to and what may be written is never released.
func TestUnwritten(t *testing.T) {
	const maps = `00400000-0155f000 r-xp 00000000 fe:00 10029842                           /srv/ecardid
Size:              17788 kB
Rss:               14396 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
0155f000-02898000 r--p 0115f000 fe:00 10029842                           /srv/ecardid
Anonymous:             8 kB
02898000-0296f000 rw-p 02498000 fe:00 10029842                           /srv/ecardid
Anonymous:             0 kB
0296f000-02970000 r--p 02498000 fe:00 10029842                           /srv/ecardid (deleted)
Anonymous:             0 kB
02a00000-02b00000 r--p 02498000 fe:00 10029842                           /srv/ecardid
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 7                          /lib/libc.so.6
Anonymous:             0 kB
7f0000001000-7f0000002000 r--p 00000000 00:00 0
Anonymous:             0 kB
`
	want := []span{{0x400000, 0x155f000}, {0x2a00000, 0x2b00000}}
	if got := unwritten(strings.NewReader(maps), "/srv/ecardid"); !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// The program goes on, and is smaller. It does so in a process of its own: the
// collector's settings are everybody's.
func TestSettle(t *testing.T) {
	const variable = "ECARDID_FOOTPRINT_TEST"
	if os.Getenv(variable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSettle$", "-test.v")
		cmd.Env = append(os.Environ(), variable+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	before := fromFiles(t)
	Settle()
	after := fromFiles(t)
	if after >= before {
		t.Errorf("%d kB of files before, %d kB after", before, after)
	}
}

// fromFiles is how much of this process's memory are pages of files, in kB.
func fromFiles(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
