package deviceapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

// own holds a signed request to the phone that signed it: another one, also of the
// same citizen, is not there (SECURITY DV3).
func (c *call) own() error {
	id, err := pathID(c.Request)
	if err != nil {
		return err
	}
	if id != c.phone.ID {
		return notFound().because(errors.New("another device"))
	}
	return nil
}

// show serves GET /device/v1/devices/{id}.
func (a *API) show(w http.ResponseWriter, c *call) error {
	if err := c.own(); err != nil {
		return err
	}
	d := c.phone
	a.answer(w, http.StatusOK, struct {
		DeviceID identity.ID          `json:"device_id"`
		Name     string               `json:"name"`
		State    identity.DeviceState `json:"state"`
		Alg      string               `json:"alg"`
		Level    identity.KeyLevel    `json:"level"`
		Bound    time.Time            `json:"bound_at"`
	}{d.ID, d.Name, d.State, d.Alg, d.KeyLevel, d.Created})
	return nil
}

// rename serves PATCH /device/v1/devices/{id}.
func (a *API) rename(w http.ResponseWriter, c *call) error {
	if err := c.own(); err != nil {
		return err
	}
	in := parseMembers(c.body, "name")
	sent := in.Text("name", 4*maxName)
	name := templates.Clean(sent, maxName)
	if in.Err() != nil || name == "" {
		return invalidRequest("The body is {\"name\": \"…\"}, with one to forty characters.").because(in.Err())
	}
	ev := a.event(c.Request, audit.DeviceRenamed, c.phone.Citizen)
	ev.Device = c.phone.ID
	if err := a.gone(a.Store.RenameDevice(c.Context(), c.phone.Citizen, c.phone.ID, name, ev), "renaming a phone"); err != nil {
		return err
	}
	a.answer(w, http.StatusOK, struct {
		DeviceID identity.ID `json:"device_id"`
		Name     string      `json:"name"`
	}{c.phone.ID, name})
	return nil
}

// end serves DELETE /device/v1/devices/{id}. The answer comes when everything that
// hung on the phone is dead, and not before (SECURITY DV2, G5). A phone that is the
// last factor stays (MF3): its owner adds another one first, or reports it lost.
func (a *API) end(w http.ResponseWriter, c *call) error {
	if err := c.own(); err != nil {
		return err
	}
	ev := a.event(c.Request, audit.DeviceEnded, c.phone.Citizen)
	ev.Device, ev.Reason, ev.Notify = c.phone.ID, "by the phone itself", true
	err := a.Store.EndDevice(c.Context(), c.phone.Citizen, c.phone.ID, identity.DeviceRevoked, authn.EnoughFor(a.Floor), ev)
	if errors.Is(err, authn.ErrLastFactor) {
		return lastFactor().because(err)
	}
	if err := a.gone(err, "ending a phone"); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// gone turns "it was ended a moment ago" into the answer an ended phone gets.
func (a *API) gone(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded), errors.Is(err, identity.ErrSpent):
		return unauthorized().because(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
