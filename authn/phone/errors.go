package phone

import (
	"errors"
	"fmt"
)

var (
	// ErrMalformed: not what the protocol says. The caller answers 400.
	ErrMalformed = errors.New("phone: malformed")
	// ErrExpired: too late, or by a clock that is off. The caller answers 401
	// with a new nonce, or has the enrolment started over.
	ErrExpired = errors.New("phone: expired")
	// ErrRefused: signature, challenge, audience or key do not fit. The caller
	// answers 401 and says no more; the wrapped text is for the log.
	ErrRefused = errors.New("phone: refused")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}
