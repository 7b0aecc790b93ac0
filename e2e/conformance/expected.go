package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// An Expectation is what a module may end with beside PASSED, and why that is right.
type Expectation struct {
	Result     string   `json:"result"`
	Conditions []string `json:"conditions,omitempty"` // those that may warn, for WARNING
	Pages      []string `json:"pages,omitempty"`      // titles of what may be photographed, for REVIEW
	Plans      []string `json:"plans,omitempty"`      // where; everywhere when empty
	Why        string   `json:"why"`
}

// Expected says, for every module that does not simply pass, what is expected of it.
type Expected map[string][]Expectation

func readExpected(file string) (Expected, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var e Expected
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for module, all := range e {
		for _, x := range all {
			if !slices.Contains([]string{warning, review, skipped}, x.Result) {
				return nil, fmt.Errorf("%s: %s: nothing but a warning, a review or a skipped module can be expected, not %q", file, module, x.Result)
			}
			if strings.TrimSpace(x.Why) == "" {
				return nil, fmt.Errorf("%s: %s: why is missing", file, module)
			}
			if x.Result == warning && len(x.Conditions) == 0 {
				return nil, fmt.Errorf("%s: %s: a warning names its conditions", file, module)
			}
			if x.Result == review && len(x.Pages) == 0 {
				return nil, fmt.Errorf("%s: %s: a review names the pages there are to see", file, module)
			}
		}
	}
	return e, nil
}

// Judge says whether r is as expected, and why it is right when it is not a plain
// pass.
func (e Expected) Judge(r Result) (why string, ok bool) {
	if r.Outcome == passed {
		return "", true
	}
	for _, x := range e[r.Module] {
		if x.Result != r.Outcome || len(x.Plans) > 0 && !slices.Contains(x.Plans, r.Plan) {
			continue
		}
		if r.Outcome == warning && slices.ContainsFunc(r.Notes, func(n Note) bool {
			return n.Result == warning && !slices.Contains(x.Conditions, n.Condition)
		}) {
			continue
		}
		if r.Outcome == review && (len(r.Pages) == 0 || slices.ContainsFunc(r.Pages, func(p string) bool { return !slices.Contains(x.Pages, p) })) {
			continue
		}
		return x.Why, true
	}
	return "", false
}
