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
	ends     time.Time
}

// claims of an ID token that was verified.
type claims struct {
	Subject string
	Nonce   string
	ACR     string
	All     map[string]any
}

// A person who has signed in, and what we hold of theirs.
type person struct {
	token     *oauth2.Token
	claims    claims
	scope     []string
	info      map[string]any
	refreshes int
}

// A session belongs to one browser.
type session struct {
	attempts map[string]attempt // by state
	who      *person
	ends     time.Time
}

// sessions keeps them in memory.
type sessions struct {
	clock clock.Clock
	mu    sync.Mutex
	all   map[string]*session
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

// of returns a copy of what the browser's person is.
func (s *sessions) of(r *http.Request) (*person, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.live(r)
	if one == nil || one.who == nil {
		return nil, false
	}
	who := *one.who
	return &who, true
}

func (s *sessions) person(r *http.Request) (person, bool) {
	p, ok := s.of(r)
	if !ok {
		return person{}, false
	}
	return *p, true
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
	one.who = &p
	s.put(w, one, secure)
	return true
}

func (s *sessions) update(r *http.Request, p person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.live(r); one != nil {
		one.who = &p
	}
}

func (s *sessions) end(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id(r))
}
