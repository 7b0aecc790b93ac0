package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/internal/clock"
)

// A Reporter takes reports of a loss; loss.Desk is one.
type Reporter interface {
	Report(ctx context.Context, r loss.Report, e audit.Event) (loss.Receipt, error)
}

// A Counter performs the acts on citizens: those of the service counter and of the
// telephone.
type Counter struct {
	Citizens Citizens
	Changes  Changes
	Desk     Reporter
	// Floor is what logins have to reach: one factor goes only if what is left does. All
	// factors together always may, for then somebody comes to the counter and begins anew.
	Floor identity.Level
	Alone bool // a phone does not come back beside another one
	Clock clock.Clock
}

// Acts lists what it performs.
func (c *Counter) Acts() []Act {
	return []Act{CitizenReveal, LossReport, CardFreeze, CardUnfreeze, CardCancel, DeviceEnd, DeviceSuspend, DeviceRestore, DeviceConfirm, SessionEnd, FactorRemove, BulkLoss}
}

// Values of orders.
const (
	LostPhone     = string(loss.Phone)
	LostCard      = string(loss.Card)
	EndLost       = string(identity.DeviceLost)
	EndRevoked    = string(identity.DeviceRevoked)
	FactorTOTP    = "totp"
	FactorPasskey = "passkey"
	FactorsAll    = "all"
)

// callerGood is how long somebody on the telephone stays who they showed to be.
const callerGood = 15 * time.Minute

// MaxBulk is how many citizens one bulk order may name.
const MaxBulk = 1000

// errOrder refuses an order that does not say what it has to: nobody's page makes one.
var errOrder = errors.New("console: an order that is none")

// malformed is identity.ErrNotFound to the caller: what it asks for there is not.
func malformed(o Order) error {
	return fmt.Errorf("%w: %w: %s", identity.ErrNotFound, errOrder, o.Act)
}

// well reports whether an order has the parts that its act takes, and no others.
func well(o Order) bool {
	none := o.Target.IsZero() && o.Client == "" && len(o.Many) == 0
	switch o.Act {
	case BulkLoss:
		return o.Citizen.IsZero() && o.Target.IsZero() && o.Client == "" && len(o.Many) > 0 && len(o.Many) <= MaxBulk && (o.Value == LostPhone || o.Value == LostCard)
	case CitizenReveal:
		return none && slices.Contains(Fields(), Field(o.Value))
	case LossReport:
		return none && (o.Value == LostPhone || o.Value == LostCard)
	case CardFreeze, CardUnfreeze, CardCancel:
		return none && o.Value == ""
	case DeviceEnd:
		return !o.Target.IsZero() && (o.Value == EndLost || o.Value == EndRevoked) && o.Client == "" && len(o.Many) == 0
	case DeviceSuspend, DeviceRestore, DeviceConfirm:
		return !o.Target.IsZero() && o.Value == "" && o.Client == "" && len(o.Many) == 0
	case SessionEnd:
		return o.Value == "" && o.Client == "" && len(o.Many) == 0
	case FactorRemove:
		return o.Client == "" && len(o.Many) == 0 && (o.Value == FactorPasskey) == !o.Target.IsZero() &&
			(o.Value == FactorTOTP || o.Value == FactorPasskey || o.Value == FactorsAll)
	}
	return false
}

// Preview implements Performer.
func (c *Counter) Preview(ctx context.Context, by Staff, o Order) ([]Line, error) {
	if !well(o) || o.Citizen.IsZero() != (o.Act == BulkLoss) {
		return nil, malformed(o)
	}
	if o.Act == BulkLoss {
		return c.previewMany(ctx, by, o)
	}
	region, err := c.Citizens.RegionOf(ctx, o.Citizen)
	if err != nil {
		return nil, err
	}
	if !by.Within(region) {
		return nil, identity.ErrNotFound
	}
	now := c.Clock.Now()
	f, err := c.Citizens.FileOf(ctx, o.Citizen, now)
	if err != nil {
		return nil, err
	}
	if err := c.could(f, o, now); err != nil {
		return nil, err
	}
	lines := about(f, o)
	switch o.Act {
	case CitizenReveal:
		return append(lines, Line{What: "field", Name: o.Value}), nil
	case DeviceConfirm:
		return lines, nil // nothing ends
	}
	ends, err := c.ends(ctx, f, o, now)
	if err != nil {
		return nil, err
	}
	return append(lines, ends...), nil
}

