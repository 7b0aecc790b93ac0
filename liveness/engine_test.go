package liveness_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/liveness"
	"ecardid/liveness/standin"
)

func TestHappyPath(t *testing.T) {
	for _, alg := range []jose.Alg{jose.ES256, jose.SM2} {
		for _, match := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/match=%v", alg, match), func(t *testing.T) {
				w := newWorld(t, alg, func(c *liveness.Config) {
					if match {
						c.Policy.Mode, c.Policy.Reference, c.Policy.MinMatch = liveness.ModeMatch, liveness.ReferenceHandle, 80
					}
				})
				id := w.start(txn("t1"), "pass")
				v := w.finish(id, txn("t1"))
				if !v.Passed() || v.Band != liveness.BandClear || !v.At.Equal(noon) || v.Provider != "standin" {
					t.Errorf("verdict %+v", v)
				}
				if len(w.notices) != 1 {
					t.Errorf("%d notices", len(w.notices))
				}
				// Once means once, for the same browser too.
				if v, err := w.engine.Finish(context.Background(), id, txn("t1")); !errors.Is(err, identity.ErrSpent) || v.Passed() {
					t.Errorf("again: %+v, %v", v, err)
				}
			})
		}
	}
}

func TestWithoutNotice(t *testing.T) {
	w := newWorld(t, jose.ES256)
	w.makeTrouble(standin.StepNotice, standin.Trouble{Drop: true})
	if v := w.finish(w.start(txn("t1"), "pass"), txn("t1")); !v.Passed() {
		t.Errorf("verdict %+v", v)
	}
}

func TestRecoveryWithoutDevice(t *testing.T) {
	w := newWorld(t, jose.ES256)
	lost := txn("t1")
	lost.Device, lost.Purpose = identity.ID{}, liveness.PurposeRecover
	if v := w.finish(w.start(lost, "pass"), lost); !v.Passed() {
		t.Errorf("verdict %+v", v)
	}
	lost.ID, lost.Purpose = "t2", liveness.PurposeStepUp
	if _, err := w.begin(lost); err == nil {
		t.Error("a step-up began without a device")
	}
}

func TestNotPassed(t *testing.T) {
	for answer, want := range map[string]struct {
		outcome liveness.Outcome
		reason  liveness.Reason
		state   liveness.State
	}{
		"fail":         {liveness.Failed, liveness.ReasonVerdict, liveness.StateFailed},
		"inconclusive": {liveness.Inconclusive, liveness.ReasonInconclusive, liveness.StateInconclusive},
		"error":        {liveness.Inconclusive, liveness.ReasonInconclusive, liveness.StateInconclusive},
		"PASS":         {liveness.Failed, liveness.ReasonMalformed, liveness.StateFailed},
		"silent":       {liveness.Unavailable, liveness.ReasonNotReady, liveness.StatePending},
	} {
		t.Run(answer, func(t *testing.T) {
			w := newWorld(t, jose.ES256)
			id := w.start(txn("t1"), answer)
			v := w.finish(id, txn("t1"))
			if v.Outcome != want.outcome || v.Reason != want.reason || v.Passed() {
				t.Errorf("verdict %+v", v)
			}
			if state, _ := w.sessions.state(id); state != want.state {
				t.Errorf("session is %s, want %s", state, want.state)
			}
		})
	}
}

func TestStandInRefused(t *testing.T) {
	w := newWorld(t, jose.ES256)
	if _, err := w.begin(txn("t1")); err != nil {
		t.Fatal(err)
	}
	w.engine.LeaveDevelopment()
	if _, err := w.begin(txn("t1")); !errors.Is(err, liveness.ErrStandIn) || !errors.Is(err, liveness.ErrUnavailable) {
		t.Errorf("Start = %v", err)
	}
	w.makeTrouble(standin.StepStart, standin.Trouble{Change: func(c standin.Claims) { delete(c, "standin") }})
	if _, err := w.begin(txn("t1")); errors.Is(err, liveness.ErrStandIn) || !errors.Is(err, liveness.ErrUnavailable) {
		t.Errorf("a loopback capture page in production: %v", err)
	}
	// The same configuration in production does not even start.
	cfg := w.cfg
	cfg.Development = false
	if _, err := liveness.New(cfg, w.sessions, w.clock, slog.Default()); err == nil {
		t.Error("a production engine with a provider on loopback")
	}
}

