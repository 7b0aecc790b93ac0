package register

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/secret"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
	"ecardid/oauth/respond"
)

// Manage serves ClientPath.
func (h *Handler) Manage(w http.ResponseWriter, r *http.Request) {
	var act func(http.ResponseWriter, *http.Request, *oauth.Client, secret.Value) error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		act = h.show
	case http.MethodPut:
		act = h.update
	case http.MethodDelete:
		act = h.withdraw
	default:
		h.Respond.Method(w, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
		return
	}
	c, token, err := h.owner(r)
	if err == nil && (r.Method == http.MethodPut || r.Method == http.MethodDelete) && !h.changes.take(c.ID, changeTime, h.Clock.Now()) {
		err = tooFast()
	}
	if err == nil {
		err = act(w, r, c, token)
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

// owner is the client whose registration this is, if the token is its own. Whatever
// is wrong, be it the token, the id, or that the client is no more, the answer is one
// (RFC 7592 §2.1, SECURITY CA4).
func (h *Handler) owner(r *http.Request) (*oauth.Client, secret.Value, error) {
	now, source := h.Clock.Now(), h.Source(r)
	if h.pace.spent(source, now) {
		return nil, secret.Value{}, tooFast()
	}
	token, err := bearer(r)
	if err != nil {
		h.pace.take(source, refill, now)
		return nil, secret.Value{}, wrongToken("", "no registration access token", err)
	}
	c, err := h.Registry.Client(r.Context(), r.PathValue("id"))
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return nil, secret.Value{}, fosite.ErrTemporarilyUnavailable.WithWrap(err)
	}
	hash := token.Hash()
	kept := make([]byte, len(hash)) // of nobody: the same comparison for a client there is not
	if err == nil && c.Dynamic && len(c.Registration) == len(hash) {
		kept = c.Registration
	}
	if subtle.ConstantTimeCompare(hash, kept) != 1 {
		h.pace.take(source, refill, now)
		about := ""
		if err == nil {
			about = c.ID // of a client there is: what else is in the address is a stranger's word
		}
		return nil, secret.Value{}, wrongToken(about, "a registration access token that is not this client's", identity.ErrNotFound)
	}
	return c, token, nil
}

// show is RFC 7592 §2.1. The secret is not in it: we do not have it.
func (h *Handler) show(w http.ResponseWriter, _ *http.Request, c *oauth.Client, token secret.Value) error {
	return h.answer(w, http.StatusOK, c, secret.Value{}, token)
}

// update is RFC 7592 §2.2: the new registration replaces the old one as a whole. What
// was left out is gone, except what is the server's to say: the scope stays. One that
// says what was there writes nothing.
func (h *Handler) update(w http.ResponseWriter, r *http.Request, before *oauth.Client, token secret.Value) error {
	ctx, now := r.Context(), h.Clock.Now()
	body, err := read(w, r)
	if err != nil {
		return err
	}
	if body, err = h.identify(body, before, now); err != nil {
		return err
	}
	c, err := oauth.ValidateRegistration(body, oauth.Terms{Scope: before.Scopes(), Admission: *before})
	if err != nil {
		return refused(err)
	}
	c.Secrets, c.Epoch, c.Dynamic, c.Registration = slices.Clone(before.Secrets), before.Epoch, true, before.Registration
	c.Created, c.Updated = before.Created, now
	shown, err := h.ready(ctx, &c, before)
	if err != nil {
		return err
	}
	if unchanged, err := same(&c, before); err != nil {
		return fosite.ErrServerError.WithWrap(err)
	} else if unchanged {
		if err := h.still(ctx, before); err != nil {
			return err
		}
		return h.answer(w, http.StatusOK, before, shown, token)
	}
	switch err := h.Store.UpdateClient(ctx, c, event(audit.ClientUpdated, c.ID, now)); {
	case errors.Is(err, identity.ErrNotFound):
		if err := h.still(ctx, before); err != nil {
			return err
		}
		return outdated().WithWrap(err)
	case err != nil:
		return fosite.ErrServerError.WithWrap(fmt.Errorf("updating a client: %w", err))
	}
	h.reload(ctx)
	return h.answer(w, http.StatusOK, &c, shown, token)
}

// same reports whether two registrations of one client say the same.
func same(a, b *oauth.Client) (bool, error) {
	type document struct {
		*oauth.Client
		Names   map[string]string  `json:"names"`
		Secrets []oauth.SecretHash `json:"secrets"`
	}
	// Concat makes one nothing of no secrets and of an empty list.
	one, err1 := json.Marshal(document{a, a.Names, slices.Concat(a.Secrets)})
	other, err2 := json.Marshal(document{b, b.Names, slices.Concat(b.Secrets)})
	return bytes.Equal(one, other), errors.Join(err1, err2)
}

// still reads the client anew and reports whether it is what it was: who was suspended
// or withdrawn meanwhile holds nothing that is good for anything, and who has changed
// itself on another replica has to look first.
func (h *Handler) still(ctx context.Context, before *oauth.Client) error {
	if err := h.Registry.Reload(ctx); err != nil {
		return fosite.ErrTemporarilyUnavailable.WithWrap(err)
	}
	c, err := h.Registry.Client(ctx, before.ID)
	switch {
	case errors.Is(err, identity.ErrNotFound), err == nil && !(c.Dynamic && bytes.Equal(c.Registration, before.Registration)):
		return respond.InvalidToken(identity.ErrNotFound)
	case err != nil:
		return fosite.ErrTemporarilyUnavailable.WithWrap(err)
	case c.Epoch != before.Epoch || !c.Updated.Equal(before.Updated):
		return outdated()
	}
	return nil
}

// identify checks what an update says about who sends it, and returns the rest of the
// document: client_id is there and right, client_secret is right when it is there, and
// what only the server says is not there at all (RFC 7592 §2.2).
func (h *Handler) identify(body []byte, c *oauth.Client, now time.Time) ([]byte, error) {
	members, err := strictjson.Limits{Bytes: maxBody, Depth: 32, Twins: strictjson.TwinsAnywhere}.Object(body)
	if err != nil {
		return nil, metadata("The registration is not one JSON object, or has a member twice.")
	}
	rest := make(map[string]json.RawMessage, len(members))
	for _, m := range members {
		rest[m.Name] = m.Value
	}
	for _, ours := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if _, given := rest[ours]; given {
			return nil, metadata(ours + " is for the server to say and not part of an update.")
		}
	}
	id, _ := text(rest, "client_id")
	if id != c.ID {
		return nil, metadata("client_id is missing or not that of this registration.")
	}
	if given, ok := text(rest, "client_secret"); ok && !c.CheckSecret(h.Secrets, secret.Of(given), now) {
		return nil, metadata("client_secret is not the one this client has.")
	}
	maps.DeleteFunc(rest, func(name string, _ json.RawMessage) bool { return name == "client_id" || name == "client_secret" })
	return json.Marshal(rest)
}

// text is a member as a string: the empty one when it is something else.
func text(members map[string]json.RawMessage, name string) (value string, given bool) {
	raw, given := members[name]
	if !given || json.Unmarshal(raw, &value) != nil {
		return "", given
	}
	return value, true
}

// withdraw is RFC 7592 §2.3. Everything the client holds is dead when it returns.
func (h *Handler) withdraw(w http.ResponseWriter, r *http.Request, c *oauth.Client, _ secret.Value) error {
	ctx, now := r.Context(), h.Clock.Now()
	switch err := h.Store.WithdrawClient(ctx, c.ID, now, event(audit.ClientWithdrawn, c.ID, now)); {
	case errors.Is(err, identity.ErrNotFound):
		return respond.InvalidToken(err)
	case err != nil:
		return fosite.ErrServerError.WithWrap(fmt.Errorf("withdrawing a client: %w", err))
	}
	h.reload(context.WithoutCancel(ctx))
	respond.NoStore(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}
