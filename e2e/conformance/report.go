package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keep stores the results of a plan. Modules that were not run this time keep what
// they had.
func keep(dir, key string, results []Result) error {
	all, err := kept(dir, key)
	if err != nil {
		return err
	}
	for _, r := range results {
		same := func(o Result) bool { return o.Module == r.Module && o.Variant == r.Variant }
		if at := slices.IndexFunc(all, same); at >= 0 {
			all[at] = r
		} else {
			all = append(all, r)
		}
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, key+".json"), b, 0o600)
}

func kept(dir, key string) ([]Result, error) {
	b, err := os.ReadFile(filepath.Join(dir, key+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Result
	return all, json.Unmarshal(b, &all)
}

// table writes the results of the plans as Markdown: the counts first, then what did
// not simply pass and why that is so, then every module.
func table(all []plan, results map[string][]Result, expected Expected) string {
	var b strings.Builder
	b.WriteString("| plan | variant | modules | passed | warning | review | skipped | failed |\n|---|---|---|---|---|---|---|---|\n")
	for _, p := range all {
		count := map[string]int{}
		for _, r := range results[p.Key] {
			count[r.Outcome]++
		}
		total := len(results[p.Key])
		if total == 0 {
			continue
		}
		bad := total - count[passed] - count[warning] - count[review] - count[skipped]
		fmt.Fprintf(&b, "| `%s`: %s | %s | %d | %d | %d | %d | %d | %d |\n", p.Key, p.Name, cell(describe(p.Variant)), total,
			count[passed], count[warning], count[review], count[skipped], bad)
	}
	for _, p := range all {
		if len(results[p.Key]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n| module | result | why |\n|---|---|---|\n", p.Key)
		for _, r := range results[p.Key] {
			why, ok := expected.Judge(r)
			if !ok {
				why = "**not as expected**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(strings.TrimSpace(r.Module+" "+r.Variant)), r.Outcome, cell(why))
		}
	}
	return b.String()
}

// cell escapes what would end a cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// The lines of a report between which the table stands.
const (
	tableBegins = "<!-- results: begin -->\n"
	tableEnds   = "<!-- results: end -->\n"
)

// insert replaces what stands between the two lines of a document.
func insert(document, table string) (string, error) {
	before, rest, ok := strings.Cut(document, tableBegins)
	_, after, closed := strings.Cut(rest, tableEnds)
	if !ok || !closed {
		return "", errors.New("the report has no place for the results")
	}
	return before + tableBegins + table + tableEnds + after, nil
}
