package provider_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/provider"
)

// Pairwise: two sectors, two names; one sector, one name.
func TestSubjects(t *testing.T) {
	h := newHouse(t)
	of := func(uri, kind string) string {
		c := oauth.Client{ID: uri + kind, RedirectURIs: []string{uri}, SubjectType: kind}
		return h.subjects.Subject(&c, h.citizens[0])
	}
	a, b := of("https://a.example/1", "pairwise"), of("https://b.example/1", "pairwise")
	if a == b || a != of("https://a.example/2", "pairwise") || a == of("https://a.example/1", "public") ||
		of("https://a.example/1", "public") != of("https://b.example/1", "public") {
		t.Error("subjects do not go by sector")
	}
}

// The metadata says what there is.
func TestMetadata(t *testing.T) {
	h := newHouse(t)
	w := h.browser().get("/.well-known/openid-configuration")
	golden(t, "metadata", jsonOf(t, w))
	etag := w.Header().Get("ETag")
	r := mustRequest(http.MethodGet, "/.well-known/oauth-authorization-server", "")
	r.Header.Set("If-None-Match", etag)
	if w := h.browser().do(r); w.Code != http.StatusNotModified || etag == "" {
		t.Errorf("with its ETag: %d", w.Code)
	}
	for name, uri := range jsonOf(t, h.browser().get("/.well-known/openid-configuration")) {
		text, _ := uri.(string)
		if path, ok := strings.CutPrefix(text, issuer+"/"); ok {
			if !h.mux.knows("/" + path) {
				t.Errorf("%s leads nowhere", name)
			}
		}
	}
}

// Keys: public halves only, SM2 apart, and a rotation that breaks nothing (KY5).
func TestKeys(t *testing.T) {
	h := newHouse(t)
	h.rp()
	set := h.browser().get("/jwks").Body.String()
	national := h.browser().get("/sm2-jwks").Body.String()
	if strings.Contains(set, `"d"`) || strings.Contains(set, "SM2") || !strings.Contains(national, "SM2") || strings.Contains(national, `"d"`) {
		t.Errorf("sets are %s and %s", set, national)
	}
	old := h.tokens("openid offline_access card.basic")
	h.clock.Advance(90*24*time.Hour - 2*time.Hour)
	var kids []string
	for range 4 {
		h.clock.Advance(time.Hour)
		if err := h.keys.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		key, err := h.keys.Signer(jose.ES256)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(kids, key.KeyID()) {
			kids = append(kids, key.KeyID())
		}
	}
	if len(kids) != 2 {
		t.Errorf("signed with %v", kids)
	}
	b := h.browser()
	b.signIn(0, password(), totp())
	got := answer(t, b.get("/authorize?"+ask("prompt", "none", "id_token_hint", old["id_token"].(string)).Encode()))
	if got.Get("code") == "" {
		t.Errorf("a hint under the retired key: %v", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := provider.New(provider.Config{Issuer: "https://id.example"}); err == nil || !strings.Contains(err.Error(), "Handles") {
		t.Errorf("got %v", err)
	}
}
