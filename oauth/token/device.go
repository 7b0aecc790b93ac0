package token

import (
	"context"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/devicegrant"
	"ecardid/oauth/issue"
)

// DeviceStore is what the device grant needs from storage, beside what it shares with
// the code grant.
type DeviceStore interface {
	PollDeviceCode(ctx context.Context, p oauth.DevicePoll) (oauth.DeviceState, error)
}

// Device is the device grant (RFC 8628 §3.4). A device asks until a citizen has
// answered; then its device code is redeemed like any other, by the same statement.
type Device struct {
	Codes *Code
	Polls DeviceStore
}

var _ Grant = (*Device)(nil)

// Type implements Grant.
func (*Device) Type() string { return oauth.GrantDevice }

// Prove implements Grant. What the request used up is recorded by the poll. Of polls
// side by side all but one are too soon, so that a device that asks twice in its haste
// does not end what it is about to be given; one that comes back later, when the code
// is spent, does (RFC 6749 §4.1.2).
func (d *Device) Prove(ctx context.Context, req Request) (Answer, error) {
	if err := devicegrant.Admitted(req.Client); err != nil {
		return Answer{}, err
	}
	text := req.Form.Get("device_code")
	if text == "" {
		return Answer{}, fosite.ErrInvalidRequest.WithHint("The parameter device_code is missing.")
	}
	hash, ok := d.Codes.Handles.Hash(issue.Device, text)
	if !ok {
		return Answer{}, badCode(errors.New("not a device code of ours"))
	}
	if _, err := d.Codes.narrowing(req); err != nil {
		return Answer{}, err // before anything is spent
	}
	state, err := d.Polls.PollDeviceCode(ctx, oauth.DevicePoll{
		Code: hash, ClientID: req.Client.ID, Interval: devicegrant.Interval, Once: req.Ledger.Take(), Now: req.Now,
	})
	switch {
	case errors.Is(err, identity.ErrReplayed):
		return Answer{}, err
	case errors.Is(err, identity.ErrNotFound):
		return Answer{}, badCode(err)
	case errors.Is(err, identity.ErrEnded):
		return Answer{}, notYet("expired_token", "The device code has expired. Begin anew.")
	case err != nil:
		return Answer{}, fosite.ErrServerError.WithWrap(err)
	}
	switch state {
	case oauth.DeviceAllowed:
		return d.Codes.redeem(ctx, req, hash, "", "") // a device has no redirect URI and no PKCE
	case oauth.DeviceDenied:
		return Answer{}, notYet("access_denied", "The citizen declined.")
	case oauth.DeviceHasty:
		return Answer{}, notYet("slow_down", "Too soon. Wait five seconds longer from now on.")
	}
	return Answer{}, notYet("authorization_pending", "The citizen has not answered yet.")
}

// notYet is one of the errors of RFC 8628 §3.5.
func notYet(code, description string) error {
	return &fosite.RFC6749Error{ErrorField: code, CodeField: http.StatusBadRequest, DescriptionField: description}
}
