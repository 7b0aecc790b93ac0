package templates_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"ecardid/templates"
)

func TestClean(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		max      int
		want     string
	}{
		{"plain", "养老金服务大厅", 80, "养老金服务大厅"},
		{"spaces collapse", "  a \t\r\n b\u2028c\u00a0d ", 80, "a b c d"},
		{"bidi override", "bank\u202ecod.exe\u2066x\u2069", 80, "bankcod.exex"},
		{"zero width", "pay\u200bpal\u200d\ufeff", 80, "paypal"},
		{"controls", "a\x00b\x1b[31mc\u0085d", 80, "ab[31mc d"},
		{"tags and private use", "a\U000e0041b\ue000c", 80, "abc"},
		{"broken bytes", "a\xffb\xc3", 80, "ab"},
		{"blank letters", "a\u3164\u2800b", 80, "ab"},
		{"accents stay", "Zoe\u0308 Đặng", 80, "Zoe\u0308 Đặng"},
		{"piled marks", "a" + strings.Repeat("\u0301", 50) + "b", 80, "a\u0301\u0301b"},
		{"clipped", "一二三四五六", 4, "一二三…"},
		{"exactly fitting", "一二三四", 4, "一二三四"},
		{"nothing asked", "abc", 0, ""},
		{"markup is text", "<b>&", 80, "<b>&"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := templates.Clean(tc.in, tc.max); got != tc.want {
				t.Errorf("Clean(%q, %d) = %q, want %q", tc.in, tc.max, got, tc.want)
			}
		})
	}
}

// FuzzClean: whatever goes in, what comes out is short, valid, visible, on one
// line, and clean already.
func FuzzClean(f *testing.F) {
	f.Add("养老金\u202e<script>", 5)
	f.Add(strings.Repeat("e\u0301", 300), 80)
	f.Add("\xf0\x9f\x98", 1)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max > 200 {
			max = 200
		}
		out := templates.Clean(s, max)
		if n := utf8.RuneCountInString(out); n > max && out != "" {
			t.Fatalf("%d characters, at most %d", n, max)
		}
		if !utf8.ValidString(out) || strings.TrimSpace(out) != out {
			t.Fatalf("%q is not tidy", out)
		}
		for _, r := range out {
			if !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) || (unicode.IsSpace(r) && r != ' ') {
				t.Fatalf("%q holds %U", out, r)
			}
		}
		if again := templates.Clean(out, max); again != out {
			t.Fatalf("Clean(%q) = %q: not stable", out, again)
		}
	})
}

