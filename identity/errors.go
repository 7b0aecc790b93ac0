package identity

import "errors"

// What storage answers when it has no better news. Every other error from a
// store is a fault of ours: nothing is granted and the caller says 5xx.
var (
	// ErrNotFound: there is no such thing, or it is not the caller's to see. The
	// two are one answer on purpose.
	ErrNotFound = errors.New("not found")

	// ErrSpent: it may be used once and was, however close the two uses were
	// (SECURITY G1). Whoever gets this lost the race and refuses.
	ErrSpent = errors.New("already used")

	// ErrReplayed: what was shown beside the request proper, an assertion or a proof,
	// may be shown once and was.
	ErrReplayed = errors.New("replayed")

	// ErrEnded: the login, device, citizen, client or consent it hangs on has been
	// ended since. It stays ended (SECURITY G6).
	ErrEnded = errors.New("ended")

	// ErrConflict: somebody else changed it first, or the name is taken.
	ErrConflict = errors.New("conflict")

	// ErrScope: more is asked than was granted.
	ErrScope = errors.New("scope exceeds the grant")

	// ErrConsent: the citizen has not agreed to all of it; ask.
	ErrConsent = errors.New("consent missing")
)
