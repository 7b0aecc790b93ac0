package ecardid_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms is the floor plan (ARCHITECTURE.md): which room may open a door to which.
// "internal" and "identity" are under everyone's feet. A room that is not named
// here does not belong to the house.
var rooms = map[string][]string{
	"cmd":       {"server", "authn", "oauth", "liveness", "storage", "account", "console", "templates", "audit"},
	"server":    {"authn", "oauth", "liveness", "account", "console", "templates", "audit"},
	"authn":     {"liveness", "templates", "audit"},
	"oauth":     {"audit"},
	"liveness":  {},
	"account":   {"authn", "templates", "audit"},
	"console":   {"authn", "templates", "audit"},
	"templates": {},
	"audit":     {},
	"storage":   {"authn", "oauth", "liveness", "account", "console", "audit"},
	"rp":        {},
	"identity":  {},
	"internal":  {},
	"e2e":       {"cmd", "server", "authn", "oauth", "liveness", "storage", "account", "console", "templates", "audit", "rp"},
}

// keepers says which library is whose alone.
var keepers = map[string][]string{
	"github.com/ory/fosite":               {"oauth"},
	"github.com/jackc/pgx":                {"storage", "internal/pgtest"},
	"modernc.org/sqlite":                  {"storage"},
	"database/sql":                        {"storage"},
	"github.com/go-webauthn":              {"authn/passkey"},
	"github.com/pquerna/otp":              {"authn/totp"},
	"github.com/spf13/cobra":              {"cmd"},
	"github.com/prometheus/client_golang": {"server", "cmd"},
	"go.opentelemetry.io":                 {"server", "cmd"},
	"github.com/coreos/go-oidc":           {"cmd/ecardid/internal/pension", "e2e"},
	"github.com/emmansun/gmsm":            {"internal", "authn/totp", "authn/password", "audit", "liveness"},
	"github.com/boombuler/barcode":        {"templates"},
	"github.com/chromedp":                 {"e2e"},
	"github.com/go-jose/go-jose":          {"oauth"},
}

// TestArchitecture reads the imports of every source file that ships. It parses
// the files itself, so that no cache can answer for them.
func TestArchitecture(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); path != "." && (strings.HasPrefix(n, ".") || n == "testdata" || n == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		dir := filepath.ToSlash(filepath.Dir(path))
		room, _, _ := strings.Cut(dir, "/")
		doors, known := rooms[room]
		if !known {
			t.Errorf("%s: there is no room %q on the plan", path, room)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			for lib, keeper := range keepers {
				if (name == lib || strings.HasPrefix(name, lib+"/")) && !slices.ContainsFunc(keeper, func(k string) bool { return dir == k || strings.HasPrefix(dir, k+"/") }) {
					t.Errorf("%s imports %s, which only %s may", path, name, strings.Join(keeper, " and "))
				}
			}
			ours, ok := strings.CutPrefix(name, "ecardid/")
			if !ok {
				continue
			}
			to, _, _ := strings.Cut(ours, "/")
			switch {
			case to == room:
			case to == "internal" || to == "identity":
				if room == "identity" && to == "internal" {
					continue
				}
				if room == "internal" && to == "identity" {
					t.Errorf("%s imports %s: internal rooms carry the house, they do not look into it", path, name)
				}
			case !slices.Contains(doors, to):
				t.Errorf("%s imports %s: there is no door from %s to %s on the plan", path, name, room, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d source files found: the test looked in the wrong place", files)
	}
}
