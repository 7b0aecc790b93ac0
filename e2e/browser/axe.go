package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/chromedp/chromedp"
)

// A Finding is a rule of axe-core that the page breaks.
type Finding struct {
	Rule, Impact, Help string
	Where              []string // selectors
}

func (f Finding) String() string {
	return fmt.Sprintf("%s (%s): %s at %s", f.Rule, f.Impact, f.Help, strings.Join(f.Where, ", "))
}

// Accessible fails the test for every rule of axe-core that the page breaks.
func (b *Tab) Accessible(page string, rules ...string) {
	b.t.Helper()
	for _, f := range b.Axe(rules...) {
		b.t.Errorf("%s: %s", page, f)
	}
}

// Axe runs axe-core over the page, with all its rules or those that are named.
func (b *Tab) Axe(rules ...string) []Finding {
	b.t.Helper()
	src, err := axeSource()
	if err != nil {
		b.t.Fatal(err)
	}
	evaluate[chromedp.Void](b, "if(!window.axe){"+src+"\n}")
	options := map[string]any{"resultTypes": []string{"violations"}}
	if len(rules) > 0 {
		options["runOnly"] = rules
	}
	asked, err := json.Marshal(options)
	if err != nil {
		b.t.Fatal(err)
	}
	raw := evaluate[[]byte](b, `axe.run(document,`+string(asked)+`).then(r=>r.violations.map(v=>(
		{Rule:v.id,Impact:v.impact||"",Help:v.help,Where:v.nodes.map(n=>n.target.join(" "))})))`, chromedp.EvalAwaitPromise)
	var found []Finding
	if err := json.Unmarshal(raw, &found); err != nil {
		b.t.Fatalf("reading what axe found: %v", err)
	}
	return found
}

var axeSource = sync.OnceValues(func() (string, error) {
	e2e, err := home()
	if err != nil {
		return "", err
	}
	src, err := os.ReadFile(filepath.Join(e2e, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", errors.New("axe-core is not installed: npm ci in the folder e2e (make test does it)")
	}
	return string(src), nil
})
