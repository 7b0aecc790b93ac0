package devicegrant

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/form"
	"ecardid/oauth/respond"
)

// Where a citizen types the code of a device, and learns in the end what they decided.
const (
	ConnectPath = "/connect"
	DonePath    = "/connect/done"
)

// Pages is what this room shows to people.
type Pages interface {
	// Connect asks for a user code. Its form posts the field "user_code" and the button
	// "connect-submit" to Path.
	Connect(w http.ResponseWriter, r *http.Request, v ConnectView)
	// Connected says what was decided.
	Connected(w http.ResponseWriter, r *http.Request, v ConnectedView)
}

// A Trouble is why the page is there again.
type Trouble string

// The troubles. Whether a code was never given out, has run out or was answered is
// the same to whoever types it.
const (
	NoTrouble    Trouble = ""
	WrongCode    Trouble = "wrong"
	TooManyTries Trouble = "tries"
)

// A ConnectView is the question for the code.
type ConnectView struct {
	Path    string
	Code    string // what the link brought along or was typed, if it can be a code
	Trouble Trouble
	Wait    time.Duration // with TooManyTries: about how long
}

// A ConnectedView is the end of it.
type ConnectedView struct{ Allowed bool }

// Connect serves /connect.
func (h *Handler) Connect(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.ask(w, r)
	case http.MethodPost:
		h.typed(w, r)
	default:
		h.Modes.Method(w, http.MethodGet, http.MethodPost)
	}
}

// ask shows the page. A code in the link is filled in and not sent: the citizen
// compares it with what the device shows (RFC 8628 §3.3.1).
func (h *Handler) ask(w http.ResponseWriter, r *http.Request) {
	values, err := form.Query(r, form.Known{"user_code"})
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.Front.Browser(w, r)
	v := ConnectView{Path: ConnectPath}
	if code, ok := ReadUserCode(values.Get("user_code")); ok {
		v.Code = show(code)
	}
	h.show(w, r, v)
}

// typed takes a code. A try is counted before it is looked at, and while it is one too
// many it is not looked at.
func (h *Handler) typed(w http.ResponseWriter, r *http.Request) {
	values, err := form.Post(w, r, form.Known{"csrf", "user_code", "connect-submit"})
	if err != nil {
		h.fail(w, r, err)
		return
	}
	code, ok := ReadUserCode(values.Get("user_code"))
	if !ok {
		h.Front.Browser(w, r)
		h.show(w, r, ConnectView{Path: ConnectPath, Trouble: WrongCode}) // it could not be right
		return
	}
	v := ConnectView{Path: ConnectPath, Code: show(code)}
	g, err := h.guess(w, r)
	switch {
	case err != nil:
		h.fail(w, r, err)
		return
	case !g.allowed:
		v.Trouble, v.Wait = TooManyTries, byBrowser().Cap
		h.show(w, r, v)
		return
	}
	d, err := h.Store.TypedDeviceCode(r.Context(), h.hash(code), h.Clock.Now())
	switch {
	case errors.Is(err, identity.ErrNotFound):
		v.Trouble = WrongCode
		h.show(w, r, v)
		return
	case err != nil:
		h.fail(w, r, err)
		return
	}
	if err := g.right(r.Context(), h.Store); err != nil {
		h.fail(w, r, err)
		return
	}
	h.Front.ConnectDevice(w, r, d, show(code))
}

func (h *Handler) show(w http.ResponseWriter, r *http.Request, v ConnectView) {
	respond.NoStore(w.Header())
	h.Pages.Connect(w, r, v)
}

// Done serves /connect/done. It ends nothing and says nothing about anybody.
func (h *Handler) Done(w http.ResponseWriter, r *http.Request) {
	values, err := form.Query(r, form.Known{"outcome"})
	if err != nil {
		h.fail(w, r, err)
		return
	}
	outcome := values.Get("outcome")
	if outcome != oauth.DeviceConnected && outcome != oauth.DeviceDeclined {
		h.fail(w, r, fosite.ErrInvalidRequest.WithHint("There is no such outcome."))
		return
	}
	respond.NoStore(w.Header())
	h.Pages.Connected(w, r, ConnectedView{Allowed: outcome == oauth.DeviceConnected})
}

// fail shows a page: there is nobody else to tell.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.As(err, new(*form.Error)) && !errors.As(err, new(*fosite.RFC6749Error)) {
		err = fosite.ErrServerError.WithWrap(err) // whatever it is, it is ours
	}
	h.Modes.Page(respond.WithRequest(r), w, oauth.FaultRequest, http.StatusBadRequest, err)
}

// source is an address as far as one subscriber has it: an IPv6 network has more
// addresses than anybody has guesses.
func source(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return address
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
