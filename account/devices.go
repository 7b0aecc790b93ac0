package account

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

const (
	// keptInView is how long an ended device stays in its owner's list: long enough
	// to see that it is, and when it was one of theirs.
	keptInView = 30 * 24 * time.Hour
)

// devices lists what is bound to the citizen: phones, keys, remembered browsers.
func (s *Service) devices(v *visit) error {
	list, err := s.Devices.ListDevices(v.r.Context(), v.login)
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	page := templates.AccountDevices{Account: v.said(), AddPhoneURL: phonePath}
	for _, d := range list {
		seen := later(d.LastUsed, d.Created)
		ended := d.State == identity.DeviceLost || d.State == identity.DeviceRevoked
		// A browser that is no longer remembered is just a browser.
		if ended && (d.Kind == identity.DeviceBrowser || now.Sub(seen) > keptInView) || !ended && s.expired(d) {
			continue
		}
		page.Devices = append(page.Devices, templates.Device{
			ID: d.ID.String(), Name: templates.Text(d.Name), Phone: d.Kind == identity.DevicePhone,
			State: templates.DeviceState(d.State), Current: d.ID == v.login.Device && !d.ID.IsZero(),
			Hardware: d.KeyLevel.Hardware(), Bound: d.Created, LastSeen: seen, Place: templates.Text(d.Place),
		})
	}
	slices.SortStableFunc(page.Devices, func(a, b templates.Device) int {
		return cmp.Or(boolean(a.Ended())-boolean(b.Ended()), boolean(b.Current)-boolean(a.Current), b.LastSeen.Compare(a.LastSeen))
	})
	return s.show(v, page)
}

func (s *Service) expired(d authn.Device) bool {
	return !d.Expires.IsZero() && !s.Clock.Now().Before(d.Expires)
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (s *Service) deviceActs() acts {
	return acts{show: s.devices, do: map[string]act{
		"device-rename": func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			return saved, "", s.Devices.RenameDevice(v.r, v.login, id, v.form.Get("name"))
		},
		"device-end": func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			return deviceEnded, "", s.Devices.EndDevice(v.r, v.login, id, identity.DeviceRevoked)
		},
		// The receipt is a page of its own: this very login may have ended with the device.
		"device-lost": func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			receipt, err := s.Devices.ReportDevice(v.r, v.login, id)
			return noNote, receiptPath + receipt.Number.String(), err
		},
		"device-restore": func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			err = s.Devices.RestoreDevice(v.r, v.login, id)
			if errors.Is(err, identity.ErrConflict) {
				v.status, v.problem = http.StatusConflict, templates.Say(templates.ProblemOtherPhone)
				return noNote, shown, s.devices(v)
			}
			return deviceRestored, "", err
		},
	}}
}

// addPhone shows a code for the card app. Each showing is a new code; those before
// it die by themselves.
func (s *Service) addPhone(v *visit) error {
	if !ownPage(v.r) {
		see(v, devicesPath)
		return nil
	}
	return s.offerPhone(v, s.Clock.Now())
}

// offerPhone shows a code. since travels along, so that a phone bound with an
// earlier code of the same visit is noticed as well.
func (s *Service) offerPhone(v *visit, since time.Time) error {
	_, code, expires, err := s.Devices.OpenPhoneEnrolment(v.r, v.login)
	if err != nil {
		return err
	}
	replaces := false
	if s.Devices.OnePhone() {
		// Of the phones there are, one bound with an earlier code of this visit is new.
		var list []authn.Device
		if list, err = s.Devices.ListDevices(v.r.Context(), v.login); err != nil {
			return err
		}
		replaces = slices.ContainsFunc(list, func(d authn.Device) bool { return d.Kind == identity.DevicePhone && d.Created.Before(since) })
	}
	query := "?since=" + strconv.FormatInt(since.UnixMilli(), 10)
	v.path = phonePath + query
	return s.show(v, templates.AddPhone{
		Account: v.said(),
		// Where the app posts to, and with what. Behind "#" the code is not sent
		// when some other camera opens it as a link.
		URI:     s.Origin + "/device/v1/enrolments#" + code.Reveal(),
		Code:    code.Reveal(),
		Expires: expires, PollURL: phonePath + "/state" + query, BackURL: devicesPath, Replaces: replaces,
	})
}

// phoneAdded is the page's button: on, if the phone is there.
func (s *Service) phoneAdded(v *visit) (note, string, error) {
	since, err := sinceOf(v.r)
	if err != nil {
		return noNote, "", err
	}
	bound, err := s.phoneSince(v, since)
	if err != nil {
		return noNote, "", err
	}
	if bound {
		return phoneAdded, devicesPath, nil
	}
	v.problem = templates.Say(templates.ProblemPhoneWaiting)
	return noNote, shown, s.offerPhone(v, since)
}

// phoneState is what the page polls.
func (s *Service) phoneState(w http.ResponseWriter, r *http.Request) {
	v := &visit{w: w, r: r}
	l, err := s.Logins.Current(r)
	if errors.Is(err, identity.ErrNotFound) {
		s.json(w, http.StatusForbidden, scripted{Problem: s.Say(r, templates.Say(templates.ProblemFreshLogin))})
		return
	}
	v.login = l
	var since time.Time
	if err == nil {
		since, err = sinceOf(r)
	}
	bound := false
	if err == nil {
		bound, err = s.phoneSince(v, since)
	}
	switch {
	case errors.Is(err, errBadRequest):
		s.json(w, http.StatusBadRequest, scripted{})
	case err != nil:
		s.log(r, http.StatusInternalServerError, err)
		s.json(w, http.StatusInternalServerError, scripted{})
	case bound:
		s.json(w, http.StatusOK, scripted{Next: phoneAdded.on(devicesPath)})
	default:
		s.json(w, http.StatusOK, scripted{})
	}
}

// phoneSince reports whether the citizen bound a phone since then.
func (s *Service) phoneSince(v *visit, since time.Time) (bool, error) {
	list, err := s.Devices.ListDevices(v.r.Context(), v.login)
	return slices.ContainsFunc(list, func(d authn.Device) bool {
		return d.Kind == identity.DevicePhone && d.State == identity.DeviceActive && !d.Created.Before(since)
	}), err
}

func sinceOf(r *http.Request) (time.Time, error) {
	q := r.URL.Query()["since"]
	if len(q) != 1 {
		return time.Time{}, fmt.Errorf("%w: since", errBadRequest)
	}
	ms, err := strconv.ParseUint(q[0], 10, 48)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: since", errBadRequest)
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}
