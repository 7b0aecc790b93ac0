package respond

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
)

// Modes writes the answers of the authorization endpoint. It claims every
// response mode there is, so that fosite asks it for all errors; for successes
// fosite would write query and form_post by itself, re-encoding what was
// registered, so authorize calls WriteAuthorizeResponse here directly. The signed
// modes (jarm.go) are the same two, with one parameter.
type Modes struct {
	Writer
	Pages  oauth.Pages
	Signer Signer // for the signed modes
	Clock  clock.Clock
}

var _ fosite.ResponseModeHandler = Modes{}

type requestKey struct{}

// WithRequest lets pages be written from where fosite passes only the context.
func WithRequest(r *http.Request) context.Context {
	return context.WithValue(r.Context(), requestKey{}, r)
}

// ResponseModes implements fosite.ResponseModeHandler.
func (Modes) ResponseModes() fosite.ResponseModeTypes {
	modes := fosite.ResponseModeTypes{
		fosite.ResponseModeDefault, fosite.ResponseModeQuery, fosite.ResponseModeFragment, fosite.ResponseModeFormPost,
	}
	for _, name := range SignedModes() {
		modes = append(modes, fosite.ResponseModeType(name))
	}
	return modes
}

// WriteAuthorizeResponse implements fosite.ResponseModeHandler.
func (m Modes) WriteAuthorizeResponse(ctx context.Context, w http.ResponseWriter, ar fosite.AuthorizeRequester, resp fosite.AuthorizeResponder) {
	m.send(ctx, w, ar, resp.GetParameters())
}

// WriteAuthorizeError implements fosite.ResponseModeHandler.
func (m Modes) WriteAuthorizeError(ctx context.Context, w http.ResponseWriter, ar fosite.AuthorizeRequester, err error) {
	clean := Clean(err)
	if !ar.IsRedirectURIValid() {
		m.Page(ctx, w, oauth.FaultRequest, clean.CodeField, err)
		return
	}
	note(ctx, m.Log, "authorize", clean, err, "")
	if r, ok := ctx.Value(requestKey{}).(*http.Request); ok {
		m.noteError(r, err)
	}
	m.send(ctx, w, ar, url.Values{"error": {clean.ErrorField}, "error_description": {clean.DescriptionField}})
}

// send adds what every answer has: iss (RFC 9207 §2), and state if it was sent. What
// is to be signed and cannot be is not sent at all.
func (m Modes) send(ctx context.Context, w http.ResponseWriter, ar fosite.AuthorizeRequester, params url.Values) {
	params.Set("iss", m.Issuer)
	if state := ar.GetState(); state != "" {
		params.Set("state", state)
	}
	if signed(ar) {
		response, err := m.sign(ar, params)
		if err != nil {
			m.Page(ctx, w, oauth.FaultBusy, http.StatusServiceUnavailable, fosite.ErrTemporarilyUnavailable.WithWrap(err))
			return
		}
		params = url.Values{"response": {response}}
	}
	to := ar.GetRedirectURI().String()
	NoStore(w.Header())
	if mode := ar.GetResponseMode(); mode == fosite.ResponseModeFormPost || mode == oauth.ModeFormPostJWT {
		r, ok := ctx.Value(requestKey{}).(*http.Request)
		if !ok {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		view := oauth.FormPostView{Action: to}
		for name, values := range params {
			view.Fields = append(view.Fields, oauth.Field{Name: name, Value: values[0]})
		}
		slices.SortFunc(view.Fields, func(a, b oauth.Field) int { return strings.Compare(a.Name, b.Name) })
		m.Pages.FormPost(w, r, view)
		return
	}
	// A registered query stays as it is, byte by byte (RFC 6749 §3.1.2).
	separator := "?"
	switch {
	case strings.HasSuffix(to, "?") || strings.HasSuffix(to, "&"):
		separator = ""
	case strings.Contains(to, "?"):
		separator = "&"
	}
	w.Header().Set("Location", to+separator+params.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// Page shows a person what cannot be sent anywhere. cause goes to the log under
// the reference the person sees.
func (m Modes) Page(ctx context.Context, w http.ResponseWriter, fault oauth.Fault, status int, cause error) {
	reference := identity.NewID().String()[:8]
	clean := Clean(cause)
	if status < http.StatusInternalServerError && !errors.As(cause, new(*fosite.RFC6749Error)) {
		clean = Clean(fosite.ErrInvalidRequest) // the caller knows the fault and has no OAuth name for it
	}
	if clean.CodeField >= http.StatusInternalServerError {
		fault, status = oauth.FaultServer, clean.CodeField
	}
	if clean.CodeField == http.StatusServiceUnavailable {
		fault = oauth.FaultBusy
		w.Header().Set("Retry-After", "5")
	}
	note(ctx, m.Log, "page", clean, cause, reference)
	NoStore(w.Header())
	r, ok := ctx.Value(requestKey{}).(*http.Request)
	if !ok {
		http.Error(w, http.StatusText(status), status)
		return
	}
	m.noteError(r, cause)
	m.Pages.Error(w, r, status, oauth.ErrorView{Fault: fault, Code: clean.ErrorField, Reference: reference})
}
