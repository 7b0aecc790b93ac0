package authorize

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/form"
	"ecardid/oauth/respond"
)

// Consent serves /consent: the page that asks, and its answer.
func (h *Handler) Consent(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		h.Modes.Method(w, http.MethodGet, http.MethodPost)
		return
	}
	req, login, ar, err := h.load(r)
	if err == nil && !req.claimed() {
		err = expired() // it has not been to /authorize
	}
	if err != nil {
		h.fail(w, r, ar, err)
		return
	}
	now := h.Clock.Now()
	if h.weigh(req, login, now) != met {
		// Signed out, timed out or somebody else meanwhile: that is decided there.
		redirect(w, back(Path, req.client.ID, req.handle))
		return
	}
	if r.Method == http.MethodGet {
		h.ask(w, r, req, *login, now)
		return
	}
	h.decide(w, r, req, *login, now)
}

// ask shows the page.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, req *request, login identity.Login, now time.Time) {
	given, err := h.Store.Consents(r.Context(), login.Citizen, req.client.ID, now)
	if err != nil {
		h.fail(w, r, req.ar, fosite.ErrServerError.WithWrap(err))
		return
	}
	view := oauth.ConsentView{
		Asker: *req.need.Asker, Login: login,
		Path:  back(ConsentPath, req.client.ID, req.handle),
		Token: base64.RawURLEncoding.EncodeToString(h.Forms.Sum(formLabel, req.form(login)...)),
	}
	if h.Lives.Consent > 0 {
		view.Until = now.Add(h.Lives.Consent)
	}
	if req.device != nil {
		view.UserCode = req.device.shown
	}
	req.details.Show(&view)
	terms := h.Catalogue.Terms(req.agree)
	for i, name := range req.agree {
		scope := h.Catalogue.View(name)
		scope.Basis = req.client.Basis(name)
		scope.New = !slices.ContainsFunc(given, func(c oauth.Consent) bool { return c.Scope == name && c.Terms == terms[i] })
		view.Scopes = append(view.Scopes, scope)
	}
	respond.NoStore(w.Header())
	h.Modes.Pages.Consent(w, r, view)
}

const formLabel = "consent form"

// form is what the consent form is bound to: this login, this request and what
// was shown. The answer of another login, for another request, to other scopes, to
// another payment or to an application that has become another since does not fit
// (SECURITY CN1).
func (req *request) form(login identity.Login) []string {
	bound := []string{
		login.ID.String(), string(req.stored.Handle), strings.Join(req.agree, " "), req.client.Redirect, req.details.Digest(),
		strconv.FormatInt(req.client.Epoch, 10),
	}
	names := req.need.Asker.Name
	for _, tag := range slices.Sorted(maps.Keys(names)) {
		bound = append(bound, tag, names[tag])
	}
	return bound
}

// The buttons of the page (DESIGN §5).
const (
	allow = "consent-allow"
	deny  = "consent-deny"
)

var errForm = errors.New("consent form does not fit")

// decide takes the answer.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, req *request, login identity.Login, now time.Time) {
	misfit := &fault{oauth.FaultForm, http.StatusForbidden, errForm}
	values, err := form.Post(w, r, form.Known{"csrf", "token", allow, deny})
	if err != nil {
		h.fail(w, r, nil, err)
		return
	}
	token, err := base64.RawURLEncoding.Strict().DecodeString(values.Get("token"))
	if err != nil || !h.Forms.Check(token, formLabel, req.form(login)...) {
		h.fail(w, r, nil, misfit)
		return
	}
	switch {
	case values.Has(allow) == values.Has(deny):
		h.fail(w, r, nil, misfit)
	case values.Has(allow):
		h.allowed(w, r, req, login, now)
	case req.device != nil:
		h.decline(w, r, req, login, audit.ByCitizen)
	default:
		h.denied(w, r, req, login, now)
	}
}

func (h *Handler) allowed(w http.ResponseWriter, r *http.Request, req *request, login identity.Login, now time.Time) {
	if h.cools(req, login, now) {
		h.wait(w, r, req, login, now)
		return
	}
	err := h.answer(w, r, req, login, true, now)
	switch {
	case err == nil:
	case errors.Is(err, identity.ErrEnded):
		redirect(w, back(Path, req.client.ID, req.handle))
	default:
		h.fail(w, r, req.ar, issuing(err))
	}
}

// given is the entry about a consent: what was agreed to and, when that was a
// payment, our signature under it.
func (h *Handler) given(req *request, g oauth.Grant) (audit.Event, error) {
	e := audit.Event{
		Kind: audit.ConsentGiven, At: g.Created, Actor: audit.ByCitizen, Citizen: g.Citizen, Login: g.Login,
		Client: g.ClientID, Detail: map[string]string{"scope": strings.Join(req.agree, " ")}, Notify: true,
	}
	if req.device != nil {
		e.Detail["grant"] = "device"
	}
	if req.details.IsZero() {
		return e, nil
	}
	receipt, err := h.sign(g, req.client.Client, req.details)
	if err != nil {
		return audit.Event{}, err
	}
	e.Detail["receipt"] = receipt
	return e, nil
}

// denied ends the request before it says so: one answer counts.
func (h *Handler) denied(w http.ResponseWriter, r *http.Request, req *request, login identity.Login, now time.Time) {
	err := h.Store.DropRequest(r.Context(), req.stored.Handle)
	if err != nil {
		h.fail(w, r, req.ar, issuing(err))
		return
	}
	err = h.Store.Record(r.Context(), audit.Event{
		Kind: audit.ConsentDenied, At: now, Actor: audit.ByCitizen, Citizen: login.Citizen, Login: login.ID, Client: req.client.ID,
	})
	if err != nil {
		h.Log.ErrorContext(r.Context(), "refused consent not recorded", "client", req.client.ID, "error", err)
	}
	h.fail(w, r, req.ar, fosite.ErrAccessDenied.WithHint("The citizen declined."))
}
