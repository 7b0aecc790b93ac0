package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ecardid/authn/risk"
)

const maxRules = 256 << 10

func riskCommand(e *env) *cobra.Command {
	test := &cobra.Command{
		Use: "test FILE", Short: "Run the tests that stand beside rules about sign-ins", Args: exactly("FILE"),
		Long: "Run the tests that stand beside rules about sign-ins, in the same file (- for standard input). Neither\n" +
			"configuration nor database is needed. A file whose tests fail is not loaded by serve either.",
		RunE: func(_ *cobra.Command, args []string) error { return e.testRules(args[0]) },
	}
	return group("risk", "Rules that sign-ins are weighed by", test)
}

// errRules: rules that do not do what is written beside them.
var errRules = errors.New("these rules do not do what their tests say")

func (e *env) testRules(path string) error {
	text, err := e.readRules(path)
	if err != nil {
		return err
	}
	p, cases, err := risk.Read(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	type result struct {
		Name    string `json:"name"`
		Want    string `json:"want"`
		Passed  bool   `json:"passed"`
		Problem string `json:"problem,omitempty"`
	}
	all, failed := make([]result, 0, len(cases)), 0
	rows := make([][]string, 0, len(cases))
	for _, c := range cases {
		one := result{Name: c.Name, Want: c.Want.String(), Passed: true}
		verdict := "ok"
		if err := c.Run(p); err != nil {
			one.Passed, one.Problem, verdict = false, err.Error(), "FAILED: "+err.Error()
			failed++
		}
		all, rows = append(all, one), append(rows, []string{c.Name, c.Want.String(), verdict})
	}
	if err := e.print(map[string]any{"rules": len(p.Rules), "dry_run": p.DryRun, "tests": all}, []string{"TEST", "WANT", ""}, rows); err != nil {
		return err
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%s: %d of %d: %w", path, failed, len(cases), errRules)
	case e.json:
		return nil
	}
	return e.said(nil, "%d rules, %d tests, all as written", len(p.Rules), len(cases))
}

func (e *env) readRules(path string) ([]byte, error) {
	in := e.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading rules: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRules+1))
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	if len(text) > maxRules {
		return nil, fmt.Errorf("%s is longer than %d kB", path, maxRules>>10)
	}
	return text, nil
}
