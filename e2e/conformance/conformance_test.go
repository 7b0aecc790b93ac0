package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/oauth"
	"ecardid/oauth/catalogue"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	e := Expected{
		"one": {{Result: review, Pages: []string{"Sign in"}, Why: "a picture"}, {Result: warning, Conditions: []string{"Small"}, Plans: []string{"a"}, Why: "known"}},
	}
	note := func(result, condition string) Note { return Note{Result: result, Condition: condition} }
	for _, tt := range []struct {
		name string
		r    Result
		why  string
		ok   bool
	}{
		{"passed", Result{Module: "two", Outcome: passed}, "", true},
		{"a pass is never unexpected", Result{Module: "one", Outcome: passed}, "", true},
		{"review", Result{Module: "one", Plan: "b", Outcome: review, Pages: []string{"Sign in", "Sign in"}}, "a picture", true},
		{"a picture of something else", Result{Module: "one", Plan: "b", Outcome: review, Pages: []string{"Sign in", "Oops"}}, "", false},
		{"no picture", Result{Module: "one", Plan: "b", Outcome: review}, "", false},
		{"warning", Result{Module: "one", Plan: "a", Outcome: warning, Notes: []Note{note(warning, "Small"), note(review, "Large")}}, "known", true},
		{"another condition warns", Result{Module: "one", Plan: "a", Outcome: warning, Notes: []Note{note(warning, "Small"), note(warning, "Large")}}, "", false},
		{"in another plan", Result{Module: "one", Plan: "b", Outcome: warning, Notes: []Note{note(warning, "Small")}}, "", false},
		{"nobody said so", Result{Module: "two", Outcome: skipped}, "", false},
		{"failed", Result{Module: "one", Plan: "a", Outcome: failed}, "", false},
		{"stuck", Result{Module: "one", Plan: "a", Outcome: stuck}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if why, ok := e.Judge(tt.r); why != tt.why || ok != tt.ok {
				t.Errorf("got %q, %v", why, ok)
			}
		})
	}
}

// TestNothingBadIsExpected: a failure cannot be written down as expected.
func TestNothingBadIsExpected(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"failure":         `{"m":[{"result":"FAILED","why":"so"}]}`,
		"without why":     `{"m":[{"result":"REVIEW","why":" "}]}`,
		"any picture":     `{"m":[{"result":"REVIEW","why":"so"}]}`,
		"any warning":     `{"m":[{"result":"WARNING","why":"so"}]}`,
		"no JSON":         `{`,
		"not a condition": `{"m":[{"result":"WARNING","conditions":"x","why":"so"}]}`,
	} {
		file := filepath.Join(t.TempDir(), "expected.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := readExpected(file); err == nil {
			t.Errorf("%s: read as %v", name, e)
		}
	}
	e, err := readExpected("expected.json")
	if err != nil {
		t.Fatal(err)
	}
	for module, all := range e {
		for _, x := range all {
			if _, err := choose(plans(), x.Plans); err != nil {
				t.Errorf("%s: %v", module, err)
			}
		}
	}
}

