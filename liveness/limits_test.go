package liveness_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ecardid/internal/jose"
	"ecardid/liveness"
	"ecardid/liveness/standin"
)

func TestLimits(t *testing.T) {
	w := newWorld(t, jose.ES256)
	for range 3 {
		w.start(txn("t1"), "")
	}
	if _, err := w.begin(txn("t1")); !errors.Is(err, liveness.ErrTransactionLimit) {
		t.Errorf("a fourth in one transaction: %v", err)
	}
	// Five tries are shared over parallel transactions.
	w.start(txn("t2"), "")
	w.start(txn("t3"), "")
	if _, err := w.begin(txn("t4")); !errors.Is(err, liveness.ErrCitizenLimit) {
		t.Errorf("a sixth at once: %v", err)
	}
	other := txn("t5")
	other.Citizen = wang
	if _, err := w.begin(other); err != nil {
		t.Errorf("another citizen pays for it: %v", err)
	}
	w.clock.Advance(15 * time.Minute)
	for i := range 5 {
		w.start(txn(fmt.Sprint("later", i)), "")
	}
	w.clock.Advance(15 * time.Minute)
	if _, err := w.begin(txn("t6")); !errors.Is(err, liveness.ErrCitizenLimit) {
		t.Errorf("an eleventh in one day: %v", err)
	}
	w.clock.Advance(24 * time.Hour)
	w.start(txn("t7"), "")
}

// Tries inside one provider session count like sessions, and while nobody knows
// how many there were, all that were allowed count.
func TestTriesWithinASession(t *testing.T) {
	three := func(c *liveness.Config) { c.Limits.PerSession = 3 }
	attempts := func(n int) standin.Trouble {
		return standin.Trouble{Change: func(c standin.Claims) { c["attempt"] = n }}
	}

	w := newWorld(t, jose.ES256, three)
	w.makeTrouble(standin.StepResult, attempts(2))
	w.finish(w.start(txn("t1"), "fail"), txn("t1"))
	w.start(txn("t1"), "") // two and three are five
	if _, err := w.begin(txn("t1")); !errors.Is(err, liveness.ErrCitizenLimit) {
		t.Errorf("a sixth try: %v", err)
	}

	w = newWorld(t, jose.ES256, three)
	w.start(txn("t1"), "")
	if _, err := w.begin(txn("t2")); !errors.Is(err, liveness.ErrCitizenLimit) {
		t.Errorf("three and three at once: %v", err)
	}

	w = newWorld(t, jose.ES256, three)
	w.makeTrouble(standin.StepResult, attempts(4))
	if v := w.finish(w.start(txn("t1"), "pass"), txn("t1")); v.Reason != liveness.ReasonAttempts {
		t.Errorf("passed at the fourth of three tries: %+v", v)
	}
}

func TestLimitsRace(t *testing.T) {
	w := newWorld(t, jose.ES256)
	var wg sync.WaitGroup
	var mu sync.Mutex
	began := 0
	for i := range 20 {
		wg.Go(func() {
			if _, err := w.begin(txn(fmt.Sprint("t", i))); err == nil {
				mu.Lock()
				began++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if began != 5 {
		t.Errorf("%d of 20 parallel checks began, want 5", began)
	}
}
