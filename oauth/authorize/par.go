package authorize

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"

	"ecardid/oauth"
	"ecardid/oauth/clientauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/respond"
)

// PushPath is where clients push their requests (RFC 9126 §2).
const PushPath = "/par"

// Clients is what a pushed request needs of client authentication beyond knowing the
// client.
type Clients interface {
	// ProvenKey is the thumbprint of the DPoP key that the request proves to have, or
	// empty without a proof.
	ProvenKey(ctx context.Context, r *http.Request, client *oauth.Client, e dpop.Expect) (string, error)
}

// A pushedRequest is RFC 9126 §2.2.
type pushedRequest struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int    `json:"expires_in"`
}

// Push serves /par: the same request as at /authorize, validated in the same way, but
// brought by the client itself.
func (h *Handler) Push(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		h.Modes.Method(w, http.MethodPost)
		return
	}
	now := h.Clock.Now()
	w.Header().Set("DPoP-Nonce", h.Nonces.Next(now)) // RFC 9449 §8.2
	ctx, ledger := oauth.WithLedger(r.Context())
	values, err := form.Post(w, r, append(known(), clientauth.Params()...))
	var handle string
	if err == nil {
		handle, err = h.push(ctx, r, values, ledger, now)
	}
	if unpaid := clientauth.Settle(context.WithoutCancel(ctx), h.Store, ledger, values, now); unpaid != nil {
		err = unpaid
	}
	if err == nil {
		err = respond.JSON(w, http.StatusCreated, pushedRequest{handlePrefix + handle, int(firstUse / time.Second)})
	}
	if err != nil {
		h.Modes.ClientError(w, r, pushing(clientauth.Replayed(err, values)))
	}
}

// push stores the request and returns its handle. With what the client and its proof
// used up it is one statement.
func (h *Handler) push(ctx context.Context, r *http.Request, values url.Values, ledger *oauth.Ledger, now time.Time) (string, error) {
	authenticated, err := h.Provider.AuthenticateClient(ctx, r, values)
	if err != nil {
		return "", err
	}
	c, ok := authenticated.(framework.Client)
	if !ok {
		return "", fosite.ErrServerError
	}
	jkt, err := h.Clients.ProvenKey(ctx, r, c.Client, dpop.Expect{})
	if err != nil {
		return "", err
	}
	if values.Has("request_uri") {
		return "", invalid("A request_uri cannot be pushed (RFC 9126 section 2.1).")
	}
	values, signed, err := h.unpack(ctx, own(values), c.Client)
	if err != nil {
		return "", err
	}
	values.Set("client_id", c.ID) // which it is, by whichever method it said so
	if asked := values.Get("dpop_jkt"); jkt != "" {
		if asked != "" && asked != jkt { // RFC 9449 §10.1
			return "", dpop.InvalidProof("The key of the DPoP proof is not that of dpop_jkt.")
		}
		values.Set("dpop_jkt", jkt)
	}
	req, err := open(values, c.Client, now)
	if err != nil {
		return "", err
	}
	if err := h.validate(ctx, req, arrival{pushed: true, signed: signed}); err != nil {
		return "", err
	}
	if err := h.keep(context.WithoutCancel(ctx), req, kindPushed, nil, firstUse, ledger.Take()...); err != nil {
		return "", err
	}
	return req.handle, nil
}

// own are the parameters of the request proper. The client's credentials have done
// their work and are not stored.
func own(values url.Values) url.Values {
	request := make(url.Values, len(values))
	for name, v := range values {
		if slices.Contains(known(), name) {
			request[name] = v
		}
	}
	return request
}

// pushing gives an error of this room the shape it has here, where there is no page
// and nobody to redirect (RFC 9126 §2.3).
func pushing(err error) error {
	if page := new(fault); errors.As(err, &page) && page.kind == oauth.FaultRedirect {
		return invalid("The redirect_uri is not registered.").WithWrap(err)
	}
	if bad := new(form.Error); errors.As(err, &bad) && bad.TooLong {
		tooLong := invalid(bad.Problem)
		tooLong.CodeField = http.StatusRequestEntityTooLarge
		return tooLong
	}
	return err
}
