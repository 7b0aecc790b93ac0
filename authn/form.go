package authn

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"ecardid/identity"
)

const (
	maxBody  = 64 << 10 // SECURITY DS1
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// A form is what a browser posted, looked over: every field there at most once,
// UTF-8, no NUL (SECURITY G8).
type form url.Values

// readForm reads the body of a POST. The server may have parsed it already.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if err := contentType(r, formType); err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, fmt.Errorf("%w: a field is there twice", errBadRequest)
		}
		for _, v := range append(slices.Clone(values), name) {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return nil, fmt.Errorf("%w: a field is not text", errBadRequest)
			}
		}
	}
	return form(r.PostForm), nil
}

func contentType(r *http.Request, want string) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != want {
		return errMediaType
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return errMediaType
	}
	return nil
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
