package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Limits before work (SECURITY DS1).
const (
	maxBody   = 64 << 10
	maxParams = 100
	maxHeader = 32 << 10
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
	errURLTooLong  = errors.New("the address is longer than 16 kB")
)

// check reads what every handler may rely on: bounded body, the one content type,
// well-formed UTF-8 parameters, at most maxParams of them (SECURITY G8).
func check(w http.ResponseWriter, r *http.Request, contentType string) error {
	if len(r.RequestURI) > maxURL {
		return errURLTooLong
	}
	if err := checkParams(r.URL.RawQuery); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if got := r.Header.Values("Content-Type"); len(got) != 1 {
		if r.ContentLength == 0 && len(got) == 0 && contentType == "" {
			return nil
		}
		return errContentType
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != "" && media != contentType {
		return errContentType
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return errContentType
	}
	if media != formType {
		return nil
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return errTooLarge
		}
		return errEncoding
	}
	if err := checkParams(string(raw)); err != nil {
		return err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return errEncoding
	}
	// Handlers find the body parsed: PostForm from it alone, Form with the query.
	r.PostForm = form
	r.Body = io.NopCloser(strings.NewReader(string(raw)))
	r.Form = url.Values{}
	for k, v := range form {
		r.Form[k] = append(r.Form[k], v...)
	}
	for k, v := range r.URL.Query() {
		r.Form[k] = append(r.Form[k], v...)
	}
	return nil
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// checkParams looks at an encoded parameter list without building it: the count,
// the escapes and the UTF-8. Values are what the handler makes of them.
func checkParams(raw string) error {
	if raw == "" {
		return nil
	}
	if strings.Count(raw, "&")+1 > maxParams {
		return errTooMany
	}
	vals, err := url.ParseQuery(raw)
	if err != nil {
		return errEncoding
	}
	for k, vs := range vals {
		if !text(k) {
			return errEncoding
		}
		for _, v := range vs {
			if !text(v) {
				return errEncoding
			}
		}
	}
	return nil
}

// text: UTF-8 without NUL, which some databases take for an end and some for an
// error.
func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
