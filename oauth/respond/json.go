package respond

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"ecardid/audit"
	"ecardid/oauth"
)

// A Writer writes the answers of one server.
type Writer struct {
	Issuer string
	Log    *slog.Logger
	// Refusals writes down what belongs in the trail; nil: nothing does. Place says
	// where a request came from, as coarse as audit.Event.Place may be.
	Refusals *audit.Refusals
	Place    func(*http.Request) string
	Uses     *oauth.Meter // counts refusals; nil: nobody does
}

// Note writes a refusal down, with where it came from. It is for those that are
// answered like everything else; what is answered with an error carries its own.
func (o Writer) Note(r *http.Request, e audit.Event) {
	if e.Kind == audit.ScopeRefused {
		o.Uses.Count(e.Client, oauth.WasOverasking)
	} else {
		o.Uses.Count(e.Client, oauth.WasRefused)
	}
	if o.Refusals == nil {
		return
	}
	if o.Place != nil {
		e.Place = o.Place(r)
	}
	o.Refusals.Note(r.Context(), e)
}

// noteError does so with what an error carries.
func (o Writer) noteError(r *http.Request, err error) {
	if refusal := new(oauth.Refusal); errors.As(err, &refusal) {
		o.Note(r, refusal.Event)
	}
}

// NoStore keeps private answers out of caches (RFC 6749 §5.1, SECURITY DP2).
func NoStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// JSON writes a private answer.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	NoStore(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the connection is gone; so is whoever would hear of it
	return nil
}

// ClientError answers a client at an endpoint it has to authenticate to (RFC 6749
// §5.2): token, introspection, revocation.
func (o Writer) ClientError(w http.ResponseWriter, r *http.Request, err error) {
	clean := Clean(err)
	note(r.Context(), o.Log, r.URL.Path, clean, err, "")
	o.noteError(r, err)
	if clean.CodeField == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+o.Issuer+`", charset="UTF-8"`)
	}
	if clean.CodeField >= http.StatusInternalServerError || clean.CodeField == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	o.body(w, clean.CodeField, clean.ErrorField, clean.DescriptionField)
}

// BearerError answers whoever came with an access token (RFC 6750 §3). With none
// at all the challenge stands alone: there is nothing to be wrong yet.
func (o Writer) BearerError(w http.ResponseWriter, r *http.Request, err error) {
	clean := Clean(err)
	note(r.Context(), o.Log, r.URL.Path, clean, err, "")
	o.noteError(r, err)
	challenge := []string{`realm="` + o.Issuer + `"`, `error="` + clean.ErrorField + `"`, `error_description="` + clean.DescriptionField + `"`}
	if clean.CodeField < http.StatusInternalServerError {
		w.Header().Set("WWW-Authenticate", "Bearer "+strings.Join(challenge, ", "))
	} else {
		w.Header().Set("Retry-After", "5")
	}
	o.body(w, clean.CodeField, clean.ErrorField, clean.DescriptionField)
}

// Method answers a method the endpoint has not.
func (o Writer) Method(w http.ResponseWriter, allowed ...string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	o.body(w, http.StatusMethodNotAllowed, "invalid_request", "The method is not allowed here.")
}

func (Writer) body(w http.ResponseWriter, status int, code, description string) {
	// Two strings always encode.
	_ = JSON(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{code, description})
}
