package signals

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/issue"
)

const typSET = "secevent+jwt" // RFC 8417 §2.3

// alg signs every event token: the interoperability profile of CAEP knows no other (§2.6).
const alg = jose.RS256

// A subject says whom an event is about (RFC 9493 §3, Shared Signals §3).
type subject struct {
	Format string `json:"format"`
	// iss_sub
	Issuer  string `json:"iss,omitempty"`
	Subject string `json:"sub,omitempty"`
	// opaque
	ID string `json:"id,omitempty"`
	// complex
	User    *subject `json:"user,omitempty"`
	Session *subject `json:"session,omitempty"`
}

// claims of a security event token: no sub and no exp, so that nobody takes it for
// anything else (Shared Signals §4.1).
type claims struct {
	jose.Standard
	Subject subject                    `json:"sub_id"`
	Events  map[string]json.RawMessage `json:"events"` // exactly one
}

// A Maker makes security event tokens.
type Maker struct{ Issuer *issue.Issuer }

// Token makes the token of one signal. It says the same each time it is made, to the
// bit while the key is the same.
func (m Maker) Token(c *oauth.Client, stream oauth.Stream, s oauth.Signal) (string, error) {
	key, err := m.Issuer.Keys.Signer(alg)
	if err != nil {
		return "", err
	}
	token, err := jose.Sign(key, typSET, claims{
		Standard: jose.Standard{Issuer: m.Issuer.Name, Audience: jose.To(c.ID), IssuedAt: jose.Date(s.At), ID: s.ID.String()},
		Subject:  m.subject(c, stream, s),
		Events:   map[string]json.RawMessage{s.Type: s.Data},
	})
	if err != nil {
		return "", fmt.Errorf("signing a security event token: %w", err)
	}
	return token, nil
}

// subject is the citizen by the sub that this client knows, with the session where it is
// only one; what is about the stream itself names the stream (§8.1.4.1).
func (m Maker) subject(c *oauth.Client, stream oauth.Stream, s oauth.Signal) subject {
	if s.Citizen.IsZero() {
		return subject{Format: "opaque", ID: stream.ID.String()}
	}
	user := subject{Format: "iss_sub", Issuer: m.Issuer.Name, Subject: m.Issuer.Subjects.Subject(c, s.Citizen)}
	if s.Session.IsZero() {
		return user
	}
	return subject{Format: "complex", User: &user, Session: &subject{Format: "opaque", ID: m.Issuer.SID(c, s.Session)}}
}

// person is how storage knows a citizen whom a stream is not to hear of.
func person(sub string) []byte {
	sum := sha256.Sum256([]byte(sub))
	return sum[:]
}

// person does so for a signal; nil when it is about nobody.
func (m Maker) person(c *oauth.Client, s oauth.Signal) []byte {
	if s.Citizen.IsZero() {
		return nil
	}
	return person(m.Issuer.Subjects.Subject(c, s.Citizen))
}
