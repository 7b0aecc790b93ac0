package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"ecardid/account"
	"ecardid/authn"
	"ecardid/authn/deviceapi"
	"ecardid/console"
	"ecardid/oauth/provider"
	"ecardid/templates"
)

// mount collects every address there is. The list is the inventory: a test holds
// it against a table with a row for each (SECURITY §18).
func (s *Server) mount(login *authn.Service, devices *deviceapi.API, protocol *provider.Provider, home *account.Service, desk *console.Service) {
	s.add(Route{Method: http.MethodGet, Pattern: "/{$}", Class: Page, Who: "anybody", Handler: http.RedirectHandler("/account", http.StatusSeeOther)})
	for _, r := range login.LossRoutes() {
		s.add(Route{Method: r.Method, Pattern: r.Pattern, Class: Page, Takes: r.Takes, Who: "anybody", Handler: r.Handler})
	}
	s.add(Route{Method: http.MethodGet, Pattern: "/privacy", Class: Page, Who: "anybody", Handler: s.still(templates.Privacy{})})
	s.add(Route{Method: http.MethodGet, Pattern: "/goodbye", Class: Page, Who: "anybody", Handler: s.still(templates.AccountClosed{})})
	s.add(Route{Method: http.MethodPost, Pattern: "/preferences", Class: Page, Takes: formType, Who: "anybody", Handler: s.preferences(login.Current)})
	s.add(Route{Method: http.MethodGet, Pattern: templates.AssetPrefix, Class: Public, Who: "anybody", Handler: s.pages.Assets()})
	s.add(Route{Method: http.MethodGet, Pattern: "/healthz", Class: Public, Who: "anybody", Handler: http.HandlerFunc(s.healthz)})
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
	for _, r := range desk.Routes() {
		s.add(Route{Method: r.Method, Pattern: r.Pattern, Class: Page, Takes: r.Takes, Who: r.Who, Handler: r.Handler})
	}
	for _, r := range desk.APIRoutes() {
		s.add(Route{Method: r.Method, Pattern: r.Pattern, Class: Protocol, Takes: r.Takes, Who: r.Who, Handler: r.Handler})
	}
	for _, r := range devices.Routes() {
		s.add(Route{Method: r.Method, Pattern: r.Pattern, Class: Protocol, Takes: r.Takes, Who: "phone", Handler: r.Handler})
	}
	for _, r := range protocol.Routes() {
		class, who := Protocol, "client"
		switch {
		case r.Page && r.CrossSite:
			class, who = Entry, "anybody"
		case r.Page:
			class, who = Page, "citizen"
		case !slices.ContainsFunc(r.Methods, changes):
			class, who = Public, "anybody"
		}
		for _, m := range r.Methods {
			if m == http.MethodHead {
				continue // GET patterns serve it
			}
			takes := ""
			if m == http.MethodPost || m == http.MethodPut || m == http.MethodPatch {
				takes = cmp.Or(r.Takes, formType)
			}
			s.add(Route{Method: m, Pattern: r.Path, Class: class, Takes: takes, Who: who, Handler: r.Handler})
		}
	}
	s.lost = s.enter(Route{Pattern: "/", Class: Page}, s.nowhere(nil))
	s.mux.Handle("/", s.lost)
	// Programs read JSON. The addresses without a slash are there so that the
	// multiplexer sends nobody on by itself.
	for _, tree := range []string{"/.well-known", "/.well-known/", "/device", "/device/", "/ssf", "/ssf/", "/console/api", "/console/api/"} {
		s.mux.Handle(tree, s.enter(Route{Pattern: tree, Class: Protocol}, s.nowhere(nil)))
	}
	s.mux.Handle(strings.TrimSuffix(templates.AssetPrefix, "/"), s.lost)
	s.others()
}

// changes reports whether a method is more than asking.
func changes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

func (s *Server) add(r Route) {
	h := r.Handler
	if r.Class == Page {
		h = s.page(h)
	}
	s.routes = append(s.routes, r)
	s.mux.Handle(r.Method+" "+r.Pattern, s.traces.over(r.Pattern, unwrap(s.enter(r, h))))
}

// others answers, at every address, the methods it does not take. There is no CORS:
// OPTIONS is one of them (SECURITY SS3).
func (s *Server) others() {
	allow := map[string][]string{}
	for _, r := range s.routes {
		allow[r.Pattern] = append(allow[r.Pattern], r.Method)
		if r.Method == http.MethodGet {
			allow[r.Pattern] = append(allow[r.Pattern], http.MethodHead)
		}
	}
	for _, r := range s.routes {
		if methods, ok := allow[r.Pattern]; ok {
			s.mux.Handle(r.Pattern, s.enter(Route{Pattern: r.Pattern, Class: r.Class}, s.nowhere(methods)))
			delete(allow, r.Pattern)
		}
	}
}

// still is a page that says the same to everybody.
func (s *Server) still(p templates.Page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.write(w, r, http.StatusOK, p) })
}

// healthz says that the process lives and nothing else. It is not counted among the
// requests in flight: a process that waits for its database is not to be killed.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ok\"}\n"))
}

// readyz says whether this replica can answer: its database does. A balancer takes
// it out while it cannot.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.store.Ping(ctx); err != nil {
		s.fail(w, r, http.StatusServiceUnavailable, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ready\"}\n"))
}
