package logout

import (
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

// A ticket is a logout request that has been checked.
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

func (t ticket) seal(k oauth.Keyed, now time.Time) (string, error) {
	t.Ends = now.Add(ticketLife).Unix()
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	body := base64.RawURLEncoding.EncodeToString(b)
	return body + "." + base64.RawURLEncoding.EncodeToString(k.Sum(ticketLabel, body)), nil
}

func openTicket(k oauth.Keyed, s string, now time.Time) (ticket, error) {
	body, tag, _ := strings.Cut(s, ".")
	sum, err := base64.RawURLEncoding.Strict().DecodeString(tag)
	if err != nil || !k.Check(sum, ticketLabel, body) {
		return ticket{}, errTicket
	}
	var t ticket
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || json.Unmarshal(b, &t) != nil || t.Ends < now.Unix() {
		return ticket{}, errTicket
	}
	return t, nil
}
