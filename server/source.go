package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// Sources tells where a request came from. Behind a proxy it believes the last
// entry of X-Forwarded-For, and only when the proxy's own address is trusted: the
// entries before it are whatever the sender wrote (SECURITY PW4, SC4). Some proxies
// add to the sender's line and some add a line, which is the same (RFC 9110 §5.3).
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
		lines := r.Header.Values("X-Forwarded-For")
		if len(lines) == 0 {
			return peer
		}
		line := lines[len(lines)-1]
		last := strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:])
		addr, err := netip.ParseAddr(last)
		if err != nil {
			ap, err := netip.ParseAddrPort(last) // so do some balancers write it
			if err != nil {
				return peer
			}
			addr = ap.Addr()
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
	a = a.Unmap()
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
