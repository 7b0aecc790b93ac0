package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
)

const (
	admissionLook  = time.Hour
	admissionSoon  = 7 * 24 * time.Hour
	admissionWords = 400 * 24 * time.Hour // how long it is remembered that an alarm was raised
)

// admissionWatch raises an alarm when the admission of a client ends within a month,
// within a week, and when it has ended: each once, whichever replica is first.
type admissionWatch struct {
	store interface {
		AllClients(ctx context.Context) ([]oauth.Client, int64, error)
		Remember(ctx context.Context, key []byte, expires, now time.Time) error
		Record(ctx context.Context, e audit.Event) error
	}
	metrics *Metrics
	clock   clock.Clock
	log     *slog.Logger
}

// run looks now and every hour until ctx ends.
func (a admissionWatch) run(ctx context.Context) {
	ticker := time.NewTicker(admissionLook)
	defer ticker.Stop()
	for {
		if err := a.look(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "admissions not watched", "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a admissionWatch) look(ctx context.Context) error {
	all, _, err := a.store.AllClients(ctx)
	if err != nil {
		return err
	}
	now, ending, lapsed := a.clock.Now(), 0, 0
	for _, c := range all {
		if !c.State.Served() || !c.Admission.Ending(now) {
			continue
		}
		over := c.Admission.Expires.Over()
		stage := "month"
		switch {
		case c.Admission.Lapsed(now):
			stage = "lapsed"
			lapsed++
		case over.Sub(now) <= admissionSoon:
			stage = "week"
			ending++
		default:
			ending++
		}
		key := sha256.Sum256([]byte("admission\x00" + c.ID + "\x00" + c.Admission.Expires.String() + "\x00" + stage))
		err := a.store.Remember(ctx, key[:], now.Add(admissionWords), now)
		if errors.Is(err, identity.ErrSpent) || errors.Is(err, identity.ErrReplayed) {
			continue
		}
		if err != nil {
			return err
		}
		if err := a.store.Record(ctx, audit.Event{
			Kind: audit.AdmissionEnding, At: now, Actor: audit.BySystem, Client: c.ID,
			Detail: map[string]string{"rule": "admission", "decision": stage, "until": c.Admission.Expires.String()},
		}); err != nil {
			return err
		}
		a.metrics.Alarm("admission")
	}
	a.metrics.admissions(ending, lapsed)
	return nil
}
