package deviceapi

import (
	"errors"
	"fmt"
	"net/http"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/identity"
	"ecardid/internal/exchange"
)

// A call is a signed request that was believed: its phone is active, its nonce
// spent.
type call struct {
	*http.Request
	phone authn.Device
	body  []byte
}

// hear believes a signed request or refuses it, in the order doc.go promises. The
// refusals are one answer; which check it was is in the log.
func (a *API) hear(w http.ResponseWriter, r *http.Request, takes string) (*call, error) {
	body, err := exchange.Body(w, r)
	if err != nil {
		return nil, err
	}
	s, err := phone.ParseSigned(r.Header)
	if err != nil {
		return nil, a.unsigned(r, authn.Device{}, "no signature", err)
	}
	now := a.Clock.Now()
	replay, err := a.Nonces.Inspect(s.Nonce, s.Device, now)
	if err != nil {
		return nil, a.unsigned(r, authn.Device{}, "nonce", err)
	}
	d, err := a.Store.Phone(r.Context(), s.Device)
	switch {
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded):
		return nil, a.unsigned(r, authn.Device{}, "no such phone", err)
	case err != nil:
		return nil, fmt.Errorf("reading a phone: %w", err)
	}
	key, err := phone.LoadKey(d.JWK, d.Alg)
	if err != nil {
		return nil, fmt.Errorf("reading a phone: %w", err)
	}
	// The audience is configuration's and not the Host header's: a request signed for
	// another site, relayed here, does not verify.
	err = phone.VerifyRequest(key, phone.Request{
		Method: r.Method, Path: r.URL.RequestURI(), Audience: a.Origin, Body: body, Signed: s,
	}, now)
	if err != nil {
		return nil, a.unsigned(r, d, "signature", err)
	}
	err = a.Store.SpendNonce(r.Context(), replay.Key, replay.Until, now)
	switch {
	case errors.Is(err, identity.ErrSpent):
		return nil, a.unsigned(r, d, "used before", err)
	case err != nil:
		return nil, fmt.Errorf("spending a nonce: %w", err)
	}
	if takes == "" {
		if len(body) > 0 {
			return nil, invalidRequest("This request has no body.").because(nil)
		}
	} else if err := exchange.Type(r, takes); err != nil {
		return nil, err
	}
	return &call{Request: r, phone: d, body: body}, nil
}

// unsigned refuses a request and writes down what the app is not told: which check it
// was, and the phone, once there is one.
func (a *API) unsigned(r *http.Request, d authn.Device, reason string, cause error) error {
	e := a.event(r, audit.SignatureRefused, d.Citizen)
	e.Actor, e.Device, e.Reason = audit.BySystem, d.ID, reason
	a.Refusals.Note(r.Context(), e)
	return unauthorized().because(cause)
}

// nonce serves GET /device/v1/nonce. It answers alike whether there is such a
// phone or not, and remembers nothing.
func (a *API) nonce(w http.ResponseWriter, r *http.Request) error {
	var device identity.ID
	ids := r.Header.Values(phone.HeaderDevice)
	if len(ids) == 1 {
		device, _ = identity.ParseID(ids[0]) // zero when it is none
	}
	if device.IsZero() {
		return invalidRequest("The header Device-Id names the phone the nonce is for.").because(nil)
	}
	n, err := a.Nonces.Issue(a.Rand, device, a.Clock.Now())
	if err != nil {
		return err
	}
	a.answer(w, http.StatusOK, struct {
		Nonce     string `json:"nonce"`
		ExpiresIn int    `json:"expires_in"`
	}{n, int(nonceLife.Seconds())})
	return nil
}
