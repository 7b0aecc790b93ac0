package token

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []string
		ok       bool
	}{
		{"none", nil, nil, true},
		{"one", []string{"urn:a"}, []string{"urn:a"}, true},
		{"two and one again", []string{"urn:a", "https://b.example/x?y", "urn:a"}, []string{"urn:a", "https://b.example/x?y"}, true},
		{"relative", []string{"urn:a", "/x"}, nil, false},
		{"fragment", []string{"https://b.example/#x"}, nil, false},
		{"empty fragment", []string{"https://b.example/#"}, nil, false},
		{"blank", []string{" "}, nil, false},
		{"broken", []string{"https://b.example/%zz"}, nil, false},
		{"too long", []string{"urn:" + strings.Repeat("a", maxTarget)}, nil, false},
		{"too many", slices.Repeat([]string{"urn:a"}, maxTargets+1), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Targets(url.Values{"resource": c.in})
			if (err == nil) != c.ok || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// What is refused gives nothing; what is taken is what was sent, each once.
func FuzzTargets(f *testing.F) {
	for _, s := range []string{"urn:a", "https://b.example/ urn:c", "a b", "urn:a#", "%zz:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sent := strings.Split(s, " ")
		got, err := Targets(url.Values{"resource": sent})
		if err != nil {
			if got != nil {
				t.Fatalf("%q failed and gave %q", s, got)
			}
			return
		}
		for i, target := range got {
			if !slices.Contains(sent, target) || slices.Contains(got[:i], target) || strings.Contains(target, "#") || !strings.Contains(target, ":") {
				t.Fatalf("%q gave %q", s, got)
			}
		}
	})
}
