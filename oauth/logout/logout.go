package logout

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
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
)

// Paths of the endpoint and its pages.
const (
	Path        = "/end-session"
	ConfirmPath = "/end-session/confirm"
	DonePath    = "/end-session/done"
)

const (
	maxState = 4096 // as at the authorization endpoint
	maxHint  = 256  // of logout_hint, which is only read past
)

// A Store tells who took part in a session.
type Store interface {
	SessionClients(ctx context.Context, session identity.ID) ([]string, error)
}

// Pages is what this room shows to people.
type Pages interface {
	// LogoutConfirm asks. Its form posts the button "logout-confirm" to Path.
	LogoutConfirm(w http.ResponseWriter, r *http.Request, v ConfirmView)
	// LoggedOut says goodbye, loads the frames, and leads on to Return.
	LoggedOut(w http.ResponseWriter, r *http.Request, v DoneView)
}

// A ConfirmView is what the question is about. Asker is nil when no application asks.
type ConfirmView struct {
	Asker *identity.Asker
	Path  string
}

// A DoneView is the end of a session. Frames are URLs of relying parties, Return is
// where the citizen came from, with its state; both may be empty.
type DoneView struct {
	Asker  *identity.Asker
	Frames []string
	Return string
}

// A Handler serves the endpoint and its two pages.
type Handler struct {
	Registry framework.Registry
	Store    Store
	Logins   oauth.Logins
	Issuer   *issue.Issuer
	Forms    oauth.Keyed
	Pages    Pages
	Modes    respond.Modes
	Clock    clock.Clock
}

func known() form.Known {
	return form.Known{"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}
}

// ServeHTTP serves /end-session.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var values url.Values
	var err error
	switch r.Method {
	case http.MethodGet:
		values, err = form.Query(r, known())
	case http.MethodPost:
		values, err = form.Post(w, r, known())
	default:
		h.Modes.Method(w, http.MethodGet, http.MethodPost)
		return
	}
	var t ticket
	if err == nil {
		t, err = h.read(r, values)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	// A post from another site brings no cookies (SameSite=Lax), so it could not even
	// be told whether anybody is signed in. They are there when the browser comes by
	// itself.
	h.lead(w, r, ConfirmPath, t)
}

// read checks a request (RP-Initiated Logout §2). Nobody is sent anywhere on the word
// of a request that is wrong in any part.
func (h *Handler) read(r *http.Request, values url.Values) (ticket, error) {
	t := ticket{Client: values.Get("client_id"), Return: values.Get("post_logout_redirect_uri"), State: values.Get("state")}
	if len(t.State) > maxState || len(values.Get("logout_hint")) > maxHint {
		return ticket{}, invalid("The parameter state or logout_hint is too long.")
	}
	if hint := values.Get("id_token_hint"); hint != "" {
		read, err := h.Issuer.ReadLogoutHint(hint)
		if err != nil || t.Client != "" && t.Client != read.ClientID {
			return ticket{}, invalid("The id_token_hint is not an ID token of this client.")
		}
		t.Client, t.SID = read.ClientID, read.SID
	}
	if t.Client == "" {
		if t.Return != "" {
			return ticket{}, invalid("A post_logout_redirect_uri needs an id_token_hint or a client_id.")
		}
		return ticket{}, nil // state without anywhere to take it to is nothing
	}
	client, err := h.Registry.Client(r.Context(), t.Client)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return ticket{}, invalid("The client is unknown.")
	case err != nil:
		return ticket{}, fosite.ErrServerError.WithWrap(err)
	case t.Return == "":
		t.State = ""
	case !slices.Contains(client.PostLogoutRedirectURIs, t.Return):
		return ticket{}, invalid("The post_logout_redirect_uri is not registered.")
	}
	return t, nil
}

func invalid(hint string) error { return fosite.ErrInvalidRequest.WithHint(hint) }

// Confirm serves /end-session/confirm: the question and its answer. The server has
// checked the form's token (SECURITY SS2).
func (h *Handler) Confirm(w http.ResponseWriter, r *http.Request) {
	t, asker, err := h.arrive(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	login, err := h.Logins.Current(r)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		h.leave(w, r, t) // signed out already, which is what was asked for
		return
	case err != nil:
		h.fail(w, r, fosite.ErrServerError.WithWrap(err))
		return
	}
	switch {
	case r.Method == http.MethodPost:
		values, err := form.Post(w, r, form.Known{"csrf", confirm})
		if err != nil || !values.Has(confirm) {
			h.fail(w, r, invalid("The form is not ours."))
			return
		}
	case r.Method != http.MethodGet || !h.same(r, t, login):
		// Also whoever only looks (HEAD): nothing ends without a word or a hint.
		respond.NoStore(w.Header())
		h.Pages.LogoutConfirm(w, r, ConfirmView{Asker: asker, Path: r.URL.RequestURI()})
		return
	}
	if err := h.Logins.End(w, r); err != nil {
		h.fail(w, r, fosite.ErrServerError.WithWrap(err)) // nobody is told they are out who is not
		return
	}
	t.Session = login.Session
	h.leave(w, r, t)
}

