package outbound

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
		if got := Public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Public(%s) = %v, want %v", addr, got, want)
		}
	}
	if Public(netip.Addr{}) {
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
		{"[::ffff:127.0.0.1]:8080", true, true},
		{"[::1]:8080", true, true},
		// Development opens this machine and no network around it.
		{"10.0.0.1:443", true, false},
		{"169.254.169.254:80", true, false},
		{"example.org:443", true, false},
		{"", true, false},
	} {
		here := func(a netip.Addr) bool { return c.loopback && a.IsLoopback() }
		if got := Guard(here)("tcp", c.address, nil) == nil; got != c.want {
			t.Errorf("Guard(%v)(%q) lets pass: %v, want %v", c.loopback, c.address, got, c.want)
		}
	}
}