func TestNegotiator(t *testing.T) {
	n := templates.NewNegotiator()
	for _, tc := range []struct {
		name, ui, cookie, accept string
		want                     templates.Locale
	}{
		{"nothing said", "", "", "", templates.ZhCN},
		{"request before cookie before browser", "en", "zh-CN", "zh-CN", templates.En},
		{"cookie before browser", "", "en", "zh-CN", templates.En},
		{"browser", "", "", "en-GB,en;q=0.9", templates.En},
		{"order of preference", "fr en zh-CN", "", "", templates.En},
		{"hong kong reads chinese", "", "", "zh-HK,zh;q=0.9", templates.ZhCN},
		// The matcher answers something for every language; only its confidence tells.
		{"french alone is not english", "", "", "fr", templates.ZhCN},
		{"french first", "", "", "fr,en;q=0.5", templates.En},
		{"french request, english cookie", "fr", "en", "", templates.En},
		{"quality decides", "", "", "en;q=0.2, zh-CN;q=0.8", templates.ZhCN},
		{"refused", "", "", "en;q=0", templates.ZhCN},
		{"anything", "", "", "*", templates.ZhCN},
		{"unknown cookie", "", "xx", "en", templates.En},
		{"cookie is exact", "", "EN", "", templates.ZhCN},
		{"malformed", "e\x00n <script>", "", "en;;q=,,", templates.ZhCN},
		{"oversized", strings.Repeat("en ", 400), "", strings.Repeat("en,", 400), templates.ZhCN},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := n.Choose(tc.ui, tc.cookie, tc.accept); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// FuzzNegotiator: always a language we have.
func FuzzNegotiator(f *testing.F) {
	n := templates.NewNegotiator()
	f.Add("en", "zh-CN", "fr,en;q=0.1")
	f.Add("zh-Hant-HK-x-private", "", "en-US-u-rg-cnzzzz")
	f.Fuzz(func(t *testing.T, ui, cookie, accept string) {
		if l := n.Choose(ui, cookie, accept); l != templates.ZhCN && l != templates.En {
			t.Fatalf("chose %q", l)
		}
	})
}

const nonce = "c2FtcGxlLW5vbmNlLTEyMzQ1Ng"

func TestPolicy(t *testing.T) {
	for _, tc := range []struct {
		name    string
		kind    templates.Kind
		nonce   string
		targets []string
		want    []string
		not     []string
	}{
		{"sign-in", templates.SignIn, nonce, nil, []string{"form-action 'self' https:;", "script-src 'nonce-" + nonce + "'"}, nil},
		{"native client", templates.SignIn, nonce, []string{"com.example.app:", "http://127.0.0.1:*"}, []string{"form-action 'self' https: com.example.app: http://127.0.0.1:*;"}, nil},
		{"account", templates.Plain, nonce, []string{"https://rp.example"}, []string{"form-action 'self';"}, []string{"rp.example"}},
		{"capture", templates.Capture, nonce, []string{"https://liveness.example:8443"}, []string{"form-action 'self' https://liveness.example:8443;"}, []string{"https:;"}},
		{"farewell", templates.Farewell, nonce, []string{"https://rp.example", "https://rp.example", "http://127.0.0.1:*", "javascript:"},
			[]string{"form-action 'self';", "frame-src https://rp.example http://127.0.0.1:*;"}, []string{"javascript"}},
		{"no frames", templates.SignIn, nonce, []string{"https://rp.example"}, []string{"frame-src 'none';"}, nil},
		{"no nonce, no script", templates.Plain, "", nil, []string{"script-src 'none'"}, []string{"nonce"}},
		{"a nonce that ends the directive", templates.Plain, "abcdefghijklmnopqrstuv' *; x", nil, []string{"script-src 'none'"}, []string{"*"}},
		{"targets that are more than targets", templates.SignIn, nonce,
			[]string{"x; script-src *", "javascript:", "data:", "'unsafe-inline'", "*", "https://a b", "https://a\r\nSet-Cookie: x", "https://", "//e"},
			[]string{"form-action 'self' https:;"}, []string{"script-src *", "javascript", "data", "unsafe", "Set-Cookie"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := templates.Policy(tc.kind, tc.nonce, tc.targets...)
			common := []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"}
			for _, want := range append(common, tc.want...) {
				if !strings.Contains(got, want) {
					t.Errorf("%s\nlacks %s", got, want)
				}
			}
			for _, not := range tc.not {
				if strings.Contains(got, not) {
					t.Errorf("%s\nholds %s", got, not)
				}
			}
		})
	}
}

func TestFormTarget(t *testing.T) {
	for uri, want := range map[string]string{
		"https://rp.example/cb?x=1":          "https://rp.example",
		"https://RP.example:8443/cb":         "https://rp.example:8443",
		"http://127.0.0.1:51234/cb":          "http://127.0.0.1:*",
		"http://localhost/cb":                "http://localhost:*",
		"http://[::1]:51234/cb":              "http:",
		"http://localhost.evil.example/cb":   "",
		"http://rp.example/cb":               "",
		"com.example.app:/cb":                "com.example.app:",
		"com.example.app://cb":               "com.example.app:",
		"javascript:alert(1)":                "",
		"JavaScript:alert(1)":                "",
		"data:text/html,x":                   "",
		"https://a.example;script-src%20*/x": "",
		"/relative":                          "",
		"":                                   "",
		"https://a\nb":                       "",
	} {
		if got := templates.FormTarget(uri); got != want {
			t.Errorf("FormTarget(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestQR(t *testing.T) {
	out, err := templates.QR("otpauth://totp/x?secret=JBSWY3DP", `say "<this>"`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`role="img"`, `aria-label="say &#34;&lt;this&gt;&#34;"`, "<path"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("lacks %s", want)
		}
	}
	if strings.Contains(string(out), "style=") {
		t.Error("inline style")
	}
	for _, bad := range []string{"", strings.Repeat("x", 1025)} {
		if _, err := templates.QR(bad, "x"); err == nil {
			t.Errorf("%d bytes were drawn", len(bad))
		}
	}
}
