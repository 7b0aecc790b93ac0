package devicegrant

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"ecardid/identity"
	"ecardid/oauth"
)

// A guess is one try at a user code, counted.
type guess struct {
	allowed bool
	keys    [][]byte
}

// guess counts a try for its source, its browser, everybody, and for the citizen who is
// signed in, if anybody is.
func (h *Handler) guess(w http.ResponseWriter, r *http.Request) (guess, error) {
	login, err := h.Logins.Current(r)
	known := err == nil
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return guess{}, fmt.Errorf("looking for a login: %w", err)
	}
	counters := []oauth.Counter{byAll(), bySource(), byBrowser()}
	of := [][]string{{"all"}, {"source", source(h.Source(r))}, {"browser", string(h.Front.Browser(w, r))}}
	if known {
		counters = append(counters, byCitizen())
		of = append(of, []string{"citizen", string(login.Citizen[:])})
	}
	var g guess
	for i := range counters {
		counters[i].Key = h.Handles.Keys.Sum("device guesses", of[i]...)
		g.keys = append(g.keys, counters[i].Key)
	}
	open, err := h.Store.CountGuess(r.Context(), h.Clock.Now(), counters...)
	if err != nil {
		return guess{}, fmt.Errorf("counting a guess: %w", err)
	}
	g.allowed = len(open) == len(counters)
	for i, ok := range open {
		// Whoever is signed in is not shut out by what strangers do.
		g.allowed = g.allowed && (ok || i == 0 && known)
	}
	return g, nil
}

// right takes the try back where it was counted. Blocks that it brought about stay:
// whoever knows one code could guess at others without end.
func (g guess) right(ctx context.Context, store oauth.Counters) error {
	for _, key := range g.keys {
		if err := store.Refund(ctx, key); err != nil {
			return fmt.Errorf("taking back a guess: %w", err)
		}
	}
	return nil
}
