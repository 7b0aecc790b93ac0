package storagetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

const (
	deviceLife   = 10 * time.Minute
	pollInterval = 5 * time.Second
	deviceParams = "scope=openid+profile&note=" + deviceNote
	deviceNote   = "what-a-device-asks-for"
)

func (w *world) deviceCode() oauth.DeviceCode {
	return oauth.DeviceCode{Code: fresh(), User: fresh(), ClientID: w.client, Params: deviceParams, Created: w.now, Expires: w.now.Add(deviceLife)}
}

// device is a device that has begun to wait.
func (w *world) device() oauth.DeviceCode {
	w.Helper()
	d := w.deviceCode()
	w.ok(w.s.AddDeviceCode(w.Context(), d))
	return d
}

func (w *world) poll(d oauth.DeviceCode, once ...oauth.Once) (oauth.DeviceState, error) {
	return w.s.PollDeviceCode(w.Context(), oauth.DevicePoll{Code: d.Code, ClientID: w.client, Interval: pollInterval, Once: once, Now: w.now})
}

// polled polls when it is time again, and checks the answer.
func (w *world) polled(what string, d oauth.DeviceCode, want oauth.DeviceState) {
	w.Helper()
	w.now = w.now.Add(pollInterval)
	if got, err := w.poll(d); err != nil || got != want {
		w.Errorf("%s: %v, %v, want %v", what, got, err, want)
	}
}

// forDevice is a grant whose code is the device's.
func forDevice(d oauth.DeviceCode) func(*oauth.NewCode) {
	return func(n *oauth.NewCode) {
		n.Code, n.CodeExpires, n.Challenge, n.Grant.RedirectURI = d.Code, d.Expires, "", ""
	}
}

// redeemed is how a device redeems.
func (w *world) redeemed(n issue) (oauth.Grant, error) {
	r := w.redemption(n)
	r.RedirectURI, r.Challenge = "", ""
	return w.s.Redeem(w.Context(), r)
}

