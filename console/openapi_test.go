package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A paper is the OpenAPI document.
type paper map[string]any

func document(t testing.TB) paper {
	t.Helper()
	var p paper
	if err := json.Unmarshal(openAPI, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p paper) at(names ...string) map[string]any {
	at := map[string]any(p)
	for _, n := range names {
		at, _ = at[n].(map[string]any)
	}
	return at
}

// operation finds what the document says of an address.
func (p paper) operation(method, path string) map[string]any {
	path, _, _ = strings.Cut(path, "?")
	if item := p.at("paths", path); item != nil {
		op, _ := item[strings.ToLower(method)].(map[string]any)
		return op
	}
	for pattern, item := range p.at("paths") {
		re := "^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(pattern), `[^/]+`) + "$"
		if regexp.MustCompile(re).MatchString(path) {
			op, _ := item.(map[string]any)[strings.ToLower(method)].(map[string]any)
			return op
		}
	}
	return nil
}

// check holds an answer against the document.
func (p paper) check(t testing.TB, method, path string, status int, media string, answer any) {
	t.Helper()
	op := p.operation(method, path)
	if op == nil {
		t.Fatalf("the document knows no %s %s", method, path)
	}
	if status == http.StatusInternalServerError {
		return // no program can act on it
	}
	r, _ := op["responses"].(map[string]any)[fmt.Sprint(status)].(map[string]any)
	content, _ := r["content"].(map[string]any)
	as, _ := content[media].(map[string]any)
	if as == nil {
		t.Errorf("%s %s: the document knows no %d of %s", method, path, status, media)
		return
	}
	for _, wrong := range p.wrong(as["schema"].(map[string]any), answer, "") {
		t.Errorf("%s %s: %d: %s", method, path, status, wrong)
	}
}

// wrong lists where a value is not as a schema says (JSON Schema 2020-12, the part of it
// that the document uses).
func (p paper) wrong(schema map[string]any, v any, at string) []string {
	if ref, ok := schema["$ref"].(string); ok {
		return p.wrong(p.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), v, at)
	}
	var all []string
	bad := func(format string, args ...any) { all = append(all, at+" "+fmt.Sprintf(format, args...)) }
	switch schema["type"] {
	case "string":
		s, ok := v.(string)
		if pattern, _ := schema["pattern"].(string); !ok || pattern != "" && !regexp.MustCompile(pattern).MatchString(s) {
			bad("is %v", v)
		}
		if schema["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339, s); err != nil {
				bad("is %v", v)
			}
		}
		if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
			bad("is %v", v)
		}
	case "integer":
		if n, ok := v.(float64); !ok || n != math.Trunc(n) || n < 0 {
			bad("is %v", v)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			bad("is %v", v)
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			bad("is %v", v)
		}
		for i, one := range list {
			all = append(all, p.wrong(schema["items"].(map[string]any), one, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case "object":
		o, ok := v.(map[string]any)
		if !ok {
			bad("is %v", v)
		}
		props, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if one, ok := props[name].(map[string]any); ok {
				all = append(all, p.wrong(one, o[name], at+"."+name)...)
			} else if schema["additionalProperties"] == false {
				bad("has %s", name)
			}
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := o[name.(string)]; !ok {
				bad("has no %v", name)
			}
		}
	default:
		bad("has no type")
	}
	return all
}

// TestOpenAPI: every route is in the document and every operation of it a route.
func TestOpenAPI(t *testing.T) {
	c, p := newCentre(t), document(t)
	var routes, described []string
	for _, r := range c.s.APIRoutes() {
		routes = append(routes, r.Method+" "+strings.TrimPrefix(r.Pattern, apiPath))
		body := p.operation(r.Method, strings.TrimPrefix(r.Pattern, apiPath))["requestBody"]
		if (body != nil) != (r.Takes == jsonType) {
			t.Errorf("%s %s: takes %q, and the document says %v", r.Method, r.Pattern, r.Takes, body)
		}
	}
	for path, item := range p.at("paths") {
		for method, op := range item.(map[string]any) {
			described = append(described, strings.ToUpper(method)+" "+path)
			for _, s := range op.(map[string]any)["security"].([]any) {
				for _, scopes := range s.(map[string]any) {
					for _, one := range scopes.([]any) {
						if !slices.Contains(Scopes(), one.(string)) {
							t.Errorf("%s: scope %v", path, one)
						}
					}
				}
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if !slices.Equal(routes, described) {
		t.Errorf("routes %q\ndocument %q", routes, described)
	}
	var acts []string
	for _, a := range p.at("components", "schemas", "Order", "properties", "act")["enum"].([]any) {
		acts = append(acts, a.(string))
	}
	for _, a := range actsOf([]string{ScopeLoss, ScopeDevices, ScopeRequest}) {
		if !slices.Contains(acts, string(a)) {
			t.Errorf("%s is not in the document", a)
		}
		acts = slices.DeleteFunc(acts, func(s string) bool { return s == string(a) })
	}
	if len(acts) > 0 {
		t.Errorf("no program may %q", acts)
	}
	if p.at("servers") == nil && p["servers"].([]any)[0].(map[string]any)["url"] != apiPath {
		t.Error("the document is of another address")
	}
}
