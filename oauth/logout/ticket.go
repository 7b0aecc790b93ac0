package logout

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
)

const (
	ticketLife  = 15 * time.Minute // to think about it
	ticketLabel = "logout ticket"
)

// A ticket is a logout request that has been checked. It travels encrypted.
type ticket struct {
	// Client and Return are the application and its registered URI to go back to;
	// empty when the citizen signs out by themselves.
	Client string `json:"c,omitempty"`
	Return string `json:"r,omitempty"`
	State  string `json:"s,omitempty"`
	// SID is that of a valid hint: whoever is in that session need not be asked.
	SID string `json:"i,omitempty"`
	// Session, once it has ended, is what the front channel tells about.
	Session identity.ID `json:"e,omitzero"`
	Ends    int64       `json:"x"` // Unix seconds
}

var errTicket = errors.New("logout: no ticket of ours, or too old")

// seal encrypts the ticket: it stands in a URL, and says which session has ended.
func (t ticket) seal(k oauth.Keyed, now time.Time) (string, error) {
	t.Ends = now.Add(ticketLife).Unix()
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	aead, err := sealer(k)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, b, nil)), nil
}

// openTicket opens one that was sealed with the key in use. When that is replaced the
// tickets under way are worth nothing; who has one asks again.
func openTicket(k oauth.Keyed, s string, now time.Time) (ticket, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") { // which the decoder passes over
		return ticket{}, errTicket
	}
	aead, err := sealer(k)
	if err != nil {
		return ticket{}, err
	}
	b, err := aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return ticket{}, errTicket
	}
	var t ticket
	if json.Unmarshal(b, &t) != nil || t.Ends < now.Unix() {
		return ticket{}, errTicket
	}
	return t, nil
}

// sealer is AES-256-GCM with random nonces, under a key of its own.
func sealer(k oauth.Keyed) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.Sum(ticketLabel))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
