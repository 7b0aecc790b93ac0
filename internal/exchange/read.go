package exchange

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxBody is the most a body may weigh (SECURITY DS1).
const MaxBody = 64 << 10

// The content types there are.
const (
	FormType = "application/x-www-form-urlencoded"
	JSONType = "application/json"
)

// Why a request is refused before anybody looks at what it wants: 415, 413 and 400.
var (
	ErrMediaType = errors.New("the content type is not the one this address takes")
	ErrTooLarge  = errors.New("the body is larger than 64 kB")
	ErrMalformed = errors.New("the request cannot be read")
)

// Type holds a request to the one content type its address takes, in UTF-8.
func Type(r *http.Request, want string) error {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return ErrMediaType
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil || media != want {
		return ErrMediaType
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return ErrMediaType
	}
	return nil
}

// Body reads the body whole, whatever its type.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, unreadable(err)
	}
	return raw, nil
}

// JSON reads a body of JSONType. Whether it is JSON, its reader finds out.
func JSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := Type(r, JSONType); err != nil {
		return nil, err
	}
	return Body(w, r)
}

// Form reads the body of a POST: every field there once, UTF-8, no NUL. The server
// may have parsed it already. With an error it returns nothing.
func Form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := Type(r, FormType); err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	if err := r.ParseForm(); err != nil {
		return nil, unreadable(err)
	}
	for name, values := range r.PostForm {
		if len(values) != 1 {
			return nil, fmt.Errorf("%w: a field is there twice", ErrMalformed)
		}
		for _, s := range []string{name, values[0]} {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				return nil, fmt.Errorf("%w: a field is not text", ErrMalformed)
			}
		}
	}
	return r.PostForm, nil
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return ErrTooLarge
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}
