package introspect

import (
	"net/http"
	"strings"
	"testing"
)

func TestWantsJWT(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                    false,
		"*/*":                                 false,
		"application/*":                       false,
		"application/json":                    false,
		"application/jwt":                     false, // another type (RFC 9701 §5)
		"application/token-introspection+jwt": true,
		"Application/Token-Introspection+JWT": true,
		"application/token-introspection+jwt; q=0.5":                             true,
		"application/token-introspection+jwt;q=0":                                false,
		"application/token-introspection+jwt, */*":                               true,
		"application/token-introspection+jwt, application/json":                  true,
		"application/token-introspection+jwt;q=0.4, application/json;q=0.5":      false,
		"application/token-introspection+jwt;q=0.5, application/json;q=0.4, */*": true,
		" , application/token-introspection+jwt , ":                              true,
		// What cannot be read is not guessed at.
		"application/token-introspection+jwt;q=x":                     false,
		"application/token-introspection+jwt;q=2":                     false,
		"application/token-introspection+jwt;q=-1":                    false,
		"application/token-introspection+jwt;q=NaN":                   false,
		"application/token-introspection+jwt, /":                      false,
		strings.Repeat("a/b,", 40) + "application/json":               false,
		strings.Repeat("a/b,", 40) + mediaJWT:                         false,
		"application/token-introspection+jwt\x00":                     false,
		"text/html,application/token-introspection+jwt;q=0.9,*/*;q=1": true,
	} {
		if got := wantsJWT(http.Header{"Accept": {accept}}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	if wantsJWT(http.Header{}) || !wantsJWT(http.Header{"Accept": {"text/html", mediaJWT}}) {
		t.Error("several headers are one list")
	}
}

// A form that is not named is never chosen.
func FuzzWantsJWT(f *testing.F) {
	f.Add("application/token-introspection+jwt;q=0.5, */*")
	f.Add("application/json;q=1,")
	f.Fuzz(func(t *testing.T, accept string) {
		if wantsJWT(http.Header{"Accept": {accept}}) && !strings.Contains(strings.ToLower(accept), mediaJWT) {
			t.Fatalf("%q", accept)
		}
	})
}
