package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRiskTest: rules whose tests pass, rules whose tests fail, and what are no rules.
func TestRiskTest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.yaml":   "rules: [{id: away, when: {new_place: true}, decision: hold, for: 5m}]\ntests:\n  - {name: at home, facts: {}, want: allow}\n  - {name: away, facts: {new_place: true}, want: hold, rules: [away]}\n",
		"wrong.yaml":  "rules: [{id: away, when: {new_place: true}, decision: hold, for: 5m}]\ntests: [{name: away, facts: {new_place: true}, want: refuse}]\n",
		"broken.yaml": "rules: [{id: away, when: {moon: full}, decision: hold, for: 5m}]\n",
		"config.json": "{}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"ecardid risk":                                    "risk needs one of its commands|[exit 2]",
		"ecardid risk test":                               "takes 1 arguments|[exit 2]",
		"ecardid risk test $DIR/nowhere.yaml":             "no such file|[exit 1]",
		"ecardid risk test $DIR/good.yaml":                "at home|allow|away|hold|ok|1 rules, 2 tests, all as written|[exit 0]",
		"ecardid risk test - < good.yaml":                 "all as written|[exit 0]",
		"ecardid risk test $DIR/good.yaml --json":         `"passed": true|"want": "hold"|[exit 0]`,
		"ecardid risk test $DIR/wrong.yaml":               "FAILED: away: hold by [away], want refuse|1 of 1|[exit 1]",
		"ecardid risk test $DIR/wrong.yaml --json":        `"passed": false|"problem": "away: hold|[exit 1]`,
		"ecardid risk test $DIR/broken.yaml":              "broken.yaml: line 1: field moon not found|[exit 1]",
		"ecardid risk test ../../authn/risk/default.yaml": "all as written|[exit 0]",
	} {
		got := typed(t, &env{}, dir, line)
		for _, part := range strings.Split(want, "|") {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q does not say %q", line, got, part)
			}
		}
	}
}
