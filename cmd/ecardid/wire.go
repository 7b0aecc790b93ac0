package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"ecardid/authn"
	"ecardid/authn/notify"
	"ecardid/authn/passkey"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/internal/seal"
	"ecardid/internal/secret"
	"ecardid/liveness"
	"ecardid/oauth/keyring"
	"ecardid/oauth/mtls"
	"ecardid/server"
	"ecardid/storage"
	"ecardid/templates"
)

// A house is the server with everything it stands on.
type house struct {
	public     http.Handler
	operations http.Handler
	alarm      *trailAlarm
	// run keeps what is held in memory fresh, until its context ends.
	run func(ctx context.Context)
	// close gives back what is left when nothing is served any more.
	close func(ctx context.Context) error
}

// furnish builds the house out of a checked configuration and an unlocked store.
// Office is the address of the demo's relying party, which is told of logouts without
// TLS; empty everywhere else.
func (e *env) furnish(ctx context.Context, c *config.Config, s *storage.Store, log *slog.Logger, demo bool, office string) (*house, error) {
	engine, err := livenessEngine(c, s, e.clock, log)
	if err != nil {
		return nil, err
	}
	var traces *server.Traces
	if c.Telemetry.OTLPEndpoint != "" {
		if traces, err = server.NewTraces(ctx, c.Telemetry.OTLPEndpoint, c.Telemetry.Ratio); err != nil {
			return nil, err
		}
	}
	metrics := server.NewMetrics()
	in := server.Ingredients{
		Issuer: c.Issuer, Store: s, Liveness: engine, Leaks: c.Made.Leaks, Catalogue: c.Made.Catalogue,
		Pages: templates.Config{
			Authority: c.Authority.Name, AuthorityEnglish: c.Authority.English,
			Domain: c.Authority.Domain, Helpline: c.Authority.Helpline, Demo: demo,
		},
		Login: authn.Config{
			Floor: c.Made.Floor, SessionIdle: c.Sessions.Idle, SessionMax: c.Sessions.Max, Trust: c.Sessions.Trusted, Risk: c.Made.Risk,
			LivenessName: c.Liveness.Title, LivenessHost: c.Made.LivenessHost, LivenessStandin: c.Liveness.Development,
		},
		KeyPolicy: keyring.DefaultPolicy(),
		Passkeys:  passkey.Config{RPID: c.Passkeys.RPID, Origins: c.Passkeys.Origins},
		Attest:    c.Made.Attest, KeyLevel: c.Made.KeyLevel, Proxies: c.Made.Proxies, LivenessCapture: captureOrigins(c),
		MTLS: certificates(c), Outbound: outbound.New(outbound.Config{
			Only: c.Outbound.Only, Allow: c.Outbound.Allow, Demo: office, Roots: c.Made.Roots, Clock: e.clock,
		}),
		OpenRegistration: c.Registration.Open, DeviceGrant: c.DeviceGrant,
		Clock: e.clock, Rand: e.rand, Log: log, Metrics: metrics, Traces: traces,
	}
	in.Login.ManyPhones, in.Login.CoolOff = !c.Login.OnePhone, c.Login.CoolOff
	if c.Login.CoolOff == 0 {
		in.Login.CoolOff = -1 // 0 is authn's default
	}
	if demo {
		in.Login.CoolOff = -1 // whoever tries it out has no day to wait
	}
	srv, err := server.New(ctx, in)
	if err != nil {
		return nil, err
	}
	alarm := &trailAlarm{journal: s, count: metrics.Alarm, clock: e.clock, log: log}
	// What we call for ourselves nobody else may have us call.
	own := in.Outbound.Besides(callable(c))
	keeper := &notary{store: s, issuer: c.Issuer, to: c.Audit.Checkpoint, post: own.Post, alarm: alarm, clock: e.clock, log: log}
	if err := keeper.ready(); err != nil {
		return nil, err
	}
	return &house{
		public: srv, operations: metrics.Operations(), alarm: alarm,
		run: func(ctx context.Context) {
			var both sync.WaitGroup
			both.Go(func() { keeper.run(ctx) })
			both.Go(func() { srv.Run(ctx, storage.Changed) })
			if c.Notices.URL != "" {
				both.Go(func() { gateway(c, s, srv, own, e.clock, log).Run(ctx) })
			}
			both.Wait()
		},
		close: func(ctx context.Context) error {
			keeper.attest(ctx) // by now everything is linked
			engine.Close()
			in.Outbound.Close()
			return traces.Close(ctx)
		},
	}, nil
}

// gateway brings citizens' notices to whoever sends text messages and e-mail.
func gateway(c *config.Config, s *storage.Store, srv *server.Server, own *outbound.Client, clk clock.Clock, log *slog.Logger) *notify.Courier {
	return &notify.Courier{
		Outbox: s, Issuer: c.Issuer, URL: c.Notices.URL, Alg: jose.Alg(c.Notices.Algorithm), Signer: srv.Signer, Say: srv.News,
		Post: own.Post, Clock: clk, Log: log,
	}
}

// hostList are hosts by name and port.
type hostList []string

// Names implements outbound.Hosts.
func (l hostList) Names(_ context.Context, address string) bool { return slices.Contains(l, address) }

// callable are the hosts that the configuration names for our own sake: whom the audit
// trail is attested to, and whom notices are brought to.
func callable(c *config.Config) hostList {
	var hosts hostList
	for _, url := range []string{c.Audit.Checkpoint.URL, c.Notices.URL} {
		if at := outbound.Address(url); at != "" {
			hosts = append(hosts, at)
		}
	}
	return hosts
}

// certificates says whose word about clients' certificates is taken.
func certificates(c *config.Config) mtls.Config {
	m := mtls.Config{Roots: c.Made.ClientCAs, Base: c.MTLS.Base}
	if c.MTLS.ProxyHeader != "" {
		m.Sources = mtls.Sources{Proxies: c.Made.Proxies, Header: c.MTLS.ProxyHeader}
	}
	return m
}

// livenessEngine talks to the configured provider. The key behind references comes
// from the data keys, so it is the same on every replica and in no file.
func livenessEngine(c *config.Config, s *storage.Store, clk clock.Clock, log *slog.Logger) (*liveness.Engine, error) {
	ref, err := s.Keys().MAC(seal.LivenessRef, []byte("derive"), []byte("liveness-ref"))
	if err != nil {
		return nil, fmt.Errorf("deriving the liveness reference key: %w", err)
	}
	return liveness.New(c.LivenessConfig(secret.Of(hex.EncodeToString(ref))), s.Liveness(), clk, log)
}

// captureOrigins are the origins of the provider's capture pages, which forms on
// the way there may lead to.
func captureOrigins(c *config.Config) []string {
	scheme := "https"
	if u, err := url.Parse(c.Liveness.URL); err == nil && c.Liveness.Development {
		scheme = u.Scheme
	}
	var all []string
	for _, host := range c.Liveness.CaptureHosts {
		all = append(all, scheme+"://"+host)
	}
	return all
}
