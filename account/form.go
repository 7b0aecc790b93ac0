package account

import (
	"fmt"
	"net/http"

	"ecardid/identity"
	"ecardid/internal/exchange"
)

const (
	formType = exchange.FormType
	jsonType = exchange.JSONType
)

// errBadRequest is what of a form cannot be: what could not be read, and what was
// read and is of no form of ours.
var errBadRequest = exchange.ErrMalformed

// id reads the field "id". What cannot be an id is not there.
func (v *visit) id() (identity.ID, error) {
	id, err := identity.ParseID(v.form.Get("id"))
	if err != nil || id.IsZero() {
		return identity.ID{}, fmt.Errorf("%w: %w", identity.ErrNotFound, errBadRequest)
	}
	return id, nil
}

// ownPage reports whether a GET that begins something comes from a page of ours or
// from the person's own typing. Another site's link shows the page before it
// instead: nothing here starts on a stranger's word (SECURITY SS2). Browsers that do
// not say are believed, since what begins is worth nothing until it is confirmed
// by POST.
func ownPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return r.Method == http.MethodGet
	}
	return false
}
