package pension

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"ecardid/internal/clock"
	"ecardid/internal/secret"
)

const (
	sessionCookie  = "pension-office"
	languageCookie = "pension-language"

	sessionLife = 8 * time.Hour    // an office day
	attemptLife = 20 * time.Minute // a sign-in at the other side takes fifteen at most
	heardLife   = 10 * time.Minute // longer than any logout token is good for
	maxAttempts = 8                // tabs
	maxSessions = 10_000           // kept in memory; this is a demonstration

	outbound = 10 * time.Second
	maxBody  = 64 << 10
)

var errFull = errors.New("too many sessions")

// An attempt is one trip to the identity provider.
type attempt struct {
	level    Level
	nonce    string
	verifier string
	bill     *bill // of a payment; nil for a sign-in
	ends     time.Time
}

// claims of an ID token that was verified.
type claims struct {
	Subject string
	Nonce   string
	ACR     string
	SID     string // the session at the identity provider
	All     map[string]any
}

// A person who has signed in, and what we hold of theirs.
type person struct {
	token     *oauth2.Token
	claims    claims
	raw       string // the ID token, to say who is signing out
	scope     []string
	info      map[string]any
	refreshes int
}

// A session belongs to one browser.
type session struct {
	attempts map[string]attempt // by state
	who      *person
	paid     *receipt
	leaving  string // state of a sign-out under way
	left     string // how the person before was signed out; see the notices
	ends     time.Time
}

// signOut leaves nothing of the person, and a word about how.
func (s *session) signOut(how string) { s.who, s.paid, s.leaving, s.left = nil, nil, "", how }

// sessions keeps them in memory.
type sessions struct {
	clock clock.Clock
	mu    sync.Mutex
	all   map[string]*session
	heard map[string]time.Time // jti of logout tokens, and until when they are remembered
}

// id of the browser's session; empty when there is none or two.
func id(r *http.Request) string {
	c := r.CookiesNamed(sessionCookie)
	if len(c) != 1 {
		return ""
	}
	return c[0].Value
}

// live is called with the lock held.
func (s *sessions) live(r *http.Request) *session {
	one := s.all[id(r)]
	if one == nil || !s.clock.Now().Before(one.ends) {
		return nil
	}
	return one
}

// of returns a copy of the browser's session.
func (s *sessions) of(r *http.Request) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.live(r)
	if one == nil {
		return session{}
	}
	return *one
}

func (s *sessions) person(r *http.Request) (person, bool) {
	one := s.of(r)
	if one.who == nil {
		return person{}, false
	}
	return *one.who, true
}

// begin remembers an attempt and returns its state.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, a attempt, secure bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	one := s.live(r)
	if one == nil {
		for key, old := range s.all {
			if !now.Before(old.ends) {
				delete(s.all, key)
			}
		}
		if len(s.all) >= maxSessions {
			return "", errFull
		}
		one = &session{attempts: map[string]attempt{}, ends: now.Add(sessionLife)}
		s.put(w, one, secure)
	}
	var oldest string
	for state, b := range one.attempts {
		if !now.Before(b.ends) {
			delete(one.attempts, state)
		} else if oldest == "" || b.ends.Before(one.attempts[oldest].ends) {
			oldest = state
		}
	}
	if len(one.attempts) >= maxAttempts {
		delete(one.attempts, oldest)
	}
	state := secret.New(24).Reveal()
	a.ends = now.Add(attemptLife)
	one.attempts[state] = a
	return state, nil
}

// put gives a session a fresh name and the browser the cookie. The lock is held.
func (s *sessions) put(w http.ResponseWriter, one *session, secure bool) {
	key := secret.New(24).Reveal()
	if s.all == nil {
		s.all = map[string]*session{}
	}
	s.all[key] = one
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: key, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode})
}

// finish returns the attempt of this browser with that state, once.
func (s *sessions) finish(r *http.Request, state string) (attempt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.live(r)
	if one == nil || state == "" {
		return attempt{}, false
	}
	a, ok := one.attempts[state]
	delete(one.attempts, state)
	return a, ok && s.clock.Now().Before(a.ends)
}

// signedIn makes p the session's person, under a new name for the session: the
// one from before may be known to somebody else.
func (s *sessions) signedIn(w http.ResponseWriter, r *http.Request, p person, secure bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.live(r)
	if one == nil {
		return false
	}
	delete(s.all, id(r))
	one.who, one.left = &p, ""
	s.put(w, one, secure)
	return true
}

// paid keeps what a payment brought.
func (s *sessions) paid(r *http.Request, p receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.live(r); one != nil {
		one.paid = &p
	}
}

func (s *sessions) update(r *http.Request, p person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.live(r); one != nil {
		one.who = &p
	}
}

// leave signs the browser's person out here and returns who it was, with the state
// that has to come back from the identity provider.
func (s *sessions) leave(r *http.Request) (who person, state string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.live(r)
	if one == nil || one.who == nil {
		return person{}, "", false
	}
	who, state = *one.who, secret.New(24).Reveal()
	one.signOut(leftHere)
	one.leaving = state
	return who, state, true
}

// returned reports whether the browser comes back from the sign-out it began.
func (s *sessions) returned(r *http.Request, state string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.live(r)
	if one == nil || state == "" || one.leaving != state {
		return false
	}
	one.signOut(leftEverywhere)
	return true
}

// ended signs out whoever is in that session of the identity provider, or, when none
// is named, everybody who is that subject.
func (s *sessions) ended(sid, subject, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		switch {
		case one.who == nil:
		case sid != "" && one.who.claims.SID == sid, sid == "" && subject != "" && one.who.claims.Subject == subject:
			one.signOut(how)
		}
	}
}

// hear reports whether a logout token is heard for the first time.
func (s *sessions) hear(jti string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	for old, until := range s.heard {
		if !now.Before(until) {
			delete(s.heard, old)
		}
	}
	if _, again := s.heard[jti]; again || jti == "" || len(s.heard) >= maxSessions {
		return false
	}
	if s.heard == nil {
		s.heard = map[string]time.Time{}
	}
	s.heard[jti] = now.Add(heardLife)
	return true
}
