package issue

import "time"

const (
	// AccessLife is the life of every access token. It is also how long a resource
	// that verifies by itself may believe what has been revoked (decision D3).
	AccessLife = 5 * time.Minute

	// CodeLife is the life of a code: a redirect takes a second (SECURITY §0).
	CodeLife = 60 * time.Second

	// IDTokenLife is how long a relying party may take to look at its ID token.
	IDTokenLife = 10 * time.Minute

	// LogoutTokenLife is the life of a logout token (SECURITY OI3). One that has to be
	// sent again is made again.
	LogoutTokenLife = 2 * time.Minute
)
