package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/exchange"
)

// A problem is RFC 9457's.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
}

// problemJSON is its media type.
const problemJSON = "application/problem+json"

// problems sorts errors into what a program can act on, in one table. What is not there
// and what is not the program's to see are one.
func problems(err error) problem {
	of := func(status int, name, title string) problem {
		return problem{"urn:ecardid:problem:" + name, title, status}
	}
	switch {
	case errors.Is(err, exchange.ErrMediaType):
		return of(http.StatusUnsupportedMediaType, "media-type", "The body has to be application/json.")
	case errors.Is(err, exchange.ErrTooLarge):
		return of(http.StatusRequestEntityTooLarge, "too-large", "The body is larger than 64 kB.")
	case errors.Is(err, ErrReason):
		return of(http.StatusUnprocessableEntity, "reason", "The reason has to have 5 to 200 characters and no long numbers.")
	case errors.Is(err, errBadRequest), errors.Is(err, ErrInvalid):
		return of(http.StatusBadRequest, "bad-request", "The request cannot be read.")
	case errors.Is(err, ErrForbidden), errors.Is(err, ErrOwn), errors.Is(err, ErrStepUp):
		return of(http.StatusForbidden, "forbidden", "The token's scopes do not allow this act.")
	case errors.Is(err, identity.ErrNotFound):
		return of(http.StatusNotFound, "not-found", "There is nothing of that name for this caller.")
	case errors.Is(err, identity.ErrConflict), errors.Is(err, identity.ErrSpent), errors.Is(err, identity.ErrEnded):
		return of(http.StatusConflict, "conflict", "That is not possible in the present state.")
	case errors.Is(err, errOften):
		return of(http.StatusTooManyRequests, "too-many", "Too many requests.")
	}
	return of(http.StatusInternalServerError, "internal", "Something went wrong here.")
}

// refuse answers an error.
func (c *call) refuse(err error) {
	p := problems(err)
	c.logFailure(c.r, p.Status, err)
	if p.Status == http.StatusTooManyRequests {
		c.w.Header().Set("Retry-After", "60")
	}
	exchange.Answer(problemWriter{c.w}, c.Log, p.Status, p)
}

// problemWriter says what kind of JSON it is.
type problemWriter struct{ http.ResponseWriter }

func (w problemWriter) WriteHeader(status int) {
	w.Header().Set("Content-Type", problemJSON)
	w.ResponseWriter.WriteHeader(status)
}

// The answers, as openapi.json describes them.
type (
	fileAnswer struct {
		Citizen    identity.ID     `json:"citizen"`
		Region     string          `json:"region,omitempty"`
		Name       string          `json:"name"`
		IDNumber   string          `json:"id_number"`
		Phone      string          `json:"phone"`
		Card       string          `json:"card_number"`
		State      string          `json:"state"`
		StateSince time.Time       `json:"state_since"`
		Activated  time.Time       `json:"activated,omitzero"`
		Cooling    time.Time       `json:"cooling_until,omitzero"`
		Password   bool            `json:"password"`
		TOTP       bool            `json:"totp"`
		Recovery   int             `json:"recovery_codes"`
		Devices    []deviceAnswer  `json:"devices"`
		Passkeys   []passkeyAnswer `json:"passkeys"`
		Sessions   []sessionAnswer `json:"sessions"`
		Before     []sessionAnswer `json:"ended_sessions"`
	}
	deviceAnswer struct {
		ID       identity.ID `json:"id"`
		Kind     string      `json:"kind"`
		Name     string      `json:"name"`
		State    string      `json:"state"`
		KeyLevel string      `json:"key_level,omitempty"`
		Bound    time.Time   `json:"bound"`
		LastUse  time.Time   `json:"last_used"`
		Place    string      `json:"place,omitempty"`
	}
	passkeyAnswer struct {
		ID      identity.ID `json:"id"`
		Device  identity.ID `json:"device,omitzero"`
		Name    string      `json:"name"`
		Made    time.Time   `json:"made"`
		LastUse time.Time   `json:"last_used,omitzero"`
	}
	sessionAnswer struct {
		ID    identity.ID `json:"id"`
		Agent string      `json:"agent"`
		Place string      `json:"place,omitempty"`
		Began time.Time   `json:"began"`
		Seen  time.Time   `json:"seen"`
	}
	momentAnswer struct {
		At     time.Time         `json:"at"`
		Kind   audit.Kind        `json:"kind"`
		Actor  string            `json:"actor"`
		Client string            `json:"client,omitempty"`
		Reason string            `json:"reason,omitempty"`
		Place  string            `json:"place,omitempty"`
		Detail map[string]string `json:"detail,omitempty"`
	}
	timelineAnswer struct {
		Entries []momentAnswer `json:"entries"`
		Older   string         `json:"older,omitempty"` // the token of the next page
	}
	lineAnswer struct {
		What  string `json:"what"`
		Count int    `json:"count,omitempty"`
		Name  string `json:"name,omitempty"`
	}
	previewAnswer struct {
		Ends      []lineAnswer `json:"ends"`
		Approvals int          `json:"approvals"` // that it takes; 0 is done at once
	}
	doneAnswer struct {
		Told    string      `json:"told,omitempty"`
		Request identity.ID `json:"request,omitzero"`
	}
	requestAnswer struct {
		Request   identity.ID     `json:"request"`
		Act       Act             `json:"act"`
		State     RequestState    `json:"state"`
		Created   time.Time       `json:"created"`
		Expires   time.Time       `json:"expires"`
		Approvals int             `json:"approvals"` // so far
		Orders    []warrantAnswer `json:"orders"`
	}
	warrantAnswer struct {
		State   WarrantState `json:"state"`
		Problem string       `json:"problem,omitempty"`
	}
)

func fileJSON(f File, now time.Time) fileAnswer {
	a := fileAnswer{
		Citizen: f.ID, Region: f.Region, Name: f.Name, IDNumber: f.IDNumber, Phone: f.Phone, Card: f.Card, State: string(f.State), StateSince: f.StateSince,
		Activated: f.Activated, Password: f.Password, TOTP: f.TOTP, Recovery: f.Recovery,
		Devices: []deviceAnswer{}, Passkeys: []passkeyAnswer{}, Sessions: sessionsJSON(f.Sessions), Before: sessionsJSON(f.Before),
	}
	if f.Cools(now) {
		a.Cooling = f.Cooling
	}
	for _, d := range f.Devices {
		a.Devices = append(a.Devices, deviceAnswer{d.ID, string(d.Kind), d.Name, string(d.State), string(d.KeyLevel), d.Bound, d.LastUse, d.Place})
	}
	for _, k := range f.Passkeys {
		a.Passkeys = append(a.Passkeys, passkeyAnswer(k))
	}
	return a
}

func sessionsJSON(sessions []FiledSession) []sessionAnswer {
	all := []sessionAnswer{}
	for _, l := range sessions {
		all = append(all, sessionAnswer(l))
	}
	return all
}

func momentJSON(m Moment) momentAnswer {
	actor, _, _ := strings.Cut(string(m.Actor), ":")
	return momentAnswer{m.At, m.Kind, actor, m.Client, m.Reason, m.Place, m.Detail}
}

func requestJSON(r Request, state RequestState) requestAnswer {
	a := requestAnswer{Request: r.ID, Act: r.Order.Act, State: state, Created: r.Created, Expires: r.Expires, Approvals: len(r.Approved), Orders: []warrantAnswer{}}
	for _, w := range r.Warrants {
		a.Orders = append(a.Orders, warrantAnswer{w.State, w.Problem})
	}
	return a
}
