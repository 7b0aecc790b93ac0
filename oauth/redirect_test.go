package oauth

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestMatchRedirect(t *testing.T) {
	registered := []string{
		"https://rp.example/cb", "https://rp.example/cb?a=1", "http://127.0.0.1/cb", "http://127.0.0.1:8000/fixed?x=1",
		"http://[::1]/cb", "http://localhost:3000/cb",
	}
	for _, c := range []struct {
		sent string
		want bool
	}{
		{"https://rp.example/cb", true},
		{"https://rp.example/cb?a=1", true},
		{"http://127.0.0.1:51004/cb", true},
		{"http://127.0.0.1/cb", true},
		{"http://127.0.0.1:9/fixed?x=1", true},
		{"http://[::1]:1/cb", true},
		{"http://localhost:3000/cb", true},
		// The name is no address: its port is part of it.
		{"http://localhost:3001/cb", false},
		{"http://127.0.0.1.evil.example/cb", false},
		{"http://127.0.0.1:80@evil.example/cb", false},
		{"http://127.0.0.1:x/cb", false},
		{"http://127.0.0.1:/cb", false},
		{"http://127.0.0.1:0080/cb", false},
		{"http://127.0.0.1:99999/cb", false},
		{"http://127.0.0.1:1/CB", false},
		{"http://127.0.0.1:1/cb?", false},
		{"http://127.0.0.1:1/cb#", false},
		{"http://127.0.0.1:1/cb/../cb", false},
		{"http://127.0.0.1:1/%63b", false},
		{"http://127.0.0.1:1/fixed?x=2", false},
		{"http://127.0.0.2:1/cb", false},
		{"http://127.1:1/cb", false},
		{"http://[::1%25lo]:1/cb", false},
		{"http://[0:0:0:0:0:0:0:1]:1/cb", false},
		{"https://127.0.0.1:1/cb", false},
		{"HTTP://127.0.0.1:1/cb", false},
		{"https://rp.example/cb/", false},
		{"https://RP.example/cb", false},
		{"https://rp.example:443/cb", false},
		{"https://rp.example/x/../cb", false},
		{"https://rp.example/..;/cb", false},
		{"https://rp.example/%63b", false},
		{"https://u@rp.example/cb", false},
		{"https://rp.example/cb#f", false},
		{"https://rp.example\\@evil/cb", false},
		{"https://rp.example/cb?a=1&b=2", false},
		{"https://rp。example/cb", false},
		{"", false},
	} {
		if got := MatchRedirect(registered, c.sent); got != c.want {
			t.Errorf("MatchRedirect(%q) = %v", c.sent, got)
		}
	}
}

// What matches is registered, or a registered loopback URI but for its port.
func FuzzMatchRedirect(f *testing.F) {
	registered := []string{"https://rp.example/cb", "http://127.0.0.1/cb", "http://[::1]:80/x?y"}
	for _, s := range append(registered, "http://127.0.0.1:1@evil/cb", "http://[::1]:65535/x?y") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		if !MatchRedirect(registered, sent) || slices.Contains(registered, sent) {
			return
		}
		u, err := url.Parse(sent)
		if err != nil || u.User != nil || u.Scheme != "http" || (u.Hostname() != "127.0.0.1" && u.Hostname() != "::1") || u.Fragment != "" {
			t.Fatalf("%q matched", sent)
		}
		without := sent
		if u.Port() != "" {
			without = strings.Replace(sent, ":"+u.Port()+"/", "/", 1)
		}
		if without != "http://127.0.0.1/cb" && without != "http://[::1]/x?y" {
			t.Fatalf("%q matched", sent)
		}
	})
}

func TestCheckURI(t *testing.T) {
	for _, good := range []string{
		"https://rp.example/cb", "https://rp.example", "https://rp.example:8443/a/b?c=d", "http://127.0.0.1/cb",
		"http://[::1]:5000/cb", "http://localhost:3000/cb", "https://xn--fiqs8s.example/cb",
	} {
		if err := CheckURI(good); err != nil {
			t.Errorf("%s %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "rp.example/cb", "/cb", "http://rp.example/cb", "HTTPS://rp.example/cb", "https://RP.example/cb", "https:/rp.example", "https:rp.example",
		"https://", "https:///cb", "https://*.example/cb", "https://rp.example/*", "https://rp.example/cb#f", "https://rp.example/cb#",
		"https://u:p@rp.example/cb", "https://rp.example@evil.example/", "https://rp.example/a/../b", "https://rp.example/..;/b",
		"https://rp.example/%2e%2e/b", "https://rp.example/%2E/b", "https://rp.example\\cb", "https://rp.example/a b", " https://rp.example/",
		"javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "\tjavascript:alert(1)", "data:text/html,x", "com.example.app:/cb",
		"http://localhost.evil.example/cb", "http://127.0.0.1.evil.example/cb", "https://rp.example:/cb", "https://rp.example:0/cb",
		"https://rp.example:99999/cb", "https://rp。example/cb", "https://中国.example/cb", "https://rp..example/", "https://-rp.example/",
		"https://rp.example/\x00", "https://rp.example/\r\nx", "https://rp_x.example/", "https://" + strings.Repeat("a", 3000),
	} {
		if CheckURI(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzCheckURI(f *testing.F) {
	f.Add("https://rp.example/cb")
	f.Add("http://127.0.0.1:80/")
	f.Fuzz(func(t *testing.T, uri string) {
		if CheckURI(uri) != nil {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.String() != uri || u.User != nil || u.Fragment != "" || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			t.Fatalf("%q was taken", uri)
		}
	})
}

func FuzzParseScope(f *testing.F) {
	f.Add("openid profile")
	f.Add("a  b")
	f.Fuzz(func(t *testing.T, s string) {
		names, err := ParseScope(s)
		if err != nil {
			if names != nil {
				t.Fatalf("%q failed and gave %q", s, names)
			}
			return
		}
		again, err := ParseScope(strings.Join(names, " "))
		if err != nil || !slices.Equal(again, names) {
			t.Fatalf("%q is %q and then %q", s, names, again)
		}
	})
}
