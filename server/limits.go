package server

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits before work (SECURITY DS1).
const (
	maxBody   = 64 << 10
	maxParams = 100
	maxURL    = 16 << 10
	// inFlight bounds how many requests are worked on at once; the next ones hear
	// 503 with Retry-After. Two cores and PostgreSQL finish far more than this in
	// a second, so it is reached when something hangs.
	inFlight = 512
)

// What a request may be refused for before anybody looks at what it wants.
var (
	errTooLarge    = errors.New("the body is larger than 64 kB")
	errTooMany     = errors.New("there are more than 100 parameters")
	errContentType = errors.New("the content type is not the one this address takes")
	errEncoding    = errors.New("the parameters are not valid")
	errBroken      = errors.New("the body broke off")
	errURLTooLong  = errors.New("the address is longer than 16 kB")
)

// check reads what every handler may rely on: bounded body, the one content type,
// well-formed UTF-8 parameters, at most maxParams of them (SECURITY G8). The body is
// read whole before the request takes a place among those in flight, so that whoever
// sends it slowly keeps nobody else out; handlers read it again from memory.
func check(w http.ResponseWriter, r *http.Request, takes string) error {
	if len(r.RequestURI) > maxURL {
		return errURLTooLong
	}
	query, err := parameters(r.URL.RawQuery)
	if err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	media, err := mediaType(r.Header.Values("Content-Type"))
	if err != nil || takes != "" && media != "" && media != takes {
		return errContentType
	}
	raw, err := io.ReadAll(r.Body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return errTooLarge
	}
	if err != nil {
		return errBroken
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	switch media {
	case "": // nothing has no type: an access token in the header needs no body
		if len(raw) > 0 {
			return errContentType
		}
	case jsonType:
		if !utf8.Valid(raw) {
			return errEncoding
		}
	case formType:
		// Handlers find the body parsed: PostForm from it alone, Form with the query.
		if r.PostForm, err = parameters(string(raw)); err != nil {
			return err
		}
		r.Form = make(url.Values, len(r.PostForm)+len(query))
		for k, v := range r.PostForm {
			r.Form[k] = slices.Clip(v) // shared, and copied by whoever adds to it
		}
		for k, v := range query {
			r.Form[k] = append(r.Form[k], v...)
		}
	}
	return nil
}

// mediaType reads Content-Type; "" when there is none. Two are one too many, and
// text in another character set than UTF-8 is not for us.
func mediaType(fields []string) (string, error) {
	if len(fields) == 0 {
		return "", nil
	}
	if len(fields) == 1 && fields[0] == formType { // as nearly everybody writes it
		return formType, nil
	}
	media, params, err := mime.ParseMediaType(fields[0])
	if cs, ok := params["charset"]; err != nil || len(fields) > 1 || ok && !strings.EqualFold(cs, "utf-8") {
		return "", errContentType
	}
	return media, nil
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// parameters reads an encoded parameter list. What was refused returns nothing. How
// often a name may be there is for whoever knows the name.
func parameters(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	if strings.Count(raw, "&") >= maxParams {
		return nil, errTooMany
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errEncoding
	}
	for k, vs := range values {
		if !text(k) || slices.ContainsFunc(vs, func(v string) bool { return !text(v) }) {
			return nil, errEncoding
		}
	}
	return values, nil
}

// text: UTF-8 without NUL, which some databases take for an end and some for an
// error.
func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