// Somebody else's browser, account, device or purpose gets nothing and breaks
// nothing.
func TestAnotherTransaction(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	for name, change := range map[string]func(*liveness.Transaction){
		"transaction": func(t *liveness.Transaction) { t.ID = "t2" },
		"client":      func(t *liveness.Transaction) { t.ClientID = "bank" },
		"citizen":     func(t *liveness.Transaction) { t.Citizen = wang },
		"device":      func(t *liveness.Transaction) { t.Device = identity.ID{12} },
		"no-device":   func(t *liveness.Transaction) { t.Device = identity.ID{} },
		"purpose":     func(t *liveness.Transaction) { t.Purpose = liveness.PurposeRecover },
		"nothing":     func(t *liveness.Transaction) { *t = liveness.Transaction{} },
	} {
		other := txn("t1")
		change(&other)
		if v, err := w.engine.Finish(context.Background(), id, other); !errors.Is(err, identity.ErrNotFound) || v.Passed() {
			t.Errorf("another %s: %+v, %v", name, v, err)
		}
	}
	if _, err := w.engine.Finish(context.Background(), identity.ID{9}, txn("t1")); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("no session: %v", err)
	}
	if w.pulled() != 0 {
		t.Error("the provider was asked on a stranger's behalf")
	}
	if v := w.finish(id, txn("t1")); !v.Passed() {
		t.Errorf("the owner: %+v", v)
	}
}

// A result pulled for one session is brought again for the next.
func TestReplay(t *testing.T) {
	w := newWorld(t, jose.ES256)
	w.finish(w.start(txn("t1"), "pass"), txn("t1"))
	old := w.results[0]

	id := w.start(txn("t1"), "pass")
	w.makeTrouble(standin.StepResult, standin.Trouble{Body: []byte(old)})
	if v := w.finish(id, txn("t1")); v.Passed() || v.Reason != liveness.ReasonReplay {
		t.Errorf("an old result: %+v", v)
	}

	// A provider that signs the same jti twice.
	id = w.start(txn("t2"), "pass")
	w.makeTrouble(standin.StepResult, standin.Trouble{Change: func(c standin.Claims) { c["jti"] = "same" }})
	if v := w.finish(id, txn("t2")); !v.Passed() {
		t.Errorf("first use: %+v", v)
	}
	id = w.start(txn("t2"), "pass")
	if v := w.finish(id, txn("t2")); v.Passed() || v.Reason != liveness.ReasonReplay {
		t.Errorf("second use: %+v", v)
	}
	if state, _ := w.sessions.state(id); state != liveness.StateFailed {
		t.Errorf("session is %s", state)
	}
}

func TestLate(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	w.clock.Advance(2*time.Minute + 59*time.Second)
	if v := w.finish(id, txn("t1")); !v.Passed() {
		t.Errorf("within the grace: %+v", v)
	}
	id = w.start(txn("t1"), "pass")
	w.clock.Advance(3 * time.Minute)
	if v := w.finish(id, txn("t1")); v.Outcome != liveness.Inconclusive || v.Reason != liveness.ReasonLate {
		t.Errorf("after it: %+v", v)
	}
	if state, _ := w.sessions.state(id); state != liveness.StateExpired {
		t.Errorf("session is %s", state)
	}
	// Nobody pressed a button, and the session is over.
	id = w.start(txn("t1"), "")
	w.clock.Advance(2 * time.Minute)
	if v := w.finish(id, txn("t1")); v.Reason != liveness.ReasonLate {
		t.Errorf("never answered: %+v", v)
	}
}

func TestFrozenMeanwhile(t *testing.T) {
	for _, when := range []string{"before the pull", "before the settling"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t, jose.ES256)
			id := w.start(txn("t1"), "pass")
			if when == "before the pull" {
				w.sessions.freeze(li)
			} else {
				w.sessions.beforeSettle = func() { w.sessions.freeze(li) }
			}
			if v := w.finish(id, txn("t1")); v.Passed() || v.Reason != liveness.ReasonStanding {
				t.Errorf("verdict %+v", v)
			}
			if state, reason := w.sessions.state(id); state != liveness.StateFailed || reason != liveness.ReasonStanding {
				t.Errorf("session is %s for %s", state, reason)
			}
		})
	}
}

func TestDatabaseFails(t *testing.T) {
	w := newWorld(t, jose.ES256)
	id := w.start(txn("t1"), "pass")
	w.sessions.broken = errors.New("disk full")
	if v, err := w.engine.Finish(context.Background(), id, txn("t1")); err == nil || v.Passed() {
		t.Errorf("verdict %+v, %v", v, err)
	}
}

// Twenty replicas bring the same result.
func TestFinishRace(t *testing.T) {
	w := newWorld(t, jose.ES256)
	var replicas []*liveness.Engine
	for range 20 {
		e, err := liveness.New(w.cfg, w.sessions, w.clock, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		e.Hurry(8*time.Second, 8*time.Second)
		replicas = append(replicas, e)
	}
	for round := range 5 {
		now := txn(fmt.Sprint("t", round))
		now.Citizen[15] = byte(round)
		id := w.start(now, "pass")
		var wg sync.WaitGroup
		var mu sync.Mutex
		passed, spent := 0, 0
		for _, e := range replicas {
			wg.Go(func() {
				v, err := e.Finish(context.Background(), id, now)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && v.Passed():
					passed++
				case errors.Is(err, identity.ErrSpent) && !v.Passed():
					spent++
				default:
					t.Errorf("%+v, %v", v, err)
				}
			})
		}
		wg.Wait()
		if passed != 1 || spent != 19 {
			t.Errorf("round %d: %d passed, %d spent", round, passed, spent)
		}
	}
}
