package server

import (
	"context"
	"net/http"
	"slices"
	"time"

	"ecardid/account"
	"ecardid/authn"
	"ecardid/authn/deviceapi"
	"ecardid/oauth/provider"
	"ecardid/templates"
)

// mount collects every address there is. The list is the inventory: a test holds
// it against a table with a row for each (SECURITY §18).
func (s *Server) mount(login *authn.Service, devices *deviceapi.API, protocol *provider.Provider, home *account.Service) {
	s.add(Route{Method: http.MethodGet, Pattern: "/{$}", Class: Page, Who: "anybody", Handler: http.RedirectHandler("/account", http.StatusSeeOther)})
	s.add(Route{Method: http.MethodGet, Pattern: "/lost", Class: Page, Who: "anybody", Handler: s.still(templates.Lost{})})
	s.add(Route{Method: http.MethodGet, Pattern: "/privacy", Class: Page, Who: "anybody", Handler: s.still(templates.Privacy{})})
	s.add(Route{Method: http.MethodPost, Pattern: "/preferences", Class: Page, Takes: formType, Who: "anybody", Handler: http.HandlerFunc(s.preferences)})
	s.add(Route{Method: http.MethodGet, Pattern: templates.AssetPrefix, Class: Public, Who: "anybody", Handler: s.pages.Assets()})
	s.add(Route{Method: http.MethodGet, Pattern: "/healthz", Class: Protocol, Who: "anybody", Handler: http.HandlerFunc(s.healthz)})
	s.add(Route{Method: http.MethodGet, Pattern: "/readyz", Class: Protocol, Who: "anybody", Handler: http.HandlerFunc(s.readyz)})

	for _, r := range login.Routes() {
		class := Page
		if r.Machine {
			class = Protocol
		}
		s.add(Route{Method: r.Method, Pattern: r.Pattern, Class: class, Takes: r.Takes, Who: "browser of the flow", Handler: r.Handler})
	}
	for _, r := range home.Routes() {
		s.add(Route{Method: r.Method, Pattern: r.Pattern, Class: Page, Takes: r.Takes, Who: "citizen", Handler: r.Handler})
	}
	for _, r := range devices.Routes() {
		s.add(Route{Method: r.Method, Pattern: r.Pattern, Class: Protocol, Takes: r.Takes, Who: "phone", Handler: r.Handler})
	}
	for _, r := range protocol.Routes() {
		class := Protocol
		switch {
		case r.Page && r.CrossSite:
			class = Entry
		case r.Page:
			class = Page
		case !slices.Contains(r.Methods, http.MethodPost):
			class = Public
		}
		for _, m := range r.Methods {
			if m == http.MethodHead {
				continue // GET patterns serve it
			}
			takes := ""
			if m == http.MethodPost {
				takes = formType
			}
			s.add(Route{Method: m, Pattern: r.Path, Class: class, Takes: takes, Who: "client or browser", Handler: r.Handler})
		}
	}
	// Everything else.
	s.mux.Handle("/", s.enter(Route{Pattern: "/", Class: Page}, s.page(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.write(w, r, http.StatusNotFound, templates.Error{
			Title: templates.Say(templates.ErrorMissingTitle), Next: templates.Say(templates.ErrorMissingNext), Reference: noted(r).ref,
		})
	}))))
}

func (s *Server) add(r Route) {
	h := r.Handler
	switch r.Class {
	case Page:
		h = s.page(h)
	case Entry:
		h = s.entry(h)
	}
	s.routes = append(s.routes, r)
	s.mux.Handle(r.Method+" "+r.Pattern, s.traces.over(r.Pattern, unwrap(s.enter(r, h))))
}

// still is a page that says the same to everybody.
func (s *Server) still(p templates.Page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.write(w, r, http.StatusOK, p) })
}

// healthz says that the process lives and nothing else.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ok\"}\n"))
}

// readyz says whether this replica can answer: its database does. A balancer takes
// it out while it cannot.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.store.Ping(ctx); err != nil {
		w.Header().Set("Retry-After", "2")
		s.fail(w, r, http.StatusServiceUnavailable, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ready\"}\n"))
}
