package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ecardid/internal/pgtest"
)

// options are the flags.
type options struct {
	suite, ca, dir, program, database, report string
	plans, modules                            []string
	keep, list, render                        bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, flags())
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1)
	}
}

func flags() options {
	var o options
	flag.StringVar(&o.suite, "suite", "https://localhost:8443", "where the conformance suite is")
	flag.StringVar(&o.ca, "ca", "", "PEM `file` of certificates to trust it by; left out: what it shows, on this machine only")
	flag.StringVar(&o.dir, "dir", "e2e/conformance", "this folder, seen from where the command runs")
	flag.StringVar(&o.program, "op", "", "the ecardid program; left out: it is built")
	flag.StringVar(&o.database, "database", "", "an empty `database`, sqlite:PATH or postgres://…, or the word postgres for a server of our own on this machine; left out: a new SQLite file in run/")
	flag.StringVar(&o.report, "report", "", "Markdown `file` to put the table of all results in run/ into, when the plans are over")
	flag.BoolVar(&o.keep, "keep", false, "go on serving when the plans are over, until interrupted")
	flag.BoolVar(&o.render, "render", false, "run nothing, write the report only")
	flag.BoolVar(&o.list, "list", false, "list the plans and do nothing")
	list := func(to *[]string) func(string) error {
		return func(s string) error { *to = strings.Split(s, ","); return nil }
	}
	flag.Func("plan", "run only these plans, by `names` of -list separated by commas", list(&o.plans))
	flag.Func("module", "run only modules whose name contains one of these `parts`", list(&o.modules))
	flag.Parse()
	o.suite = strings.TrimSuffix(o.suite, "/")
	return o
}

// run does everything. It reports whether all that ran ended as expected.
func run(ctx context.Context, opt options) (ok bool, err error) {
	chosen, err := choose(plans(), opt.plans)
	if err != nil {
		return false, err
	}
	if opt.list {
		for _, p := range chosen {
			fmt.Printf("%-20s %s %s\n", p.Key, p.Name, describe(p.Variant))
		}
		return true, nil
	}
	expected, err := readExpected(filepath.Join(opt.dir, "expected.json"))
	if err != nil {
		return false, err
	}
	resultDir := filepath.Join(opt.dir, "run", "results")
	if opt.render {
		return true, writeReport(opt.report, resultDir, expected)
	}
	if err := os.MkdirAll(resultDir, 0o700); err != nil {
		return false, err
	}
	o := &op{dir: opt.dir, program: opt.program, database: opt.database, keys: newKeychain(), secrets: map[string]string{}}
	roots, err := suiteRoots(ctx, opt.suite, opt.ca)
	if err != nil {
		return false, err
	}
	s, err := newSuite(opt.suite, roots)
	if err != nil {
		return false, err
	}
	if opt.database == "postgres" {
		cluster, startErr := pgtest.Start(ctx, pgtest.Options{})
		if startErr != nil {
			return false, startErr
		}
		defer func() { err = errors.Join(err, cluster.Stop()) }()
		if o.database, _, err = cluster.Create(ctx, "", nil); err != nil {
			return false, err
		}
	}
	configs, err := open(ctx, o, roots, chosen, opt.suite)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, o.stop()) }()
	stopResource, err := o.serveResource()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, stopResource()) }()

	unexpected := 0
	for _, p := range chosen {
		fmt.Printf("== %s: %s\n", p.Key, p.Name)
		results, err := runOne(ctx, o, s, p, configs[p.Key], opt)
		if err != nil {
			unexpected++
			fmt.Fprintf(os.Stderr, "conformance: %s: %v\n", p.Key, err)
		}
		for _, r := range results {
			if _, ok := expected.Judge(r); !ok {
				unexpected++
				fmt.Printf("NOT AS EXPECTED: %s %s %s\n", r.Module, r.Variant, r.Outcome)
			}
		}
		if err := keep(resultDir, p.Key, results); err != nil {
			return false, err
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	wrong, err := o.complaints()
	if err != nil {
		return false, err
	}
	for _, line := range wrong {
		unexpected++
		fmt.Println("THE SERVER LOGGED:", line)
	}
	if opt.report != "" {
		if err := writeReport(opt.report, resultDir, expected); err != nil {
			return false, err
		}
	}
	if opt.keep {
		fmt.Println("serving at", issuer, "until interrupted")
		<-ctx.Done()
	}
	fmt.Printf("%d not as expected\n", unexpected)
	return unexpected == 0, nil
}

func choose(all []plan, names []string) ([]plan, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []plan
	for _, n := range names {
		at := slices.IndexFunc(all, func(p plan) bool { return p.Key == n })
		if at < 0 {
			return nil, fmt.Errorf("there is no plan %q: see -list", n)
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

// open brings a fresh ecardid up, with its citizens and the plans' applications, and
// returns the suite's configuration for each plan. A running server would take a
// moment to hear of the applications; so they are there before it.
func open(ctx context.Context, o *op, roots []byte, chosen []plan, suiteURL string) (map[string][]byte, error) {
	if o.database == "" {
		file, err := filepath.Abs(o.run("op.db"))
		if err != nil {
			return nil, err
		}
		old, err := filepath.Glob(file + "*")
		if err != nil {
			return nil, err
		}
		for _, f := range old {
			if err := os.Remove(f); err != nil {
				return nil, err
			}
		}
		o.database = "sqlite:" + file
	}
	if err := o.prepare(roots); err != nil {
		return nil, err
	}
	if err := o.build(ctx); err != nil {
		return nil, err
	}
	if _, err := o.do(ctx, nil, "migrate"); err != nil {
		return nil, err
	}
	if err := o.applyResource(ctx); err != nil {
		return nil, err
	}
	configs := map[string][]byte{}
	for _, p := range chosen {
		var err error
		if configs[p.Key], err = furnish(ctx, o, p, suiteURL); err != nil {
			return nil, err
		}
	}
	if err := o.start(ctx); err != nil {
		return nil, err
	}
	people := []citizen{holder, refuser}
	for _, p := range chosen {
		if p.Told != nil {
			people = append(people, *p.Told)
		}
	}
	if err := o.bring(ctx, people...); err != nil {
		return nil, errors.Join(err, o.stop())
	}
	return configs, nil
}

func runOne(ctx context.Context, o *op, s *suite, p plan, config []byte, opt options) ([]Result, error) {
	logs := o.run(filepath.Join("logs", p.Key))
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return nil, err
	}
	r := runner{suite: s, act: o.happen(p), dir: logs, pace: unhurried(), say: func(format string, args ...any) { fmt.Printf(format, args...) }}
	return r.runPlan(ctx, p, config, opt.modules)
}

func writeReport(file, resultDir string, expected Expected) error {
	results := map[string][]Result{}
	for _, p := range plans() {
		all, err := kept(resultDir, p.Key)
		if err != nil {
			return err
		}
		results[p.Key] = all
	}
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := insert(string(document), table(plans(), results, expected))
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
