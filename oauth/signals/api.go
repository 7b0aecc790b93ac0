package signals

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/caller"
	"ecardid/oauth/form"
	"ecardid/oauth/respond"
)

// A Handler serves the API.
type Handler struct {
	Guard   *caller.Guard
	Streams oauth.Streams
	Tokens  Maker
	Hosts   Hosts
	Sender  Sender // nil: nothing is pushed
	// Observer counts what receivers refuse; nil: nobody does.
	Observer Observer
	Respond  respond.Writer
	Clock    clock.Clock
}

// An act answers one request of a client that was let in.
type act func(w http.ResponseWriter, r *http.Request, c caller.Caller) error

// serve lets the caller in and does what the method says.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, scopes []string, do act) {
	c, ok := h.Guard.Enter(w, r, scopes...)
	if !ok {
		return
	}
	if err := do(w, r, c); err != nil {
		h.Respond.ClientError(w, r, fault(w, err))
	}
}

func reading() []string  { return []string{ScopeRead, ScopeManage} }
func managing() []string { return []string{ScopeManage} }

// fault says what an answer of storage is on the wire.
func fault(w http.ResponseWriter, err error) error {
	switch {
	case errors.As(err, new(*fosite.RFC6749Error)), errors.As(err, new(*form.Error)):
		return err
	case errors.Is(err, identity.ErrNotFound):
		return (&fosite.RFC6749Error{ErrorField: "not_found", DescriptionField: "There is no such stream.", CodeField: http.StatusNotFound}).WithWrap(err)
	case errors.Is(err, errSecond):
		return (&fosite.RFC6749Error{ErrorField: "conflict", DescriptionField: "The client has a stream already.", CodeField: http.StatusConflict}).WithWrap(err)
	case errors.Is(err, identity.ErrConflict):
		w.Header().Set("Retry-After", strconv.Itoa(int(minInterval/time.Second)))
		return (&fosite.RFC6749Error{ErrorField: "slow_down", DescriptionField: "Too much of this in too short a time.", CodeField: http.StatusTooManyRequests}).WithWrap(err)
	}
	return fosite.ErrServerError.WithWrap(err)
}

var errSecond = errors.New("signals: a second stream")

// Stream serves PathStream.
func (h *Handler) Stream(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.serve(w, r, reading(), h.read)
	case http.MethodPost:
		h.serve(w, r, managing(), h.create)
	case http.MethodPatch:
		h.serve(w, r, managing(), func(w http.ResponseWriter, r *http.Request, c caller.Caller) error { return h.change(w, r, c, false) })
	case http.MethodPut:
		h.serve(w, r, managing(), func(w http.ResponseWriter, r *http.Request, c caller.Caller) error { return h.change(w, r, c, true) })
	case http.MethodDelete:
		h.serve(w, r, managing(), h.drop)
	default:
		h.Respond.Method(w, StreamMethods()...)
	}
}

// create is §8.1.1.1.
func (h *Handler) create(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
	if _, err := form.Query(r, nil); err != nil {
		return err
	}
	raw, err := body(w, r)
	if err != nil {
		return err
	}
	want, err := readWish(raw, false)
	if err != nil {
		return err
	}
	now := h.Clock.Now()
	s, err := h.apply(r.Context(), c.Client, oauth.Stream{ID: identity.NewID(), ClientID: c.ID, Status: oauth.StreamEnabled, Created: now}, want, true)
	if err != nil {
		return err
	}
	err = h.Streams.CreateStream(r.Context(), s, h.event(audit.StreamCreated, c, s))
	if errors.Is(err, identity.ErrConflict) {
		return errSecond
	}
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusCreated, h.view(s))
}

// read is §8.1.1.2: one stream, or the list of all, which are one at most.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
	values, err := form.Query(r, form.Known{"stream_id"})
	if err != nil {
		return err
	}
	s, err := h.Streams.StreamOf(r.Context(), c.ID)
	switch one := values.Has("stream_id"); {
	case one && (err != nil || s.ID.String() != values.Get("stream_id")):
		return errors.Join(err, identity.ErrNotFound)
	case one:
		return respond.JSON(w, http.StatusOK, h.view(s))
	case errors.Is(err, identity.ErrNotFound):
		return respond.JSON(w, http.StatusOK, []view{})
	case err != nil:
		return err
	}
	return respond.JSON(w, http.StatusOK, []view{h.view(s)})
}

// change is §8.1.1.3 and, for the whole of it, §8.1.1.4.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, c caller.Caller, whole bool) error {
	if _, err := form.Query(r, nil); err != nil {
		return err
	}
	raw, err := body(w, r)
	if err != nil {
		return err
	}
	want, err := readWish(raw, true)
	if err != nil {
		return err
	}
	s, err := h.Streams.ChangeStream(r.Context(), c.ID, want.Stream, func(before oauth.Stream) (oauth.Stream, error) {
		if !want.says(h.view(before)) {
			return oauth.Stream{}, invalid("What the transmitter says of the stream is different.")
		}
		return h.apply(r.Context(), c.Client, before, want, whole)
	}, h.event(audit.StreamChanged, c, oauth.Stream{ID: want.Stream}))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, h.view(s))
}

// drop is §8.1.1.5.
func (h *Handler) drop(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
	values, err := form.Query(r, form.Known{"stream_id"})
	if err != nil {
		return err
	}
	if !values.Has("stream_id") {
		return invalid("The parameter stream_id is missing.")
	}
	id, err := identity.ParseID(values.Get("stream_id"))
	if err != nil {
		return identity.ErrNotFound
	}
	if err := h.Streams.DeleteStream(r.Context(), c.ID, id, h.event(audit.StreamDeleted, c, oauth.Stream{ID: id})); err != nil {
		return err
	}
	return none(w)
}

