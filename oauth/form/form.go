package form

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxBody   = 64 << 10 // SECURITY DS1
	maxParams = 100
	maxValue  = 16 << 10 // the longest JWT we would read
)

// An Error says what is wrong with the parameters, in words that may be sent
// back: they are ours and hold nothing of what was sent.
type Error struct {
	Problem string
	TooLong bool // the body; some endpoints have a status of their own for it
}

func (e *Error) Error() string { return e.Problem }

func problem(format string, args ...any) error { return &Error{Problem: fmt.Sprintf(format, args...)} }

// Known are the parameters an endpoint understands.
type Known []string

// Repeated reports whether a parameter may be there more than once: the targets of
// RFC 8707 §2 and RFC 8693 §2.1, and no other (RFC 6749 §3.1).
func Repeated(name string) bool { return name == "resource" || name == "audience" }

// Post reads the body of a POST. Known parameters in the URL are refused: what
// belongs in a body is kept out of logs and histories by that (SECURITY G8).
func Post(w http.ResponseWriter, r *http.Request, known Known) (url.Values, error) {
	if err := isForm(r.Header.Values("Content-Type")); err != nil {
		return nil, err
	}
	if r.URL.RawQuery != "" {
		_, inURL, err := parse(r.URL.RawQuery, slices.Concat(known, secrets()))
		if err != nil {
			return nil, err
		}
		if len(inURL) > 0 { // also when it is empty there
			return nil, problem("The parameter %s belongs in the body and not in the URL.", inURL[0])
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return nil, &Error{Problem: "The body is longer than 64 kB.", TooLong: true}
		}
		return nil, problem("The body could not be read.")
	}
	return Parse(string(body), known)
}

// mediaType is what a form is sent as, and how nearly everybody writes it.
const mediaType = "application/x-www-form-urlencoded"

// isForm reads the Content-Type fields of a request and finds a form, or an error.
func isForm(fields []string) error {
	if len(fields) == 1 && fields[0] == mediaType {
		return nil
	}
	if len(fields) != 1 {
		return problem("The content type must be %s.", mediaType)
	}
	media, params, err := mime.ParseMediaType(fields[0])
	if err != nil || media != mediaType {
		return problem("The content type must be %s.", mediaType)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return problem("The character set must be UTF-8.")
	}
	return nil
}

// secrets are the parameters that hold one at some endpoint. In a URL they are
// refused at all of them, empty ones included: whoever writes the name there once
// writes the value there the next time (SECURITY G8, TK4).
func secrets() Known {
	return Known{"client_secret", "client_assertion", "password", "access_token", "refresh_token", "code_verifier"}
}

// Query reads the parameters of a GET.
func Query(r *http.Request, known Known) (url.Values, error) {
	values, seen, err := parse(r.URL.RawQuery, slices.Concat(known, secrets()))
	if err != nil {
		return nil, err
	}
	for _, name := range seen {
		if slices.Contains(secrets(), name) {
			return nil, problem("The parameter %s does not belong in a URL.", name)
		}
	}
	return values, nil
}

// Parse reads a form. What failed to parse returns nothing.
func Parse(encoded string, known Known) (url.Values, error) {
	values, _, err := parse(encoded, known)
	return values, err
}

// parse returns the names it knew as well, in order, those of empty values too.
func parse(encoded string, known Known) (values url.Values, seen []string, err error) {
	if len(encoded) > maxBody {
		return nil, nil, problem("The parameters are longer than 64 kB.")
	}
	values = url.Values{}
	if encoded == "" {
		return values, nil, nil
	}
	if strings.Count(encoded, "&") >= maxParams {
		return nil, nil, problem("There are more than %d parameters.", maxParams)
	}
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := unescape(rawName)
		if err != nil {
			return nil, nil, err
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(known, name) {
			continue
		}
		// An empty one counts: two spellings of absence are still two.
		if slices.Contains(seen, name) && !Repeated(name) {
			return nil, nil, problem("The parameter %s is there twice.", name)
		}
		seen = append(seen, name)
		switch {
		case len(value) > maxValue:
			return nil, nil, problem("The parameter %s is too long.", name)
		case strings.ContainsRune(value, 0):
			return nil, nil, problem("The parameter %s has a null character.", name)
		case value != "", slices.Contains(credentials(), name):
			values.Add(name, value)
		}
	}
	return values, seen, nil
}

// credentials stay as they came when they are empty: a second method of client
// authentication is one also with nothing in it (SECURITY CA1).
func credentials() Known { return Known{"client_secret", "client_assertion"} }

func unescape(s string) (string, error) {
	// A semicolon separates parameters for some readers and not for others.
	if strings.Contains(s, ";") {
		return "", problem("A semicolon must be written %%3B.")
	}
	text, err := url.QueryUnescape(s)
	if err != nil {
		return "", problem("The parameters are not form-encoded.")
	}
	if !utf8.ValidString(text) {
		return "", problem("The parameters are not UTF-8.")
	}
	return text, nil
}
