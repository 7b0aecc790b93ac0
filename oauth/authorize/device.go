package authorize

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/devicegrant"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/token"
)

// This file asks a citizen about a device (RFC 8628 §3.3) as the others ask about
// applications: the same stored request, need and consent page. What differs is that
// there is nowhere to send an answer. Errors are pages, the grant waits for the device
// under the code it has already, and the browser is told how it ended at devicegrant.DonePath.

// Devices is what this needs from storage.
type Devices interface {
	DeviceCode(ctx context.Context, code []byte, now time.Time) (oauth.DeviceCode, error)
	DenyDeviceCode(ctx context.Context, code []byte, now time.Time, e audit.Event) error
	IssueCode(ctx context.Context, n oauth.NewCode) error
}

// A device is what a request of kind device is about.
type device struct {
	oauth.DeviceCode
	shown string // its user code, as it was typed and as the device shows it
}

// What a stored request of this kind consists of: what the device asks for, and which
// device it is.
const (
	paramDevice = "device"
	paramShown  = "user_code"
)

func deviceParams() form.Known { return form.Known{"scope", "resource", paramDevice, paramShown} }

var _ devicegrant.Front = (*Handler)(nil)

// Browser implements devicegrant.Front.
func (*Handler) Browser(w http.ResponseWriter, r *http.Request) []byte { return mark(w, r) }

// CheckDevice implements devicegrant.Front.
func (h *Handler) CheckDevice(client *oauth.Client, values url.Values) (string, error) {
	asked := url.Values{"scope": values["scope"], "resource": values["resource"]}
	if _, err := h.ofDevice(client, asked, h.Clock.Now()); err != nil {
		return "", err
	}
	return asked.Encode(), nil
}

// ofDevice is a request with what a device asks for.
func (h *Handler) ofDevice(client *oauth.Client, values url.Values, created time.Time) (*request, error) {
	req := &request{client: framework.Client{Client: client}, values: values, created: created}
	var err error
	if req.scope, err = h.scopes(values, client); err != nil {
		return nil, err
	}
	if !client.Allows(req.scope...) {
		return nil, fosite.ErrInvalidScope.WithHint("More than the client was admitted with.")
	}
	targets, err := token.Targets(values)
	if err != nil {
		return nil, err
	}
	if req.resource, err = h.targets(targets, req.scope, nil); err != nil {
		return nil, err
	}
	req.single(h.Catalogue)
	req.need = need(req.asked, client, req.scope, h.Catalogue, h.Floor, created, h.Clock.Now())
	asker := client.Asker("")
	req.need.Asker = &asker
	return req, nil
}

// ConnectDevice implements devicegrant.Front: the question is stored for this browser,
// and the browser is sent to it.
func (h *Handler) ConnectDevice(w http.ResponseWriter, r *http.Request, d oauth.DeviceCode, userCode string) {
	req, err := h.connecting(r.Context(), d, userCode)
	if err == nil {
		err = h.keep(r.Context(), req, kindDevice, mark(w, r), requestLife)
	}
	if err != nil {
		h.fail(w, r, nil, err)
		return
	}
	redirect(w, back(Path, req.client.ID, req.handle))
}

func (h *Handler) connecting(ctx context.Context, d oauth.DeviceCode, userCode string) (*request, error) {
	client, err := h.asker(ctx, d.ClientID)
	if err != nil {
		return nil, err
	}
	values, err := form.Parse(d.Params, deviceParams())
	if err != nil {
		return nil, fosite.ErrServerError.WithWrap(err)
	}
	values.Set(paramDevice, base64.RawURLEncoding.EncodeToString(d.Code))
	values.Set(paramShown, userCode)
	return h.ofDevice(client, values, h.Clock.Now())
}

// loadDevice takes a stored request about a device up again: as long as the device
// waits, and the client may still ask.
func (h *Handler) loadDevice(ctx context.Context, stored *oauth.StoredRequest, handle string) (*request, error) {
	if h.Devices == nil || len(stored.Browser) == 0 {
		return nil, expired()
	}
	client, err := h.asker(ctx, stored.ClientID)
	if err != nil {
		return nil, err
	}
	values, err := form.Parse(stored.Params, deviceParams())
	if err != nil {
		return nil, fosite.ErrServerError.WithWrap(err)
	}
	code, err := base64.RawURLEncoding.DecodeString(values.Get(paramDevice))
	if err != nil {
		return nil, fosite.ErrServerError.WithWrap(err)
	}
	d, err := h.Devices.DeviceCode(ctx, code, h.Clock.Now())
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return nil, expired() // or somebody else has answered
	case err != nil:
		return nil, fosite.ErrServerError.WithWrap(err)
	}
	if err := devicegrant.Admitted(client); err != nil {
		return nil, err
	}
	req, err := h.ofDevice(client, values, stored.Created)
	if err != nil {
		return nil, err
	}
	req.device = &device{d, values.Get(paramShown)}
	req.stored, req.handle = stored, handle
	req.need.Txn = transaction(stored.Handle)
	return req, nil
}

// connect issues the grant that the device will find. Of two citizens who agree, the
// first has answered.
func (h *Handler) connect(w http.ResponseWriter, r *http.Request, req *request, n oauth.NewCode) error {
	n.Code, n.CodeExpires = req.device.Code, req.device.Expires
	if err := h.Devices.IssueCode(context.WithoutCancel(r.Context()), n); err != nil {
		return err
	}
	h.done(w, oauth.DeviceConnected)
	return nil
}

// decline answers no: by the citizen, who said so or gave up signing in, or by us, who
// have to. login is zero when nobody is signed in.
func (h *Handler) decline(w http.ResponseWriter, r *http.Request, req *request, login identity.Login, by audit.Actor) {
	now := h.Clock.Now()
	ctx := context.WithoutCancel(r.Context())
	// The device's answer first: a request that is left over expires by itself, and is
	// worth nothing to a code that was denied.
	err := h.Devices.DenyDeviceCode(ctx, req.device.Code, now, audit.Event{
		Kind: audit.ConsentDenied, At: now, Actor: by, Citizen: login.Citizen, Login: login.ID, Client: req.client.ID,
		Detail: map[string]string{"scope": strings.Join(req.agree, " "), "grant": "device"},
	})
	if err != nil {
		h.fail(w, r, nil, issuing(err))
		return
	}
	h.drop(ctx, req)
	h.done(w, oauth.DeviceDeclined)
}

func (*Handler) done(w http.ResponseWriter, outcome string) {
	redirect(w, devicegrant.DonePath+"?"+url.Values{"outcome": {outcome}}.Encode())
}