// about says which of a citizen's things an order is about: whoever approves it has to
// see that.
func about(f File, o Order) []Line {
	var lines []Line
	for _, d := range f.Devices {
		if d.ID == o.Target {
			lines = append(lines, Line{What: "device", Name: d.Name})
		}
	}
	for _, k := range f.Passkeys {
		if k.ID == o.Target {
			lines = append(lines, Line{What: "passkey", Name: k.Name})
		}
	}
	for _, x := range f.Sessions {
		if x.ID == o.Target {
			lines = append(lines, Line{What: "session", Name: x.Agent + " · " + x.Place})
		}
	}
	return lines
}

// could is possible, and asks for what would be left of the factors as well.
func (c *Counter) could(f File, o Order, now time.Time) error {
	if err := possible(f, o, now); err != nil {
		return err
	}
	if o.Act == FactorRemove && o.Value != FactorsAll && !c.enough(f, o) {
		return identity.ErrConflict
	}
	return nil
}

// enough asks beforehand what storage asks in the transaction: whether somebody could
// still sign in without the factor, so that nobody approves what cannot be.
func (c *Counter) enough(f File, without Order) bool {
	active := map[identity.ID]bool{}
	left, onDevice := authn.Factors{TOTP: f.TOTP && without.Value != FactorTOTP}, 0
	for _, d := range f.Devices {
		active[d.ID] = d.State == identity.DeviceActive
		if active[d.ID] && d.Kind == identity.DevicePhone {
			left.Phones++
		}
	}
	for _, k := range f.Passkeys {
		if k.ID == without.Target || !k.Device.IsZero() && !active[k.Device] {
			continue
		}
		if left.Passkeys++; !k.Device.IsZero() {
			onDevice++
		}
	}
	return authn.EnoughFor(c.Floor)(left, onDevice)
}

// previewMany adds up what ends for all; somebody who may not be served ends the whole.
func (c *Counter) previewMany(ctx context.Context, by Staff, o Order) ([]Line, error) {
	now := c.Clock.Now()
	var sum Hanging
	seen := make(map[identity.ID]bool, len(o.Many))
	for _, citizen := range o.Many {
		if seen[citizen] {
			return nil, malformed(o)
		}
		seen[citizen] = true
		region, err := c.Citizens.RegionOf(ctx, citizen)
		if err != nil {
			return nil, err
		}
		if !by.Within(region) {
			return nil, identity.ErrNotFound
		}
		h, err := c.Citizens.HangingOn(ctx, citizen, identity.ID{}, identity.ID{}, now)
		if err != nil {
			return nil, err
		}
		sum = sum.plus(h)
	}
	sum.TOTP = 0 // generators stay
	return append([]Line{{What: "citizens", Count: len(o.Many)}}, sum.lines()...), nil
}

// possible answers identity.ErrConflict for what the file does not allow now, and
// identity.ErrNotFound for a target that is not in it.
func possible(f File, o Order, now time.Time) error {
	card := func(to identity.CardState) error {
		if !f.State.MayBecome(to) {
			return identity.ErrConflict
		}
		return nil
	}
	device := func(to identity.DeviceState) error {
		for _, d := range f.Devices {
			switch {
			case d.ID != o.Target:
			case !d.State.MayBecome(to), d.Kind == identity.DeviceBrowser && to != identity.DeviceRevoked:
				return identity.ErrConflict
			default:
				return nil
			}
		}
		return identity.ErrNotFound
	}
	switch o.Act {
	case LossReport:
		if !f.State.MaySignIn() {
			return identity.ErrConflict
		}
	case CardFreeze:
		return card(identity.CardFrozen)
	case CardUnfreeze:
		return card(identity.CardNormal)
	case CardCancel:
		return card(identity.CardCancelled)
	case DeviceEnd:
		return device(identity.DeviceState(o.Value))
	case DeviceSuspend:
		return device(identity.DeviceSuspended)
	case DeviceRestore:
		if !f.State.MaySignIn() {
			return identity.ErrConflict
		}
		return device(identity.DeviceActive)
	case DeviceConfirm:
		if !f.State.MaySignIn() || !f.Cools(now) {
			return identity.ErrConflict
		}
		return latestPhone(f, o.Target)
	case FactorRemove:
		return removable(f, o)
	}
	return nil
}

