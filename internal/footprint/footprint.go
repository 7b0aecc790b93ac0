package footprint

import (
	"os"
	"runtime/debug"
)

const (
	// softLimit is what the collector works towards once the heap comes near it: a
	// flood of sign-ins leaves 19 MiB of garbage a password. It is no hard limit.
	softLimit = 56 << 20
	// growth is how much may be allocated before the collector runs again, in percent
	// of what lives. Little does, some 4 MiB, so that the default of 100 has it run
	// dozens of times a second under load: a tenth of the processor for 5 MiB.
	growth = 200
)

// Settle gives back what starting needed, and keeps the process small from then on.
// GOMEMLIMIT and GOGC override it. It is called once, when everything is built and
// before anything is served.
func Settle() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
	debug.FreeOSMemory()
	releaseProgram()
}
