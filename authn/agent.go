package authn

import (
	"net/netip"
	"strings"
)

// agent names the browser and system of a User-Agent in words of our own, so that
// nothing a stranger wrote is stored or shown. It is a hint for the owner's list
// and decides nothing.
func agent(ua string) string {
	const most = 1024
	if len(ua) > most {
		ua = ua[:most]
	}
	// The order matters: most browsers also claim to be the ones further down.
	browser := first(ua, [][2]string{
		{"MicroMessenger/", "WeChat"}, {"AlipayClient/", "Alipay"}, {"Edg/", "Edge"}, {"EdgA/", "Edge"},
		{"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"HuaweiBrowser/", "Huawei Browser"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	})
	system := first(ua, [][2]string{
		{"OpenHarmony", "HarmonyOS"}, {"HarmonyOS", "HarmonyOS"}, {"Android", "Android"}, {"iPhone", "iOS"},
		{"iPad", "iPadOS"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	switch {
	case browser != "" && system != "":
		return browser + " · " + system
	case browser+system != "":
		return browser + system
	}
	return "?"
}

func first(in string, of [][2]string) string {
	for _, o := range of {
		if strings.Contains(in, o[0]) {
			return o[1]
		}
	}
	return ""
}

// place cuts an address to what may be kept: /24 of IPv4, /48 of IPv6.
func place(a netip.Addr) string {
	p, err := a.Unmap().WithZone("").Prefix(prefixBits(a, 24, 48))
	if err != nil {
		return ""
	}
	return p.String()
}

// SourceKey is what a throttle takes for one source: an address of IPv4, a /64 of
// IPv6, which is what one subscriber has.
func SourceKey(a netip.Addr) string {
	p, err := a.Unmap().WithZone("").Prefix(prefixBits(a, 32, 64))
	if err != nil {
		return "unknown"
	}
	return p.String()
}

func prefixBits(a netip.Addr, v4, v6 int) int {
	if a.Unmap().Is4() {
		return v4
	}
	return v6
}
