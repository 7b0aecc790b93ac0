package authn

import (
	"context"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/secret"
)

// ListDevices returns the citizen's devices.
func (s *Service) ListDevices(ctx context.Context, l identity.Login) ([]Device, error) {
	ds, err := s.Store.ListDevices(ctx, l.Citizen)
	return ds, wrapIf(err, "listing devices")
}

// RenameDevice gives a device the name its owner wants; ErrInvalid for none.
func (s *Service) RenameDevice(r *http.Request, l identity.Login, id identity.ID, name string) error {
	name, ok := cleanName(name)
	if !ok {
		return ErrInvalid
	}
	e := s.event(r, audit.DeviceRenamed, l.Citizen)
	e.Login, e.Device = l.ID, id
	return wrapIf(s.Store.RenameDevice(r.Context(), l.Citizen, id, name, e), "renaming a device")
}

// EndDevice ends a device and everything that hangs on it before it returns
// (SECURITY DV2): state is suspended, lost or revoked. A device reported lost goes
// even if it was the last factor: better shut out than broken in; revoking one by
// choice keeps to the floor (ErrLastFactor).
func (s *Service) EndDevice(r *http.Request, l identity.Login, id identity.ID, state identity.DeviceState) error {
	if state == identity.DeviceActive {
		return ErrInvalid
	}
	ctx := r.Context()
	d, err := s.Store.Device(ctx, l.Citizen, id)
	if err != nil {
		return wrap(err, "reading a device")
	}
	if state == identity.DeviceRevoked {
		if err := s.fresh(l); err != nil {
			return err
		}
		if err := s.spared(ctx, l.Citizen, d); err != nil {
			return err
		}
	}
	e := s.change(r, audit.DeviceEnded, l)
	e.Device, e.Reason = id, string(state)
	return wrapIf(s.Store.EndDevice(ctx, l.Citizen, id, state, e), "ending a device")
}

// spared answers ErrLastFactor when the account could not do without d.
func (s *Service) spared(ctx context.Context, citizen identity.ID, d Device) error {
	if d.Kind == identity.DeviceBrowser || d.State != identity.DeviceActive {
		return nil
	}
	acc, err := s.Store.Account(ctx, citizen)
	if err != nil {
		return wrap(err, "reading an account")
	}
	keys, err := s.Store.ListPasskeys(ctx, citizen)
	if err != nil {
		return wrap(err, "listing passkeys")
	}
	left, deviceKeys := acc.Factors, 0
	left.Passkeys = 0
	for _, k := range keys {
		if k.Device == d.ID {
			continue
		}
		left.Passkeys++
		if onDevice(k) {
			deviceKeys++
		}
	}
	if d.Kind == identity.DevicePhone {
		left.Phones--
	}
	if !s.enough(left, deviceKeys) {
		return ErrLastFactor
	}
	return nil
}

// OpenPhoneEnrolment begins to bind a phone: the code goes into a QR code that the
// card app scans, and is good once.
func (s *Service) OpenPhoneEnrolment(r *http.Request, l identity.Login) (id identity.ID, code secret.Value, expires time.Time, err error) {
	if err := s.fresh(l); err != nil {
		return identity.ID{}, secret.Value{}, time.Time{}, err
	}
	code = secret.From(s.Rand, tokenBytes)
	e := PhoneEnrolment{
		ID: identity.IDFrom(s.Rand), Citizen: l.Citizen, Login: l.ID, Code: code.Hash(), Expires: s.Clock.Now().Add(enrolLife),
	}
	if err := s.Store.OpenEnrolment(r.Context(), e); err != nil {
		return identity.ID{}, secret.Value{}, time.Time{}, wrap(err, "opening a phone's enrolment")
	}
	return e.ID, code, e.Expires, nil
}
