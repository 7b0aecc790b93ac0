// Package server is the front door: every URL on one screen (routes.go), what
// every request passes on its way in (middleware), and the only place where an
// error becomes a page, a redirect or JSON. It introduces the rooms to each
// other: oauth learns of logins through authn, both speak through templates.
//
// A request passes, outermost first: panic guard and log, security headers, size and
// parameter limits, the in-flight limit, then by the kind of its route either the
// browser cookie with its CSRF and origin checks (pages), or nothing more (protocol
// endpoints authenticate clients, not browsers). What no route takes is answered
// here too, as 404 or 405; the multiplexer never answers by itself. Nothing here
// reads Host, Forwarded or X-Forwarded-* to build a link or a decision (SECURITY
// OI5); the source address comes from the trusted hop alone (PW4).
package server
