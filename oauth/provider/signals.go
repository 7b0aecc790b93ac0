package provider

import (
	"fmt"
	"net/http"

	"ecardid/oauth/caller"
	"ecardid/oauth/discovery"
	"ecardid/oauth/dpop"
	"ecardid/oauth/issue"
	"ecardid/oauth/respond"
	"ecardid/oauth/signals"
)

// signal adds the transmitter of shared signals, if there is somewhere to remember
// streams and scopes to manage them with.
func (c Config) signal(p *Provider, issuer *issue.Issuer, proofs *dpop.Verifier, writer respond.Writer, hosts signals.Hosts) error {
	if c.Streams == nil || len(c.Catalogue.Unknown([]string{signals.ScopeRead, signals.ScopeManage})) > 0 {
		return nil
	}
	maker := signals.Maker{Issuer: issuer}
	h := &signals.Handler{
		Guard: &caller.Guard{
			Audience: signals.Audience, Registry: c.Registry, Issuer: issuer, Proofs: proofs, Certificates: c.MTLS.Sources, Respond: writer, Clock: c.Clock,
		},
		Streams: c.Streams, Tokens: maker, Hosts: hosts, Observer: c.Signals, Respond: writer, Clock: c.Clock,
	}
	p.courier = &signals.Courier{
		Streams: c.Streams, Registry: c.Registry, Tokens: maker, Hosts: hosts, Observer: c.Signals, Clock: c.Clock, Log: c.Log,
	}
	if c.Outbound != nil {
		h.Sender, p.courier.Sender = c.Outbound, c.Outbound
	}
	metadata, err := discovery.Static(signals.Describe(c.Issuer, discovery.PathJWKS, c.Outbound != nil))
	if err != nil {
		return fmt.Errorf("oauth provider: metadata of shared signals: %w", err)
	}
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	const takes = "application/json"
	p.routes = append(p.routes,
		Route{Path: signals.PathMetadata, Methods: get, CrossSite: true, Handler: metadata},
		Route{Path: signals.PathStream, Methods: signals.StreamMethods(), CrossSite: true, Takes: takes, Handler: http.HandlerFunc(h.Stream)},
		Route{Path: signals.PathStatus, Methods: []string{http.MethodGet, http.MethodHead, http.MethodPost}, CrossSite: true, Takes: takes, Handler: http.HandlerFunc(h.Status)},
		Route{Path: signals.PathAdd, Methods: post, CrossSite: true, Takes: takes, Handler: http.HandlerFunc(h.Add)},
		Route{Path: signals.PathRemove, Methods: post, CrossSite: true, Takes: takes, Handler: http.HandlerFunc(h.Remove)},
		Route{Path: signals.PathVerify, Methods: post, CrossSite: true, Takes: takes, Handler: http.HandlerFunc(h.Verify)},
		Route{Path: signals.PathPoll, Methods: post, CrossSite: true, Takes: takes, Handler: http.HandlerFunc(h.Poll)})
	return nil
}
