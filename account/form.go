package account

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"ecardid/identity"
)

const (
	maxBody  = 64 << 10 // SECURITY DS1
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

var (
	errBadRequest = errors.New("the request cannot be read")
	errMediaType  = errors.New("the content type is not the one this address takes")
	errTooLarge   = errors.New("the body is larger than 64 kB")
)

// readForm reads the body of a POST: every field there at most once, UTF-8, no NUL
// (SECURITY G8). The server may have parsed it already.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := contentType(r, formType); err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, unreadable(err)
	}
	for name, values := range r.PostForm {
		if len(values) != 1 {
			return nil, fmt.Errorf("%w: a field is there twice", errBadRequest)
		}
		for _, s := range []string{name, values[0]} {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				return nil, fmt.Errorf("%w: a field is not text", errBadRequest)
			}
		}
	}
	return r.PostForm, nil
}

// readJSON reads the body the script posts.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := contentType(r, jsonType); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, unreadable(err)
	}
	return body, nil
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	return fmt.Errorf("%w: %w", errBadRequest, err)
}

func contentType(r *http.Request, want string) error {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return errMediaType
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil || media != want {
		return errMediaType
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return errMediaType
	}
	return nil
}

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