func TestParseLog(t *testing.T) {
	t.Parallel()
	entries, err := parseLog([]byte(`[
		{"src":"A","msg":"fine","result":"SUCCESS","time":5},
		{"src":"B","msg":"bad\n  thing","result":"FAILURE","error":"why","time":"soon"},
		{"src":"B","msg":"bad\n  thing","result":"FAILURE","error":"why"},
		{"src":7,"msg":{"x":1},"result":"WARNING"},
		{"src":"D","msg":"` + strings.Repeat("长", 400) + `","result":"REVIEW"}]`))
	if err != nil {
		t.Fatal(err)
	}
	got := notes(entries)
	want := []Note{{"FAILURE", "B", "bad thing (why)"}, {warning, "", ""}, {review, "D", strings.Repeat("长", 300) + "…"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	shots := []logEntry{{Page: "<html><title>\n It&#39;s over · Card · Sign-in</title>"}, {}, {Page: "<title>Plain</title>"}, {Page: "nothing"}}
	if got := pages(shots); !slices.Equal(got, []string{"It's over", "Plain", "a page without a title"}) {
		t.Errorf("got %q", got)
	}
	if _, err := parseLog([]byte(`{"error":"gone"}`)); err == nil {
		t.Error("an error was read as a log")
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	all := []plan{{Key: "a", Name: "plan-a", Variant: map[string]string{"y": "2", "x": "1"}}, {Key: "b", Name: "plan-b"}}
	results := map[string][]Result{"a": {
		{Plan: "a", Module: "m1", Outcome: passed}, {Plan: "a", Module: "m2", Variant: "v=1", Outcome: review, Pages: []string{"P"}}, {Plan: "a", Module: "m3", Outcome: failed},
	}}
	got := table(all, results, Expected{"m2": {{Result: review, Pages: []string{"P"}, Why: "this | that"}}})
	for _, line := range []string{
		"| `a`: plan-a | x=1 y=2 | 3 | 1 | 0 | 1 | 0 | 1 |\n", "| m1 | PASSED |  |\n", "| m2 v=1 | REVIEW | this \\| that |\n",
		"| m3 | FAILED | **not as expected** |\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
	if strings.Contains(got, "plan-b") {
		t.Error("a plan that was not run is in the table")
	}
	doc := "before\n" + tableBegins + "old\n" + tableEnds + "after\n"
	if text, err := insert(doc, "new\n"); err != nil || text != "before\n"+tableBegins+"new\n"+tableEnds+"after\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := insert("no place", "new"); err == nil {
		t.Error("a table went nowhere")
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := []Result{{Module: "m1", Outcome: failed}, {Module: "m2", Outcome: passed}, {Module: "m2", Variant: "v", Outcome: passed}}
	if err := keep(dir, "p", first); err != nil {
		t.Fatal(err)
	}
	if err := keep(dir, "p", []Result{{Module: "m1", Outcome: passed}}); err != nil {
		t.Fatal(err)
	}
	all, err := kept(dir, "p")
	if err != nil || len(all) != 3 || all[0].Outcome != passed {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestActivationCode(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"row", "name", "card_number", "code", "valid_until"}, {"3", "司*", "T…2", "second", ""}, {"2", "欧*", "T…1", "first", ""}}
	for n, want := range []string{"first", "second", ""} {
		if got, err := activationCode(rows, n); got != want || (err == nil) != (want != "") {
			t.Errorf("citizen %d: %q, %v", n, got, err)
		}
	}
	if _, err := activationCode(nil, 0); err == nil {
		t.Error("a code came out of an empty file")
	}
}

// TestRegistrations: what is registered for each plan is a registration our server
// takes, with scopes of the catalogue, and the suite's configuration is JSON that
// holds the private half of the same keys.
func TestRegistrations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("scopes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	scopes, err := catalogue.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := parts("clients")
	if err != nil {
		t.Fatal(err)
	}
	configs, err := parts("plans")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := fill(shapes, "resource.json", map[string]string{"ID": resourceClient, "Resource": resourceBase})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := oauth.ValidateClient(doc); err != nil || !slices.Equal(c.Resources, []string{resourceBase}) {
		t.Errorf("the test resource: %v, %v", c.Resources, err)
	}
	keys := newKeychain()
	for _, p := range plans() {
		t.Run(p.Key, func(t *testing.T) {
			s := newSetting(p, "https://suite.example")
			for _, role := range p.roles() {
				r, err := keys.registration(p, role, s.Suite)
				if err != nil {
					t.Fatal(err)
				}
				doc, err := fill(shapes, p.Clients[role], r)
				if err != nil {
					t.Fatal(err)
				}
				c, err := oauth.ValidateClient(doc)
				if err != nil {
					t.Fatalf("%s: %v\n%s", role, err, doc)
				}
				if unknown := scopes.Unknown(strings.Fields(c.Scope)); len(unknown) > 0 {
					t.Errorf("%s: no scope %v", role, unknown)
				}
				if p.Auth != "" && c.Profile != oauth.ProfileFAPI2 {
					t.Errorf("%s: profile %s", role, c.Profile)
				}
				*s.client(role) = r
			}
			doc, err := fill(configs, p.Config, s)
			if err != nil {
				t.Fatal(err)
			}
			var config struct {
				Client struct {
					JWKS struct {
						Keys []map[string]string `json:"keys"`
					} `json:"jwks"`
				} `json:"client"`
				Browser  []json.RawMessage          `json:"browser"`
				Override map[string]json.RawMessage `json:"override"`
			}
			if err := json.Unmarshal(doc, &config); err != nil {
				t.Fatal(err)
			}
			if browsed := !strings.HasPrefix(p.Key, "ssf-"); browsed != (len(config.Browser) > 0) { // nobody signs in to a stream
				t.Error("nothing for the browser to do, or too much")
			}
			if p.Auth != "" && (len(config.Client.JWKS.Keys) != 1 || config.Client.JWKS.Keys[0]["d"] == "") {
				t.Error("the suite has no private key")
			}
		})
	}
}

// fakeSuite answers like a suite with one module, whose states it goes through one by
// one; the last one stays.
func fakeSuite(t *testing.T, states ...moduleInfo) *suite {
	t.Helper()
	var asked atomic.Int64
	mux := http.NewServeMux()
	answer := func(pattern string, v func() any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v()) })
	}
	answer("POST /api/plan", func() any { return planRun{ID: "p", Modules: []planModule{{Name: "m"}, {Name: "other"}}} })
	answer("POST /api/runner", func() any { return map[string]string{"id": "t"} })
	answer("GET /api/info/t", func() any { return states[min(int(asked.Add(1)), len(states))-1] })
	answer("GET /api/log/t", func() any { return []logEntry{{Source: "C", Message: "hm. " + please, Result: warning}} })
	mux.HandleFunc("DELETE /api/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &suite{base: srv.URL, http: srv.Client()}
}

func TestRun(t *testing.T) {
	t.Parallel()
	hurried := pace{poll: time.Millisecond, most: time.Minute, quiet: 50 * time.Millisecond}
	for _, tt := range []struct {
		name   string
		states []moduleInfo
		pace   pace
		want   string
	}{
		{"warned", []moduleInfo{{Status: "RUNNING"}, {Status: stateWaiting}, {Status: stateFinished, Result: warning}}, hurried, warning},
		{"interrupted", []moduleInfo{{Status: stateInterrupted, Result: passed}}, hurried, failed},
		{"skipped", []moduleInfo{{Status: stateInterrupted, Result: skipped}}, hurried, skipped},
		{"no result", []moduleInfo{{Status: stateFinished}}, hurried, unstated},
		{"waits for ever", []moduleInfo{{Status: stateWaiting}}, hurried, stuck},
		{"runs for ever", []moduleInfo{{Status: "RUNNING"}}, pace{poll: time.Millisecond, most: 50 * time.Millisecond, quiet: time.Minute}, stuck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var said strings.Builder
			acts := 0
			act := func(context.Context) error { acts++; return nil }
			r := runner{suite: fakeSuite(t, tt.states...), act: act, dir: t.TempDir(), pace: tt.pace, say: func(f string, a ...any) { fmt.Fprintf(&said, f, a...) }}
			results, err := r.runPlan(t.Context(), plan{Key: "k"}, []byte("{}"), []string{"m"})
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != 1 || results[0].Outcome != tt.want || results[0].Plan != "k" || results[0].Module != "m" {
				t.Errorf("got %+v", results)
			}
			// A module that asks for something to happen gets it, once.
			if over := tt.states[0].Status == stateInterrupted || tt.states[0].Status == stateFinished; over && acts != 0 || !over && acts != 1 {
				t.Errorf("acted %d times", acts)
			}
			if !strings.Contains(said.String(), "hm") {
				t.Errorf("said %q", said.String())
			}
		})
	}
}

// TestOtherMachines: a certificate that nobody vouches for is taken from loopback only.
func TestOtherMachines(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"https://suite.example", "https://192.0.2.1:8443", "https://localhost.example"} {
		if _, err := suiteRoots(t.Context(), base, ""); err == nil {
			t.Errorf("%s: believed", base)
		}
	}
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	roots, err := suiteRoots(context.Background(), srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSuite(srv.URL, roots)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.call(t.Context(), http.MethodGet, "x", nil, nil, nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
}
