package logout

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func keyed(t testing.TB, key string) oauth.Keyed {
	t.Helper()
	k, err := oauth.NewKeyed([]byte(strings.Repeat(key, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTicket(t *testing.T) {
	k := keyed(t, "a")
	want := ticket{Client: "office", Return: "https://rp.example/bye", State: "s t&a=te", SID: "sid", Session: identity.NewID()}
	sealed, err := want.seal(k, noon)
	if err != nil {
		t.Fatal(err)
	}
	again, err := want.seal(k, noon)
	if err != nil || again == sealed {
		t.Errorf("the same ticket twice looks the same: %v", err)
	}
	got, err := openTicket(k, sealed, noon.Add(ticketLife))
	want.Ends = noon.Add(ticketLife).Unix()
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if raw, _ := base64.RawURLEncoding.DecodeString(sealed); strings.Contains(string(raw), "office") {
		t.Error("the ticket can be read")
	}
	for name, open := range map[string]func() (ticket, error){
		"late":        func() (ticket, error) { return openTicket(k, sealed, noon.Add(ticketLife+time.Second)) },
		"another key": func() (ticket, error) { return openTicket(keyed(t, "b"), sealed, noon) },
		"short":       func() (ticket, error) { return openTicket(k, sealed[:20], noon) },
		"empty":       func() (ticket, error) { return openTicket(k, "", noon) },
		"longer":      func() (ticket, error) { return openTicket(k, sealed+"AAAA", noon) },
	} {
		if got, err := open(); !errors.Is(err, errTicket) || got != (ticket{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzTicket: what we did not seal opens to nothing, whatever it is.
func FuzzTicket(f *testing.F) {
	k := keyed(f, "a")
	sealed, err := ticket{Client: "office"}.seal(k, noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Add("e30")
	f.Add(sealed[:40] + "\n" + sealed[40:])
	f.Fuzz(func(t *testing.T, s string) {
		got, err := openTicket(k, s, noon)
		switch {
		case err == nil && got.Client == "office" && !strings.ContainsAny(s, "\r\n="): // sealed by a sibling of this process
		case !errors.Is(err, errTicket) || got != (ticket{}):
			t.Fatalf("%+v, %v", got, err)
		}
	})
}

// Longer and longer, and never longer than an hour: a day holds some thirty tries.
func TestWait(t *testing.T) {
	before := time.Duration(0)
	for tries, want := range []time.Duration{5 * time.Second, 20 * time.Second, 80 * time.Second, 320 * time.Second, 1280 * time.Second, time.Hour, time.Hour} {
		if got := wait(tries); got != want || got < before {
			t.Errorf("after %d: %v, want %v", tries, got, want)
		}
		before = wait(tries)
	}
	if wait(1<<40) != time.Hour {
		t.Error("not after many")
	}
}

// A registered URI stays as it is, byte by byte.
func TestBack(t *testing.T) {
	for want, c := range map[string]ticket{
		"":                                     {State: "x"},
		"https://rp.example/bye":               {Return: "https://rp.example/bye"},
		"https://rp.example/b?state=x":         {Return: "https://rp.example/b", State: "x"},
		"https://rp.example/b?a=%2f&state=%26": {Return: "https://rp.example/b?a=%2f", State: "&"},
	} {
		if got := c.back(); got != want {
			t.Errorf("%+v leads to %q, want %q", c, got, want)
		}
	}
}
