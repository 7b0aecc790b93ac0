package authn

import (
	"fmt"
	"net/http"
	"net/url"

	"ecardid/identity"
	"ecardid/internal/exchange"
)

const (
	formType = exchange.FormType
	jsonType = exchange.JSONType
)

// A form is what a browser posted, looked over.
type form url.Values

func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	values, err := exchange.Form(w, r)
	return form(values), err
}

// get returns the field, or "" when it is absent.
func (f form) get(name string) string { return url.Values(f).Get(name) }

// has reports whether a button of that name was pressed, or "do" says so.
func (f form) has(button string) bool {
	return url.Values(f).Has(button) || f.get("do") == button
}

// flowParam reads the flow's id from the query. It is a name and no secret: a flow
// opens to its own browser only.
func flowParam(r *http.Request) (identity.ID, error) {
	values := r.URL.Query()["flow"]
	if len(values) == 0 {
		return identity.ID{}, nil
	}
	if len(values) > 1 {
		return identity.ID{}, fmt.Errorf("%w: two flows", errBadRequest)
	}
	id, err := identity.ParseID(values[0])
	if err != nil || id.IsZero() {
		return identity.ID{}, fmt.Errorf("%w: flow", errExpired)
	}
	return id, nil
}
