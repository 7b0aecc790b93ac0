package password

import (
	_ "embed"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

//go:embed common.txt
var commonText string

// A blocklist holds passwords in lower case.
type blocklist map[string]struct{}

// newBlocklist reads the list that is part of the program.
func newBlocklist() blocklist {
	list := blocklist{}
	for line := range strings.Lines(commonText) {
		if line = strings.TrimRight(line, "\n"); !strings.HasPrefix(line, "#") && line != "" {
			list[line] = struct{}{}
		}
	}
	return list
}

// maxTail is how much decoration around a common password is looked through:
// "Monkey2024!" is monkey, and its owner would not be the only one.
const maxTail = 5

// has reports whether password is on the list as it is, in another case, with
// digits for letters, repeated, or with a short decoration.
func (b blocklist) has(password string) bool {
	lower := strings.ToLower(password)
	unit := repeated(lower)
	words := []string{
		lower,
		unit,
		undecorated(lower, func(r rune) bool { return !unicode.IsLetter(r) }),
		undecorated(lower, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }),
	}
	return slices.ContainsFunc(words, func(word string) bool {
		return b.hasWord(word) || b.hasWord(plain(word, "i")) || b.hasWord(plain(word, "l"))
	})
}

func (b blocklist) hasWord(word string) bool {
	_, ok := b[word]
	// Stems of four letters, "love" or "blue", are in too many good passwords.
	return ok && len(word) >= 5
}

// undecorated cuts what is decoration off both ends, or nothing if that is more
// than maxTail characters.
func undecorated(text string, decoration func(rune) bool) string {
	cut := strings.TrimFunc(text, decoration)
	if utf8.RuneCountInString(text)-utf8.RuneCountInString(cut) > maxTail {
		return text
	}
	return cut
}

// plain writes letters for the signs that stand for them; 1 and ! are an i or an l.
func plain(text, one string) string {
	return strings.NewReplacer("@", "a", "4", "a", "8", "b", "3", "e", "0", "o",
		"$", "s", "5", "s", "7", "t", "+", "t", "1", one, "!", one).Replace(text)
}

// repeated returns the shortest piece that text is whole or begun repetitions of,
// at least two: "abc" for "abcabcab". Otherwise it returns text. (The borders of
// Knuth, Morris and Pratt: linear, whatever the text.)
func repeated(text string) string {
	runes := []rune(text)
	border := make([]int, len(runes))
	for i, k := 1, 0; i < len(runes); i++ {
		for k > 0 && runes[i] != runes[k] {
			k = border[k-1]
		}
		if runes[i] == runes[k] {
			k++
		}
		border[i] = k
	}
	if len(runes) == 0 {
		return text
	}
	period := len(runes) - border[len(runes)-1]
	if 2*period > len(runes) {
		return text
	}
	return string(runes[:period])
}

// patterned reports the patterns that make a long password a short one: a piece
// too short to be a password said again and again, a date with at most four
// characters around it (initials and a birthday), a mobile number with at most two.
func patterned(password string) bool {
	if unit := repeated(password); unit != password && utf8.RuneCountInString(unit) < MinWithMFA {
		return true
	}
	number := onlyDigits(password)
	around := utf8.RuneCountInString(password) - len(number)
	switch {
	case len(number) == 8 && around <= 4:
		return isDate(number)
	case len(number) == 11 && around <= 2:
		return number[0] == '1' && number[1] >= '3'
	}
	return false
}

func isDate(number string) bool {
	for _, layout := range []string{"20060102", "02012006", "01022006"} {
		if day, err := time.Parse(layout, number); err == nil && day.Year() >= 1900 && day.Year() < 2100 {
			return true
		}
	}
	return false
}

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}
