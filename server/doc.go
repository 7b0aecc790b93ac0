// Package server is the front door: every URL on one screen (mount.go; with what
// each takes and whom it lets in, inventory_test.go), what every request passes on
// its way in (middleware.go), and how every page gets its frame (render.go). It
// introduces the rooms to each other: oauth learns of logins through authn, both
// speak through templates. Each room says what its errors look like; what a request
// is refused for before it reaches one is said here.
//
// A request passes, outermost first: the trace, panic guard and log, security
// headers, the browser's cookie (pages), size and parameter limits, the in-flight
// limit (all but documents), then, for pages, the CSRF and origin checks; protocol
// endpoints authenticate clients, not browsers. What no route takes is answered here
// too, as 404 or 405; the multiplexer never answers by itself. Metrics and profiles
// have a listener of their own (metrics.go). Nothing here
// reads Host, Forwarded or X-Forwarded-* to build a link or a decision (SECURITY
// OI5); the source address comes from the trusted hop alone (PW4).
package server
