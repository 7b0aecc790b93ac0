package main

import (
	"context"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A pace says how long to wait for a module.
type pace struct {
	poll  time.Duration
	most  time.Duration // in all
	quiet time.Duration // while it waits and says nothing in its log
}

// unhurried is long enough for the modules that wait for a code and a request_uri to
// expire, which is a minute, and then look again.
func unhurried() pace {
	return pace{poll: time.Second, most: 5 * time.Minute, quiet: 100 * time.Second}
}

// The outcomes of a module: the suite's own, and two of ours.
const (
	passed   = "PASSED"
	warning  = "WARNING"
	review   = "REVIEW"
	skipped  = "SKIPPED"
	failed   = "FAILED"
	stuck    = "STUCK"   // waited for something that never came
	unstated = "UNKNOWN" // over, without a result
)

// A Result is how one module ended.
type Result struct {
	Plan    string   `json:"plan"` // our name for it
	Module  string   `json:"module"`
	Variant string   `json:"variant,omitempty"` // where one module stands in a plan more than once
	Outcome string   `json:"outcome"`
	Notes   []Note   `json:"notes,omitempty"` // what was not as it should be
	Pages   []string `json:"pages,omitempty"` // titles of the pages the browser photographed
	Seconds float64  `json:"seconds"`
	ID      string   `json:"id"`
}

// A Note is a condition of the suite that did not simply succeed.
type Note struct {
	Result    string `json:"result"`
	Condition string `json:"condition"`
	Message   string `json:"message"`
}

// A runner runs plans and keeps what came out.
type runner struct {
	suite *suite
	// act does what a module waits for, when its log says so; nil: none does.
	act  func(ctx context.Context) error
	dir  string // of logs
	pace pace
	say  func(format string, args ...any)
}

// runPlan creates the plan and runs its modules, those that only names when it names
// any.
func (r *runner) runPlan(ctx context.Context, p plan, config []byte, only []string) ([]Result, error) {
	made, err := r.suite.createPlan(ctx, p.Name, p.Variant, config)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, m := range made.Modules {
		count[m.Name]++
	}
	var results []Result
	for _, m := range made.Modules {
		if len(only) > 0 && !slices.ContainsFunc(only, func(o string) bool { return strings.Contains(m.Name, o) }) {
			continue
		}
		one, err := r.runModule(ctx, made.ID, m)
		if err != nil {
			return results, fmt.Errorf("%s: %w", m.Name, err)
		}
		one.Plan = p.Key
		if count[m.Name] > 1 {
			one.Variant = describe(m.Variant)
		}
		r.say("%-8s %5.1fs  %s %s\n", one.Outcome, one.Seconds, one.Module, one.Variant)
		for _, n := range one.Notes {
			r.say("           %s %s: %s\n", n.Result, n.Condition, n.Message)
		}
		results = append(results, one)
	}
	return results, r.suite.deletePlan(ctx, made.ID)
}

// describe spells a variant the same way each time.
func describe(variant map[string]string) string {
	var all []string
	for k, v := range variant {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (r *runner) runModule(ctx context.Context, plan string, m planModule) (Result, error) {
	begun := time.Now()
	id, err := r.suite.start(ctx, plan, m)
	if err != nil {
		return Result{}, err
	}
	outcome, err := r.wait(ctx, id, begun)
	if err != nil {
		return Result{}, err
	}
	entries, raw, err := r.suite.log(ctx, id)
	if err != nil {
		return Result{}, err
	}
	// The last run of each module is kept whole: a table does not say why.
	if err := os.WriteFile(filepath.Join(r.dir, m.Name+".json"), raw, 0o600); err != nil {
		return Result{}, err
	}
	return Result{Module: m.Name, Outcome: outcome, Notes: notes(entries), Pages: pages(entries), Seconds: time.Since(begun).Seconds(), ID: id}, nil
}

// wait follows a module to its end, or to where it will not move any more.
func (r *runner) wait(ctx context.Context, id string, begun time.Time) (string, error) {
	var seen int
	var acted bool
	moved := begun
	for {
		info, err := r.suite.info(ctx, id)
		if err != nil {
			return "", err
		}
		if info.Status == stateFinished || info.Status == stateInterrupted {
			return outcome(info), nil
		}
		if !acted && r.act != nil {
			if acted, err = r.asked(ctx, id); err != nil {
				return "", err
			}
		}
		now := time.Now()
		if info.Status != stateWaiting && info.Status != stateConfigured {
			moved = now
		} else {
			entries, _, err := r.suite.log(ctx, id)
			if err != nil {
				return "", err
			}
			if len(entries) != seen {
				seen, moved = len(entries), now
			}
		}
		if now.Sub(begun) > r.pace.most || now.Sub(moved) > r.pace.quiet {
			return stuck, r.suite.stop(ctx, id)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(r.pace.poll):
		}
	}
}

// please is in the entry by which a module asks for something to happen.
const please = "Please trigger these events"

// asked looks whether a module has asked for something to happen, and has it happen.
func (r *runner) asked(ctx context.Context, id string) (bool, error) {
	entries, _, err := r.suite.log(ctx, id)
	if err != nil || !slices.ContainsFunc(entries, func(e logEntry) bool { return strings.Contains(e.Message, please) }) {
		return false, err
	}
	return true, r.act(ctx)
}

func outcome(i moduleInfo) string {
	if slices.Contains([]string{passed, warning, review, skipped, failed}, i.Result) {
		if i.Status == stateInterrupted && i.Result != skipped {
			return failed
		}
		return i.Result
	}
	return unstated
}

// notes are the entries that somebody has to look at.
func notes(entries []logEntry) []Note {
	var all []Note
	for _, e := range entries {
		if !slices.Contains([]string{"FAILURE", warning, review, skipped}, e.Result) {
			continue
		}
		const most = 300
		text := e.Message
		if e.Error != "" && !strings.Contains(text, e.Error) {
			text += " (" + e.Error + ")"
		}
		text = strings.Join(strings.Fields(text), " ")
		if cut := []rune(text); len(cut) > most {
			text = string(cut[:most]) + "…"
		}
		n := Note{e.Result, e.Source, text}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

var title = regexp.MustCompile(`(?s)<title>\s*(.*?)\s*(?: · .*)?</title>`)

// pages are the titles of what was photographed, without the name of the site.
func pages(entries []logEntry) []string {
	var all []string
	for _, e := range entries {
		if e.Page == "" {
			continue
		}
		found := title.FindStringSubmatch(e.Page)
		if found == nil {
			found = []string{"", "a page without a title"}
		}
		all = append(all, html.UnescapeString(found[1]))
	}
	return all
}
