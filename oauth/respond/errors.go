package respond

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/ory/fosite"

	"ecardid/oauth/form"
)

// Errors that fosite has not.
func invalidToken() *fosite.RFC6749Error {
	return &fosite.RFC6749Error{
		ErrorField: "invalid_token", CodeField: http.StatusUnauthorized,
		DescriptionField: "The access token is expired, revoked, malformed or otherwise invalid.",
	}
}

// InvalidToken is RFC 6750 §3.1.
func InvalidToken(cause error) error { return invalidToken().WithWrap(cause) }

// InsufficientScope is RFC 6750 §3.1.
func InsufficientScope() error {
	return &fosite.RFC6749Error{
		ErrorField: "insufficient_scope", CodeField: http.StatusForbidden,
		DescriptionField: "The access token does not have the scope for this.",
	}
}

// Unmet says that a required acr cannot be reached (OpenID Connect Core Unmet
// Authentication Requirements 1.0).
func Unmet() error {
	return &fosite.RFC6749Error{
		ErrorField: "unmet_authentication_requirements", CodeField: http.StatusBadRequest,
		DescriptionField: "None of the required authentication contexts is known here.",
	}
}

// InvalidTarget is RFC 8707 §2: a resource that what was asked for or granted is not
// for, or that is no resource at all.
func InvalidTarget() error {
	return &fosite.RFC6749Error{
		ErrorField: "invalid_target", CodeField: http.StatusBadRequest,
		DescriptionField: "A requested resource is unknown, malformed, or not what the scopes are for.",
	}
}

// UnsupportedTokenType is RFC 7009 §2.2.1.
func UnsupportedTokenType() error {
	return &fosite.RFC6749Error{
		ErrorField: "unsupported_token_type", CodeField: http.StatusBadRequest,
		DescriptionField: "Tokens of this type are not revoked; they end by themselves within minutes.",
	}
}

// SlowDown refuses a client that guessed too often. Its retry time is a header.
func SlowDown() error {
	return &fosite.RFC6749Error{
		ErrorField: "temporarily_unavailable", CodeField: http.StatusTooManyRequests,
		DescriptionField: "Client authentication failed too often. Try again later.",
	}
}

// Clean turns any error into one that may be sent: an OAuth error with a
// description of RFC 6749 characters, or server_error.
func Clean(err error) *fosite.RFC6749Error {
	if bad := new(form.Error); errors.As(err, &bad) {
		err = fosite.ErrInvalidRequest.WithHint(bad.Problem)
	}
	rfc := new(fosite.RFC6749Error)
	if !errors.As(err, &rfc) || rfc.CodeField >= http.StatusInternalServerError && rfc.ErrorField == "error" {
		rfc = fosite.ErrServerError
	}
	said := rfc.DescriptionField
	if rfc.HintField != "" && rfc.ErrorField != "server_error" {
		// The hint is the particular half of what fosite would say.
		said = rfc.HintField
	}
	return &fosite.RFC6749Error{ErrorField: rfc.ErrorField, CodeField: rfc.CodeField, DescriptionField: plain(said)}
}

// plain keeps to the characters of error_description: %x20-21 / %x23-5B / %x5D-7E
// (RFC 6749 §4.1.2.1).
func plain(s string) string {
	const longest = 300
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\' || r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), longest)]
}

// note logs the cause of an error. Refusals of what strangers send are only worth
// a line when somebody looks for them; faults of ours always are.
func note(ctx context.Context, log *slog.Logger, where string, clean *fosite.RFC6749Error, cause error, reference string) {
	level := slog.LevelDebug
	if clean.CodeField >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := []any{"where", where, "code", clean.ErrorField}
	if reference != "" {
		attrs = append(attrs, "reference", reference)
	}
	// What strangers sent may be inside other errors; those are named by code alone.
	if level == slog.LevelError {
		attrs = append(attrs, "error", root(cause))
	}
	log.Log(ctx, level, "request refused", attrs...)
}

// root is the innermost error: fosite's own say only their name.
func root(err error) error {
	for err != nil {
		inner := errors.Unwrap(err)
		if inner == nil || errors.As(err, new(*fosite.RFC6749Error)) && !errors.As(inner, new(*fosite.RFC6749Error)) {
			return cmp.Or(inner, err)
		}
		err = inner
	}
	return nil
}
