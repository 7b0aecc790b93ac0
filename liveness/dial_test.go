package liveness

import (
	"net/netip"
	"testing"
)

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "223.5.5.5": true, "2400:3200::1": true, "::ffff:8.8.8.8": true,
		"0.0.0.0": false, "10.1.2.3": false, "100.64.0.1": false, "127.0.0.1": false, "127.9.9.9": false,
		"169.254.169.254": false, "172.31.0.1": false, "192.168.1.1": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.7": false, "203.0.113.7": false, "224.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false,
		// IPv4 in other clothes: translated, 6to4, Teredo.
		"64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:a00:1::": false, "2001::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"2001:db8::1": false, "3fff::1": false, "5f00::1": false, "100::1": false,
	} {
		if got := public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("public(%s) = %v, want %v", addr, got, want)
		}
	}
	if public(netip.Addr{}) {
		t.Error("no address at all is public")
	}
}

func TestGuard(t *testing.T) {
	for _, c := range []struct {
		address  string
		loopback bool
		want     bool
	}{
		{"8.8.8.8:443", false, true},
		{"[2400:3200::1]:443", false, true},
		{"127.0.0.1:8080", false, false},
		{"127.0.0.1:8080", true, true},
		{"[::1]:8080", true, true},
		// Development opens this machine and no network around it.
		{"10.0.0.1:443", true, false},
		{"169.254.169.254:80", true, false},
		{"example.org:443", true, false},
		{"", true, false},
	} {
		if got := guard(c.loopback)("tcp", c.address, nil) == nil; got != c.want {
			t.Errorf("guard(%v)(%q) lets pass: %v, want %v", c.loopback, c.address, got, c.want)
		}
	}
}

func TestCaptureURL(t *testing.T) {
	prod := Config{CaptureHosts: []string{"face.example.cn", "face.example.cn:8443"}}
	dev := Config{CaptureHosts: []string{"localhost:9000", "face.example.cn"}, Development: true}
	for _, c := range []struct {
		cfg  Config
		url  string
		want bool
	}{
		{prod, "https://face.example.cn/c/1?x=2", true},
		{prod, "https://face.example.cn:443/c/1", true},
		{prod, "https://face.example.cn:8443/c/1", true},
		{prod, "https://face.example.cn:8444/c/1", false},
		{prod, "http://face.example.cn/c/1", false},
		{prod, "https://evil.example/c/1", false},
		{prod, "https://face.example.cn.evil.example/", false},
		{prod, "https://face.example.cn@evil.example/", false},
		{prod, "https://user@face.example.cn/", false},
		{prod, `https://evil.example\@face.example.cn/`, false},
		{prod, "https://evil.example#@face.example.cn/", false},
		{prod, "https://face.example.cn/#x", false},
		{prod, "https://face.example.cn/a b", false},
		{prod, "https://face.example.cn/\r\nX: y", false},
		{prod, "https://face.example\u3002cn", false}, // an ideographic full stop
		{prod, "//face.example.cn/", false},
		{prod, "javascript:alert(1)", false},
		{prod, "https:face.example.cn/", false},
		{prod, "", false},
		{prod, "http://localhost:9000/c", false},
		{dev, "http://localhost:9000/c", true},
		{dev, "http://localhost:9001/c", false},
		{dev, "http://face.example.cn/c", false},
		{dev, "https://face.example.cn/c", true},
	} {
		if err := c.cfg.captureURL(c.url); (err == nil) != c.want {
			t.Errorf("captureURL(%q) = %v, want accepted: %v", c.url, err, c.want)
		}
	}
}
