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

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/form"
	"ecardid/oauth/issue"
)

const (
	handlePrefix = "urn:ietf:params:oauth:request_uri:" // RFC 9126 §2.2

	requestLife = 15 * time.Minute // a login with every factor takes less (SECURITY DS3)
	firstUse    = time.Minute      // for a handle that no browser has brought yet

	kindAuthorize = "authorize"
	kindPushed    = "par"
	kindDevice    = "device"
)

// transaction names a stored request for identity.Need.Txn: a liveness verdict
// given for it counts for it alone.
func transaction(handle []byte) string { return base64.RawURLEncoding.EncodeToString(handle) }

// back is where the browser comes back to.
func back(path, clientID, handle string) string {
	return path + "?" + url.Values{"client_id": {clientID}, "request_uri": {handlePrefix + handle}}.Encode()
}

// ours reports whether request_uri names a request stored here.
func ours(requestURI string) bool { return strings.HasPrefix(requestURI, handlePrefix) }

var (
	errExpired  = errors.New("request unknown, expired or of another browser")
	errAnswered = errors.New("request answered before")
)

func expired() error { return &fault{oauth.FaultExpired, http.StatusBadRequest, errExpired} }

// keep stores a request, for this browser or, with a nil mark, for the first one
// that brings the handle.
//
// once is what its arrival used up; the same statement records it.
func (h *Handler) keep(ctx context.Context, req *request, kind string, browser []byte, life time.Duration, once ...oauth.Once) error {
	handle := h.Handles.New(issue.Request)
	stored := oauth.StoredRequest{
		Handle: handle.Hash(), Kind: kind, ClientID: req.client.ID, Params: req.values.Encode(),
		Browser: browser, Created: req.created, Expires: h.Clock.Now().Add(life),
		Vouched: kind == kindPushed && !req.client.Public(),
	}
	err := h.Store.StoreRequest(ctx, stored, once...)
	switch {
	case errors.Is(err, identity.ErrReplayed):
		return err
	case errors.Is(err, identity.ErrConflict): // strangers have filled the store
		return fosite.ErrTemporarilyUnavailable.WithWrap(err)
	case err != nil:
		return fosite.ErrServerError.WithWrap(err)
	}
	req.stored, req.handle = &stored, handle.Reveal()
	req.need.Txn = transaction(stored.Handle)
	return nil
}

// load reads the stored request that the URL names, if it is of this browser, and the
// browser's login with it, nil when there is none: one read. It returns an ar even
// beside an error that may be sent there.
func (h *Handler) load(r *http.Request) (*request, *identity.Login, *fosite.AuthorizeRequest, error) {
	front, err := form.Query(r, form.Known{"client_id", "request_uri"})
	if err != nil {
		return nil, nil, nil, err
	}
	handle, _ := strings.CutPrefix(front.Get("request_uri"), handlePrefix)
	hash, ok := h.Handles.Hash(issue.Request, handle)
	if !ok {
		return nil, nil, nil, expired()
	}
	ctx, now := r.Context(), h.Clock.Now()
	stored, login, err := h.Store.RequestFor(ctx, hash, front.Get("client_id"), h.Logins.Token(r), now)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return nil, nil, nil, expired()
	case err != nil:
		return nil, nil, nil, fosite.ErrServerError.WithWrap(err)
	case stored.Kind != kindAuthorize && stored.Kind != kindPushed && stored.Kind != kindDevice:
		return nil, nil, nil, expired()
	case len(stored.Browser) > 0 && !sameBrowser(r, stored.Browser):
		return nil, nil, nil, expired()
	case stored.Kind == kindDevice:
		req, err := h.loadDevice(ctx, &stored, handle)
		if err != nil {
			return nil, nil, nil, err
		}
		return req, h.seen(r, login), nil, nil
	}
	values, err := form.Parse(stored.Params, known())
	if err != nil {
		return nil, nil, nil, fosite.ErrServerError.WithWrap(err)
	}
	c, err := h.asker(ctx, stored.ClientID)
	if err != nil {
		return nil, nil, nil, err
	}
	req, err := open(values, c, stored.Created)
	if err != nil {
		return nil, nil, nil, err
	}
	req.stored, req.handle = &stored, handle
	if err := h.validate(ctx, req, arrival{pushed: stored.Kind == kindPushed, signed: true}); err != nil {
		return nil, nil, req.ar, err
	}
	return req, h.seen(r, login), req.ar, nil
}

// seen tells whoever knows people that a login was read; nil is none.
func (h *Handler) seen(r *http.Request, login *identity.Login) *identity.Login {
	if login == nil {
		return nil
	}
	l := h.Logins.Seen(r, *login)
	return &l
}

// hold gives the request to this browser, which will be away for a while: it is
// stored, or what was stored without a browser is claimed. The handle stays the same,
// so the citizen may open the link again; of two browsers that bring it, one goes on
// (SECURITY CO3).
func (h *Handler) hold(w http.ResponseWriter, r *http.Request, req *request) error {
	switch {
	case req.claimed():
		return nil
	case req.stored == nil:
		return h.keep(r.Context(), req, kindAuthorize, mark(w, r), requestLife)
	}
	browser, now := mark(w, r), h.Clock.Now()
	ends := now.Add(requestLife)
	err := h.Store.ClaimRequest(r.Context(), req.stored.Handle, req.client.ID, browser, ends, now)
	switch {
	case errors.Is(err, identity.ErrSpent), errors.Is(err, identity.ErrNotFound):
		return expired()
	case err != nil:
		return fosite.ErrServerError.WithWrap(err)
	}
	req.stored.Browser, req.stored.Expires = browser, ends
	return nil
}

// drop ends a stored request that is answered with an error. It would expire by
// itself; an error here changes nothing about the answer.
func (h *Handler) drop(ctx context.Context, req *request) {
	if req.stored == nil {
		return
	}
	if err := h.Store.DropRequest(ctx, req.stored.Handle); err != nil && !errors.Is(err, identity.ErrSpent) {
		h.Log.ErrorContext(ctx, "stored request not dropped", "error", err)
	}
}