const confirm = "logout-confirm" // DESIGN §5

// same reports whether the hint was of the session this browser is in. Then the
// application asks for what its citizen just did there (SECURITY OI3).
func (h *Handler) same(r *http.Request, t ticket, login identity.Login) bool {
	if t.SID == "" || t.Client == "" {
		return false
	}
	client, err := h.Registry.Client(r.Context(), t.Client)
	return err == nil && h.Issuer.SID(client, login.Session) == t.SID
}

// leave goes on when the session has ended: by the front channel if anybody has to be
// told there, otherwise straight back.
func (h *Handler) leave(w http.ResponseWriter, r *http.Request, t ticket) {
	frames, err := h.frames(r.Context(), t.Session)
	if err != nil {
		h.fail(w, r, fosite.ErrServerError.WithWrap(err))
		return
	}
	if to := t.back(); to != "" && len(frames) == 0 {
		see(w, to)
		return
	}
	h.lead(w, r, DonePath, t)
}

// Leave is where a browser goes that was signed out by other means than this
// endpoint, so that the front channel is told; empty when nobody is to be told there.
func (h *Handler) Leave(ctx context.Context, session identity.ID) (string, error) {
	frames, err := h.frames(ctx, session)
	if err != nil || len(frames) == 0 {
		return "", err
	}
	sealed, err := ticket{Session: session}.seal(h.Forms, h.Clock.Now())
	if err != nil {
		return "", err
	}
	return DonePath + "?" + url.Values{"ticket": {sealed}}.Encode(), nil
}

// Done serves /end-session/done. It ends nothing and may be looked at twice.
func (h *Handler) Done(w http.ResponseWriter, r *http.Request) {
	t, asker, err := h.arrive(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	frames, err := h.frames(r.Context(), t.Session)
	if err != nil {
		h.fail(w, r, fosite.ErrServerError.WithWrap(err))
		return
	}
	respond.NoStore(w.Header())
	h.Pages.LoggedOut(w, r, DoneView{Asker: asker, Frames: frames, Return: t.back()})
}

// arrive opens the ticket in the URL.
func (h *Handler) arrive(r *http.Request) (ticket, *identity.Asker, error) {
	values, err := form.Query(r, form.Known{"ticket"})
	if err != nil {
		return ticket{}, nil, err
	}
	t, err := openTicket(h.Forms, values.Get("ticket"), h.Clock.Now())
	if err != nil {
		return ticket{}, nil, err
	}
	if t.Client == "" {
		return t, nil, nil
	}
	client, err := h.Registry.Client(r.Context(), t.Client)
	switch {
	case errors.Is(err, identity.ErrNotFound), err == nil && t.Return != "" && !slices.Contains(client.PostLogoutRedirectURIs, t.Return):
		return ticket{}, nil, errTicket // suspended or changed since
	case err != nil:
		return ticket{}, nil, fosite.ErrServerError.WithWrap(err)
	}
	asker := client.Asker(t.Return)
	return t, &asker, nil
}

// frames are the URLs of the front channel (Front-Channel Logout §2). The session is
// told to all of them: iss and sid do no harm where they were not required.
func (h *Handler) frames(ctx context.Context, session identity.ID) ([]string, error) {
	if session.IsZero() {
		return nil, nil
	}
	ids, err := h.Store.SessionClients(ctx, session)
	if err != nil {
		return nil, err
	}
	var frames []string
	for _, id := range ids {
		client, err := h.Registry.Client(ctx, id)
		switch {
		case errors.Is(err, identity.ErrNotFound), err == nil && client.FrontChannelLogoutURI == "":
			continue
		case err != nil:
			return nil, err
		}
		frames = append(frames, with(client.FrontChannelLogoutURI, url.Values{
			"iss": {h.Issuer.Name}, "sid": {h.Issuer.SID(client, session)},
		}))
	}
	return frames, nil
}

// back is the registered URI with the state that came, or nothing.
func (t ticket) back() string {
	if t.Return == "" || t.State == "" {
		return t.Return
	}
	return with(t.Return, url.Values{"state": {t.State}})
}

// with adds parameters to a registered URI, which stays as it is byte by byte.
func with(uri string, values url.Values) string {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + values.Encode()
}

func (h *Handler) lead(w http.ResponseWriter, r *http.Request, path string, t ticket) {
	sealed, err := t.seal(h.Forms, h.Clock.Now())
	if err != nil {
		h.fail(w, r, fosite.ErrServerError.WithWrap(err))
		return
	}
	see(w, path+"?"+url.Values{"ticket": {sealed}}.Encode())
}

func see(w http.ResponseWriter, to string) {
	respond.NoStore(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// fail shows a page: there is nobody else to tell.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind, status := oauth.FaultRequest, http.StatusBadRequest
	switch {
	case errors.Is(err, errTicket):
		kind = oauth.FaultExpired
	case !errors.As(err, new(*form.Error)) && !errors.As(err, new(*fosite.RFC6749Error)):
		err = fosite.ErrServerError.WithWrap(err)
	}
	h.Modes.Page(respond.WithRequest(r), w, kind, status, err)
}
