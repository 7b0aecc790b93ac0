package authorize

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
)

// cools reports whether the request has to wait: it asks for something of high value,
// and a phone, or a passkey that lives on a device, was added a short while ago (DESIGN
// D8). Whoever took an account over adds one of theirs first; the owner hears of it and
// has the time to say so.
func (h *Handler) cools(req *request, login identity.Login, now time.Time) bool {
	return login.Cooling.After(now) && h.Catalogue.CoolOff(append(slices.Clone(req.scope), req.details.Scopes()...))
}

// wait answers such a request. The application is told what it would be told if the
// citizen had declined; with prompt=none that nobody could be asked.
func (h *Handler) wait(w http.ResponseWriter, r *http.Request, req *request, login identity.Login, now time.Time) {
	err := h.Store.Record(r.Context(), audit.Event{
		Kind: audit.ConsentCooling, At: now, Actor: audit.BySystem, Citizen: login.Citizen, Login: login.ID, Client: req.client.ID,
		Reason: "a phone or key was added a short while ago",
		Detail: map[string]string{"scope": strings.Join(req.scope, " "), "until": login.Cooling.UTC().Format(time.RFC3339)}, Notify: !req.prompt.none,
	})
	if err != nil {
		h.fail(w, r, req.ar, fosite.ErrServerError.WithWrap(err))
		return
	}
	if req.device != nil {
		h.decline(w, r, req, login, audit.BySystem)
		return
	}
	h.drop(r.Context(), req)
	if req.prompt.none {
		h.fail(w, r, req.ar, fosite.ErrInteractionRequired)
		return
	}
	h.fail(w, r, req.ar, fosite.ErrAccessDenied.WithHint("A phone or key was added a short while ago; this can be asked for again later."))
}
