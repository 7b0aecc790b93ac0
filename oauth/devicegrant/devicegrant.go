package devicegrant

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
)

// Path is where devices begin (RFC 8628 §3.1).
const Path = "/device-authorization"

// Store is what this room needs from storage.
type Store interface {
	AddDeviceCode(ctx context.Context, d oauth.DeviceCode, once ...oauth.Once) error
	TypedDeviceCode(ctx context.Context, user []byte, now time.Time) (oauth.DeviceCode, error)
	oauth.Counters
	oauth.Replay
}

// Front is the authorization endpoint.
type Front interface {
	// Browser names this browser, to which stored requests are bound.
	Browser(w http.ResponseWriter, r *http.Request) []byte
	// CheckDevice reads what a device of this client asks for and returns what is to be
	// kept of it. Its errors may be sent to the client.
	CheckDevice(client *oauth.Client, values url.Values) (params string, err error)
	// ConnectDevice puts the question of d, whose user code was typed in this browser,
	// to the citizen. It writes the whole answer.
	ConnectDevice(w http.ResponseWriter, r *http.Request, d oauth.DeviceCode, userCode string)
}

// A Handler serves the endpoint and its pages.
type Handler struct {
	Provider *fosite.Fosite
	Store    Store
	Front    Front
	Logins   oauth.Logins
	Issuer   string
	Handles  issue.Handles // its keys hash user codes and name counters, too
	Pages    Pages
	Modes    respond.Modes
	Source   func(*http.Request) string
	Clock    clock.Clock
}

// known are the parameters of the endpoint beside those of client authentication.
func known() form.Known { return form.Known{"scope", "resource"} }

// An authorization is RFC 8628 §3.2.
type authorization struct {
	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	VerificationURI string `json:"verification_uri"`
	Complete        string `json:"verification_uri_complete"`
	ExpiresIn       int    `json:"expires_in"`
	Interval        int    `json:"interval"`
}

// ServeHTTP serves /device-authorization.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		h.Modes.Method(w, http.MethodPost)
		return
	}
	now := h.Clock.Now()
	ctx, ledger := oauth.WithLedger(r.Context())
	values, err := form.Post(w, r, append(known(), clientauth.Params()...))
	var begun authorization
	if err == nil {
		begun, err = h.begin(ctx, r, values, ledger, now)
	}
	if unpaid := clientauth.Settle(context.WithoutCancel(ctx), h.Store, ledger, values, now); unpaid != nil {
		err = unpaid
	}
	if err == nil {
		err = respond.JSON(w, http.StatusOK, begun)
	}
	if err != nil {
		h.Modes.ClientError(w, r, clientauth.Replayed(err, values))
	}
}

// begin has a device wait. Its two codes are stored, and what the client used up is
// recorded, in one statement.
func (h *Handler) begin(ctx context.Context, r *http.Request, values url.Values, ledger *oauth.Ledger, now time.Time) (authorization, error) {
	authenticated, err := h.Provider.AuthenticateClient(ctx, r, values)
	if err != nil {
		return authorization{}, err
	}
	c, ok := authenticated.(framework.Client)
	if !ok {
		return authorization{}, fosite.ErrServerError
	}
	if err := Admitted(c.Client); err != nil {
		return authorization{}, err
	}
	params, err := h.Front.CheckDevice(c.Client, values)
	if err != nil {
		return authorization{}, err
	}
	if c.Public() {
		if err := h.opening(ctx, r, c.Client, now); err != nil {
			return authorization{}, err
		}
	}
	code := h.Handles.New(issue.Device)
	d := oauth.DeviceCode{Code: code.Hash(), ClientID: c.ID, Params: params, Created: now, Expires: now.Add(Life), Vouched: !c.Public()}
	user, err := h.keep(context.WithoutCancel(ctx), d, ledger)
	if err != nil {
		return authorization{}, err
	}
	at := h.Issuer + ConnectPath
	return authorization{
		DeviceCode: code.Reveal(), UserCode: show(user), VerificationURI: at,
		Complete:  at + "?" + url.Values{"user_code": {show(user)}}.Encode(),
		ExpiresIn: int(Life / time.Second), Interval: int(Interval / time.Second),
	}, nil
}

// Admitted reports whether devices of this client may ask for tokens at all.
func Admitted(c *oauth.Client) error {
	switch {
	case !c.MayUse(oauth.GrantDevice):
		return fosite.ErrUnauthorizedClient.WithHint("The client was not admitted with this grant type.")
	case c.Profile == oauth.ProfileFAPI2:
		// Its requests are pushed and its codes bound to a browser (FAPI 2.0 §5.3.1.2).
		return fosite.ErrUnauthorizedClient.WithHint("Profile fapi2 has no device grant.")
	}
	return nil
}

// keep stores the device under a user code that no other device has.
func (h *Handler) keep(ctx context.Context, d oauth.DeviceCode, ledger *oauth.Ledger) (user string, err error) {
	random := h.Handles.Rand
	if random == nil {
		random = rand.Reader
	}
	for range spins {
		if user, err = newUserCode(random); err != nil {
			return "", fosite.ErrServerError.WithWrap(err)
		}
		d.User = h.hash(user)
		if err = h.Store.AddDeviceCode(ctx, d, ledger.Take()...); !errors.Is(err, identity.ErrSpent) {
			break
		}
	}
	switch {
	case err == nil, errors.Is(err, identity.ErrReplayed):
		return user, err
	case errors.Is(err, identity.ErrConflict), errors.Is(err, identity.ErrSpent):
		return "", fosite.ErrTemporarilyUnavailable.WithWrap(err)
	}
	return "", fosite.ErrServerError.WithWrap(err)
}

// hash is what is stored of a user code: eight letters are few enough to try them all,
// so it needs a key (SECURITY DP1).
func (h *Handler) hash(userCode string) []byte { return h.Handles.Keys.Sum("user code", userCode) }

// opening counts devices that anybody can have begin who knows a client's id.
func (h *Handler) opening(ctx context.Context, r *http.Request, c *oauth.Client, now time.Time) error {
	t := openings()
	t.Key = h.Handles.Keys.Sum("device openings", c.ID, source(h.Source(r)))
	open, err := h.Store.CountGuess(ctx, now, t)
	switch {
	case err != nil:
		return fosite.ErrServerError.WithWrap(err)
	case len(open) == 1 && open[0]:
		return nil
	}
	return &fosite.RFC6749Error{
		ErrorField: "temporarily_unavailable", CodeField: http.StatusTooManyRequests,
		DescriptionField: "Too many devices begin from here. Try again later.",
	}
}
