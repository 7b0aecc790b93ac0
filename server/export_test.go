package server

import (
	"net/http"

	"ecardid/console"
)

// What the tests outside look at.
var (
	Parameters = parameters
	Only       = only
)

// InFlight is how many requests are worked on at once.
const InFlight = inFlight

// Enter is a route's way in, for handlers the house does not have.
func (s *Server) Enter(r Route, h http.Handler) http.Handler { return s.enter(r, h) }

// Desk is the staff's console.
func (s *Server) Desk() *console.Service { return s.desk }
