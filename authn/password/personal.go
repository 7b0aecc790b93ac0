package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// shortestRun is how many characters of a number in a row are no accident:
	// the last six of an ID number are the commonest bank password there is.
	shortestRun = 6
	// shortestName and shortestHan keep "Li" out of every second password.
	shortestName = 4
	shortestHan  = 2
)

// personal reports whether password contains a name of the person, or six
// characters in a row of a number of theirs, forwards or backwards, whatever the
// case and whatever separators are in between.
func personal(password string, c Context) bool {
	text := squeeze(password)
	both := []string{text, reverse(text)}
	holds := func(piece string) bool {
		return slices.ContainsFunc(both, func(s string) bool { return strings.Contains(s, piece) })
	}
	return slices.ContainsFunc(names(c.Names), holds) || slices.ContainsFunc(runs(c.Numbers), holds)
}

// names returns each name whole and in its parts, as far as they are long enough
// to mean something.
func names(of []string) []string {
	var pieces []string
	for _, name := range of {
		local, _, _ := strings.Cut(name, "@")
		parts := strings.FieldsFunc(local, separator)
		for _, piece := range append(parts, local, name) {
			piece = squeeze(piece)
			length := utf8.RuneCountInString(piece)
			if length >= shortestName || length >= shortestHan && !ascii(piece) {
				pieces = append(pieces, piece)
			}
		}
	}
	return pieces
}

// runs returns every stretch of shortestRun characters of each number, and for an
// ID number the ways of writing the birthday in it that are no such stretch.
func runs(of []string) []string {
	var pieces []string
	for _, number := range of {
		number = squeeze(number)
		for i := 0; i+shortestRun <= len(number); i++ {
			pieces = append(pieces, number[i:i+shortestRun])
		}
		if len(number) == 18 {
			year, month, day := number[6:10], number[10:12], number[12:14]
			pieces = append(pieces, day+month+year, month+day+year, day+month+year[2:], month+day+year[2:])
		}
	}
	return pieces
}

func squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		if separator(r) {
			return -1
		}
		return r
	}, strings.ToLower(text))
}

func separator(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("-_.·/+", r)
}

func reverse(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
