package clientkeys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// web is the client's server.
type web struct {
	mu    sync.Mutex
	docs  map[string][]byte
	calls int
	wait  chan struct{} // unless nil, calls end when it is closed
}

func (w *web) Get(ctx context.Context, url, _ string) ([]byte, http.Header, error) {
	w.mu.Lock()
	w.calls++
	doc, ok := w.docs[url]
	wait := w.wait
	w.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	if !ok {
		return nil, nil, errors.New("no answer")
	}
	return doc, http.Header{}, nil
}

func (w *web) publish(t *testing.T, url string, keys ...jose.Key) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.docs[url] = document(t, keys...)
}

func (w *web) called() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

func document(t *testing.T, keys ...jose.Key) []byte {
	t.Helper()
	doc, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func generate(t *testing.T, kid string) jose.Key {
	t.Helper()
	k, err := jose.Generate(jose.ES256, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t *testing.T, k jose.Key) jose.Token {
	t.Helper()
	compact, err := jose.Sign(k, "JWT", map[string]any{"iss": "clinic"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

const uri = "https://clinic.example/keys"

func newSource() (*Source, *web, *clock.Manual) {
	w, clk := &web{docs: map[string][]byte{}}, clock.At(noon)
	return &Source{Fetch: w, Clock: clk, Log: slog.New(slog.DiscardHandler)}, w, clk
}

func TestInline(t *testing.T) {
	s, w, _ := newSource()
	k, next := generate(t, "a"), generate(t, "b")
	c := &oauth.Client{ID: "clinic", JWKS: document(t, k)}
	if _, err := s.Verify(t.Context(), c, signed(t, k), jose.ES256); err != nil {
		t.Error(err)
	}
	if _, err := s.Verify(t.Context(), c, signed(t, next), jose.ES256); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("a key that is not registered: %v", err)
	}
	// Registered anew, and at once the old key is nobody's.
	c = &oauth.Client{ID: "clinic", JWKS: document(t, next)}
	if _, err := s.Verify(t.Context(), c, signed(t, next), jose.ES256); err != nil {
		t.Error(err)
	}
	if _, err := s.Verify(t.Context(), c, signed(t, k), jose.ES256); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("the key before: %v", err)
	}
	doc, err := s.Document(t.Context(), c)
	if err != nil || string(doc) != string(c.JWKS) {
		t.Errorf("%s, %v", doc, err)
	}
	for name, c := range map[string]*oauth.Client{
		"none": {ID: "x"}, "junk": {ID: "y", JWKS: []byte("x")}, "private": {ID: "z", JWKS: []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)},
	} {
		if set, err := s.Keys(t.Context(), c); !errors.Is(err, ErrUnavailable) || set.Len() != 0 {
			t.Errorf("%s: %d keys, %v", name, set.Len(), err)
		}
	}
	if w.called() != 0 {
		t.Error("something was fetched")
	}
}

// SECURITY KY5: strangers who name keys that do not exist cause one fetch a minute.
func TestUnknownKey(t *testing.T) {
	s, w, clk := newSource()
	k, next, stranger := generate(t, "a"), generate(t, "b"), generate(t, "x")
	c := &oauth.Client{ID: "clinic", JWKSURI: uri}
	w.publish(t, uri, k)
	verify := func(k jose.Key) error {
		_, err := s.Verify(t.Context(), c, signed(t, k), jose.ES256)
		return err
	}
	if err := verify(k); err != nil || w.called() != 1 {
		t.Fatalf("%v after %d fetches", err, w.called())
	}
	for range 50 {
		if err := verify(stranger); !errors.Is(err, jose.ErrNoKey) {
			t.Fatal(err)
		}
	}
	if w.called() != 1 {
		t.Errorf("%d fetches within the minute", w.called())
	}
	clk.Advance(again)
	w.publish(t, uri, k, next)
	for range 50 {
		if err := verify(stranger); !errors.Is(err, jose.ErrNoKey) {
			t.Fatal(err)
		}
	}
	if w.called() != 2 {
		t.Errorf("%d fetches in the next", w.called())
	}
	// What they caused to be fetched serves the client.
	if err := verify(next); err != nil || w.called() != 2 {
		t.Errorf("the new key: %v after %d fetches", err, w.called())
	}
	// A wrong signature under a known kid fetches nothing.
	clk.Advance(again)
	if err := verify(generate(t, "a")); !errors.Is(err, jose.ErrSignature) || w.called() != 2 {
		t.Errorf("a forgery: %v after %d fetches", err, w.called())
	}
}

func TestRotation(t *testing.T) {
	s, w, clk := newSource()
	k, next := generate(t, "a"), generate(t, "b")
	c := &oauth.Client{ID: "clinic", JWKSURI: uri}
	w.publish(t, uri, k)
	_, _ = s.Keys(t.Context(), c)
	w.publish(t, uri, next)
	clk.Advance(fresh - time.Second)
	if _, err := s.Verify(t.Context(), c, signed(t, k), jose.ES256); err != nil {
		t.Errorf("while the set is fresh: %v", err)
	}
	clk.Advance(time.Second)
	if _, err := s.Verify(t.Context(), c, signed(t, k), jose.ES256); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("a key taken back: %v", err)
	}
	if _, err := s.Verify(t.Context(), c, signed(t, next), jose.ES256); err != nil {
		t.Error(err)
	}
	if doc, err := s.Document(t.Context(), c); err != nil || string(doc) != string(w.docs[uri]) {
		t.Errorf("%s, %v", doc, err)
	}
	// Another address is another set, whatever was known of the first.
	moved := &oauth.Client{ID: "clinic", JWKSURI: "https://clinic.example/moved"}
	if _, err := s.Keys(t.Context(), moved); !errors.Is(err, ErrUnavailable) {
		t.Errorf("moved: %v", err)
	}
}

func TestOutage(t *testing.T) {
	s, w, clk := newSource()
	k := generate(t, "a")
	c := &oauth.Client{ID: "clinic", JWKSURI: uri}
	for range 20 {
		if _, err := s.Keys(t.Context(), c); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if w.called() != 1 {
		t.Errorf("%d fetches of nothing", w.called())
	}
	clk.Advance(again)
	w.publish(t, uri, k)
	if _, err := s.Keys(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string][]byte{"gone": nil, "junk": []byte("<html>"), "secret": []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)} {
		if delete(w.docs, uri); doc != nil {
			w.docs[uri] = doc
		}
		clk.Advance(fresh)
		before := w.called()
		for range 20 {
			if _, err := s.Verify(t.Context(), c, signed(t, k), jose.ES256); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if got := w.called() - before; got != 1 {
			t.Errorf("%s: %d fetches", name, got)
		}
	}
	clk.Advance(stale)
	if set, err := s.Keys(t.Context(), c); !errors.Is(err, ErrUnavailable) || set.Len() != 0 {
		t.Errorf("after an hour: %d keys, %v", set.Len(), err)
	}
}

// Of many requests one asks; whoever hangs up decides nothing for the others.
func TestTogether(t *testing.T) {
	s, w, _ := newSource()
	w.publish(t, uri, generate(t, "a"))
	w.wait = make(chan struct{})
	c := &oauth.Client{ID: "clinic", JWKSURI: uri}
	gone, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _, _ = s.Keys(gone, c) })
	for deadline := time.Now().Add(5 * time.Second); w.called() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody asked")
		}
	}
	cancel()
	for range 16 {
		all.Go(func() {
			if set, err := s.Keys(t.Context(), c); err != nil || set.Len() != 1 {
				t.Errorf("%d keys, %v", set.Len(), err)
			}
		})
	}
	// One who cannot wait does not.
	if _, err := s.Keys(gone, c); !errors.Is(err, context.Canceled) {
		t.Errorf("hung up: %v", err)
	}
	close(w.wait)
	all.Wait()
	if w.called() != 1 {
		t.Errorf("%d fetches", w.called())
	}
}

func TestNoFetching(t *testing.T) {
	s, _, _ := newSource()
	s.Fetch = nil
	if _, err := s.Keys(t.Context(), &oauth.Client{ID: "clinic", JWKSURI: uri}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestBounded(t *testing.T) {
	s, _, clk := newSource()
	doc := document(t, generate(t, "a"))
	for i := range maxClients + 50 {
		clk.Advance(time.Millisecond)
		if _, err := s.Keys(t.Context(), &oauth.Client{ID: fmt.Sprint(i), JWKS: doc}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.kept) > maxClients || s.kept["0"] != nil || s.kept[fmt.Sprint(maxClients)] == nil {
		t.Errorf("%d clients kept", len(s.kept))
	}
}
