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
// choice keeps to the floor (ErrLastFactor). With a phone or a key that is not only
// suspended the other sessions end as well.
func (s *Service) EndDevice(r *http.Request, l identity.Login, id identity.ID, state identity.DeviceState) error {
	if state == identity.DeviceActive {
		return ErrInvalid
	}
	var enough Enough
	if state == identity.DeviceRevoked {
		if err := s.fresh(l); err != nil {
			return err
		}
		enough = EnoughFor(s.Config.Floor)
	}
	e := s.change(r, audit.DeviceEnded, l)
	e.Device, e.Reason = id, string(state)
	return wrapIf(s.Store.EndDevice(r.Context(), l.Citizen, id, state, enough, e), "ending a device")
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
		Alone: !s.Config.ManyPhones, CoolOff: max(s.Config.CoolOff, 0),
	}
	if err := s.Store.OpenEnrolment(r.Context(), e); err != nil {
		return identity.ID{}, secret.Value{}, time.Time{}, wrap(err, "opening a phone's enrolment")
	}
	return e.ID, code, e.Expires, nil
}
