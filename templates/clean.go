package templates

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is written by somebody else: a client's name, a device's name, a place, what
// a person typed. However it reaches a page it passes [Clean] (SECURITY CN2), and
// html/template escapes it for where it lands.
type Text string

// maxText is what fits on two lines of a phone. Registered names are shorter; who
// writes more wants to push something else off the screen.
const maxText = 80

// String returns the cleaned text. html/template and fmt both come through here.
func (t Text) String() string { return Clean(string(t), maxText) }

// Clean makes a stranger's text fit for a line of ours: valid UTF-8, one line, no
// control, format or bidirectional characters, no piles of combining marks, at most
// max characters. Clipped text ends in "…". What is clean already comes back as it is.
func Clean(s string, max int) string {
	if max <= 0 {
		return ""
	}
	// Work in proportion to what is shown, not to what was sent. A character cut in
	// two is invalid and falls out below.
	if limit := 16 * (max + 1) * utf8.UTFMax; len(s) > limit {
		s = s[:limit]
	}
	var b strings.Builder
	runes, marks, space := 0, 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || r == '\u2028' || r == '\u2029':
			space = b.Len() > 0
			continue
		case r == utf8.RuneError, !unicode.IsGraphic(r), invisible(r):
			continue
		case unicode.Is(unicode.M, r):
			// Two marks on a letter are a language, twenty are an attack on the line above.
			if marks++; marks > 2 || runes == 0 {
				continue
			}
		default:
			marks = 0
		}
		need := 1
		if space {
			need = 2
		}
		if runes+need > max {
			return clip(b.String(), max)
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
		runes += need
	}
	return b.String()
}

// invisible reports characters that are graphic by category and still draw nothing.
func invisible(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Bidi_Control, r)
}

func clip(s string, max int) string {
	r := []rune(s)
	if len(r) >= max {
		r = r[:max-1]
	}
	return strings.TrimRight(string(r), " ") + "…"
}
