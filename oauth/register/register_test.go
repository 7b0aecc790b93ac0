package register

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ecardid/internal/secret"
	"ecardid/oauth"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestPace(t *testing.T) {
	var p pace
	if p.spent("a", noon) {
		t.Error("somebody new has to wait")
	}
	for i := range burst {
		if !p.take("a", refill, noon) {
			t.Fatalf("attempt %d has to wait", i+1)
		}
	}
	if p.take("a", refill, noon) || !p.spent("a", noon) {
		t.Error("one too many")
	}
	if !p.take("b", refill, noon) {
		t.Error("somebody else has to wait")
	}
	if !p.take("a", refill, noon.Add(refill)) || p.take("a", refill, noon.Add(refill)) {
		t.Error("a rest is good for one")
	}
	for i := range maxSources + 50 { // strangers do not fill the memory
		p.take(fmt.Sprint(i), refill, noon)
	}
	if len(p.sources) > maxSources {
		t.Errorf("%d sources are remembered", len(p.sources))
	}
}

func TestBearer(t *testing.T) {
	for _, test := range []struct {
		fields []string
		want   string
		err    error
	}{
		{nil, "", errNoToken},
		{[]string{"Bearer abc"}, "abc", nil},
		{[]string{"bEARER a-b._~+/="}, "a-b._~+/=", nil},
		{[]string{"Bearer a", "Bearer a"}, "", errToken},
		{[]string{"Basic YTpi"}, "", errToken},
		{[]string{"Bearer"}, "", errToken},
		{[]string{"Bearer "}, "", errToken},
		{[]string{"Bearer  a"}, "", errToken},
		{[]string{"Bearer a b"}, "", errToken},
		{[]string{"Bearer a,b"}, "", errToken},
		{[]string{"Bearer ä"}, "", errToken},
		{[]string{""}, "", errToken},
	} {
		r := httptest.NewRequest(http.MethodGet, "/register/x", nil)
		r.Header["Authorization"] = test.fields
		if got, err := bearer(r); got.Reveal() != test.want || err != test.err {
			t.Errorf("%q: %q, %v", test.fields, got.Reveal(), err)
		}
	}
}

// FuzzIdentify: what passes is this client's, and what is left of it says nothing that
// is the server's to say.
func FuzzIdentify(f *testing.F) {
	keys, err := oauth.NewKeyed(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		f.Fatal(err)
	}
	value, hash := oauth.NewSecret(keys, "c-1")
	h := &Handler{Secrets: keys}
	c := &oauth.Client{ID: "c-1", Secrets: []oauth.SecretHash{hash}}
	f.Add([]byte(`{"client_id":"c-1","client_secret":"` + value.Reveal() + `","redirect_uris":["https://rp.example/"]}`))
	f.Add([]byte(`{"client_id":"c-1","CLIENT_ID":"c-2"}`))
	f.Add([]byte(`{"client_id":"c-1","registration_access_token":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rest, err := h.identify(body, c, noon)
		if err != nil {
			if rest != nil {
				t.Fatal("what was refused returned something")
			}
			return
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(body, &before) != nil || json.Unmarshal(rest, &after) != nil {
			t.Fatalf("%s became %s", body, rest)
		}
		var id, shown string
		if json.Unmarshal(before["client_id"], &id) != nil || id != "c-1" {
			t.Fatalf("taken as ours: %s", body)
		}
		if raw, given := before["client_secret"]; given && (json.Unmarshal(raw, &shown) != nil || !secret.Of(shown).Equal(value)) {
			t.Fatalf("a wrong secret passed: %s", body)
		}
		for _, ours := range []string{"client_id", "client_secret", "registration_access_token", "registration_client_uri", "client_secret_expires_at"} {
			if _, left := after[ours]; left {
				t.Fatalf("%s is left in %s", ours, rest)
			}
		}
	})
}

// FuzzURIs: a sector's document is an array of strings, or nothing.
func FuzzURIs(f *testing.F) {
	for _, seed := range []string{`["https://a.example/"]`, `[]`, `null`, `[null]`, `{"a":1}`, `["a"] ["b"]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		listed, ok := uris(body)
		if !ok && listed != nil {
			t.Fatal("what failed to parse returned something")
		}
		if ok && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
			t.Fatalf("%s is no array", body)
		}
	})
}
