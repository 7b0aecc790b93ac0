package authn

import (
	"errors"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/templates"
)

// A trust is what a trusted browser's cookie says. It skips no factor: it gives
// the citizen attempt counters no stranger can use up, lets the greeting be shown
// early, and spares them the notice of a new browser (DESIGN D8, SECURITY MF5).
type trust struct {
	device Device
	token  secret.Value
	// previous: the cookie is the one before the last rotation, a tab's on its way.
	previous bool
}

// of reports whether the browser is trusted by this citizen.
func (t trust) of(citizen identity.ID) bool {
	return !t.device.ID.IsZero() && t.device.Citizen == citizen
}

// readTrust looks at the trusted browser's cookie. An old value that comes back
// after the overlap was copied by somebody: the browser, whoever of the two it
// is, is trusted no more.
func (v *visit) readTrust() error {
	v.trust = trust{}
	token, ok := readCookie(v.r, trustCookie)
	if !ok {
		return nil
	}
	d, previous, err := v.Store.Browser(v.r.Context(), token.Hash(), v.now)
	if errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	if err != nil {
		return wrap(err, "reading a trusted browser")
	}
	if previous && v.now.Sub(d.LastUsed) > trustOverlap {
		e := v.event(v.r, audit.DeviceReused, d.Citizen)
		e.Actor, e.Device, e.Notify = audit.BySystem, d.ID, true
		e.Reason = "an old cookie of a trusted browser came back"
		err := v.Store.EndDevice(v.r.Context(), d.Citizen, d.ID, identity.DeviceRevoked, nil, e)
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			return wrap(err, "ending a copied browser")
		}
		v.Observer.Observe("device", "reused")
		dropCookie(v.w, trustCookie)
		return nil
	}
	v.trust = trust{d, token, previous}
	return nil
}

// rotate gives a trusted browser its next cookie after a finished login. When that
// does not work the old one goes on: it is no factor.
func (v *visit) rotate() {
	if v.flow.State.Browser.IsZero() || v.flow.State.DeviceAsked {
		return
	}
	if err := v.readTrust(); err != nil {
		v.Log.WarnContext(v.r.Context(), "rotating a trusted browser", "cause", err)
		return
	}
	t := v.trust
	if t.device.ID != v.flow.State.Browser || t.previous {
		return
	}
	next := secret.From(v.Rand, tokenBytes)
	switch err := v.Store.RotateBrowser(v.r.Context(), t.device.ID, t.token.Hash(), next.Hash(), v.now); {
	case err == nil:
		setCookie(v.w, trustCookie, next, t.device.Expires.Sub(v.now))
	case !errors.Is(err, identity.ErrSpent):
		v.Log.WarnContext(v.r.Context(), "rotating a trusted browser", "cause", err)
	}
}

// bindDevice takes the answer to "remember this browser?".
func (s *Service) bindDevice(v *visit) error {
	bind := v.form.has("device-bind")
	if !bind && !v.form.has("device-skip") {
		return v.redirect(v.path(""))
	}
	// Moved first: of two answers one makes a device.
	v.flow.State.DeviceAsked = true
	v.flow.State.problem("")
	if !bind {
		s.Observer.Observe("device", "skipped")
		return v.onward()
	}
	if err := v.move(); err != nil {
		return err
	}
	token := secret.From(s.Rand, tokenBytes)
	d := Device{
		ID:       identity.IDFrom(s.Rand),
		Citizen:  v.flow.Citizen,
		Kind:     identity.DeviceBrowser,
		Name:     agent(v.r.UserAgent()),
		State:    identity.DeviceActive,
		Cookie:   token.Hash(),
		Created:  v.now,
		LastUsed: v.now,
		Expires:  v.now.Add(s.Config.Trust),
		Place:    place(s.Source(v.r)),
	}
	e := s.event(v.r, audit.DeviceBound, d.Citizen)
	e.Device, e.Notify = d.ID, true
	e.Detail = map[string]string{"kind": string(d.Kind)}
	if err := s.Store.TrustBrowser(v.r.Context(), d, &v.flow, e); err != nil {
		return wrap(err, "trusting a browser")
	}
	s.Observer.Observe("device", "bound")
	setCookie(v.w, trustCookie, token, s.Config.Trust)
	v.flow.State.Browser = d.ID
	return v.onward()
}

func (v *visit) showDevice(step templates.Step) templates.Page {
	return templates.BindDevice{
		Step:   step,
		Device: templates.Text(agent(v.r.UserAgent())),
		Days:   int(v.Config.Trust / (24 * time.Hour)),
	}
}
