package oauth

import "ecardid/audit"

// A Refusal is an error that belongs in the trail (SECURITY AD3): somebody asked for
// what is not theirs. Whoever finds out says so inside the error, and the one place
// that answers it writes it down (package respond), with where it came from.
type Refusal struct {
	Event audit.Event // kind, reason and whom it is about
	cause error
}

// Refuse puts a refusal around the error that is the answer. Reason is in our own
// words and detail of our own names: neither may be what was sent.
func Refuse(cause error, kind audit.Kind, client, reason string, detail map[string]string) error {
	return &Refusal{audit.Event{Kind: kind, Client: client, Reason: reason, Detail: detail}, cause}
}

func (r *Refusal) Error() string { return r.cause.Error() }

// Unwrap leads to the answer.
func (r *Refusal) Unwrap() error { return r.cause }
