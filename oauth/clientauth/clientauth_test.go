package clientauth

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"
	"time"
)

func TestBasic(t *testing.T) {
	encode := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct{ name, header, id, secret string }{
		{"plain", encode("clinic:s3cret"), "clinic", "s3cret"},
		// Both halves are form-encoded (RFC 6749 §2.3.1).
		{"encoded", encode("cl%69nic:a%3Ab+c"), "clinic", "a:b c"},
		{"colon-in-secret", encode("clinic:a:b"), "clinic", "a:b"},
		{"scheme-case", "bASIC" + encode("clinic:x")[5:], "clinic", "x"},
		{"no-colon", encode("clinic"), "", ""},
		{"no-id", encode(":x"), "", ""},
		{"no-secret", encode("clinic:"), "", ""},
		{"bad-escape", encode("clinic:%zz"), "", ""},
		{"not-utf8", encode("clinic:%ff"), "", ""},
		{"loose-bits", "Basic YTpiYR==", "", ""},
		{"two-blanks", "Basic  " + encode("clinic:x")[6:], "", ""},
		{"no-scheme", encode("clinic:x")[6:], "", ""},
		{"empty", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := basic(c.header)
			if (err == nil) != (c.id != "") || got.id != c.id || got.secret.Reveal() != c.secret {
				t.Errorf("%q %q %v", got.id, got.secret.Reveal(), err)
			}
		})
	}
}

func FuzzBasic(f *testing.F) {
	f.Add("Basic Y2xpbmljOng=")
	f.Add("basic JTYxOiU2MQ==")
	f.Fuzz(func(t *testing.T, header string) {
		got, err := basic(header)
		if err != nil {
			if got != (credentials{}) {
				t.Fatalf("%q failed and gave %v", header, got)
			}
			return
		}
		if got.id == "" || got.secret.Empty() {
			t.Fatalf("%q gave half a credential", header)
		}
		again := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(got.id)+":"+url.QueryEscape(got.secret.Reveal())))
		if back, err := basic(again); len(again) < 4096 && (err != nil || back != got) {
			t.Fatalf("%q does not come back", header)
		}
	})
}

func TestThrottle(t *testing.T) {
	var g Guesses
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range freeGuesses {
		if g.Blocked("a", now) {
			t.Fatalf("blocked after %d", i)
		}
		g.Failed("a", now)
	}
	if !g.Blocked("a", now) || g.Blocked("b", now) || g.Blocked("a", now.Add(guessBlock)) {
		t.Error("blocks the wrong one, or for the wrong time")
	}
	// Strangers cannot fill the memory.
	for i := range maxSources + 100 {
		g.Failed(fmt.Sprint(i), now)
	}
	if len(g.counts) > maxSources {
		t.Errorf("%d sources kept", len(g.counts))
	}
}