func deviceCodeChecks() []check {
	return []check{
		{"kept-as-it-came", func(w *world) {
			d := w.device()
			for what, read := range map[string]func() (oauth.DeviceCode, error){
				"typed":   func() (oauth.DeviceCode, error) { return w.s.TypedDeviceCode(w.Context(), d.User, w.now) },
				"by code": func() (oauth.DeviceCode, error) { return w.s.DeviceCode(w.Context(), d.Code, w.now) },
			} {
				got, err := read()
				if err != nil || !bytes.Equal(got.Code, d.Code) || !bytes.Equal(got.User, d.User) || got.ClientID != w.client || got.Params != d.Params ||
					!got.Created.Equal(d.Created) || !got.Expires.Equal(d.Expires) {
					w.Errorf("%s: %+v, %v", what, got, err)
				}
			}
			for what, hash := range map[string][]byte{"another": fresh(), "none": nil, "the device's": d.Code} {
				_, err := w.s.TypedDeviceCode(w.Context(), hash, w.now)
				w.is("typed "+what, err, identity.ErrNotFound)
			}
		}},
		{"a-user-code-is-one-device's", func(w *world) {
			d, other := w.device(), w.deviceCode()
			other.User = d.User
			w.is("the same user code", w.s.AddDeviceCode(w.Context(), other), identity.ErrSpent)
			other.User, other.ClientID = fresh(), "nobody"
			w.is("of no client", w.s.AddDeviceCode(w.Context(), other), identity.ErrSpent)
		}},
		{"too-soon-is-longer-the-next-time", func(w *world) {
			d := w.device()
			for i, step := range []struct {
				after time.Duration
				want  oauth.DeviceState
			}{
				{0, oauth.DevicePending}, // the first may come at once
				{pollInterval, oauth.DevicePending},
				{pollInterval - 1*time.Millisecond, oauth.DeviceHasty},
				{pollInterval, oauth.DeviceHasty}, // it is ten seconds by now, and then fifteen
				{3*pollInterval - time.Millisecond, oauth.DeviceHasty},
				{4 * pollInterval, oauth.DevicePending},
				{4 * pollInterval, oauth.DevicePending},
			} {
				w.now = w.now.Add(step.after)
				if got, err := w.poll(d); err != nil || got != step.want {
					w.Errorf("poll %d: %v, %v, want %v", i, got, err, step.want)
				}
			}
		}},
		{"over", func(w *world) {
			d := w.device()
			w.now = d.Expires.Add(-time.Millisecond)
			w.polledAt("in its last moment", d, oauth.DevicePending, nil)
			w.now = d.Expires
			w.polledAt("at its end", d, 0, identity.ErrEnded)
			_, err := w.s.TypedDeviceCode(w.Context(), d.User, w.now)
			w.is("typed at its end", err, identity.ErrNotFound)
			_, err = w.s.DeviceCode(w.Context(), d.Code, w.now)
			w.is("read at its end", err, identity.ErrNotFound)
			w.is("denied at its end", w.s.DenyDeviceCode(w.Context(), d.Code, w.now, w.event(audit.ConsentDenied)), identity.ErrSpent)
			gone, err := w.s.Sweep(w.Context(), w.now)
			if err != nil || gone["device_codes"] == 0 {
				w.Errorf("swept %v, %v", gone, err)
			}
			w.polledAt("when it is swept", d, 0, identity.ErrEnded)
		}},
		{"another-client's", func(w *world) {
			d, other := w.device(), w.beside()
			other.polledAt("by another", d, 0, identity.ErrNotFound)
			w.polledAt("and by its own", d, oauth.DevicePending, nil) // it was not touched
			w.is("a client with a name of no sense", func() error {
				_, err := w.s.PollDeviceCode(w.Context(), oauth.DevicePoll{Code: d.Code, ClientID: "a\x00b", Interval: pollInterval, Now: w.now})
				return err
			}(), identity.ErrNotFound)
		}},
		{"allowed-and-redeemed-once", func(w *world) {
			d, l := w.device(), w.signIn(identity.ID{})
			n := w.code(l, forDevice(d), opaque)
			_, err := w.s.TypedDeviceCode(w.Context(), d.User, w.now)
			w.is("typed when answered", err, identity.ErrNotFound)
			_, err = w.s.DeviceCode(w.Context(), d.Code, w.now)
			w.is("read when answered", err, identity.ErrNotFound)
			w.is("denied when answered", w.s.DenyDeviceCode(w.Context(), d.Code, w.now, w.event(audit.ConsentDenied)), identity.ErrSpent)
			w.polled("allowed", d, oauth.DeviceAllowed)
			r := w.redemption(n) // with a redirect URI, as a code has one
			r.Challenge = ""
			_, err = w.s.Redeem(w.Context(), r)
			w.is("redeeming it like a code", err, identity.ErrNotFound)
			g, err := w.redeemed(n)
			w.is("redeeming", err, nil)
			w.polled("afterwards", d, oauth.DeviceAllowed)
			_, err = w.redeemed(n)
			w.is("again", err, identity.ErrSpent)
			_, err = w.s.LiveGrant(w.Context(), g.ID, w.now)
			w.is("the grant then", err, identity.ErrNotFound)
		}},
		{"two-citizens-one-answer", func(w *world) {
			d, other := w.device(), w.beside()
			l, r := w.signIn(identity.ID{}), w.request()
			w.ok(w.s.StoreRequest(w.Context(), r))
			first := w.code(l, forDevice(d))
			ol := other.signIn(identity.ID{})
			second := other.newCode(ol, forDevice(d), func(n *oauth.NewCode) { n.Grant.ClientID = w.client })
			w.is("the second", w.s.IssueCode(w.Context(), second.NewCode), identity.ErrSpent)
			if all, err := w.s.Consents(w.Context(), other.citizen, w.client, w.now); err != nil || len(all) > 0 {
				w.Errorf("the second agreed to %v, %v", all, err)
			}
			g, err := w.redeemed(first)
			if err != nil || g.Citizen != w.citizen {
				w.Errorf("%v, %v", g.Citizen, err)
			}
		}},
		{"denied", func(w *world) {
			d := w.device()
			w.is("denying", w.s.DenyDeviceCode(w.Context(), d.Code, w.now, w.event(audit.ConsentDenied)), nil)
			w.is("again", w.s.DenyDeviceCode(w.Context(), d.Code, w.now, w.event(audit.ConsentDenied)), identity.ErrSpent)
			_, err := w.s.TypedDeviceCode(w.Context(), d.User, w.now)
			w.is("typed", err, identity.ErrNotFound)
			w.polled("denied", d, oauth.DeviceDenied)
			if n := w.entries(audit.ConsentDenied); n != 1 {
				w.Errorf("%d entries", n)
			}
		}},
		{"a-client-suspended-and-restored-has-lost-its-devices", func(w *world) {
			d := w.device()
			w.ok(w.s.SuspendClient(w.Context(), w.client, w.now, w.clientEvent(audit.ClientSuspended)))
			w.polledAt("suspended", d, 0, identity.ErrEnded)
			w.is("a new device", w.s.AddDeviceCode(w.Context(), w.deviceCode()), identity.ErrSpent)
			w.ok(w.s.ApplyClient(w.Context(), oauth.Client{ID: w.client, State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
			w.polledAt("restored", d, 0, identity.ErrEnded)
			_, err := w.s.TypedDeviceCode(w.Context(), d.User, w.now)
			w.is("typed", err, identity.ErrNotFound)
			w.polledAt("a new one", w.device(), oauth.DevicePending, nil)
		}},
		{"guesses", func(w *world) {
			one, two := fresh(), fresh()
			count := func(want ...bool) {
				w.Helper()
				rule := oauth.Counter{Free: 2, Base: time.Minute, Cap: 3 * time.Minute, Per: time.Hour}
				a, b := rule, rule
				a.Key, b.Key, b.Free = one, two, 100
				got, err := w.s.CountGuess(w.Context(), w.now, a, b)
				if err != nil || !slices.Equal(got, want) {
					w.Errorf("%v, %v, want %v", got, err, want)
				}
			}
			count(true, true)
			w.ok(w.s.Refund(w.Context(), one))
			count(true, true)
			count(true, true)
			count(true, true) // the third that counts blocks
			count(false, true)
			w.now = w.now.Add(time.Minute)
			count(true, true)
			w.now = w.now.Add(time.Minute)
			count(false, true)
		}},
	}
}

func (w *world) polledAt(what string, d oauth.DeviceCode, want oauth.DeviceState, refusal error) {
	w.Helper()
	got, err := w.poll(d)
	w.is(what, err, refusal)
	if got != want {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}

// deviceBearers are what devices do with values to be used once.
func deviceBearers() []bearer {
	type do = func(w *world, once ...oauth.Once) error
	return []bearer{
		{"add-device-code", func(w *world, _ session) (do, do, func() bool) {
			var last []byte
			add := func(client string) do {
				return func(w *world, once ...oauth.Once) error {
					d := w.deviceCode()
					d.ClientID, last = client, d.Code
					return w.s.AddDeviceCode(w.Context(), d, once...)
				}
			}
			return add(w.client), add("\xff"), func() bool {
				_, err := w.s.DeviceCode(w.Context(), last, w.now)
				return err == nil
			}
		}},
		{"poll-device-code", func(w *world, _ session) (do, do, func() bool) {
			d := w.device()
			polled := false
			poll := func(d oauth.DeviceCode) do {
				return func(w *world, once ...oauth.Once) error {
					_, err := w.poll(d, once...)
					return err
				}
			}
			return poll(d), poll(w.deviceCode()), func() bool {
				state, err := w.poll(d)
				polled = polled || err != nil || state == oauth.DeviceHasty
				return polled
			}
		}},
	}
}

// deviceRaces: what a device and those who answer it may do once.
func deviceRaces() []race {
	return []race{
		{"one-of-many-polls", []error{errNothing}, func(w *world) (func(*world, int) error, func()) {
			d := w.device()
			return func(w *world, _ int) error {
				state, err := w.poll(d)
				if err == nil && state == oauth.DeviceHasty {
					err = errNothing
				}
				return err
			}, nil
		}},
		{"a-user-code", []error{identity.ErrSpent}, func(w *world) (func(*world, int) error, func()) {
			user := fresh()
			return func(w *world, _ int) error {
				d := w.deviceCode()
				d.User = user
				return w.s.AddDeviceCode(w.Context(), d)
			}, nil
		}},
		{"deny-a-device", []error{identity.ErrSpent}, func(w *world) (func(*world, int) error, func()) {
			d := w.device()
			return func(w *world, _ int) error {
				return w.s.DenyDeviceCode(w.Context(), d.Code, w.now, w.event(audit.ConsentDenied))
			}, nil
		}},
		{"many-allow-a-device", []error{identity.ErrSpent}, func(w *world) (func(*world, int) error, func()) {
			d, l := w.device(), w.signIn(identity.ID{})
			var winner issue
			return func(w *world, _ int) error {
					n := w.newCode(l, forDevice(d))
					err := w.s.IssueCode(w.Context(), n.NewCode)
					if err == nil {
						winner = n
					}
					return err
				}, func() {
					g, err := w.redeemed(winner)
					w.is("redeeming", err, nil)
					if err == nil && g.ID != winner.Grant.ID {
						w.Errorf("the grant of another: %v", g.ID)
					}
				}
		}},
		// Twenty devices with one code, after the answer: one is not hasty and one has tokens.
		{"poll-and-redeem", []error{errNothing}, func(w *world) (func(*world, int) error, func()) {
			d := w.device()
			n := w.code(w.signIn(identity.ID{}), forDevice(d), opaque)
			return func(w *world, _ int) error {
					switch state, err := w.poll(d); {
					case err != nil:
						return err
					case state != oauth.DeviceAllowed:
						return errNothing
					}
					_, err := w.redeemed(n)
					return err
				}, func() {
					// Nobody came twice, so nothing was ended.
					_, err := w.s.LiveGrant(w.Context(), n.Grant.ID, w.now)
					w.is("the grant", err, nil)
				}
		}},
	}
}

// devices does all that devices and those who answer them do.
func (w *world) devices(l session) {
	w.Helper()
	ctx, s := w.ctx, w.s
	d := w.device()
	_, err := s.TypedDeviceCode(ctx, d.User, w.now)
	w.ok(err)
	_, err = s.DeviceCode(ctx, d.Code, w.now)
	w.ok(err)
	_, err = w.poll(d)
	w.ok(err)
	_, err = w.poll(w.deviceCode())
	w.is("one of nobody", err, identity.ErrEnded)
	n := w.code(l, forDevice(d))
	_, err = w.redeemed(n)
	w.ok(err)
	for range 3 {
		w.ok(s.DenyDeviceCode(ctx, w.device().Code, w.now, w.event(audit.ConsentDenied)))
	}
	_, err = s.CountGuess(ctx, w.now, oauth.Counter{Key: fresh(), Free: 1, Per: time.Hour})
	w.ok(err)
}

// deviceActs are what is written with its entry.
func deviceActs() []act {
	return []act{{"deny-device", audit.ConsentDenied, func(w *world) (func(audit.Event) error, func() bool) {
		d := w.device()
		return func(e audit.Event) error { return w.s.DenyDeviceCode(w.Context(), d.Code, w.now, e) }, func() bool {
			_, err := w.s.DeviceCode(w.Context(), d.Code, w.now)
			return errors.Is(err, identity.ErrNotFound)
		}
	}}}
}

// devicePath are the operations with a budget.
func (w *world) devicePath() []Hot {
	w.Helper()
	d, add := w.device(), w.deviceCode()
	return []Hot{
		{"AddDeviceCode", func(ctx context.Context) error { return w.s.AddDeviceCode(ctx, add) }},
		{"TypedDeviceCode", func(ctx context.Context) error { _, err := w.s.TypedDeviceCode(ctx, d.User, w.now); return err }},
		{"PollDeviceCode", func(ctx context.Context) error {
			_, err := w.s.PollDeviceCode(ctx, oauth.DevicePoll{Code: d.Code, ClientID: w.client, Interval: pollInterval, Now: w.now})
			return err
		}},
	}
}
