package templates

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

func config() Config { return Config{Authority: "示例", Domain: "login.ecard.example"} }

// changed is a copy of the embedded files with one of them rewritten.
func changed(t *testing.T, from fs.FS, name string, edit func([]byte) []byte) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(from, path)
		files[path] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var before []byte
	if f := files[name]; f != nil {
		before = f.Data
	}
	if after := edit(before); after != nil {
		files[name] = &fstest.MapFile{Data: after}
	} else {
		delete(files, name)
	}
	return files
}

func sentences(edit func(map[string]string)) func([]byte) []byte {
	return func(b []byte) []byte {
		var m map[string]string
		if json.Unmarshal(b, &m) != nil {
			return nil
		}
		edit(m)
		b, _ = json.Marshal(m)
		return b
	}
}

// TestNewRefuses: a build with half a translation or half a page does not start.
func TestNewRefuses(t *testing.T) {
	replace := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) }
	}
	for _, tc := range []struct {
		name, file, want string
		edit             func([]byte) []byte
	}{
		{"no english", "locales/en.json", "en.json", func([]byte) []byte { return nil }},
		{"broken json", "locales/en.json", "sentences in en", func([]byte) []byte { return []byte("{") }},
		{"a sentence is missing", "locales/en.json", "en lacks the sentence login.title", sentences(func(m map[string]string) { delete(m, "login.title") })},
		{"a message is missing", "locales/zh-CN.json", "zh-CN lacks the sentence problem.code", sentences(func(m map[string]string) { delete(m, "problem.code") })},
		{"a sentence is empty", "locales/en.json", "is empty", sentences(func(m map[string]string) { m["login.title"] = " " })},
		{"nobody says it", "locales/en.json", "nobody says login.old", sentences(func(m map[string]string) { m["login.old"] = "x" })},
		{"a gap is lost", "locales/en.json", "has gaps", sentences(func(m map[string]string) { m["login.call"] = "Call" })},
		{"a message's gap is lost", "locales/en.json", "has gaps", sentences(func(m map[string]string) { m["problem.throttled"] = "Wait" })},
		{"a gap stays open", "locales/en.json", "broken gap", sentences(func(m map[string]string) { m["login.call"] = "Call {number" })},
		{"a page is missing", "html/login.html", "login.html", func([]byte) []byte { return nil }},
		{"a page without a title", "html/lost.html", "has no title", replace(`{{define "title"}}`, `{{define "titel"}}`)},
		{"a page nobody asked for", "html/extra.html", "belongs to no page", func([]byte) []byte { return []byte("x") }},
		{"a misspelt field", "html/login.html", "Acount", replace(".Page.Account", ".Page.Acount")},
		{"a key that is not literal", "html/lost.html", "not literal", replace(`{{t "lost.lead"}}`, `{{t .View.Path}}`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			html, locales := fs.FS(htmlFiles), fs.FS(localeFiles)
			if strings.HasPrefix(tc.file, "html/") {
				html = changed(t, html, tc.file, tc.edit)
			} else {
				locales = changed(t, locales, tc.file, tc.edit)
			}
			_, err := load(config(), html, locales)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v, want one about %q", err, tc.want)
			}
		})
	}
	for _, c := range []Config{{}, {Authority: "x"}, {Domain: "x"}} {
		if _, err := New(c); err == nil {
			t.Errorf("New(%+v) started", c)
		}
	}
}

// TestSpokenIsComplete reads the constants themselves: one that is not in spoken()
// would be checked by nobody.
func TestSpokenIsComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "message.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		id, ok := spec.Type.(*ast.Ident)
		if !ok || id.Name != "Key" {
			return true
		}
		declared++
		key, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || !slices.Contains(spoken(), Key(key)) {
			t.Errorf("%s is not in spoken()", spec.Names[0])
		}
		return true
	})
	if declared < 40 {
		t.Errorf("found only %d constants", declared)
	}
}

// TestEveryMessageCanBeSaid fills every gap of every message with something.
func TestEveryMessageCanBeSaid(t *testing.T) {
	p, err := New(config())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range Locales() {
		for _, key := range spoken() {
			var args []any
			for _, gap := range p.langs[l].sentences[key].gaps() {
				args = append(args, gap, 5)
			}
			said, err := p.Say(l, Say(key, args...))
			if err != nil || said == "" || strings.ContainsAny(said, "{}") {
				t.Errorf("%s in %s: %q, %v", key, l, said, err)
			}
		}
	}
}

// TestLanguagesDiffer: a sentence that is the same in both was not translated.
func TestLanguagesDiffer(t *testing.T) {
	langs, err := loadLanguages(localeFiles, chinaTime())
	if err != nil {
		t.Fatal(err)
	}
	for key := range maps.Keys(langs[ZhCN].sentences) {
		if slices.Equal(langs[ZhCN].sentences[key], langs[En].sentences[key]) {
			t.Errorf("%s is the same in both languages", key)
		}
		for i, part := range langs[En].sentences[key] {
			if i%2 == 0 && strings.ContainsFunc(part, func(r rune) bool { return r >= 0x2e80 }) {
				t.Errorf("%s: Chinese in the English sentence", key)
			}
		}
	}
}

// TestArgumentIsNotATemplate: a name with braces stays a name.
func TestArgumentIsNotATemplate(t *testing.T) {
	p, err := New(config())
	if err != nil {
		t.Fatal(err)
	}
	said, err := p.Say(En, Say(ProblemThrottled, "minutes", "{minutes}"))
	if err != nil || !strings.Contains(said, "{minutes}") {
		t.Errorf("%q, %v", said, err)
	}
}
