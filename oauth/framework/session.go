package framework

import (
	"time"

	"github.com/ory/fosite"

	"ecardid/oauth"
)

// A Session carries what our handlers hand each other through fosite. It is not
// stored; of fosite.Session it takes the name.
type Session struct {
	// New is the grant to be issued; set by authorize, and read by the code grant.
	New *oauth.NewCode
	// Answer is what a grant proved at the token endpoint.
	Answer any
	// Binding is the key proved with this request: where DPoP and mutual TLS come
	// in. Empty for bearer tokens.
	Binding oauth.Binding
}

var _ fosite.Session = (*Session)(nil)

// SetExpiresAt implements fosite.Session. Our grants know their own ends.
func (*Session) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt implements fosite.Session.
func (*Session) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// GetUsername implements fosite.Session.
func (*Session) GetUsername() string { return "" }

// GetSubject implements fosite.Session.
func (*Session) GetSubject() string { return "" }

// Clone implements fosite.Session and keeps our type.
func (s *Session) Clone() fosite.Session {
	c := *s
	return &c
}