// latestPhone: a phone in use, and nothing newer that would be waved through with it.
func latestPhone(f File, id identity.ID) error {
	var latest FiledDevice
	for _, d := range f.Devices {
		if d.State == identity.DeviceActive && d.Kind != identity.DeviceBrowser && d.Bound.After(latest.Bound) {
			latest = d
		}
	}
	if latest.ID != id || latest.Kind != identity.DevicePhone {
		return identity.ErrConflict
	}
	return nil
}

func removable(f File, o Order) error {
	switch o.Value {
	case FactorTOTP:
		if !f.TOTP {
			return identity.ErrNotFound
		}
	case FactorPasskey:
		for _, p := range f.Passkeys {
			if p.ID == o.Target {
				return nil
			}
		}
		return identity.ErrNotFound
	case FactorsAll:
		if f.State == identity.CardCancelled {
			return identity.ErrConflict
		}
	}
	return nil
}

// ends counts what ends with a possible order.
func (c *Counter) ends(ctx context.Context, f File, o Order, now time.Time) ([]Line, error) {
	var device, session identity.ID
	becomes := Line{}
	whole := func(to identity.CardState) { becomes = Line{What: "card", Name: string(to)} }
	switch o.Act {
	case CardFreeze:
		whole(identity.CardFrozen)
	case CardUnfreeze:
		whole(identity.CardNormal)
	case CardCancel:
		whole(identity.CardCancelled)
	case LossReport:
		if o.Value == LostCard {
			whole(identity.CardTempLost)
		}
	case DeviceEnd, DeviceSuspend, DeviceRestore:
		device = o.Target
	case SessionEnd:
		session = o.Target
	}
	h, err := c.Citizens.HangingOn(ctx, f.ID, device, session, now)
	if err != nil {
		return nil, err
	}
	// The count is of all that hangs; some acts leave some of it.
	switch o.Act {
	case DeviceRestore:
		h = Hanging{Devices: h.Devices, Passkeys: h.Passkeys} // come back, and nothing else
	case DeviceEnd:
		if h.Devices > 0 { // the end of a factor ends everything that was made with any
			all, err := c.Citizens.HangingOn(ctx, f.ID, identity.ID{}, identity.ID{}, now)
			if err != nil {
				return nil, err
			}
			all.Devices, all.Passkeys, all.TOTP = h.Devices, h.Passkeys, 0
			h = all
		}
	case CardFreeze, CardUnfreeze, CardCancel:
		h.Devices, h.Passkeys, h.TOTP = 0, 0, 0
	case LossReport:
		h.TOTP = 0
	case SessionEnd:
		h.Devices, h.Browsers, h.Passkeys, h.TOTP = 0, 0, 0, 0
	case FactorRemove:
		if o.Value != FactorsAll {
			h.Devices, h.Passkeys, h.TOTP = 0, 0, 0
			if o.Value == FactorTOTP {
				h.TOTP = 1
			} else {
				h.Passkeys = 1
			}
		}
	}
	lines := h.lines()
	if becomes.What != "" {
		lines = append([]Line{becomes}, lines...)
	}
	return lines, nil
}

func (h Hanging) plus(o Hanging) Hanging {
	return Hanging{h.Devices + o.Devices, h.Browsers + o.Browsers, h.Passkeys + o.Passkeys, h.TOTP + o.TOTP, h.Sessions + o.Sessions,
		h.Requests + o.Requests, h.Codes + o.Codes, h.Grants + o.Grants, h.Tokens + o.Tokens}
}

// lines names what there is any of.
func (h Hanging) lines() []Line {
	var all []Line
	for _, l := range []Line{
		{What: "devices", Count: h.Devices}, {What: "passkeys", Count: h.Passkeys}, {What: "totp", Count: h.TOTP}, {What: "browsers", Count: h.Browsers},
		{What: "sessions", Count: h.Sessions}, {What: "requests", Count: h.Requests}, {What: "codes", Count: h.Codes}, {What: "grants", Count: h.Grants},
		{What: "tokens", Count: h.Tokens},
	} {
		if l.Count > 0 {
			all = append(all, l)
		}
	}
	return all
}

