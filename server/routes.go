package server

import "net/http"

// A Class of route says what a request passes on its way and what an error looks
// like at its end.
type Class int

// Classes.
const (
	Page     Class = iota // a person's browser: cookie, CSRF token, origin check; errors are pages
	Entry                 // the authorization endpoint: as Page, but reached from other sites
	Protocol              // clients and resource servers: they authenticate themselves; errors are JSON
	Public                // documents and files anybody may have and keep
)

// A Route is one row of the inventory: who may come, how, with what.
type Route struct {
	Method  string // "" for whatever no other route of the pattern takes
	Pattern string // as http.ServeMux takes it
	Class   Class
	Takes   string // the one content type of its body; "" for none
	Who     string // who is let in, for the inventory: "anybody", "browser of the flow", "citizen", "staff", "client", "phone"
	Handler http.Handler
}
