package liveness_test

import (
	"bytes"
	"context"
	"sync"
	"time"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/liveness"
)

// memory is Sessions without a database: one lock makes each method one step.
type memory struct {
	clock clock.Clock

	mu     sync.Mutex
	rows   map[identity.ID]*row
	jtis   map[string]bool
	fallen map[identity.ID]bool // citizens whose card is not normal

	broken       error  // returned by Settle
	beforeSettle func() // called outside of the lock
}

type row struct {
	liveness.Session
	how liveness.Settlement
}

func newMemory(clk clock.Clock) *memory {
	return &memory{clock: clk, rows: map[identity.ID]*row{}, jtis: map[string]bool{}, fallen: map[identity.ID]bool{}}
}

func (m *memory) Begin(_ context.Context, s liveness.Session, l liveness.Limits) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sessions, recent, day int
	for _, r := range m.rows {
		if bytes.Equal(r.TxnHash, s.TxnHash) {
			sessions++
		}
		if r.Citizen != s.Citizen {
			continue
		}
		tries := l.PerSession
		if r.State != liveness.StatePending {
			tries = r.how.Tries
		}
		if age := s.Begun.Sub(r.Begun); age < 24*time.Hour {
			day += tries
			if age < l.TriesWithin {
				recent += tries
			}
		}
	}
	switch {
	case sessions >= l.PerTransaction:
		return liveness.ErrTransactionLimit
	case recent+l.PerSession > l.Tries || day+l.PerSession > l.PerDay:
		return liveness.ErrCitizenLimit
	}
	m.rows[s.ID] = &row{Session: s}
	return nil
}

func (m *memory) Attach(_ context.Context, id identity.ID, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.ProviderSession == name && r.Provider == m.rows[id].Provider {
			return identity.ErrConflict
		}
	}
	r, ok := m.rows[id]
	if !ok || r.State != liveness.StatePending || r.ProviderSession != "" {
		return identity.ErrConflict
	}
	r.ProviderSession = name
	return nil
}

func (m *memory) Note(_ context.Context, provider, name string, n liveness.Notice) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.Provider != provider || r.ProviderSession != name || r.State != liveness.StatePending {
			continue
		}
		if r.Notice == nil {
			r.Notice = &n
		} else if !bytes.Equal(r.Notice.Digest, n.Digest) {
			r.Contradicted = true
		}
		return nil
	}
	return identity.ErrNotFound
}

func (m *memory) Get(_ context.Context, id identity.ID) (liveness.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rows[id]
	if !ok {
		return liveness.Session{}, identity.ErrNotFound
	}
	s := r.Session
	s.Standing = !m.fallen[s.Citizen]
	return s, nil
}

func (m *memory) Settle(_ context.Context, id identity.ID, how liveness.Settlement) error {
	if m.beforeSettle != nil {
		m.beforeSettle()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	r, ok := m.rows[id]
	if !ok {
		return identity.ErrNotFound
	}
	if r.State != liveness.StatePending {
		return identity.ErrSpent
	}
	if how.JTI != nil {
		if m.jtis[string(how.JTI)] {
			return liveness.ErrReplayed
		}
		m.jtis[string(how.JTI)] = true
	}
	var err error
	if how.State == liveness.StatePassed {
		switch {
		case m.fallen[r.Citizen]:
			how.State, how.Reason, err = liveness.StateFailed, liveness.ReasonStanding, liveness.ErrStanding
		case r.Contradicted || r.Notice != nil && !bytes.Equal(r.Notice.Digest, how.Digest):
			how.State, how.Reason, err = liveness.StateFailed, liveness.ReasonDisagree, liveness.ErrContradicted
		}
	}
	r.State, r.how = how.State, how
	return err
}

func (m *memory) freeze(citizen identity.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fallen[citizen] = true
}

func (m *memory) state(id identity.ID) (liveness.State, liveness.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[id].State, m.rows[id].how.Reason
}
