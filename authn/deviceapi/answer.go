package deviceapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ecardid/identity"
	"ecardid/internal/exchange"
)

// A problem is an error as the app hears of it. Cause is for the log alone.
type problem struct {
	status      int
	code        string // error
	description string // error_description; English, for whoever writes the app
	retry       time.Duration
	cause       error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.code + ": " + p.cause.Error()
	}
	return p.code
}

func (p *problem) Unwrap() error { return p.cause }

func (p problem) because(err error) error {
	p.cause = err
	return &p
}

// The problems, in one table. A 401 says nothing but that: which of device, nonce,
// time or signature did not fit would help nobody who is honest.
func invalidRequest(description string) problem {
	return problem{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

func unauthorized() problem {
	return problem{status: http.StatusUnauthorized, code: "unauthorized", description: "This request is not signed by a phone that may sign it."}
}

func notFound() problem {
	return problem{status: http.StatusNotFound, code: "not_found", description: "There is no such thing, or not any more."}
}

func refusedCode() problem {
	return problem{status: http.StatusNotFound, code: "invalid_code", description: "This code is unknown, used or expired. Show a new one on the account page."}
}

func refusedProof() problem {
	return problem{status: http.StatusForbidden, code: "invalid_proof", description: "The proof of possession does not verify. Begin with a new code."}
}

func refusedAttestation() problem {
	return problem{status: http.StatusForbidden, code: "invalid_attestation", description: "The attestation does not hold. Begin with a new code."}
}

func weakKey() problem {
	return problem{status: http.StatusForbidden, code: "insufficient_level", description: "Keys kept like this one are not accepted here."}
}

func knownKey() problem {
	return problem{status: http.StatusConflict, code: "known_key", description: "This key was enrolled before. Make a new one."}
}

func lastFactor() problem {
	return problem{status: http.StatusConflict, code: "last_factor", description: "Nothing would be left to sign in with. Add another way to sign in first."}
}

func answered() problem {
	return problem{status: http.StatusConflict, code: "already_answered", description: "This was answered before."}
}

func wrongNumber() problem {
	return problem{status: http.StatusForbidden, code: "wrong_number", description: "That is not what the other screen shows. The request was refused."}
}

func needsVerification() problem {
	return problem{status: http.StatusForbidden, code: "user_verification_required", description: "Ask for PIN or biometrics and answer again."}
}

func throttled(wait time.Duration) problem {
	return problem{status: http.StatusTooManyRequests, code: "slow_down", description: "Too many attempts. Wait.", retry: wait}
}

// answer writes v as JSON. Every answer here is one phone's business.
func (a *API) answer(w http.ResponseWriter, status int, v any) {
	exchange.Answer(w, a.Log, status, v)
}

// over turns storage's no to an enrolment or approval into the app's: what has ended
// is not there any more, and what was answered once is not answered again.
func over(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrEnded):
		return notFound().because(err)
	case errors.Is(err, identity.ErrSpent):
		return answered().because(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// fail is the one place where an error becomes an answer. What is not a problem of
// the table is a fault of ours and tells the world nothing.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, exchange.ErrTooLarge):
		p = &problem{status: http.StatusRequestEntityTooLarge, code: "invalid_request", description: "The body is larger than 64 kB."}
	case errors.Is(err, exchange.ErrMediaType):
		p = &problem{status: http.StatusUnsupportedMediaType, code: "invalid_request", description: "The body has to be application/json."}
	case errors.Is(err, exchange.ErrMalformed):
		p = &problem{status: http.StatusBadRequest, code: "invalid_request", description: "The body broke off."}
	default:
		p = &problem{status: http.StatusInternalServerError, code: "server_error"}
	}
	if p.status >= http.StatusInternalServerError {
		if r.Context().Err() == nil {
			a.Log.ErrorContext(r.Context(), "device api", "cause", err)
		}
	} else {
		a.Log.InfoContext(r.Context(), "device api refused", "status", p.status, "cause", err)
	}
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Device-Signature") // RFC 9110 §15.5.2
	}
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	a.answer(w, p.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{p.code, p.description})
}
