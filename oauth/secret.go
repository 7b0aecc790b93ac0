package oauth

import (
	"time"

	"ecardid/internal/secret"
)

// secretSize is the length of a client secret: as much as the hash over it.
const secretSize = 32

const secretLabel = "client secret"

// NewSecret makes a client secret. It is shown once; the hash is what stays.
// With 256 random bits a keyed hash is enough and a slow one would only be slow
// (SECURITY CA4).
func NewSecret(k Keyed, clientID string) (secret.Value, SecretHash) {
	s := secret.New(secretSize)
	return s, SecretHash{Hash: k.Sum(secretLabel, clientID, s.Reveal())}
}

// CheckSecret reports whether s is one of the client's secrets that have not
// expired. A client without secrets has none that matches, and nothing matches
// the empty secret.
func (c *Client) CheckSecret(k Keyed, s secret.Value, now time.Time) bool {
	if s.Empty() {
		return false
	}
	ok := false
	for _, h := range c.Secrets {
		if !h.Expires.IsZero() && !now.Before(h.Expires) {
			continue
		}
		if k.Check(h.Hash, secretLabel, c.ID, s.Reveal()) {
			ok = true
		}
	}
	return ok
}
