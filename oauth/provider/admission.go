package provider

import (
	"slices"

	"ecardid/oauth"
	"ecardid/oauth/discovery"
	"ecardid/oauth/register"
	"ecardid/oauth/respond"
)

// This file says the same things to two audiences: to whoever registers a client, what
// there is for it, and to everybody, what this server does.

// registrar takes registrations.
func (c Config) registrar(writer respond.Writer, details map[string]string) *register.Handler {
	h := &register.Handler{
		Issuer: c.Issuer, Store: c.Store, Registry: c.Registry, Keys: c.Keys, Secrets: c.ClientSecrets,
		Offer: oauth.Offer{
			Scopes: c.Catalogue, Algs: c.Algs, Certificates: c.certificates(), ClientCA: c.MTLS.Roots != nil,
			Device: c.DeviceGrant, Details: details,
		},
		Source: c.Source, Respond: writer, Clock: c.Clock, Log: c.Log,
	}
	if c.Outbound != nil {
		h.Fetch = c.Outbound
	}
	if c.OpenRegistration {
		machine := c.Catalogue.Machine(c.Catalogue.Names())
		h.Open = &register.Open{
			Profile: oauth.ProfileOIDC, PKCEOptional: true,
			Scope: slices.DeleteFunc(c.Catalogue.Names(), func(s string) bool { return slices.Contains(machine, s) }),
		}
	}
	return h
}

// facts are what the metadata says about routes and the rest.
func (c Config) facts(routes []Route, details []string) discovery.Facts {
	return discovery.Facts{
		Issuer: c.Issuer, Scopes: c.Catalogue.Names(), Claims: c.Catalogue.Claims(c.Catalogue.Names()), Algs: c.Algs, Details: details,
		Serves: func(path string) bool {
			return slices.ContainsFunc(routes, func(r Route) bool { return r.Path == path })
		},
		BackChannel: c.Outbound != nil, Certificates: c.certificates(), ClientCA: c.MTLS.Roots != nil, MTLSBase: c.MTLS.Base,
	}
}

// certificates reports whether clients' certificates reach us.
func (c Config) certificates() bool { return c.MTLS.Base != "" || c.MTLS.Header != "" }
