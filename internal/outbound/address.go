package outbound

import (
	"fmt"
	"net/netip"
	"syscall"
)

// specialUse lists what the IANA special-purpose address registries (RFC 6890
// and its updates) and multicast take out of the public internet.
var specialUse = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

// globalUnicast is all of IPv6 that is given out (RFC 4291 §2.4, IANA); loopback,
// link-local, unique-local, mapped, translated and the rest lie outside of it.
var globalUnicast = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(list))
	for i, s := range list {
		ps[i] = netip.MustParsePrefix(s)
	}
	return ps
}

// Public reports whether a is an address of the public internet.
func Public(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	for _, p := range specialUse {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// Guard makes a net.Dialer.Control: it sees the address after the name was resolved
// and before anything is sent, so a name that changes its mind between a check
// and the call gains nothing. Beyond public addresses it lets those pass that
// besides allows; nil allows none.
func Guard(besides func(netip.Addr) bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("dialling something that is not an address: %w", err)
		}
		if Public(ap.Addr()) || besides != nil && besides(ap.Addr().WithZone("").Unmap()) {
			return nil
		}
		return fmt.Errorf("%s is not an address of the public internet", ap.Addr())
	}
}
