package house

import (
	"os"
	"os/exec"
	"path/filepath"
)

// pgDump is the database as an operator's backup has it.
func (h *House) pgDump() []byte {
	h.t.Helper()
	names, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	h.must(err)
	if len(names) == 0 {
		if path, err := exec.LookPath("pg_dump"); err == nil {
			names = []string{path}
		}
	}
	if len(names) == 0 {
		h.t.Fatal("pg_dump is not installed: apt-get install postgresql (make test does it)")
	}
	cmd := exec.CommandContext(h.t.Context(), names[len(names)-1], "--dbname", h.DSN, "--inserts")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("pg_dump: %v", err)
	}
	return out
}