func none(w http.ResponseWriter) error {
	respond.NoStore(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Status serves PathStatus.
func (h *Handler) Status(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.serve(w, r, reading(), h.readStatus)
	case http.MethodPost:
		h.serve(w, r, managing(), h.setStatus)
	default:
		h.Respond.Method(w, http.MethodGet, http.MethodPost)
	}
}

// A standing is a stream's status (§8.1.2).
type standing struct {
	Stream identity.ID `json:"stream_id"`
	Status string      `json:"status"`
	Reason string      `json:"reason,omitempty"`
}

func (h *Handler) readStatus(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
	values, err := form.Query(r, form.Known{"stream_id"})
	if err != nil {
		return err
	}
	s, err := h.Streams.StreamOf(r.Context(), c.ID)
	if err == nil && s.ID.String() != values.Get("stream_id") {
		err = identity.ErrNotFound
	}
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, standing{s.ID, s.Status, s.StatusReason})
}

func (h *Handler) setStatus(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
	values, err := form.Query(r, form.Known{"stream_id"})
	if err != nil {
		return err
	}
	f, id, err := h.addressed(w, r, "status", "reason?")
	if err != nil {
		return err
	}
	status, reason := f.Text("status", maxText), f.Text("reason", maxText)
	if err := f.Err(); err != nil {
		return invalid("In the status: " + err.Error() + ".")
	}
	if !validStatus(status) || values.Has("stream_id") && values.Get("stream_id") != id.String() {
		return invalid("The status is none there is, or two streams are named.")
	}
	s, err := h.Streams.ChangeStream(r.Context(), c.ID, id, func(s oauth.Stream) (oauth.Stream, error) {
		s.Status, s.StatusReason = status, reason
		return s, nil
	}, h.event(audit.StreamChanged, c, oauth.Stream{ID: id, Status: status}))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, standing{s.ID, s.Status, s.StatusReason})
}

// Verify serves PathVerify (§8.1.4.2).
func (h *Handler) Verify(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodPost)
		return
	}
	h.serve(w, r, reading(), func(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
		if _, err := form.Query(r, nil); err != nil {
			return err
		}
		f, id, err := h.addressed(w, r, "state?")
		if err != nil {
			return err
		}
		data, err := json.Marshal(struct {
			State string `json:"state,omitempty"`
		}{f.Text("state", maxState)})
		if f.Err() != nil || err != nil {
			return invalid("state is not a text of the right length.")
		}
		s := oauth.Signal{Type: oauth.SignalVerification, Data: data, At: h.Clock.Now()}
		if err := h.Streams.VerifyStream(r.Context(), c.ID, id, s, minInterval); err != nil {
			return err
		}
		return none(w)
	})
}

// event is what the trail says of an act of a client on its stream.
func (h *Handler) event(kind audit.Kind, c caller.Caller, s oauth.Stream) audit.Event {
	e := audit.Event{
		Kind: kind, At: h.Clock.Now(), Actor: audit.Actor("client:" + c.ID), Client: c.ID, Reason: "shared signals",
		Detail: map[string]string{"stream": s.ID.String()},
	}
	if s.Status != "" {
		e.Detail["status"] = s.Status
	}
	return e
}

// Add and Remove serve PathAdd and PathRemove.
func (h *Handler) Add(w http.ResponseWriter, r *http.Request) {
	h.subjects(w, r, h.Streams.JoinPerson, func(w http.ResponseWriter) error {
		respond.NoStore(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil
	})
}

// Remove takes a citizen off a stream.
func (h *Handler) Remove(w http.ResponseWriter, r *http.Request) {
	h.subjects(w, r, h.Streams.LeavePerson, none)
}

// subjects is §8.1.3. A stream begins with all citizens that its client knows; one it
// removes is not told of any more until it is added again. A subject that we do not
// know citizens by is taken in silence: whether there is such a person is nobody's
// business.
func (h *Handler) subjects(w http.ResponseWriter, r *http.Request, move func(context.Context, string, identity.ID, []byte) error, done func(http.ResponseWriter) error) {
	if r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodPost)
		return
	}
	h.serve(w, r, managing(), func(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
		if _, err := form.Query(r, nil); err != nil {
			return err
		}
		raw, err := body(w, r)
		if err != nil {
			return err
		}
		id, sub, err := h.readSubject(raw)
		if err != nil {
			return err
		}
		s, err := h.Streams.StreamOf(r.Context(), c.ID)
		if err == nil && s.ID != id {
			err = identity.ErrNotFound
		}
		if err == nil && sub != "" {
			err = move(r.Context(), c.ID, id, person(sub))
		}
		if err != nil {
			return err
		}
		return done(w)
	})
}

// addressed reads a document that names a stream.
func (h *Handler) addressed(w http.ResponseWriter, r *http.Request, names ...string) (*fields, identity.ID, error) {
	raw, err := body(w, r)
	if err != nil {
		return nil, identity.ID{}, err
	}
	f, err := parse(raw, append(names, "stream_id")...)
	if err != nil {
		return nil, identity.ID{}, err
	}
	name := f.Text("stream_id", maxText)
	if err := f.Err(); err != nil {
		return nil, identity.ID{}, invalid("stream_id is not a text.")
	}
	id, err := identity.ParseID(name)
	if err != nil {
		return nil, identity.ID{}, identity.ErrNotFound
	}
	return f, id, nil
}
