package password

import "strings"

// rows are the keyboard as fingers walk over it, line by line.
func rows() []string {
	return []string{"`1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./", "abcdefghijklmnopqrstuvwxyz", "!@#$%^&*()_+"}
}

// walked reports whether a password is little more than a stroll over the
// keyboard or through the alphabet: runs of three or more neighbouring keys, in
// either direction, that cover all but three of its characters.
func walked(password string) bool {
	lower := strings.ToLower(password)
	covered := 0
	for i := 0; i < len(lower); {
		n := run(lower[i:])
		if n >= 3 {
			covered += n
			i += n
			continue
		}
		i++
	}
	return covered > 0 && len(lower)-covered <= 3
}

// run is the length of the longest walk that text begins with.
func run(text string) int {
	longest := 0
	for _, row := range rows() {
		for _, step := range []int{1, -1} {
			at, n := strings.IndexByte(row, text[0]), 0
			for at >= 0 && at < len(row) && n < len(text) && text[n] == row[at] {
				at += step
				n++
			}
			longest = max(longest, n)
		}
	}
	return longest
}
