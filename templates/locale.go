package templates

import (
	"strings"

	"golang.org/x/text/language"
)

// A Locale is a language we have every sentence in. The zero value is [ZhCN].
type Locale string

// The languages, in the order of the matcher below.
const (
	ZhCN Locale = "zh-CN"
	En   Locale = "en"
)

// Locales returns every language, the default first.
func Locales() []Locale { return []Locale{ZhCN, En} }

// known returns l, or the default for anything we did not write ourselves.
func (l Locale) known() Locale {
	for _, k := range Locales() {
		if l == k {
			return l
		}
	}
	return ZhCN
}

// Bounds on what strangers may have us parse. Browsers send fewer than ten
// languages; ui_locales rarely has more than two.
const (
	maxLanguages = 16
	maxHeader    = 512
)

// A Negotiator chooses a page's language. It is safe for concurrent use.
type Negotiator struct {
	matcher language.Matcher
}

// NewNegotiator returns a Negotiator over [Locales].
func NewNegotiator() *Negotiator {
	var tags []language.Tag
	for _, l := range Locales() {
		tags = append(tags, language.MustParse(string(l)))
	}
	return &Negotiator{language.NewMatcher(tags)}
}

// Choose asks, in this order, the request's ui_locales (OpenID Connect Core
// §3.1.2.1: space-separated, by preference), the person's own choice in the
// cookie, and Accept-Language. The first that names a language we have wins;
// none does: zh-CN. Malformed or oversized input is as good as absent.
func (n *Negotiator) Choose(uiLocales, cookie, acceptLanguage string) Locale {
	if l, ok := n.match(uiTags(uiLocales)); ok {
		return l
	}
	for _, l := range Locales() {
		if cookie == string(l) {
			return l
		}
	}
	if l, ok := n.match(acceptTags(acceptLanguage)); ok {
		return l
	}
	return ZhCN
}

// match goes by the index: the tag that comes back carries extensions of the
// request. Confidence No is the matcher's way of saying it has made something up.
func (n *Negotiator) match(tags []language.Tag) (Locale, bool) {
	if len(tags) == 0 {
		return "", false
	}
	_, i, confidence := n.matcher.Match(tags...)
	if confidence == language.No {
		return "", false
	}
	return Locales()[i], true
}

func uiTags(s string) []language.Tag {
	if len(s) > maxHeader {
		return nil
	}
	var tags []language.Tag
	for i, f := range strings.Fields(s) {
		if i == maxLanguages {
			break
		}
		if t, err := language.Parse(f); err == nil {
			tags = append(tags, t)
		}
	}
	return tags
}

func acceptTags(s string) []language.Tag {
	if len(s) > maxHeader {
		return nil
	}
	tags, weights, err := language.ParseAcceptLanguage(s)
	if err != nil {
		return nil
	}
	kept := tags[:0]
	for i, t := range tags {
		// q=0 says "not this one" (RFC 9110 §12.4.2), and * names no language.
		if weights[i] > 0 && t != language.Und && t.String() != "mul" && len(kept) < maxLanguages {
			kept = append(kept, t)
		}
	}
	return kept
}
