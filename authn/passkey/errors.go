package passkey

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/go-webauthn/webauthn/protocol"
)

// What a ceremony may come to. Every refusal is an *Error of one of these kinds;
// an error of no kind is a fault of ours or of storage and grants nothing either.
var (
	// ErrMalformed: the answer is not one. The caller says 400.
	ErrMalformed = errors.New("the passkey's answer cannot be read")
	// ErrExpired: the answer came too late. The caller starts over.
	ErrExpired = errors.New("the passkey's answer came too late")
	// ErrRefused: the answer does not verify. One sentence for every reason.
	ErrRefused = errors.New("the passkey's answer was refused")
	// ErrUnknown: no live credential of ours. The caller says the same as for
	// ErrRefused; the page may call signalUnknownCredential.
	ErrUnknown = errors.New("the passkey is not known here")
	// ErrPolicy: a good passkey of a kind that is not accepted here. The citizen
	// may be told to try another one.
	ErrPolicy = errors.New("this kind of passkey is not accepted here")
	// ErrCloned: the counter says there are two copies of a key that should have
	// one. The caller stores Result.Credential, which is disabled now, refuses,
	// records and tells the citizen (SECURITY WA3).
	ErrCloned = errors.New("the passkey may have been copied")
)

// An Error is a refusal: Kind is what others may know, Cause is for the log.
type Error struct {
	Kind  error
	Cause error
}

// Error returns the kind alone, so that a cause printed by mistake says nothing.
func (e *Error) Error() string { return e.Kind.Error() }

// Unwrap gives both to errors.Is and errors.As.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Cause} }

// LogValue implements slog.LogValuer: kind, cause and what the library says to
// developers. None of it is personal; the challenge it may quote is spent.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind.Error()), slog.String("cause", fmt.Sprint(e.Cause))}
	var pe *protocol.Error
	if errors.As(e.Cause, &pe) && pe.DevInfo != "" {
		attrs = append(attrs, slog.String("info", pe.DevInfo))
	}
	return slog.GroupValue(attrs...)
}

func refuse(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Cause: fmt.Errorf(format, args...)}
}
