package main

import (
	"crypto/rand"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/internal/clock"
	"ecardid/internal/seal"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/storage"
)

// TestSecretsOfClients: an update keeps the secret, a new one leaves the old one a
// day, and whoever was suspended is not let in again by accident.
func TestSecretsOfClients(t *testing.T) {
	ctx := t.Context()
	now := clock.At(time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC))
	e := &env{in: strings.NewReader(""), out: io.Discard, err: io.Discard, clock: now, rand: rand.Reader}
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "e.db")
	if err := storage.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	s, err := storage.Open(ctx, dsn, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kek, err := seal.ParseKEK([]byte(strings.Repeat("0123456789abcdef", 4)), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(ctx, kek, now.Now()); err != nil {
		t.Fatal(err)
	}
	scopes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Made: config.Made{Catalogue: scopes}}
	has := offer(c)
	hash, err := clientSecrets(s.Keys())
	if err != nil {
		t.Fatal(err)
	}
	const plain = `{"client_id":"clinic","client_name":"c","redirect_uris":["https://clinic.example/cb"],"scope":"openid"`
	apply := func(doc string, fresh bool) secret.Value {
		t.Helper()
		_, shown, err := e.applyClient(ctx, s, has, []byte(doc), fresh)
		if err != nil {
			t.Fatal(err)
		}
		return shown
	}
	client := func() oauth.Client {
		t.Helper()
		all, _, err := s.AllClients(ctx)
		if err != nil || len(all) != 1 {
			t.Fatalf("%d clients, %v", len(all), err)
		}
		return all[0]
	}
	works := func(v secret.Value) bool { c := client(); return c.CheckSecret(hash, v, now.Now()) }

	first := apply(plain+"}", false)
	if again := apply(plain+"}", false); !again.Empty() || !works(first) {
		t.Error("an update changed the secret")
	}
	second := apply(plain+"}", true)
	if !works(first) || !works(second) {
		t.Error("both secrets work for a day")
	}
	third := apply(plain+"}", true)
	if works(first) || !works(second) || !works(third) {
		t.Error("two secrets at most")
	}
	now.Advance(overlap)
	if works(second) || !works(third) {
		t.Error("the one before outlived its day")
	}

	for _, alg := range []string{"RS256", "PS256", "SGD_SM3_SM2"} { // whatever is admitted can be signed
		apply(plain+`,"id_token_signed_response_alg":"`+alg+`","access_token_signed_response_alg":"`+alg+`"}`, false)
	}
	keys, err := s.SigningKeys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	active := map[string]bool{}
	for _, k := range keys {
		active[k.Alg] = active[k.Alg] || k.State == "active"
	}
	if !active["RS256"] || !active["PS256"] {
		t.Errorf("keys that sign: %v", active)
	}

	ev := e.event(audit.ClientSuspended, "test")
	ev.Client = "clinic"
	if err := s.SuspendClient(ctx, "clinic", now.Now(), ev); err != nil {
		t.Fatal(err)
	}
	apply(plain+"}", false)
	if client().State != oauth.ClientSuspended {
		t.Error("an update let a suspended client in again")
	}
	apply(plain+`,"state":"live"}`, false)
	if client().State != oauth.ClientLive {
		t.Error("an operator who says so lets it in again")
	}
	// What the console has made of a client, an update of its registration leaves.
	apply(plain+`,"state":"draft","admission":{"assessor":"Office","expires":"2099-12-31"}}`, false)
	apply(plain+"}", false)
	if c := client(); c.State != oauth.ClientDraft || c.Admission == nil || c.Admission.Assessor != "Office" {
		t.Errorf("an update changed how far it is: %s, %+v", c.State, c.Admission)
	}
	apply(plain+`,"state":"live","admission":{}}`, false)
	if c := client(); c.State != oauth.ClientLive || !c.Admission.IsZero() || c.Admission.Lapsed(now.Now()) {
		t.Errorf("an operator who says so: %s, %+v", c.State, c.Admission)
	}
	apply(plain+`,"token_endpoint_auth_method":"none"}`, false)
	if len(client().Secrets) != 0 {
		t.Error("a public client kept a secret")
	}
}
