package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"ecardid/server"
)

func TestSources(t *testing.T) {
	behind := server.Sources{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, c := range []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"straight", "203.0.113.7:1234", nil, "203.0.113.7"},
		{"a stranger's word about himself", "203.0.113.7:1234", []string{"198.51.100.1"}, "203.0.113.7"},
		{"through the proxy", "10.1.2.3:1234", []string{"198.51.100.1"}, "198.51.100.1"},
		{"what stands before the proxy's entry is the sender's", "10.1.2.3:1234", []string{"1.2.3.4, 10.9.9.9,198.51.100.1"}, "198.51.100.1"},
		{"a proxy that adds a line", "10.1.2.3:1234", []string{"1.2.3.4", "198.51.100.1"}, "198.51.100.1"},
		{"the last entry counts, trusted or not", "10.1.2.3:1234", []string{"1.2.3.4, 10.9.9.9"}, "10.9.9.9"},
		{"with a port", "10.1.2.3:1234", []string{"198.51.100.1:55"}, "198.51.100.1"},
		{"with brackets and a port", "10.1.2.3:1234", []string{"[2001:db8::1]:55"}, "2001:db8::1"},
		{"IPv6", "[fd00::1]:1234", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv4 in IPv6 is one address", "[::ffff:10.1.2.3]:1234", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a zone is the sender's invention", "10.1.2.3:1234", []string{"fe80::1%eth0"}, "fe80::1"},
		{"no entry", "10.1.2.3:1234", nil, "10.1.2.3"},
		{"empty", "10.1.2.3:1234", []string{""}, "10.1.2.3"},
		{"nothing after the comma", "10.1.2.3:1234", []string{"1.2.3.4,"}, "10.1.2.3"},
		{"unknown", "10.1.2.3:1234", []string{"unknown"}, "10.1.2.3"},
		{"a name", "10.1.2.3:1234", []string{"localhost"}, "10.1.2.3"},
		{"no address at all", "@", []string{"1.2.3.4"}, "invalid IP"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.lines
		r.Header.Set("Forwarded", "for=9.9.9.9")
		r.Header.Set("X-Real-Ip", "9.9.9.9")
		if got := behind.Of(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for a, want := range map[string]string{"198.51.100.77": "198.51.100.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "::ffff:198.51.100.77": "198.51.100.0/24"} {
		if got := server.Place(netip.MustParseAddr(a)); got != want {
			t.Errorf("place of %s: %s", a, got)
		}
	}
	if got := server.Place(netip.Addr{}); got != "" {
		t.Errorf("place of nowhere: %q", got)
	}
}

// FuzzSources: a stranger's headers say nothing, and behind a proxy the answer is
// the last entry or the proxy.
func FuzzSources(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4, 5.6.7.8", "[::1]:80", "::1%a", ",", "unknown", "::ffff:1.2.3.4"} {
		f.Add(s, "")
		f.Add("9.9.9.9", s)
	}
	s := server.Sources{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	f.Fuzz(func(t *testing.T, first, second string) {
		r := &http.Request{Header: http.Header{"X-Forwarded-For": {first, second}}, RemoteAddr: "203.0.113.7:1"}
		if got := s.Of(r).String(); got != "203.0.113.7" {
			t.Errorf("a stranger is %s", got)
		}
		r.RemoteAddr = "10.0.0.1:1"
		got := s.Of(r)
		last := strings.TrimSpace(second[strings.LastIndexByte(second, ',')+1:])
		if got.String() == "10.0.0.1" || strings.Contains(last, got.String()) {
			return
		}
		// Another spelling of the same address.
		a, err := netip.ParseAddr(last)
		if ap, e := netip.ParseAddrPort(last); e == nil {
			a, err = ap.Addr(), nil
		}
		if err != nil || a.Unmap().WithZone("") != got || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q, %q: %s", first, second, got)
		}
	})
}

// FuzzParameters: what was refused returns nothing, and what was taken is text,
// bounded, and what the standard reader reads.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"", "a=1&b=2", "a=%00", "a=%ff", "a=%f", "a=1;b=2", "=&=&&", "%C0%AF=1", "a=\x00", "a=\xed\xa0\x80", strings.Repeat("&", 99), strings.Repeat("&", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := server.Parameters(raw)
		if err != nil {
			if got != nil {
				t.Errorf("%q: %v and %v", raw, got, err)
			}
			return
		}
		want, err := url.ParseQuery(raw)
		if err != nil || want.Encode() != got.Encode() {
			t.Errorf("%q: %v, %v", raw, got, err)
		}
		n := 0
		for k, vs := range got {
			for _, v := range append(vs, k) {
				if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
					t.Errorf("%q: %q is no text", raw, v)
				}
			}
			n += len(vs)
		}
		if n > 100 {
			t.Errorf("%d parameters", n)
		}
	})
}

// FuzzCookies: a value is believed when its name is there once.
func FuzzCookies(f *testing.F) {
	for _, s := range []string{"a=1", "a=1; a=2", "a=1; a=1", "a=", "a=\"1\"", "A=1; a=2", "a =1", ";;a=1,a=2", "a=" + strings.Repeat("x", 300)} {
		f.Add(s, "")
		f.Add(s, "a=3")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		r := &http.Request{Header: http.Header{"Cookie": {first, second}}}
		v, ok := server.Only(r, "a")
		if !ok {
			if v != "" {
				t.Errorf("%q, %q: %q and no", first, second, v)
			}
			return
		}
		n := 0
		for _, c := range r.Cookies() {
			if c.Name == "a" {
				n++
			}
		}
		if n != 1 || v == "" || len(v) > 256 {
			t.Errorf("%q, %q: %q of %d", first, second, v, n)
		}
	})
}

// FuzzBack: whatever the form says, the browser stays with us.
func FuzzBack(f *testing.F) {
	for _, s := range []string{"/lost", "//e", "/\\e", "\t//e", "https:e", "/a\r\nb: c", "/%2e%2e//e", "/./e", "/..;/e", "/a?b=//e", "/\u2028/e", "/%5ce"} {
		f.Add(s)
	}
	h := newHouse(f)
	c := h.caller(f)
	base := must[*url.URL](f)(url.Parse(h.issuer))
	f.Fuzz(func(t *testing.T, back string) {
		w := c.send(http.MethodPost, "/preferences", url.Values{"csrf": {c.csrf}, "back": {back}}.Encode(), "Content-Type", formType)
		if w.Code >= 400 && w.Code < 500 {
			return
		}
		to := w.Header().Get("Location")
		u, err := base.Parse(to)
		if w.Code != http.StatusSeeOther || err != nil || u.Host != base.Host || u.Scheme != "https" || !strings.HasPrefix(to, "/") ||
			strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
			t.Errorf("%q: %d to %q", back, w.Code, to)
		}
	})
}
