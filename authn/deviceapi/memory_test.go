package deviceapi

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

// memory is a Store as its contracts describe it: whatever may happen once is
// decided under one lock.
type memory struct {
	mu         sync.Mutex
	enrolments map[identity.ID]*enrolled
	devices    map[identity.ID]*authn.Device
	approvals  map[identity.ID]*authn.Approval
	frozen     map[identity.ID]bool // citizens who may not sign in
	endedLogin map[identity.ID]bool
	phonesOnly map[identity.ID]bool // citizens who have no other factor
	spent      map[string]bool
	attempts   map[string]int
	events     []audit.Event
	broken     error // every write fails with it
}

type enrolled struct {
	authn.PhoneEnrolment
	claimed, finished bool
}

func newMemory() *memory {
	return &memory{
		enrolments: map[identity.ID]*enrolled{}, devices: map[identity.ID]*authn.Device{},
		approvals: map[identity.ID]*authn.Approval{}, frozen: map[identity.ID]bool{},
		endedLogin: map[identity.ID]bool{}, phonesOnly: map[identity.ID]bool{}, spent: map[string]bool{}, attempts: map[string]int{},
	}
}

func (m *memory) write(e ...audit.Event) error {
	if m.broken != nil {
		return m.broken
	}
	m.events = append(m.events, e...)
	return nil
}

func (m *memory) ClaimEnrolment(_ context.Context, code []byte, challenge string, expires, now time.Time) (authn.PhoneEnrolment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return authn.PhoneEnrolment{}, m.broken
	}
	for _, e := range m.enrolments {
		if !bytes.Equal(e.Code, code) || !now.Before(e.Expires) {
			continue
		}
		if e.claimed {
			return authn.PhoneEnrolment{}, identity.ErrSpent
		}
		e.claimed, e.Challenge, e.Expires = true, challenge, expires
		return e.PhoneEnrolment, nil
	}
	return authn.PhoneEnrolment{}, identity.ErrNotFound
}

func (m *memory) Enrolment(_ context.Context, id identity.ID, now time.Time) (authn.PhoneEnrolment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.enrolments[id]
	if !ok || !e.claimed || e.finished || !now.Before(e.Expires) {
		return authn.PhoneEnrolment{}, identity.ErrNotFound
	}
	return e.PhoneEnrolment, nil
}

func (m *memory) BindPhone(_ context.Context, enrolment identity.ID, d authn.Device, now time.Time, ev audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.enrolments[enrolment]
	switch {
	case m.broken != nil:
		return m.broken
	case !ok || !now.Before(e.Expires):
		return identity.ErrNotFound
	case e.finished:
		return identity.ErrSpent
	case m.endedLogin[e.Login]:
		return identity.ErrEnded
	}
	for _, known := range m.devices {
		if bytes.Equal(known.Thumbprint, d.Thumbprint) {
			return identity.ErrConflict
		}
	}
	e.finished = true
	m.devices[d.ID] = &d
	return m.write(ev)
}

func (m *memory) Phone(_ context.Context, id identity.ID) (authn.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.devices[id]
	if !ok || d.State != identity.DeviceActive || m.frozen[d.Citizen] {
		return authn.Device{}, identity.ErrNotFound
	}
	return *d, nil
}

func (m *memory) SpendNonce(_ context.Context, key []byte, _, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if m.spent[string(key)] {
		return identity.ErrSpent
	}
	m.spent[string(key)] = true
	return nil
}

func (m *memory) RenameDevice(_ context.Context, citizen, id identity.ID, name string, e audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.devices[id]
	if !ok || d.Citizen != citizen {
		return identity.ErrNotFound
	}
	if err := m.write(e); err != nil {
		return err
	}
	d.Name = name
	return nil
}

func (m *memory) EndDevice(_ context.Context, citizen, id identity.ID, state identity.DeviceState, enough authn.Enough, e audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.devices[id]
	if !ok || d.Citizen != citizen {
		return identity.ErrNotFound
	}
	left := authn.Factors{TOTP: !m.phonesOnly[citizen]}
	for _, other := range m.devices {
		if other.ID != id && other.Citizen == citizen && other.State == identity.DeviceActive {
			left.Phones++
		}
	}
	if enough != nil && !enough(left, 0) {
		return authn.ErrLastFactor
	}
	if err := m.write(e); err != nil {
		return err
	}
	d.State = state
	return nil
}

func (m *memory) PendingApprovals(_ context.Context, citizen identity.ID, now time.Time) ([]authn.Approval, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []authn.Approval
	for _, a := range m.approvals {
		if a.Citizen == citizen && a.State == authn.ApprovalPending && now.Before(a.Expires) {
			list = append(list, *a)
		}
	}
	return list, nil
}

func (m *memory) Approval(_ context.Context, id identity.ID, now time.Time) (authn.Approval, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.approvals[id]
	if !ok || !now.Before(a.Expires) {
		return authn.Approval{}, identity.ErrNotFound
	}
	return *a, nil
}

func (m *memory) AnswerApproval(_ context.Context, id, device identity.ID, state authn.ApprovalState, verified, hardware bool, now time.Time, e audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.approvals[id]
	d, known := m.devices[device]
	switch {
	case !ok || !known || d.Citizen != a.Citizen || !now.Before(a.Expires):
		return identity.ErrNotFound
	case d.State != identity.DeviceActive:
		return identity.ErrEnded
	case a.State != authn.ApprovalPending:
		return identity.ErrSpent
	}
	if err := m.write(e); err != nil {
		return err
	}
	a.State, a.Device, a.Verified, a.Hardware = state, device, verified, hardware
	return nil
}

func (m *memory) Attempt(_ context.Context, _ time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ts []authn.Tally
	for _, t := range tries {
		allowed := m.attempts[string(t.Key)] < t.Rule.Free
		if allowed {
			m.attempts[string(t.Key)]++
		}
		ts = append(ts, authn.Tally{Count: m.attempts[string(t.Key)], Allowed: allowed})
	}
	return ts, nil
}

func (m *memory) Refund(_ context.Context, key []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts[string(key)]--
	return nil
}

func (m *memory) Record(_ context.Context, e audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.write(e)
}

func (m *memory) kinds() []audit.Kind {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ks []audit.Kind
	for _, e := range m.events {
		ks = append(ks, e.Kind)
	}
	return ks
}

func (m *memory) wrote(k audit.Kind) bool { return slices.Contains(m.kinds(), k) }