// Perform implements Performer. Whether it may be was asked in Preview; what has changed
// since, storage finds out in the transaction. The citizen hears of each.
func (c *Counter) Perform(ctx context.Context, o Order, e audit.Event) (told string, err error) {
	if !well(o) || o.Citizen.IsZero() {
		return "", malformed(o)
	}
	e.Citizen, e.Reason, e.Notify = o.Citizen, o.Reason, true
	told, err = c.perform(ctx, o, e)
	switch {
	case errors.Is(err, identity.ErrEnded), errors.Is(err, authn.ErrLastFactor):
		err = fmt.Errorf("%w: %w", identity.ErrConflict, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", o.Act, err)
	}
	return told, nil
}

func (c *Counter) perform(ctx context.Context, o Order, e audit.Event) (string, error) {
	card := func(kind audit.Kind, to identity.CardState) (string, error) {
		e.Kind = kind
		return "", c.Changes.SetCardState(ctx, o.Citizen, to, e)
	}
	device := func(kind audit.Kind, to identity.DeviceState) (string, error) {
		e.Kind, e.Device = kind, o.Target
		// Staff end what was lost, also when it was the last: enough is nil.
		return "", c.Changes.EndDevice(ctx, o.Citizen, o.Target, to, nil, e)
	}
	switch o.Act {
	case CitizenReveal:
		e.Kind, e.Detail = audit.CitizenRevealed, also(e.Detail, "field", o.Value)
		return c.Citizens.RevealCitizen(ctx, o.Citizen, Field(o.Value), e)
	case LossReport:
		// For the trail: a report by telephone without questions asked is for somebody to ask about.
		caller := "not asked"
		if passed, err := c.Citizens.CallerPassed(ctx, o.Citizen, e.Actor, e.At.Add(-callerGood)); err != nil {
			return "", err
		} else if passed {
			caller = "passed"
		}
		e.Detail = also(e.Detail, "caller", caller)
		receipt, err := c.Desk.Report(ctx, loss.Report{Citizen: o.Citizen, What: loss.What(o.Value)}, e)
		if err != nil {
			return "", err
		}
		return receipt.Number.String(), nil
	case CardFreeze:
		return card(audit.CitizenFrozen, identity.CardFrozen)
	case CardUnfreeze:
		return card(audit.CitizenRestored, identity.CardNormal)
	case CardCancel:
		return card(audit.CitizenCancelled, identity.CardCancelled)
	case DeviceEnd:
		return device(audit.DeviceEnded, identity.DeviceState(o.Value))
	case DeviceSuspend:
		return device(audit.DeviceSuspended, identity.DeviceSuspended)
	case DeviceRestore:
		e.Kind, e.Device = audit.DeviceRestored, o.Target
		// Staff have looked, so there is no new wait; what was left of one goes on.
		return "", c.Changes.RestoreDevice(ctx, o.Citizen, o.Target, c.Alone, 0, e)
	case DeviceConfirm:
		e.Kind, e.Device = audit.DeviceConfirmed, o.Target
		return "", c.Changes.ConfirmPhone(ctx, o.Citizen, o.Target, e)
	case SessionEnd:
		return "", c.endSessions(ctx, o, e)
	case FactorRemove:
		return "", c.removeFactor(ctx, o, e)
	}
	return "", malformed(o)
}

func (c *Counter) endSessions(ctx context.Context, o Order, e audit.Event) error {
	if o.Target.IsZero() {
		e.Kind = audit.LoginsEnded
		return c.Changes.EndOtherLogins(ctx, o.Citizen, identity.ID{}, e)
	}
	// The session is the subject and not where the act comes from, so it is a detail.
	e.Kind, e.Detail = audit.LoginEnded, also(e.Detail, "session", o.Target.String())
	return c.Changes.EndLogin(ctx, o.Citizen, o.Target, e)
}

func (c *Counter) removeFactor(ctx context.Context, o Order, e audit.Event) error {
	enough := authn.EnoughFor(c.Floor)
	switch o.Value {
	case FactorTOTP:
		e.Kind = audit.TOTPRemoved
		return c.Changes.RemoveTOTP(ctx, o.Citizen, identity.ID{}, enough, e)
	case FactorPasskey:
		e.Kind, e.Detail = audit.PasskeyRemoved, also(e.Detail, "passkey", o.Target.String())
		return c.Changes.RemovePasskey(ctx, o.Citizen, o.Target, identity.ID{}, enough, e)
	case FactorsAll:
		// No code is made here: nobody at the console sees a secret. The counter prints one
		// when the citizen stands there (SECURITY PW5).
		e.Kind = audit.FactorsReset
		return c.Changes.ResetFactors(ctx, o.Citizen, nil, time.Time{}, e)
	}
	return malformed(o)
}

// also adds a fact to an event's without touching the map it came in.
func also(detail map[string]string, name, value string) map[string]string {
	all := map[string]string{name: value}
	for k, v := range detail {
		if k != name {
			all[k] = v
		}
	}
	return all
}

var _ Performer = (*Counter)(nil)
