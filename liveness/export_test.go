package liveness

import "time"

// Hurry shortens the waits, so that a test of a provider that hangs is over
// before the citizen's ten seconds.
func (e *Engine) Hurry(call, budget time.Duration, backoff ...time.Duration) {
	e.provider.call, e.provider.budget, e.provider.backoff = call, budget, backoff
}

// Waits returns what production waits.
func (e *Engine) Waits() (call, budget time.Duration, backoff []time.Duration) {
	return e.provider.call, e.provider.budget, e.provider.backoff
}

// MaxCalls is how many requests may wait for the provider.
const MaxCalls = maxCalls

// Asking is how many do.
func (e *Engine) Asking() int {
	e.provider.mu.Lock()
	defer e.provider.mu.Unlock()
	return len(e.provider.asking)
}

// LeaveDevelopment lets what the provider answers meet production's rules, though
// the line to it was dialled under the others.
func (e *Engine) LeaveDevelopment() { e.provider.cfg.Development = false }
