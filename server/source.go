package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// Sources tells where a request came from. Behind a proxy it believes the last
// entry of X-Forwarded-For, and only when the proxy's own address is trusted: the
// entries before it are whatever the sender wrote (SECURITY PW4, SC4).
type Sources struct {
	Trusted []netip.Prefix
}

// Of returns the address of the sender; the zero Addr when it cannot be told.
func (s Sources) Of(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	peer := ap.Addr().Unmap().WithZone("")
	for _, p := range s.Trusted {
		if !p.Contains(peer) {
			continue
		}
		fields := r.Header.Values("X-Forwarded-For")
		if len(fields) != 1 {
			return peer
		}
		hops := strings.Split(fields[0], ",")
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1]))
		if err != nil {
			return peer
		}
		return addr.Unmap().WithZone("")
	}
	return peer
}

// Place cuts an address to what may be kept: /24 of IPv4, /48 of IPv6.
func Place(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
