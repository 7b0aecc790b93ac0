package authn

import (
	"net/url"
	"strings"
	"testing"
)

func TestOwnPath(t *testing.T) {
	for p, want := range map[string]bool{
		"/":                              true,
		"/account":                       true,
		"/authorize?request_uri=urn%3Ax": true,
		"/authorize?a=b&c=https://e":     true,  // a parameter is nobody's host
		"":                               false, // nowhere
		"account":                        false, // relative to who knows what
		"//e":                            false,
		"///e":                           false,
		`/\e`:                            false, // browsers take it for //e
		`\/e`:                            false,
		"https:e":                        false,
		"https://e":                      false,
		"javascript:alert(1)":            false,
		"%09//e":                         false,
		"\t//e":                          false,
		"/\t/e":                          false, // browsers drop the tab
		"/\r\n/e":                        false,
		"/a\r\nSet-Cookie: x=y":          false,
		"/a#//e":                         false,
		"/..//e":                         false,
		"/a/../../e":                     false,
		"/.//e":                          false,
		"/%2e%2e/e":                      false,
		"/%2Fe":                          false,
		"/%5ce":                          false,
		"/%09/e":                         false,
		"/%zz":                           false,
		"/ü":                             false,
		"/a b":                           false,
		"/\x00":                          false,
		"/" + strings.Repeat("a", 4096):  false,
	} {
		if got := ownPath(p); got != want {
			t.Errorf("%q: %v", p, got)
		}
	}
}

func FuzzOwnPath(f *testing.F) {
	for _, s := range []string{"/account", "//e", `/\e`, "/%09//e", "https:e", "/a?b=//c", "/%2e./"} {
		f.Add(s)
	}
	base, err := url.Parse("https://login.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if !ownPath(p) {
			return
		}
		// What is let through resolves to this very server, read as RFC 3986 says and
		// as browsers do (backslashes turned, blanks dropped).
		for _, text := range []string{p, strings.ReplaceAll(p, `\`, "/"), strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, p)} {
			u, err := base.Parse(text)
			if err != nil || u.Host != "login.example" || u.Scheme != "https" || strings.HasPrefix(text, "//") {
				t.Errorf("%q leads to %v, %v", p, u, err)
			}
		}
		if strings.ContainsAny(p, "\r\n\x00") {
			t.Errorf("%q goes into a header", p)
		}
	})
}
