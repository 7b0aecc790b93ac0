package jose

import "errors"

var (
	// ErrMalformed is returned by every parser here for bytes that are not what
	// they claim to be. The caller answers with a 4xx; nothing can be saved.
	ErrMalformed = errors.New("jose: malformed")

	// ErrUnsupported is returned by ParseJWK for a well-formed key of a kind we
	// do not verify with: another kty, crv or alg, or one meant for encryption.
	// In a set such a key is passed over (RFC 7517 §5) and noted in Set.Skipped.
	ErrUnsupported = errors.New("jose: unsupported")

	// ErrPrivate is returned by ParseJWK and ParseSet when a public document
	// holds private or symmetric key material. Whoever sent it should treat
	// that key as lost.
	ErrPrivate = errors.New("jose: secret key material in a public key")

	// ErrAlgorithm is returned by Parse for an algorithm that is not ours, and
	// by Verify when the header's is not allowed here or is not the key's.
	ErrAlgorithm = errors.New("jose: algorithm not acceptable")

	// ErrNoKey is returned by Verify when no key answers to the token's kid. A
	// caller with a remote key set may fetch it again, within its limits.
	ErrNoKey = errors.New("jose: no such key")

	// ErrSignature is returned by Verify when the signature is not the key's.
	ErrSignature = errors.New("jose: wrong signature")

	// ErrExpired and ErrNotYet are returned by Standard.Check.
	ErrExpired = errors.New("jose: expired")
	ErrNotYet  = errors.New("jose: not valid yet")
)
